/* encoding.h - a message's bytes on the wire, made once per format and shared
 * by all its readers.  They belong to the message and live as long. */
#ifndef PENSTOCK_HUB_ENCODING_H
#define PENSTOCK_HUB_ENCODING_H

#include "hub/message.h"
#include "wire/deflate.h"

/* The bytes of m in this format, or NULL when out of memory.  m is in a history
 * (it has its id).  Any thread: whoever asks first makes them. */
const struct wire *message_wire(struct message *m, enum wire_format format);

/* The same, compressed as a route says.  Such a one is made once, whoever asks
 * at the same time: its maker's level counts.  A frame whose data is
 * smaller than how->min_bytes, or does not shrink, is the plain one. */
const struct wire *message_wire_packed(struct message *m,
                                       enum wire_format format,
                                       const struct deflate_settings *how);

/* The compressed form of a WebSocket format, for a client whose window has
 * that size. */
enum wire_format wire_format_deflated(enum wire_format plain,
                                      unsigned window_bits);
/* That of an SSE format. */
enum wire_format wire_format_gzip(enum wire_format plain);
bool wire_format_is_gzip(enum wire_format format);
/* Whether it is any compressed one. */
static inline bool wire_format_is_packed(enum wire_format format)
{
    return format >= WIRE_GZIP;
}


/* What a wire is as octets; framed: with its chunk frame. */
static inline struct str wire_str(const struct wire *w, bool framed)
{
    if (framed)
        return (struct str){w->bytes, w->len};
    return (struct str){w->bytes + w->head, w->len - w->head - w->tail};
}

#endif
