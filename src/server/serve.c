/* One request of a client: its route, then the backend, or a channel and the
 * transport that suits the request (which transport: select_transport). */
#include <errno.h>

#include "base/clock.h"
#include "base/jitter.h"
#include "base/meter.h"
#include "feed/inbox.h"
#include "feed/loader.h"
#include "feed/presence.h"
#include "feed/publish.h"
#include "feed/relay.h"
#include "modules.h"
#include "net/address.h"
#include "proxy/forward.h"
#include "server/advisor.h"
#include "server/apply.h"
#include "server/cors.h"
#include "server/multiplex.h"
#include "server/passed.h"
#include "server/script.h"
#include "server/server.h"
#include "server/throttle.h"

/* ---- which transport --------------------------------------------------------- */

/* Whether Accept names this media type with a weight above 0, and whether it
 * would take something else as well (RFC 9110 12.5.1). */
struct acceptance {
    bool event_stream, anything_else;
};

static bool weighs_nothing(struct str params)
{
    struct str p;

    while (params.n > 0) {
        params = str_split(params, ';', &p);
        p = str_trim(p);
        if (p.n >= 3 && (p.p[0] | 0x20) == 'q' && p.p[1] == '=') {
            for (size_t i = 2; i < p.n; i++)
                if (p.p[i] != '0' && p.p[i] != '.')
                    return false;
            return true;
        }
    }
    return false;
}

static struct acceptance read_accept(const struct headers *h)
{
    struct acceptance a = {false, false};
    struct str list, element, media;
    unsigned at = 0;

    while (headers_next(h, "Accept", &at, &list))
        while (str_list_next(&list, &element)) {
            struct str params = str_split(element, ';', &media);

            if (weighs_nothing(params))
                continue;
            if (str_eq_nocase(str_trim(media), STR("text/event-stream")))
                a.event_stream = true;
            else
                a.anything_else = true;
        }
    return a;
}

/* "Prefer: wait=S" (RFC 7240 4.3) or ?wait=S, in seconds, perhaps with a
 * fraction.  What is no number is no wish. */
static bool parse_seconds(struct str s, uint64_t *ms)
{
    struct str whole, fraction = str_split(s, '.', &whole);
    uint64_t seconds, part = 0;

    if (!str_to_u64(whole, &seconds))
        return false;
    if (seconds > 86400)
        seconds = 86400;
    if (fraction.n > 3)
        fraction.n = 3;
    if (fraction.n > 0 && !str_to_u64(fraction, &part))
        return false;
    for (size_t i = fraction.n; fraction.n > 0 && i < 3; i++)
        part *= 10;
    *ms = seconds * 1000 + part;
    return true;
}

static bool read_prefer(const struct headers *h, uint64_t *ms)
{
    struct str list, element, name;
    unsigned at = 0;

    while (headers_next(h, "Prefer", &at, &list))
        while (str_list_next(&list, &element)) {
            struct str value = str_split(element, '=', &name);

            str_split(value, ';', &value);
            value = str_trim(value);
            if (value.n >= 2 && value.p[0] == '"')
                value.p++, value.n -= 2;
            if (str_eq_nocase(str_trim(name), STR("wait")) &&
                parse_seconds(value, ms))
                return true;
        }
    return false;
}

static void read_wait(const struct http_message *m, struct feed *feed)
{
    char text[32];
    int n = str_query_get(m->query, "wait", text, sizeof(text));

    feed->prefers = read_prefer(&m->headers, &feed->wait_ms);
    feed->waits =
        feed->prefers ||
        (n > 0 && parse_seconds((struct str){text, (size_t)n}, &feed->wait_ms));
}

static bool asks_for_websocket(const struct http_message *m)
{
    return headers_list_has(&m->headers, "Upgrade", "websocket");
}

/* From where on it wants messages, or what it has: a poll is what it means. */
static bool says_place(const struct http_message *m, const struct feed *feed)
{
    return feed->cursor.kind != CURSOR_NONE ||
           headers_get(&m->headers, "If-None-Match").p != NULL ||
           str_eq(m->method, STR("HEAD"));
}

