#include "pubsub.h"

#include <errno.h>
#include <stdlib.h>

/* Without it uthash exits when memory runs out; then hh.tbl is NULL. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/buffer.h"
#include "base/logging.h"
#include "base/meter.h"
#include "link.h"

/* What Redis sends for one name.  One whose last reader has left before Redis
 * has confirmed it stays until then: replies come in the order of commands,
 * and that is all that tells which one an error is about. */
struct subscription {
    UT_hash_handle hh;
    TAILQ_ENTRY(subscription) unconfirmed_link;
    struct line *line;
    LIST_HEAD(, pubsub) readers;
    bool unconfirmed;
    size_t len;
    char key[]; /* 's' or 'p', then the name; len octets */
};

/* One connection. */
struct line {
    UT_hash_handle hh;
    struct link *link;                    /* NULL once it is broken */
    struct subscription *subscriptions;   /* by key */
    TAILQ_HEAD(, subscription) unconfirmed; /* in the order of commands */
    LIST_HEAD(, pubsub) unflushed;
    unsigned readers;
    bool busy;                            /* is not to be freed just now */
    size_t len;
    char key[];                           /* who, where; len octets */
};

static _Thread_local struct line *lines;

/* ---- lines --------------------------------------------------------------- */

static void free_subscription(struct subscription *sub)
{
    if (sub->unconfirmed)
        TAILQ_REMOVE(&sub->line->unconfirmed, sub, unconfirmed_link);
    HASH_DEL(sub->line->subscriptions, sub);
    free(sub);
}

static void free_line(struct line *line)
{
    struct subscription *sub, *next;

    HASH_ITER(hh, line->subscriptions, sub, next)
        free_subscription(sub);
    if (line->link != NULL)
        link_close(line->link);
    HASH_DEL(lines, line);
    free(line);
}

static void release(struct line *line)
{
    line->busy = false;
    if (line->readers == 0)
        free_line(line);
}

static void send_command(struct subscription *sub, struct str for_channel,
                         struct str for_pattern)
{
    const struct str words[] = {
        sub->key[0] == 'p' ? for_pattern : for_channel,
        {sub->key + 1, sub->len - 1},
    };

    if (sub->line->link != NULL)
        link_command(sub->line->link, words, 2);
}

/* ---- what Redis sends ---------------------------------------------------- */

static struct subscription *find(struct line *line, char kind,
                                 const redisReply *name)
{
    struct subscription *sub = NULL;
    struct buffer key = {0};

    buffer_append_byte(&key, kind);
    buffer_append_str(&key, reply_str(name));
    if (!key.failed)
        HASH_FIND(hh, line->subscriptions, key.data, key.len, sub);
    buffer_fini(&key);
    return sub;
}

static void confirm(struct subscription *sub)
{
    struct pubsub *p;

    if (sub == NULL || !sub->unconfirmed)
        return;
    sub->unconfirmed = false;
    TAILQ_REMOVE(&sub->line->unconfirmed, sub, unconfirmed_link);
    if (LIST_EMPTY(&sub->readers)) {
        send_command(sub, STR("UNSUBSCRIBE"), STR("PUNSUBSCRIBE"));
        free_subscription(sub);
        return;
    }
    LIST_FOREACH(p, &sub->readers, link)
        source_opened(p->source, false);
}

/* Not allowed to this user, most likely: the others go on. */
static void refuse(struct line *line, const redisReply *error)
{
    struct subscription *sub = TAILQ_FIRST(&line->unconfirmed);
    char text[200];

    log_warn_limited("redis.refused", "error=%s",
                     reply_error(error, text, sizeof(text)));
    if (sub == NULL)
        return;
    while (!LIST_EMPTY(&sub->readers))
        source_failed(LIST_FIRST(&sub->readers)->source,
                      "Redis refused the subscription", 0);
    free_subscription(sub);
}

static void emit(struct pubsub *p, const struct message_parts *parts)
{
    struct line *line = p->to->line;

    if (parts->data.n > source_message_max(p->source)) {
        meter_add(METER_source_refused, 1);
        log_warn_limited("source.refused", "%s reason=\"message over the "
                         "limit\" bytes=%zu", source_label(p->source),
                         parts->data.n);
        return;
    }
    if (source_emit(p->source, parts, STR_NONE) < 0)
        log_warn_limited("source.dropped", "%s reason=\"out of memory\"",
                         source_label(p->source));
    if (!p->unflushed)
        LIST_INSERT_HEAD(&line->unflushed, p, unflushed_link);
    p->unflushed = true;
}

static void deliver(struct subscription *sub, const redisReply *type,
                    const redisReply *data)
{
    const struct message_parts parts = {
        .type = type == NULL ? STR_NONE : reply_str(type),
        .data = reply_str(data),
    };
    struct pubsub *p;

    if (sub == NULL || sub->unconfirmed)
        return; /* nobody reads it any more, or not yet */
    LIST_FOREACH(p, &sub->readers, link)
        emit(p, &parts);
}

