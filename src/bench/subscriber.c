#include "bench/subscriber.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/jitter.h"
#include "net/worker.h"
#include "wire/json.h"
#include "wire/pointer.h"

#define MESSAGE_MAX (64u << 20) /* of one message, or answer */
#define QUICK_US    50000       /* an answer within this did not wait */
#define CALM_MS     1000 /* before a long poll that is not served is sent again */
#define AT_ONCE_MS  1000 /* for an answer that need not wait */
#define TRIES_MAX   5    /* that fail before the first good answer */

const char *const subscriber_kind_names[SUBSCRIBE_KINDS] = {
    "poll",
    "longpoll",
    "sse",
    "websocket",
};
const char *const resume_names[RESUME_KINDS] = {
    "none", "etag", "link", "last-event-id", "next",
};

static void ask(struct subscriber *s);

static bool is_poll(const struct subscriber *s)
{
    return s->plan->kind == SUBSCRIBE_POLL ||
           s->plan->kind == SUBSCRIBE_LONGPOLL;
}

static void note_error(struct subscriber *s, const char *why, unsigned status)
{
    struct subscriber_counts *n = s->counts;

    if (n->first_error[0] == '\0' && status != 0)
        snprintf(n->first_error, sizeof(n->first_error), "%s (%u)", why,
                 status);
    else if (n->first_error[0] == '\0')
        snprintf(n->first_error, sizeof(n->first_error), "%s", why);
}

static void become_ready(struct subscriber *s)
{
    if (s->ready || s->over)
        return;
    s->ready = true;
    s->ops->ready(s);
}

/* ---- the connection ---------------------------------------------------------- */

void subscriber_account(struct subscriber *s)
{
    uint64_t in, out;

    if (s->client == NULL)
        return;
    client_bytes(s->client, &in, &out);
    s->counts->bytes_in += in - s->seen_in;
    s->counts->bytes_out += out - s->seen_out;
    s->seen_in = in;
    s->seen_out = out;
}

static void forget_client(struct subscriber *s)
{
    subscriber_account(s);
    s->client = NULL;
    s->asking = s->served = false;
    s->seen_in = s->seen_out = 0;
    unpack_free(&s->unpack);
    if (s->plan->kind != SUBSCRIBE_WEBSOCKET || !s->parsing)
        return;
    ws_parser_fini(&s->ws);
    s->parsing = false;
}

static void drop_client(struct subscriber *s)
{
    struct client *c = s->client;

    if (c == NULL)
        return;
    forget_client(s);
    client_close(c);
}

static void again_in(struct subscriber *s, uint64_t ms)
{
    if (!s->over)
        worker_timer_set(worker_self(), &s->timer, ms);
}

/* Comes back, not at the same moment as the others. */
static void come_back(struct subscriber *s)
{
    uint64_t most_ms = s->plan->reconnect_ms;

    drop_client(s);
    again_in(s, jitter_between(most_ms / 2, most_ms));
}

void subscriber_cut(struct subscriber *s)
{
    if (s->client == NULL)
        return;
    s->counts->cuts++;
    come_back(s);
}

void subscriber_end(struct subscriber *s)
{
    s->over = true;
    drop_client(s);
    worker_timer_clear(worker_self(), &s->timer);
}

static void refuse(struct subscriber *s, const char *why)
{
    unsigned status = s->status;

    note_error(s, why, status);
    subscriber_end(s);
    s->ops->refused(s, status, why);
}

/* It was not to be had: before the first good answer that is soon for good. */
static void fail(struct subscriber *s, const char *why, bool for_good)
{
    if (!s->begun && (for_good || ++s->tries >= TRIES_MAX)) {
        refuse(s, why);
        return;
    }
    note_error(s, why, s->status);
    come_back(s);
}

/* An answer that is none. */
static void complain(struct subscriber *s, const char *why)
{
    s->counts->errors++;
    fail(s, why, s->status < 500 && s->status != 429);
}

/* ---- cursors ------------------------------------------------------------------ */

static void keep(struct buffer *b, struct str s)
{
    if (str_eq(buffer_str(b), s))
        return;
    b->len = 0;
    if (s.n > 0)
        buffer_append_str(b, s);
}

static void keep_place(struct subscriber *s, struct str cursor)
{
    s->moved = s->moved || !str_eq(buffer_str(&s->cursor), cursor);
    keep(&s->cursor, cursor);
}

