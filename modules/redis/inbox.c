#include "inbox.h"

#include <errno.h>
#include <stdlib.h>

/* Without it uthash exits when memory runs out; then hh.tbl is NULL. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "base/logging.h"
#include "base/meter.h"
#include "feed/transport.h"
#include "link.h"
#include "net/worker.h"

/* Nobody has said anything for so long: closed. */
#define KEEP_MS 30000
/* Octets that Redis has not answered for, of one line: beyond it each client
 * has to wait, whatever its queue is. */
#define WAITING_MAX (16 << 20)

/* What one client says. */
struct told {
    struct inbox inbox; /* first */
    struct line *line;
    unsigned count;     /* commands that are not answered */
    bool paused;        /* the client is behind, with what it is told */
    struct buffer who;  /* its identity, or nothing */
    struct buffer client;
};

/* A command that is not answered. */
struct sent {
    TAILQ_ENTRY(sent) link;
    struct told *from;  /* NULL: it has gone */
    size_t bytes;
};

/* One connection. */
struct line {
    UT_hash_handle hh;
    struct link *link;         /* NULL: none just now */
    TAILQ_HEAD(sent_list, sent) sent; /* in the order of commands, and so of replies */
    size_t waiting;            /* octets of all of them */
    unsigned users;
    bool busy;                 /* is not to be freed just now */
    struct timer idle;
    size_t len;
    char key[];                /* see link_key(); len octets */
};

static _Thread_local struct line *lines;

/* ---- lines ----------------------------------------------------------------- */

static struct sent *pop(struct line *line)
{
    struct sent *s = TAILQ_FIRST(&line->sent);

    if (s == NULL)
        return NULL;
    TAILQ_REMOVE(&line->sent, s, link);
    line->waiting -= s->bytes;
    return s;
}

static void free_line(struct line *line)
{
    struct sent *s;

    while ((s = pop(line)) != NULL)
        free(s);
    worker_timer_clear(worker_self(), &line->idle);
    if (line->link != NULL)
        link_close(line->link);
    HASH_DEL(lines, line);
    free(line);
}

static void on_idle(struct timer *t)
{
    free_line((struct line *)((char *)t - offsetof(struct line, idle)));
}

/* Whether anybody needs it; else it is kept a while, if it stands. */
static void settle(struct line *line)
{
    if (line->users > 0 || line->busy)
        return;
    if (line->link == NULL)
        free_line(line);
    else
        worker_timer_set(worker_self(), &line->idle, KEEP_MS);
}

static void rest(void)
{
    struct line *line, *next;

    HASH_ITER(hh, lines, line, next)
        if (line->users == 0)
            free_line(line);
}

static struct line *line_new(struct str key)
{
    struct line *line = calloc(1, sizeof(*line) + key.n);

    if (line == NULL)
        return NULL;
    TAILQ_INIT(&line->sent);
    line->idle.fire = on_idle;
    line->len = key.n;
    memcpy(line->key, key.p, key.n);
    HASH_ADD_KEYPTR(hh, lines, line->key, line->len, line);
    if (line->hh.tbl != NULL)
        return line;
    free(line);
    return NULL;
}

/* NULL when out of memory. */
static struct line *line_to(const struct backend *b)
{
    struct line *line = NULL;
    struct buffer key = {0};

    link_key(&key, b, backend_pick(b));
    if (!key.failed) {
        HASH_FIND(hh, lines, key.data, key.len, line);
        if (line == NULL)
            line = line_new(buffer_str(&key));
    }
    buffer_fini(&key);
    return line;
}

/* ---- what Redis says ------------------------------------------------------- */

static void make_room(struct told *t)
{
    if (!t->paused && t->count <= t->inbox.settings->queue / 2)
        inbox_make_room(&t->inbox);
}

/* Its sender hears how it went: why is NULL where it is done.  s is freed. */
static void answer(struct sent *s, const char *why)
{
    struct told *t = s->from;

    free(s);
    meter_add(METER_inbox_refused, why != NULL);
    if (t == NULL)
        return;
    inbox_enter(&t->inbox);
    t->count--;
    if (why == NULL)
        t->inbox.ops->answered(t->inbox.arg, 204, STR_NONE, STR_NONE);
    else
        t->inbox.ops->failed(t->inbox.arg, 502, why);
    make_room(t);
    inbox_exit(&t->inbox);
}

static void on_reply(void *arg, const redisReply *r)
{
    struct line *line = arg;
    struct sent *s = pop(line);
    char text[200];

    if (s == NULL)
        return; /* nobody asked */
    if (r->type == REDIS_REPLY_ERROR)
        log_warn_limited("redis.refused", "error=%s",
                         reply_error(r, text, sizeof(text)));
    line->busy = true;
    answer(s, r->type == REDIS_REPLY_ERROR ? "Redis refused it" : NULL);
    line->busy = false;
    settle(line);
}

