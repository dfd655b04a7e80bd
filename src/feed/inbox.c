#include "feed/inbox.h"

#include <errno.h>

#include "feed/transport.h"

/* ---- its client ------------------------------------------------------------ */

struct inbox *inbox_new(struct exchange *x, const struct feed *feed,
                        const struct inbox_ops *ops, void *arg)
{
    struct inbox *in = feed->inbox_type->open(x, feed);

    if (in == NULL)
        return NULL;
    in->ops = ops;
    in->arg = arg;
    return in;
}

int inbox_put(struct inbox *in, const struct message_parts *parts)
{
    return in->type->put(in, parts);
}

bool inbox_full(const struct inbox *in)
{
    return in->full;
}

bool inbox_crowded(const struct inbox *in)
{
    return in->type->crowded != NULL && in->type->crowded(in);
}

void inbox_read(struct inbox *in, bool on)
{
    inbox_enter(in);
    in->type->read(in, on);
    inbox_exit(in);
}

/* ---- without it ------------------------------------------------------------ */

static void nobody_answered(void *arg, unsigned status, struct str data,
                            struct str content_type)
{
}

static void nobody_failed(void *arg, unsigned status, const char *why)
{
}

static void nobody_closed(void *arg, unsigned code, const char *reason)
{
}

static void nobody_room(void *arg)
{
}

static const struct inbox_ops nobody = {nobody_answered, nobody_failed,
                                        nobody_closed, nobody_room};

void inbox_leave(struct inbox *in, unsigned code)
{
    if (in == NULL)
        return;
    inbox_enter(in);
    in->ops = &nobody;
    in->left = true;
    in->leave_code = code;
    inbox_exit(in);
}

static _Thread_local LIST_HEAD(, inbox) lingering;

void inbox_linger(struct inbox *in)
{
    if (in->lingers)
        return;
    in->lingers = true;
    LIST_INSERT_HEAD(&lingering, in, link);
}

void inbox_end_all(void)
{
    while (!LIST_EMPTY(&lingering)) {
        struct inbox *in = LIST_FIRST(&lingering);

        in->type->free(in);
    }
}

/* ---- for types ------------------------------------------------------------- */

void inbox_enter(struct inbox *in)
{
    in->busy++;
}

void inbox_exit(struct inbox *in)
{
    if (--in->busy == 0 && in->left)
        in->type->leave(in);
}

void inbox_make_room(struct inbox *in)
{
    if (!in->full)
        return;
    in->full = false;
    in->ops->room(in->arg);
}

int inbox_init(struct inbox *in, const struct inbox_type *type,
               struct exchange *x, const struct feed *feed)
{
    struct str who = feed_identity(x, feed->reader);
    char peer[64];

    in->type = type;
    in->ops = &nobody;
    in->snapshot = snapshot_ref(feed->snapshot);
    in->settings = &feed->reader->inbox;
    buffer_append_str(&in->target, feed->inbox_target);
    exchange_peer(x, peer, sizeof(peer));
    header_write(&in->fields, STR("X-Forwarded-For"), str_of(peer));
    if (feed->channel != NULL)
        header_write(&in->fields, STR("Penstock-Channel"),
                     str_of(feed->channel->name));
    header_write(&in->fields, STR("Penstock-Client"), feed->client);
    if (who.n > 0)
        header_write(&in->fields, str_of(feed->reader->identity), who);
    return in->target.failed || in->fields.failed ? -ENOMEM : 0;
}

void inbox_fini(struct inbox *in)
{
    if (in->lingers)
        LIST_REMOVE(in, link);
    snapshot_unref(&in->snapshot);
    buffer_fini(&in->target);
    buffer_fini(&in->fields);
}