static void take_push(struct line *line, const redisReply *r)
{
    struct str what = reply_str(r->element[0]);

    if (str_eq(what, STR("message")))
        deliver(find(line, 's', r->element[1]), NULL, r->element[2]);
    else if (str_eq(what, STR("pmessage")) && r->elements == 4)
        deliver(find(line, 'p', r->element[1]), r->element[2], r->element[3]);
    else if (str_eq(what, STR("subscribe")))
        confirm(find(line, 's', r->element[1]));
    else if (str_eq(what, STR("psubscribe")))
        confirm(find(line, 'p', r->element[1]));
}

static void on_reply(void *arg, const redisReply *r)
{
    struct line *line = arg;

    line->busy = true;
    if (r->type == REDIS_REPLY_ERROR)
        refuse(line, r);
    else if (r->type == REDIS_REPLY_ARRAY && r->elements >= 3)
        take_push(line, r);
    release(line);
}

static void on_delivered(void *arg)
{
    struct line *line = arg;
    struct pubsub *p;

    while ((p = LIST_FIRST(&line->unflushed)) != NULL) {
        LIST_REMOVE(p, unflushed_link);
        p->unflushed = false;
        source_flush(p->source);
    }
}

static void on_failed(void *arg, const char *why)
{
    struct line *line = arg;
    struct subscription *sub, *next;

    line->busy = true;
    line->link = NULL;
    HASH_ITER(hh, line->subscriptions, sub, next) {
        while (!LIST_EMPTY(&sub->readers))
            source_failed(LIST_FIRST(&sub->readers)->source, why, 0);
    }
    release(line);
}

static const struct link_ops line_ops = {on_reply, on_delivered, on_failed};

/* ---- joining ------------------------------------------------------------- */

static struct line *new_line(const struct backend *b,
                             const struct backend_server *at, struct str key)
{
    struct line *line = calloc(1, sizeof(*line) + key.n);

    if (line == NULL)
        return NULL;
    TAILQ_INIT(&line->unconfirmed);
    line->len = key.n;
    memcpy(line->key, key.p, key.n);
    HASH_ADD_KEYPTR(hh, lines, line->key, line->len, line);
    if (line->hh.tbl == NULL) {
        free(line);
        return NULL;
    }
    line->link = link_open(b, at, &line_ops, line);
    if (line->link != NULL)
        return line;
    free_line(line);
    return NULL;
}

static struct line *line_to(const struct backend *b)
{
    const struct backend_server *at = backend_pick(b);
    struct buffer key = {0};
    struct line *line = NULL;

    link_key(&key, b, at);
    if (!key.failed) {
        HASH_FIND(hh, lines, key.data, key.len, line);
        if (line == NULL)
            line = new_line(b, at, buffer_str(&key));
    }
    buffer_fini(&key);
    return line;
}

static struct subscription *subscribe(struct line *line, struct str key)
{
    struct subscription *sub;

    HASH_FIND(hh, line->subscriptions, key.p, key.n, sub);
    if (sub != NULL)
        return sub;
    sub = calloc(1, sizeof(*sub) + key.n);
    if (sub == NULL)
        return NULL;
    sub->line = line;
    sub->len = key.n;
    memcpy(sub->key, key.p, key.n);
    HASH_ADD_KEYPTR(hh, line->subscriptions, sub->key, sub->len, sub);
    if (sub->hh.tbl == NULL) {
        free(sub);
        return NULL;
    }
    sub->unconfirmed = true;
    TAILQ_INSERT_TAIL(&line->unconfirmed, sub, unconfirmed_link);
    send_command(sub, STR("SUBSCRIBE"), STR("PSUBSCRIBE"));
    return sub;
}

static struct subscription *subscription_of(struct line *line,
                                            const struct source *s)
{
    bool pattern = source_settings(s)->redis == REDIS_PSUBSCRIBE;
    struct subscription *sub = NULL;
    struct buffer key = {0};

    buffer_append_byte(&key, pattern ? 'p' : 's');
    buffer_append_str(&key, source_path(s));
    if (!key.failed)
        sub = subscribe(line, buffer_str(&key));
    buffer_fini(&key);
    return sub;
}

int pubsub_join(struct pubsub *p, struct source *s)
{
    struct line *line = line_to(source_settings(s)->backend);
    struct subscription *sub;

    if (line == NULL)
        return -ENOMEM;
    link_allow(line->link, source_message_max(s));
    sub = subscription_of(line, s);
    if (sub == NULL) {
        if (line->readers == 0)
            free_line(line);
        return -ENOMEM;
    }
    p->source = s;
    p->to = sub;
    LIST_INSERT_HEAD(&sub->readers, p, link);
    line->readers++;
    if (!sub->unconfirmed)
        source_opened(s, false);
    return 0;
}

void pubsub_leave(struct pubsub *p)
{
    struct subscription *sub = p->to;
    struct line *line;

    if (sub == NULL)
        return;
    line = sub->line;
    p->to = NULL;
    LIST_REMOVE(p, link);
    if (p->unflushed)
        LIST_REMOVE(p, unflushed_link);
    p->unflushed = false;
    line->readers--;
    if (line->busy)
        return; /* who is at it cleans up */
    if (line->readers == 0) {
        free_line(line);
    } else if (LIST_EMPTY(&sub->readers) && !sub->unconfirmed) {
        send_command(sub, STR("UNSUBSCRIBE"), STR("PUNSUBSCRIBE"));
        free_subscription(sub);
    }
}
