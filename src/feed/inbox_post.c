/* An inbox that POSTs: one message at a time and in order.  At most "queue" of
 * them wait. */
#include <errno.h>
#include <stdlib.h>

#include "base/meter.h"
#include "feed/delivery.h"
#include "feed/inbox.h"
#include "http/exchange.h"
#include "proxy/backend.h"

/* Octets that wait in all inboxes of a worker: beyond it each of them takes one
 * message at a time, whatever its queue is. */
#define WAITING_MAX (64 << 20)

static _Thread_local size_t waiting_bytes;

/* A message that waits. */
struct letter {
    STAILQ_ENTRY(letter) link;
    struct message *message;
};

struct post {
    struct inbox inbox; /* first */
    struct delivery delivery;
    STAILQ_HEAD(, letter) letters; /* the first one is on its way, or next */
    unsigned count;
    bool sending, paused;
    char *reply_type;   /* of the answer that is coming; NULL: none */
};

static struct post *of(struct inbox *in)
{
    return (struct post *)in;
}

static struct post *of_delivery(struct delivery *d)
{
    return (struct post *)((char *)d - offsetof(struct post, delivery));
}

/* ---- the next one ------------------------------------------------------------ */

static const struct delivery_ops post_delivery;

static void drop_first(struct post *p)
{
    struct letter *l = STAILQ_FIRST(&p->letters);

    STAILQ_REMOVE_HEAD(&p->letters, link);
    waiting_bytes -= l->message->len;
    message_unref(&l->message);
    free(l);
    p->count--;
}

static int send_first(struct post *p)
{
    const struct message *m = STAILQ_FIRST(&p->letters)->message;
    struct buffer fields = {0};
    struct posting what = {
        .backend = p->inbox.settings->backend,
        .target = buffer_str(&p->inbox.target),
        .body = message_data(m),
        .timeout_ms = p->inbox.settings->timeout_ms,
        .limit_bytes = p->inbox.settings->reply_bytes,
    };
    int rc = -ENOMEM;

    buffer_append_str(&fields, buffer_str(&p->inbox.fields));
    header_write(&fields, STR("Content-Type"), m->content_type);
    if (!str_eq(m->type, STR("message")))
        header_write(&fields, STR("Penstock-Event"), m->type);
    what.fields = buffer_str(&fields);
    if (!fields.failed)
        rc = delivery_start(&p->delivery, &post_delivery, &what);
    buffer_fini(&fields);
    meter_add(METER_inbox_posts, 1);
    p->sending = rc == 0;
    return rc;
}

/* Sends the next one.  Those that memory has run out for are dropped, and their
 * client is told. */
static void send_next(struct post *p)
{
    while (p->count > 0 && !p->sending && !p->paused && send_first(p) < 0) {
        drop_first(p);
        p->inbox.ops->failed(p->inbox.arg, 503,
                             "out of memory: try again later");
    }
    if (p->count <= p->inbox.settings->queue / 2)
        inbox_make_room(&p->inbox);
}

/* ---- answers --------------------------------------------------------------- */

static void on_head(struct delivery *d, const struct http_message *m)
{
    struct str type = headers_get(&m->headers, "Content-Type");
    struct post *p = of_delivery(d);

    free(p->reply_type);
    p->reply_type = type.n == 0 ? NULL : strndup(type.p, type.n);
}

/* Its sender is told before the next one goes out: whether that is to wait for
 * the client, the client knows then. */
static void on_answered(struct delivery *d, unsigned status, struct str body)
{
    struct post *p = of_delivery(d);

    inbox_enter(&p->inbox);
    p->sending = false;
    drop_first(p);
    meter_add(METER_inbox_refused, status >= 300);
    p->inbox.ops->answered(p->inbox.arg, status, body.n == 0 ? STR_NONE : body,
                           str_of(p->reply_type));
    free(p->reply_type);
    p->reply_type = NULL;
    send_next(p);
    inbox_exit(&p->inbox);
}

/* What a client that is gone had to say is not worth a second failure. */
static void on_failed(struct delivery *d, const char *why)
{
    struct post *p = of_delivery(d);

    inbox_enter(&p->inbox);
    p->sending = false;
    do {
        drop_first(p);
        meter_add(METER_inbox_refused, 1);
    } while (p->inbox.left && p->count > 0);
    p->inbox.ops->failed(p->inbox.arg, d->timed_out ? 504 : 502, why);
    send_next(p);
    inbox_exit(&p->inbox);
}

static const struct delivery_ops post_delivery = {on_head, on_answered, on_failed};

/* ---- the inbox --------------------------------------------------------------- */

static void post_free(struct inbox *in)
{
    struct post *p = of(in);

    delivery_stop(&p->delivery);
    while (p->count > 0)
        drop_first(p);
    delivery_fini(&p->delivery);
    free(p->reply_type);
    inbox_fini(in);
    free(p);
}

static void post_leave(struct inbox *in)
{
    struct post *p = of(in);

    if (p->paused) {
        p->paused = false;
        inbox_read(in, true);
    } else if (p->count == 0) {
        post_free(in);
    } else {
        inbox_linger(in);
    }
}

static struct inbox *post_open(struct exchange *x, const struct feed *feed)
{
    struct post *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return NULL;
    STAILQ_INIT(&p->letters);
    if (inbox_init(&p->inbox, &inbox_post, x, feed) == 0)
        return &p->inbox;
    post_free(&p->inbox);
    return NULL;
}

static bool post_crowded(const struct inbox *in)
{
    return waiting_bytes > WAITING_MAX;
}

static int post_put(struct inbox *in, const struct message_parts *parts)
{
    struct post *p = of(in);
    struct letter *l = malloc(sizeof(*l));

    if (l == NULL)
        return -ENOMEM;
    l->message = message_new(parts);
    if (l->message == NULL) {
        free(l);
        return -ENOMEM;
    }
    STAILQ_INSERT_TAIL(&p->letters, l, link);
    p->count++;
    waiting_bytes += l->message->len;
    if (!p->sending && !p->paused && send_first(p) < 0) {
        drop_first(p);
        return -ENOMEM;
    }
    in->full |= p->count >= in->settings->queue || post_crowded(in);
    return in->full;
}

static void post_read(struct inbox *in, bool on)
{
    of(in)->paused = !on;
    if (on)
        send_next(of(in));
}

const struct inbox_type inbox_post = {
    .open = post_open,
    .put = post_put,
    .read = post_read,
    .crowded = post_crowded,
    .leave = post_leave,
    .free = post_free,
};
