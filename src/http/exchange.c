#include "http/exchange.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "http/accesslog.h"
#include "http/status.h"
#include "wire/json.h"

void exchange_begin(struct exchange *x, const struct service *service,
                    const struct http_message *request)
{
    *x = (struct exchange){
        .protocol = x->protocol,
        .processing = x->processing,
        .service = service,
        .request = request,
        .started_us = accesslog_enabled() ? clock_now_us() : 0,
        .busy = true,
        .is_head = str_eq(request->method, STR("HEAD")),
        .http10 = request->minor == 0,
        .keep_alive = request->keep_alive && !service->draining,
        .continue_due = request->expect_continue,
    };
}

/* What was asked for.  False: it was logged already, or nobody wanted that. */
static bool what_to_log(const struct exchange *x, struct str *method,
                        struct str *target)
{
    if (!x->parked && x->request != NULL) {
        *method = x->request->method;
        *target = x->request->target;
    } else if (x->parked && x->logged != NULL) {
        *target = str_split(str_of(x->logged), ' ', method);
    } else {
        return false;
    }
    return x->started_us != 0 && accesslog_enabled();
}

static void log_access(const struct exchange *x)
{
    struct str method, target;
    char peer[64];

    if (!what_to_log(x, &method, &target))
        return;
    accesslog_write(&(struct access_line){
        .client = exchange_peer(x, peer, sizeof(peer)),
        .method = method,
        .target = target,
        .route = x->route,
        .status = x->status,
        .sent_bytes = x->sent_bytes,
        .ms = (double)(clock_now_us() - x->started_us) / 1000,
        .held = x->following,
    });
}

void exchange_stay(struct exchange *x)
{
    assert(x->busy && !x->staying && x->ops->drain != NULL &&
           x->ops->renew != NULL);
    LIST_INSERT_HEAD(x->service->readers, x, link);
    x->staying = true;
}

static void leave(struct exchange *x)
{
    if (x->staying)
        LIST_REMOVE(x, link);
    x->staying = false;
}

void exchange_let_go(struct exchange *x)
{
    leave(x);
    x->ops->drain(x);
}

static void drop_extra(struct exchange *x)
{
    if (x->extra != NULL)
        headers_fini(x->extra);
    free(x->extra);
    x->extra = NULL;
}

void exchange_end(struct exchange *x)
{
    assert(x->busy);
    leave(x);
    log_access(x);
    if (x->parked)
        free(x->logged);
    x->busy = false;
    x->parked = false;
    x->request = NULL;
    x->ops = NULL;
    x->route = NULL;
    drop_extra(x);
    snapshot_unref(&x->snapshot);
}

static bool is_list(struct str name)
{
    return str_eq_nocase(name, STR("Vary")) ||
           str_eq_nocase(name, STR("Access-Control-Expose-Headers"));
}

int exchange_add(struct exchange *x, struct str name, struct str value)
{
    if (x->extra == NULL)
        x->extra = calloc(1, sizeof(*x->extra));
    return x->extra == NULL ? -ENOMEM : headers_add(x->extra, name, value);
}

bool exchange_replaces(const struct exchange *x, struct str name)
{
    for (unsigned i = 0; x->extra != NULL && i < x->extra->count; i++)
        if (str_eq_nocase(x->extra->list[i].name, name))
            return !is_list(name);
    return false;
}

void exchange_count(struct exchange *x, tally_id tally)
{
    x->tally = tally;
    tally_add(tally, TALLY_route_requests, 1);
    x->protocol->set_tally(x, tally);
}

void exchange_start(struct exchange *x, unsigned status,
                    const struct headers *headers, enum exchange_body body,
                    uint64_t length)
{
    assert(x->busy && x->status == 0);
    x->status = (uint16_t)status;
    x->protocol->start(x, status, headers, body, length);
}

void exchange_flush(struct exchange *x)
{
    x->protocol->flush(x);
}

void exchange_write(struct exchange *x, const void *data, size_t len)
{
    assert(x->busy && x->status != 0);
    if (x->is_head || len == 0)
        return;
    x->sent_bytes += len;
    x->protocol->write(x, data, len);
}

size_t exchange_writev(struct exchange *x, const struct iovec *iov, int n)
{
    size_t taken = x->protocol->writev(x, iov, n);

    x->sent_bytes += taken;
    return taken;
}

void exchange_finish(struct exchange *x)
{
    assert(x->busy && x->status != 0);
    leave(x);
    x->protocol->finish(x);
}

void exchange_fail(struct exchange *x)
{
    leave(x);
    x->protocol->fail(x);
}

