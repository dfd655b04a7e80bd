#include "hub/history.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "hub/cursor.h"

#define RING_MIN 4 /* most channels of many hold a few messages only */

void history_init(struct history *h, const struct history_bounds *bounds)
{
    *h = (struct history){
        .bounds = *bounds,
        .epoch = epoch_new(),
        .next_seq = 1,
    };
}

uint64_t history_first_seq(const struct history *h)
{
    return h->next_seq - h->count;
}

static struct message **slot(const struct history *h, uint64_t seq)
{
    return &h->ring[seq & (h->cap - 1)];
}

struct message *history_at(const struct history *h, uint64_t seq)
{
    assert(seq >= history_first_seq(h) && seq < h->next_seq);
    return *slot(h, seq);
}

struct message *history_newest(const struct history *h)
{
    return h->count == 0 || h->newest_seq < history_first_seq(h)
               ? NULL
               : history_at(h, h->newest_seq);
}

uint64_t history_after_stamp(const struct history *h, uint64_t stamp)
{
    uint64_t low = history_first_seq(h), high = h->next_seq;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (history_at(h, middle)->stamp > stamp)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* Doubles the ring.  Seldom, so it may allocate under the lock. */
static int grow(struct history *h)
{
    struct history wider = *h;

    wider.cap = h->cap == 0 ? RING_MIN : h->cap * 2;
    wider.ring = calloc(wider.cap, sizeof(*wider.ring));
    if (wider.ring == NULL)
        return -ENOMEM;
    for (uint64_t s = history_first_seq(h); s < h->next_seq; s++)
        *slot(&wider, s) = *slot(h, s);
    free(h->ring);
    *h = wider;
    return 0;
}

static void evict_oldest(struct history *h, struct message **evicted)
{
    struct message *m = history_at(h, history_first_seq(h));

    h->count--;
    h->bytes -= m->len;
    h->lost_stamp = m->stamp;
    if (h->count > 0)
        h->oldest_us = history_at(h, history_first_seq(h))->born_us;
    m->evicted_next = *evicted;
    *evicted = m;
}

int history_append(struct history *h, struct message *m,
                   struct message **evicted)
{
    while (h->count > 0 && (h->count >= h->bounds.messages ||
                            h->bytes + m->len > h->bounds.bytes))
        evict_oldest(h, evicted);
    history_expire(h, m->born_us, evicted);
    if (h->count == h->cap && grow(h) < 0)
        return -ENOMEM;
    m->epoch = h->epoch;
    m->seq = h->next_seq++;
    if (!m->aside)
        h->newest_seq = m->seq;
    *slot(h, m->seq) = m;
    if (h->count++ == 0)
        h->oldest_us = m->born_us;
    h->bytes += m->len;
    return 0;
}

void history_expire(struct history *h, uint64_t now_us,
                    struct message **evicted)
{
    while (h->bounds.age_us > 0 && h->count > 0 &&
           h->oldest_us + h->bounds.age_us <= now_us)
        evict_oldest(h, evicted);
}

void history_fini(struct history *h)
{
    struct message *evicted = NULL;

    while (h->count > 0)
        evict_oldest(h, &evicted);
    history_free_evicted(evicted);
    free(h->ring);
    h->ring = NULL;
    h->cap = 0;
}

void history_free_evicted(struct message *evicted)
{
    while (evicted != NULL) {
        struct message *next = evicted->evicted_next;

        message_unref(&evicted);
        evicted = next;
    }
}