static struct str without_quotes(struct str etag)
{
    if (str_starts(etag, STR("W/")))
        etag = (struct str){etag.p + 2, etag.n - 2};
    if (etag.n >= 2 && etag.p[0] == '"')
        etag = (struct str){etag.p + 1, etag.n - 2};
    return etag;
}

/* The target of a Link field's rel="next" (RFC 8288 3); absent: none. */
static struct str next_link(const struct headers *h)
{
    struct str list, element, target;
    unsigned at = 0;

    while (headers_next(h, "Link", &at, &list))
        while (str_list_next(&list, &element)) {
            struct str params = str_split(element, '>', &target);

            if (target.n > 0 && target.p[0] == '<' && params.n > 0 &&
                (memmem(params.p, params.n, "rel=\"next\"", 10) != NULL ||
                 memmem(params.p, params.n, "rel=next", 8) != NULL))
                return (struct str){target.p + 1, target.n - 1};
        }
    return STR_NONE;
}

/* Where the next request goes is kept as a path: relative to the route's. */
static void keep_link(struct subscriber *s, struct str target)
{
    struct location to = *s->at;

    to.path = (struct buffer){0};
    buffer_append_str(&to.path, buffer_str(&s->at->path));
    if (location_resolve(&to, target) == 0)
        keep_place(s, buffer_str(&to.path));
    location_fini(&to);
}

/* *out is borrowed from body, or from scratch. */
static bool find_text(struct str body, const char *pointer,
                      struct buffer *scratch, struct str *out)
{
    struct str value;

    if (!json_valid(body) || !pointer_find(body, str_of(pointer), &value))
        return false;
    scratch->len = 0;
    pointer_text(value, scratch);
    *out = buffer_str(scratch);
    return !scratch->failed;
}

static void keep_next(struct subscriber *s)
{
    struct buffer scratch = {0};
    struct str next;

    if (find_text(buffer_str(&s->body), "/next", &scratch, &next))
        keep_place(s, next);
    buffer_fini(&scratch);
}

/* What an answer's head says of where it stands. */
static void keep_cursor(struct subscriber *s, const struct headers *h)
{
    struct str etag = headers_get(h, "ETag"), link;

    switch (s->plan->resume) {
    case RESUME_ETAG:
        if (etag.n > 0)
            keep_place(s, etag);
        keep(&s->modified, headers_get(h, "Last-Modified"));
        break;
    case RESUME_LINK:
        link = next_link(h);
        if (link.p != NULL)
            keep_link(s, link);
        break;
    case RESUME_ID:
        if (etag.n > 0)
            keep_place(s, without_quotes(etag));
        break;
    default:
        break;
    }
}

/* ---- asking -------------------------------------------------------------------- */

/* The path with {cursor} filled in, or ?since= behind it. */
static void write_path_with(const struct subscriber *s, struct buffer *b)
{
    struct str path = buffer_str(&s->at->path);
    const char *mark = memmem(path.p, path.n, "{cursor}", 8);
    size_t head = mark == NULL ? path.n : (size_t)(mark - path.p);

    buffer_append(b, path.p, head);
    if (mark == NULL && s->cursor.len > 0)
        buffer_printf(
            b, "%csince=", memchr(path.p, '?', path.n) == NULL ? '?' : '&');
    buffer_append_str(b, buffer_str(&s->cursor));
    if (mark != NULL)
        buffer_append(b, mark + 8, path.n - head - 8);
}

static void write_target(const struct subscriber *s, struct buffer *b)
{
    bool since = is_poll(s) ? s->plan->resume == RESUME_NEXT
                            : s->plan->kind == SUBSCRIBE_WEBSOCKET;

    buffer_append_str(b, STR("GET "));
    if (is_poll(s) && s->plan->resume == RESUME_LINK && s->cursor.len > 0)
        buffer_append_str(b, buffer_str(&s->cursor));
    else if (since)
        write_path_with(s, b);
    else
        buffer_append_str(b, buffer_str(&s->at->path));
    buffer_append_str(b, STR(" HTTP/1.1\r\nHost: "));
    location_write_host(s->at, b);
    buffer_append_str(b, STR("\r\n"));
    if (s->plan->fields != NULL)
        buffer_append_str(b, str_of(s->plan->fields));
}

/* A long poll without a cursor waits from when it is served, and nobody tells
 * when that is; but an answer at once says where now was. */
