/* The admin listener: publishing, what there is, health, counters, a page. */
#include <errno.h>
#include <openssl/crypto.h>

#include "base/clock.h"
#include "feed/publish.h"
#include "feed/source.h"
#include "hub/cursor.h"
#include "measure/updates.h"
#include "server/advisor.h"
#include "server/apply.h"
#include "server/dashboard.h"
#include "server/live.h"
#include "server/metrics.h"
#include "server/race.h"
#include "server/reload.h"
#include "server/report.h"
#include "server/server.h"
#include "wire/json.h"

static void respond_json(struct exchange *x, struct buffer *body)
{
    struct answer_headers a;

    answer_init(&a);
    answer_add(&a, "Content-Type", STR("application/json"));
    answer_add(&a, "Cache-Control", STR("no-store"));
    buffer_append_byte(body, '\n');
    if (body->failed)
        exchange_problem(x, 503, NULL, "out of memory: try again later");
    else
        exchange_respond(x, 200, &a.headers, body->data, body->len);
    buffer_fini(body);
}

/* ---- who may ------------------------------------------------------------- */

/* Takes as long whatever it is that differs. */
static bool is_same(struct str a, struct str b)
{
    return a.n == b.n && CRYPTO_memcmp(a.p, b.p, b.n) == 0;
}

/* A page cannot give a WebSocket a field, but subprotocols: the token is one of
 * them, in hexadecimal, as it may hold what a subprotocol must not. */
#define TOKEN_SUBPROTOCOL "penstock.token."

static bool subprotocol_matches(const struct exchange *x, struct str token)
{
    struct buffer want = {0};
    struct str list, element;
    unsigned at = 0;
    bool matches = false;

    buffer_append_str(&want, STR(TOKEN_SUBPROTOCOL));
    for (size_t i = 0; i < token.n; i++)
        buffer_printf(&want, "%02x", (unsigned char)token.p[i]);
    while (headers_next(&x->request->headers, "Sec-WebSocket-Protocol", &at,
                        &list))
        while (str_list_next(&list, &element))
            matches |= is_same(element, buffer_str(&want));
    matches &= !want.failed;
    buffer_fini(&want);
    return matches;
}

static bool token_matches(const struct exchange *x, struct str token)
{
    struct str given = headers_get(&x->request->headers, "Authorization");
    struct str scheme, value = str_split(given, ' ', &scheme);

    return (str_eq_nocase(scheme, STR("Bearer")) &&
            is_same(str_trim(value), token)) ||
           subprotocol_matches(x, token);
}

/* A web page can make its visitor's browser send requests to loopback; but it
 * cannot leave out Origin, nor set it. */
static bool comes_from_elsewhere(const struct exchange *x)
{
    struct str origin = headers_get(&x->request->headers, "Origin");
    struct str scheme, rest = str_split(origin, ':', &scheme);

    return origin.p != NULL &&
           !(str_starts(rest, STR("//")) &&
             str_eq_nocase((struct str){rest.p + 2, rest.n - 2},
                           x->request->authority));
}

static bool refuse_stranger(struct exchange *x)
{
    const char *token = server_part(x)->config->admin_token;
    struct answer_headers a;

    answer_init(&a);
    if (token != NULL && !token_matches(x, str_of(token))) {
        answer_add(&a, "WWW-Authenticate", STR("Bearer"));
        exchange_problem(x, 401, &a.headers,
                         "the admin listener wants its bearer token");
        return true;
    }
    if (token == NULL && comes_from_elsewhere(x)) {
        exchange_problem(x, 403, NULL,
                         "pages of other origins may not use the admin "
                         "listener");
        return true;
    }
    return false;
}

/* ---- channels ------------------------------------------------------------ */

static void describe_updates(struct channel *c, struct buffer *out)
{
    uint64_t now_us = clock_now_us();
    struct updates u = {0};
    struct frequency f;

    channel_frequency(c, &f);
    updates_add(&u, &f, now_us);
    buffer_append_str(out, STR(",\"updates\":"));
    updates_write(out, &u, now_us);
}

static void describe(struct channel *c, struct buffer *out)
{
    struct channel_status s;
    char first[ID_MAX], last[ID_MAX];

    channel_status(c, &s);
    id_format(first, s.epoch, s.first_seq);
    id_format(last, s.epoch, s.next_seq - 1);
    buffer_append_str(out, STR("{\"name\":"));
    json_append_string(out, str_of(c->name));
    buffer_printf(out,
                  ",\"readers\":%u,\"messages\":%u,\"bytes\":%zu,"
                  "\"first\":\"%s\",\"last\":\"%s\"",
                  s.readers, s.messages, s.bytes, first, last);
    source_describe(c, out);
    describe_updates(c, out);
    buffer_append_byte(out, '}');
}

static void list_one(struct channel *c, void *arg)
{
    struct buffer *out = arg;

    if (out->data[out->len - 1] != '[')
        buffer_append_byte(out, ',');
    describe(c, out);
}

static void list_channels(struct exchange *x)
{
    struct buffer body = {0};

    buffer_append_str(&body, STR("{\"channels\":["));
    if (!body.failed)
        hub_each(&server_part(x)->server->hub, list_one, &body);
    buffer_append_str(&body, STR("]}"));
    respond_json(x, &body);
}

