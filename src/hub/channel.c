#include "hub/channel.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/meter.h"
#include "hub/hub.h"
#include "hub/idempotency.h"

struct channel *channel_new(struct hub *hub, struct str name, unsigned workers,
                            const struct history_bounds *bounds)
{
    struct channel *c = calloc(1, sizeof(*c) + name.n + 1);

    if (c == NULL)
        return NULL;
    c->seats = calloc(workers, sizeof(struct seat *));
    if (c->seats == NULL) {
        free(c);
        return NULL;
    }
    atomic_init(&c->refs, 1);
    c->hub = hub;
    pthread_mutex_init(&c->lock, NULL);
    history_init(&c->history, bounds);
    c->history.lost_stamp = atomic_load(&hub->order.forgotten);
    atomic_store(&c->used_us, clock_now_us());
    memcpy(c->name, name.p, name.n);
    return c;
}

struct channel *channel_ref(struct channel *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void channel_unref(struct channel **cp)
{
    struct channel *c = *cp;

    *cp = NULL;
    if (c == NULL ||
        atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned i = 0; i < c->hub->workers; i++)
        if (c->seats[i] != NULL)
            c->seats[i]->free(c->seats[i]);
    history_fini(&c->history);
    idempotency_free(c->idempotency);
    pthread_mutex_destroy(&c->lock);
    free(c->seats);
    free(c);
}

/* Under the lock: claims those that wait.  Each note holds a reference. */
static uint64_t take_waiting(struct channel *c)
{
    uint64_t waiting = c->waiting;

    c->waiting = 0;
    atomic_fetch_add_explicit(&c->refs,
                              (unsigned)__builtin_popcountll(waiting),
                              memory_order_relaxed);
    return waiting;
}

static void wake(struct channel *c, uint64_t waiting)
{
    while (waiting != 0) {
        unsigned worker = (unsigned)__builtin_ctzll(waiting);

        waiting &= waiting - 1;
        c->hub->post(c->hub->post_arg, worker, &c->seats[worker]->note);
    }
}

/* Under the lock, and the order's: gives m its stamp and its place. */
static int append_stamped(struct channel *c, struct message *m, uint64_t stamp,
                          struct message **evicted)
{
    m->stamp = stamp;
    m->home = c;
    if (history_append(&c->history, m, evicted) < 0)
        return -ENOMEM;
    atomic_store_explicit(&c->newest_stamp, stamp, memory_order_relaxed);
    return 0;
}

/* Under the lock.  The order moves on once all is in place: whoever sees it
 * there finds the messages. */
static int append_locked(struct channel *c, struct message **messages,
                         unsigned n, unsigned *done, struct message **evicted)
{
    struct order *o = &c->hub->order;
    uint64_t last;

    if (c->ended)
        return -ESTALE;
    if (channel_over(c))
        atomic_store(&c->over, false);
    pthread_mutex_lock(&o->lock);
    last = atomic_load_explicit(&o->last, memory_order_relaxed);
    for (*done = 0; *done < n; ++*done)
        if (append_stamped(c, messages[*done], last + *done + 1, evicted) < 0)
            break;
    atomic_store_explicit(&o->last, last + *done,
                          memory_order_release /* order_last */);
    pthread_mutex_unlock(&o->lock);
    for (unsigned i = 0; i < *done; i++)
        frequency_note(&c->frequency, messages[i]);
    return *done == n ? 0 : -ENOMEM;
}

static void note_appended(struct channel *c, struct appended *out)
{
    *out = (struct appended){.epoch = c->history.epoch,
                             .seq = c->history.next_seq - 1};
}

int channel_append(struct channel *c, struct message **messages, unsigned n,
                   struct appended *out)
{
    struct message *evicted = NULL;
    struct appended where;
    unsigned done = 0;
    uint64_t waiting;
    int rc;

    pthread_mutex_lock(&c->lock);
    rc = append_locked(c, messages, n, &done, &evicted);
    note_appended(c, &where);
    waiting = done > 0 ? take_waiting(c) : 0;
    pthread_mutex_unlock(&c->lock);

    atomic_store_explicit(&c->used_us, clock_coarse_us(),
                          memory_order_relaxed);
    wake(c, waiting);
    history_free_evicted(evicted);
    meter_add(METER_messages_published, c->hub->uncounted ? 0 : done);
    while (done < n)
        message_unref(&messages[done++]);
    if (out != NULL)
        *out = where;
    return rc;
}

/* Under the lock. */
static int append_once_locked(struct channel *c, struct str key,
                              struct message *message, struct appended *out,
                              struct message **evicted)
{
    unsigned done;
    int rc;

    if (c->ended)
        return -ESTALE; /* what its keys answered is gone, too */
    if (c->idempotency == NULL)
        c->idempotency = idempotency_new();
    if (c->idempotency == NULL)
        return -ENOMEM;
    out->epoch = c->history.epoch;
    out->seq = idempotency_find(c->idempotency, key);
    out->repeat = out->seq != 0;
    if (out->repeat)
        return 0;
    rc = append_locked(c, &message, 1, &done, evicted);
    if (rc < 0)
        return rc;
    note_appended(c, out);
    /* Where no memory is left for the key, a repeat would append again. */
    (void)idempotency_add(c->idempotency, key, out->seq);
    return 1;
}

int channel_append_once(struct channel *c, struct str key,
                        struct message *message, struct appended *out)
{
    struct message *evicted = NULL;
    uint64_t waiting = 0;
    int rc;

    *out = (struct appended){0};
    pthread_mutex_lock(&c->lock);
    rc = append_once_locked(c, key, message, out, &evicted);
    if (rc == 1)
        waiting = take_waiting(c);
    pthread_mutex_unlock(&c->lock);

    atomic_store_explicit(&c->used_us, clock_coarse_us(),
                          memory_order_relaxed);
    wake(c, waiting);
    history_free_evicted(evicted);
    meter_add(METER_messages_published, rc == 1);
    meter_add(METER_publish_repeats, out->repeat);
    if (rc != 1)
        message_unref(&message);
    return rc < 0 ? rc : 0;
}

void channel_end(struct channel *c)
{
    struct history old;
    channel_watch_fn *watch;
    uint64_t waiting;
    void *arg;

    pthread_mutex_lock(&c->lock);
    watch = c->watch;
    arg = c->watch_arg;
    c->ended = true;
    old = c->history;
    history_init(&c->history, &old.bounds);
    waiting = take_waiting(c);
    pthread_mutex_unlock(&c->lock);
    wake(c, waiting);
    history_fini(&old);
    if (watch != NULL)
        watch(c, arg);
}

/* call: a change to this value is one that readers hear of. */
static void set_state(struct channel *c, atomic_bool *state, bool value,
                      bool call)
{
    uint64_t waiting = 0;

    pthread_mutex_lock(&c->lock);
    if (call && atomic_load(state) != value) {
        c->calls++;
        waiting = take_waiting(c);
    }
    atomic_store(state, value);
    pthread_mutex_unlock(&c->lock);
    wake(c, waiting);
}

void channel_set_over(struct channel *c, bool over)
{
    set_state(c, &c->over, over, over);
}

void channel_set_stale(struct channel *c, bool stale)
{
    set_state(c, &c->stale, stale, true);
}

void channel_set_hint(struct channel *c, uint64_t hint)
{
    uint64_t waiting = 0;

    pthread_mutex_lock(&c->lock);
    if (atomic_load(&c->hint) != hint) {
        c->calls++;
        waiting = take_waiting(c);
    }
    atomic_store(&c->hint, hint);
    pthread_mutex_unlock(&c->lock);
    wake(c, waiting);
}

bool channel_ended(struct channel *c)
{
    bool ended;

    pthread_mutex_lock(&c->lock);
    ended = c->ended;
    pthread_mutex_unlock(&c->lock);
    return ended;
}

void channel_set_watch(struct channel *c, channel_watch_fn *watch, void *arg)
{
    pthread_mutex_lock(&c->lock);
    c->watch = watch;
    c->watch_arg = arg;
    pthread_mutex_unlock(&c->lock);
}

/* Under the lock. */
static void measure(const struct history *h, struct channel_status *out)
{
    const struct message *newest = history_newest(h);
    uint64_t first_us, last_us;

    if (newest != NULL)
        out->newest_us = newest->born_us;
    if (h->count < 2)
        return;
    first_us = history_at(h, history_first_seq(h))->born_us;
    last_us = history_at(h, h->next_seq - 1)->born_us;
    out->interval_us = (last_us - first_us) / (h->count - 1);
}

void channel_status(struct channel *c, struct channel_status *out)
{
    pthread_mutex_lock(&c->lock);
    *out = (struct channel_status){
        .epoch = c->history.epoch,
        .first_seq = history_first_seq(&c->history),
        .next_seq = c->history.next_seq,
        .newest_seq = c->history.newest_seq,
        .messages = c->history.count,
        .bytes = c->history.bytes,
    };
    measure(&c->history, out);
    pthread_mutex_unlock(&c->lock);
    out->readers = atomic_load(&c->readers);
}

void channel_frequency(struct channel *c, struct frequency *out)
{
    pthread_mutex_lock(&c->lock);
    *out = c->frequency;
    pthread_mutex_unlock(&c->lock);
}

struct message *channel_newest(struct channel *c, uint64_t *epoch)
{
    struct message *m;

    pthread_mutex_lock(&c->lock);
    m = history_newest(&c->history);
    if (m != NULL)
        message_ref(m);
    if (epoch != NULL)
        *epoch = c->history.epoch;
    pthread_mutex_unlock(&c->lock);
    return m;
}

void channel_expire(struct channel *c, uint64_t now_us)
{
    struct message *evicted = NULL;

    pthread_mutex_lock(&c->lock);
    history_expire(&c->history, now_us, &evicted);
    pthread_mutex_unlock(&c->lock);
    history_free_evicted(evicted);
}

void channel_set_bounds(struct channel *c, const struct history_bounds *bounds)
{
    pthread_mutex_lock(&c->lock);
    c->history.bounds = *bounds;
    pthread_mutex_unlock(&c->lock);
}
