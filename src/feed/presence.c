#include "feed/presence.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/logging.h"
#include "base/meter.h"
#include "feed/transport.h"
#include "net/worker.h"
#include "wire/json.h"

/* Every reader is told it, and it is kept as long as its member is there. */
#define NAME_MAX_BYTES 255

/* The members of one channel. */
struct crowd {
    UT_hash_handle hh;       /* under crowds_lock */
    unsigned refs;           /* under crowds_lock: each member has one */
    struct channel *channel; /* a reference, and the key */
    pthread_mutex_t lock;    /* of what follows, and of the order in which it is
                              * told in the channel */
    struct member *members;
};

/* Under its crowd's lock.  One that has no connection lives until its timer,
 * which only the worker that has set it may touch, finds it still without. */
struct member {
    UT_hash_handle hh;
    struct crowd *crowd;
    struct timer grace;
    bool graced;             /* the timer is set, on whatever worker */
    uint64_t due_us;         /* without a connection: gone from then on */
    unsigned connections;
    const char *kind;        /* of its name, as a JSON member's */
    size_t name_len;
    char name[];             /* the kind's first octet, and the name: the key */
};

static pthread_mutex_t crowds_lock = PTHREAD_MUTEX_INITIALIZER;
static struct crowd *crowds;

/* ---- crowds ---------------------------------------------------------------- */

static struct crowd *crowd_new(struct channel *channel)
{
    struct crowd *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    c->channel = channel;
    HASH_ADD(hh, crowds, channel, sizeof(c->channel), c);
    if (c->hh.tbl == NULL) {
        free(c);
        return NULL;
    }
    channel_ref(channel);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

/* With a reference.  NULL: there is none, or, if it was to be made, no memory
 * for one. */
static struct crowd *crowd_of(struct channel *channel, bool make)
{
    struct crowd *c;

    pthread_mutex_lock(&crowds_lock);
    HASH_FIND(hh, crowds, &channel, sizeof(channel), c);
    if (c == NULL && make)
        c = crowd_new(channel);
    if (c != NULL)
        c->refs++;
    pthread_mutex_unlock(&crowds_lock);
    return c;
}

static void crowd_unref(struct crowd *c)
{
    bool last;

    pthread_mutex_lock(&crowds_lock);
    last = --c->refs == 0;
    if (last)
        HASH_DEL(crowds, c);
    pthread_mutex_unlock(&crowds_lock);
    if (!last)
        return;
    pthread_mutex_destroy(&c->lock);
    channel_unref(&c->channel);
    free(c);
}

/* ---- telling --------------------------------------------------------------- */

static void write_name(const struct member *m, struct buffer *out)
{
    buffer_printf(out, "\"%s\":", m->kind);
    json_append_string(out, (struct str){m->name + 1, m->name_len - 1});
}

/* Under the crowd's lock, so that readers learn of comings and goings in the
 * order in which they were. */
static void tell(const struct member *m, const char *what)
{
    struct buffer data = {0}, type = {0};
    struct message *message = NULL;

    buffer_printf(&type, "penstock.%s", what);
    buffer_printf(&data, "{\"presence\":\"%s\",", what);
    write_name(m, &data);
    buffer_printf(&data, ",\"count\":%u}", HASH_COUNT(m->crowd->members));
    if (!data.failed && !type.failed)
        message = message_new(&(struct message_parts){
            .data = buffer_str(&data),
            .type = buffer_str(&type),
            .content_type = STR("application/json"),
        });
    if (message != NULL)
        message->aside = true;
    if (message == NULL || /* a deleted channel has nobody to be told */
        channel_append(m->crowd->channel, &message, 1, NULL) == -ENOMEM)
        log_warn_limited("presence.untold", "reason=\"out of memory\"");
    buffer_fini(&data);
    buffer_fini(&type);
}

/* ---- members --------------------------------------------------------------- */

static void member_free(struct member *m)
{
    struct crowd *c = m->crowd;

    free(m);
    crowd_unref(c);
}

static void on_grace(struct timer *t)
{
    struct member *m =
        (struct member *)((char *)t - offsetof(struct member, grace));
    struct crowd *c = m->crowd;
    uint64_t now_us = clock_now_us();
    bool gone;

    pthread_mutex_lock(&c->lock);
    m->graced = m->connections == 0 && now_us < m->due_us;
    gone = m->connections == 0 && !m->graced;
    if (m->graced)
        worker_timer_set(worker_self(), t, (m->due_us - now_us) / 1000 + 1);
    if (gone) {
        HASH_DEL(c->members, m);
        tell(m, "leave");
    }
    pthread_mutex_unlock(&c->lock);
    meter_add(METER_presence_leaves, gone);
    if (gone)
        member_free(m);
}

/* Under the crowd's lock; its reference is the member's. */
static struct member *member_new(struct crowd *c, const char *kind,
                                 struct str key)
{
    struct member *m = calloc(1, sizeof(*m) + key.n);

