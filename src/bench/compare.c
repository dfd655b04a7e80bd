#include "bench/compare.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/ledger.h"
#include "bench/options.h"
#include "bench/place.h"
#include "bench/progress.h"
#include "bench/sightings.h"
#include "bench/table.h"
#include "net/tls.h"
#include "net/worker.h"
#include "wire/json.h"
#include "wire/pointer.h"

#define EXIT_USAGE 2
#define LOOK_MS    20
#define CONNECT_MS 10000
#define SETTLE_MS  1000 /* what a route says at first is not part of it */
#define GRACE_MS   1000 /* for what is on its way at the end */
#define WAIT_S     25   /* of a long poll */

struct member {
    struct subscriber subscriber; /* first */
    struct ledger ledger;
};

/* The clients of one transport; all is the worker's but what is atomic. */
struct party {
    struct compare *compare;
    struct subscriber_plan plan;
    struct member *members;
    struct subscriber_counts counts, begun, ended;
    struct histogram age_us, delay_us;
    uint64_t delivered, again, late;
    uint64_t same; /* polls that brought what their client had */
    char why[160]; /* they were refused; empty: not */
    unsigned status;
    _Atomic unsigned ready, refused;
};

struct compare {
    struct compare_options options;
    struct places places;
    struct tls_server *tls;
    struct worker *worker;
    struct sightings *sightings;
    struct party parties[SUBSCRIBE_KINDS];
    uint64_t from_us, to_us; /* when messages count */
    struct note order;
    void (*obey)(struct compare *c);
    _Atomic bool obeyed;
    _Atomic uint32_t seen; /* messages that count */
    struct progress progress;
    struct comparison comparison;
};

static int give_up(const char *what, const char *why)
{
    fprintf(stderr, "penstock compare: %s: %s\n", what, why);
    return EXIT_FAILURE;
}

/* ---- messages ----------------------------------------------------------------- */

static struct party *party_of(const struct subscriber *s)
{
    return s->owner;
}

static bool counts(const struct compare *c, const struct sighting *it)
{
    return it->first_us >= c->from_us && it->first_us < c->to_us;
}

/* Who gets a message is up to date with all before it that it had not had. */
static void note_delays(struct party *p, uint32_t from, uint32_t to,
                        uint64_t now_us)
{
    const struct compare *c = p->compare;

    for (; from <= to; from++) {
        const struct sighting *it = sightings_at(c->sightings, from);

        if (counts(c, it))
            histogram_add(&p->delay_us, now_us - it->first_us);
    }
}

/* name: of a message that says none it is what it says, and such may well say
 * the same twice. */
static void see(struct subscriber *s, struct str name, size_t size_bytes,
                bool named)
{
    struct party *p = party_of(s);
    struct compare *c = p->compare;
    uint64_t now_us = clock_now_us();
    uint32_t before = sightings_count(c->sightings);
    const struct sighting *it =
        sightings_see(c->sightings, name, size_bytes, now_us);
    struct ledger *ledger = &((struct member *)s)->ledger;
    uint32_t next = ledger->next;
    enum ledger_entry entry;

    if (it == NULL)
        return;
    entry = ledger_note(ledger, it->number);
    if (p->plan.kind == SUBSCRIBE_POLL && entry == LEDGER_AGAIN &&
        it->number + 1 == ledger->next) { /* a server without ETags */
        p->same += now_us >= c->from_us && now_us < c->to_us;
        return;
    }
    note_delays(p, next, it->number, now_us);
    if (!counts(c, it))
        return;
    if (sightings_count(c->sightings) > before)
        c->seen++;
    p->again += entry == LEDGER_AGAIN && named;
    p->late += entry == LEDGER_LATE;
    if (entry == LEDGER_AGAIN)
        return;
    p->delivered++;
    histogram_add(&p->age_us, now_us - it->first_us);
}

static bool begins(struct str s, const char *with)
{
    return str_starts(s, str_of(with));
}

/* One message as JSON, which has an id; what has none is a notice. */
static bool see_envelope(struct subscriber *s, struct str object)
{
    struct buffer id = {0}, data = {0};
    struct str value;
    bool found = pointer_find(object, STR("/id"), &value);

    if (found) {
        pointer_text(value, &id);
        if (pointer_find(object, STR("/data"), &value))
            pointer_text(value, &data);
        see(s, buffer_str(&id), data.len, true);
    }
    buffer_fini(&id);
    buffer_fini(&data);
    return found;
}

