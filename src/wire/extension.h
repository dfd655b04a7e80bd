/* extension.h - what a WebSocket handshake agrees on compression: offers and
 * answers of permessage-deflate (RFC 7692 5, 7.1), at both ends.  Pure. */
#ifndef PENSTOCK_WIRE_EXTENSION_H
#define PENSTOCK_WIRE_EXTENSION_H

#include "base/strings.h"

/* All zero: nothing is agreed on.  Neither end keeps its window from message
 * to message: what we send is deflated once for everybody, and what comes is
 * inflated without memory of what came before. */
struct deflate_terms {
    bool agreed;
    bool bits_asked;     /* the offer named window_bits */
    uint8_t window_bits; /* of what the server sends: 9 to 15 */
};

/* Server: looks for an offer in a Sec-WebSocket-Extensions field; called for
 * each such field in turn, as terms keeps the first offer that was good.  An
 * offer with a parameter that is unknown, twice, or of a wrong value, or that
 * asks for a window of 8 bits, which zlib cannot write, is passed over.  0, or
 * -EINVAL where the field is not by the grammar: then the handshake is to be
 * refused (RFC 6455 9.1). */
int extension_choose(struct deflate_terms *terms, struct str offers);
/* The answer to what was agreed on; returns its length. */
#define EXTENSION_ANSWER_MAX 112
size_t extension_answer(const struct deflate_terms *terms,
                        char out[EXTENSION_ANSWER_MAX]);

/* Client: what we offer, and whether a server's answer may stand (-EPROTO: it
 * may not, and the connection is to be failed).  An absent answer agrees on
 * nothing. */
#define EXTENSION_OFFER                                                        \
    "permessage-deflate; server_no_context_takeover; "                         \
    "client_no_context_takeover"
int extension_accept(struct deflate_terms *terms, struct str answer);

#endif
