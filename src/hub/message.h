/* message.h - one notification from a backend, shared by every reader.
 * Its content never changes, so any thread may read it; it keeps the wire
 * bytes that were made of it (encoding.h). */
#ifndef PENSTOCK_HUB_MESSAGE_H
#define PENSTOCK_HUB_MESSAGE_H

#include <stdatomic.h>

#include "wire/envelope.h"
#include "wire/gzip.h"

/* NAMED ones tell the channel, and have ids of the order of all channels
 * (order.h), for readers of several. */
enum wire_format {
    WIRE_JSON,         /* the element of a batch */
    WIRE_JSON_NAMED,
    WIRE_SSE,          /* an event, inside an HTTP/1.1 chunk */
    WIRE_SSE_ENVELOPE, /* an event whose data is the JSON element */
    WIRE_SSE_NAMED,
    WIRE_WS,           /* a frame that holds the data */
    WIRE_WS_ENVELOPE,  /* a text frame that holds the JSON element */
    WIRE_WS_NAMED,
    /* Compressed, each made at most once: see message_wire_packed(). */
    WIRE_GZIP,         /* the data, as a gzip body */
    WIRE_SSE_GZIP,     /* an event, as blocks of a gzip stream, in a chunk */
    WIRE_SSE_ENVELOPE_GZIP,
    WIRE_SSE_NAMED_GZIP,
    WIRE_WS_15,        /* a frame of permessage-deflate; the number is the */
    WIRE_WS_12,        /* window's size in bits: what needs a smaller one than */
    WIRE_WS_9,         /* 15 gets the next that is no larger */
    WIRE_WS_ENVELOPE_15,
    WIRE_WS_ENVELOPE_12,
    WIRE_WS_ENVELOPE_9,
    WIRE_WS_NAMED_15,
    WIRE_WS_NAMED_12,
    WIRE_WS_NAMED_9,
    WIRE_N
};

struct channel;

/* bytes[head .. len - tail) is the encoding; what is around it is its HTTP/1.1
 * chunk frame, there only in the SSE formats, so that a reader over
 * HTTP/1.1 sends all of it and any other the inner part. */
struct wire {
    struct wire *next;     /* of the same message, made earlier */
    size_t len;
    uint8_t format;        /* enum wire_format */
    uint8_t head, tail;
    struct gzip_part part; /* SSE_GZIP: what it adds to a stream */
    char bytes[];
};

/* Keys: (i) fixed before any reader sees it; (a) atomic; (c) under the lock
 * of the channel that holds it. */
struct message {
    atomic_uint refs;                    /* (a) 1 at birth, the creator's */
    enum envelope_kind kind : 8;         /* (i) how data stands in JSON */
    bool after_gap;                      /* (i) what came before may be lost: its
                                          * wires tell so in front of it */
    bool aside;                          /* (i) about the channel, and not what
                                          * it carries: never its newest */
    uint64_t epoch, seq;                 /* (i) set by history_append */
    uint64_t stamp;                      /* (i) set by channel_append: order.h */
    struct channel *home;                /* (i) the same: where it is; lives as
                                          * long as anybody reads it there */
    uint64_t sender;                     /* (i) the client's own number, or 0 */
    uint64_t born_us;                    /* (i) monotonic, when it arrived */
    uint64_t time_ms;                    /* (i) wall time of arrival */
    struct message *evicted_next;        /* (c) see history_append */
    _Atomic(struct wire *) wires;        /* (a) those that were asked for */
    struct str type;                     /* (i) event type; "message" if none */
    struct str content_type;             /* (i) never absent */
    size_t len;                          /* (i) octets of data */
    char data[];                         /* (i) then type and content type */
};

#define MESSAGE_TYPE_MAX 255 /* octets of an event type that somebody chose */

/* Copies the parts.  Returns it with one reference, the caller's, or NULL when
 * out of memory.  Any thread. */
struct message *message_new(const struct message_parts *parts);
struct message *message_ref(struct message *m);
/* Drops *mp's reference and sets *mp to NULL.  *mp may already be NULL. */
void message_unref(struct message **mp);

static inline struct str message_data(const struct message *m)
{
    return (struct str){m->data, m->len};
}

#endif
