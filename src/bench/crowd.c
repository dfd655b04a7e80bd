#include "bench/crowd.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/ledger.h"
#include "net/worker.h"

/* Descriptors of a thread beside its connections. */
#define SPARE_FDS 64

struct member {
    struct subscriber subscriber; /* first */
    struct ledger ledger;
    uint32_t channel;
};

struct squad;
/* Something that a squad is to do, on its own thread. */
struct order {
    struct note note;
    struct squad *squad;
    void (*obey)(struct squad *squad);
};

/* A thread and its part of the crowd. */
struct squad {
    struct crowd *crowd;
    struct worker *worker;
    struct member *members;
    unsigned count, started;
    struct order order;
    struct subscriber_counts counts, begun, ended;
    uint64_t from_us;
    uint64_t messages, messages_begun, cpu_begun_us;
    struct crowd_sum sum;
    _Atomic unsigned ready, refused, obeyed;
    _Atomic uint64_t delivered;
};

struct crowd {
    const struct crowd_settings *settings;
    struct squad *squads;
    unsigned running; /* of them, from the first on */
    uint64_t from_us;           /* fixed while an order is out */
    _Atomic uint64_t wake_at;   /* UINT64_MAX: nobody waits */
    struct worker *wake_worker; /* set before wake_at, read after it */
    struct note *wake_note;
};

/* ---- letters -------------------------------------------------------------------- */

static struct squad *my_squad(void)
{
    return worker_self()->owner;
}

static void note_age(struct squad *q, const struct letter *l, uint64_t now_us)
{
    if (l->time_us >= q->from_us)
        histogram_add(&q->sum.age_us,
                      now_us > l->time_us ? now_us - l->time_us : 0);
}

static void take_letter(struct squad *q, struct member *m,
                        const struct letter *l, uint64_t now_us)
{
    enum ledger_entry entry;

    if (l->channel != m->channel) {
        q->sum.misrouted++;
        return;
    }
    entry = ledger_note(&m->ledger, l->number);
    q->sum.late += entry == LEDGER_LATE;
    q->sum.again += entry == LEDGER_AGAIN;
    if (entry == LEDGER_AGAIN)
        return;
    note_age(q, l, now_us);
    q->sum.last_us = now_us;
    histogram_raise(&q->delivered, 1);
}

static void on_message(struct subscriber *s, const struct subscriber_message *m)
{
    struct squad *q = my_squad();
    struct str rest = m->data;
    uint64_t now_us = clock_now_us();
    enum letter_found found;
    struct letter letter;

    q->messages++;
    while ((found = letter_next(q->crowd->settings->form, &rest, &letter)) !=
           LETTER_NONE) {
        if (found == LETTER_OURS)
            take_letter(q, (struct member *)s, &letter, now_us);
        q->sum.foreign += found == LETTER_FOREIGN;
        q->sum.corrupt += found == LETTER_CORRUPT;
    }
}

/* Whoever waits for deliveries is told after a round of events, not in it. */
static void on_round_end(void)
{
    struct squad *q = my_squad();
    struct crowd *c = q->crowd;
    uint64_t at = atomic_load_explicit(
        &c->wake_at, memory_order_acquire /* pairs with crowd_wake_at() */);

    if (at != UINT64_MAX && crowd_delivered(c) >= at &&
        atomic_compare_exchange_strong(&c->wake_at, &at, UINT64_MAX))
        worker_post(c->wake_worker, c->wake_note);
}

void crowd_wake_at(struct crowd *c, uint64_t delivered, struct worker *w,
                   struct note *note)
{
    c->wake_worker = w;
    c->wake_note = note;
    atomic_store(&c->wake_at, delivered);
    /* The last delivery may have come before that. */
    if (crowd_delivered(c) >= delivered &&
        atomic_compare_exchange_strong(&c->wake_at, &delivered, UINT64_MAX))
        worker_post(w, note);
}

/* ---- connecting ------------------------------------------------------------------ */

static void start_some(struct squad *q);

static const struct subscriber_ops member_ops;

static void start_one(struct squad *q)
{
    const struct crowd_settings *s = q->crowd->settings;
    unsigned squad = (unsigned)(q - q->crowd->squads), at = q->started++;
    unsigned index = at * s->threads + squad;
    struct member *m = &q->members[at];

    m->channel = index % s->channel_count;
    subscriber_start(&m->subscriber, &s->plan, &member_ops,
                     &s->channels[m->channel], &q->counts, index, NULL);
}

