#include "hub/audience.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "hub/hub.h"

/* Readers served before the worker turns to other things: at a few
 * microseconds each, half a millisecond. */
#define SLICE 128

#define FETCH_FAR  4 /* readers: itself, */
#define FETCH_NEAR 2 /* and what it points to */

/* What one turn round the audience hands out. */
struct pass {
    uint64_t first_seq;
    unsigned count;
    bool kept; /* malloc'ed, since it goes on in another slice */
    struct message *messages[READING_MAX];
    struct bundle *bundles; /* of all of them */
};

/* For want of memory: hands out nothing, and each reader looks by itself. */
static struct pass bare_pass;

/* Its worker's own. */
struct audience {
    struct seat seat;         /* first: its note runs a pass */
    struct channel *channel;  /* owns us */
    unsigned worker;
    struct reader **readers;
    uint32_t count, cap;
    uint64_t epoch;           /* of the history; a deleted channel's, too */
    uint64_t seen_seq;        /* every message before it was handed round */
    uint64_t first_held;      /* the oldest message when the pass began */
    struct pass *pass;        /* NULL between passes */
    uint32_t at;              /* the reader that the pass comes to next */
    unsigned calls;           /* of the channel's, those that were passed on */
    bool ended;               /* the pass says that the channel has ended */
    bool asleep;              /* nobody is here, and it does not wait either */
};

static void audience_run(struct note *note);

static void audience_free(struct seat *seat)
{
    struct audience *a = (struct audience *)seat;

    assert(a->count == 0 && a->pass == NULL);
    free(a->readers);
    free(a);
}

static struct audience *audience_new(struct channel *c, unsigned worker)
{
    struct audience *a = calloc(1, sizeof(*a));

    if (a == NULL)
        return NULL;
    a->seat.note.run = audience_run;
    a->seat.free = audience_free;
    a->channel = c;
    a->worker = worker;
    return a;
}

/* A new audience has seen all that came before it, and waits. */
static struct audience *audience_of(struct channel *c, unsigned worker)
{
    struct audience *a;

    pthread_mutex_lock(&c->lock);
    a = (struct audience *)c->seats[worker];
    if (a == NULL) {
        a = audience_new(c, worker);
        if (a != NULL) {
            c->seats[worker] = &a->seat;
            a->epoch = c->history.epoch;
            a->seen_seq = c->history.next_seq;
            a->calls = c->calls;
            c->waiting |= UINT64_C(1) << worker;
        }
    }
    pthread_mutex_unlock(&c->lock);
    return a;
}

static int sit_down(struct audience *a, struct reader *r)
{
    if (a->count == a->cap) {
        uint32_t cap = a->cap == 0 ? 4 : a->cap * 2;
        struct reader **readers = realloc(a->readers, cap * sizeof(*readers));

        if (readers == NULL)
            return -ENOMEM;
        a->readers = readers;
        a->cap = cap;
    }
    r->at = a->count;
    a->readers[a->count++] = r;
    return 0;
}

static void seat(struct audience *a, uint32_t at, struct reader *r)
{
    a->readers[at] = r;
    r->at = at;
}

/* Keeps those that the pass has served in front of those that it has not. */
static void stand_up(struct audience *a, struct reader *r)
{
    uint32_t hole = r->at;

    if (hole < a->at) {
        a->at--;
        seat(a, hole, a->readers[a->at]);
        hole = a->at;
    }
    a->count--;
    if (hole < a->count)
        seat(a, hole, a->readers[a->count]);
}

/* Under the lock.  Where a cursor points; false if messages in between are
 * gone, and then where it goes on. */
static bool find_place(const struct history *h, struct cursor cursor,
                       uint64_t *next_seq)
{
    uint64_t first = history_first_seq(h);

    switch (cursor.kind) {
    case CURSOR_NOW:
        *next_seq = h->next_seq;
        return true;
    case CURSOR_LAST_N:
        *next_seq = cursor.seq < h->count ? h->next_seq - cursor.seq : first;
        /* What is aside may come along, but not in the place of the newest. */
        if (cursor.seq > 0 && history_newest(h) != NULL &&
            h->newest_seq < *next_seq)
            *next_seq = h->newest_seq;
        return true;
    case CURSOR_STAMP:
        *next_seq = history_after_stamp(h, cursor.seq);
        return h->lost_stamp <= cursor.seq;
    case CURSOR_ID:
        *next_seq = cursor.seq + 1;
        if (cursor.epoch == h->epoch && *next_seq >= first &&
            *next_seq <= h->next_seq)
            return true;
        break;
    default:
        break;
    }
    *next_seq = first;
    return cursor.kind == CURSOR_OLDEST;
}

