/* encoding.h - a message's bytes on the wire, made once per format and shared
 * by all its readers.  They belong to the message and live as long. */
#ifndef PENSTOCK_HUB_ENCODING_H
#define PENSTOCK_HUB_ENCODING_H

#include "hub/message.h"

/* bytes[head .. len - tail) is the encoding; what is around it is its HTTP/1.1
 * chunk frame, there only in WIRE_SSE, so that a reader over HTTP/1.1 sends
 * all of it and any other the inner part. */
struct wire {
    size_t len;
    unsigned head, tail;
    char bytes[];
};

/* The bytes of m in this format, or NULL when out of memory.  m is in a history
 * (it has its id).  Any thread: whoever asks first makes them. */
const struct wire *message_wire(struct message *m, enum wire_format format);

/* What a wire is as octets; framed: with its chunk frame. */
static inline struct str wire_str(const struct wire *w, bool framed)
{
    if (framed)
        return (struct str){w->bytes, w->len};
    return (struct str){w->bytes + w->head, w->len - w->head - w->tail};
}

#endif
