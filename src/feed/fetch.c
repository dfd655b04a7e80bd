#include "feed/fetch.h"

#include <errno.h>

#include "base/clock.h"
#include "feed/source.h"
#include "feed/upstream.h"
#include "http/date.h"
#include "proxy/backend.h"

static const struct client_ops fetch_client;

static struct fetch *of(struct client *c)
{
    return client_arg(c);
}

static const struct backend *backend_of(const struct fetch *f)
{
    return source_settings(f->source)->backend;
}

static void wait_for_answer(struct fetch *f)
{
    client_set_timer(f->client, backend_of(f)->response_ms + f->wait_ms);
}

static int ask(struct fetch *f, bool fresh)
{
    const struct backend_server *at = f->server;
    struct client *c = fresh ? NULL : backend_take(at, false);

    f->reused = c != NULL;
    f->fault = NULL;
    f->body.len = 0;
    if (f->reused)
        client_set_owner(c, &fetch_client, f);
    else
        c = client_connect(at->host, at->port, backend_of(f)->connect_ms,
                           &fetch_client, f);
    f->client = c;
    if (c == NULL)
        return -ENOMEM;
    client_expect(c, false, false);
    client_send(c, f->request.data, f->request.len);
    if (f->reused)
        wait_for_answer(f);
    return 0;
}

static void on_connected(struct client *c)
{
    wait_for_answer(of(c));
}

static void on_head(struct client *c, const struct http_message *m)
{
    struct fetch *f = of(c);
    struct str coding = headers_get(&m->headers, "Content-Encoding");

    if (m->status < 200)
        return;
    f->status = m->status;
    if (coding.n > 0 && !str_eq_nocase(coding, STR("identity")))
        f->fault = "the answer is compressed, which was not asked for";
    f->ops->head(f, m);
}

/* What is no use is read to its end, and dropped. */
static void on_body(struct client *c, const char *data, size_t len)
{
    struct fetch *f = of(c);

    if (f->body.len + len > source_settings(f->source)->message_bytes)
        f->fault = "the answer is larger than \"message\" allows";
    if (f->fault == NULL)
        buffer_append(&f->body, data, len);
    wait_for_answer(f);
}

static void on_end(struct client *c, bool reusable)
{
    struct fetch *f = of(c);

    f->client = NULL;
    client_set_timer(c, 0);
    if (reusable)
        backend_keep(backend_of(f), f->server, c);
    else
        client_close(c);
    if (f->body.failed)
        f->fault = "out of memory";
    if (f->fault != NULL)
        f->ops->failed(f, f->fault);
    else
        f->ops->answered(f, f->status, buffer_str(&f->body));
}

static void on_failed(struct client *c, enum client_failure failure,
                      const char *why)
{
    struct fetch *f = of(c);

    f->client = NULL;
    /* It was closed while it waited in the pool. */
    if (f->reused && failure == CLIENT_CLOSED && ask(f, true) == 0)
        return;
    f->ops->failed(f, upstream_failure(failure, false, why));
}

static const struct client_ops fetch_client = {
    .connected = on_connected,
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .failed = on_failed,
};

int fetch_start(struct fetch *f, struct source *s, const struct fetch_ops *ops,
                struct str target, struct str fields, uint64_t wait_ms)
{
    f->source = s;
    f->ops = ops;
    f->wait_ms = wait_ms;
    f->server = backend_pick(backend_of(f));
    f->request.len = 0;
    upstream_write_target(&f->request, target, f->server);
    buffer_append_str(&f->request, STR("Accept-Encoding: identity\r\n"
                                       "User-Agent: penstock\r\n"));
    buffer_append_str(&f->request, fields);
    buffer_append_str(&f->request, STR("\r\n"));
    return f->request.failed ? -ENOMEM : ask(f, false);
}

void fetch_stop(struct fetch *f)
{
    if (f->client != NULL)
        client_close(f->client);
    f->client = NULL;
}

void fetch_fini(struct fetch *f)
{
    buffer_fini(&f->request);
    buffer_fini(&f->body);
}

uint64_t fetch_retry_after_ms(const struct http_message *m)
{
    struct str value = headers_get(&m->headers, "Retry-After");
    uint64_t seconds, at_ms, now_ms = clock_wall_ms();

    if (str_to_u64(value, &seconds))
        return seconds > 86400 ? 0 : seconds * 1000;
    if (!http_date_parse(value, &at_ms) || at_ms <= now_ms)
        return 0;
    return at_ms - now_ms;
}

const char *fetch_status_fault(unsigned status)
{
    if (status >= 500)
        return "the backend answered with an error (5xx)";
    if (status == 429)
        return "the backend is asked too often (429)";
    if (status >= 300 && status < 400)
        return "the backend redirects: name the final URL";
    return "the backend refused (4xx)";
}
