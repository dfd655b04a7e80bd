/* subscriber.h - one client of one transport, at any server: asks, decodes what
 * comes, comes back when it is cut off and goes on from where it was.  What it
 * is told it hands on and does not judge.  Lives on one worker. */
#ifndef PENSTOCK_BENCH_SUBSCRIBER_H
#define PENSTOCK_BENCH_SUBSCRIBER_H

#include "base/histogram.h"
#include "feed/socket.h"
#include "http/location.h"
#include "net/timer.h"
#include "wire/sse.h"
#include "wire/unpack.h"

enum subscriber_kind {
    SUBSCRIBE_POLL,
    SUBSCRIBE_LONGPOLL,
    SUBSCRIBE_SSE,
    SUBSCRIBE_WEBSOCKET,
    SUBSCRIBE_KINDS
};
extern const char *const subscriber_kind_names[SUBSCRIBE_KINDS];

/* How a poll, or a long poll, says what it has had. */
enum resume {
    RESUME_NONE, /* not at all */
    RESUME_ETAG, /* If-None-Match and If-Modified-Since, as they came */
    RESUME_LINK, /* asks what Link: <…>; rel="next" names */
    RESUME_ID,   /* Last-Event-ID: what stands in the ETag */
    RESUME_NEXT, /* ?since=, or {cursor} in the URL: the answer's "next" */
    RESUME_KINDS
};
extern const char *const resume_names[RESUME_KINDS];

/* What subscribers have in common; fixed while they live. */
struct subscriber_plan {
    enum subscriber_kind kind;
    enum resume resume;
    const char *fields;     /* more of them, each with its CRLF; or NULL */
    struct tls_server *tls; /* NULL: plain */
    uint64_t interval_ms;   /* of polls */
    uint64_t wait_s;        /* of long polls */
    uint64_t reconnect_ms;  /* at the most, before it comes back */
    uint64_t connect_ms;
    bool enveloped;     /* WebSocket: offers penstock.v1 */
    bool compress;      /* accepts it */
    bool fresh;         /* polls: a connection for each request */
    unsigned addresses; /* of ours that it uses: 127.0.0.1 and on; 0: any */
};

/* What all of a kind, on one worker, have had and done. */
struct subscriber_counts {
    uint64_t requests, empty; /* empty: answers without content */
    uint64_t connects, connect_failures;
    uint64_t cuts;                /* connections lost that were in use */
    uint64_t errors;              /* answers that are none to what was asked */
    uint64_t bytes_in, bytes_out; /* up to subscriber_account() */
    struct histogram connect_us;
    char first_error[160];
};

/* One unit of what came: an event, a frame, an answer's body.  Borrowed. */
struct subscriber_message {
    struct str data;
    struct str
        id; /* of an event, or an answer's ETag without its quotes; absent:
                    * it has none */
    struct str type; /* of an event; absent otherwise */
};

struct subscriber;
struct subscriber_ops {
    /* From here on nothing may be missing.  Once.  Of a long poll that no answer
     * told where it stands: it has been sent. */
    void (*ready)(struct subscriber *s);
    void (*message)(struct subscriber *s, const struct subscriber_message *m);
    /* The server does not serve this; it will not come back. */
    void (*refused)(struct subscriber *s, unsigned status, const char *why);
    /* A long poll was answered at once with nothing new: it is none.  May be
     * NULL.  It goes on, with a break between. */
    void (*impatient)(struct subscriber *s);
};

struct subscriber {
    const struct subscriber_plan *plan;
    const struct subscriber_ops *ops;
    const struct location *at;
    struct subscriber_counts *counts;
    void *owner;
    unsigned index;
    struct client *client; /* NULL while there is none */
    struct timer timer;    /* the next poll, or attempt */
    union {
        struct sse_parser sse;
        struct ws_parser ws;
    };
    struct socket socket;
    struct unpack *unpack;  /* of the answer under way; NULL: not packed */
    struct buffer body;     /* of a poll's answer */
    struct buffer cursor;   /* of the last answer or message, as it is sent */
    struct buffer modified; /* Last-Modified, beside an ETag */
    uint64_t asked_us, due_us;
    uint64_t seen_in, seen_out; /* of client's octets: counted already */
    unsigned status;            /* of the answer under way */
    bool asking;                /* an answer is to come, or a stream is on */
    bool ready, over, parsing;  /* parsing: the union's parser is in use */
    bool moved;                 /* the last answer brought another cursor */
    bool begun;                 /* there was a good answer */
    bool waited;   /* the last request asked for an answer in time */
    bool served;   /* client has had a whole one */
    uint8_t tries; /* that failed before it */
};

/* Begins; what is given is borrowed.  s is zeroed. */
void subscriber_start(struct subscriber *s, const struct subscriber_plan *plan,
                      const struct subscriber_ops *ops,
                      const struct location *at,
                      struct subscriber_counts *counts, unsigned index,
                      void *owner);
/* Cuts the connection, as a network would; it comes back. */
void subscriber_cut(struct subscriber *s);
/* Ends it for good; what it holds stays until subscriber_stop(). */
void subscriber_end(struct subscriber *s);
/* Counts the octets that have come and gone since the last time. */
void subscriber_account(struct subscriber *s);
/* Says good-bye and frees what it holds. */
void subscriber_stop(struct subscriber *s);

#endif
