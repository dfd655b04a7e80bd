/* delivery.h - one POST to a backend: over a connection from the pool, and the
 * whole of its answer.  Its worker's alone. */
#ifndef PENSTOCK_FEED_DELIVERY_H
#define PENSTOCK_FEED_DELIVERY_H

#include "base/buffer.h"
#include "http/client.h"

struct backend;
struct backend_server;
struct delivery;

struct delivery_ops {
    /* The head of the answer, which is forgotten afterwards. */
    void (*head)(struct delivery *d, const struct http_message *m);
    /* All of it is here, of whatever final status; body is borrowed, and d's.
     * May start the next one. */
    void (*answered)(struct delivery *d, unsigned status, struct str body);
    /* There is none; d->timed_out: for want of time.  why is borrowed. */
    void (*failed)(struct delivery *d, const char *why);
};

/* What is said, copied, and to whom, who outlives the answer. */
struct posting {
    const struct backend *backend;
    struct str target;      /* path and query, beginning with '/' */
    struct str fields;      /* each "Name: value\r\n" */
    struct str body;
    uint64_t timeout_ms;    /* for the whole answer */
    size_t limit_bytes;     /* of the answer's body */
};

/* All zero is one that does not run. */
struct delivery {
    const struct delivery_ops *ops;
    const struct backend *backend;
    const struct backend_server *server;
    struct client *client;  /* NULL while nothing is asked */
    struct buffer body;     /* of the answer */
    uint64_t timeout_ms;
    size_t limit_bytes;
    unsigned status;
    bool timed_out;
    const char *fault;      /* static: the answer is no use */
};

/* Sends it.  0 or -ENOMEM; the ops are never called from inside. */
int delivery_start(struct delivery *d, const struct delivery_ops *ops,
               const struct posting *what);
/* Breaks off.  Fine if it does not run. */
void delivery_stop(struct delivery *d);
void delivery_fini(struct delivery *d);

#endif