/* In the order of the contract; KIND_N: none that the route serves.  advised is
 * for who leaves it open; KIND_N: nothing is. */
static enum transport_kind select_transport(const struct http_message *m,
                                            const struct route *r,
                                            const struct feed *feed,
                                            enum transport_kind advised)
{
    static const enum transport_kind plain[] = {KIND_POLL, KIND_LONGPOLL,
                                                KIND_SSE};
    struct acceptance accept = read_accept(&m->headers);

    if (asks_for_websocket(m))
        return route_serves(r, KIND_WEBSOCKET) ? KIND_WEBSOCKET : KIND_N;
    if (accept.event_stream && route_serves(r, KIND_SSE))
        return KIND_SSE;
    if (accept.event_stream && !accept.anything_else)
        return KIND_N;
    if (feed->waits && route_serves(r, KIND_LONGPOLL))
        return KIND_LONGPOLL;
    if (advised != KIND_N && !says_place(m, feed))
        return advised;
    for (int i = 0; i < 3; i++)
        if (route_serves(r, plain[i]))
            return plain[i];
    return KIND_N;
}

static void refuse_transport(struct exchange *x, const struct route *r)
{
    bool websocket_only = r->transport_count == 1 &&
                          route_serves(r, KIND_WEBSOCKET);
    struct answer_headers a;
    struct buffer names = {0};

    for (unsigned i = 0; i < r->transport_count; i++)
        buffer_printf(&names, "%s%s", i > 0 ? ", " : "",
                      tally_transports[r->transports[i]]);
    answer_init(&a);
    if (websocket_only)
        answer_add(&a, "Upgrade", STR("websocket"));
    exchange_problem(x, websocket_only ? 426 : 406, &a.headers,
                     "this route serves %.*s only", STR_ARG(buffer_str(&names)));
    buffer_fini(&names);
}

/* ---- how often --------------------------------------------------------------- */

/* Whoever is to come back later, is told so with a second or more between any
 * two, or they would all come back at once. */
static void add_retry_after(struct answer_headers *a, char text[24],
                            uint64_t least_s, uint64_t most_s)
{
    snprintf(text, 24, "%llu",
             (unsigned long long)jitter_between(least_s, most_s));
    answer_add(a, "Retry-After", str_of(text));
}

/* What a route is, through any reload that leaves it. */
static uint64_t route_number(const struct route *r)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */

    for (const char *c = r->host; c != NULL && *c != '\0'; c++)
        h = (h ^ (unsigned char)*c) * UINT64_C(1099511628211);
    for (const char *c = r->path; *c != '\0'; c++) /* begins with a slash */
        h = (h ^ (unsigned char)*c) * UINT64_C(1099511628211);
    return h;
}

/* Answers 429 to a client that asks more often than the route allows. */
static bool refuse_rate(struct exchange *x, const struct route *r)
{
    struct answer_headers a;
    struct address who;
    char peer[64], seconds[24];
    uint64_t wait_us, wait_s;

    if (r->rate.interval_us == 0 ||
        !address_of_text(exchange_peer(x, peer, sizeof(peer)), &who))
        return false;
    wait_us = throttle_take(server_part(x)->server->throttle, &r->rate,
                            route_number(r), &who, clock_now_us());
    if (wait_us == 0)
        return false;
    meter_add(METER_requests_over_rate, 1);
    wait_s = wait_us / 1000000 + 1;
    answer_init(&a);
    add_retry_after(&a, seconds, wait_s, wait_s + wait_s / 2 + 1);
    exchange_problem(x, 429, &a.headers,
                     "this is more than the route allows one client: wait as "
                     "Retry-After says");
    return true;
}

/* ---- a channel --------------------------------------------------------------- */