void exchange_respond(struct exchange *x, unsigned status,
                      const struct headers *headers, const void *body,
                      size_t len)
{
    bool none = status == 204 || status == 304;

    x->hold_head = true;
    exchange_start(x, status, headers, none ? BODY_NONE : BODY_LENGTH, len);
    if (!none)
        exchange_write(x, body, len);
    exchange_finish(x);
}

void exchange_send_whole(struct exchange *x, unsigned status,
                         struct str octets, uint64_t body_bytes)
{
    assert(x->busy && x->status == 0);
    x->status = (uint16_t)status;
    x->sent_bytes = body_bytes;
    x->protocol->send_whole(x, octets);
    exchange_finish(x);
}

void exchange_problem(struct exchange *x, unsigned status,
                      const struct headers *headers, const char *detail, ...)
{
    struct headers all = {0};
    struct buffer body = {0};
    char text[512];
    va_list args;
    int n;

    va_start(args, detail);
    n = vsnprintf(text, sizeof(text), detail, args);
    va_end(args);
    if ((size_t)n >= sizeof(text))
        n = sizeof(text) - 1;
    buffer_printf(&body, "{\"status\":%u,\"title\":\"%s\",\"detail\":", status,
                  status_reason(status));
    json_append_string(&body, (struct str){text, (size_t)n});
    buffer_append_str(&body, STR("}\n"));

    headers_add(&all, STR("Content-Type"), STR("application/problem+json"));
    headers_add(&all, STR("Cache-Control"), STR("no-store"));
    for (unsigned i = 0; headers != NULL && i < headers->count; i++)
        headers_add(&all, headers->list[i].name, headers->list[i].value);
    exchange_respond(x, status, &all, body.data, body.len);
    headers_fini(&all);
    buffer_fini(&body);
}

void exchange_upgrade(struct exchange *x, const struct headers *headers)
{
    assert(x->busy && x->status == 0);
    x->status = 101;
    x->protocol->upgrade(x, headers);
}

void exchange_shutdown(struct exchange *x)
{
    assert(x->busy && x->upgraded);
    x->protocol->shut(x);
}

void exchange_interim(struct exchange *x, unsigned status,
                      const struct headers *headers)
{
    assert(x->busy && x->status == 0 && status < 200 && status != 101);
    x->protocol->interim(x, status, headers);
}

void exchange_proceed(struct exchange *x)
{
    if (!x->continue_due)
        return;
    x->continue_due = false;
    exchange_interim(x, 100, NULL);
}

void exchange_follow(struct exchange *x, uint64_t dead_after_ms)
{
    x->following = true;
    exchange_stay(x);
    log_access(x);
    x->request = NULL;
    drop_extra(x);
    x->protocol->forget(x);
    x->protocol->set_dead_after(x, dead_after_ms);
}

/* "METHOD TARGET", or NULL where there is no log, or no memory. */
static char *log_note(const struct http_message *m)
{
    struct buffer note = {0};

    if (!accesslog_enabled())
        return NULL;
    buffer_append_str(&note, m->method);
    buffer_append_byte(&note, ' ');
    buffer_append_str(&note, m->target);
    buffer_append_byte(&note, '\0');
    if (note.failed)
        buffer_fini(&note);
    return note.data;
}

void exchange_park(struct exchange *x)
{
    /* Fields that were added may be made of the request's. */
    if (!x->request_done || x->extra != NULL)
        return;
    x->logged = log_note(x->request);
    x->parked = true;
    x->protocol->forget(x);
}

void exchange_set_dead_after(struct exchange *x, uint64_t ms)
{
    x->protocol->set_dead_after(x, ms);
}

void exchange_set_prompt(struct exchange *x)
{
    x->protocol->set_prompt(x);
}

void exchange_read(struct exchange *x, bool on)
{
    x->protocol->read(x, on);
}

void exchange_set_timer(struct exchange *x, uint64_t delay_ms)
{
    x->protocol->set_timer(x, delay_ms);
}

size_t exchange_pending(const struct exchange *x)
{
    return x->protocol->pending(x);
}

size_t exchange_unacked(const struct exchange *x)
{
    return x->protocol->unacked(x);
}

struct str exchange_scheme(const struct exchange *x)
{
    return x->protocol->secure(x) ? STR("https") : STR("http");
}

const char *exchange_peer(const struct exchange *x, char *out, size_t cap)
{
    return x->protocol->peer(x, out, cap);
}

void answer_add(struct answer_headers *a, const char *name, struct str value)
{
    assert(a->headers.count < HEADERS_ON_STACK);
    a->list[a->headers.count++] = (struct header){str_of(name), value};
}
