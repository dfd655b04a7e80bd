#include "proxy/forward_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/logging.h"
#include "base/meter.h"
#include "http/client.h"
#include "http/exchange.h"
#include "net/worker.h"
#include "proxy/backend.h"
#include "proxy/fields.h"
#include "proxy/forward.h"
#include "proxy/tunnel.h"

/* A request that may have to be sent again is kept up to here; a longer one is
 * sent once. */
#define REPLAY_MAX (64 * 1024)
/* The backend decides whether the body may come (RFC 9110 10.1.1), so that it
 * can refuse one unread; but many never say so, and clients wait for ever. */
#define CONTINUE_MS 1000
/* What a client may take to read none of its answer, where nothing is set. */
#define WRITE_MS 60000

/* Why there was no answer, in the words of RFC 9209 2.3. */
static const char *const failure_errors[] = {
    [CLIENT_UNRESOLVED] = "dns_error",
    [CLIENT_REFUSED] = "connection_refused",
    [CLIENT_SLOW_CONNECT] = "connection_timeout",
    [CLIENT_UNTRUSTED] = "tls_certificate_error",
    [CLIENT_BAD_TLS] = "tls_protocol_error",
    [CLIENT_TIMEOUT] = "http_response_timeout",
    [CLIENT_BAD_ANSWER] = "http_protocol_error",
    [CLIENT_CUT_OFF] = "connection_terminated",
    [CLIENT_CLOSED] = "connection_terminated",
};

static void attempt(struct forward *f, bool fresh);

/* ---- the end ------------------------------------------------------------- */

void forward_release(struct forward *f)
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
    forward_release(f);
}

static void log_failure(const struct forward *f, const char *what,
                        const char *error, const char *why)
{
    log_info(what, "backend=%s server=%s:%u error=%s reason=\"%s\"",
             f->backend->name, f->server->host, f->server->port, error, why);
}

void forward_refuse(struct forward *f, unsigned status, const char *error,
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

/* ---- deadlines ----------------------------------------------------------- */

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

/* How far behind he is for whom we wait.  A short request is not asked about:
 * it has been taken, or nothing is. */
static size_t behind(const struct forward *f)
{
    if (f->x->status != 0)
        return exchange_unacked(f->x);
    return f->sent_bytes > REPLAY_MAX ? client_unacked(f->client) : 0;
}

void forward_set_timer(struct forward *f)
{
    uint64_t ms = deadline_ms(f);

    if (ms == 0) {
        worker_timer_clear(worker_self(), &f->timer);
        return;
    }
    f->behind_seen = behind(f);
    worker_timer_set(worker_self(), &f->timer, ms);
}

static void on_timer(struct timer *timer)
{
    struct forward *f =
        (struct forward *)((char *)timer - offsetof(struct forward, timer));

    if (f->x->status == 0 && f->expect && f->x->continue_due) {
        exchange_proceed(f->x);
        forward_set_timer(f);
    } else if (behind(f) < f->behind_seen) {
        forward_set_timer(f); /* slow, but it moves */
    } else if (f->x->status == 0) {
        forward_refuse(f, 504, "http_response_timeout", "no answer in time");
    } else {
        break_answer(f, "connection_write_timeout",
                     "the client does not read");
    }
}

/* ---- the request --------------------------------------------------------- */

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
    for (int i = 0; f->connected && i < n; i++)
        f->sent_bytes += iov[i].iov_len;
    if (f->connected)
        client_send_all(f->client, iov, n);
    else if (f->request.failed)
        forward_refuse(f, 502, "proxy_internal_error", "out of memory");
}

