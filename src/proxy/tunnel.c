#include "proxy/tunnel.h"

#include <stdlib.h>

#include "base/logging.h"
#include "http/client.h"
#include "http/exchange.h"
#include "net/worker.h"
#include "proxy/forward.h"
#include "wire/websocket.h"

/* What is left of a WebSocket after one side's FIN is at most a Close on its
 * way: a client that has closed its page must not hold the backend longer. */
#define WEBSOCKET_END_MS 500
/* Other protocols may do with one direction for as long as something moves. */
#define OTHER_END_MS 60000

/* ---- who may ------------------------------------------------------------- */

static bool is_websocket(struct str protocol)
{
    return str_eq_nocase(protocol, STR("websocket"));
}

/* h2c would carry any number of requests that no rule of ours is asked about;
 * TLS would hide them. */
static bool is_opaque(struct str protocol)
{
    struct str name;

    str_split(protocol, '/', &name);
    return str_eq_nocase(name, STR("h2c")) || str_eq_nocase(name, STR("h2")) ||
           str_eq_nocase(name, STR("HTTP")) || str_eq_nocase(name, STR("TLS"));
}

static bool asks_for_websocket(const struct http_message *m)
{
    return headers_list_has(&m->headers, "Upgrade", "websocket") &&
           headers_list_has(&m->headers, "Connection", "upgrade");
}

struct str tunnel_protocol(const struct http_message *m)
{
    struct str list, protocol, first = STR_NONE;
    unsigned at = 0;

    if (!m->upgrade)
        return STR_NONE;
    while (headers_next(&m->headers, "Upgrade", &at, &list))
        while (str_list_next(&list, &protocol)) {
            if (is_websocket(protocol))
                return protocol;
            if (first.p == NULL && !is_opaque(protocol))
                first = protocol;
        }
    return first;
}

unsigned tunnel_refusal(const struct http_message *m, const char **why)
{
    struct str version = headers_get_only(&m->headers,
                                          "Sec-WebSocket-Version");
    struct str key = headers_get_only(&m->headers, "Sec-WebSocket-Key");

    if (!asks_for_websocket(m))
        return 0;
    *why = "a WebSocket handshake is a GET of HTTP/1.1 without a body";
    if (!str_eq(m->method, STR("GET")) || !m->upgrade)
        return 400;
    *why = "a WebSocket handshake needs one Sec-WebSocket-Version: 13";
    if (version.p == NULL)
        return 400;
    if (!str_eq(version, STR("13")))
        return 426;
    *why = "a WebSocket handshake needs one Sec-WebSocket-Key of 16 octets";
    return ws_key_ok(key) ? 0 : 400;
}

bool tunnel_granted(const struct http_message *request, struct str protocol,
                    const struct http_message *answer, const char **why)
{
    char want[WS_ACCEPT_LEN + 1];

    *why = "upgrade to a protocol that was not asked for";
    if (!answer->upgrade || protocol.p == NULL ||
        !str_eq_nocase(headers_get_only(&answer->headers, "Upgrade"),
                       protocol))
        return false;
    if (!is_websocket(protocol))
        return true;
    *why = "wrong Sec-WebSocket-Accept";
    ws_accept(headers_get(&request->headers, "Sec-WebSocket-Key"), want);
    return want[0] != '\0' &&
           str_eq(headers_get_only(&answer->headers, "Sec-WebSocket-Accept"),
                  str_of(want));
}

/* ---- the octets ---------------------------------------------------------- */

struct tunnel {
    struct exchange *x;
    struct client *client;
    struct timer timer;      /* since one side has ended */
    uint64_t end_ms;
    size_t behind_seen;      /* when the timer was set */
    bool client_ended;       /* ours, who asked */
    bool server_ended;
};

static struct client *release(struct tunnel *t)
{
    struct client *c = t->client;

    worker_timer_clear(worker_self(), &t->timer);
    t->x->ops = NULL;
    free(t);
    return c;
}

static void close_tunnel(struct tunnel *t)
{
    struct exchange *x = t->x;

    client_close(release(t));
    exchange_finish(x);
}

static size_t behind(const struct tunnel *t)
{
    return client_unacked(t->client) + exchange_unacked(t->x);
}

/* Once a side has ended, the other's octets still pass as long as they come.
 * Whether the tunnel was closed.  What its client is still to get, the
 * exchange sends after its end. */
static bool watch_end(struct tunnel *t)
{
    if (t->client_ended && t->server_ended && client_pending(t->client) == 0) {
        close_tunnel(t);
        return true;
    }
    if (t->client_ended || t->server_ended) {
        t->behind_seen = behind(t);
        worker_timer_set(worker_self(), &t->timer, t->end_ms);
    }
    return false;
}

static void on_timer(struct timer *timer)
{
    struct tunnel *t =
        (struct tunnel *)((char *)timer - offsetof(struct tunnel, timer));

    if (behind(t) < t->behind_seen)
        watch_end(t);
    else
        close_tunnel(t);
}

static void on_client_raw(struct exchange *x, char *data, size_t len)
{
    struct tunnel *t = x->handler;

    client_send(t->client, data, len);
    if (client_pending(t->client) > FORWARD_HIGH_WATER)
        exchange_read(x, false);
    watch_end(t);
}

static void on_client_end(struct exchange *x)
{
    struct tunnel *t = x->handler;

    t->client_ended = true;
    client_shutdown(t->client);
    watch_end(t);
}

static void on_client_drained(struct exchange *x)
{
    struct tunnel *t = x->handler;

    if (!watch_end(t))
        client_read(t->client, true);
}

static void on_client_gone(struct exchange *x)
{
    client_close(release(x->handler));
}

static const struct exchange_ops client_side = {
    .raw = on_client_raw,
    .raw_end = on_client_end,
    .drained = on_client_drained,
    .gone = on_client_gone,
};

static void on_server_raw(struct client *c, char *data, size_t len)
{
    struct tunnel *t = client_arg(c);

    exchange_write(t->x, data, len);
    if (exchange_pending(t->x) > FORWARD_HIGH_WATER)
        client_read(c, false);
    watch_end(t);
}

static void on_server_end(struct client *c)
{
    struct tunnel *t = client_arg(c);

    t->server_ended = true;
    exchange_shutdown(t->x);
    watch_end(t);
}

static void on_server_drained(struct client *c)
{
    struct tunnel *t = client_arg(c);

    if (!watch_end(t))
        exchange_read(t->x, true);
}

/* It broke: the client must not take this for an orderly end. */
static void on_server_failed(struct client *c, enum client_failure failure,
                             const char *why)
{
    struct tunnel *t = client_arg(c);
    struct exchange *x = t->x;

    log_debug("tunnel.broken", "reason=%s", client_failure_names[failure]);
    release(t);
    exchange_fail(x);
}

static const struct client_ops server_side = {
    .drained = on_server_drained,
    .raw = on_server_raw,
    .raw_end = on_server_end,
    .failed = on_server_failed,
};

void tunnel_open(struct exchange *x, struct client *c,
                 const struct headers *headers, struct str protocol)
{
    struct tunnel *t = calloc(1, sizeof(*t));

    if (t == NULL) {
        client_close(c);
        x->ops = NULL;
        exchange_fail(x);
        return;
    }
    t->x = x;
    t->client = c;
    t->end_ms = is_websocket(protocol) ? WEBSOCKET_END_MS : OTHER_END_MS;
    t->timer.fire = on_timer;
    x->handler = t;
    x->ops = &client_side;
    client_set_owner(c, &server_side, t);
    exchange_upgrade(x, headers); /* what the client sent ahead comes now */
}
