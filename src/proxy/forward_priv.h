/* forward_priv.h - a request on its way to a backend (forward.c), and its
 * answer on the way back (answer.c). */
#ifndef PENSTOCK_PROXY_FORWARD_PRIV_H
#define PENSTOCK_PROXY_FORWARD_PRIV_H

#include "base/buffer.h"
#include "http/parser.h"
#include "net/timer.h"

struct backend;
struct backend_server;
struct client;
struct exchange;

struct forward {
    struct exchange *x;
    const struct backend *backend;
    const struct backend_server *server;
    struct client *client;
    struct buffer request;  /* what is to be sent, or to be sent again */
    struct str upgrade;     /* the protocol asked for; absent: none */
    struct timer timer;     /* see forward_set_timer() */
    size_t behind_seen;     /* when it was set */
    size_t sent_bytes;      /* of the request, on this connection */
    unsigned refusals;      /* servers that could not be connected to */
    bool expect;            /* the client waits for the backend's 100 */
    bool connected, reused; /* the connection */
    bool idempotent;
    bool replayable;        /* request is all that was sent */
    bool held;              /* the client is not read: the backend is behind */
    bool paused;            /* and the other way round */
};

/* Frees f, but for its connection; x is without a handler then. */
void forward_release(struct forward *f);
/* No answer has begun: ends all, and tells the client why there is none, in the
 * words of RFC 9209 2.3 and ours. */
void forward_refuse(struct forward *f, unsigned status, const char *error,
                    const char *why);
/* To be called when it may have changed who has to move. */
void forward_set_timer(struct forward *f);

/* Of client_ops, while the client's argument is a forward. */
void answer_on_head(struct client *c, const struct http_message *m);
void answer_on_body(struct client *c, const char *data, size_t len);
void answer_on_delivered(struct client *c);
void answer_on_end(struct client *c, bool reusable);

#endif
