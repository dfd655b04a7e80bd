#include "measure/lately.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/histogram.h"

/* Of the youngest three, 20 s apart, the oldest is 40 to 60 s old. */
#define KEPT     3
#define EVERY_US 20000000u
#define OLD_US   60500000u /* who asks each second comes a little late */

/* An eighth of their value wide: a small copy of a histogram. */
#define FOLD    4
#define BUCKETS (HISTOGRAM_BUCKETS / FOLD)

/* Modulo 2^32, as the differences are small. */
struct copy {
    uint64_t at_us;
    uint32_t buckets[BUCKETS];
};

struct past {
    unsigned next;            /* of copies, round and round */
    struct copy copies[KEPT]; /* at first all of the beginning, empty */
};

struct lately {
    pthread_mutex_t lock; /* of the rest */
    uint64_t began_us;
    unsigned n;
    struct past *pasts[];
};

struct lately *lately_new(unsigned n, uint64_t began_us)
{
    struct lately *l = calloc(1, sizeof(*l) + n * sizeof(*l->pasts));

    if (l == NULL)
        return NULL;
    pthread_mutex_init(&l->lock, NULL);
    l->began_us = began_us;
    l->n = n;
    return l;
}

void lately_free(struct lately *l)
{
    if (l == NULL)
        return;
    for (unsigned i = 0; i < l->n; i++)
        free(l->pasts[i]);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

static struct past *past_of(struct lately *l, unsigned number)
{
    struct past *p = l->pasts[number];

    if (p != NULL)
        return p;
    p = l->pasts[number] = calloc(1, sizeof(*p));
    for (unsigned i = 0; p != NULL && i < KEPT; i++)
        p->copies[i].at_us = l->began_us;
    return p;
}

static void copy(struct copy *c, const struct histogram *h, uint64_t now_us)
{
    unsigned used = histogram_used(h);

    c->at_us = now_us;
    for (unsigned i = 0; i < BUCKETS; i++)
        c->buckets[i] = 0;
    for (unsigned i = 0; i < used; i++)
        c->buckets[i / FOLD] += (uint32_t)atomic_load_explicit(
            &h->buckets[i], memory_order_relaxed);
}

/* The oldest that is not too old, or else the youngest. */
static const struct copy *choose(const struct past *p, uint64_t now_us)
{
    const struct copy *c = NULL;

    for (unsigned i = 0; i < KEPT; i++) {
        c = &p->copies[(p->next + i) % KEPT];
        if (now_us - c->at_us < OLD_US)
            break;
    }
    return c;
}

/* What came in between.  Threads that ask at once may have summed in another
 * order than they come here: what would be less than nothing is nothing. */
static uint32_t added(const struct copy *now, const struct copy *then,
                      unsigned bucket)
{
    uint32_t n = now->buckets[bucket] - then->buckets[bucket];

    return n >> 31 ? 0 : n;
}

static uint64_t middle(unsigned bucket)
{
    return (histogram_lowest(bucket * FOLD) +
            histogram_lowest((bucket + 1) * FOLD) - 1) /
           2;
}

static void compare(const struct copy *now, const struct copy *then,
                    struct lately_ages *out)
{
    uint64_t seen = 0;

    *out = (struct lately_ages){.seconds =
                                    (double)(now->at_us - then->at_us) / 1e6};
    for (unsigned i = 0; i < BUCKETS; i++)
        out->count += added(now, then, i);
    for (unsigned i = 0; i < BUCKETS && seen < out->count; i++) {
        uint64_t before = seen;

        seen += added(now, then, i);
        if (before * 2 < out->count && seen * 2 >= out->count)
            out->p50_us = middle(i);
        if (before * 100 < out->count * 99 && seen * 100 >= out->count * 99)
            out->p99_us = middle(i);
    }
}

bool lately_take(struct lately *l, unsigned number, const struct histogram *now,
                 uint64_t now_us, struct lately_ages *out)
{
    struct past *p;
    struct copy is;
    unsigned last;

    copy(&is, now, now_us);
    pthread_mutex_lock(&l->lock);
    p = past_of(l, number);
    if (p != NULL) {
        last = (p->next + KEPT - 1) % KEPT;
        if (is.at_us < p->copies[last].at_us) /* another thread's was later */
            is.at_us = p->copies[last].at_us;
        compare(&is, choose(p, is.at_us), out);
        if (is.at_us - p->copies[last].at_us >= EVERY_US) {
            p->copies[p->next] = is;
            p->next = (p->next + 1) % KEPT;
        }
    }
    pthread_mutex_unlock(&l->lock);
    return p != NULL;
}