static void on_request_body(struct exchange *x, const char *data, size_t len)
{
    struct forward *f = x->handler;
    size_t pending;
    char size[20];
    struct iovec iov[] = {
        {size, 0},
        {(void *)data, len},
        {(void *)"\r\n", 2},
    };

    if (x->continue_due) { /* it did not wait */
        x->continue_due = false;
        forward_set_timer(f);
    }
    if (x->request->chunked) {
        iov[0].iov_len = (size_t)snprintf(size, sizeof(size), "%zx\r\n", len);
        send_body(f, iov, 3);
    } else {
        send_body(f, iov + 1, 1);
    }
    if (x->handler != f || x->ops == NULL)
        return; /* refused */
    pending = f->connected ? client_pending(f->client) : f->request.len;
    if (pending > FORWARD_HIGH_WATER && !f->held) {
        f->held = true;
        exchange_read(x, false);
        forward_set_timer(f);
    }
}

static void on_request_end(struct exchange *x)
{
    struct forward *f = x->handler;
    const struct iovec last = {(void *)"0\r\n\r\n", 5};

    if (x->request->chunked)
        send_body(f, &last, 1);
    if (x->ops != NULL && x->request->has_body)
        forward_set_timer(f);
}

static void on_server_drained(struct client *c)
{
    struct forward *f = client_arg(c);

    if (!f->held)
        return;
    f->held = false;
    forward_set_timer(f);
    exchange_read(f->x, true);
}

static void on_client_drained(struct exchange *x)
{
    struct forward *f = x->handler;

    if (!f->paused)
        return;
    f->paused = false;
    forward_set_timer(f);
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

/* ---- the connection ------------------------------------------------------ */

static void on_connected(struct client *c)
{
    struct forward *f = client_arg(c);

    f->connected = true;
    client_expect(c, f->x->is_head, f->upgrade.p != NULL);
    client_send(c, f->request.data, f->request.len);
    f->sent_bytes = f->request.len;
    f->replayable = f->idempotent && f->request.len <= REPLAY_MAX;
    if (!f->replayable)
        buffer_fini(&f->request);
    forward_set_timer(f);
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
        forward_refuse(f, 502, error, why);
    }
}

static const struct client_ops client_side = {
    .connected = on_connected,
    .head = answer_on_head,
    .body = answer_on_body,
    .delivered = answer_on_delivered,
    .end = answer_on_end,
    .drained = on_server_drained,
    .failed = on_failed,
};

/* Gets a connection, a new one if fresh, and sends what there is. */
static void attempt(struct forward *f, bool fresh)
{
    const struct backend_server *s = f->server;
    struct client *c = fresh ? NULL : backend_take(s, !f->idempotent ||
                                                           f->x->request->has_body);

    f->connected = false;
    f->reused = c != NULL;
    if (f->reused)
        client_set_owner(c, &client_side, f);
    else
        c = backend_connect(f->backend, s, &client_side, f);
    f->client = c;
    if (c == NULL)
        forward_refuse(f, 502, "proxy_internal_error", "out of memory");
    else if (f->reused)
        on_connected(c);
}

/* ---- the beginning ------------------------------------------------------- */

static bool is_idempotent(struct str method)
{
    static const char *const methods[] = {"GET", "HEAD", "OPTIONS", "PUT",
                                          "DELETE"};

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (str_eq(method, str_of(methods[i])))
            return true;
    return false;
}

/* As it stands in Host. */
static struct str name_server(const struct backend_server *s, char *out,
                              size_t cap)
{
    const char *form = strchr(s->host, ':') == NULL ? "%s:%u" : "[%s]:%u";

    snprintf(out, cap, form, s->host, s->port);
    return str_of(out);
}

static void write_request(struct forward *f)
{
    const struct http_message *m = f->x->request;
    char peer[64], server[300];
    struct fields_context context = {
        .peer = str_of(exchange_peer(f->x, peer, sizeof(peer))),
        .scheme = exchange_scheme(f->x),
        .upgrade = f->upgrade,
        .expect = f->expect,
    };

    if (m->authority.p == NULL)
        context.server = name_server(f->server, server, sizeof(server));
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
        forward_refuse(f, 502, "proxy_internal_error", "out of memory");
    else
        attempt(f, false);
}
