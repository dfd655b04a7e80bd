#include <stdlib.h>

#include "http/client.h"
#include "http/exchange.h"
#include "net/worker.h"
#include "proxy/backend.h"
#include "proxy/fields.h"
#include "proxy/forward.h"
#include "proxy/forward_priv.h"
#include "proxy/tunnel.h"

static void pass_interim(struct forward *f, const struct http_message *m)
{
    struct headers headers = {0};

    if (m->status == 100) {
        exchange_proceed(f->x); /* if the client still waits for it */
        forward_set_timer(f);
    } else if (fields_pick_answer(&headers, m) == 0) {
        exchange_interim(f->x, m->status, &headers);
    }
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
        forward_refuse(f, 502, "http_upgrade_failed", why);
    } else if (fields_pick_answer(&headers, m) < 0) {
        forward_refuse(f, 502, "proxy_internal_error", "out of memory");
    } else {
        forward_release(f);
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
        forward_refuse(f, 502, "proxy_internal_error", "out of memory");
    } else {
        f->replayable = false;
        buffer_fini(&f->request);
        worker_timer_clear(worker_self(), &f->timer);
        x->hold_head = true; /* for what of the body came with it */
        exchange_start(x, m->status, &headers, body_of(x, m), m->length);
    }
    headers_fini(&headers);
}

void answer_on_head(struct client *c, const struct http_message *m)
{
    struct forward *f = client_arg(c);

    if (m->status == 101)
        pass_upgrade(f, m);
    else if (m->status < 200)
        pass_interim(f, m);
    else
        pass_head(f, m);
}

void answer_on_body(struct client *c, const char *data, size_t len)
{
    struct forward *f = client_arg(c);

    exchange_write(f->x, data, len);
    if (f->paused || exchange_pending(f->x) <= FORWARD_HIGH_WATER)
        return;
    f->paused = true;
    client_read(c, false);
    forward_set_timer(f);
}

void answer_on_delivered(struct client *c)
{
    struct forward *f = client_arg(c);

    exchange_flush(f->x);
}

/* A connection on which some of the request has not gone out, because the
 * answer came early, is of no use to the next one. */
void answer_on_end(struct client *c, bool reusable)
{
    struct forward *f = client_arg(c);
    struct exchange *x = f->x;

    if (reusable && x->request_done && client_pending(c) == 0)
        backend_keep(f->backend, f->server, c);
    else
        client_close(c);
    forward_release(f);
    exchange_finish(x); /* last: the next request may begin in here */
}
