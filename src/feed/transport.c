#include "feed/transport.h"

#include <errno.h>

#include "feed/source.h"
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

int feed_join(struct reader *r, const struct reader_ops *ops,
              const struct feed *feed, struct cursor cursor,
              struct cursor fallback, struct gap *gap)
{
    int rc = reader_join(r, ops, feed->channel, worker_self()->index, cursor,
                         fallback, gap);

    if (rc >= 0)
        source_ensure(feed->channel, feed->snapshot, feed->source,
                      feed->source_path);
    return rc;
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
                  feed->source_path);
    return channel_newest(feed->channel, NULL);
}
