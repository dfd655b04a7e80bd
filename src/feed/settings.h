/* settings.h - what a route says about its history, readers and source: the
 * part of the configuration that the hub's side of the house reads.  Filled by
 * config/config.c, fixed afterwards; lives as long as its struct config. */
#ifndef PENSTOCK_FEED_SETTINGS_H
#define PENSTOCK_FEED_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rate.h"
#include "wire/deflate.h"

struct backend;

enum start_at { START_NOW, START_LAST, START_OLDEST };
enum lag_policy { LAG_DISCONNECT, LAG_SKIP, LAG_LATEST };
enum receive_to {
    RECEIVE_NOTHING,
    RECEIVE_CHANNEL, /* the one that the client reads */
    RECEIVE_OTHER,   /* another one */
    RECEIVE_POST,    /* the backend, one request each */
    RECEIVE_WEBSOCKET, /* a WebSocket to the backend for each client */
    RECEIVE_REDIS,   /* a channel or a stream of a Redis */
};
enum redis_what { REDIS_SUBSCRIBE, REDIS_PSUBSCRIBE, REDIS_STREAM };
enum source_when { WHEN_NEEDED, WHEN_ALWAYS };
enum source_per { PER_CHANNEL, PER_CLIENT };
enum source_framing { FRAMING_LINES, FRAMING_LENGTH, FRAMING_UINT32 };
enum source_redirects { REDIRECTS_SAME, REDIRECTS_ANY, REDIRECTS_NONE };

struct history_limits {
    unsigned messages;
    size_t bytes;
    uint64_t age_ms;
};

#define HEARTBEAT_EVENT_MAX 64 /* octets */

/* What becomes of what clients say. */
struct inbox_settings {
    const struct backend *backend; /* of the last three */
    bool stream;            /* redis: a stream, not a channel */
    unsigned keep;          /* and how many entries stay in it; 0: all */
    uint64_t timeout_ms;    /* for the backend's answer */
    unsigned queue;         /* messages of one client that may wait */
    size_t reply_bytes;     /* largest answer taken */
    bool json;              /* what is not valid JSON is refused */
    struct rate rate;       /* of one WebSocket's messages */
};

/* Who hears of clients that come and go. */
struct hook_settings {
    const struct backend *backends[2]; /* on_open, on_close; NULL: nobody */
    uint64_t deadline_ms;              /* to hear of one */
    uint64_t grace_ms;                 /* without a poll: gone after */
};

/* Who reads a channel, and what its readers hear of it. */
struct presence_settings {
    bool on;
    uint64_t grace_ms; /* without a connection: gone after */
    unsigned max;      /* members of a channel */
};

struct reader_settings {
    enum start_at start;       /* of a follower without a cursor */
    enum lag_policy lag;
    uint64_t interval_ms;      /* max_rate: least time between two deliveries */
    uint64_t batch_ms;         /* how long messages are gathered for one write */
    uint64_t heartbeat_ms;     /* silence before a comment or a ping */
    const char *heartbeat_event; /* SSE: an event of this type instead; or NULL */
    bool envelope;             /* SSE: data is the envelope, of whatever type */
    uint64_t life_ms;          /* max_age: how long a follower may stay; 0: any */
    uint64_t write_ms;         /* a full socket that takes nothing: cut after */
    uint64_t wait_ms;          /* longest long poll */
    unsigned batch_messages;   /* most that one answer carries */
    size_t batch_bytes;
    uint64_t retry_ms;         /* SSE retry: told to clients, with jitter */
    uint64_t cache_s;          /* Cache-Control of a poll's answer; 0: no-cache */
    bool cache_auto;           /* as long as the next update is not due */
    enum receive_to receive;   /* where a client's messages go */
    struct inbox_settings inbox;
    struct hook_settings hooks;
    struct presence_settings presence;
    bool advised;              /* readers are told which transport suits */
    const char *identity;      /* request field that says who it is; or NULL */
    bool no_echo;              /* not back to the client that sent them */
    size_t message_bytes;      /* largest message taken from a client */
    struct deflate_settings compress;
    char **origins;            /* allowed Origin values for WebSocket, NULL-ended;
                                * NULL: the same host only; "*": any */
};

/* JSON Pointers into a message; NULL: that stays as it came. */
struct transform_settings {
    const char *event, *id;
    const char *data;          /* as it is written; or */
    const char *text;          /* as it says, if it is a string */
};

struct source_settings {
    const char *type;          /* "publish", "sse", and so on */
    const struct backend *backend; /* NULL for publish */
    const char *path;          /* template of the URL's path and query, with
                                * {name} parts; begins with '/'.  Of redis: of
                                * the channel, pattern or key */
    enum source_framing framing; /* ndjson: how records are told apart */
    const char *subscribe;     /* first message of a WebSocket, or NULL */
    uint64_t every_ms;         /* poll; 0: as the backend says */
    const char *select;        /* poll, longpoll: JSON Pointer, or NULL */
    const char *each;          /* the same, in each item: its key; or NULL */
    const char *cursor;        /* longpoll: "/POINTER", "link" or a field's name;
                                * ndjson: "/POINTER", or NULL */
    const char *param;         /* the query's name for it */
    const char *from;          /* the first one, or NULL */
    const char *lost;          /* ndjson: who has this has no place any more */
    uint64_t wait_ms;          /* how long the backend is asked to wait */
    bool compress;             /* the backend may compress what it sends */
    const char *fields;        /* of each request, "Name: value\r\n"...; or
                                * NULL.  Secret */
    bool has_agent;            /* they or those passed have a User-Agent */
    char **pass;               /* names of fields that clients' requests have
                                * and its own gets, NULL-ended; or NULL */
    enum source_per per;       /* one for all readers, or one for those whose
                                * requests have the same passed fields */
    enum source_redirects redirects; /* to which servers it may be sent */
    struct transform_settings transform;
    enum redis_what redis;
    const char *field;         /* redis: an entry's that is the data, or NULL */
    enum source_when when;
    uint64_t linger_ms;        /* stays open after the last reader */
    uint64_t idle_ms;          /* silence upstream before reconnecting; 0: never */
    uint64_t backoff_min_ms, backoff_max_ms;
    uint64_t stale_ms;         /* down for so long: readers are told; 0: never */
    size_t message_bytes;      /* larger ones are dropped, and counted */
};

#endif