/* Last-Event-ID wins over ?since=. */
static void read_cursor(const struct http_message *m, struct feed *feed)
{
    struct str id = headers_get(&m->headers, "Last-Event-ID");
    char since[128];
    int n = str_query_get(m->query, "since", since, sizeof(since));

    if (id.n > 0)
        feed->cursor = cursor_parse(id);
    else if (n >= 0)
        feed->cursor = cursor_parse((struct str){since, (size_t)n});
    else if (n == -EINVAL)
        feed->cursor = (struct cursor){.kind = CURSOR_ALIEN};
    feed->in_url = id.n == 0 && n > 0;
    feed->etag = cursor_parse_etags(headers_get(&m->headers, "If-None-Match"));
}

void serve_read(const struct http_message *m, struct feed *feed)
{
    read_wait(m, feed);
    read_cursor(m, feed);
}

static void refuse_channel(struct exchange *x, int error, struct str name)
{
    struct answer_headers a;
    char seconds[24];

    answer_init(&a);
    if (error == -ENAMETOOLONG) {
        exchange_problem(x, 414, NULL, "the channel's name is too long");
        return;
    }
    if (error == -ENOENT) {
        exchange_problem(x, 404, NULL, "this route has no channel \"%.*s\"",
                         STR_ARG(name));
        return;
    }
    if (error == -E2BIG) {
        exchange_problem(x, 400, NULL,
                         "one connection may read %d channels at the most",
                         FEED_CHANNELS_MAX);
        return;
    }
    add_retry_after(&a, seconds, RETRY_LEAST_S, RETRY_MOST_S);
    exchange_problem(x, 503, &a.headers,
                     error == -ENOSPC ? "limits.channels is reached"
                                      : "out of memory: try again later");
}

/* A message for the channel, from a client whose transport is one-way; where
 * each connection has a channel of its own it would go to nobody. */
static bool is_message(const struct http_message *m, const struct route *r)
{
    return str_eq(m->method, STR("POST")) && !asks_for_websocket(m) &&
           route_takes_posts(r);
}

static bool asks_for_list(const struct http_message *m, const struct route *r)
{
    return !is_message(m, r) && !asks_for_websocket(m) &&
           presence_asked(m->query, &r->reader.presence);
}

/* Refuses what is neither a way to read nor a message. */
static bool refuse_method(struct exchange *x, const struct route *r)
{
    const struct http_message *m = x->request;
    struct answer_headers a;
    bool takes = route_takes_posts(r);

    if (str_eq(m->method, STR("GET")) || x->is_head || asks_for_websocket(m) ||
        is_message(m, r))
        return false;
    exchange_count(x, route_tally(r, KIND_N));
    answer_init(&a);
    answer_add(&a, "Allow", takes ? STR("GET, HEAD, POST, OPTIONS")
                                  : STR("GET, HEAD, OPTIONS"));
    if (str_eq(m->method, STR("OPTIONS")))
        exchange_respond(x, 204, &a.headers, NULL, 0);
    else
        exchange_problem(x, 405, &a.headers,
                         takes ? "this route is read with GET and takes "
                                 "messages by POST"
                               : "this route is read with GET and takes no "
                                 "messages");
    return true;
}

/* Makes or finds the channel that a template means, for those who passed that
 * (NULL: for all).  0 or -errno. */
static int find_channel(struct exchange *x, const struct route *r,
                        const struct pattern *name,
                        const struct pattern_values *values,
                        const struct str *passed, struct channel **out)
{
    struct history_bounds bounds = apply_bounds(r);
    struct buffer text = {0};
    int rc = pattern_expand(name, values, &text);

    if (rc == 0 && passed != NULL)
        passed_name(&text, *passed);
    if (rc == 0 && text.failed)
        rc = -ENOMEM;
    if (rc == 0)
        rc = hub_channel(&server_part(x)->server->hub, buffer_str(&text),
                         &bounds, out);
    buffer_fini(&text);
    return rc;
}

/* The channels that the route reads and writes, with references; or where else
 * what a client says goes, in target. */
static int find_channels(struct exchange *x, const struct route *r,
                         const struct pattern_values *values,
                         struct buffer *target, struct feed *feed)
{
    bool own = r->source.per == PER_CLIENT;
    int rc = find_channel(x, r, &r->channel, values,
                          own ? &feed->request.passed : NULL, &feed->channel);