/* A listener's backlog is finite, and what is measured is not how it
 * overflows. */
static void start_some(struct squad *q)
{
    while (q->started < q->count &&
           q->started - q->ready - q->refused < q->crowd->settings->opening)
        start_one(q);
}

static void on_ready(struct subscriber *s)
{
    struct squad *q = my_squad();

    q->ready++;
    start_some(q);
}

static void on_refused(struct subscriber *s, unsigned status, const char *why)
{
    struct squad *q = my_squad();

    q->ready -= s->ready; /* which a long poll is before its answer */
    q->refused++;
    start_some(q);
}

static const struct subscriber_ops member_ops = {
    .ready = on_ready,
    .message = on_message,
    .refused = on_refused,
};

/* ---- orders ---------------------------------------------------------------------- */

static void run_order(struct note *note)
{
    struct order *o = (struct order *)note;

    o->obey(o->squad);
    o->squad->obeyed = 1;
}

static void pause_ms(long ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&t, NULL);
}

/* Has every squad do it, and waits until all have. */
static void command(struct crowd *c, void (*obey)(struct squad *squad))
{
    for (unsigned i = 0; i < c->running; i++) {
        struct squad *q = &c->squads[i];

        q->obeyed = 0;
        q->order = (struct order){{.run = run_order}, q, obey};
        worker_post(q->worker, &q->order.note);
    }
    for (unsigned i = 0; i < c->running; i++)
        while (!c->squads[i].obeyed)
            pause_ms(1);
}

static void account_all(struct squad *q)
{
    for (unsigned i = 0; i < q->started; i++)
        subscriber_account(&q->members[i].subscriber);
}

/* A process may have fewer descriptors than there are to be connections; but a
 * thread may have a table of its own. */
static void obey_start(struct squad *q)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        if (q->crowd->settings->count + SPARE_FDS > limit.rlim_cur)
            unshare(CLONE_FILES);
    }
    start_some(q);
}

static uint64_t thread_cpu_us(void)
{
    struct timespec t = {0, 0};

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void obey_mark(struct squad *q)
{
    account_all(q);
    q->from_us = q->crowd->from_us;
    q->begun = q->counts;
    q->ended = q->counts;
    q->messages_begun = q->messages;
    q->cpu_begun_us = thread_cpu_us();
}

static void obey_mark_end(struct squad *q)
{
    account_all(q);
    q->ended = q->counts;
    q->sum.messages = q->messages - q->messages_begun;
    q->sum.cpu_us = thread_cpu_us() - q->cpu_begun_us;
}

static void obey_cut(struct squad *q)
{
    q->ready = 0;
    for (unsigned i = 0; i < q->started; i++) {
        struct subscriber *s = &q->members[i].subscriber;

        s->ready = s->ready && s->over;
        subscriber_cut(s);
    }
}

static void obey_stop(struct squad *q)
{
    for (unsigned i = 0; i < q->started; i++)
        subscriber_stop(&q->members[i].subscriber);
    worker_stop(q->worker);
}

void crowd_mark(struct crowd *c, uint64_t from_us)
{
    c->from_us = from_us;
    command(c, obey_mark);
}

void crowd_mark_end(struct crowd *c)
{
    command(c, obey_mark_end);
}

void crowd_cut(struct crowd *c)
{
    command(c, obey_cut);
}

void crowd_stop(struct crowd *c)
{
    command(c, obey_stop);
    while (c->running > 0)
        worker_join(c->squads[--c->running].worker);
}

/* ---- adding up -------------------------------------------------------------------- */

unsigned crowd_ready(const struct crowd *c)
{
    unsigned n = 0;

    for (unsigned i = 0; i < c->settings->threads; i++)
        n += c->squads[i].ready;
    return n;
}

unsigned crowd_refused(const struct crowd *c)
{
    unsigned n = 0;

    for (unsigned i = 0; i < c->settings->threads; i++)
        n += c->squads[i].refused;
    return n;
}

uint64_t crowd_delivered(const struct crowd *c)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < c->settings->threads; i++)
        n +=
            atomic_load_explicit(&c->squads[i].delivered, memory_order_relaxed);
    return n;
}

