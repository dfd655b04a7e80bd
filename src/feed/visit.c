#include "feed/visit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/clock.h"
#include "base/jitter.h"
#include "base/logging.h"
#include "base/meter.h"
#include "feed/delivery.h"
#include "feed/transport.h"
#include "net/worker.h"
#include "proxy/backend.h"
#include "wire/json.h"

/* Visits of one worker whose backends are behind; more are not told of. */
#define UNTOLD_MAX 10000
#define REPEAT_MIN_MS 500
#define REPEAT_MAX_MS 30000
#define ANSWER_BYTES 4096 /* of what nobody reads */

enum hook { HOOK_OPEN, HOOK_CLOSE, HOOK_N };
static const char *const hook_names[HOOK_N] = {"open", "close"};

struct visit {
    struct delivery delivery; /* first: found from it */
    struct timer repeat;
    LIST_ENTRY(visit) link;   /* of untold, while telling */
    struct snapshot *snapshot; /* a reference: the backends' */
    const struct hook_settings *settings;
    struct buffer targets[HOOK_N]; /* empty: none */
    struct buffer facts;      /* of the client, as JSON members */
    struct buffer fields;
    char client[ID_MAX];
    const char *reason;       /* it has gone; NULL: it is here */
    uint64_t began_us, ended_us, deadline_us;
    unsigned failures;
    enum hook hook;           /* that is told, or comes next */
    bool telling;
};

static _Thread_local LIST_HEAD(, visit) untold;
static _Thread_local unsigned untold_count;

static void visit_free(struct visit *v)
{
    delivery_stop(&v->delivery);
    delivery_fini(&v->delivery);
    worker_timer_clear(worker_self(), &v->repeat);
    snapshot_unref(&v->snapshot);
    for (int i = 0; i < HOOK_N; i++)
        buffer_fini(&v->targets[i]);
    buffer_fini(&v->facts);
    buffer_fini(&v->fields);
    free(v);
}

static void set_telling(struct visit *v, bool on)
{
    if (v->telling == on)
        return;
    v->telling = on;
    if (on)
        LIST_INSERT_HEAD(&untold, v, link);
    else
        LIST_REMOVE(v, link);
    untold_count += on ? 1 : -1u;
}

static void lose(const struct visit *v, const char *why)
{
    meter_add(METER_hooks_lost, 1);
    log_warn("hook.lost", "hook=on_%s client=%s reason=\"%s\"",
             hook_names[v->hook], v->client, why);
}

/* ---- telling ----------------------------------------------------------------- */

static const struct delivery_ops visit_delivery;

static void write_body(const struct visit *v, struct buffer *out)
{
    buffer_printf(out, "{\"event\":\"%s\",", hook_names[v->hook]);
    buffer_append_str(out, buffer_str(&v->facts));
    if (v->hook == HOOK_CLOSE) {
        uint64_t ms = (v->ended_us - v->began_us) / 1000;

        buffer_printf(out, ",\"reason\":\"%s\",\"seconds\":%llu.%03u",
                      v->reason, (unsigned long long)ms / 1000,
                      (unsigned)(ms % 1000));
    }
    buffer_append_byte(out, '}');
}

static int tell(struct visit *v)
{
    struct buffer fields = {0}, body = {0};
    struct posting what = {
        .backend = v->settings->backends[v->hook],
        .target = buffer_str(&v->targets[v->hook]),
        .timeout_ms = v->settings->backends[v->hook]->response_ms,
        .limit_bytes = ANSWER_BYTES,
    };
    int rc = -1;

    buffer_append_str(&fields, buffer_str(&v->fields));
    buffer_printf(&fields, "Idempotency-Key: %s-%s\r\n", v->client,
                  hook_names[v->hook]);
    write_body(v, &body);
    what.fields = buffer_str(&fields);
    what.body = buffer_str(&body);
    if (!fields.failed && !body.failed)
        rc = delivery_start(&v->delivery, &visit_delivery, &what);
    buffer_fini(&fields);
    buffer_fini(&body);
    return rc;
}

static void go_on(struct visit *v);

/* Done with this hook, told or not. */
static void next(struct visit *v)
{
    set_telling(v, false);
    v->failures = 0;
    if (v->hook == HOOK_CLOSE) {
        visit_free(v);
        return;
    }
    v->hook = HOOK_CLOSE;
    if (v->reason != NULL)
        go_on(v);
}

static void try_later(struct visit *v, const char *why)
{
    uint64_t ms = REPEAT_MIN_MS;

    for (unsigned i = 0; i < v->failures && ms < REPEAT_MAX_MS; i++)
        ms *= 2;
    v->failures++;
    ms = jitter_between(ms / 2, ms);
    if (clock_now_us() + ms * 1000 > v->deadline_us) {
        lose(v, why);
        next(v);
        return;
    }
    worker_timer_set(worker_self(), &v->repeat, ms);
}

