#include "http/http1.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/logging.h"
#include "base/meter.h"
#include "http/answer_head.h"
#include "http/date.h"
#include "http/exchange.h"
#include "http/status.h"
#include "net/conn.h"
#include "net/worker.h"

/* Requests that a client sent ahead, or a body while its handler is slow:
 * beyond this it is read no more until there is room. */
#define INPUT_MAX (64 * 1024)
/* Answers that a client does not read: beyond this its next request waits. */
#define OUTPUT_MAX (256 * 1024)
/* A request body that nobody wants is read to its end up to here, so that the
 * connection lives on; a longer one costs the connection. */
#define UNWANTED_BODY_MAX (256 * 1024)

/* One client connection and its exchange.  An idle follower has no parser and
 * no input. */
struct http1 {
    struct conn conn; /* first: see conn.h */
    struct exchange exchange;
    struct parser *parser;
    struct buffer input;     /* read, and not yet parsed */
    struct buffer head;      /* of an answer, held for what follows at once */
    const struct service *service;
    void *guest;             /* the service's: told when we close */
    size_t unwanted_bytes;
    uint64_t due_us;         /* the handler's deadline, while the body's is
                              * set; 0: none */
    bool processing;         /* process() is on the stack */
    bool paused;             /* the handler asked us not to read */
    bool finished;           /* its answer is complete, its body perhaps not */
};

static const struct exchange_protocol http1_protocol;
static const struct parser_ops request_ops;
static void process(struct http1 *h);

static struct http1 *of_conn(struct conn *c)
{
    return (struct http1 *)c;
}

static struct http1 *of_exchange(const struct exchange *x)
{
    return (struct http1 *)((char *)x - offsetof(struct http1, exchange));
}

/* ---- what the client is waited for ------------------------------------- */

static void update_reading(struct http1 *h)
{
    conn_read(&h->conn, !h->paused && h->input.len < INPUT_MAX);
}

/* The deadline of what comes next; a handler whose request has been read sets
 * its own. */
static void arm_timer(struct http1 *h)
{
    const struct service *s = h->service;

    if (h->exchange.busy && h->exchange.request_done)
        return;
    if (h->exchange.busy)
        conn_set_timer(&h->conn, h->paused || h->exchange.patient
                                     ? 0
                                     : s->body_ms);
    else if (h->input.len > 0 || parser_busy(h->parser))
        return; /* set when its first octet came, and not put off by more */
    else
        conn_set_timer(&h->conn, s->idle_ms);
}

/* ---- the end of an exchange --------------------------------------------- */

static void next_request(struct http1 *h)
{
    bool keep_alive = h->exchange.keep_alive;

    exchange_end(&h->exchange);
    h->finished = false;
    h->paused = false;
    h->due_us = 0;
    h->unwanted_bytes = 0;
    if (!keep_alive) {
        conn_linger(&h->conn);
        return;
    }
    parser_next(h->parser);
    conn_set_timer(&h->conn, h->input.len > 0 ? h->service->head_ms
                                              : h->service->idle_ms);
    update_reading(h);
}

/* The answer is out.  Goes on to the next request once this one was read. */
static void settle(struct http1 *h)
{
    if (!h->finished || h->conn.dead)
        return;
    if (h->exchange.request_done || !h->exchange.keep_alive)
        next_request(h);
}

/* ---- requests ------------------------------------------------------------ */

static void tell_drain(struct http1 *h)
{
    struct exchange *x = &h->exchange;

    if (x->busy && !h->finished && x->ops != NULL && x->ops->drain != NULL)
        x->ops->drain(x);
}

static int on_head(void *arg, const struct http_message *request)
{
    struct http1 *h = arg;

    meter_add(METER_requests, 1);
    exchange_begin(&h->exchange, h->service, request);
    h->exchange.request_done =
        !request->chunked && request->length == 0;
    conn_set_timer(&h->conn, 0);
    h->service->dispatch(&h->exchange);
    /* Others were told when draining began; this one was still on its way. */
    if (h->service->draining && !h->conn.dead)
        tell_drain(h);
    return h->conn.dead ? -ECONNABORTED : 0;
}

