#include "server/advisor.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "feed/hint.h"
#include "measure/advice.h"
#include "measure/usage.h"
#include "measure/yardstick.h"
#include "server/report.h"
#include "server/server.h"
#include "wire/json.h"

/* Fewer updates in an hour tell less than a day does. */
#define UPDATES_FEW 30
/* So many readers have come and gone before the mean of their stay is one. */
#define STAYS_FEW 20
#define STAY_MIN_S 10

/* Of one route, for ever: by its tally. */
struct standing {
    _Atomic uint8_t plain; /* a kind and 1, for requests that name none */
    uint8_t verdict, next; /* kinds and 1; 0: none */
    uint8_t looks;         /* that have said next */
    double poll_s;         /* that hint tells */
    uint64_t hint;
};

struct advisor {
    double cpu_times; /* what machine A takes for the same */
    struct model_costs costs;
    unsigned seconds;
    struct standing standings[TALLY_ROUTES_MAX + 1];
};

/* ---- what is known of a route ------------------------------------------------ */

static const double window_s[WINDOW_N] = {60, 3600, 86400};

/* From so many seconds of a channel, as many as they have been watched: of the
 * last hour, or, where that is little, of the last day. */
static void learn_updates(struct workload *w, struct advice_sample *sample,
                          const struct updates *u, uint64_t now_us)
{
    const struct frequency *f = &u->all;
    enum frequency_window window =
        u->per_s[WINDOW_HOUR] * window_s[WINDOW_HOUR] >= UPDATES_FEW
            ? WINDOW_HOUR
            : WINDOW_DAY;
    double burstiness = frequency_burstiness(f);

    *sample = (struct advice_sample){.measured = true};
    w->rate = 0;
    if (u->channels == 0)
        return;
    sample->seconds = u->channels * fmin((double)(now_us - f->first_us) / 1e6,
                                         window_s[window]);
    w->rate = updates_per_s(u, window);
    sample->updates = w->rate * sample->seconds;
    w->burstiness = burstiness < 0 ? 1 : burstiness;
    w->size_bytes = (double)f->bytes / (double)f->messages;
    w->kind = f->binary > f->messages / 2 ? ENVELOPE_BINARY : ENVELOPE_JSON;
    w->channels = u->channels;
    w->messages = (double)f->messages / u->channels;
}

/* Of all transports together, and of messages that are POSTed. */
struct crowd {
    double readers, seconds; /* readers times seconds */
    double stays, stay_s;    /* of those who follow */
    double taken;
    double delivered, followed_s; /* to those who follow, and for how long */
};

static struct crowd count_crowd(const struct route *r, uint64_t now_us)
{
    struct crowd c = {.readers = 0};

    for (int part = 0; r->tally != 0 && part < TALLY_PARTS; part++) {
        struct tally sum = {.counts = {0}};

        if (!tally_sum((tally_id)(r->tally + part), &sum))
            continue;
        c.taken += (double)tally_get(&sum, TALLY_messages_taken);
        if (part == TALLY_OTHER)
            continue;
        c.readers += (double)usage_readers(&sum);
        c.seconds += usage_reader_s(&sum, now_us);
        if (part != TALLY_SSE && part != TALLY_WEBSOCKET)
            continue;
        c.delivered += (double)tally_get(&sum, TALLY_messages_delivered);
        c.followed_s += usage_reader_s(&sum, now_us);
        c.stay_s += usage_reader_s(&sum, now_us);
        c.stays += (double)tally_get(&sum, TALLY_route_connections);
    }
    return c;
}

static void learn_readers(struct workload *w, const struct route *r,
                          const struct server *s, uint64_t now_us)
{
    const struct crowd c = count_crowd(r, now_us);
    double uptime_s = fmax((double)(now_us - s->started_us) / 1e6, 1);

    w->readers = fmax(c.readers, 1);
    w->sends = c.taken / fmax(c.seconds, uptime_s);
    if (c.stays >= STAYS_FEW)
        w->stay_s = fmax(c.stay_s / c.stays, STAY_MIN_S);
}

/* Of what data the channels of all routes are. */
static void learn_sizes(struct workload *w, const struct updates *updates,
                        unsigned count)
{
    double messages = 0, bytes = 0, binary = 0;

    for (unsigned i = 0; i < count; i++) {
        messages += (double)updates[i].all.messages;
        bytes += (double)updates[i].all.bytes;
        binary += (double)updates[i].all.binary;
    }
    if (messages == 0)
        return;
    w->size_bytes = bytes / messages;
    w->kind = binary > messages / 2 ? ENVELOPE_BINARY : ENVELOPE_JSON;
}