static bool asks_where(const struct subscriber *s)
{
    return s->plan->kind == SUBSCRIBE_LONGPOLL &&
           s->plan->resume == RESUME_LINK && s->cursor.len == 0 && !s->ready;
}

static void write_condition(const struct subscriber *s, struct buffer *b)
{
    if (s->plan->resume == RESUME_ETAG && s->cursor.len > 0)
        header_write(b, STR("If-None-Match"), buffer_str(&s->cursor));
    if (s->plan->resume == RESUME_ETAG && s->modified.len > 0)
        header_write(b, STR("If-Modified-Since"), buffer_str(&s->modified));
    if (s->plan->resume == RESUME_ID && s->cursor.len > 0)
        header_write(b, STR("Last-Event-ID"), buffer_str(&s->cursor));
    if (s->plan->kind == SUBSCRIBE_LONGPOLL)
        buffer_printf(b, "Prefer: wait=%llu\r\n",
                      asks_where(s) ? 0ull
                                    : (unsigned long long)s->plan->wait_s);
    if (s->plan->fresh)
        buffer_append_str(b, STR("Connection: close\r\n"));
}

static void write_request(struct subscriber *s, struct buffer *b)
{
    struct str id;

    write_target(s, b);
    if (s->plan->kind == SUBSCRIBE_WEBSOCKET) {
        s->socket.protocol = s->plan->enveloped ? "penstock.v1" : NULL;
        socket_offer(&s->socket, s->plan->compress, b);
        return;
    }
    if (s->plan->kind == SUBSCRIBE_SSE) {
        id = s->parsing ? sse_parser_last_id(&s->sse) : STR_NONE;
        buffer_append_str(b, STR("Accept: text/event-stream\r\n"));
        if (id.n > 0)
            header_write(b, STR("Last-Event-ID"), id);
    } else {
        buffer_append_str(b, STR("Accept: */*\r\n"));
        write_condition(s, b);
    }
    if (s->plan->compress)
        buffer_append_str(b, STR("Accept-Encoding: gzip\r\n"));
    buffer_append_str(b, STR("\r\n"));
}

static void send_request(struct subscriber *s)
{
    struct buffer b = {0};

    write_request(s, &b);
    s->asking = true;
    s->moved = false;
    s->waited = s->plan->kind == SUBSCRIBE_LONGPOLL && !asks_where(s);
    s->status = 0;
    s->body.len = 0;
    s->asked_us = clock_now_us();
    s->counts->requests++;
    client_expect(s->client, false, s->plan->kind == SUBSCRIBE_WEBSOCKET);
    client_send(s->client, b.data, b.len);
    buffer_fini(&b);
}

/* The next poll: a fixed time after the last one was due, so that a slow answer
 * does not thin them out. */
static void plan_poll(struct subscriber *s)
{
    uint64_t interval_us = s->plan->interval_ms * 1000;
    uint64_t now_us = clock_now_us();

    if (s->due_us == 0) /* spread over the first interval */
        s->due_us = now_us + jitter_between(0, interval_us);
    else
        s->due_us += interval_us;
    if (s->due_us < now_us)
        s->due_us = now_us;
    again_in(s, (s->due_us - now_us) / 1000 + 1);
}

/* A long poll that did not wait, and brought nothing new, is not served as one:
 * asking at once would only be load.  One that asked where now was is. */
static void plan_longpoll(struct subscriber *s, bool empty)
{
    bool quick = clock_now_us() - s->asked_us < QUICK_US;
    bool stands = !s->moved && s->plan->resume != RESUME_NONE;

    if (!quick || (!empty && !stands) || (!s->waited && s->moved)) {
        ask(s);
        return;
    }
    again_in(s, CALM_MS);
    if (s->waited && s->ops->impatient != NULL)
        s->ops->impatient(s);
}

/* ---- answers -------------------------------------------------------------------- */

static struct subscriber *of_client(struct client *c)
{
    return client_arg(c);
}

static void tell(struct subscriber *s, struct str data, struct str id,
                 struct str type)
{
    const struct subscriber_message m = {data, id, type};

    s->ops->message(s, &m);
}

static int on_event(void *arg, const struct sse_event *event)
{
    struct subscriber *s = arg;

    tell(s, event->data, event->has_id ? event->id : STR_NONE, event->type);
    return s->client == NULL; /* it was cut in between */
}

static const struct sse_parser_ops sse_ops = {.event = on_event};

