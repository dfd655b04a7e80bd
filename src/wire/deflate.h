/* deflate.h - octets deflated and inflated (RFC 1951, by zlib), each message on
 * its own: nothing refers to what came before it. */
#ifndef PENSTOCK_WIRE_DEFLATE_H
#define PENSTOCK_WIRE_DEFLATE_H

#include "base/buffer.h"

/* What a route says about compression. */
struct deflate_settings {
    bool on;
    unsigned level;   /* 1 fastest to 9 smallest */
    size_t min_bytes; /* smaller ones are sent as they are, where they can be */
};

#define DEFLATE_BITS_MIN 9 /* zlib would write 8 as 9, which 8 cannot read */
#define DEFLATE_BITS_MAX 15

/* Appends data, deflated, as blocks none of which is the last; it ends at an
 * octet, and with DEFLATE_TAIL.  window_bits is the window that whoever inflates
 * it needs.  out->failed when out of memory.  Any thread: each keeps the states
 * that it has used (up to 256 KiB a window size). */
void deflate_append(struct buffer *out, struct str data, unsigned window_bits,
                    unsigned level);

/* The empty stored block that a flush ends in, and that a message of
 * permessage-deflate leaves out (RFC 7692 7.2.1). */
#define DEFLATE_TAIL STR("\0\0\xff\xff")

/* Inflates one message that comes in pieces.  About 48 KiB. */
struct inflater;

/* NULL when out of memory. */
struct inflater *inflater_new(void);
/* Appends what data inflates to, as long as out->len stays within limit_bytes;
 * out holds this message only, and all of it so far.  0; -EMSGSIZE at the first
 * octet beyond, when out is full and no larger; -EPROTO for what is not
 * deflated; -ENOMEM.  After an error there is only the end. */
int inflater_feed(struct inflater *i, struct str data, struct buffer *out,
                  size_t limit_bytes);
/* The message is over: the rest of it, as above; -EPROTO where it stops inside a
 * block. */
int inflater_finish(struct inflater *i, struct buffer *out,
                    size_t limit_bytes);
/* Frees *ip and sets it to NULL.  It may be NULL. */
void inflater_free(struct inflater **ip);

#endif
