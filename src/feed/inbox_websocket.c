/* An inbox that is a WebSocket of the client's own to the backend: frames go
 * there as they are, and what the backend says goes to that client alone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/meter.h"
#include "feed/inbox.h"
#include "feed/socket.h"
#include "feed/transport.h"
#include "proxy/backend.h"

struct own {
    struct inbox inbox;    /* first */
    struct client *client; /* NULL once it is over */
    struct socket socket;
    struct ws_parser parser;
    struct buffer early;   /* frames from before it is open */
    unsigned early_count;
    bool open;
};

static struct own *of(struct inbox *in)
{
    return (struct own *)in;
}

/* ---- the end --------------------------------------------------------------- */

/* Says Close, if there is somebody to say it to, and goes. */
static void hang_up(struct own *o, unsigned code)
{
    struct client *c = o->client;

    o->client = NULL;
    if (c == NULL)
        return;
    if (!o->open) {
        client_close(c);
        return;
    }
    socket_send_close(c, code);
    client_leave(c, SOCKET_LEAVE_MS);
}

/* It was never there, or is not to be gone on with. */
static void give_up(struct own *o, unsigned status, unsigned code,
                    const char *why)
{
    meter_add(METER_inbox_refused, 1);
    o->inbox.ops->failed(o->inbox.arg, status, why);
    o->inbox.ops->closed(o->inbox.arg, code, why);
}

/* ---- from the backend ------------------------------------------------------ */

static int on_message(void *arg, enum ws_opcode opcode, struct str data)
{
    struct own *o = arg;

    o->inbox.ops->answered(o->inbox.arg, 200, data.n == 0 ? STR("") : data,
                           opcode == WS_BINARY ? STR("application/octet-stream")
                                               : STR_NONE);
    return 0;
}

/* The code is the client's, too; the frame's body has been checked. */
static int on_close(struct own *o, struct str body)
{
    unsigned code = ws_close_body_code(body);
    char reason[126] = "";

    if (body.n > 2)
        snprintf(reason, sizeof(reason), "%.*s", (int)body.n - 2, body.p + 2);
    hang_up(o, code);
    o->inbox.ops->closed(o->inbox.arg, code == WS_NO_CODE ? WS_NORMAL : code,
                         reason);
    return 1;
}

static int on_control(void *arg, enum ws_opcode opcode, struct str data)
{
    struct own *o = arg;

    if (opcode == WS_CLOSE)
        return on_close(o, data);
    if (opcode != WS_PING)
        return 0;
    if (client_pending(o->client) < SOCKET_UNSENT_MAX)
        socket_send(o->client, WS_PONG, data);
    return 0; /* one that reads no pongs is answered when it does */
}

static const struct ws_parser_ops parser_ops = {on_message, on_control};

static void on_raw(struct client *c, char *data, size_t len)
{
    struct own *o = client_arg(c);
    int rc;

    inbox_enter(&o->inbox);
    rc = ws_parser_feed(&o->parser, data, len);
    if (rc == -EPROTO) {
        hang_up(o, o->parser.fail_code);
        give_up(o, 502, WS_BAD_GATEWAY, o->parser.fail_reason);
    } else if (rc < 0) {
        hang_up(o, WS_INTERNAL_ERROR);
        give_up(o, 503, WS_INTERNAL_ERROR, "out of memory");
    }
    inbox_exit(&o->inbox);
}

static void begin(struct own *o)
{
    o->open = true;
    client_set_timer(o->client, 0);
    client_send(o->client, o->early.data, o->early.len);
    buffer_fini(&o->early);
    if (client_pending(o->client) == 0)
        inbox_make_room(&o->inbox);
}

/* A 4xx is meant: who comes back would be told the same. */
static unsigned code_of(unsigned status)
{
    return status >= 400 && status < 500 && status != 408 && status != 429
               ? 4000 + status
               : WS_BAD_GATEWAY;
}

static void on_head(struct client *c, const struct http_message *m)
{
    struct own *o = client_arg(c);
    unsigned status = m->status;
    const char *why;

    if (status < 200 && status != 101)
        return;
    inbox_enter(&o->inbox);
    why = socket_judge(&o->socket, m);
    if (why == NULL) {
        begin(o);
    } else {
        hang_up(o, WS_NO_CODE);
        give_up(o, status >= 400 ? status : 502, code_of(status), why);
    }
    inbox_exit(&o->inbox);
}

static void on_body(struct client *c, const char *data, size_t len)
{
}

