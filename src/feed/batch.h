/* batch.h - many messages as one JSON answer: what a long poll and a poll with
 * a cursor send. */
#ifndef PENSTOCK_FEED_BATCH_H
#define PENSTOCK_FEED_BATCH_H

#include "feed/transport.h"

/* What an answer carries. */
struct batch {
    struct buffer body;  /* the caller's to free; failed: out of memory */
    char id[ID_MAX];     /* to go on from */
    unsigned count;      /* messages */
    bool gap;            /* messages before these are missing */
    bool full;           /* the bounds, not the history's end, ended it */
};

/* Takes what there is at r's cursor, within the route's batch bounds (at least
 * one message), and advances it.  gap: messages before these are known to be
 * missing; the batch says so, also when the history moves on meanwhile.  What
 * it has is counted as x's answer. */
void batch_take(struct batch *b, const struct exchange *x, struct reader *r,
                const struct reader_settings *settings, bool gap);

/* The fields of an answer that goes on from id: ETag, Link, Penstock-Gap.
 * scratch holds the values until the head is sent.  packed: it is sent as gzip,
 * so that its ETag is a weak one: a strong one would have to differ from the
 * plain answer's (RFC 9110 8.8.3.3). */
struct batch_fields {
    char etag[ID_MAX + 4], link[ID_MAX + 32];
};
void batch_fields(struct answer_headers *a, struct batch_fields *scratch,
                  const char *id, bool gap, bool packed);

/* Answers with a batch whose body is whole, and fields that lack only those of
 * its content.  accepts: as feed_packs() said. */
void batch_respond(struct exchange *x, struct answer_headers *a,
                   const struct batch *b,
                   const struct reader_settings *settings, bool accepts);

#endif
