/* poll.c - the transport "poll": the channel as a REST resource.  Without a
 * cursor its newest message is the representation (RFC 9110 8.8, 13.1.2);
 * with one, what lies after it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "feed/batch.h"
#include "feed/hint.h"
#include "feed/presence.h"
#include "feed/stay.h"
#include "http/date.h"
#include "hub/encoding.h"
#include "modules.h"

/* Whether the client says from where on it wants messages. */
static bool has_cursor(const struct feed *feed)
{
    for (unsigned i = 0; i < feed->channel_count; i++)
        if (feed->channels[i].cursor.kind != CURSOR_NONE)
            return true;
    return feed->cursor.kind != CURSOR_NONE &&
           feed->cursor.kind != CURSOR_ALIEN;
}

/* How long an answer given now may be kept: as the route says, or until the
 * next update is due ("poll no faster than it changes"). */
static uint64_t due_in_s(struct channel *c)
{
    struct channel_status status;
    uint64_t due_us, now_us = clock_now_us();

    channel_status(c, &status);
    due_us = status.newest_us + status.interval_us;
    return due_us > now_us ? (due_us - now_us) / 1000000 : 0;
}

static uint64_t fresh_s(const struct feed *feed)
{
    uint64_t least_s = UINT64_MAX, s;

    if (!feed->reader->cache_auto)
        return feed->reader->cache_s;
    if (feed->channel != NULL)
        return due_in_s(feed->channel);
    for (unsigned i = 0; i < feed->channel_count; i++) {
        s = due_in_s(feed->channels[i].channel);
        least_s = s < least_s ? s : least_s;
    }
    return least_s;
}

/* One client's own channel: no cache may give it to another client, whom it
 * cannot tell from that one. */
static bool is_private(const struct feed *feed)
{
    return feed->source->per == PER_CLIENT;
}

static void add_cache_control(struct answer_headers *a, const struct feed *feed,
                              char text[32])
{
    uint64_t seconds = fresh_s(feed);

    if (is_private(feed))
        snprintf(text, 32, "private, no-cache");
    else if (seconds == 0)
        snprintf(text, 32, "no-cache");
    else
        snprintf(text, 32, "max-age=%llu", (unsigned long long)seconds);
    answer_add(a, "Cache-Control", str_of(text));
    feed_add_vary(a, feed->reader);
}

/* RFC 9110 13.1.2: the client holds this representation, or any. */
static bool has_it(const struct exchange *x, const struct feed *feed,
                   const struct message *m)
{
    return (feed->etag.kind == CURSOR_ID && feed->etag.epoch == m->epoch &&
            feed->etag.seq == m->seq) ||
           str_eq(headers_get(&x->request->headers, "If-None-Match"),
                  STR("*"));
}

/* Its data as gzip, made once for all; absent when out of memory. */
static struct str packed_data(struct message *m, const struct feed *feed)
{
    const struct wire *w = message_wire_packed(m, WIRE_GZIP,
                                               &feed->reader->compress);

    return w == NULL ? STR_NONE : wire_str(w, false);
}

static void respond_data(struct exchange *x, struct answer_headers *a,
                         struct message *m, const struct feed *feed,
                         bool packed)
{
    struct str data = packed ? packed_data(m, feed) : message_data(m);

    if (data.p == NULL) {
        feed_refuse(x, -ENOMEM);
        return;
    }
    answer_add(a, "Content-Type", m->content_type);
    if (packed)
        answer_add(a, "Content-Encoding", STR("gzip"));
    if (!str_eq(m->type, STR("message")))
        answer_add(a, "Penstock-Event", m->type);
    if (x->is_head)
        tally_add(x->tally, TALLY_empty_answers, 1);
    feed_delivered(x, &m, 1, clock_now_us());
    exchange_respond(x, 200, &a->headers, data.p, data.n);
}

/* Nothing that the client does not have. */
static void respond_empty(struct exchange *x, unsigned status,
                          const struct answer_headers *a)
{
    tally_add(x->tally, TALLY_empty_answers, 1);
    exchange_respond(x, status, &a->headers, NULL, 0);
}

/* How many a client passes over who has the message of its ETag. */
static uint64_t merged(const struct feed *feed, const struct message *m)
{
    return feed->etag.kind == CURSOR_ID && feed->etag.epoch == m->epoch &&
                   feed->etag.seq < m->seq
               ? m->seq - feed->etag.seq - 1
               : 0;
}

