#include "base/tally.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* Without it uthash exits when memory runs out.  What could not be added has
 * no table: hh.tbl is NULL. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/buffer.h"
#include "base/clock.h"

const char *const tally_transports[TALLY_OTHER] = {
    [TALLY_POLL] = "poll",
    [TALLY_LONGPOLL] = "longpoll",
    [TALLY_SSE] = "sse",
    [TALLY_WEBSOCKET] = "websocket",
};

const char *const tally_names[TALLY_N] = {
#define TALLY(name, help) #name,
#include "base/tally.def"
#undef TALLY
};
const char *const tally_helps[TALLY_N] = {
#define TALLY(name, help) help,
#include "base/tally.def"
#undef TALLY
};

_Static_assert(TALLY_IDS <= UINT16_MAX, "a tally_id holds them all");

/* ---- routes -------------------------------------------------------------------- */

struct entry {
    UT_hash_handle hh;
    tally_id first;
    char name[]; /* "HOST PATH" */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *entries; /* under lock */

/* Under the lock.  NULL: there is no room. */
static struct entry *add(const char *name, size_t len)
{
    unsigned routes = HASH_COUNT(entries);
    struct entry *e;

    if (routes == TALLY_ROUTES_MAX)
        return NULL;
    e = calloc(1, sizeof(*e) + len + 1);
    if (e == NULL)
        return NULL;
    e->first = (tally_id)(1 + routes * TALLY_PARTS);
    memcpy(e->name, name, len);
    HASH_ADD_KEYPTR(hh, entries, e->name, len, e);
    if (e->hh.tbl != NULL)
        return e;
    free(e);
    return NULL;
}

tally_id tally_route(const char *host, const char *path)
{
    struct buffer name = {0};
    struct entry *e = NULL;

    buffer_printf(&name, "%s %s", host == NULL ? "" : host, path);
    if (name.failed)
        return 0;
    pthread_mutex_lock(&lock);
    HASH_FIND(hh, entries, name.data, name.len, e);
    if (e == NULL)
        e = add(name.data, name.len);
    pthread_mutex_unlock(&lock);
    buffer_fini(&name);
    return e == NULL ? 0 : e->first;
}

/* ---- threads ------------------------------------------------------------------- */

/* One thread's, never taken back, so sums stay whole.  The table is large and
 * hardly any of it is ever touched. */
struct tally_set {
    struct tally_set *next;
    _Atomic(struct tally *) table[TALLY_IDS];
};

static _Atomic(struct tally_set *) sets;
static _Thread_local struct tally nobodys;
_Thread_local _Atomic(struct tally *) *tally_mine;
_Thread_local unsigned tally_turn;

static void make_set(void)
{
    struct tally_set *set = calloc(1, sizeof(*set));

    if (set == NULL)
        return;
    set->next = atomic_load(&sets);
    while (!atomic_compare_exchange_weak(&sets, &set->next, set))
        ;
    tally_mine = set->table;
}

struct tally *tally_make(tally_id id)
{
    struct tally *t;

    if (id == 0)
        return &nobodys;
    if (tally_mine == NULL)
        make_set();
    t = tally_mine == NULL ? NULL : calloc(1, sizeof(*t));
    if (t == NULL)
        return &nobodys;
    /* Release: who finds it finds it zeroed. */
    atomic_store_explicit(&tally_mine[id], t, memory_order_release);
    return t;
}

/* Release: who sees it sees what was raised before it. */
static void raise_after(_Atomic uint64_t *at, uint64_t n)
{
    atomic_store_explicit(
        at, atomic_load_explicit(at, memory_order_relaxed) + n,
        memory_order_release);
}

static void count_move(tally_id id, enum tally_count connections,
                       enum tally_count us, uint64_t now_us)
{
    struct tally *t = tally_of(id);

    histogram_raise(&t->moves_begun, 1);
    raise_after(&t->counts[connections], 1);
    raise_after(&t->counts[us], now_us);
    raise_after(&t->moves_done, 1);
}

void tally_move(tally_id from, tally_id to)
{
    uint64_t now_us;

    if (from == to || !TALLY_ON)
        return;
    now_us = clock_now_us();
    if (from != 0)
        count_move(from, TALLY_route_connections_closed,
                   TALLY_connection_closed_us, now_us);
    if (to != 0)
        count_move(to, TALLY_route_connections, TALLY_connection_opened_us,
                   now_us);
}

uint64_t tally_begin_timed(void)
{
    return clock_now_us();
}

void tally_end_timed(tally_id id, enum tally_count us, uint64_t began_us,
                     unsigned n)
{
    tally_add(id, us, clock_now_us() - began_us);
    tally_add(id, us + 1, n); /* its samples stand behind it */
}

#define LOOKS_MAX 100 /* at one whose thread is stopped in the middle */

static const enum tally_count moved[] = {
    TALLY_route_connections, TALLY_route_connections_closed,
    TALLY_connection_opened_us, TALLY_connection_closed_us,
};
#define MOVED_N (sizeof(moved) / sizeof(*moved))

/* Without half of a move: of a connection counted and its time not, the sum
 * would be that it has been there since the clock began. */
static void copy_moved(const struct tally *t, uint64_t counts[TALLY_N])
{
    uint64_t done, begun;
    unsigned looks = 0;

    do {
        if (++looks % LOOKS_MAX == 0)
            sched_yield();
        /* Acquire, each: what is read next is as new as this (raise_after()). */
        done = atomic_load_explicit(&t->moves_done, memory_order_acquire);
        for (unsigned i = 0; i < MOVED_N; i++)
            counts[moved[i]] = atomic_load_explicit(&t->counts[moved[i]],
                                                    memory_order_acquire);
        begun = atomic_load_explicit(&t->moves_begun, memory_order_relaxed);
    } while (begun != done);
}

bool tally_sum(tally_id id, struct tally *into)
{
    uint64_t counts[TALLY_N];

    bool any = false;

    for (struct tally_set *s = atomic_load(&sets); s != NULL; s = s->next) {
        const struct tally *t =
            atomic_load_explicit(&s->table[id], memory_order_acquire);

        if (t == NULL)
            continue;
        any = true;
        for (int c = 0; c < TALLY_N; c++)
            counts[c] = tally_get(t, c);
        copy_moved(t, counts);
        for (int c = 0; c < TALLY_N; c++)
            histogram_raise(&into->counts[c], counts[c]);
        histogram_merge(&into->age_us, &t->age_us);
    }
    return any;
}