static void on_end(struct client *c, bool reusable)
{
}

static void on_connected(struct client *c)
{
    struct own *o = client_arg(c);

    client_set_timer(c, o->inbox.settings->backend->response_ms);
}

static void on_drained(struct client *c)
{
    struct own *o = client_arg(c);

    inbox_enter(&o->inbox);
    if (o->open)
        inbox_make_room(&o->inbox);
    inbox_exit(&o->inbox);
}

static void on_failed(struct client *c, enum client_failure failure,
                      const char *why)
{
    struct own *o = client_arg(c);
    bool late = failure == CLIENT_TIMEOUT || failure == CLIENT_SLOW_CONNECT;

    inbox_enter(&o->inbox);
    o->client = NULL;
    give_up(o, late ? 504 : 502, WS_BAD_GATEWAY,
            o->open ? "the backend was lost" : why);
    inbox_exit(&o->inbox);
}

static const struct client_ops own_client = {
    .connected = on_connected,
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .drained = on_drained,
    .raw = on_raw,
    .failed = on_failed,
};

/* ---- the inbox --------------------------------------------------------------- */

static void own_free(struct inbox *in)
{
    struct own *o = of(in);

    hang_up(o, WS_GOING_AWAY);
    ws_parser_fini(&o->parser);
    buffer_fini(&o->early);
    inbox_fini(in);
    free(o);
}

/* What was said before it was open waits until it is. */
static void own_leave(struct inbox *in)
{
    struct own *o = of(in);

    if (o->client != NULL && !o->open && o->early.len > 0) {
        inbox_linger(in);
        return;
    }
    hang_up(o, in->leave_code == 0 ? WS_GOING_AWAY : in->leave_code);
    own_free(in);
}

/* Asks for it.  0 or -ENOMEM. */
static int ask(struct own *o)
{
    const struct backend *b = o->inbox.settings->backend;
    const struct backend_server *at = backend_pick(b);
    struct buffer head = {0};
    int rc = -ENOMEM;

    buffer_append_str(&head, STR("GET "));
    buffer_append_str(&head, buffer_str(&o->inbox.target));
    buffer_append_str(&head, STR(" HTTP/1.1\r\nHost: "));
    backend_write_host(at, &head);
    buffer_append_str(&head, STR("\r\nUser-Agent: penstock\r\n"));
    buffer_append_str(&head, buffer_str(&o->inbox.fields));
    socket_offer(&o->socket, false, &head);
    if (!head.failed)
        o->client = backend_connect(b, at, &own_client, o);
    if (o->client != NULL) {
        client_expect(o->client, false, true);
        client_send(o->client, head.data, head.len);
        rc = 0;
    }
    buffer_fini(&head);
    return rc;
}

static struct inbox *own_open(struct exchange *x, const struct feed *feed)
{
    struct own *o = calloc(1, sizeof(*o));

    if (o == NULL)
        return NULL;
    ws_parser_init(&o->parser, &parser_ops, o, WS_CLIENT,
                   feed->reader->inbox.reply_bytes);
    if (inbox_init(&o->inbox, &inbox_websocket, x, feed) == 0 && ask(o) == 0)
        return &o->inbox;
    own_free(&o->inbox);
    return NULL;
}

static int put_early(struct own *o, enum ws_opcode opcode, struct str data)
{
    socket_frame(&o->early, opcode, data);
    o->early_count++;
    o->inbox.full |= o->early_count >= o->inbox.settings->queue ||
                     o->early.len > SOCKET_UNSENT_MAX;
    return o->early.failed ? -ENOMEM : o->inbox.full;
}

static int own_put(struct inbox *in, const struct message_parts *parts)
{
    struct own *o = of(in);
    enum ws_opcode opcode = parts->content_type.n > 0 ? WS_BINARY : WS_TEXT;

    if (o->client == NULL)
        return 0; /* its client is about to be closed */
    meter_add(METER_inbox_posts, 1);
    if (!o->open)
        return put_early(o, opcode, parts->data);
    if (socket_send(o->client, opcode, parts->data) < 0)
        return -ENOMEM;
    in->full |= client_pending(o->client) > SOCKET_UNSENT_MAX;
    return in->full;
}

static void own_read(struct inbox *in, bool on)
{
    if (of(in)->client != NULL)
        client_read(of(in)->client, on);
}

const struct inbox_type inbox_websocket = {
    .open = own_open,
    .put = own_put,
    .read = own_read,
    .leave = own_leave,
    .free = own_free,
};
