/* ask.h - one GET of a running penstock's admin listener, for the commands: it
 * blocks, and is not for the server's own threads. */
#ifndef PENSTOCK_SERVER_ASK_H
#define PENSTOCK_SERVER_ASK_H

#include "base/buffer.h"

struct trust;

/* Asks url ("http://HOST:PORT" or "https://HOST:PORT", to which path is added
 * unless it has one) with a bearer token (NULL: none).  trust: which certificates
 * are good.  0, and the body of a 200 in out, which is the
 * caller's to free; or -1, and why not in it, for people. */
int ask(const char *url, const char *path, const char *token,
        const struct trust *trust, struct buffer *out);

#endif
