/* transport.h - what a transport implements: a way to read a channel from a
 * cursor, as the answer to one request. */
#ifndef PENSTOCK_FEED_TRANSPORT_H
#define PENSTOCK_FEED_TRANSPORT_H

#include "feed/source.h"
#include "http/exchange.h"
#include "hub/reader.h"

/* The most channels that one connection may read. */
#define FEED_CHANNELS_MAX 100

struct inbox_type;

/* A channel of a multiplexed route. */
struct feed_channel {
    struct channel *channel; /* a reference */
    struct cursor cursor;
    const struct source_settings *source;
    struct buffer source_path;
};
void feed_channel_fini(struct feed_channel *c);

/* What a request asks for.  Borrowed during open(); its settings live as long
 * as the exchange, which holds the snapshot; a joined reader holds the
 * channel. */
struct feed {
    struct channel *channel; /* NULL on a multiplexed route, which has: */
    struct order *order;     /* of its channels' hub; else NULL */
    struct feed_channel *channels; /* those asked for, in their order */
    unsigned channel_count;
    struct snapshot *snapshot;
    struct channel *receive; /* where what the client sends goes, or NULL */
    const struct inbox_type *inbox_type; /* or how it goes to a backend */
    struct str inbox_target; /* there: the URL's path and query, names filled
                              * in; absent: nowhere */
    struct str hook_targets[2]; /* of on_open and on_close, the same way */
    struct str client;       /* a name for it that no other one has */
    const struct reader_settings *reader;
    const struct source_settings *source;
    struct source_request request; /* of the upstream: names filled in */
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
/* Finds or makes the channel of that name, as the route that x is about has
 * it.  0, and *out is the caller's to fini; -ENOENT: the route has none such;
 * or as hub_channel().  On x's worker. */
typedef int feed_find_fn(struct exchange *x, struct str name,
                         struct feed_channel *out);
/* Who finds them; set once, before workers run. */
void feed_set_finder(feed_find_fn *find);
/* Where a channel that was added to a reader begins, and its name as messages
 * tell it, which lives as long as the reader has it. */
struct subscription {
    const char *name;
    char id[ID_MAX];
    struct gap gap;
};
/* Adds channel name to a reader of several, and sees to it that its source
 * runs.  As selection_add() or feed_find_fn; -E2BIG: it has as many as it may. */
int feed_subscribe(struct reader *r, struct exchange *x,
                   const struct reader_settings *settings, struct str name,
                   struct cursor cursor, struct subscription *out);
/* Whether the channel is over, and the client has had all of it. */
bool feed_is_over(const struct feed *feed);
/* The cursor that a route's start means. */
struct cursor feed_start(const struct reader_settings *settings);
/* Who the client of x is, as what stands in front of us says; absent where that
 * is not told.  Before exchange_follow(). */
struct str feed_identity(const struct exchange *x,
                         const struct reader_settings *s);
/* Whether the answer to x is to be sent as gzip: the route compresses, and the
 * client takes it.  Before exchange_follow(). */
bool feed_packs(const struct exchange *x, const struct reader_settings *s);
/* Adds Vary: what the answer depends on, Accept-Encoding among it where the
 * route compresses. */
void feed_add_vary(struct answer_headers *a, const struct reader_settings *s);
/* The channel, or one of several, whose source is down; NULL: none is. */
struct channel *feed_stale(const struct feed *feed);
/* Adds Warning (RFC 7234 5.5.1, which caches and people still read), and Age,
 * of a channel whose source is down; NULL: adds nothing. */
void feed_add_stale(struct answer_headers *a, struct channel *c, char age[24]);
/* Counts a gap mark for x's client, and the messages that it is about. */
void feed_gap(const struct exchange *x, const struct gap *gap);
/* The first n of these messages have gone out as x's answer: so many, and how
 * old each of them was.  None where that is to HEAD. */
void feed_delivered(const struct exchange *x, struct message *const *messages,
                    unsigned n, uint64_t now_us);
/* Answers for a join that failed with this error. */
void feed_refuse(struct exchange *x, int error);
/* The newest message, or NULL, as if a reader had come and gone: the source is
 * made to run.  With a reference for the caller. */
struct message *feed_peek(const struct feed *feed);

#endif
