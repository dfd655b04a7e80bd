/* follower.h - a reader that stays: what SSE and WebSocket share.  It drains
 * its channel into one exchange, keeps at most one partly sent message, sends
 * signs of life in silence, and is cut when it falls behind.
 *
 * Embedded first in a transport's own struct, which is malloc'ed; freed by
 * follower_end(). */
#ifndef PENSTOCK_FEED_FOLLOWER_H
#define PENSTOCK_FEED_FOLLOWER_H

#include "feed/transport.h"

struct follower;

enum farewell {
    FAREWELL_DRAIN,  /* the server stops: come back */
    FAREWELL_ENDED,  /* the channel was deleted */
    FAREWELL_OVER,   /* there is no more to come: stay away */
    FAREWELL_BEHIND, /* too slow: come back with the cursor */
    FAREWELL_CHANGED, /* its route was taken away, or is another one now */
    FAREWELL_AGED,   /* it was here for max_age: come back, the same way */
    FAREWELL_OWN,    /* the transport's own reason, which it keeps */
};

/* What differs between transports. */
struct follower_ops {
    const char *name;                     /* of the transport, for the log */
    /* Silence has lasted for a heartbeat: queue a comment, or a ping.  False:
     * the peer is dead, and the follower is to be cut. */
    bool (*heartbeat)(struct follower *f);
    /* Queue the mark of a gap.  False: this reader cannot be told, so it must
     * be cut instead. */
    bool (*gap)(struct follower *f, const struct gap *gap);
    /* Queue what is told beside messages, JSON in one line: "stale", the source
     * is down, so that what was sent last may be old, or is back; "advice",
     * the transport that suits (hint.h). */
    void (*notice)(struct follower *f, const char *what, struct str json);
    /* The first octets of m have gone out: what is queued from now on comes
     * behind it (may be NULL). */
    void (*began)(struct follower *f, struct message *m);
    /* Queue the transport's last words (may be NULL).  Sets f->awaiting where
     * the peer is to answer them before the end. */
    void (*goodbye)(struct follower *f, enum farewell why);
    /* Free what the transport's struct holds (may be NULL). */
    void (*fini)(struct follower *f);
};

struct follower {
    struct reader reader;              /* first: found from it */
    struct exchange *x;
    const struct follower_ops *ops;
    const struct reader_settings *settings;
    struct message *partial;           /* a reference; NULL: none half sent */
    struct buffer *control;            /* what goes between messages, or NULL */
    uint64_t active_us;                /* when something last went out */
    struct visit *visit;               /* its backend hears of it; or NULL */
    struct member *member;             /* its channel hears of it; or NULL */
    uint64_t number;                   /* marks its own messages; 0: echo them */
    uint32_t partial_sent;             /* octets of it that are out */
    uint32_t unacked_seen;             /* when it was last looked at, blocked */
    uint32_t end_ds;                   /* its life is over then, in tenths of a
                                        * second; 0: never */
    uint8_t format;                    /* enum wire_format */
    bool failed : 1;                   /* no memory for control: is to be cut */
    bool stale : 1;                    /* the peer was told so, of its channel */
    unsigned advised : 3;              /* the transport it was told of, and 1 */
    bool held : 1;                     /* the timer will send what has come */
    bool ended : 1;                    /* waits only for control to go out */
    bool awaiting : 1;                 /* and for the peer's last words */
};

/* Prepares f, zeroed, to answer x. */
void follower_init(struct follower *f, struct exchange *x,
                   const struct feed *feed, const struct follower_ops *ops,
                   enum wire_format format);
/* Joins the channel; as reader_join(). */
int follower_join(struct follower *f, const struct feed *feed,
                  struct gap *gap);
/* The head is sent: follow from now on. */
void follower_run(struct follower *f);
/* Queues octets to go out before the next message, as one piece; framed by
 * the caller as follower wires are.  Where memory runs out the follower is cut
 * when it sends next. */
void follower_control(struct follower *f, const void *data, size_t len);
/* Writes what there is to tell of a gap, in JSON; of several channels, which of
 * them it was in. */
void follower_write_gap(struct follower *f, const struct gap *gap,
                        struct buffer *out);
/* Sends what there is. */
void follower_pump(struct follower *f);
/* What this client is told to wait before it comes back: those that lose us all
 * at once must not all come at once, so each gets a quarter more or less. */
uint64_t follower_retry_ms(const struct follower *f);
/* Something came from the client, or went to it: it is alive. */
void follower_touch(struct follower *f);
/* Leaves the channel, says goodbye, and finishes once that is out; with
 * f->awaiting, once the peer has answered, for which it gets two seconds.  f
 * may be freed by this. */
void follower_leave(struct follower *f, enum farewell why);
/* The peer has answered the goodbye.  f may be freed by this. */
void follower_answered(struct follower *f);
/* Leaves, and frees f; the exchange is the caller's to finish.  */
void follower_end(struct follower *f);

/* For exchange_ops. */
void follower_on_drained(struct exchange *x);
void follower_on_timeout(struct exchange *x);
void follower_on_drain(struct exchange *x);
void follower_on_renew(struct exchange *x, const void *settings);
void follower_on_gone(struct exchange *x);

#endif
