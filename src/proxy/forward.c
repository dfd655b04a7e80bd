#include "proxy/forward.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/logging.h"
#include "base/meter.h"
#include "http/client.h"
#include "http/exchange.h"
#include "net/worker.h"
#include "proxy/backend.h"
#include "proxy/fields.h"
#include "proxy/tunnel.h"

/* A request that may have to be sent again is kept up to here; a longer one is
 * sent once. */
#define REPLAY_MAX (64 * 1024)
/* The backend decides whether the body may come (RFC 9110 10.1.1), so that it
 * can refuse one unread; but many never say so, and clients wait for ever. */
#define CONTINUE_MS 1000
/* What a client may take to read none of its answer, where nothing is set. */
#define WRITE_MS 60000

struct forward {
    struct exchange *x;
    const struct backend *backend;
    const struct backend_server *server;
    struct client *client;
    struct buffer request;  /* what is to be sent, or to be sent again */
    struct str upgrade;     /* the protocol asked for; absent: none */
    struct timer timer;     /* see set_timer() */
    size_t pending_seen;    /* when it was set */
    unsigned refusals;      /* servers that could not be connected to */
    bool expect;            /* the client waits for the backend's 100 */
    bool connected, reused; /* the connection */
    bool idempotent;
    bool replayable;        /* request is all that was sent */
    bool held;              /* the client is not read: the backend is behind */
    bool paused;            /* and the other way round */
};

/* Why there was no answer, in the words of RFC 9209 2.3. */
static const char *const failure_errors[] = {
    [CLIENT_UNRESOLVED] = "dns_error",
    [CLIENT_REFUSED] = "connection_refused",
    [CLIENT_SLOW_CONNECT] = "connection_timeout",
    [CLIENT_TIMEOUT] = "http_response_timeout",
    [CLIENT_BAD_ANSWER] = "http_protocol_error",
    [CLIENT_CUT_OFF] = "connection_terminated",
    [CLIENT_CLOSED] = "connection_terminated",
};

static void attempt(struct forward *f, bool fresh);

/* ---- the end --------------------------------------------------------------- */

/* Frees f, but for its connection. */
static void release(struct forward *f)
{
    worker_timer_clear(worker_self(), &f->timer);
    buffer_fini(&f->request);
    f->x->ops = NULL;
    free(f);
}

static void abandon(struct forward *f)
{
    if (f->client != NULL)
        client_close(f->client);
    release(f);
}

static void log_failure(const struct forward *f, const char *what,
                        const char *error, const char *why)
{
    log_info(what, "backend=%s server=%s:%u error=%s reason=\"%s\"",
             f->backend->name, f->server->host, f->server->port, error, why);
}

/* No answer has begun: says why there is none. */
static void refuse(struct forward *f, unsigned status, const char *error,
                   const char *why)
{
    struct exchange *x = f->x;
    const char *name = f->backend->name;
    struct answer_headers headers;
    char value[64];

    snprintf(value, sizeof(value), "penstock; error=%s", error);
    answer_init(&headers);
    answer_add(&headers, "Proxy-Status", str_of(value));
    meter_add(status == 504 ? METER_proxy_timeouts : METER_proxy_bad_gateway,
              1);
    log_failure(f, "proxy.refused", error, why);
    abandon(f);
    exchange_problem(x, status, &headers.headers, "backend %s: %s", name, why);
}

/* An answer has begun that cannot be completed. */
static void break_answer(struct forward *f, const char *error, const char *why)
{
    struct exchange *x = f->x;

    meter_add(METER_proxy_cut_off, 1);
    log_failure(f, "proxy.cut_off", error, why);
    abandon(f);
    exchange_fail(x);
}

/* ---- deadlines ------------------------------------------------------------- */

static uint64_t deadline_ms(const struct forward *f)
{
    const struct exchange *x = f->x;

    if (x->status != 0 && f->paused)
        return x->service->write_ms > 0 ? x->service->write_ms : WRITE_MS;
    if (x->status != 0 || !f->connected)
        return 0; /* a stream may be silent; client.c watches connecting */
    if (f->expect && x->continue_due)
        return CONTINUE_MS;
    if (x->request_done || f->held)
        return f->backend->response_ms;
    return 0; /* the next move is the client's, and http1.c watches that */
}

