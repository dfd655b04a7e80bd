#include "feed/post.h"

#include <errno.h>

#include "proxy/backend.h"

static struct post *of(struct client *c)
{
    return client_arg(c);
}

static void on_connected(struct client *c)
{
    client_set_timer(c, of(c)->timeout_ms);
}

static void on_head(struct client *c, const struct http_message *m)
{
    struct post *p = of(c);

    if (m->status < 200)
        return;
    p->status = m->status;
    p->ops->head(p, m);
}

/* What is too large is read to its end, and dropped. */
static void on_body(struct client *c, const char *data, size_t len)
{
    struct post *p = of(c);

    if (p->body.len + len > p->limit_bytes)
        p->fault = "the backend's answer is too large";
    if (p->fault == NULL)
        buffer_append(&p->body, data, len);
}

static void on_end(struct client *c, bool reusable)
{
    struct post *p = of(c);

    p->client = NULL;
    client_set_timer(c, 0);
    if (reusable)
        backend_keep(p->backend, p->server, c);
    else
        client_close(c);
    if (p->body.failed)
        p->fault = "out of memory";
    if (p->fault != NULL)
        p->ops->failed(p, p->fault);
    else
        p->ops->answered(p, p->status, buffer_str(&p->body));
}

/* It is not sent again: nobody knows whether the backend has heard it. */
static void on_failed(struct client *c, enum client_failure failure,
                      const char *why)
{
    struct post *p = of(c);

    p->client = NULL;
    p->timed_out = failure == CLIENT_TIMEOUT || failure == CLIENT_SLOW_CONNECT;
    p->ops->failed(p, failure == CLIENT_TIMEOUT ? "no answer in time" : why);
}

static const struct client_ops post_client = {
    .connected = on_connected,
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .failed = on_failed,
};

static void write_head(struct buffer *b, const struct posting *what,
                       const struct backend_server *at)
{
    bool v6 = strchr(at->host, ':') != NULL;

    buffer_append_str(b, STR("POST "));
    buffer_append_str(b, what->target);
    buffer_printf(b, v6 ? " HTTP/1.1\r\nHost: [%s]:%u\r\n"
                        : " HTTP/1.1\r\nHost: %s:%u\r\n", at->host, at->port);
    buffer_append_str(b, STR("Accept-Encoding: identity\r\n"
                             "User-Agent: penstock\r\n"));
    buffer_append_str(b, what->fields);
    buffer_printf(b, "Content-Length: %zu\r\n\r\n", what->body.n);
}

/* One from the pool stands, or a POST is not sent over it. */
static struct client *get_connection(struct post *p)
{
    struct client *c = backend_take(p->server, true);

    if (c == NULL)
        return backend_connect(p->backend, p->server, &post_client, p);
    client_set_owner(c, &post_client, p);
    client_set_timer(c, p->timeout_ms);
    return c;
}

static int send_all(struct post *p, const struct posting *what)
{
    struct buffer head = {0};
    int rc = -ENOMEM;

    write_head(&head, what, p->server);
    if (!head.failed && (p->client = get_connection(p)) != NULL) {
        client_expect(p->client, false, false);
        client_send(p->client, head.data, head.len);
        client_send(p->client, what->body.p, what->body.n);
        rc = 0;
    }
    buffer_fini(&head);
    return rc;
}

int post_start(struct post *p, const struct post_ops *ops,
               const struct posting *what)
{
    p->ops = ops;
    p->backend = what->backend;
    p->server = backend_pick(what->backend);
    p->timeout_ms = what->timeout_ms;
    p->limit_bytes = what->limit_bytes;
    p->body.len = 0;
    p->timed_out = false;
    p->fault = NULL;
    return send_all(p, what);
}

void post_stop(struct post *p)
{
    if (p->client != NULL)
        client_close(p->client);
    p->client = NULL;
}

void post_fini(struct post *p)
{
    buffer_fini(&p->body);
}
