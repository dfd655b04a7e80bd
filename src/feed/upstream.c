#include "feed/upstream.h"

#include <errno.h>

#include "base/buffer.h"
#include "base/logging.h"
#include "feed/source.h"
#include "feed/verdict.h"
#include "proxy/backend.h"
#include "wire/unpack.h"

static struct upstream *of(struct client *c)
{
    return client_arg(c);
}

/* The source's core calls upstream_stop() from inside. */
static void give_up(struct upstream *u, const char *why)
{
    uint64_t retry_ms = u->ops->retry_ms != NULL ? u->ops->retry_ms(u) : 0;

    source_failed(u->source, why, retry_ms);
}

/* Silence is measured from the last octet: comments count as life. */
static void watch_silence(struct upstream *u)
{
    client_set_timer(u->client, source_settings(u->source)->idle_ms);
}

static void on_connected(struct client *c)
{
    client_set_timer(c, source_settings(of(c)->source)->backend->response_ms);
}

/* NULL if the answer is what we read, or else what is wrong with it. */
static const char *judge(struct upstream *u, const struct http_message *m)
{
    struct str type = headers_get(&m->headers, "Content-Type");

    if (m->status != 200)
        return verdict_status(m->status);
    if (u->ops->types == NULL)
        return NULL;
    for (const char *const *t = u->ops->types; *t != NULL; t++)
        if (str_media_is(type, *t)) {
            u->type = *t;
            return NULL;
        }
    return "the answer has another content type";
}

static void refuse(struct upstream *u, const struct http_message *m,
                   const char *why)
{
    log_info("source.refused", "%s status=%u", source_label(u->source),
             m->status);
    if (m->status == 410 && u->ops->gone != NULL)
        u->ops->gone(u);
    source_failed(u->source, why, verdict_retry_ms(m));
}

static int ask(struct upstream *u);

static void redirect(struct upstream *u, const struct http_message *m,
                     struct str location)
{
    const char *why = target_follow(&u->target, u->source, location);

    if (why != NULL) {
        refuse(u, m, why);
        return;
    }
    client_close(u->client);
    if (ask(u) < 0)
        give_up(u, "out of memory");
}

static void on_head(struct client *c, const struct http_message *m)
{
    struct upstream *u = of(c);
    struct str location;
    const char *why;

    if (m->status < 200)
        return;
    if (m->status == 204) {
        source_over(u->source, "the backend has no more (204)");
        return;
    }
    if (target_is_redirect(m, &location)) {
        redirect(u, m, location);
        return;
    }
    why = judge(u, m);
    if (why == NULL)
        why = verdict_coding(&u->unpack, m);
    if (why != NULL) {
        refuse(u, m, why);
        return;
    }
    u->streaming = true;
    watch_silence(u);
    source_opened(u->source, u->resumes);
    u->ops->begin(u);
}

static int put(void *arg, const char *data, size_t len)
{
    struct upstream *u = arg;

    return u->ops->data(u, data, len);
}

static void on_body(struct client *c, const char *data, size_t len)
{
    struct upstream *u = of(c);
    int rc;

    if (!u->streaming)
        return;
    watch_silence(u);
    rc = u->unpack == NULL
             ? put(u, data, len)
             : unpack_feed(u->unpack, (struct str){data, len}, put, u);
    source_flush(u->source);
    if (rc < 0)
        give_up(u, u->fault != NULL ? u->fault : verdict_unpack(rc));
}

static void on_end(struct client *c, bool reusable)
{
    struct upstream *u = of(c);

    if (u->streaming && u->unpack != NULL && !unpack_complete(u->unpack)) {
        give_up(u, "the end of the compressed stream is missing");
        return;
    }
    if (u->streaming)
        u->ops->end(u);
    give_up(u, "the backend ended the stream");
}

static void on_failed(struct client *c, enum client_failure failure,
                      const char *why)
{
    struct upstream *u = of(c);

    u->client = NULL;
    give_up(u, verdict_failure(failure, u->streaming, why));
}

static const struct client_ops upstream_client = {
    .connected = on_connected,
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .failed = on_failed,
};

static void send_request(struct upstream *u)
{
    struct buffer b = {0};

    target_write_request(&u->target, u->source, &b);
    buffer_printf(&b, "Accept: %s\r\nCache-Control: no-store\r\n",
                  u->ops->accept);
    if (u->last_event_id.n > 0)
        header_write(&b, STR("Last-Event-ID"), u->last_event_id);
    buffer_append_str(&b, STR("\r\n"));
    client_expect(u->client, false, false);
    client_send(u->client, b.data, b.len);
    buffer_fini(&b);
}

static int ask(struct upstream *u)
{
    u->client = target_connect(&u->target, u->source, &upstream_client, u);
    if (u->client == NULL)
        return -ENOMEM;
    send_request(u);
    return 0;
}

static int begin(struct upstream *u, struct source *s,
                 const struct upstream_ops *ops, struct str path)
{
    u->source = s;
    u->ops = ops;
    u->fault = NULL;
    u->streaming = false;
    return target_begin(&u->target, s, path) < 0 ? -ENOMEM : ask(u);
}

int upstream_start(struct upstream *u, struct source *s,
                   const struct upstream_ops *ops, struct str last_event_id)
{
    u->last_event_id = last_event_id;
    u->resumes = last_event_id.n > 0;
    return begin(u, s, ops, source_path(s));
}

int upstream_start_at(struct upstream *u, struct source *s,
                      const struct upstream_ops *ops, struct str path,
                      bool resumes)
{
    u->last_event_id = STR_NONE;
    u->resumes = resumes;
    return begin(u, s, ops, path);
}

void upstream_stop(struct upstream *u)
{
    if (u->client != NULL)
        client_close(u->client);
    u->client = NULL;
    unpack_free(&u->unpack);
}

void upstream_fini(struct upstream *u)
{
    target_fini(&u->target);
}
