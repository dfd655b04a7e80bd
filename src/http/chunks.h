/* chunks.h - the chunked coding, octet by octet: what no parser may let pass
 * between the chunks of a body, judged before llhttp sees it.
 * RFC 9112 7.1.  Pure; one body, one thread. */
#ifndef PENSTOCK_HTTP_CHUNKS_H
#define PENSTOCK_HTTP_CHUNKS_H

#include "http/head.h"

enum chunks_state {
    CHUNKS_SIZE,
    CHUNKS_EXT_NAME_START,
    CHUNKS_EXT_NAME,
    CHUNKS_EXT_VALUE_START,
    CHUNKS_EXT_VALUE,
    CHUNKS_EXT_QUOTED,
    CHUNKS_EXT_ESCAPE,
    CHUNKS_EXT_QUOTED_END,
    CHUNKS_SIZE_LF,
    CHUNKS_DATA,
    CHUNKS_DATA_CR,
    CHUNKS_DATA_LF,
    CHUNKS_TRAILER, /* from here on: the trailer section */
    CHUNKS_TRAILER_NAME,
    CHUNKS_TRAILER_VALUE,
    CHUNKS_TRAILER_LF,
    CHUNKS_LAST_LF,
    CHUNKS_END,
    CHUNKS_BAD,
};

struct chunks {
    enum chunks_state state;
    uint64_t size_bytes;     /* left of this chunk */
    unsigned digits;         /* of this chunk's size */
    size_t extension_bytes;  /* so far, of the whole body */
    size_t trailer_bytes;    /* so far */
    struct head_fault fault; /* why, in CHUNKS_BAD */
};

/* Before the first octet of a body. */
void chunks_init(struct chunks *c);

/* Judges data, and returns how many octets at its start are good and of one
 * kind: either sizes, data and their line ends (*kept), or extensions or the
 * trailer section with its blank line, which nobody needs to see.  The next
 * call goes on from there.  The body ended where the state is CHUNKS_END; the
 * next octet is refused where it is CHUNKS_BAD; in both nothing is taken. */
size_t chunks_judge(struct chunks *c, const char *data, size_t len, bool *kept);

#endif