static int on_body(void *arg, const char *data, size_t len)
{
    struct http1 *h = arg;
    struct exchange *x = &h->exchange;

    if (!h->finished && x->ops != NULL && x->ops->body != NULL) {
        x->ops->body(x, data, len);
        return h->conn.dead ? -ECONNABORTED : 0;
    }
    h->unwanted_bytes += len;
    if (h->unwanted_bytes <= UNWANTED_BODY_MAX)
        return 0;
    x->keep_alive = false;
    return h->finished ? -ECONNABORTED : 0;
}

/* The body is there: its deadline makes room for the handler's. */
static void set_handler_timer(struct http1 *h)
{
    uint64_t now_us = clock_now_us();

    if (h->due_us == 0)
        conn_set_timer(&h->conn, 0);
    else
        conn_set_timer(&h->conn, h->due_us > now_us
                                     ? (h->due_us - now_us) / 1000 + 1
                                     : 1);
}

static int on_end(void *arg)
{
    struct http1 *h = arg;
    struct exchange *x = &h->exchange;

    if (!x->request_done && !h->finished)
        set_handler_timer(h);
    x->request_done = true;
    if (h->finished)
        return 0;
    if (x->ops != NULL && x->ops->body_end != NULL)
        x->ops->body_end(x);
    return h->conn.dead ? -ECONNABORTED : 0;
}

static const struct parser_ops request_ops = {on_head, on_body, on_end};

/* ---- refusals ------------------------------------------------------------ */

/* Answers without an exchange, since there is no request to speak of. */
static void refuse_connection(struct http1 *h, int status, const char *reason)
{
    char answer[512], peer[64], date[HTTP_DATE_LEN + 1];
    char body[256];
    int n = snprintf(body, sizeof(body),
                     "{\"status\":%d,\"title\":\"%s\",\"detail\":\"%s\"}\n",
                     status, status_reason((unsigned)status), reason);

    http_date(date, clock_wall_ms());
    meter_add(METER_requests_refused, 1);
    log_info("request.refused", "client=%s status=%d reason=\"%s\"",
             conn_peer(&h->conn, peer, sizeof(peer)), status, reason);
    n = snprintf(answer, sizeof(answer),
                 "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: close\r\n"
                 "Content-Type: application/problem+json\r\n"
                 "Content-Length: %d\r\n\r\n%s",
                 status, status_reason((unsigned)status), date, n, body);
    conn_write(&h->conn, answer, (size_t)n);
    conn_linger(&h->conn);
}

/* The handler learns that its client is no more. */
static void abandon(struct http1 *h)
{
    struct exchange *x = &h->exchange;
    const struct exchange_ops *ops = x->ops;

    if (!x->busy)
        return;
    if (!h->finished && ops != NULL && ops->gone != NULL)
        ops->gone(x);
    exchange_end(x);
}

static void refuse(struct http1 *h)
{
    const struct head_fault *fault = parser_fault(h->parser);
    bool answered = h->exchange.busy && h->exchange.status != 0;

    h->input.len = 0;
    abandon(h);
    if (answered)
        conn_close(&h->conn, true);
    else
        refuse_connection(h, fault->status, fault->reason);
}

/* ---- feeding ------------------------------------------------------------- */

/* Whether octets may go to the parser now: never into the next request while
 * this one is being answered. */
static bool may_parse(const struct http1 *h)
{
    if (h->conn.dead || h->conn.lingering || h->parser == NULL || h->paused)
        return false;
    if (!h->exchange.busy)
        return conn_pending(&h->conn) <= OUTPUT_MAX;
    return !h->exchange.request_done;
}