/* How far behind is he for whom we wait. */
static size_t pending(const struct forward *f)
{
    return f->x->status != 0 ? exchange_pending(f->x)
                             : client_pending(f->client);
}

/* To be called when it may have changed who has to move. */
static void set_timer(struct forward *f)
{
    uint64_t ms = deadline_ms(f);

    if (ms == 0) {
        worker_timer_clear(worker_self(), &f->timer);
        return;
    }
    f->pending_seen = pending(f);
    worker_timer_set(worker_self(), &f->timer, ms);
}

static void on_timer(struct timer *timer)
{
    struct forward *f =
        (struct forward *)((char *)timer - offsetof(struct forward, timer));

    if (f->x->status == 0 && f->expect && f->x->continue_due) {
        exchange_proceed(f->x);
        set_timer(f);
    } else if (pending(f) < f->pending_seen) {
        set_timer(f); /* slow, but it moves */
    } else if (f->x->status == 0) {
        refuse(f, 504, "http_response_timeout", "no answer in time");
    } else {
        break_answer(f, "connection_write_timeout",
                     "the client does not read");
    }
}

/* ---- the request ----------------------------------------------------------- */

/* Adds to what waits for a connection, or may have to be sent again. */
static void keep(struct forward *f, const struct iovec *iov, int n)
{
    if (f->connected && !f->replayable)
        return;
    for (int i = 0; i < n; i++)
        buffer_append(&f->request, iov[i].iov_base, iov[i].iov_len);
    if (f->connected && (f->request.failed || f->request.len > REPLAY_MAX)) {
        f->replayable = false;
        buffer_fini(&f->request);
    }
}

static void send_body(struct forward *f, const struct iovec *iov, int n)
{
    keep(f, iov, n);
    if (f->connected)
        client_send_all(f->client, iov, n);
    else if (f->request.failed)
        refuse(f, 502, "proxy_internal_error", "out of memory");
}

static void on_request_body(struct exchange *x, const char *data, size_t len)
{
    struct forward *f = x->handler;
    size_t behind;
    char size[20];
    struct iovec iov[] = {
        {size, 0},
        {(void *)data, len},
        {(void *)"\r\n", 2},
    };

    if (x->continue_due) { /* it did not wait */
        x->continue_due = false;
        set_timer(f);
    }
    if (x->request->chunked) {
        iov[0].iov_len = (size_t)snprintf(size, sizeof(size), "%zx\r\n", len);
        send_body(f, iov, 3);
    } else {
        send_body(f, iov + 1, 1);
    }
    if (x->handler != f || x->ops == NULL)
        return; /* refused */
    behind = f->connected ? client_pending(f->client) : f->request.len;
    if (behind > FORWARD_HIGH_WATER && !f->held) {
        f->held = true;
        exchange_read(x, false);
        set_timer(f);
    }
}

static void on_request_end(struct exchange *x)
{
    struct forward *f = x->handler;
    const struct iovec last = {(void *)"0\r\n\r\n", 5};

    if (x->request->chunked)
        send_body(f, &last, 1);
    if (x->ops != NULL)
        set_timer(f);
}

static void on_client_drained(struct exchange *x)
{
    struct forward *f = x->handler;

    if (!f->paused)
        return;
    f->paused = false;
    set_timer(f);
    client_read(f->client, true); /* the rest may come now, and the end */
}

static void on_client_gone(struct exchange *x)
{
    abandon(x->handler);
}

static const struct exchange_ops exchange_side = {
    .body = on_request_body,
    .body_end = on_request_end,
    .drained = on_client_drained,
    .gone = on_client_gone,
};

/* ---- the answer ------------------------------------------------------------ */

