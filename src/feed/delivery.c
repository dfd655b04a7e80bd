#include "feed/delivery.h"

#include <errno.h>

#include "proxy/backend.h"

static struct delivery *of(struct client *c)
{
    return client_arg(c);
}

static void on_connected(struct client *c)
{
    client_set_timer(c, of(c)->timeout_ms);
}

static void on_head(struct client *c, const struct http_message *m)
{
    struct delivery *d = of(c);

    if (m->status < 200)
        return;
    d->status = m->status;
    d->ops->head(d, m);
}

/* What is too large is read to its end, and dropped. */
static void on_body(struct client *c, const char *data, size_t len)
{
    struct delivery *d = of(c);

    if (d->body.len + len > d->limit_bytes)
        d->fault = "the backend's answer is too large";
    if (d->fault == NULL)
        buffer_append(&d->body, data, len);
}

static void on_end(struct client *c, bool reusable)
{
    struct delivery *d = of(c);

    d->client = NULL;
    client_set_timer(c, 0);
    if (reusable)
        backend_keep(d->backend, d->server, c);
    else
        client_close(c);
    if (d->body.failed)
        d->fault = "out of memory";
    if (d->fault != NULL)
        d->ops->failed(d, d->fault);
    else
        d->ops->answered(d, d->status, buffer_str(&d->body));
}

/* It is not sent again: nobody knows whether the backend has heard it. */
static void on_failed(struct client *c, enum client_failure failure,
                      const char *why)
{
    struct delivery *d = of(c);

    d->client = NULL;
    d->timed_out = failure == CLIENT_TIMEOUT || failure == CLIENT_SLOW_CONNECT;
    d->ops->failed(d, failure == CLIENT_TIMEOUT ? "no answer in time" : why);
}

static const struct client_ops delivery_client = {
    .connected = on_connected,
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .failed = on_failed,
};

static void write_head(struct buffer *b, const struct posting *what,
                       const struct backend_server *at)
{
    buffer_append_str(b, STR("POST "));
    buffer_append_str(b, what->target);
    buffer_append_str(b, STR(" HTTP/1.1\r\nHost: "));
    backend_write_host(at, b);
    buffer_append_str(b, STR("\r\nAccept-Encoding: identity\r\n"
                             "User-Agent: penstock\r\n"));
    buffer_append_str(b, what->fields);
    buffer_printf(b, "Content-Length: %zu\r\n\r\n", what->body.n);
}

/* One from the pool stands, or a POST is not sent over it. */
static struct client *get_connection(struct delivery *d)
{
    struct client *c = backend_take(d->server, true);

    if (c == NULL)
        return backend_connect(d->backend, d->server, &delivery_client, d);
    client_set_owner(c, &delivery_client, d);
    client_set_timer(c, d->timeout_ms);
    return c;
}

static int send_all(struct delivery *d, const struct posting *what)
{
    struct buffer head = {0};
    int rc = -ENOMEM;

    write_head(&head, what, d->server);
    if (!head.failed && (d->client = get_connection(d)) != NULL) {
        client_expect(d->client, false, false);
        client_send(d->client, head.data, head.len);
        client_send(d->client, what->body.p, what->body.n);
        rc = 0;
    }
    buffer_fini(&head);
    return rc;
}

int delivery_start(struct delivery *d, const struct delivery_ops *ops,
               const struct posting *what)
{
    d->ops = ops;
    d->backend = what->backend;
    d->server = backend_pick(what->backend);
    d->timeout_ms = what->timeout_ms;
    d->limit_bytes = what->limit_bytes;
    d->body.len = 0;
    d->timed_out = false;
    d->fault = NULL;
    return send_all(d, what);
}

void delivery_stop(struct delivery *d)
{
    if (d->client != NULL)
        client_close(d->client);
    d->client = NULL;
}

void delivery_fini(struct delivery *d)
{
    buffer_fini(&d->body);
}
