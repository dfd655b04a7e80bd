/* tally.h - what is counted for each route and transport apart, and how old
 * messages were when they went out.  Like meters: a set per thread, to which
 * adding is a load and a store on lines of the thread's own, summed when
 * somebody reads them.
 *
 * A tally has a number for ever: a route that is taken away and comes back goes
 * on counting where it was. */
#ifndef PENSTOCK_BASE_TALLY_H
#define PENSTOCK_BASE_TALLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/histogram.h"

/* Off only to measure what counting costs: configure --disable-meters. */
#ifdef WITHOUT_METERS
#define TALLY_ON false
#else
#define TALLY_ON true
#endif

enum tally_count {
#define TALLY(name, help) TALLY_##name,
#include "base/tally.def"
#undef TALLY
    TALLY_N
};

extern const char *const tally_names[TALLY_N];
extern const char *const tally_helps[TALLY_N]; /* NULL: not for /metrics */

/* What of a route: the first ones are its transports, in the order of the
 * configuration's enum transport_kind. */
enum tally_part {
    TALLY_POLL,
    TALLY_LONGPOLL,
    TALLY_SSE,
    TALLY_WEBSOCKET,
    TALLY_OTHER, /* proxying, messages from clients, refusals */
    TALLY_PARTS
};

/* The names of those below TALLY_OTHER. */
extern const char *const tally_transports[TALLY_OTHER];

/* Number 0 counts nothing; a route's parts are TALLY_PARTS in a row. */
typedef uint16_t tally_id;
#define TALLY_ROUTES_MAX 8192
#define TALLY_IDS        (TALLY_PARTS * TALLY_ROUTES_MAX + 1)

/* One thread's, or the sum of all. */
struct tally {
    _Atomic uint64_t counts[TALLY_N];
    _Atomic uint64_t moves_begun, moves_done; /* alike: what tally_move() changes
                                               * belongs together */
    struct histogram age_us; /* of messages, from append to write */
};

/* The number of the first part of the route of that host (NULL: any) and path;
 * the same each time.  0 where there are TALLY_ROUTES_MAX, or no memory.  Any
 * thread. */
tally_id tally_route(const char *host, const char *path);

/* This thread's tally of that number, made when it is first asked for; one that
 * nobody reads where there is none. */
struct tally *tally_make(tally_id id);
/* By number; NULL: the thread has none yet. */
extern _Thread_local _Atomic(struct tally *) *tally_mine;

static inline struct tally *tally_of(tally_id id)
{
    struct tally *t =
        tally_mine == NULL
            ? NULL
            : atomic_load_explicit(&tally_mine[id], memory_order_relaxed);

    return t == NULL ? tally_make(id) : t;
}

static inline void tally_add(tally_id id, enum tally_count c, uint64_t n)
{
    if (TALLY_ON && id != 0)
        histogram_raise(&tally_of(id)->counts[c], n);
}

/* A connection is now about to instead of from (either may be 0: none). */
void tally_move(tally_id from, tally_id to);

/* ---- what a delivery costs: now and then one is timed ----------------------- */

#define TALLY_SAMPLE_EVERY 64
extern _Thread_local unsigned tally_turn;

/* The time if it is this one's turn; else 0. */
uint64_t tally_begin_timed(void);
static inline uint64_t tally_begin(void)
{
    return TALLY_ON && ++tally_turn % TALLY_SAMPLE_EVERY == 0
               ? tally_begin_timed()
               : 0;
}
/* Ends what began then, if it was timed: n messages, or n requests. */
void tally_end_timed(tally_id id, enum tally_count us, uint64_t began_us,
                     unsigned n);
static inline void tally_end(tally_id id, enum tally_count us,
                             uint64_t began_us, unsigned n)
{
    if (began_us != 0)
        tally_end_timed(id, us, began_us, n);
}

/* ---- for whoever reads them -------------------------------------------------- */

/* Adds what all threads have to *into, which is zeroed by the caller.  False:
 * nothing has been counted there. */
bool tally_sum(tally_id id, struct tally *into);
static inline uint64_t tally_get(const struct tally *t, enum tally_count c)
{
    return atomic_load_explicit(&t->counts[c], memory_order_relaxed);
}

#endif