static void pass_interim(struct forward *f, const struct http_message *m)
{
    struct headers headers = {0};

    if (m->status == 100)
        exchange_proceed(f->x); /* if the client still waits for it */
    else if (fields_pick_answer(&headers, m) == 0)
        exchange_interim(f->x, m->status, &headers);
    headers_fini(&headers);
}

static void pass_upgrade(struct forward *f, const struct http_message *m)
{
    struct exchange *x = f->x;
    struct client *c = f->client;
    struct str protocol = f->upgrade;
    struct headers headers = {0};
    const char *why;

    if (!tunnel_granted(x->request, protocol, m, &why)) {
        refuse(f, 502, "http_upgrade_failed", why);
    } else if (fields_pick_answer(&headers, m) < 0) {
        refuse(f, 502, "proxy_internal_error", "out of memory");
    } else {
        release(f);
        tunnel_open(x, c, &headers, protocol);
    }
    headers_fini(&headers);
}

/* How the body will end for the client; the backend's own framing stays on
 * its side. */
static enum exchange_body body_of(const struct exchange *x,
                                  const struct http_message *m)
{
    if (m->status == 204 || m->status == 304)
        return BODY_NONE;
    if (m->has_length)
        return BODY_LENGTH;
    return m->chunked || m->until_close ? BODY_STREAM : BODY_NONE;
}

static void pass_head(struct forward *f, const struct http_message *m)
{
    struct exchange *x = f->x;
    struct headers headers = {0};

    if (fields_pick_answer(&headers, m) < 0) {
        refuse(f, 502, "proxy_internal_error", "out of memory");
    } else {
        f->replayable = false;
        buffer_fini(&f->request);
        worker_timer_clear(worker_self(), &f->timer);
        exchange_start(x, m->status, &headers, body_of(x, m), m->length);
    }
    headers_fini(&headers);
}

static void on_answer_head(struct client *c, const struct http_message *m)
{
    struct forward *f = client_arg(c);

    if (m->status == 101)
        pass_upgrade(f, m);
    else if (m->status < 200)
        pass_interim(f, m);
    else
        pass_head(f, m);
}

static void on_answer_body(struct client *c, const char *data, size_t len)
{
    struct forward *f = client_arg(c);

    exchange_write(f->x, data, len);
    if (f->paused || exchange_pending(f->x) <= FORWARD_HIGH_WATER)
        return;
    f->paused = true;
    client_read(c, false);
    set_timer(f);
}

/* A connection on which some of the request has not gone out, because the
 * answer came early, is of no use to the next one. */
static void on_answer_end(struct client *c, bool reusable)
{
    struct forward *f = client_arg(c);
    struct exchange *x = f->x;

    if (reusable && x->request_done && client_pending(c) == 0)
        backend_keep(f->backend, f->server, c);
    else
        client_close(c);
    release(f);
    exchange_finish(x); /* last: the next request may begin in here */
}

static void on_server_drained(struct client *c)
{
    struct forward *f = client_arg(c);

    if (!f->held)
        return;
    f->held = false;
    set_timer(f);
    exchange_read(f->x, true);
}

/* ---- the connection -------------------------------------------------------- */

static void on_connected(struct client *c)
{
    struct forward *f = client_arg(c);

    f->connected = true;
    client_expect(c, f->x->is_head, f->upgrade.p != NULL);
    client_send(c, f->request.data, f->request.len);
    f->replayable = f->idempotent && f->request.len <= REPLAY_MAX;
    if (!f->replayable)
        buffer_fini(&f->request);
    set_timer(f);
}

/* A kept connection that died may have died of age, before the request came
 * (RFC 9112 9.3.1): a new one is tried, if nothing can have been done twice. */
static bool may_repeat(const struct forward *f, const struct client *c,
                       enum client_failure failure)
{
    return f->reused && f->replayable && failure == CLIENT_CLOSED &&
           !client_answered(c);
}

static void next_server(struct forward *f)
{
    const struct backend *b = f->backend;

    f->server++;
    if (f->server == b->servers + b->server_count)
        f->server = b->servers;
    attempt(f, false);
}

