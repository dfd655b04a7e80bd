/* octets.h - how long what goes over the wire is: each of our messages, answers
 * and frames, made by the code that sends them, and measured.  What TCP and TLS
 * add is not in it.  Pure, apart from the memory that it takes meanwhile. */
#ifndef PENSTOCK_MEASURE_OCTETS_H
#define PENSTOCK_MEASURE_OCTETS_H

#include <stdbool.h>

#include "wire/envelope.h"

/* What is sent, and in which form. */
struct octets_terms {
    enum envelope_kind kind;
    double size_bytes;    /* of a message's data */
    uint64_t seq;         /* about where the ids are: they grow by a digit now
                           * and then */
    double packed;        /* what compression leaves of data: 1 is all of it */
    bool raw;             /* WebSocket: the data alone, without penstock.v1 */
    bool newest;          /* poll: the newest message's data, and not what lies
                           * after a cursor */
    uint64_t cache_s;     /* poll: Cache-Control */
    double request_bytes; /* a client's request head, without what the transport
                           * adds to it */
    double send_bytes;    /* of what a client says */
};

/* Octets of one of each.  in: from the client. */
struct octets {
    double setup_in, setup_out; /* what a follower begins with */
    double message;             /* a follower's message, framed */
    double beat_in, beat_out;   /* a sign of life, and its answer */
    double request;             /* a poll or long poll */
    double answer;              /* to it, with one message */
    double more;                /* each further message in it */
    double empty;               /* an answer without any */
    double send_in, send_out;   /* a message of the client's, and its receipt */
};

/* part: an enum tally_part, of a transport.  0 or -ENOMEM. */
int octets_of(struct octets *out, unsigned part,
              const struct octets_terms *terms);

#endif