static void add_counts(struct subscriber_counts *into,
                       const struct subscriber_counts *from)
{
    into->requests += from->requests;
    into->empty += from->empty;
    into->connects += from->connects;
    into->connect_failures += from->connect_failures;
    into->cuts += from->cuts;
    into->errors += from->errors;
    into->bytes_in += from->bytes_in;
    into->bytes_out += from->bytes_out;
    histogram_merge(&into->connect_us, &from->connect_us);
    if (into->first_error[0] == '\0')
        memcpy(into->first_error, from->first_error, sizeof(into->first_error));
}

static void add_difference(struct subscriber_counts *into,
                           const struct subscriber_counts *end,
                           const struct subscriber_counts *begin)
{
    into->requests += end->requests - begin->requests;
    into->empty += end->empty - begin->empty;
    into->connects += end->connects - begin->connects;
    into->cuts += end->cuts - begin->cuts;
    into->errors += end->errors - begin->errors;
    into->bytes_in += end->bytes_in - begin->bytes_in;
    into->bytes_out += end->bytes_out - begin->bytes_out;
}

static void add_squad(struct crowd_sum *sum, const struct squad *q)
{
    add_counts(&sum->counts, &q->counts);
    add_difference(&sum->measured, &q->ended, &q->begun);
    sum->delivered += q->delivered;
    sum->late += q->sum.late;
    sum->again += q->sum.again;
    sum->messages += q->sum.messages;
    sum->corrupt += q->sum.corrupt;
    sum->misrouted += q->sum.misrouted;
    sum->foreign += q->sum.foreign;
    sum->cpu_us += q->sum.cpu_us;
    if (q->sum.last_us > sum->last_us)
        sum->last_us = q->sum.last_us;
    histogram_merge(&sum->age_us, &q->sum.age_us);
}

void crowd_sum(const struct crowd *c, const uint32_t *accepted,
               struct crowd_sum *sum, uint64_t *expected, uint64_t *lost)
{
    *expected = *lost = 0;
    for (unsigned i = 0; i < c->settings->threads; i++) {
        const struct squad *q = &c->squads[i];

        add_squad(sum, q);
        for (unsigned k = 0; k < q->started; k++) {
            const struct member *m = &q->members[k];
            uint32_t due = accepted[m->channel];

            *expected += due;
            *lost += due > m->ledger.had ? due - m->ledger.had : 0;
        }
    }
}

/* ---- birth and death --------------------------------------------------------------- */

static int squad_init(struct squad *q, struct crowd *c, unsigned index)
{
    const struct crowd_settings *s = c->settings;

    q->crowd = c;
    q->count = s->count / s->threads + (index < s->count % s->threads);
    q->members = calloc(q->count == 0 ? 1 : q->count, sizeof(*q->members));
    q->worker = worker_new(index, q);
    if (q->members == NULL || q->worker == NULL)
        return -ENOMEM;
    q->worker->round_end = on_round_end;
    return worker_start(q->worker);
}

int crowd_new(struct crowd **out, const struct crowd_settings *settings)
{
    struct crowd *c = calloc(1, sizeof(*c));
    int rc = c == NULL ? -ENOMEM : 0;

    *out = c;
    if (c == NULL)
        return rc;
    c->settings = settings;
    c->wake_at = UINT64_MAX;
    c->squads = calloc(settings->threads, sizeof(*c->squads));
    if (c->squads == NULL)
        rc = -ENOMEM;
    for (unsigned i = 0; rc == 0 && i < settings->threads; i++) {
        rc = squad_init(&c->squads[i], c, i);
        c->running += rc == 0;
    }
    if (rc < 0)
        return rc;
    command(c, obey_start);
    return 0;
}

void crowd_free(struct crowd **cp)
{
    struct crowd *c = *cp;

    *cp = NULL;
    if (c == NULL)
        return;
    crowd_stop(c); /* if something failed on the way */
    for (unsigned i = 0; c->squads != NULL && i < c->settings->threads; i++) {
        struct squad *q = &c->squads[i];

        for (unsigned k = 0; k < q->started; k++)
            ledger_fini(&q->members[k].ledger);
        free(q->members);
        if (q->worker != NULL)
            worker_free(q->worker);
    }
    free(c->squads);
    free(c);
}