/* What penstock.v1 says of itself, in frames that have no id. */
static bool is_notice(struct str data)
{
    struct str event;

    return begins(data, "{\"gap\":") || begins(data, "{\"stale\":") ||
           begins(data, "{\"advice\":") ||
           (json_is_container(data) &&
            pointer_find(data, STR("/event"), &event) &&
            begins(event, "\"penstock."));
}

static void see_frame(struct subscriber *s, struct str data)
{
    if (json_is_container(data) && see_envelope(s, data))
        return;
    if (!is_notice(data))
        see(s, data, data.n, false);
}

static void refuse_party(struct party *p, unsigned status, const char *why)
{
    if (p->why[0] == '\0')
        snprintf(p->why, sizeof(p->why), "%s", why);
    p->status = status;
}

/* The server answers, but it is no long poll. */
static void end_poll(struct subscriber *s, const char *why)
{
    struct party *p = party_of(s);

    refuse_party(p, s->status, why);
    p->ready -= s->ready;
    p->refused++;
    subscriber_end(s);
}

static void on_impatient(struct subscriber *s)
{
    end_poll(s, "it answers at once, news or not");
}

static void see_batch(struct subscriber *s, struct str body)
{
    struct str messages, object, unused;
    size_t at = 0;

    if (!json_is_container(body) ||
        !pointer_find(body, STR("/messages"), &messages) ||
        messages.p[0] != '[') {
        end_poll(s, "its answer is no batch of messages");
        return;
    }
    while (pointer_next(messages, &at, &unused, &object))
        see_envelope(s, object);
}

static void on_message(struct subscriber *s, const struct subscriber_message *m)
{
    enum subscriber_kind kind = s->plan->kind;

    if (kind == SUBSCRIBE_WEBSOCKET)
        see_frame(s, m->data);
    else if (kind == SUBSCRIBE_LONGPOLL)
        see_batch(s, m->data);
    else if (m->id.n > 0)
        see(s, m->id, m->data.n, true);
    else if (!begins(m->type, "penstock."))
        see(s, m->data, m->data.n, false);
}

static void on_ready(struct subscriber *s)
{
    party_of(s)->ready++;
}

static void on_refused(struct subscriber *s, unsigned status, const char *why)
{
    struct party *p = party_of(s);

    refuse_party(p, status, why);
    p->ready -= s->ready; /* which a long poll is before its answer */
    p->refused++;
}

static const struct subscriber_ops member_ops = {
    .ready = on_ready,
    .message = on_message,
    .refused = on_refused,
    .impatient = on_impatient,
};

/* ---- orders: what the worker does for the main thread ---------------------------- */

static void run_order(struct note *note)
{
    struct compare *c =
        (struct compare *)((char *)note - offsetof(struct compare, order));

    c->obey(c);
    c->obeyed = true;
}

static void command(struct compare *c, void (*obey)(struct compare *c))
{
    c->obey = obey;
    c->obeyed = false;
    c->order.run = run_order;
    worker_post(c->worker, &c->order);
    while (!c->obeyed)
        usleep(1000);
}

static void obey_start(struct compare *c)
{
    for (int k = 0; k < SUBSCRIBE_KINDS; k++)
        for (unsigned i = 0; i < c->options.clients; i++)
            subscriber_start(&c->parties[k].members[i].subscriber,
                             &c->parties[k].plan, &member_ops,
                             &c->places.list[0], &c->parties[k].counts, i,
                             &c->parties[k]);
}

static void account(struct party *p)
{
    for (unsigned i = 0; i < p->compare->options.clients; i++)
        subscriber_account(&p->members[i].subscriber);
}

static void obey_begin(struct compare *c)
{
    for (int k = 0; k < SUBSCRIBE_KINDS; k++) {
        account(&c->parties[k]);
        c->parties[k].begun = c->parties[k].counts;
    }
    c->from_us = clock_now_us();
    c->to_us = UINT64_MAX;
}

static void obey_end(struct compare *c)
{
    for (int k = 0; k < SUBSCRIBE_KINDS; k++) {
        account(&c->parties[k]);
        c->parties[k].ended = c->parties[k].counts;
    }
    c->to_us = clock_now_us();
}

