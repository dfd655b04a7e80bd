/* head.h - what no parser may let pass: the raw bytes of a message head,
 * judged before llhttp sees them, in both directions.
 *
 * llhttp, even strict, accepts heads that another server would read in another
 * way (bare LF, folded lines, empty Transfer-Encoding, HTTP/0.9...).  A proxy
 * that forwards such a head can be made to smuggle a request.  So what is
 * not plain RFC 9112 is refused here; doc/refused.md lists it. */
#ifndef PENSTOCK_HTTP_HEAD_H
#define PENSTOCK_HTTP_HEAD_H

#include <sys/types.h>

#include "base/strings.h"

struct head_limits {
    size_t head_bytes;   /* start line to blank line: 431 beyond (16 KiB) */
    size_t fields;       /* number of field lines: 431 beyond (100) */
    size_t target_bytes; /* 414 beyond (8 KiB) */
};
extern const struct head_limits head_limits_default;

struct head_fault {
    int status;         /* to answer a client with; towards a backend: 502 */
    const char *reason; /* static, a few words, for the log and the problem */
};

enum head_side { HEAD_REQUEST, HEAD_RESPONSE };

/* Judges what there is of a head.  > 0: complete, its length with the blank
 * line and with one CRLF before a request line, which is skipped; 0: good so
 * far, more is needed; -1: refused, *fault is set, as soon as the word, the
 * field or the octet at fault is there.  May be called again from the start of
 * the head with more bytes.  NULL limits are the defaults.  Pure. */
ssize_t head_check(enum head_side side, const char *data, size_t len,
                   const struct head_limits *limits, struct head_fault *fault);

#endif
