#include "feed/transport.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"

#include "http/coding.h"
#include "net/worker.h"

struct cursor feed_start(const struct reader_settings *settings)
{
    switch (settings->start) {
    case START_LAST:
        return (struct cursor){.kind = CURSOR_LAST_N, .seq = 1};
    case START_OLDEST:
        return (struct cursor){.kind = CURSOR_OLDEST};
    case START_NOW:
        break;
    }
    return (struct cursor){.kind = CURSOR_NOW};
}

void feed_channel_fini(struct feed_channel *c)
{
    channel_unref(&c->channel);
    buffer_fini(&c->source_path);
}

/* Where a channel of several is read from: where the client says of it, or of
 * all. */
static struct choice choose(const struct feed_channel *c, struct cursor cursor)
{
    return (struct choice){c->channel,
                           c->cursor.kind == CURSOR_NONE ? cursor : c->cursor};
}

static void ensure_source(const struct feed_channel *c,
                          struct snapshot *snapshot)
{
    source_ensure(c->channel, snapshot, c->source,
                  (struct source_request){buffer_str(&c->source_path),
                                          STR_NONE});
}

static int select_all(struct reader *r, const struct reader_ops *ops,
                      const struct feed *feed, struct cursor cursor,
                      struct cursor fallback, struct gap *gap)
{
    struct choice choices[FEED_CHANNELS_MAX];
    int rc;

    for (unsigned i = 0; i < feed->channel_count; i++)
        choices[i] = choose(&feed->channels[i], cursor);
    rc = reader_select(r, ops, feed->order, choices, feed->channel_count,
                       worker_self()->index, fallback, gap);
    for (unsigned i = 0; rc >= 0 && i < feed->channel_count; i++)
        ensure_source(&feed->channels[i], feed->snapshot);
    return rc;
}

int feed_join(struct reader *r, const struct reader_ops *ops,
              const struct feed *feed, struct cursor cursor,
              struct cursor fallback, struct gap *gap)
{
    int rc;

    if (feed->channel == NULL)
        return select_all(r, ops, feed, cursor, fallback, gap);
    rc = reader_join(r, ops, feed->channel, worker_self()->index, cursor,
                     fallback, gap);
    if (rc >= 0)
        source_ensure(feed->channel, feed->snapshot, feed->source,
                      feed->request);
    return rc;
}

static uint64_t age_us(const struct message *m, uint64_t now_us)
{
    return now_us > m->born_us ? now_us - m->born_us : 0;
}

/* Those that go out together have mostly come together: as long as the first is
 * hardly older than the last, one step counts them all. */
static void note_ages(struct histogram *h, struct message *const *messages,
                      unsigned n, uint64_t now_us)
{
    uint64_t first_us = age_us(messages[0], now_us);
    uint64_t last_us = age_us(messages[n - 1], now_us);

    if (n <= 2 || histogram_bucket(first_us) == histogram_bucket(last_us)) {
        histogram_add_n(h, first_us, n - n / 2);
        if (n >= 2)
            histogram_add_n(h, last_us, n / 2);
        return;
    }
    note_ages(h, messages, n / 2, now_us);
    note_ages(h, messages + n / 2, n - n / 2, now_us);
}

void feed_delivered(const struct exchange *x, struct message *const *messages,
                    unsigned n, uint64_t now_us)
{
    struct tally *t;

    if (n == 0 || x->is_head || x->tally == 0 || !TALLY_ON)
        return;
    t = tally_of(x->tally);
    histogram_raise(&t->counts[TALLY_messages_delivered], n);
    note_ages(&t->age_us, messages, n, now_us);
}

void feed_gap(const struct exchange *x, const struct gap *gap)
{
    tally_add(x->tally, TALLY_gaps, 1);
    tally_add(x->tally, TALLY_messages_skipped, gap->missed);
}

static feed_find_fn *find_channel;

void feed_set_finder(feed_find_fn *find)
{
    find_channel = find;
}

int feed_subscribe(struct reader *r, struct exchange *x,
                   const struct reader_settings *settings, struct str name,
                   struct cursor cursor, struct subscription *out)
{
    struct feed_channel c = {.channel = NULL};
    struct choice choice;
    int rc;

    if (selection_count(r->selection) == FEED_CHANNELS_MAX)
        return -E2BIG;
    rc = find_channel(x, name, &c);
    if (rc < 0)
        return rc;
    choice = choose(&c, cursor);
    rc = selection_add(r->selection, &choice, worker_self()->index,
                       feed_start(settings), out->id, &out->gap);
    out->name = c.channel->name;
    if (rc >= 0)
        ensure_source(&c, x->snapshot);
    feed_channel_fini(&c);
    return rc;
}

bool feed_is_over(const struct feed *feed)
{
    struct channel_status status;

    if (feed->channel == NULL || !channel_over(feed->channel) ||
        feed->cursor.kind != CURSOR_ID)
        return false;
    channel_status(feed->channel, &status);
    return feed->cursor.epoch == status.epoch &&
           feed->cursor.seq == status.next_seq - 1;
}

struct str feed_identity(const struct exchange *x,
                         const struct reader_settings *s)
{
    return s->identity == NULL
               ? STR_NONE
               : headers_get(&x->request->headers, s->identity);
}

bool feed_packs(const struct exchange *x, const struct reader_settings *s)
{
    return s->compress.on && coding_gzip_accepted(&x->request->headers);
}

void feed_add_vary(struct answer_headers *a, const struct reader_settings *s)
{
    answer_add(a, "Vary",
               s->compress.on
                   ? STR("Accept, Prefer, Last-Event-ID, Accept-Encoding")
                   : STR("Accept, Prefer, Last-Event-ID"));
}

struct channel *feed_stale(const struct feed *feed)
{
    if (feed->channel != NULL)
        return channel_stale(feed->channel) ? feed->channel : NULL;
    for (unsigned i = 0; i < feed->channel_count; i++)
        if (channel_stale(feed->channels[i].channel))
            return feed->channels[i].channel;
    return NULL;
}

void feed_add_stale(struct answer_headers *a, struct channel *c, char age[24])
{
    struct channel_status status;
    uint64_t now_us = clock_now_us();

    if (c == NULL)
        return;
    answer_add(a, "Warning", STR("110 - \"Response is Stale\""));
    channel_status(c, &status);
    if (status.newest_us == 0 || status.newest_us > now_us)
        return;
    snprintf(age, 24, "%llu",
             (unsigned long long)(now_us - status.newest_us) / 1000000);
    answer_add(a, "Age", str_of(age));
}

void feed_refuse(struct exchange *x, int error)
{
    if (error == -ESTALE)
        exchange_problem(x, 503, NULL,
                         "the channel is being deleted: try again");
    else
        exchange_problem(x, 503, NULL, "out of memory: try again later");
}

struct message *feed_peek(const struct feed *feed)
{
    source_ensure(feed->channel, feed->snapshot, feed->source,
                  feed->request);
    return channel_newest(feed->channel, NULL);
}