static void obey_stop(struct compare *c)
{
    for (int k = 0; k < SUBSCRIBE_KINDS; k++)
        for (unsigned i = 0; i < c->options.clients; i++)
            subscriber_stop(&c->parties[k].members[i].subscriber);
    worker_stop(c->worker);
}

/* ---- the run ----------------------------------------------------------------------- */

static unsigned settled(const struct compare *c)
{
    unsigned n = 0;

    for (int k = 0; k < SUBSCRIBE_KINDS; k++)
        n += c->parties[k].ready + c->parties[k].refused;
    return n;
}

static unsigned working(const struct compare *c)
{
    unsigned n = 0;

    for (int k = 0; k < SUBSCRIBE_KINDS; k++)
        n += c->parties[k].ready > 0 && c->parties[k].refused == 0;
    return n;
}

static void await_clients(struct compare *c)
{
    uint64_t end_us = clock_now_us() + 2 * CONNECT_MS * 1000;

    while (!progress_interrupted() && clock_now_us() < end_us &&
           settled(c) < SUBSCRIBE_KINDS * c->options.clients) {
        progress_say(&c->progress, "%u of %u clients connected", settled(c),
                     SUBSCRIBE_KINDS * c->options.clients);
        progress_pause(LOOK_MS);
    }
    progress_pause(SETTLE_MS);
}

static void listen_for(struct compare *c, uint64_t ms, const char *what)
{
    uint64_t began_us = clock_now_us(), now_us = began_us;

    while (!progress_interrupted() && now_us - began_us < ms * 1000) {
        uint64_t left_ms = ms - (now_us - began_us) / 1000;

        progress_say(&c->progress, "%s: %llu s to go, %u messages so far", what,
                     (unsigned long long)(left_ms + 999) / 1000, c->seen);
        progress_pause(left_ms < LOOK_MS ? left_ms + 1 : LOOK_MS);
        now_us = clock_now_us();
    }
}

static void run(struct compare *c)
{
    command(c, obey_start);
    await_clients(c);
    if (working(c) > 0) {
        command(c, obey_begin);
        listen_for(c, c->options.for_ms, "listening");
        command(c, obey_end);
        /* Each poll comes once more, to find what it has not seen yet. */
        listen_for(c,
                   c->parties[SUBSCRIBE_POLL].refused > 0
                       ? GRACE_MS
                       : c->options.every_ms + GRACE_MS,
                   "waiting for the last polls");
    }
    command(c, obey_stop);
    worker_join(c->worker);
    progress_fini(&c->progress);
}

/* ---- adding up ---------------------------------------------------------------------- */

static void fill_counts(struct subscriber_counts *out, const struct party *p)
{
    const struct subscriber_counts *end = &p->ended, *begin = &p->begun;

    *out = p->counts; /* connects, and what went wrong: since the start */
    out->requests = end->requests - begin->requests;
    out->empty = end->empty - begin->empty + p->same;
    out->bytes_in = end->bytes_in - begin->bytes_in;
    out->bytes_out = end->bytes_out - begin->bytes_out;
}

static void fill_column(struct compare *c, enum subscriber_kind kind)
{
    const struct party *p = &c->parties[kind];
    struct column *to = &c->comparison.columns[kind];
    uint64_t due = (uint64_t)c->comparison.messages * c->options.clients;
    uint64_t short_of = due > p->delivered ? due - p->delivered : 0;

    to->kind = kind;
    to->clients = c->options.clients;
    to->seconds_us = c->comparison.seconds_us;
    to->status = p->status;
    to->missing = p->why[0] == '\0' ? NULL : p->why;
    if (to->missing == NULL && p->ready < c->options.clients)
        to->missing = p->counts.first_error[0] == '\0' ? "no answer in time"
                                                       : p->counts.first_error;
    if (to->missing != NULL)
        return;
    to->delivered = p->delivered;
    to->merged = kind == SUBSCRIBE_POLL ? short_of : 0;
    /* What was on its way when somebody ended it was not lost. */
    to->lost =
        kind == SUBSCRIBE_POLL || c->comparison.interrupted ? 0 : short_of;
    to->again = p->again;
    to->late = p->late;
    fill_counts(&to->counts, p);
    histogram_merge(&to->age_us, &p->age_us);
    histogram_merge(&to->delay_us, &p->delay_us);
}

