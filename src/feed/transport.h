/* transport.h - what a transport implements: a way to read a channel from a
 * cursor, as the answer to one request. */
#ifndef PENSTOCK_FEED_TRANSPORT_H
#define PENSTOCK_FEED_TRANSPORT_H

#include "feed/settings.h"
#include "http/exchange.h"
#include "hub/reader.h"

/* What a request asks for.  Borrowed during open(); its settings live as long
 * as the exchange, which holds the snapshot; a joined reader holds the
 * channel. */
struct feed {
    struct channel *channel;
    struct snapshot *snapshot;
    struct channel *receive; /* where what the client sends goes, or NULL */
    const struct reader_settings *reader;
    const struct source_settings *source;
    struct str source_path;  /* of the upstream URL, names filled in */
    struct cursor cursor;    /* from Last-Event-ID or ?since= */
    bool in_url;             /* the cursor came from ?since= */
    struct cursor etag;      /* from If-None-Match */
    bool waits;              /* Prefer: wait or ?wait= was given */
    bool prefers;            /* it was Prefer: wait */
    uint64_t wait_ms;        /* what it said, not yet capped */
};

/* One const struct per transport, in modules/transports/. */
struct transport {
    const char *name; /* as written in the config file */
    /* Answers x, at once or from then on; called on x's worker. */
    void (*open)(struct exchange *x, const struct feed *feed);
};

/* Joins the channel at the feed's cursor (or, without one, at fallback), and
 * sees to it that its source runs.  As reader_join(). */
int feed_join(struct reader *r, const struct reader_ops *ops,
              const struct feed *feed, struct cursor cursor,
              struct cursor fallback, struct gap *gap);
/* The cursor that a route's start means. */
struct cursor feed_start(const struct reader_settings *settings);
/* Whether the answer to x is to be sent as gzip: the route compresses, and the
 * client takes it.  Before exchange_follow(). */
bool feed_packs(const struct exchange *x, const struct reader_settings *s);
/* Adds Vary: what the answer depends on, Accept-Encoding among it where the
 * route compresses. */
void feed_add_vary(struct answer_headers *a, const struct reader_settings *s);
/* Answers for a join that failed with this error. */
void feed_refuse(struct exchange *x, int error);
/* The newest message, or NULL, as if a reader had come and gone: the source is
 * made to run.  With a reference for the caller. */
struct message *feed_peek(const struct feed *feed);

#endif
