#include "http/http1.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/logging.h"
#include "base/meter.h"
#include "http/answer_head.h"
#include "http/date.h"
#include "http/exchange.h"
#include "http/intake.h"
#include "http/status.h"
#include "net/conn.h"
#include "net/worker.h"

/* Requests that a client sent ahead, or a body while its handler is slow:
 * beyond this it is read no more until there is room. */
#define INPUT_MAX (64 * 1024)
/* Answers that a client does not read: beyond this its next request waits. */
#define OUTPUT_MAX (256 * 1024)
/* Answers up to this size are put together with others. */
#define GATHER_MAX (16 * 1024)
/* What is copied for less than a write of several pieces costs over one. */
#define JOIN_MAX   2048
#define TIMED_EVERY 8 /* requests */
#define EMIT_MAX   3 /* pieces that one write of a body takes */
/* A request body that nobody wants is read to its end up to here, so that the
 * connection lives on; a longer one costs the connection. */
#define UNWANTED_BODY_MAX (256 * 1024)

/* One client connection and its exchange.  What reads requests is there only
 * while one comes, or is being answered: not between two, and not for those who
 * listen. */
struct http1 {
    struct conn conn; /* first: see conn.h */
    struct exchange exchange;
    struct intake *intake;
    void *guest;      /* the service's: told when we close */
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

/* What was read and not yet parsed. */
static size_t input_len(const struct http1 *h)
{
    return h->intake == NULL ? 0 : h->intake->input.len;
}

static bool in_head(const struct http1 *h)
{
    return h->intake != NULL && parser_busy(h->intake->parser);
}

static void update_reading(struct http1 *h)
{
    conn_read(&h->conn, !h->exchange.paused && input_len(h) < INPUT_MAX);
}

/* The deadline of what comes next; a handler whose request has been read sets
 * its own. */
static void arm_timer(struct http1 *h)
{
    const struct exchange *x = &h->exchange;
    const struct service *s = x->service;

    if (x->busy && x->request_done)
        return;
    if (x->busy)
        conn_set_timer(&h->conn, x->paused || x->patient ? 0 : s->body_ms);
    else if (input_len(h) > 0 || in_head(h))
        return; /* set when its first octet came, and not put off by more */
    else
        conn_set_timer(&h->conn, s->idle_ms);
}

/* ---- the end of an exchange --------------------------------------------- */

/* Takes one where there is none.  False: out of memory. */
static bool has_intake(struct http1 *h)
{
    if (h->intake == NULL)
        h->intake =
            intake_take(&request_ops, h, &h->exchange.service->head);
    return h->intake != NULL;
}

/* Sends what was put together. */
static void send_output(struct http1 *h)
{
    struct buffer *output;

    if (h->intake == NULL)
        return;
    output = &h->intake->output;
    conn_write(&h->conn, output->data, output->len);
    output->len = 0;
}

static void gather(struct http1 *h, const struct iovec *iov, int n)
{
    struct buffer *output = &h->intake->output;

    for (int i = 0; i < n; i++)
        buffer_append(output, iov[i].iov_base, iov[i].iov_len);
    if (output->failed)
        conn_break(&h->conn, ENOMEM);
    else if (output->len > OUTPUT_MAX / 4)
        send_output(h);
}

/* The connection ends once all that was answered is out. */
static void linger(struct http1 *h)
{
    send_output(h);
    conn_linger(&h->conn);
}

static void next_request(struct http1 *h)
{
    struct exchange *x = &h->exchange;

    exchange_end(x);
    x->finished = false;
    x->paused = false;
    if (!x->keep_alive) {
        linger(h);
        return;
    }
    if (h->intake != NULL)
        intake_next(h->intake);
    conn_set_timer(&h->conn, input_len(h) > 0 ? x->service->head_ms
                                              : x->service->idle_ms);
    update_reading(h);
}

/* The answer is out.  Goes on to the next request once this one was read. */
static void settle(struct http1 *h)
{
    if (!h->exchange.finished || h->conn.dead)
        return;
    if (h->exchange.request_done || !h->exchange.keep_alive)
        next_request(h);
}

/* ---- requests ------------------------------------------------------------ */

static void tell_drain(struct http1 *h)
{
    struct exchange *x = &h->exchange;

    if (x->busy && !x->finished && x->ops != NULL && x->ops->drain != NULL)
        x->ops->drain(x);
}

/* How many heads this thread has seen: whether a read brought one. */
static _Thread_local unsigned heads;

static int on_head(void *arg, const struct http_message *request)
{
    struct http1 *h = arg;
    struct exchange *x = &h->exchange;

    meter_add(METER_requests, 1);
    heads++;
    exchange_begin(x, x->service, request);
    x->request_done = !request->chunked && request->length == 0;
    conn_set_timer(&h->conn, 0);
    x->service->dispatch(x);
    /* Others were told when draining began; this one was still on its way. */
    if (x->service->draining && !h->conn.dead)
        tell_drain(h);
    return h->conn.dead ? -ECONNABORTED : 0;
}

static int on_body(void *arg, const char *data, size_t len)
{
    struct http1 *h = arg;
    struct exchange *x = &h->exchange;

    if (!x->finished && x->ops != NULL && x->ops->body != NULL) {
        x->ops->body(x, data, len);
        return h->conn.dead ? -ECONNABORTED : 0;
    }
    h->intake->unwanted_bytes += len;
    if (h->intake->unwanted_bytes <= UNWANTED_BODY_MAX)
        return 0;
    x->keep_alive = false;
    return x->finished ? -ECONNABORTED : 0;
}

/* The body is there: its deadline makes room for the handler's. */
static void set_handler_timer(struct http1 *h)
{
    uint64_t now_us, due_us = h->intake->due_us;

    if (due_us == 0) {
        conn_set_timer(&h->conn, 0);
        return;
    }
    now_us = clock_now_us();
    conn_set_timer(&h->conn,
                   due_us > now_us ? (due_us - now_us) / 1000 + 1 : 1);
}

static int on_end(void *arg)
{
    struct http1 *h = arg;
    struct exchange *x = &h->exchange;

    if (!x->request_done && !x->finished)
        set_handler_timer(h);
    x->request_done = true;
    if (x->finished)
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

    send_output(h);
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
    if (!x->finished && ops != NULL && ops->gone != NULL)
        ops->gone(x);
    exchange_end(x);
}

static void refuse(struct http1 *h)
{
    const struct head_fault fault = *parser_fault(h->intake->parser);
    bool answered = h->exchange.busy && h->exchange.status != 0;

    h->intake->input.len = 0;
    abandon(h);
    send_output(h);
    if (answered)
        conn_close(&h->conn, true);
    else
        refuse_connection(h, fault.status, fault.reason);
}

/* ---- feeding ------------------------------------------------------------- */

/* Whether octets may go to the parser now: never into the next request while
 * this one is being answered. */
static bool may_parse(const struct http1 *h)
{
    const struct exchange *x = &h->exchange;

    if (h->conn.dead || h->conn.lingering || x->paused)
        return false;
    if (!x->busy)
        return conn_pending(&h->conn) <= OUTPUT_MAX;
    return !x->request_done;
}

/* Parses what it can of data; returns how much was used. */
static size_t parse(struct http1 *h, char *data, size_t len)
{
    size_t used = 0;

    while (used < len) {
        bool begins;
        ssize_t n;

        if (h->exchange.upgraded) {
            h->exchange.ops->raw(&h->exchange, data + used, len - used);
            return len;
        }
        if (!may_parse(h))
            break;
        if (!has_intake(h)) {
            abandon(h);
            conn_close(&h->conn, true);
            return len;
        }
        begins = !h->exchange.busy && !in_head(h);
        n = parser_feed(h->intake->parser, data + used, len - used);
        if (h->conn.dead || h->conn.lingering)
            return len;
        /* Not put off by what comes later; most heads come whole. */
        if (begins && !h->exchange.busy && in_head(h))
            conn_set_timer(&h->conn, h->exchange.service->head_ms);
        if (n == -EBADMSG) {
            refuse(h);
            return len;
        }
        if (n < 0) {
            abandon(h);
            linger(h);
            return len;
        }
        used += (size_t)n;
        settle(h);
    }
    return used;
}

/* Whether nothing is half read, and nothing that was read is needed. */
static bool intake_idle(const struct http1 *h)
{
    const struct exchange *x = &h->exchange;

    if (input_len(h) > 0)
        return false;
    return x->busy ? x->following || x->parked
                   : !parser_holds(h->intake->parser);
}

static void give_intake(struct http1 *h)
{
    if (h->intake != NULL && !h->intake->late &&
        (h->conn.dead || intake_idle(h)))
        intake_give(&h->intake);
}

static void send_late(struct note *note)
{
    struct intake *in =
        (struct intake *)((char *)note - offsetof(struct intake, later));
    struct http1 *h = in->owner;

    in->late = false;
    if (!h->conn.dead)
        send_output(h);
    give_intake(h);
}

/* Sends what was put together, behind the notes that are on their way: those
 * who read what was published here have it before the publisher has its answer,
 * who then asks for more at once. */
static void send_in_turn(struct http1 *h)
{
    struct intake *in = h->intake;

    if (in == NULL || in->output.len == 0 || in->late)
        return;
    if (!worker_has_notes(worker_self())) {
        send_output(h);
        return;
    }
    in->late = true;
    in->later.run = send_late;
    worker_post_last(worker_self(), &in->later);
}

/* Gives back what could not be while the parser was calling us. */
static void end_processing(struct http1 *h)
{
    h->exchange.processing = false;
    if (!h->conn.dead)
        send_in_turn(h);
    give_intake(h);
}

static void process(struct http1 *h)
{
    if (h->exchange.processing)
        return;
    h->exchange.processing = true;
    settle(h);
    while (input_len(h) > 0 && !h->conn.dead && !h->conn.lingering) {
        struct buffer *input = &h->intake->input;
        size_t used = parse(h, input->data, input->len);

        if (used == 0)
            break;
        buffer_drop(input, used);
    }
    end_processing(h);
    if (h->conn.dead || h->conn.lingering)
        return;
    arm_timer(h);
    update_reading(h);
}

/* Keeps what cannot be parsed yet. */
static void keep_input(struct http1 *h, const char *data, size_t len)
{
    if (h->exchange.following && input_len(h) + len > INPUT_MAX) {
        abandon(h); /* it listens: whatever this is, it is not for us */
        conn_close(&h->conn, true);
        return;
    }
    if (has_intake(h))
        buffer_append(&h->intake->input, data, len);
    if (h->intake == NULL || h->intake->input.failed) {
        abandon(h);
        conn_close(&h->conn, true);
    }
}

static void take(struct conn *c, char *data, size_t len)
{
    struct http1 *h = of_conn(c);

    if (input_len(h) == 0) {
        size_t used;

        h->exchange.processing = true;
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

/* Now and then a read that brings requests is timed: parsing, the answers that
 * were there at once, and sending them. */
static void on_data(struct conn *c, char *data, size_t len)
{
    unsigned before = heads;
    uint64_t began_us =
        before % TIMED_EVERY == 0 && !of_conn(c)->exchange.busy
            ? clock_now_us()
            : 0;

    take(c, data, len);
    if (heads != before)
        tally_end(c->tally, TALLY_request_us, began_us, heads - before);
}

/* Of the next request, whose head is not whole. */
static bool is_undecided(const struct conn *c)
{
    const struct http1 *h = (const struct http1 *)c;

    return !h->exchange.busy && (in_head(h) || input_len(h) > 0);
}

/* ---- the connection ------------------------------------------------------ */

static void on_eof(struct conn *c)
{
    struct http1 *h = of_conn(c);
    struct exchange *x = &h->exchange;
    bool flushing = x->finished || !x->busy;

    if (!flushing && x->upgraded && x->ops->raw_end != NULL &&
        !conn_was_cut(c)) {
        x->ops->raw_end(x);
        return;
    }
    abandon(h);
    send_output(h); /* of the requests before this one */
    /* The last answer may still be on its way out. */
    if (flushing)
        linger(h);
    else
        conn_close(c, false);
}

static void on_drained(struct conn *c)
{
    struct http1 *h = of_conn(c);
    struct exchange *x = &h->exchange;

    if (!x->busy)
        process(h); /* a request may have waited for this */
    else if (!x->finished && x->ops != NULL && x->ops->drained != NULL)
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
    if (x->busy || input_len(h) > 0 || in_head(h)) {
        bool answered = x->busy && x->status != 0;

        abandon(h);
        if (answered)
            conn_close(c, true);
        else
            refuse_connection(h, 408, "the request took too long to arrive");
        return;
    }
    linger(h); /* idle between requests */
}

/* What the client said was no TLS, or not what we speak; it gets to know. */
static void refuse_tls(struct http1 *h)
{
    char peer[64];

    meter_add(METER_tls_failures, 1);
    log_info("tls.failed", "client=%s reason=\"%s\"",
             conn_peer(&h->conn, peer, sizeof(peer)), conn_tls_why(&h->conn));
    if (conn_expose(&h->conn))
        refuse_connection(h, 400, "plain HTTP request was sent to HTTPS port");
    else
        conn_linger(&h->conn);
}

static void on_broken(struct conn *c, int error)
{
    abandon(of_conn(c));
    if (error == EPROTO)
        refuse_tls(of_conn(c));
    else
        conn_close(c, false);
}

static void on_drain(struct conn *c)
{
    struct http1 *h = of_conn(c);
    struct exchange *x = &h->exchange;

    if (!x->busy) {
        if (input_len(h) == 0 && !in_head(h))
            linger(h);
        return;
    }
    x->keep_alive = false;
    if (!x->staying) /* or else it is let go in its turn */
        tell_drain(h);
}

static void on_closed(struct conn *c)
{
    struct http1 *h = of_conn(c);
    const struct service *s = h->exchange.service;

    abandon(h);
    if (!h->exchange.processing)
        end_processing(h);
    if (s->closed != NULL)
        s->closed(s, h->guest);
}

static const struct conn_ops connection_ops = {
    .data = on_data,
    .undecided = is_undecided,
    .eof = on_eof,
    .drained = on_drained,
    .timeout = on_timeout,
    .broken = on_broken,
    .drain = on_drain,
    .closed = on_closed,
};

int http1_accept(int fd, const struct service *service,
                 struct tls_context *tls, void *guest)
{
    struct http1 *h = calloc(1, sizeof(*h));

    if (h == NULL) {
        close(fd);
        return -ENOMEM;
    }
    h->guest = guest;
    h->exchange.service = service;
    h->exchange.protocol = &http1_protocol;
    meter_add(METER_connections, 1);
    conn_open(&h->conn, fd, &connection_ops, true, false);
    conn_set_timer(&h->conn, service->head_ms);
    if (tls != NULL && conn_secure(&h->conn, tls) < 0)
        conn_close(&h->conn, true);
    return 0;
}

/* ---- answers: exchange_protocol ------------------------------------------ */

/* Whether the connection can be used again after an answer given now. */
static bool may_keep_alive(const struct http1 *h, enum exchange_body body)
{
    const struct exchange *x = &h->exchange;

    if (!x->keep_alive || x->service->draining)
        return false;
    if (body == BODY_STREAM && x->http10)
        return false; /* only its end says where it ends */
    if (x->request_done)
        return true;
    return !x->continue_due && !x->request->chunked &&
           x->request->length <= UNWANTED_BODY_MAX;
}

/* Puts octets to what is to be sent while requests are read, so that those
 * that came together are answered together; sends them otherwise. */
static void emit(struct http1 *h, const struct iovec *iov, int n)
{
    struct buffer *output = h->intake == NULL ? NULL : &h->intake->output;
    struct iovec all[1 + EMIT_MAX];
    size_t total = 0;

    for (int i = 0; i < n; i++)
        total += iov[i].iov_len;
    if (h->exchange.processing && total < GATHER_MAX && has_intake(h)) {
        gather(h, iov, n);
        return;
    }
    if (output == NULL || output->len == 0) {
        conn_write_all(&h->conn, iov, n);
        return;
    }
    if (total < JOIN_MAX) {
        gather(h, iov, n);
        send_output(h);
        return;
    }
    all[0] = (struct iovec){output->data, output->len};
    memcpy(all + 1, iov, (size_t)n * sizeof(*iov));
    conn_write_all(&h->conn, all, n + 1);
    output->len = 0;
}

static void h1_flush(struct exchange *x)
{
    if (!x->processing)
        send_output(of_exchange(x));
}

static void h1_start(struct exchange *x, unsigned status,
                     const struct headers *headers, enum exchange_body body,
                     uint64_t length)
{
    struct http1 *h = of_exchange(x);

    x->keep_alive = may_keep_alive(h, body);
    if (has_intake(h))
        answer_head_write(&h->intake->output, x, status, headers, body,
                          length);
    if (h->intake == NULL || h->intake->output.failed) {
        /* The handler is about to write the body: it stays until the loop. */
        conn_break(&h->conn, ENOMEM);
        return;
    }
    if (!x->hold_head)
        h1_flush(x);
}

static void h1_render(struct exchange *x, struct buffer *out, unsigned status,
                      const struct headers *headers, uint64_t length)
{
    answer_head_write(out, x, status, headers, BODY_LENGTH, length);
}

static void h1_send_whole(struct exchange *x, struct str octets)
{
    const struct iovec whole = {(void *)octets.p, octets.n};

    emit(of_exchange(x), &whole, 1);
}

static void h1_write(struct exchange *x, const void *data, size_t len)
{
    struct iovec iov[EMIT_MAX];
    char size[20];
    int n = 0;

    if (x->chunked)
        iov[n++] = (struct iovec){
            size, (size_t)snprintf(size, sizeof(size), "%zx\r\n", len)};
    iov[n++] = (struct iovec){(void *)data, len};
    if (x->chunked)
        iov[n++] = (struct iovec){(void *)"\r\n", 2};
    emit(of_exchange(x), iov, n);
}

/* A head goes out together with the first of what follows. */
static size_t h1_writev(struct exchange *x, const struct iovec *iov, int n)
{
    struct http1 *h = of_exchange(x);
    struct buffer *output = h->intake == NULL ? NULL : &h->intake->output;
    struct iovec all[1 + EMIT_MAX];
    size_t sent, head;

    if (output != NULL && n > EMIT_MAX)
        send_output(h);
    if (output == NULL || output->len == 0)
        return conn_writev(&h->conn, iov, n);
    head = output->len;
    all[0] = (struct iovec){output->data, head};
    memcpy(all + 1, iov, (size_t)n * sizeof(*iov));
    sent = conn_writev(&h->conn, all, n + 1);
    output->len = 0;
    if (sent >= head)
        return sent - head;
    conn_write(&h->conn, output->data + sent, head - sent);
    return 0;
}

static void h1_finish(struct exchange *x)
{
    struct http1 *h = of_exchange(x);
    const struct iovec last = {(void *)"0\r\n\r\n", 5};

    if (x->chunked)
        emit(h, &last, 1);
    h1_flush(x);
    x->finished = true;
    x->paused = false;
    if (x->upgraded || x->following) {
        /* Nothing can follow on this connection: the parser is gone. */
        x->keep_alive = false;
        x->request_done = true;
    }
    conn_set_timer(&h->conn, x->request_done ? 0 : x->service->body_ms);
    process(h);
}

static void h1_fail(struct exchange *x)
{
    struct http1 *h = of_exchange(x);

    x->finished = true; /* the handler knows */
    conn_close(&h->conn, true);
}

static void h1_upgrade(struct exchange *x, const struct headers *headers)
{
    struct http1 *h = of_exchange(x);
    struct buffer *output = &h->intake->output; /* x->request is in there, too */

    answer_head_write_upgrade(output, x, headers);
    x->upgraded = true;
    x->request_done = true;
    x->keep_alive = false;
    if (output->failed)
        conn_break(&h->conn, ENOMEM);
    else
        h1_flush(x);
    process(h);
}

static void h1_shut(struct exchange *x)
{
    struct http1 *h = of_exchange(x);

    send_output(h);
    conn_shutdown(&h->conn);
}

/* RFC 9110 15.2: never to a client of HTTP/1.0. */
static void h1_interim(struct exchange *x, unsigned status,
                       const struct headers *headers)
{
    struct http1 *h = of_exchange(x);

    if (x->http10 || !has_intake(h))
        return;
    answer_head_write_interim(&h->intake->output, status, headers);
    if (h->intake->output.failed)
        conn_break(&h->conn, ENOMEM);
    else
        h1_flush(x);
}

static void h1_forget(struct exchange *x)
{
    struct http1 *h = of_exchange(x);

    x->request_done = true; /* a body that it may have is not waited for */
    if (!x->processing)
        end_processing(h);
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

    if (x->paused == !on)
        return;
    x->paused = !on;
    if (on)
        process(h);
    else
        update_reading(h);
}

static void h1_set_timer(struct exchange *x, uint64_t delay_ms)
{
    struct http1 *h = of_exchange(x);

    if (x->request_done)
        conn_set_timer(&h->conn, delay_ms);
    else
        h->intake->due_us = delay_ms == 0 ? 0
                                          : clock_now_us() + delay_ms * 1000;
}

static void h1_set_tally(struct exchange *x, tally_id tally)
{
    struct http1 *h = of_exchange(x);

    /* What was put together is what the last one was answered. */
    if (h->conn.tally != tally)
        send_output(h);
    conn_set_tally(&h->conn, tally);
}

static size_t h1_pending(const struct exchange *x)
{
    /* What is put together goes out before the loop goes on, and nobody is told
     * of that. */
    return conn_pending(&of_exchange(x)->conn);
}

static size_t h1_unacked(const struct exchange *x)
{
    return conn_unacked(&of_exchange(x)->conn);
}

static bool h1_secure(const struct exchange *x)
{
    return of_exchange(x)->conn.secure;
}

static const char *h1_peer(const struct exchange *x, char *out, size_t cap)
{
    return conn_peer_host(&of_exchange(x)->conn, out, cap);
}

static const struct exchange_protocol http1_protocol = {
    .start = h1_start,
    .flush = h1_flush,
    .render = h1_render,
    .send_whole = h1_send_whole,
    .write = h1_write,
    .writev = h1_writev,
    .finish = h1_finish,
    .fail = h1_fail,
    .upgrade = h1_upgrade,
    .shut = h1_shut,
    .interim = h1_interim,
    .forget = h1_forget,
    .set_dead_after = h1_set_dead_after,
    .set_prompt = h1_set_prompt,
    .read = h1_read,
    .set_timer = h1_set_timer,
    .set_tally = h1_set_tally,
    .pending = h1_pending,
    .unacked = h1_unacked,
    .peer = h1_peer,
    .secure = h1_secure,
};