    if (m == NULL)
        return NULL;
    m->crowd = c;
    m->grace.fire = on_grace;
    m->kind = kind;
    m->name_len = key.n;
    memcpy(m->name, key.p, key.n);
    HASH_ADD_KEYPTR(hh, c->members, m->name, m->name_len, m);
    if (m->hh.tbl != NULL)
        return m;
    free(m);
    return NULL;
}

/* The member of that name, with one connection more.  Takes the reference to
 * c. */
static struct member *come(struct crowd *c, const char *kind, struct str key,
                           unsigned max)
{
    struct member *m;
    bool fresh = false, full = false;

    pthread_mutex_lock(&c->lock);
    HASH_FIND(hh, c->members, key.p, key.n, m);
    if (m == NULL) {
        full = HASH_COUNT(c->members) >= max;
        m = full ? NULL : member_new(c, kind, key);
        fresh = m != NULL;
    }
    if (m != NULL)
        m->connections++;
    if (fresh)
        tell(m, "join");
    pthread_mutex_unlock(&c->lock);
    meter_add(METER_presence_joins, fresh);
    meter_add(METER_presence_full, full);
    if (!fresh)
        crowd_unref(c);
    return m;
}

/* Who the client says it is: with what it was told by us last. */
const char *presence_name(const struct exchange *x, const struct feed *feed,
                          bool stays, struct buffer *key)
{
    struct str who = feed_identity(x, feed->reader);
    char text[NAME_MAX_BYTES + 1];
    int n;

    if (who.n > 0 && who.n <= NAME_MAX_BYTES) {
        buffer_append_byte(key, 'i');
        buffer_append_str(key, who);
        return "identity";
    }
    n = str_query_get(x->request->query, "client", text, sizeof(text));
    buffer_append_byte(key, 'c');
    if (n > 0)
        buffer_append(key, text, (size_t)n);
    else if (stays)
        buffer_append_str(key, feed->client);
    return "client";
}

struct member *presence_enter(struct exchange *x, const struct feed *feed,
                              bool stays)
{
    const struct presence_settings *settings = &feed->reader->presence;
    struct member *m = NULL;
    struct buffer key = {0};
    struct crowd *c;
    const char *kind;

    if (!settings->on || feed->channel == NULL)
        return NULL;
    kind = presence_name(x, feed, stays, &key);
    if (!key.failed && key.len > 1 &&
        (c = crowd_of(feed->channel, true)) != NULL)
        m = come(c, kind, buffer_str(&key), settings->max);
    buffer_fini(&key);
    return m;
}

void presence_leave(struct member *m, uint64_t grace_ms)
{
    struct crowd *c;

    if (m == NULL)
        return;
    c = m->crowd;
    pthread_mutex_lock(&c->lock);
    if (--m->connections == 0) {
        m->due_us = clock_now_us() + grace_ms * 1000;
        if (!m->graced)
            worker_timer_set(worker_self(), &m->grace, grace_ms);
        m->graced = true;
    }
    pthread_mutex_unlock(&c->lock);
}

/* ---- the list -------------------------------------------------------------- */

bool presence_asked(struct str query, const struct presence_settings *settings)
{
    char unused[2];

    return settings->on &&
           str_query_get(query, "presence", unused, sizeof(unused)) != -ENOENT;
}

static void write_members(struct crowd *c, struct buffer *out)
{
    for (const struct member *m = c->members; m != NULL; m = m->hh.next) {
        buffer_append_str(out, m == c->members ? STR("{") : STR(",{"));
        write_name(m, out);
        buffer_printf(out, ",\"connections\":%u}", m->connections);
    }
}

static void write_end(struct channel *channel, unsigned count,
                      struct buffer *out)
{
    struct channel_status status;
    char id[ID_MAX];

    channel_status(channel, &status);
    id_format(id, status.epoch, status.next_seq - 1);
    buffer_printf(out, "],\"count\":%u,\"next\":\"%s\"}\n", count, id);
}

void presence_answer(struct exchange *x, const struct feed *feed)
{
    struct crowd *c = crowd_of(feed->channel, false);
    struct buffer body = {0};
    struct answer_headers a;

    buffer_append_str(&body, STR("{\"members\":["));
    if (c == NULL) {
        write_end(feed->channel, 0, &body);
    } else {
        pthread_mutex_lock(&c->lock); /* no more is told until the end is */
        write_members(c, &body);
        write_end(c->channel, HASH_COUNT(c->members), &body);
        pthread_mutex_unlock(&c->lock);
        crowd_unref(c);
    }
    answer_init(&a);
    answer_add(&a, "Content-Type", STR("application/json"));
    answer_add(&a, "Cache-Control", STR("no-store"));
    if (body.failed)
        feed_refuse(x, -ENOMEM);
    else
        exchange_respond(x, 200, &a.headers, body.data, body.len);
    buffer_fini(&body);
}

void presence_fini(void)
{
    struct crowd *c, *next_crowd;
    struct member *m, *next;

    HASH_ITER(hh, crowds, c, next_crowd) {
        c->refs++; /* it outlives its members */
        HASH_ITER(hh, c->members, m, next) {
            HASH_DEL(c->members, m);
            member_free(m);
        }
        crowd_unref(c);
    }
}