/* Parses what it can of data; returns how much was used. */
static size_t parse(struct http1 *h, char *data, size_t len)
{
    size_t used = 0;

    while (used < len) {
        ssize_t n;

        if (h->exchange.upgraded) {
            h->exchange.ops->raw(&h->exchange, data + used, len - used);
            return len;
        }
        if (!may_parse(h))
            break;
        if (!h->exchange.busy && !parser_busy(h->parser))
            conn_set_timer(&h->conn, h->service->head_ms);
        n = parser_feed(h->parser, data + used, len - used);
        if (h->conn.dead || h->conn.lingering)
            return len;
        if (n == -EBADMSG) {
            refuse(h);
            return len;
        }
        if (n < 0) {
            abandon(h);
            conn_linger(&h->conn);
            return len;
        }
        used += (size_t)n;
        settle(h);
    }
    return used;
}

static void free_parser(struct http1 *h)
{
    parser_free(h->parser);
    h->parser = NULL;
}

/* What could not be freed while the parser was calling us. */
static void end_processing(struct http1 *h)
{
    h->processing = false;
    if (h->conn.dead || h->exchange.following)
        free_parser(h);
    if (h->conn.dead) {
        buffer_fini(&h->input);
        buffer_fini(&h->head);
    }
}

static void process(struct http1 *h)
{
    if (h->processing)
        return;
    h->processing = true;
    settle(h);
    while (h->input.len > 0 && !h->conn.dead && !h->conn.lingering) {
        size_t used = parse(h, h->input.data, h->input.len);

        if (used == 0)
            break;
        buffer_drop(&h->input, used);
    }
    end_processing(h);
    if (h->conn.dead || h->conn.lingering)
        return;
    if (h->input.len == 0)
        buffer_fini(&h->input);
    arm_timer(h);
    update_reading(h);
}

/* Keeps what cannot be parsed yet. */
static void keep_input(struct http1 *h, const char *data, size_t len)
{
    if (h->exchange.following && h->input.len + len > INPUT_MAX) {
        abandon(h); /* it listens: whatever this is, it is not for us */
        conn_close(&h->conn, true);
        return;
    }
    buffer_append(&h->input, data, len);
    if (h->input.failed) {
        abandon(h);
        conn_close(&h->conn, true);
    }
}

static void on_data(struct conn *c, char *data, size_t len)
{
    struct http1 *h = of_conn(c);

    if (h->input.len == 0) {
        size_t used;

        h->processing = true;
        used = parse(h, data, len);
        end_processing(h);
        data += used;
        len -= used;
    }
    if (c->dead || c->lingering)
        return;
    if (len > 0)
        keep_input(h, data, len);
    if (!c->dead)
        process(h);
}

/* ---- the connection ------------------------------------------------------ */

static void on_eof(struct conn *c)
{
    struct http1 *h = of_conn(c);
    struct exchange *x = &h->exchange;
    bool flushing = h->finished || !x->busy;

    if (!flushing && x->upgraded && x->ops->raw_end != NULL) {
        x->ops->raw_end(x);
        return;
    }
    abandon(h);
    /* The last answer may still be on its way out. */
    if (flushing)
        conn_linger(c);
    else
        conn_close(c, false);
}

static void on_drained(struct conn *c)
{
    struct http1 *h = of_conn(c);
    struct exchange *x = &h->exchange;

    if (!x->busy)
        process(h); /* a request may have waited for this */
    else if (!h->finished && x->ops != NULL && x->ops->drained != NULL)
        x->ops->drained(x);
}

static void on_timeout(struct conn *c)
{
    struct http1 *h = of_conn(c);
    struct exchange *x = &h->exchange;

    if (x->busy && x->request_done) {
        if (x->ops != NULL && x->ops->timeout != NULL)
            x->ops->timeout(x);
        return;
    }
    if (x->busy || h->input.len > 0 || parser_busy(h->parser)) {
        bool answered = x->busy && x->status != 0;

        abandon(h);
        if (answered)
            conn_close(c, true);
        else
            refuse_connection(h, 408, "the request took too long to arrive");
        return;
    }
    conn_linger(c); /* idle between requests */
}