/* Under the lock. */
static bool take_place(const struct history *h, struct reader *r,
                       struct cursor cursor, struct cursor fallback,
                       struct gap *gap)
{
    bool whole = find_place(h,
                            cursor.kind == CURSOR_NONE ||
                                    cursor.kind == CURSOR_ALIEN
                                ? fallback
                                : cursor,
                            &r->next_seq);

    whole = whole && cursor.kind != CURSOR_ALIEN;
    if (whole)
        return true;
    gap->from[0] = '\0';
    gap->missed = 0;
    if (cursor.kind == CURSOR_ID) {
        id_format(gap->from, cursor.epoch, cursor.seq);
        if (cursor.epoch == h->epoch && cursor.seq < r->next_seq)
            gap->missed = r->next_seq - cursor.seq - 1;
    }
    id_format(gap->to, h->epoch, r->next_seq);
    return false;
}

static void count_reader(struct channel *c, int by)
{
    unsigned before = atomic_fetch_add(&c->readers, (unsigned)by);
    channel_watch_fn *watch;
    void *arg;

    atomic_store_explicit(&c->used_us, clock_coarse_us(),
                          memory_order_relaxed);
    if (before + (unsigned)by != 0 && before != 0)
        return;
    pthread_mutex_lock(&c->lock);
    watch = c->watch;
    arg = c->watch_arg;
    pthread_mutex_unlock(&c->lock);
    if (watch != NULL)
        watch(c, arg);
}

/* Under the lock: somebody comes to where nobody was.  It has seen all. */
static void wake_up(struct audience *a)
{
    struct channel *c = a->channel;

    if (!a->asleep)
        return;
    a->asleep = false;
    a->seen_seq = c->history.next_seq;
    a->calls = c->calls;
    c->waiting |= UINT64_C(1) << a->worker;
}

int audience_join(struct reader *r, const struct reader_ops *ops,
                struct channel *c, unsigned worker, struct cursor cursor,
                struct cursor fallback, struct gap *gap)
{
    struct audience *a = audience_of(c, worker);
    struct message *evicted = NULL;
    bool whole, ended;

    if (a == NULL || sit_down(a, r) < 0)
        return -ENOMEM;
    r->ops = ops;
    r->blocked = false;
    r->selects = false;
    pthread_mutex_lock(&c->lock);
    history_expire(&c->history, clock_now_us(), &evicted);
    wake_up(a);
    whole = take_place(&c->history, r, cursor, fallback, gap);
    ended = c->ended;
    pthread_mutex_unlock(&c->lock);
    history_free_evicted(evicted);
    if (ended) {
        stand_up(a, r);
        return -ESTALE;
    }
    r->audience = a;
    channel_ref(c);
    count_reader(c, 1);
    return whole ? 0 : 1;
}

void audience_leave(struct reader *r)
{
    struct channel *c = r->audience->channel;

    stand_up(r->audience, r);
    r->audience = NULL;
    count_reader(c, -1);
    channel_unref(&c);
}

struct channel *audience_channel(const struct reader *r)
{
    return r->audience->channel;
}

uint64_t audience_skip_to_newest(struct reader *r)
{
    uint64_t newest = r->audience->seen_seq - 1, passed;

    if (r->next_seq >= newest)
        return 0;
    passed = newest - r->next_seq;
    r->next_seq = newest;
    return passed;
}

bool audience_left_behind(const struct reader *r)
{
    return r->next_seq < r->audience->first_held;
}

bool audience_dry(const struct reader *r)
{
    return r->next_seq >= r->audience->seen_seq;
}

size_t audience_position(const struct reader *r, char id[ID_MAX])
{
    return id_format(id, r->audience->epoch, r->next_seq - 1);
}

/* Under the lock. */
static unsigned take_messages(const struct history *h, uint64_t next_seq,
                              struct message **out)
{
    unsigned n = 0;

    while (n < READING_MAX && next_seq + n < h->next_seq) {
        out[n] = message_ref(history_at(h, next_seq + n));
        n++;
    }
    return n;
}

/* Under the lock: moves a cursor that the history has left behind. */
static void skip_gap(const struct history *h, struct reader *r,
                     struct reading *reading)
{
    uint64_t first = history_first_seq(h);

    if (r->next_seq >= first)
        return;
    reading->missed = first - r->next_seq;
    id_format(reading->gap.from, h->epoch, r->next_seq - 1);
    id_format(reading->gap.to, h->epoch, first);
    reading->gap.missed = reading->missed;
    r->next_seq = first;
}