static void show_channel(struct exchange *x, struct str name)
{
    struct buffer body = {0};
    struct channel *c;

    if (hub_channel(&server_part(x)->server->hub, name, NULL, &c) < 0) {
        exchange_problem(x, 404, NULL, "there is no such channel now");
        return;
    }
    describe(c, &body);
    channel_unref(&c);
    respond_json(x, &body);
}

static void delete_channel(struct exchange *x, struct str name)
{
    if (hub_delete(&server_part(x)->server->hub, name) < 0) {
        exchange_problem(x, 404, NULL, "there is no such channel now");
        return;
    }
    /* What always runs goes on, into a channel that begins anew. */
    reload_start_sources(server_part(x));
    exchange_respond(x, 204, NULL, NULL, 0);
}

static void publish(struct exchange *x, struct str name)
{
    struct server_worker *part = server_part(x);
    const struct route *r = config_route_of_channel(part->config, name, NULL);
    struct history_bounds bounds;
    struct channel *c;
    int rc;

    if (r == NULL) {
        exchange_problem(x, 404, NULL,
                         "no route serves a channel of this name: look at "
                         "GET /routes");
        return;
    }
    bounds = apply_bounds(r);
    rc = hub_channel(&part->server->hub, name, &bounds, &c);
    if (rc < 0) {
        exchange_problem(x, rc == -ENAMETOOLONG ? 414 : 503, NULL,
                         rc == -ENAMETOOLONG ? "the name is too long"
                         : rc == -ENOSPC     ? "limits.channels is reached"
                                             : "out of memory");
        return;
    }
    publish_open(x, c, part->config->limits.message_bytes, false);
    channel_unref(&c);
}

static void refuse_method(struct exchange *x, const char *allow)
{
    struct answer_headers a;

    answer_init(&a);
    answer_add(&a, "Allow", str_of(allow));
    exchange_problem(x, 405, &a.headers, "this takes %s", allow);
}

/* Names compare in the normal form in which routes make them. */
static void serve_channel_name(struct exchange *x, struct str raw)
{
    struct str method = x->request->method;
    struct buffer name = {0};

    pattern_normalize(raw, &name);
    if (name.failed || name.len == 0)
        exchange_problem(x, 404, NULL, "name a channel: /channels/NAME");
    else if (str_eq(method, STR("POST")) || str_eq(method, STR("PUT")))
        publish(x, buffer_str(&name));
    else if (str_eq(method, STR("GET")) || x->is_head)
        show_channel(x, buffer_str(&name));
    else if (str_eq(method, STR("DELETE")))
        delete_channel(x, buffer_str(&name));
    else
        refuse_method(x, "GET, HEAD, POST, PUT, DELETE");
    buffer_fini(&name);
}

/* ---- the rest ------------------------------------------------------------ */

static void list_routes(struct exchange *x)
{
    struct buffer body = {0};

    report_routes(&body, server_part(x)->server, server_part(x)->config);
    respond_json(x, &body);
}

static void show_advice(struct exchange *x)
{
    struct buffer body = {0};

    advisor_write(&body, server_part(x)->server, server_part(x)->config);
    respond_json(x, &body);
}

static void show_metrics(struct exchange *x)
{
    struct buffer body = {0};
    struct answer_headers a;

    metrics_write(&body, server_part(x)->server, server_part(x)->config);
    answer_init(&a);
    answer_add(&a, "Content-Type", STR("text/plain; version=0.0.4"));
    if (body.failed)
        exchange_problem(x, 503, NULL, "out of memory: try again later");
    else
        exchange_respond(x, 200, &a.headers, body.data, body.len);
    buffer_fini(&body);
}

static void show_health(struct exchange *x, bool well)
{
    struct answer_headers a;

    answer_init(&a);
    answer_add(&a, "Content-Type", STR("text/plain"));
    exchange_respond(x, well ? 200 : 503, &a.headers, well ? "ok\n" : "no\n",
                     3);
}

static void serve_name(struct exchange *x, struct str path)
{
    if (str_eq(path, STR("/channels")))
        list_channels(x);
    else if (str_eq(path, STR("/routes")))
        list_routes(x);
    else if (str_eq(path, STR("/advice")))
        show_advice(x);
    else if (str_eq(path, STR("/live")))
        live_open(server_part(x)->server, server_part(x)->config, x);
    else if (str_eq(path, STR("/metrics")))
        show_metrics(x);
    else
        exchange_problem(x, 404, NULL,
                         "there are / (for a browser), /channels, "
                         "/channels/NAME, /routes, /advice, /live, "
                         "/race/TRANSPORT/CHANNEL, /metrics, /healthz and "
                         "/readyz");
}

void serve_admin(struct exchange *x)
{
    const struct server *server = server_part(x)->server;
    struct str path = x->request->path;
    const struct str prefix = STR("/channels/"), race = STR("/race/");
    const struct asset *file = dashboard_file(path);

    if (file != NULL)
        dashboard_serve(x, file);
    else if (str_eq(path, STR("/healthz")))
        show_health(x, true);
    else if (str_eq(path, STR("/readyz")))
        show_health(x, atomic_load(&server->ready) &&
                           !atomic_load(&server->draining));
    else if (refuse_stranger(x))
        return;
    else if (str_starts(path, prefix))
        serve_channel_name(x, (struct str){path.p + prefix.n,
                                           path.n - prefix.n});
    else if (!str_eq(x->request->method, STR("GET")) && !x->is_head)
        refuse_method(x, "GET, HEAD");
    else if (str_starts(path, race))
        race_serve(x, (struct str){path.p + race.n, path.n - race.n});
    else
        serve_name(x, path);
}