static void on_broken(struct conn *c, int error)
{
    abandon(of_conn(c));
    conn_close(c, false);
}

static void on_drain(struct conn *c)
{
    struct http1 *h = of_conn(c);
    struct exchange *x = &h->exchange;

    if (!x->busy) {
        if (h->input.len == 0 && !parser_busy(h->parser))
            conn_linger(c);
        return;
    }
    x->keep_alive = false;
    if (!x->staying) /* or else it is let go in its turn */
        tell_drain(h);
}

static void on_closed(struct conn *c)
{
    struct http1 *h = of_conn(c);

    abandon(h);
    if (!h->processing)
        end_processing(h);
    if (h->service->closed != NULL)
        h->service->closed(h->service, h->guest);
}

static const struct conn_ops connection_ops = {
    .data = on_data,
    .eof = on_eof,
    .drained = on_drained,
    .timeout = on_timeout,
    .broken = on_broken,
    .drain = on_drain,
    .closed = on_closed,
};

int http1_accept(int fd, const struct service *service, void *guest)
{
    struct http1 *h = calloc(1, sizeof(*h));

    if (h != NULL)
        h->parser = parser_new(HEAD_REQUEST, &request_ops, h, &service->head);
    if (h == NULL || h->parser == NULL) {
        free(h);
        close(fd);
        return -ENOMEM;
    }
    h->service = service;
    h->guest = guest;
    h->exchange.protocol = &http1_protocol;
    meter_add(METER_connections, 1);
    conn_open(&h->conn, fd, &connection_ops, true, false);
    conn_set_timer(&h->conn, service->head_ms);
    return 0;
}

/* ---- answers: exchange_protocol ------------------------------------------ */

/* Whether the connection can be used again after an answer given now. */
static bool may_keep_alive(const struct http1 *h, enum exchange_body body)
{
    const struct exchange *x = &h->exchange;

    if (!x->keep_alive || x->service->draining)
        return false;
    if (body == BODY_STREAM && x->request->minor == 0)
        return false; /* only its end says where it ends */
    if (x->request_done)
        return true;
    return !x->continue_due && !x->request->chunked &&
           x->request->length <= UNWANTED_BODY_MAX;
}

static void h1_flush(struct exchange *x)
{
    struct http1 *h = of_exchange(x);

    if (h->head.len > 0)
        conn_write(&h->conn, h->head.data, h->head.len);
    buffer_fini(&h->head);
}

static void h1_start(struct exchange *x, unsigned status,
                     const struct headers *headers, enum exchange_body body,
                     uint64_t length)
{
    struct http1 *h = of_exchange(x);
    struct buffer head = {0};

    x->keep_alive = may_keep_alive(h, body);
    answer_head_write(&head, x, status, headers, body, length);
    if (head.failed) {
        /* The handler is about to write the body: it stays until the loop. */
        buffer_fini(&head);
        conn_break(&h->conn, ENOMEM);
        return;
    }
    h->head = head;
    if (!x->hold_head)
        h1_flush(x);
}

static void h1_write(struct exchange *x, const void *data, size_t len)
{
    struct http1 *h = of_exchange(x);
    struct iovec iov[4];
    char size[20];
    int n = 0;

    if (h->head.len > 0)
        iov[n++] = (struct iovec){h->head.data, h->head.len};
    if (x->chunked)
        iov[n++] = (struct iovec){
            size, (size_t)snprintf(size, sizeof(size), "%zx\r\n", len)};
    iov[n++] = (struct iovec){(void *)data, len};
    if (x->chunked)
        iov[n++] = (struct iovec){(void *)"\r\n", 2};
    conn_write_all(&h->conn, iov, n);
    buffer_fini(&h->head);
}