/* An envelope's id is where a new connection goes on from. */
static void keep_envelope_id(struct subscriber *s, struct str data)
{
    struct buffer scratch = {0};
    struct str id;

    if (find_text(data, "/id", &scratch, &id))
        keep(&s->cursor, id);
    buffer_fini(&scratch);
}

static int on_frame(void *arg, enum ws_opcode opcode, struct str data)
{
    struct subscriber *s = arg;

    if (s->plan->enveloped)
        keep_envelope_id(s, data);
    tell(s, data, STR_NONE, STR_NONE);
    return s->client == NULL;
}

static int on_control(void *arg, enum ws_opcode opcode, struct str data)
{
    struct subscriber *s = arg;

    if (opcode == WS_PING)
        socket_send(s->client, WS_PONG, data);
    return opcode == WS_CLOSE ? 2 : 0;
}

static const struct ws_parser_ops ws_ops = {on_frame, on_control};

static void begin_stream(struct subscriber *s, const struct http_message *m)
{
    struct str type = headers_get(&m->headers, "Content-Type");

    if (m->status != 200 || !str_media_is(type, "text/event-stream")) {
        complain(s, m->status == 200 ? "the answer is no event stream"
                                     : "the event stream was refused");
        return;
    }
    if (!s->parsing)
        sse_parser_init(&s->sse, &sse_ops, s, MESSAGE_MAX);
    else
        sse_parser_restart(&s->sse);
    s->parsing = s->begun = true;
    become_ready(s);
}

static void begin_websocket(struct subscriber *s, const struct http_message *m)
{
    const char *why = socket_judge(&s->socket, m);

    if (why != NULL) {
        complain(s, m->status == 101 ? why : "the upgrade was refused");
        return;
    }
    ws_parser_init(&s->ws, &ws_ops, s, WS_CLIENT, MESSAGE_MAX);
    s->ws.deflate = s->socket.deflate;
    s->parsing = s->begun = true;
    become_ready(s);
}

static void begin_answer(struct subscriber *s, const struct http_message *m)
{
    bool endless = str_media_is(headers_get(&m->headers, "Content-Type"),
                                "text/event-stream");
    bool good =
        !endless && (m->status == 200 || m->status == 204 || m->status == 304);

    if (!good)
        complain(s, endless ? "the answer is an event stream, which never ends"
                            : "the poll was refused");
    else
        keep_cursor(s, &m->headers);
    s->begun = s->begun || good;
}

static void on_head(struct client *c, const struct http_message *m)
{
    struct subscriber *s = of_client(c);

    if (m->status < 200 && m->status != 101)
        return;
    s->status = m->status;
    unpack_free(&s->unpack);
    if (unpack_new(&s->unpack, headers_get(&m->headers, "Content-Encoding")) <
        0) {
        complain(s, "the answer's Content-Encoding is not known");
        return;
    }
    if (s->plan->kind == SUBSCRIBE_WEBSOCKET)
        begin_websocket(s, m);
    else if (s->plan->kind == SUBSCRIBE_SSE)
        begin_stream(s, m);
    else
        begin_answer(s, m);
}

/* Unpacked octets of a body. */
static int put(void *arg, const char *data, size_t len)
{
    struct subscriber *s = arg;

    if (s->plan->kind == SUBSCRIBE_SSE)
        return sse_parser_feed(&s->sse, data, len);
    if (s->body.len + len > MESSAGE_MAX)
        return -EMSGSIZE;
    buffer_append(&s->body, data, len);
    return s->body.failed ? -ENOMEM : 0;
}

static void on_body(struct client *c, const char *data, size_t len)
{
    struct subscriber *s = of_client(c);
    int rc = s->unpack == NULL
                 ? put(s, data, len)
                 : unpack_feed(s->unpack, (struct str){data, len}, put, s);

    if (rc < 0 && s->client != NULL)
        complain(s, "the answer's body cannot be read");
}

static void take_answer(struct subscriber *s)
{
    bool empty = s->status != 200;

    if (s->plan->resume == RESUME_NEXT && !empty)
        keep_next(s);
    s->counts->empty += empty;
    if (!empty)
        tell(s, buffer_str(&s->body),
             s->plan->resume == RESUME_ETAG
                 ? without_quotes(buffer_str(&s->cursor))
                 : STR_NONE,
             STR_NONE);
    if (s->over)
        return;
    become_ready(s);
    if (s->plan->kind == SUBSCRIBE_POLL)
        plan_poll(s);
    else
        plan_longpoll(s, empty);
}

