/* channel.h - a name, the history kept under it, and who waits for more.
 * Shared by all threads; its lock is short: pointers move and references are
 * taken under it, nothing is freed, written, logged or called. */
#ifndef PENSTOCK_HUB_CHANNEL_H
#define PENSTOCK_HUB_CHANNEL_H

#include <pthread.h>
#include <stdatomic.h>

/* Without it uthash exits when memory runs out.  What could not be added has
 * no table: hh.tbl is NULL. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/mailbox.h"
#include "hub/frequency.h"
#include "hub/history.h"

#define CHANNEL_NAME_MAX 1024 /* octets; what a URL may make us keep as a key */

struct channel;
struct hub;
struct idempotency;
struct source;

/* Where a worker waits for a channel: an audience's first member (reader.h). */
struct seat {
    struct note note;                /* posted by whoever takes its bit */
    void (*free)(struct seat *seat); /* with the channel */
};

/* Told when a channel gets its first reader, when it loses its last one and
 * when it ends, on the thread where that happens, no lock held. */
typedef void channel_watch_fn(struct channel *channel, void *arg);

/* Keys: (i) fixed; (a) atomic; (c) under lock; (h) under the hub's lock. */
struct channel {
    UT_hash_handle hh;               /* (h) */
    atomic_uint refs;                /* (a) one is the hub's while listed */
    struct hub *hub;                 /* (i) */
    pthread_mutex_t lock;
    struct history history;          /* (c) */
    struct frequency frequency;      /* (c) */
    _Atomic uint64_t newest_stamp;   /* (a) of its last message, held or not */
    uint64_t waiting;                /* (c) bit per worker: its seat has
                                      * seen all there is, and wants a wake-up */
    bool ended;                      /* (c) deleted: readers are to leave */
    atomic_bool over;                /* (a), written (c): no more is to come */
    atomic_bool stale;               /* (a), written (c): its source is down */
    _Atomic uint64_t hint;           /* (a), written (c): what its readers are
                                      * told of transports (feed/hint.h) */
    unsigned calls;                  /* (c) how often readers were called for
                                      * any of these */
    struct idempotency *idempotency; /* (c) NULL until a key is used */
    struct seat **seats;             /* (c) per worker, NULL until needed */
    atomic_uint readers;             /* (a) */
    _Atomic uint64_t used_us;        /* (a) last append, join or leave */
    channel_watch_fn *watch;         /* (c) set once, by the source */
    void *watch_arg;                 /* (c) */
    struct source *source;           /* the feed's, under a lock of its own */
    char name[];                     /* (i) terminated */
};

struct channel *channel_ref(struct channel *c);
/* Drops *cp's reference and sets *cp to NULL.  The last one frees. */
void channel_unref(struct channel **cp);

/* Where an append landed. */
struct appended {
    uint64_t epoch, seq; /* of the last message */
    bool repeat;         /* the key was known; nothing was appended */
};

/* Appends messages[0..n) in order, taking their references, and wakes each
 * worker that waits, once.  0; -ENOMEM: the failing one and those after it
 * were unreffed and dropped; -ESTALE: the channel was deleted, all were
 * dropped.  out may be NULL.  Any thread. */
int channel_append(struct channel *c, struct message **messages, unsigned n,
                   struct appended *out);
/* The same for one message with an Idempotency-Key: a key seen among the last
 * IDEMPOTENCY_KEYS_MAX gives its first answer again (its message is then
 * unreffed, as it is on errors). */
int channel_append_once(struct channel *c, struct str key,
                        struct message *message, struct appended *out);

/* Ends the channel: its history is dropped and its readers are told to leave.
 * The hub has unlisted it.  Any thread. */
void channel_end(struct channel *c);
bool channel_ended(struct channel *c);

/* Whoever feeds it says that no more is to come, or that there is: readers are
 * called once they have it all.  What is appended says so, too.  Any thread. */
void channel_set_over(struct channel *c, bool over);
static inline bool channel_over(const struct channel *c)
{
    return atomic_load_explicit(&c->over, memory_order_relaxed);
}

/* Whoever feeds it has lost its backend, or has it back: readers are called.
 * Any thread. */
void channel_set_stale(struct channel *c, bool stale);
static inline bool channel_stale(const struct channel *c)
{
    return atomic_load_explicit(&c->stale, memory_order_relaxed);
}

/* Whoever weighs transports has other advice: readers are called.  0: none. Any
 * thread. */
void channel_set_hint(struct channel *c, uint64_t hint);
static inline uint64_t channel_hint(const struct channel *c)
{
    return atomic_load_explicit(&c->hint, memory_order_relaxed);
}

/* Watches the readers come and go.  At most one watcher. */
void channel_set_watch(struct channel *c, channel_watch_fn *watch, void *arg);

/* A look at what is held, for people and polls. */
struct channel_status {
    uint64_t epoch, first_seq, next_seq;
    uint64_t newest_seq;  /* of the last one that is not aside, held or not; 0:
                           * none was */
    unsigned messages, readers;
    size_t bytes;
    uint64_t newest_us;   /* when it arrived; 0: it is not held */
    uint64_t interval_us; /* mean time between those held; 0: fewer than two */
};
void channel_status(struct channel *c, struct channel_status *out);
/* How often it has something new, so far. */
void channel_frequency(struct channel *c, struct frequency *out);
/* The newest message (not aside) with a reference for the caller, or NULL.  epoch may be
 * NULL. */
struct message *channel_newest(struct channel *c, uint64_t *epoch);

/* For the hub's sweep: drops what is too old.  */
void channel_expire(struct channel *c, uint64_t now_us);
void channel_set_bounds(struct channel *c, const struct history_bounds *bounds);

/* The hub's: makes a channel with one reference.  NULL when out of memory. */
struct channel *channel_new(struct hub *hub, struct str name, unsigned workers,
                            const struct history_bounds *bounds);

#endif