    if (rc < 0)
        return rc;
    switch (r->reader.receive) {
    case RECEIVE_NOTHING:
        break;
    case RECEIVE_CHANNEL:
        feed->receive = channel_ref(feed->channel);
        break;
    case RECEIVE_OTHER:
        return find_channel(x, r, &r->receive, values, NULL, &feed->receive);
    case RECEIVE_POST:
    case RECEIVE_WEBSOCKET:
        feed->inbox_type = r->reader.receive == RECEIVE_POST ? &inbox_post
                                                             : &inbox_websocket;
        rc = pattern_expand_url(&r->receive, values, target);
        feed->inbox_target = buffer_str(target);
        break;
    case RECEIVE_REDIS:
        feed->inbox_type = loader_inbox("redis");
        rc = pattern_expand_text(&r->receive, values, false, target);
        feed->inbox_target = buffer_str(target);
        break;
    }
    return rc;
}

/* A WebSocket may still say so. */
static void refuse_nameless(struct exchange *x)
{
    exchange_problem(x, 400, NULL,
                     "name the channels to read: ?channel=NAME, which may "
                     "stand there several times");
}

static void open_transport(struct exchange *x, const struct route *r,
                           struct feed *feed)
{
    if (x->kind == KIND_N)
        refuse_transport(x, r);
    else if (r->multiplex && feed->channel_count == 0 &&
             x->kind != KIND_WEBSOCKET)
        refuse_nameless(x);
    else
        modules_transport(tally_transports[x->kind])->open(x, feed);
}

/* How it is answered: a transport's kind, or KIND_N for what reads no channel,
 * or none that the route serves. */
static enum transport_kind kind_of(const struct exchange *x,
                                   const struct route *r,
                                   const struct feed *feed)
{
    const struct http_message *m = x->request;

    return is_message(m, r) || asks_for_list(m, r)
               ? KIND_N
               : select_transport(m, r, feed,
                                  advisor_choice(server_part(x)->server, r));
}

/* A request that is one of many, and not a reader that stays. */
static bool is_short(const struct http_message *m, const struct route *r,
                     enum transport_kind kind)
{
    return is_message(m, r) || asks_for_list(m, r) || kind == KIND_POLL ||
           kind == KIND_LONGPOLL;
}

/* A name that no other client has. */
static struct str name_client(char name[ID_MAX])
{
    static _Thread_local uint64_t epoch;
    static _Atomic uint64_t last;

    if (epoch == 0)
        epoch = epoch_new();
    return (struct str){name, id_format(name, epoch,
                                        atomic_fetch_add(&last, 1) + 1)};
}

static void name_connection(struct pattern_values *values, struct str name)
{
    if (values->count == PATTERN_PARTS_MAX)
        return;
    values->names[values->count] = STR("connection");
    values->values[values->count++] = name;
}

/* A message is for one of them. */
static void take_message(struct exchange *x, const struct route *r,
                         const struct feed *feed)
{
    if (feed->channel_count == 1)
        publish_open(x, feed->channels[0].channel, r->reader.message_bytes,
                     r->reader.inbox.json);
    else
        exchange_problem(x, 400, NULL,
                         "name the channel of the message: ?channel=NAME");
}

static void serve_several(struct exchange *x, const struct route *r,
                          struct feed *feed)
{
    struct buffer wrong = {0};
    int rc = multiplex_read(x, feed, &wrong);

    if (rc < 0)
        refuse_channel(x, rc, buffer_str(&wrong));
    else if (is_message(x->request, r))
        take_message(x, r, feed);
    else
        open_transport(x, r, feed);
    multiplex_fini(feed);
    buffer_fini(&wrong);
}

/* What a route's templates say for one request, which feed points into. */
struct said {
    struct buffer path, passed, target, hooks[2];
    char client[ID_MAX];
};

static void said_fini(struct said *s)
{
    buffer_fini(&s->path);
    buffer_fini(&s->passed);
    buffer_fini(&s->target);
    buffer_fini(&s->hooks[0]);
    buffer_fini(&s->hooks[1]);
}

