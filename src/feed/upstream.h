/* upstream.h - a GET of a backend's stream, for the source types that read
 * one: connects, asks, judges the answer's head, hands on the body. */
#ifndef PENSTOCK_FEED_UPSTREAM_H
#define PENSTOCK_FEED_UPSTREAM_H

#include "base/strings.h"
#include "http/client.h"

struct backend_server;
struct buffer;
struct source;
struct upstream;

struct upstream_ops {
    const char *accept;        /* the request's Accept */
    const char *const *types;  /* media types taken, NULL-ended */
    /* The answer is a stream; octets follow. */
    void (*begin)(struct upstream *u);
    /* 0, or -errno: it cannot go on. */
    int (*data)(struct upstream *u, const char *data, size_t len);
    /* The stream ended as streams end: half a record may be lost or whole. */
    void (*end)(struct upstream *u);
    /* What the backend wished to be left alone for; 0: nothing. */
    uint64_t (*retry_ms)(const struct upstream *u);
};

/* The first member of a source type's state. */
struct upstream {
    struct source *source;
    const struct upstream_ops *ops;
    struct client *client; /* NULL while there is none */
    bool streaming;
    bool resumes;          /* it was told where */
};

/* For source_type.start and .stop.  last_event_id absent: not sent. */
int upstream_start(struct upstream *u, struct source *s,
                   const struct upstream_ops *ops, struct str last_event_id);
void upstream_stop(struct upstream *u);

/* ---- for those that read otherwise, as well -------------------------------- */

/* Writes a GET's request line for target (path and query) and the Host of at;
 * other fields follow. */
void upstream_write_target(struct buffer *out, struct str target,
                           const struct backend_server *at);
/* The same for the URL of s. */
void upstream_write_request(struct buffer *out, const struct source *s,
                            const struct backend_server *at);
/* What source_failed() is told of a client's failure, with its own word for
 * it; streaming: the answer's head has come. */
const char *upstream_failure(enum client_failure failure, bool streaming,
                             const char *why);

#endif