static void on_repeat(struct timer *t)
{
    struct visit *v =
        (struct visit *)((char *)t - offsetof(struct visit, repeat));

    if (tell(v) < 0)
        try_later(v, "out of memory");
}

/* Begins with the hook that is due; one that is not set is done at once. */
static void go_on(struct visit *v)
{
    v->deadline_us = clock_now_us() + v->settings->deadline_ms * 1000;
    if (v->targets[v->hook].len == 0) {
        next(v);
        return;
    }
    if (untold_count >= UNTOLD_MAX) {
        lose(v, "too many wait for their backends");
        next(v);
        return;
    }
    set_telling(v, true);
    if (tell(v) < 0)
        try_later(v, "out of memory");
}

/* ---- answers --------------------------------------------------------------- */

static void on_head(struct delivery *d, const struct http_message *m)
{
}

/* What a backend refuses for good it would refuse again. */
static bool is_final(unsigned status)
{
    return status >= 300 && status < 500 && status != 408 && status != 429;
}

static void on_answered(struct delivery *d, unsigned status, struct str body)
{
    struct visit *v = (struct visit *)d;

    if (status < 300) {
        meter_add(METER_hooks_told, 1);
        next(v);
    } else if (is_final(status)) {
        lose(v, "the backend refused");
        next(v);
    } else {
        try_later(v, "the backend answered with an error");
    }
}

static void on_failed(struct delivery *d, const char *why)
{
    try_later((struct visit *)d, why);
}

static const struct delivery_ops visit_delivery = {on_head, on_answered,
                                                   on_failed};

/* ---- the visit ----------------------------------------------------------------- */

static void add_fact(struct buffer *out, const char *name, struct str value)
{
    if (value.n == 0)
        return;
    buffer_printf(out, "%s\"%s\":", out->len == 0 ? "" : ",", name);
    json_append_string(out, value);
}

static void note_client(struct visit *v, struct exchange *x,
                        const struct feed *feed, const char *transport)
{
    const char *identity = feed->reader->identity;
    struct str who = feed_identity(x, feed->reader);
    char peer[64];

    exchange_peer(x, peer, sizeof(peer));
    add_fact(&v->facts, "client", str_of(v->client));
    add_fact(&v->facts, "identity", who);
    add_fact(&v->facts, "address", str_of(peer));
    add_fact(&v->facts, "transport", str_of(transport));
    add_fact(&v->facts, "route", str_of(x->route));
    if (feed->channel != NULL)
        add_fact(&v->facts, "channel", str_of(feed->channel->name));
    buffer_append_str(&v->fields, STR("Content-Type: application/json\r\n"));
    header_write(&v->fields, STR("X-Forwarded-For"), str_of(peer));
    header_write(&v->fields, STR("Penstock-Client"), str_of(v->client));
    if (who.n > 0)
        header_write(&v->fields, str_of(identity), who);
}

struct visit *visit_begin(struct exchange *x, const struct feed *feed,
                          const char *transport)
{
    struct visit *v;
    bool failed = false;

    if (feed->hook_targets[HOOK_OPEN].n == 0 &&
        feed->hook_targets[HOOK_CLOSE].n == 0)
        return NULL;
    v = calloc(1, sizeof(*v));
    if (v == NULL) {
        meter_add(METER_hooks_lost, 1);
        return NULL;
    }
    v->repeat.fire = on_repeat;
    v->snapshot = snapshot_ref(feed->snapshot);
    v->settings = &feed->reader->hooks;
    v->began_us = clock_now_us();
    snprintf(v->client, sizeof(v->client), "%.*s", STR_ARG(feed->client));
    note_client(v, x, feed, transport);
    for (int i = 0; i < HOOK_N; i++) {
        buffer_append_str(&v->targets[i], feed->hook_targets[i]);
        failed |= v->targets[i].failed;
    }
    if (failed || v->facts.failed || v->fields.failed) {
        lose(v, "out of memory");
        visit_free(v);
        return NULL;
    }
    go_on(v);
    return v;
}

void visit_end(struct visit *v, const char *reason)
{
    if (v == NULL)
        return;
    v->reason = reason;
    v->ended_us = clock_now_us();
    if (v->hook == HOOK_CLOSE)
        go_on(v); /* else once it is told that it came */
}

bool visit_all_told(void)
{
    return LIST_EMPTY(&untold);
}

void visit_end_all(void)
{
    while (!LIST_EMPTY(&untold)) {
        struct visit *v = LIST_FIRST(&untold);

        lose(v, "the server stops");
        set_telling(v, false);
        visit_free(v);
    }
}
