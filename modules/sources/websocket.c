/* websocket.c - the source "websocket": a backend's WebSocket, of which we are
 * the client (RFC 6455).  It has no ids, so what was sent while we were away
 * is not had. */
#include <errno.h>
#include <stdlib.h>

#include "base/logging.h"
#include "base/meter.h"
#include "feed/socket.h"
#include "feed/source.h"
#include "feed/target.h"
#include "feed/verdict.h"
#include "hub/message.h"
#include "modules.h"
#include "proxy/backend.h"

struct websocket_source {
    struct source *source;
    struct target target;
    struct client *client; /* NULL while there is none */
    struct ws_parser parser;
    bool parser_ready, open;
    bool said_close;       /* nothing may follow it (5.5.1) */
    const char *over;      /* why a callback stopped the feed */
    struct socket socket;
};

static void give_up(struct websocket_source *s, const char *why)
{
    source_failed(s->source, why, 0);
}

/* ---- to the backend ---------------------------------------------------------- */

static void send_close(struct websocket_source *s, unsigned code)
{
    s->said_close = true;
    socket_send_close(s->client, code);
}

static void send_handshake(struct websocket_source *s)
{
    struct buffer b = {0};

    target_write_request(&s->target, s->source, &b);
    socket_offer(&s->socket, source_settings(s->source)->compress, &b);
    client_expect(s->client, false, true);
    client_send(s->client, b.data, b.len);
    buffer_fini(&b);
}

/* ---- from the backend -------------------------------------------------------- */

static int on_message(void *arg, enum ws_opcode opcode, struct str data)
{
    struct websocket_source *s = arg;
    const struct message_parts parts = {
        .data = data,
        .content_type = opcode == WS_BINARY ? STR("application/octet-stream")
                                            : STR_NONE,
    };

    return source_emit(s->source, &parts, STR_NONE);
}

/* Answered at once, whatever our readers do (5.5.2). */
static int answer_ping(struct websocket_source *s, struct str data)
{
    if (client_pending(s->client) < SOCKET_UNSENT_MAX) {
        socket_send(s->client, WS_PONG, data);
        return 0;
    }
    send_close(s, WS_POLICY);
    s->over = "the backend reads none of its pongs";
    return 1;
}

static int on_control(void *arg, enum ws_opcode opcode, struct str data)
{
    struct websocket_source *s = arg;

    if (opcode == WS_PING)
        return answer_ping(s, data);
    if (opcode != WS_CLOSE)
        return 0;
    send_close(s, ws_close_body_code(data));
    s->over = "the backend closed the WebSocket";
    return 1;
}

static const struct ws_parser_ops parser_ops = {on_message, on_control};

static void watch_silence(struct websocket_source *s)
{
    client_set_timer(s->client, source_settings(s->source)->idle_ms);
}

/* Fails the connection (7.1.7): what still comes is not looked at. */
static void fail(struct websocket_source *s, unsigned code, const char *why)
{
    send_close(s, code);
    client_shutdown(s->client);
    give_up(s, why);
}

static void on_raw(struct client *c, char *data, size_t len)
{
    struct websocket_source *s = client_arg(c);
    int rc;

    watch_silence(s);
    rc = ws_parser_feed(&s->parser, data, len);
    source_flush(s->source);
    if (rc == -EPROTO) {
        meter_add(METER_source_refused, 1);
        fail(s, s->parser.fail_code, s->parser.fail_reason);
    } else if (rc < 0) {
        fail(s, WS_INTERNAL_ERROR, "out of memory");
    } else if (rc > 0) {
        give_up(s, s->over);
    }
}

static int ask(struct websocket_source *s);

static void redirect(struct websocket_source *s, struct str location)
{
    const char *why = target_follow(&s->target, s->source, location);

    if (why == NULL) {
        client_close(s->client);
        why = ask(s) < 0 ? "out of memory" : NULL;
    }
    if (why != NULL)
        give_up(s, why);
}

static void on_head(struct client *c, const struct http_message *m)
{
    struct websocket_source *s = client_arg(c);
    const char *first = source_settings(s->source)->subscribe;
    struct str location;
    const char *why;

    if (m->status < 200 && m->status != 101)
        return;
    if (target_is_redirect(m, &location)) {
        redirect(s, location);
        return;
    }
    why = socket_judge(&s->socket, m);
    if (why != NULL) {
        give_up(s, why);
        return;
    }
    s->open = true;
    s->parser.deflate = s->socket.deflate;
    watch_silence(s);
    source_opened(s->source, false);
    if (first != NULL)
        socket_send(s->client, WS_TEXT, str_of(first));
}

static void on_body(struct client *c, const char *data, size_t len)
{
}

static void on_end(struct client *c, bool reusable)
{
    give_up(client_arg(c), "the backend refused the upgrade");
}

static void on_connected(struct client *c)
{
    struct websocket_source *s = client_arg(c);

    client_set_timer(c, source_settings(s->source)->backend->response_ms);
}

static void on_failed(struct client *c, enum client_failure failure,
                      const char *why)
{
    struct websocket_source *s = client_arg(c);

    s->client = NULL;
    give_up(s, verdict_failure(failure, s->open, why));
}

static const struct client_ops backend_ops = {
    .connected = on_connected,
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .raw = on_raw,
    .failed = on_failed,
};

/* ---- source_type --------------------------------------------------------------- */

static int ask(struct websocket_source *s)
{
    s->client = target_connect(&s->target, s->source, &backend_ops, s);
    if (s->client == NULL)
        return -ENOMEM;
    send_handshake(s);
    return 0;
}

static int start(struct source *source)
{
    struct websocket_source *s = source_state(source);

    s->source = source;
    s->open = s->said_close = false;
    s->over = NULL;
    if (s->parser_ready)
        ws_parser_fini(&s->parser);
    ws_parser_init(&s->parser, &parser_ops, s, WS_CLIENT,
                   source_settings(source)->message_bytes);
    s->parser_ready = true;
    if (target_begin(&s->target, source, source_path(source)) < 0)
        return -ENOMEM;
    return ask(s);
}

static void stop(struct source *source)
{
    struct websocket_source *s = source_state(source);

    if (s->client == NULL)
        return;
    if (s->open && !s->said_close)
        send_close(s, WS_GOING_AWAY);
    if (s->open)
        client_leave(s->client, SOCKET_LEAVE_MS);
    else
        client_close(s->client);
    s->client = NULL;
}

static void fini(struct source *source)
{
    struct websocket_source *s = source_state(source);

    if (s->parser_ready)
        ws_parser_fini(&s->parser);
    target_fini(&s->target);
}

const struct source_type source_websocket = {
    .name = "websocket",
    .state_size = sizeof(struct websocket_source),
    .start = start,
    .stop = stop,
    .fini = fini,
};