/* The newest message's own data, with its own content type. */
static void answer_newest(struct exchange *x, const struct feed *feed,
                          struct message *m)
{
    bool alien = feed->cursor.kind == CURSOR_ALIEN;
    bool packed = feed_packs(x, feed->reader) &&
                  m->len >= feed->reader->compress.min_bytes;
    struct answer_headers a;
    struct batch_fields scratch;
    char id[ID_MAX], cache[32], modified[HTTP_DATE_LEN + 1], age[24];
    char hint[HINT_TEXT_MAX];
    bool same = has_it(x, feed, m);

    id_format(id, m->epoch, m->seq);
    http_date(modified, m->time_ms);
    answer_init(&a);
    batch_fields(&a, &scratch, id, alien, packed);
    answer_add(&a, "Last-Modified", str_of(modified));
    add_cache_control(&a, feed, cache);
    feed_add_stale(&a, feed_stale(feed), age);
    hint_add(&a, feed->reader, feed->channel, hint);
    if (same) {
        respond_empty(x, 304, &a);
        return;
    }
    if (!x->is_head)
        tally_add(x->tally, TALLY_messages_merged, merged(feed, m));
    respond_data(x, &a, m, feed, packed);
}

/* A poll never waits, so nothing can wake it. */
static void ignore(struct reader *r)
{
}
static const struct reader_ops poll_reader = {ignore, ignore, ignore, NULL};

/* Whether each of several channels is read from a place that stays. */
static bool all_from_ids(const struct feed *feed)
{
    for (unsigned i = 0; i < feed->channel_count; i++)
        if (feed->channels[i].cursor.kind != CURSOR_NONE &&
            feed->channels[i].cursor.kind != CURSOR_ID)
            return false;
    return feed->cursor.kind == CURSOR_ID;
}

/* A page of history that is full says the same for ever, wherever it is asked
 * for by its URL alone: a cache may serve those who catch up. */
static bool lasts(const struct batch *b, const struct feed *feed)
{
    return b->full && !b->gap && feed->in_url &&
           all_from_ids(feed) && !is_private(feed);
}

static void respond_batch(struct exchange *x, const struct feed *feed,
                          const struct batch *b)
{
    struct answer_headers a;
    char cache[32], age[24], hint[HINT_TEXT_MAX];

    answer_init(&a);
    if (!has_cursor(feed)) {
        add_cache_control(&a, feed, cache);
    } else {
        answer_add(&a, "Cache-Control",
                   lasts(b, feed) ? STR("public, max-age=31536000, immutable")
                                  : STR("no-store"));
        feed_add_vary(&a, feed->reader);
    }
    feed_add_stale(&a, feed_stale(feed), age);
    hint_add(&a, feed->reader, feed->channel, hint);
    batch_respond(x, &a, b, feed->reader, feed_packs(x, feed->reader));
}

static void answer_batch(struct exchange *x, const struct feed *feed,
                         struct cursor cursor)
{
    const struct cursor now = {.kind = CURSOR_NOW};
    struct reader r = {0};
    struct gap gap;
    struct batch b;
    int rc = feed_join(&r, &poll_reader, feed, cursor, now, &gap);

    if (rc < 0) {
        feed_refuse(x, rc);
        return;
    }
    if (rc > 0)
        tally_add(x->tally, TALLY_messages_skipped, gap.missed);
    batch_take(&b, x, &r, feed->reader,
               rc > 0 || feed->cursor.kind == CURSOR_ALIEN);
    reader_leave(&r);
    if (b.body.failed)
        feed_refuse(x, -ENOMEM);
    else
        respond_batch(x, feed, &b);
    buffer_fini(&b.body);
}

/* Of several channels: whether the client has all that there is. */
static bool has_all(const struct feed *feed)
{
    const struct cursor now = {.kind = CURSOR_NOW};
    struct reader r = {0};
    struct gap unused;
    bool all;

    if (feed->etag.kind != CURSOR_ID)
        return false;
    all = feed_join(&r, &poll_reader, feed, feed->etag, now, &unused) == 0 &&
          reader_dry(&r);
    reader_leave(&r);
    return all;
}

/* Several channels as one resource: the newest message of each. */
static void answer_newest_of_each(struct exchange *x, const struct feed *feed)
{
    const struct cursor newest = {.kind = CURSOR_LAST_N, .seq = 1};
    struct answer_headers a;
    struct batch_fields scratch;
    char id[ID_MAX], cache[32], age[24], hint[HINT_TEXT_MAX];

    if (!has_all(feed)) {
        answer_batch(x, feed, newest);
        return;
    }
    id_format(id, feed->etag.epoch, feed->etag.seq);
    answer_init(&a);
    batch_fields(&a, &scratch, id, false, false);
    add_cache_control(&a, feed, cache);
    feed_add_stale(&a, feed_stale(feed), age);
    hint_add(&a, feed->reader, feed->channel, hint);
    respond_empty(x, 304, &a);
}

