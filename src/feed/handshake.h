/* handshake.h - the server's side of a WebSocket's opening handshake (RFC 6455
 * 4.2): what is asked for, whether it may be had, and the 101. */
#ifndef PENSTOCK_FEED_HANDSHAKE_H
#define PENSTOCK_FEED_HANDSHAKE_H

#include "feed/settings.h"
#include "wire/extension.h"

struct exchange;

struct handshake {
    struct deflate_terms terms; /* of permessage-deflate, if it is agreed on */
    bool enveloped;             /* penstock.v1 is offered, so it is spoken */
};

/* Reads the request of x.  False: it is refused, and that has been answered. */
bool handshake_read(struct handshake *h, struct exchange *x,
                    const struct reader_settings *settings);
/* Answers it.  gap: messages before the first one are missing. */
void handshake_accept(const struct handshake *h, struct exchange *x, bool gap);

#endif
