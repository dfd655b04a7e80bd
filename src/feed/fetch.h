/* fetch.h - one GET of a source's backend whose answer is finite: asks over a
 * connection from the backend's pool, goes where it is sent, takes the whole
 * body, unpacked, and gives the connection back.  For the source types that ask
 * again and again. */
#ifndef PENSTOCK_FEED_FETCH_H
#define PENSTOCK_FEED_FETCH_H

#include "base/buffer.h"
#include "feed/target.h"

struct fetch;
struct source;
struct unpack;

struct fetch_ops {
    /* The head of the answer, which is forgotten afterwards. */
    void (*head)(struct fetch *f, const struct http_message *m);
    /* All of it is here, of whatever final status; body is borrowed.  May
     * start the next one. */
    void (*answered)(struct fetch *f, unsigned status, struct str body);
    /* There is none.  why is borrowed. */
    void (*failed)(struct fetch *f, const char *why);
};

/* The first member of a source type's state. */
struct fetch {
    struct source *source;
    const struct fetch_ops *ops;
    struct client *client;  /* NULL while nothing is asked */
    struct target target;
    struct buffer fields;   /* of the request, for the next try */
    struct unpack *unpack;  /* NULL: the body comes as it is */
    struct buffer body;
    struct buffer location; /* where it is sent on; empty: nowhere */
    unsigned status;
    uint64_t wait_ms;       /* what the backend was asked to wait */
    bool reused;            /* the connection came from the pool */
    bool redirected;        /* this answer is only the way to another */
    const char *fault;      /* static: the answer is no use */
};

/* Asks for target (path and query, beginning with '/').  fields: more of them,
 * each "Name: value\r\n".  wait_ms is added to the backend's
 * response_timeout.  0 or -ENOMEM; the ops are never called from inside. */
int fetch_start(struct fetch *f, struct source *s, const struct fetch_ops *ops,
                struct str target, struct str fields, uint64_t wait_ms);
/* Breaks off what is asked.  Fine if nothing is. */
void fetch_stop(struct fetch *f);
void fetch_fini(struct fetch *f);

#endif