void audience_read(struct reader *r, struct reading *reading)
{
    struct audience *a = r->audience;
    struct pass *p = a->pass;
    struct history *h = &a->channel->history;

    reading->missed = 0;
    if (p != NULL && r->next_seq >= p->first_seq &&
        r->next_seq < p->first_seq + p->count) {
        reading->messages = &p->messages[r->next_seq - p->first_seq];
        reading->count = (unsigned)(p->first_seq + p->count - r->next_seq);
        reading->bundles =
            r->next_seq == p->first_seq ? &p->bundles : NULL;
        reading->owned = false;
        return;
    }
    pthread_mutex_lock(&a->channel->lock);
    skip_gap(h, r, reading);
    reading->count = take_messages(h, r->next_seq, reading->held);
    pthread_mutex_unlock(&a->channel->lock);
    reading->messages = reading->held;
    reading->bundles = NULL;
    reading->owned = true;
}

/* Under the lock.  Takes what the audience has not seen, as much as fits. */
static void take_unseen(struct audience *a, struct pass *p)
{
    const struct history *h = &a->channel->history;

    p->first_seq = a->seen_seq;
    p->count = take_messages(h, a->seen_seq, p->messages);
    a->seen_seq += p->count;
}

/* Looks for what the audience has not seen, which goes into p.  False, and
 * waiting, if there is nothing: look first or wait first would be the same, both
 * are one step under the lock.  Where nobody is, it does not wait: appends would
 * wake this worker for nothing. */
static bool pass_begin(struct audience *a, struct pass *p)
{
    struct channel *c = a->channel;
    bool anything;

    p->kept = false;
    p->bundles = NULL;
    pthread_mutex_lock(&c->lock);
    a->first_held = history_first_seq(&c->history);
    if (a->seen_seq < a->first_held)
        a->seen_seq = a->first_held;
    a->ended = c->ended;
    a->asleep = a->count == 0 && !a->ended;
    anything = !a->asleep &&
               (a->ended || a->seen_seq < c->history.next_seq ||
                a->calls != c->calls);
    a->calls = c->calls;
    if (a->asleep)
        c->waiting &= ~(UINT64_C(1) << a->worker);
    else if (!anything)
        c->waiting |= UINT64_C(1) << a->worker;
    else
        take_unseen(a, p);
    pthread_mutex_unlock(&c->lock);

    /* From here on, if it waits, a note may be on its way. */
    if (anything) {
        a->pass = p;
        a->at = 0;
    }
    return anything;
}

static void pass_end(struct audience *a)
{
    for (unsigned i = 0; i < a->pass->count; i++)
        message_unref(&a->pass->messages[i]);
    bundle_free(&a->pass->bundles);
    if (a->pass->kept)
        free(a->pass);
    a->pass = NULL;
    a->at = 0;
}

/* The pass goes on when this slice's memory is gone. */
static void pass_keep(struct audience *a)
{
    struct pass *p;

    if (a->pass == NULL || a->pass == &bare_pass || a->pass->kept)
        return;
    p = malloc(sizeof(*p));
    if (p == NULL) {
        for (unsigned i = 0; i < a->pass->count; i++)
            message_unref(&a->pass->messages[i]);
        bundle_free(&a->pass->bundles);
        a->pass = &bare_pass;
        return;
    }
    *p = *a->pass;
    p->kept = true;
    a->pass = p;
}

static void serve(struct audience *a, struct reader *r)
{
    if (a->ended)
        r->ops->ended(r);
    else if (!r->blocked)
        r->ops->ready(r);
    else if (audience_left_behind(r))
        r->ops->behind(r);
}

/* Many readers are more than a cache holds: what those who come next are made
 * of is fetched while these are served. */
static void fetch_ahead(const struct audience *a)
{
    if (a->at + FETCH_FAR < a->count)
        __builtin_prefetch(a->readers[a->at + FETCH_FAR]);
    if (a->at + FETCH_NEAR < a->count) {
        struct reader *r = a->readers[a->at + FETCH_NEAR];

        if (r->ops->soon != NULL)
            r->ops->soon(r);
    }
}

/* The note: a slice of a pass, or of several short ones. */
static void audience_run(struct note *note)
{
    struct audience *a = (struct audience *)note; /* its first member */
    struct channel *c = a->channel;
    struct pass pass;

    for (unsigned served = 0; served < SLICE; served++) {
        if (a->pass == NULL && (a->ended || !pass_begin(a, &pass))) {
            channel_unref(&c); /* the note's */
            return;
        }
        fetch_ahead(a);
        if (a->at < a->count)
            serve(a, a->readers[a->at++]);
        if (a->at >= a->count)
            pass_end(a);
    }
    pass_keep(a);
    c->hub->post(c->hub->post_arg, a->worker, note);
}
