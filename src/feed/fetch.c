#include "feed/fetch.h"

#include <errno.h>

#include "feed/source.h"
#include "feed/verdict.h"
#include "proxy/backend.h"
#include "wire/unpack.h"

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

static void send_request(struct fetch *f)
{
    struct buffer request = {0};

    target_write_request(&f->target, f->source, &request);
    buffer_append_str(&request, buffer_str(&f->fields));
    buffer_append_str(&request, STR("\r\n"));
    client_expect(f->client, false, false);
    client_send(f->client, request.data, request.len);
    buffer_fini(&request);
}

static int ask(struct fetch *f, bool fresh)
{
    const struct backend_server *at = target_server(&f->target, f->source);
    struct client *c = fresh || at == NULL ? NULL : backend_take(at, false);

    f->reused = c != NULL;
    f->redirected = false;
    f->fault = NULL;
    f->body.len = 0;
    if (f->reused)
        client_set_owner(c, &fetch_client, f);
    else
        c = target_connect(&f->target, f->source, &fetch_client, f);
    f->client = c;
    if (c == NULL)
        return -ENOMEM;
    send_request(f);
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
    struct str location;

    if (m->status < 200)
        return;
    f->redirected = target_is_redirect(m, &location);
    if (f->redirected) { /* once it has ended, and its connection is free */
        f->location.len = 0;
        buffer_append_str(&f->location, location);
        return;
    }
    f->status = m->status;
    f->fault = verdict_coding(&f->unpack, m);
    f->ops->head(f, m);
}

static int put(void *arg, const char *data, size_t len)
{
    struct fetch *f = arg;

    if (f->body.len + len > source_settings(f->source)->message_bytes)
        f->fault = "the answer is larger than \"message\" allows";
    if (f->fault == NULL)
        buffer_append(&f->body, data, len);
    return f->fault == NULL ? 0 : -ECANCELED;
}

/* What is no use is read to its end, and dropped. */
static void on_body(struct client *c, const char *data, size_t len)
{
    struct fetch *f = of(c);
    bool wanted = f->fault == NULL && !f->redirected;
    int rc = 0;

    if (wanted && f->unpack == NULL)
        put(f, data, len);
    else if (wanted)
        rc = unpack_feed(f->unpack, (struct str){data, len}, put, f);
    if (rc < 0 && f->fault == NULL)
        f->fault = verdict_unpack(rc);
    wait_for_answer(f);
}

static void redirect(struct fetch *f)
{
    const char *why = f->location.failed
                          ? "out of memory"
                          : target_follow(&f->target, f->source,
                                          buffer_str(&f->location));

    if (why == NULL && ask(f, false) < 0)
        why = "out of memory";
    if (why != NULL)
        f->ops->failed(f, why);
}

static void give_back(struct fetch *f, struct client *c, bool reusable)
{
    const struct backend_server *at = target_server(&f->target, f->source);

    client_set_timer(c, 0);
    if (reusable && at != NULL)
        backend_keep(backend_of(f), at, c);
    else
        client_close(c);
}

static void on_end(struct client *c, bool reusable)
{
    struct fetch *f = of(c);

    f->client = NULL;
    give_back(f, c, reusable);
    if (f->redirected) {
        redirect(f);
        return;
    }
    if (f->fault == NULL && f->unpack != NULL && !unpack_complete(f->unpack))
        f->fault = "the end of the compressed answer is missing";
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
    f->ops->failed(f, verdict_failure(failure, false, why));
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
    f->fields.len = 0;
    f->fields.failed = false;
    buffer_append_str(&f->fields, fields);
    if (f->fields.failed || target_begin(&f->target, s, target) < 0)
        return -ENOMEM;
    return ask(f, false);
}

void fetch_stop(struct fetch *f)
{
    if (f->client != NULL)
        client_close(f->client);
    f->client = NULL;
}

void fetch_fini(struct fetch *f)
{
    target_fini(&f->target);
    unpack_free(&f->unpack);
    buffer_fini(&f->fields);
    buffer_fini(&f->location);
    buffer_fini(&f->body);
}
