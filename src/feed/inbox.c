#include "feed/inbox.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/meter.h"
#include "feed/delivery.h"
#include "feed/transport.h"
#include "proxy/backend.h"

/* A message that waits. */
struct letter {
    STAILQ_ENTRY(letter) link;
    struct message *message;
};

struct inbox {
    struct delivery delivery; /* first: found from it */
    LIST_ENTRY(inbox) left_link; /* among those without a client */
    const struct inbox_ops *ops;
    void *arg;
    struct snapshot *snapshot; /* a reference: the backend's */
    const struct inbox_settings *settings;
    STAILQ_HEAD(, letter) letters; /* the first one is on its way */
    unsigned count;
    bool full;            /* inbox_put() said so */
    char *reply_type;     /* of the answer that is coming; NULL: none */
    struct buffer target; /* of the backend's URL */
    struct buffer fields; /* that are the same for all */
};

static struct inbox *of(struct delivery *d)
{
    return (struct inbox *)d;
}

/* ---- the next one ------------------------------------------------------------ */

static const struct delivery_ops inbox_delivery;

static void drop_first(struct inbox *in)
{
    struct letter *l = STAILQ_FIRST(&in->letters);

    STAILQ_REMOVE_HEAD(&in->letters, link);
    message_unref(&l->message);
    free(l);
    in->count--;
}

static int send_first(struct inbox *in)
{
    const struct message *m = STAILQ_FIRST(&in->letters)->message;
    struct buffer fields = {0};
    struct posting what = {
        .backend = in->settings->backend,
        .target = buffer_str(&in->target),
        .body = message_data(m),
        .timeout_ms = in->settings->timeout_ms,
        .limit_bytes = in->settings->reply_bytes,
    };
    int rc = -ENOMEM;

    buffer_append_str(&fields, buffer_str(&in->fields));
    header_write(&fields, STR("Content-Type"), m->content_type);
    if (!str_eq(m->type, STR("message")))
        header_write(&fields, STR("Penstock-Event"), m->type);
    what.fields = buffer_str(&fields);
    if (!fields.failed)
        rc = delivery_start(&in->delivery, &inbox_delivery, &what);
    buffer_fini(&fields);
    meter_add(METER_inbox_posts, 1);
    return rc;
}

/* The first is done with.  False: memory has run out for some of the others. */
static bool go_on(struct inbox *in)
{
    bool whole = true;

    drop_first(in);
    while (in->count > 0 && send_first(in) < 0) {
        drop_first(in);
        whole = false;
    }
    if (in->full && in->count <= in->settings->queue / 2) {
        in->full = false;
        in->ops->room(in->arg);
    }
    return whole;
}

/* ---- answers --------------------------------------------------------------- */

static void on_head(struct delivery *d, const struct http_message *m)
{
    struct str type = headers_get(&m->headers, "Content-Type");
    struct inbox *in = of(d);

    free(in->reply_type);
    in->reply_type = type.n == 0 ? NULL : strndup(type.p, type.n);
}

/* The next one goes out before this one's sender is told, which may be the end
 * of the inbox. */
static void on_answered(struct delivery *d, unsigned status, struct str body)
{
    struct inbox *in = of(d);
    struct buffer reply = d->body;
    char *type = in->reply_type;

    d->body = (struct buffer){0};
    in->reply_type = NULL;
    meter_add(METER_inbox_refused, status >= 300);
    if (go_on(in))
        in->ops->answered(in->arg, status, body, str_of(type));
    else
        in->ops->failed(in->arg, 503, "out of memory: try again later");
    free(type);
    buffer_fini(&reply);
}

static void on_failed(struct delivery *d, const char *why)
{
    struct inbox *in = of(d);
    unsigned status = d->timed_out ? 504 : 502;

    meter_add(METER_inbox_refused, 1);
    go_on(in);
    in->ops->failed(in->arg, status, why);
}

static const struct delivery_ops inbox_delivery = {on_head, on_answered, on_failed};

/* ---- the inbox --------------------------------------------------------------- */

static void inbox_free(struct inbox *in)
{
    delivery_stop(&in->delivery);
    while (in->count > 0)
        drop_first(in);
    delivery_fini(&in->delivery);
    snapshot_unref(&in->snapshot);
    buffer_fini(&in->target);
    buffer_fini(&in->fields);
    free(in->reply_type);
    free(in);
}

/* ---- without its client ------------------------------------------------------ */

static _Thread_local LIST_HEAD(, inbox) left;

static void end(struct inbox *in)
{
    LIST_REMOVE(in, left_link);
    inbox_free(in);
}

static void left_answered(void *arg, unsigned status, struct str data,
                          struct str content_type)
{
    struct inbox *in = arg;

    if (in->count == 0)
        end(in);
}

static void left_failed(void *arg, unsigned status, const char *why)
{
    struct inbox *in = arg;

    meter_add(METER_inbox_refused, in->count);
    end(in);
}

static void left_room(void *arg)
{
}

static const struct inbox_ops left_ops = {left_answered, left_failed,
                                          left_room};

void inbox_leave(struct inbox *in)
{
    if (in == NULL)
        return;
    if (in->count == 0) {
        inbox_free(in);
        return;
    }
    in->ops = &left_ops;
    in->arg = in;
    LIST_INSERT_HEAD(&left, in, left_link);
}

void inbox_end_all(void)
{
    while (!LIST_EMPTY(&left))
        end(LIST_FIRST(&left));
}

/* ---- the client's ------------------------------------------------------------ */

static void write_fields(struct inbox *in, struct exchange *x,
                         const struct feed *feed)
{
    const char *identity = feed->reader->identity;
    struct str value = feed_identity(x, feed->reader);
    char peer[64];

    exchange_peer(x, peer, sizeof(peer));
    header_write(&in->fields, STR("X-Forwarded-For"), str_of(peer));
    if (feed->channel != NULL)
        header_write(&in->fields, STR("Penstock-Channel"),
                     str_of(feed->channel->name));
    header_write(&in->fields, STR("Penstock-Client"), feed->client);
    if (value.n > 0)
        header_write(&in->fields, str_of(identity), value);
}

struct inbox *inbox_new(struct exchange *x, const struct feed *feed,
                        const struct inbox_ops *ops, void *arg)
{
    struct inbox *in = calloc(1, sizeof(*in));

    if (in == NULL)
        return NULL;
    in->ops = ops;
    in->arg = arg;
    in->snapshot = snapshot_ref(feed->snapshot);
    in->settings = &feed->reader->inbox;
    STAILQ_INIT(&in->letters);
    buffer_append_str(&in->target, feed->inbox_target);
    write_fields(in, x, feed);
    if (!in->target.failed && !in->fields.failed)
        return in;
    inbox_free(in);
    return NULL;
}

bool inbox_full(const struct inbox *in)
{
    return in->full;
}

int inbox_put(struct inbox *in, const struct message_parts *parts)
{
    struct letter *l = malloc(sizeof(*l));

    if (l == NULL)
        return -ENOMEM;
    l->message = message_new(parts);
    if (l->message == NULL) {
        free(l);
        return -ENOMEM;
    }
    STAILQ_INSERT_TAIL(&in->letters, l, link);
    in->count++;
    if (in->count == 1 && send_first(in) < 0) {
        drop_first(in);
        return -ENOMEM;
    }
    in->full = in->count >= in->settings->queue;
    return in->full;
}
