#include "feed/stay.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/meter.h"
#include "feed/presence.h"
#include "feed/transport.h"
#include "feed/visit.h"
#include "net/worker.h"

/* Keys: (i) fixed; (l) under the lock; the rest is the worker's that it began
 * on. */
struct stay {
    UT_hash_handle hh;       /* (l) */
    LIST_ENTRY(stay) link;   /* of those here */
    struct visit *visit;     /* NULL: it has ended, or its end is told */
    struct timer look;       /* whether it is over */
    uint64_t grace_ms;       /* (i) */
    uint64_t due_us;         /* (l) over then, if no poll is there */
    unsigned polls;          /* (l) that are there */
    size_t len;              /* (i) */
    char key[];              /* (i) route, channel and client; len octets */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct stay *stays;

static _Thread_local LIST_HEAD(, stay) here;
static _Thread_local bool closing;

/* Milliseconds until it is over, if nobody polls; 0: it is, and is no longer
 * found. */
static uint64_t left_ms(struct stay *s)
{
    uint64_t now_us = clock_now_us(), ms = s->grace_ms;

    pthread_mutex_lock(&lock);
    if (s->polls == 0)
        ms = now_us < s->due_us ? (s->due_us - now_us) / 1000 + 1 : 0;
    if (ms == 0)
        HASH_DEL(stays, s);
    pthread_mutex_unlock(&lock);
    return ms;
}

static void on_look(struct timer *t)
{
    struct stay *s = (struct stay *)((char *)t - offsetof(struct stay, look));
    uint64_t ms = left_ms(s);

    if (ms > 0) {
        worker_timer_set(worker_self(), t, ms);
        return;
    }
    LIST_REMOVE(s, link);
    visit_end(s->visit, "gone");
    free(s);
}

/* Under the lock. */
static struct stay *stay_new(struct str key, uint64_t grace_ms)
{
    struct stay *s = calloc(1, sizeof(*s) + key.n);

    if (s == NULL)
        return NULL;
    s->look.fire = on_look;
    s->grace_ms = grace_ms > 0 ? grace_ms : 1;
    s->len = key.n;
    memcpy(s->key, key.p, key.n);
    HASH_ADD_KEYPTR(hh, stays, s->key, s->len, s);
    if (s->hh.tbl != NULL)
        return s;
    free(s);
    return NULL;
}

/* With one poll more; *fresh: it is to begin. */
static struct stay *come(struct str key, uint64_t grace_ms, bool *fresh)
{
    struct stay *s;

    pthread_mutex_lock(&lock);
    HASH_FIND(hh, stays, key.p, key.n, s);
    *fresh = s == NULL && !closing;
    if (*fresh)
        s = stay_new(key, grace_ms);
    if (s != NULL)
        s->polls++;
    pthread_mutex_unlock(&lock);
    return s;
}

static void begin(struct stay *s, struct exchange *x, const struct feed *feed,
                  const char *transport)
{
    s->visit = visit_begin(x, feed, transport);
    LIST_INSERT_HEAD(&here, s, link);
    worker_timer_set(worker_self(), &s->look, s->grace_ms);
}

static bool has_hooks(const struct feed *feed)
{
    return feed->hook_targets[0].n > 0 || feed->hook_targets[1].n > 0;
}

struct stay *stay_enter(struct exchange *x, const struct feed *feed,
                        const char *transport)
{
    struct buffer key = {0}, name = {0};
    struct stay *s = NULL;
    bool fresh = false;

    if (!has_hooks(feed))
        return NULL;
    presence_name(x, feed, false, &name);
    if (name.len > 1) {
        buffer_printf(&key, "%s\n%s\n", x->route,
                      feed->channel == NULL ? "" : feed->channel->name);
        buffer_append_str(&key, buffer_str(&name));
        if (!key.failed && !name.failed)
            s = come(buffer_str(&key), feed->reader->hooks.grace_ms, &fresh);
        if (s == NULL && !closing)
            meter_add(METER_hooks_lost, 1);
        if (s != NULL && fresh)
            begin(s, x, feed, transport);
    }
    buffer_fini(&name);
    buffer_fini(&key);
    return s;
}

void stay_leave(struct stay *s)
{
    if (s == NULL)
        return;
    pthread_mutex_lock(&lock);
    s->polls--;
    s->due_us = clock_now_us() + s->grace_ms * 1000;
    pthread_mutex_unlock(&lock);
}

/* Polls may be there still: it is freed at the end of all. */
void stay_end_here(void)
{
    struct stay *s;

    closing = true;
    while ((s = LIST_FIRST(&here)) != NULL) {
        LIST_REMOVE(s, link);
        worker_timer_clear(worker_self(), &s->look);
        visit_end(s->visit, "draining");
        s->visit = NULL;
    }
}

void stay_fini(void)
{
    struct stay *s, *next;

    HASH_ITER(hh, stays, s, next) {
        HASH_DEL(stays, s);
        free(s);
    }
}