static size_t h1_writev(struct exchange *x, const struct iovec *iov, int n)
{
    h1_flush(x);
    return conn_writev(&of_exchange(x)->conn, iov, n);
}

static void h1_finish(struct exchange *x)
{
    struct http1 *h = of_exchange(x);

    h1_flush(x);
    if (x->chunked)
        conn_write(&h->conn, "0\r\n\r\n", 5);
    h->finished = true;
    h->paused = false;
    if (x->upgraded || x->following) {
        /* Nothing can follow on this connection: the parser is gone. */
        x->keep_alive = false;
        x->request_done = true;
    }
    conn_set_timer(&h->conn, x->request_done ? 0 : h->service->body_ms);
    process(h);
}

static void h1_fail(struct exchange *x)
{
    struct http1 *h = of_exchange(x);

    h->finished = true; /* the handler knows */
    conn_close(&h->conn, true);
}

static void h1_upgrade(struct exchange *x, const struct headers *headers)
{
    struct http1 *h = of_exchange(x);
    struct buffer head = {0};

    answer_head_write_upgrade(&head, x, headers);
    x->upgraded = true;
    x->request_done = true;
    x->keep_alive = false;
    if (head.failed)
        conn_break(&h->conn, ENOMEM);
    else
        conn_write(&h->conn, head.data, head.len);
    buffer_fini(&head);
    process(h);
}

static void h1_shut(struct exchange *x)
{
    conn_shutdown(&of_exchange(x)->conn);
}

/* RFC 9110 15.2: never to a client of HTTP/1.0. */
static void h1_interim(struct exchange *x, unsigned status,
                       const struct headers *headers)
{
    struct buffer head = {0};

    if (x->request->minor == 0)
        return;
    answer_head_write_interim(&head, status, headers);
    if (!head.failed) /* it could do without */
        conn_write(&of_exchange(x)->conn, head.data, head.len);
    buffer_fini(&head);
}

static void h1_follow(struct exchange *x)
{
    struct http1 *h = of_exchange(x);

    x->request_done = true; /* a body that it may have is not waited for */
    if (!h->processing)
        free_parser(h);
}

static void h1_set_prompt(struct exchange *x)
{
    conn_set_unsent(&of_exchange(x)->conn, 1);
}

static void h1_set_dead_after(struct exchange *x, uint64_t ms)
{
    conn_set_dead_after(&of_exchange(x)->conn, ms);
}

static void h1_read(struct exchange *x, bool on)
{
    struct http1 *h = of_exchange(x);

    if (h->paused == !on)
        return;
    h->paused = !on;
    if (on)
        process(h);
    else
        update_reading(h);
}

static void h1_set_timer(struct exchange *x, uint64_t delay_ms)
{
    struct http1 *h = of_exchange(x);

    h->due_us = delay_ms == 0 ? 0 : clock_now_us() + delay_ms * 1000;
    if (x->request_done)
        conn_set_timer(&h->conn, delay_ms);
}

static size_t h1_pending(const struct exchange *x)
{
    return conn_pending(&of_exchange(x)->conn);
}

static size_t h1_unacked(const struct exchange *x)
{
    return conn_unacked(&of_exchange(x)->conn);
}

static const char *h1_peer(const struct exchange *x, char *out, size_t cap)
{
    return conn_peer_host(&of_exchange(x)->conn, out, cap);
}

static const struct exchange_protocol http1_protocol = {
    .start = h1_start,
    .flush = h1_flush,
    .write = h1_write,
    .writev = h1_writev,
    .finish = h1_finish,
    .fail = h1_fail,
    .upgrade = h1_upgrade,
    .shut = h1_shut,
    .interim = h1_interim,
    .follow = h1_follow,
    .set_dead_after = h1_set_dead_after,
    .set_prompt = h1_set_prompt,
    .read = h1_read,
    .set_timer = h1_set_timer,
    .pending = h1_pending,
    .unacked = h1_unacked,
    .peer = h1_peer,
};