static void fill_comparison(struct compare *c)
{
    struct comparison *to = &c->comparison;
    double bytes = 0;

    to->options = &c->options;
    to->seconds_us = c->to_us > c->from_us ? c->to_us - c->from_us : 0;
    to->interrupted = progress_interrupted();
    for (uint32_t i = 0; i < sightings_count(c->sightings); i++) {
        const struct sighting *it = sightings_at(c->sightings, i);

        if (counts(c, it)) {
            to->messages++;
            bytes += (double)it->size_bytes;
        }
    }
    to->size_bytes = to->messages == 0 ? 0 : bytes / to->messages;
    for (int k = 0; k < SUBSCRIBE_KINDS; k++)
        fill_column(c, (enum subscriber_kind)k);
}

static int print_result(struct compare *c)
{
    json_t *json = c->options.json ? table_json(&c->comparison) : NULL;

    if (!c->options.json)
        table_print(&c->comparison, stdout);
    else if (json == NULL)
        return give_up("the report", "out of memory");
    if (json != NULL) {
        json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        putchar('\n');
        json_decref(json);
    }
    return comparison_ok(&c->comparison) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- birth and death ------------------------------------------------------------------- */

static bool prepare_party(struct compare *c, enum subscriber_kind kind)
{
    const struct compare_options *o = &c->options;
    struct party *p = &c->parties[kind];

    p->compare = c;
    p->members = calloc(o->clients, sizeof(*p->members));
    p->plan = (struct subscriber_plan){
        .kind = kind,
        .resume = kind == SUBSCRIBE_POLL ? RESUME_ETAG : RESUME_LINK,
        .fields = o->fields.len == 0 ? NULL : o->fields.data,
        .tls = c->tls,
        .interval_ms = o->every_ms,
        .wait_s = WAIT_S,
        .reconnect_ms = 500,
        .connect_ms = CONNECT_MS,
        .enveloped = true,
        .compress = o->compress,
    };
    return p->members != NULL;
}

static void allow_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int prepare(struct compare *c)
{
    const char *url = c->options.url, *why = NULL;
    bool made = true;
    int rc = places_init(&c->places, url, 1);

    if (rc == -EINVAL) {
        give_up(url, "no URL that begins with http://, https://, ws:// or "
                     "wss://");
        return EXIT_USAGE;
    }
    if (rc == 0)
        rc = place_trust(&c->tls, &c->places.list[0], &c->options.trust, &why);
    if (rc < 0)
        return give_up(url, why == NULL ? strerror(-rc) : why);
    allow_files();
    c->from_us = c->to_us = UINT64_MAX;
    c->sightings = sightings_new();
    c->worker = worker_new(0, c);
    for (int k = 0; k < SUBSCRIBE_KINDS; k++)
        made = prepare_party(c, (enum subscriber_kind)k) && made;
    if (!made || c->sightings == NULL || c->worker == NULL ||
        worker_start(c->worker) < 0)
        return give_up("the clients", "out of memory");
    return 0;
}

static void compare_fini(struct compare *c)
{
    for (int k = 0; k < SUBSCRIBE_KINDS; k++) {
        struct party *p = &c->parties[k];

        for (unsigned i = 0; p->members != NULL && i < c->options.clients; i++)
            ledger_fini(&p->members[i].ledger);
        free(p->members);
    }
    if (c->worker != NULL)
        worker_free(c->worker);
    sightings_free(&c->sightings);
    tls_server_unref(&c->tls);
    places_fini(&c->places);
    compare_options_fini(&c->options);
}

static int go(struct compare *c)
{
    int rc = prepare(c);

    if (rc != 0)
        return rc;
    run(c);
    fill_comparison(c);
    return print_result(c);
}

int compare_main(int count, char **args)
{
    struct compare *c = calloc(1, sizeof(*c));
    int rc;

    if (c == NULL)
        return give_up("memory", "there is none");
    signal(SIGPIPE, SIG_IGN);
    progress_init(&c->progress, "penstock compare");
    switch (compare_options_read(&c->options, count, args)) {
    case OPTIONS_HELPED:
        rc = EXIT_SUCCESS;
        break;
    case OPTIONS_WRONG:
        rc = EXIT_USAGE;
        break;
    default:
        rc = go(c);
    }
    compare_fini(c);
    free(c);
    return rc;
}