static void on_end(struct client *c, bool reusable)
{
    struct subscriber *s = of_client(c);

    if (!is_poll(s)) { /* a stream that ended, or a 101 to come */
        if (s->status != 101)
            subscriber_cut(s);
        return;
    }
    s->asking = false;
    s->served = true;
    if (!reusable)
        drop_client(s);
    take_answer(s);
}

static void on_raw(struct client *c, char *data, size_t len)
{
    struct subscriber *s = of_client(c);
    int rc = ws_parser_feed(&s->ws, data, len);

    if (rc < 0 && s->client != NULL) {
        note_error(
            s, s->ws.fail_reason == NULL ? "a bad frame" : s->ws.fail_reason,
            0);
        s->counts->errors++;
    }
    if (rc != 0 && s->client != NULL)
        subscriber_cut(s);
}

static void on_connected(struct client *c)
{
    struct subscriber *s = of_client(c);

    s->counts->connects++;
    histogram_add(&s->counts->connect_us, clock_now_us() - s->asked_us);
    if (asks_where(s))
        again_in(s, AT_ONCE_MS);
    else if (s->plan->kind == SUBSCRIBE_LONGPOLL)
        become_ready(s); /* what it asked is on its way */
}

/* A server may end a connection on which nothing is asked: that is how polls
 * find it, and no fault. */
static void on_failed(struct client *c, enum client_failure failure,
                      const char *why)
{
    struct subscriber *s = of_client(c);
    bool idle = is_poll(s) && !s->asking;
    /* The server ended it as the request was on its way. */
    bool crossed = is_poll(s) && failure == CLIENT_CLOSED && s->served;

    forget_client(s);
    if (idle || s->over)
        return;
    if (crossed) {
        ask(s);
        return;
    }
    if (failure <= CLIENT_BAD_TLS)
        s->counts->connect_failures++;
    else
        s->counts->cuts++;
    s->status = 0;
    fail(s, why, failure == CLIENT_UNRESOLVED || failure == CLIENT_UNTRUSTED);
}

static const struct client_ops client_ops = {
    .connected = on_connected,
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .raw = on_raw,
    .failed = on_failed,
};

/* ---- the whole ------------------------------------------------------------------ */

/* Tens of thousands of connections to one port need more addresses than one. */
static uint32_t source_address(const struct subscriber *s)
{
    if (s->plan->addresses == 0)
        return 0;
    return htonl(INADDR_LOOPBACK + s->index % s->plan->addresses);
}

static void ask(struct subscriber *s)
{
    if (s->client == NULL) {
        s->asked_us = clock_now_us();
        s->client = client_connect_from(source_address(s), s->at->host,
                                        s->at->port, s->plan->tls,
                                        s->plan->connect_ms, &client_ops, s);
    }
    if (s->client == NULL) {
        note_error(s, "out of memory", 0);
        come_back(s);
        return;
    }
    send_request(s);
}

static void on_timer(struct timer *t)
{
    struct subscriber *s =
        (struct subscriber *)((char *)t - offsetof(struct subscriber, timer));

    if (s->client == NULL || !s->asking)
        ask(s);
    else if (s->plan->kind == SUBSCRIBE_LONGPOLL)
        become_ready(s); /* a server that waits whatever it is asked */
}

void subscriber_start(struct subscriber *s, const struct subscriber_plan *plan,
                      const struct subscriber_ops *ops,
                      const struct location *at,
                      struct subscriber_counts *counts, unsigned index,
                      void *owner)
{
    s->plan = plan;
    s->ops = ops;
    s->at = at;
    s->counts = counts;
    s->index = index;
    s->owner = owner;
    s->timer.fire = on_timer;
    ask(s);
}

void subscriber_stop(struct subscriber *s)
{
    s->over = true;
    if (s->timer.fire != NULL)
        worker_timer_clear(worker_self(), &s->timer);
    if (s->client != NULL && s->plan->kind == SUBSCRIBE_WEBSOCKET && s->parsing)
        socket_send_close(s->client, WS_NORMAL);
    drop_client(s);
    if (s->parsing) /* a WebSocket's went with its connection */
        sse_parser_fini(&s->sse);
    buffer_fini(&s->body);
    buffer_fini(&s->cursor);
    buffer_fini(&s->modified);
}
