/* unpack.h - a body that came with a Content-Encoding, unpacked as it comes
 * (RFC 9110 8.4.1): what has been flushed by whoever packed it is had at once,
 * wherever it is cut.  Pure.
 *
 * Nothing is kept but zlib's window.  What it is handed to bounds what that
 * keeps; and a body made to cost time (a thousand octets for one) is refused,
 * see UNPACK_RATIO. */
#ifndef PENSTOCK_WIRE_UNPACK_H
#define PENSTOCK_WIRE_UNPACK_H

#include "base/strings.h"

/* The most octets that one may become, on the whole: a stream that says the
 * same again and again gets to some hundreds, and what is made to do harm comes
 * near to deflate's 1032. */
#define UNPACK_RATIO 512
/* What is not counted, for those that are short. */
#define UNPACK_FREE_BYTES (16u << 20)

/* What a request may say that it accepts. */
#define UNPACK_ACCEPT "gzip, deflate"

struct unpack;

/* Begins a body whose Content-Encoding is that (absent: none).  0, and *out is
 * NULL where it is not packed; -ENOTSUP: with what is not known here, or more
 * than once; -ENOMEM. */
int unpack_new(struct unpack **out, struct str encoding);
/* Frees *up and sets it to NULL; it may be NULL. */
void unpack_free(struct unpack **up);

/* Gets what was unpacked, a piece at a time; a negative value stops. */
typedef int unpack_fn(void *arg, const char *data, size_t len);

/* Unpacks a piece.  0; what put returned; -EPROTO: it is not what it is said to
 * be; -EMSGSIZE: it becomes too much; -ENOMEM.  After an error there is only
 * the end. */
int unpack_feed(struct unpack *u, struct str data, unpack_fn *put, void *arg);
/* Whether the body may end here: nothing of it is missing. */
bool unpack_complete(const struct unpack *u);

#endif
