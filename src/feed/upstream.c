#include "feed/upstream.h"

#include <errno.h>

#include "base/buffer.h"
#include "base/logging.h"
#include "feed/source.h"
#include "proxy/backend.h"

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
static const char *judge(const struct upstream *u, const struct http_message *m)
{
    struct str type = headers_get(&m->headers, "Content-Type");
    struct str coding = headers_get(&m->headers, "Content-Encoding");

    if (m->status >= 300 && m->status < 400)
        return "the backend redirects: name the final URL";
    if (m->status != 200)
        return m->status >= 500 ? "the backend answered with an error (5xx)"
                                : "the backend refused (not 200)";
    if (coding.n > 0 && !str_eq_nocase(coding, STR("identity")))
        return "the stream is compressed, which was not asked for";
    for (const char *const *t = u->ops->types; *t != NULL; t++)
        if (str_media_is(type, *t))
            return NULL;
    return "the answer has another content type";
}

/* RFC 9110 10.2.3, the form in seconds. */
static uint64_t retry_after_ms(const struct http_message *m)
{
    uint64_t seconds;

    if (!str_to_u64(headers_get(&m->headers, "Retry-After"), &seconds) ||
        seconds > 86400)
        return 0;
    return seconds * 1000;
}

static void on_head(struct client *c, const struct http_message *m)
{
    struct upstream *u = of(c);
    const char *why;

    if (m->status < 200)
        return;
    if (m->status == 204) {
        source_over(u->source, "the backend has no more (204)");
        return;
    }
    why = judge(u, m);
    if (why != NULL) {
        log_info("source.refused", "%s status=%u", source_label(u->source),
                 m->status);
        source_failed(u->source, why, retry_after_ms(m));
        return;
    }
    u->streaming = true;
    watch_silence(u);
    source_opened(u->source, u->resumes);
    u->ops->begin(u);
}

static void on_body(struct client *c, const char *data, size_t len)
{
    struct upstream *u = of(c);

    if (!u->streaming)
        return;
    watch_silence(u);
    if (u->ops->data(u, data, len) < 0)
        give_up(u, "out of memory");
    else
        source_flush(u->source);
}

static void on_end(struct client *c, bool reusable)
{
    struct upstream *u = of(c);

    if (u->streaming)
        u->ops->end(u);
    give_up(u, "the backend ended the stream");
}

const char *upstream_failure(enum client_failure failure, bool streaming,
                             const char *why)
{
    if (failure != CLIENT_TIMEOUT)
        return why;
    return streaming ? "silence for longer than idle_timeout"
                     : "no answer within response_timeout";
}

static void on_failed(struct client *c, enum client_failure failure,
                      const char *why)
{
    struct upstream *u = of(c);

    u->client = NULL;
    give_up(u, upstream_failure(failure, u->streaming, why));
}

static const struct client_ops upstream_client = {
    .connected = on_connected,
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .failed = on_failed,
};

void upstream_write_target(struct buffer *out, struct str target,
                           const struct backend_server *at)
{
    bool v6 = strchr(at->host, ':') != NULL;

    buffer_append_str(out, STR("GET "));
    buffer_append_str(out, target);
    buffer_printf(out, v6 ? " HTTP/1.1\r\nHost: [%s]:%u\r\n"
                          : " HTTP/1.1\r\nHost: %s:%u\r\n",
                  at->host, at->port);
}

void upstream_write_request(struct buffer *out, const struct source *s,
                            const struct backend_server *at)
{
    upstream_write_target(out, source_path(s), at);
}

static void send_request(struct upstream *u, const struct backend_server *at,
                         struct str last_event_id)
{
    struct buffer b = {0};

    upstream_write_request(&b, u->source, at);
    buffer_printf(&b, "Accept: %s\r\nAccept-Encoding: identity\r\n"
                      "Cache-Control: no-store\r\nUser-Agent: penstock\r\n",
                  u->ops->accept);
    if (last_event_id.n > 0)
        header_write(&b, STR("Last-Event-ID"), last_event_id);
    buffer_append_str(&b, STR("\r\n"));
    client_expect(u->client, false, false);
    client_send(u->client, b.data, b.len);
    buffer_fini(&b);
}

int upstream_start(struct upstream *u, struct source *s,
                   const struct upstream_ops *ops, struct str last_event_id)
{
    const struct backend *backend = source_settings(s)->backend;
    const struct backend_server *at = backend_pick(backend);

    u->source = s;
    u->ops = ops;
    u->streaming = false;
    u->resumes = last_event_id.n > 0;
    u->client = client_connect(at->host, at->port, backend->connect_ms,
                               &upstream_client, u);
    if (u->client == NULL)
        return -ENOMEM;
    send_request(u, at, last_event_id);
    return 0;
}

void upstream_stop(struct upstream *u)
{
    if (u->client != NULL)
        client_close(u->client);
    u->client = NULL;
}