static void on_failed(struct client *c, enum client_failure failure,
                      const char *why)
{
    struct forward *f = client_arg(c);
    const char *error = failure_errors[failure];

    f->client = NULL;
    worker_timer_clear(worker_self(), &f->timer);
    if (f->x->status != 0) {
        break_answer(f, error, why);
    } else if (!f->connected && ++f->refusals < f->backend->server_count) {
        log_failure(f, "proxy.next_server", error, why);
        next_server(f);
    } else if (f->connected && may_repeat(f, c, failure)) {
        meter_add(METER_proxy_retries, 1);
        log_failure(f, "proxy.retry", error, why);
        attempt(f, true);
    } else {
        refuse(f, 502, error, why);
    }
}

static const struct client_ops client_side = {
    .connected = on_connected,
    .head = on_answer_head,
    .body = on_answer_body,
    .end = on_answer_end,
    .drained = on_server_drained,
    .failed = on_failed,
};

/* Gets a connection, a new one if fresh, and sends what there is. */
static void attempt(struct forward *f, bool fresh)
{
    const struct backend_server *s = f->server;
    struct client *c = fresh ? NULL : backend_take(s);

    f->connected = false;
    f->reused = c != NULL;
    if (f->reused)
        client_set_owner(c, &client_side, f);
    else
        c = client_connect(s->host, s->port, f->backend->connect_ms,
                           &client_side, f);
    f->client = c;
    if (c == NULL)
        refuse(f, 502, "proxy_internal_error", "out of memory");
    else if (f->reused)
        on_connected(c);
}

/* ---- the beginning --------------------------------------------------------- */

static bool is_idempotent(struct str method)
{
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "PUT",
                                          "DELETE"};

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (str_eq(method, str_of(methods[i])))
            return true;
    return false;
}

static void write_request(struct forward *f)
{
    const struct http_message *m = f->x->request;
    char peer[64], server[300];
    struct fields_context context = {
        .peer = str_of(exchange_peer(f->x, peer, sizeof(peer))),
        .upgrade = f->upgrade,
        .expect = f->expect,
    };
    const char *form = strchr(f->server->host, ':') == NULL ? "%s:%u"
                                                            : "[%s]:%u";

    snprintf(server, sizeof(server), form, f->server->host, f->server->port);
    context.server = str_of(server);
    fields_write_request(&f->request, m, &context);
}

/* Answers what must not, or need not, go to a backend. */
static bool answer_here(struct exchange *x)
{
    const struct header version[] = {
        {STR("Sec-WebSocket-Version"), STR("13")},
        {STR("Upgrade"), STR("websocket")},
    };
    const struct headers headers = {(struct header *)version, 2, 2};
    const char *why;
    unsigned status = tunnel_refusal(x->request, &why);
    uint64_t hops;

    if (status != 0) {
        exchange_problem(x, status, status == 426 ? &headers : NULL, "%s", why);
        return true;
    }
    /* RFC 9110 7.6.2: whoever gets 0 answers as if it were the last. */
    if (fields_max_forwards(x->request, &hops) && hops == 0) {
        exchange_respond(x, 204, NULL, NULL, 0);
        return true;
    }
    return false;
}

void forward_exchange(struct exchange *x, const struct backend *b)
{
    struct forward *f;

    if (answer_here(x))
        return;
    f = calloc(1, sizeof(*f));
    if (f == NULL) {
        exchange_problem(x, 502, NULL, "out of memory");
        return;
    }
    meter_add(METER_proxy_requests, 1);
    f->x = x;
    f->backend = b;
    f->server = backend_pick(b);
    f->timer.fire = on_timer;
    f->upgrade = tunnel_protocol(x->request);
    f->expect = x->continue_due && x->request->has_body;
    f->idempotent = is_idempotent(x->request->method);
    x->handler = f;
    x->ops = &exchange_side;
    write_request(f);
    if (f->request.failed)
        refuse(f, 502, "proxy_internal_error", "out of memory");
    else
        attempt(f, false);
}