/* Who the client is to its backend, and what that hears of it. */
static int say_client(const struct route *r, struct pattern_values *values,
                      struct said *s, struct feed *feed)
{
    int rc = 0;

    feed->client = name_client(s->client);
    if (r->per_connection)
        name_connection(values, feed->client);
    for (int i = 0; rc == 0 && i < 2; i++) {
        if (r->reader.hooks.backends[i] == NULL)
            continue;
        rc = pattern_expand_url(&r->hooks[i], values, &s->hooks[i]);
        feed->hook_targets[i] = buffer_str(&s->hooks[i]);
    }
    return rc;
}

/* What its source is asked. */
static int say_request(const struct http_message *m, const struct route *r,
                       const struct pattern_values *values, struct said *s,
                       struct feed *feed)
{
    int rc = r->source.path == NULL
                 ? 0
                 : config_source_path(r, values, &s->path);

    if (r->source.pass != NULL)
        passed_collect(&s->passed, &m->headers, r->source.pass);
    feed->request = (struct source_request){buffer_str(&s->path),
                                            buffer_str(&s->passed)};
    return s->passed.failed ? -ENOMEM : rc;
}

static void serve_one(struct exchange *x, const struct route *r,
                      const struct pattern_values *values, struct said *s,
                      struct feed *feed)
{
    int rc = say_request(x->request, r, values, s, feed);

    if (rc == 0)
        rc = find_channels(x, r, values, &s->target, feed);
    if (rc < 0)
        refuse_channel(x, rc, STR_NONE);
    else if (asks_for_list(x->request, r))
        presence_answer(x, feed);
    else if (!is_message(x->request, r))
        open_transport(x, r, feed);
    else if (feed->receive != NULL)
        publish_open(x, feed->receive, r->reader.message_bytes,
                     r->reader.inbox.json);
    else
        relay_open(x, feed);
    channel_unref(&feed->channel);
    channel_unref(&feed->receive);
}

static void serve_channel(struct exchange *x, const struct route *r,
                          struct pattern_values *values)
{
    struct feed feed = {
        .snapshot = x->snapshot,
        .reader = &r->reader,
        .source = &r->source,
    };
    struct said said = {.path = {0}};
    int rc;

    if (refuse_method(x, r))
        return;
    read_wait(x->request, &feed);
    read_cursor(x->request, &feed);
    x->kind = (uint8_t)kind_of(x, r, &feed);
    exchange_count(x, route_tally(r, x->kind));
    if (is_short(x->request, r, x->kind) && refuse_rate(x, r))
        return;
    if (is_message(x->request, r))
        tally_add(x->tally, TALLY_messages_taken, 1);
    rc = say_client(r, values, &said, &feed);
    if (rc < 0)
        refuse_channel(x, rc, STR_NONE);
    else if (r->multiplex)
        serve_several(x, r, &feed);
    else
        serve_one(x, r, values, &said, &feed);
    said_fini(&said);
}

/* ---- the request ------------------------------------------------------------- */

void serve_client(struct exchange *x)
{
    struct config *config = server_part(x)->config;
    const struct http_message *m = x->request;
    struct pattern_values values;
    const struct route *r;

    x->snapshot = snapshot_ref(&config->snapshot);
    if (config_route_ambiguous(config, m->authority, m->path)) {
        exchange_count(x, 0);
        exchange_problem(x, 400, NULL,
                         "written in its normal form, this path is another "
                         "route's");
        return;
    }
    r = config_route(config, m->authority, m->path, &values);
    if (script_wanted(config, m, r)) {
        exchange_count(x, 0);
        script_serve(x);
        return;
    }
    if (r == NULL) {
        exchange_count(x, 0);
        exchange_problem(x, 404, NULL, "no route serves this path");
        return;
    }
    x->about = r;
    x->route = r->path;
    if (cors_begin(x, r))
        return;
    if (r->proxy == NULL) {
        serve_channel(x, r, &values);
        return;
    }
    exchange_count(x, route_tally(r, KIND_N));
    if (!refuse_rate(x, r))
        forward_exchange(x, r->proxy);
}