/* Each reader of a multiplexed route has channels of its own choice: what counts
 * is how much one that follows is sent, by chance where nobody knows better. */
static void learn_multiplexed(struct workload *w, struct advice_sample *sample,
                              const struct route *r,
                              const struct updates *updates, unsigned count,
                              uint64_t now_us)
{
    const struct crowd c = count_crowd(r, now_us);

    *sample = (struct advice_sample){.measured = true,
                                     .seconds = c.followed_s,
                                     .updates = c.delivered};
    w->rate = c.followed_s > 0 ? c.delivered / c.followed_s : 0;
    w->channels = fmax(c.readers, 1);
    learn_sizes(w, updates, count);
}

/* What the configuration says of it. */
static void read_route(struct workload *w, const struct route *r,
                       const struct config *config)
{
    const struct reader_settings *reader = &r->reader;

    w->age_stated = r->acceptable_ms > 0;
    if (w->age_stated)
        w->age_s = (double)r->acceptable_ms / 1000;
    w->newest = reader->lag == LAG_LATEST || reader->interval_ms > 0;
    w->cacheable = reader->cache_auto || reader->cache_s > 0;
    w->cache_s = (double)reader->cache_s;
    w->wait_s = (double)reader->wait_ms / 1000;
    w->heartbeat_s = (double)reader->heartbeat_ms / 1000;
    w->batch_s = (double)reader->batch_ms / 1000;
    if (reader->interval_ms > 0)
        w->max_rate = 1000 / (double)reader->interval_ms;
    w->idle_s = (double)config->limits.idle_ms / 1000;
    w->history = r->history.messages;
}

static bool is_advised(const struct route *r)
{
    return r->proxy == NULL && (r->channel_text != NULL || r->multiplex);
}

/* 0 or -ENOMEM. */
static int advise(struct advice *out, struct server *s,
                  const struct config *config, unsigned route,
                  const struct updates *updates)
{
    const struct route *r = &config->routes[route];
    uint64_t now_us = clock_now_us();
    struct advice_sample sample;
    struct workload w;
    unsigned allowed = 0;

    model_workload_init(&w);
    w.workers = s->worker_count;
    read_route(&w, r, config);
    if (r->multiplex)
        learn_multiplexed(&w, &sample, r, updates, config->route_count, now_us);
    else
        learn_updates(&w, &sample, &updates[route], now_us);
    learn_readers(&w, r, s, now_us);
    for (unsigned i = 0; i < r->transport_count; i++)
        allowed |= 1u << r->transports[i];
    return advice_make(out, &w, &sample, allowed, &s->advisor->costs,
                       &advice_scales_usual);
}

/* ---- GET /advice ---------------------------------------------------------------- */

static void write_route(struct buffer *out, const struct route *r,
                        const struct advice *a)
{
    buffer_append_str(out, STR("{\"path\":"));
    json_append_string(out, str_of(r->path));
    if (r->host != NULL) {
        buffer_append_str(out, STR(",\"host\":"));
        json_append_string(out, str_of(r->host));
    }
    buffer_printf(out, ",\"auto\":%s,", r->reader.advised ? "true" : "false");
    advice_write_json(a, out);
    buffer_append_byte(out, '}');
}

void advisor_write(struct buffer *out, struct server *s,
                   const struct config *config)
{
    struct updates *updates = report_updates(s, config);
    bool first = true;
    struct advice a;

    out->failed |= updates == NULL;
    buffer_printf(out, "{\"cpu_times\":%.3g,\"routes\":[",
                  s->advisor->cpu_times);
    for (unsigned i = 0; updates != NULL && i < config->route_count; i++) {
        const struct route *r = &config->routes[i];

        if (!is_advised(r))
            continue;
        if (!first)
            buffer_append_byte(out, ',');
        first = false;
        out->failed |= advise(&a, s, config, i, updates) < 0;
        write_route(out, r, &a);
    }
    buffer_append_str(out, STR("]}"));
    free(updates);
}

/* ---- "auto" ------------------------------------------------------------------- */

#define LOOK_EVERY 2 /* seconds */
/* So many looks in a row have to say the same, and it has to be so much cheaper,
 * before readers are moved: that costs them a connection each. */
#define LOOKS_ALIKE 2
#define WORTH_MOVING 1.2

int advisor_init(struct server *s)
{
    s->advisor = calloc(1, sizeof(*s->advisor));
    if (s->advisor == NULL)
        return -1;
    s->advisor->cpu_times = yardstick_times();
    s->advisor->costs = model_costs_usual;
    yardstick_apply(&s->advisor->costs, s->advisor->cpu_times);
    return 0;
}