/* Nothing has been said yet; where the client may go on from is. */
static void answer_nothing(struct exchange *x, const struct feed *feed)
{
    struct answer_headers a;
    struct batch_fields scratch;
    struct channel_status status;
    bool alien = feed->cursor.kind == CURSOR_ALIEN;
    char id[ID_MAX], age[24], hint[HINT_TEXT_MAX];

    channel_status(feed->channel, &status);
    id_format(id, status.epoch, status.next_seq - 1);
    answer_init(&a);
    batch_fields(&a, &scratch, id, alien, false);
    answer_add(&a, "Cache-Control", STR("no-store"));
    feed_add_stale(&a, feed_stale(feed), age);
    hint_add(&a, feed->reader, feed->channel, hint);
    respond_empty(x, 204, &a);
}

/* ---- the very first one -------------------------------------------------------- */

/* How long a poll waits for the first message of a source that it has woken:
 * an empty answer would be a surprise where the backend has something. */
#define FIRST_MS 2000

struct first {
    struct reader reader; /* first: found from it */
    struct exchange *x;
    struct feed feed;     /* a copy with a channel of its own; what the request
                           * says of the upstream is not there any more */
};

static void first_free(struct first *f)
{
    reader_leave(&f->reader);
    channel_unref(&f->feed.channel);
    free(f);
}

/* newest: a reference, or NULL. */
static void answer_with(struct exchange *x, const struct feed *feed,
                        struct message *newest)
{
    if (newest == NULL)
        answer_nothing(x, feed);
    else
        answer_newest(x, feed, newest);
    message_unref(&newest);
}

static void on_first(struct reader *r)
{
    struct first *f = (struct first *)r;
    struct exchange *x = f->x;

    x->handler = NULL;
    x->ops = NULL;
    answer_with(x, &f->feed, channel_newest(f->feed.channel, NULL));
    first_free(f);
}

static const struct reader_ops first_reader = {on_first, on_first, on_first, NULL};

static void on_enough(struct exchange *x)
{
    on_first(x->handler);
}

static void on_renew(struct exchange *x, const void *settings)
{
    ((struct first *)x->handler)->feed.reader = settings;
}

static void on_gone(struct exchange *x)
{
    first_free(x->handler);
}

static const struct exchange_ops first_exchange = {
    .timeout = on_enough,
    .drain = on_enough,
    .renew = on_renew,
    .gone = on_gone,
};

/* Whether there is a source that has never brought anything. */
static bool is_new(const struct feed *feed)
{
    struct channel_status status;

    channel_status(feed->channel, &status);
    return feed->source->backend != NULL && status.newest_seq == 0 &&
           !channel_over(feed->channel);
}

static void wait_for_first(struct exchange *x, const struct feed *feed)
{
    const struct cursor oldest = {.kind = CURSOR_OLDEST};
    struct first *f = calloc(1, sizeof(*f));
    struct gap unused;

    if (f == NULL || feed_join(&f->reader, &first_reader, feed, oldest, oldest,
                               &unused) < 0) {
        free(f);
        answer_nothing(x, feed);
        return;
    }
    f->x = x;
    f->feed = *feed;
    f->feed.channel = channel_ref(feed->channel);
    x->handler = f;
    x->ops = &first_exchange;
    exchange_stay(x);
    exchange_set_timer(x, FIRST_MS);
    if (!reader_dry(&f->reader))
        on_first(&f->reader);
}

/* Who polls is there for the grace time; and what its coming is to the others
 * is no answer to it. */
static void note_client(struct exchange *x, const struct feed *feed)
{
    presence_leave(presence_enter(x, feed, false),
                   feed->reader->presence.grace_ms);
    stay_leave(stay_enter(x, feed, "poll"));
}

static void open_poll(struct exchange *x, const struct feed *feed)
{
    note_client(x, feed);
    if (has_cursor(feed))
        answer_batch(x, feed, feed->cursor);
    else if (feed->channel == NULL)
        answer_newest_of_each(x, feed);
    else if (is_new(feed))
        wait_for_first(x, feed);
    else
        answer_with(x, feed, feed_peek(feed));
}

const struct transport transport_poll = {.name = "poll", .open = open_poll};
