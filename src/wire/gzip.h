/* gzip.h - gzip (RFC 1952): bodies, and streams put together from parts that
 * many streams share.
 *
 * A stream is one member: a head, blocks that refer to nothing before them,
 * and at its end the sum of all that was in it.  A member for each message
 * would need no sum to be kept, and node's fetch reads it; but curl ends with
 * an error at the second member, and Chromium ignores all but the first. */
#ifndef PENSTOCK_WIRE_GZIP_H
#define PENSTOCK_WIRE_GZIP_H

#include "base/buffer.h"

/* Of what one reader has been sent, before compression. */
struct gzip {
    uint32_t crc;
    uint32_t size; /* modulo 2^32 */
};

/* The same of a part, and what it takes to put it behind something. */
struct gzip_part {
    uint32_t crc;
    uint32_t size;
    uint32_t shift; /* zlib's operator for that size */
};

/* Begins a stream: appends its head. */
void gzip_begin(struct gzip *g, struct buffer *out);
/* Appends text as it is, for what is not worth deflating. */
void gzip_store(struct gzip *g, struct buffer *out, struct str text);
/* Counts a part, whose blocks (deflate_append() of the same text) the caller
 * sends. */
void gzip_add(struct gzip *g, const struct gzip_part *part);
/* Appends the end. */
void gzip_end(const struct gzip *g, struct buffer *out);

struct gzip_part gzip_part_of(struct str text);

/* Appends a whole body. */
void gzip_append(struct buffer *out, struct str body, unsigned level);
/* The same, for answers that are likely to be the same for many clients in
 * turn: kept, and made again only when body differs from the last one.  Valid
 * until this thread's next call; absent when out of memory. */
struct str gzip_shared(struct str body, unsigned level);

#endif