void advisor_fini(struct server *s)
{
    free(s->advisor);
    s->advisor = NULL;
}

static struct standing *standing_of(const struct server *s,
                                    const struct route *r)
{
    return &s->advisor->standings[r->tally / TALLY_PARTS];
}

enum transport_kind advisor_choice(const struct server *s,
                                   const struct route *r)
{
    unsigned plain = 0;

    if (r->reader.advised && r->tally != 0)
        plain = atomic_load_explicit(&standing_of(s, r)->plain,
                                     memory_order_relaxed);
    return plain == 0 ? KIND_N : (enum transport_kind)(plain - 1);
}

/* Any client can read by these. */
#define PLAIN (1u << KIND_POLL | 1u << KIND_LONGPOLL | 1u << KIND_SSE)

static bool is_worth_it(const struct standing *now, const struct advice *a)
{
    unsigned was = now->verdict - 1u;

    return now->verdict == 0 || !a->prices[was].fits ||
           a->costs[was] > WORTH_MOVING * a->costs[a->verdict];
}

static void settle(struct standing *now, const struct advice *a)
{
    now->verdict = (uint8_t)(a->verdict + 1);
    now->poll_s = a->verdict == TALLY_POLL ? a->prices[TALLY_POLL].poll_s : 0;
    now->hint = hint_pack((enum tally_part)a->verdict,
                          (uint64_t)(now->poll_s * 1000));
    atomic_store_explicit(&now->plain, (uint8_t)(advice_choose(a, PLAIN) + 1),
                          memory_order_relaxed);
}

/* The interval follows what the owner accepts, and the frequency; not each
 * wobble of it. */
static bool is_another_interval(const struct standing *now,
                                const struct advice *a)
{
    double s = a->prices[TALLY_POLL].poll_s;

    return a->verdict == TALLY_POLL &&
           (s > WORTH_MOVING * now->poll_s || now->poll_s > WORTH_MOVING * s);
}

/* What is sure moves it, and only that. */
static void consider(struct standing *now, const struct advice *a)
{
    unsigned next = (unsigned)(a->verdict + 1);

    if (next == 0 || !a->sure)
        return;
    now->looks = now->next == next ? (uint8_t)(now->looks + 1) : 1;
    now->looks = now->looks > LOOKS_ALIKE ? LOOKS_ALIKE : now->looks;
    now->next = (uint8_t)next;
    if (now->verdict == next
            ? is_another_interval(now, a)
            : is_worth_it(now, a) &&
                  (now->verdict == 0 || now->looks >= LOOKS_ALIKE))
        settle(now, a);
}

struct look {
    struct server *server;
    const struct config *config;
};

static bool follows(const struct route *r)
{
    return r->proxy == NULL && r->channel_text != NULL && r->reader.advised &&
           r->tally != 0;
}

/* The one that says "auto", of those that have channel c. */
static const struct route *find_follower(const struct config *config,
                                         const struct channel *c)
{
    const struct route *r = config_route_of_channel(config, str_of(c->name),
                                                    NULL);

    if (r == NULL || follows(r))
        return r;
    for (unsigned i = 0; i < config->route_count; i++)
        if (follows(&config->routes[i]) &&
            text_same(config->routes[i].channel_text, r->channel_text))
            return &config->routes[i];
    return NULL;
}

static void tell_readers(struct channel *c, void *arg)
{
    const struct look *look = arg;
    const struct route *r = find_follower(look->config, c);
    uint64_t hint = r == NULL ? 0 : standing_of(look->server, r)->hint;

    if (channel_hint(c) != hint)
        channel_set_hint(c, hint);
}

static bool any_is_advised(const struct config *config)
{
    for (unsigned i = 0; i < config->route_count; i++)
        if (follows(&config->routes[i]))
            return true;
    return false;
}

static void look_at_routes(struct server *s, const struct config *config)
{
    struct updates *updates = report_updates(s, config);
    struct advice a;

    for (unsigned i = 0; updates != NULL && i < config->route_count; i++) {
        const struct route *r = &config->routes[i];

        if (follows(r) &&
            advise(&a, s, config, i, updates) == 0)
            consider(standing_of(s, r), &a);
    }
    free(updates);
}

void advisor_tick(struct server *s)
{
    struct look look = {s, s->config};

    if (!any_is_advised(s->config))
        return;
    if (s->advisor->seconds++ % LOOK_EVERY != 0)
        return;
    look_at_routes(s, s->config);
    hub_each(&s->hub, tell_readers, &look);
}