static void on_delivered(void *arg)
{
}

/* What was sent may have been done or not: it is not sent again.  What is said
 * from now on goes over another connection. */
static void on_failed(void *arg, const char *why)
{
    struct line *line = arg;
    const struct sent *last = TAILQ_LAST(&line->sent, sent_list);
    struct sent *s;

    line->link = NULL;
    line->busy = true;
    while ((s = pop(line)) != NULL) {
        bool end = s == last;

        answer(s, why);
        if (end)
            break;
    }
    line->busy = false;
    settle(line);
}

static const struct link_ops line_ops = {on_reply, on_delivered, on_failed};

/* ---- the inbox --------------------------------------------------------------- */

static void told_free(struct inbox *in)
{
    struct told *t = (struct told *)in;
    struct line *line = t->line;
    struct sent *s;

    if (line != NULL) {
        TAILQ_FOREACH(s, &line->sent, link)
            if (s->from == t)
                s->from = NULL;
        line->users--;
    }
    buffer_fini(&t->who);
    buffer_fini(&t->client);
    inbox_fini(in);
    free(t);
    if (line != NULL)
        settle(line);
}

static void told_leave(struct inbox *in)
{
    if (((struct told *)in)->count == 0)
        told_free(in);
    else
        inbox_linger(in);
}

static struct inbox *told_open(struct exchange *x, const struct feed *feed)
{
    struct told *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    buffer_append_str(&t->who, feed_identity(x, feed->reader));
    buffer_append_str(&t->client, feed->client);
    if (inbox_init(&t->inbox, &redis_inbox, x, feed) == 0 && !t->who.failed &&
        !t->client.failed)
        t->line = line_to(t->inbox.settings->backend);
    if (t->line == NULL) {
        told_free(&t->inbox);
        return NULL;
    }
    t->line->users++;
    worker_timer_clear(worker_self(), &t->line->idle);
    return &t->inbox;
}

static bool told_crowded(const struct inbox *in)
{
    return ((const struct told *)in)->line->waiting > WAITING_MAX;
}

static int publish(struct told *t, const struct message_parts *parts)
{
    const struct str words[] = {STR("PUBLISH"), buffer_str(&t->inbox.target),
                                parts->data};

    return link_command(t->line->link, words, 3);
}

/* The fields that an entry has beside its data are those that a source knows,
 * and who says it. */
static int add_entry(struct told *t, const struct message_parts *parts)
{
    char keep[16];
    struct str words[16] = {STR("XADD"), buffer_str(&t->inbox.target)};
    int n = 2;

    if (t->inbox.settings->keep > 0) {
        words[n++] = STR("MAXLEN");
        words[n++] = STR("~");
        words[n++] = (struct str){
            keep, (size_t)snprintf(keep, sizeof(keep), "%u",
                                   t->inbox.settings->keep)};
    }
    words[n++] = STR("*");
    if (parts->type.n > 0) {
        words[n++] = STR("event");
        words[n++] = parts->type;
    }
    words[n++] = STR("data");
    words[n++] = parts->data;
    words[n++] = STR("client");
    words[n++] = buffer_str(&t->client);
    if (t->who.len > 0) {
        words[n++] = STR("identity");
        words[n++] = buffer_str(&t->who);
    }
    return link_command(t->line->link, words, n);
}

/* 0 or -ENOMEM. */
static int send_command(struct told *t, const struct message_parts *parts)
{
    const struct inbox_settings *settings = t->inbox.settings;
    struct line *line = t->line;

    if (line->link == NULL)
        line->link = link_open(settings->backend,
                               backend_pick(settings->backend), &line_ops,
                               line);
    if (line->link == NULL)
        return -ENOMEM;
    return settings->stream ? add_entry(t, parts) : publish(t, parts);
}

static int told_put(struct inbox *in, const struct message_parts *parts)
{
    struct told *t = (struct told *)in;
    struct sent *s = malloc(sizeof(*s));

    if (s == NULL || send_command(t, parts) < 0) {
        free(s);
        return -ENOMEM;
    }
    *s = (struct sent){.from = t, .bytes = parts->data.n};
    TAILQ_INSERT_TAIL(&t->line->sent, s, link);
    t->line->waiting += s->bytes;
    t->count++;
    meter_add(METER_inbox_posts, 1);
    in->full |= t->paused || t->count >= in->settings->queue ||
                told_crowded(in);
    return in->full;
}

/* Redis says little, and that only of what the client says. */
static void told_read(struct inbox *in, bool on)
{
    struct told *t = (struct told *)in;

    t->paused = !on;
    make_room(t);
}

const struct inbox_type redis_inbox = {
    .open = told_open,
    .put = told_put,
    .read = told_read,
    .crowded = told_crowded,
    .leave = told_leave,
    .free = told_free,
    .rest = rest,
};
