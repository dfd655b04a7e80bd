#include "feed/relay.h"

#include <errno.h>
#include <stdlib.h>

#include "feed/inbox.h"
#include "feed/transport.h"
#include "wire/json.h"

struct relay {
    struct exchange *x;
    const struct reader_settings *settings;
    struct inbox *inbox;
    struct buffer body;
};

/* x may be answered from then on. */
static struct exchange *relay_free(struct relay *r)
{
    struct exchange *x = r->x;

    inbox_leave(r->inbox, 0);
    buffer_fini(&r->body);
    free(r);
    x->handler = NULL;
    x->ops = NULL;
    return x;
}

static void on_answered(void *arg, unsigned status, struct str data,
                        struct str content_type)
{
    struct exchange *x = relay_free(arg);
    struct answer_headers a;

    answer_init(&a);
    answer_add(&a, "Cache-Control", STR("no-store"));
    if (content_type.n > 0)
        answer_add(&a, "Content-Type", content_type);
    exchange_respond(x, status, &a.headers, data.p, data.n);
}

static void on_failed(void *arg, unsigned status, const char *why)
{
    exchange_problem(relay_free(arg), status, NULL, "%s", why);
}

/* It is a POST, and there is one message. */
static void on_closed(void *arg, unsigned code, const char *reason)
{
}

static void on_room(void *arg)
{
}

static const struct inbox_ops relay_inbox = {on_answered, on_failed, on_closed,
                                             on_room};

static void on_body(struct exchange *x, const char *data, size_t len)
{
    struct relay *r = x->handler;

    if (r->body.len + len > r->settings->message_bytes)
        exchange_problem(relay_free(r), 413, NULL,
                         "the message is larger than the route's \"message\"");
    else
        buffer_append(&r->body, data, len);
}

static void on_body_end(struct exchange *x)
{
    struct relay *r = x->handler;
    const struct message_parts parts = {
        .data = buffer_str(&r->body),
        .type = headers_get(&x->request->headers, "Penstock-Event"),
        .content_type = headers_get(&x->request->headers, "Content-Type"),
    };

    if (r->settings->inbox.json && !json_valid(parts.data))
        exchange_problem(relay_free(r), 400, NULL,
                         "the message is not valid JSON");
    else if (r->body.failed || inbox_put(r->inbox, &parts) < 0)
        exchange_problem(relay_free(r), 503, NULL,
                         "out of memory: try again later");
}

static void on_gone(struct exchange *x)
{
    relay_free(x->handler);
}

static const struct exchange_ops relay_exchange = {
    .body = on_body,
    .body_end = on_body_end,
    .gone = on_gone,
};

void relay_open(struct exchange *x, const struct feed *feed)
{
    struct relay *r = calloc(1, sizeof(*r));

    if (r != NULL)
        r->inbox = inbox_new(x, feed, &relay_inbox, r);
    if (r == NULL || r->inbox == NULL) {
        free(r);
        feed_refuse(x, -ENOMEM);
        return;
    }
    r->x = x;
    r->settings = feed->reader;
    x->handler = r;
    x->ops = &relay_exchange;
    if (inbox_crowded(r->inbox))
        exchange_problem(relay_free(r), 503, NULL,
                         "too many messages wait for their backends");
    else if (x->request->length > feed->reader->message_bytes)
        exchange_problem(relay_free(r), 413, NULL,
                         "the message is larger than the route's \"message\"");
    else
        exchange_proceed(x);
}
