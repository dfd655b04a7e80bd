/* upstream.h - a GET of a backend's stream, for the source types that read
 * one: connects, asks, goes where it is sent, judges the answer's head, hands
 * on the body, unpacked. */
#ifndef PENSTOCK_FEED_UPSTREAM_H
#define PENSTOCK_FEED_UPSTREAM_H

#include "base/strings.h"
#include "feed/target.h"

struct source;
struct unpack;
struct upstream;

struct upstream_ops {
    const char *accept;        /* the request's Accept */
    const char *const *types;  /* media types taken, NULL-ended; NULL: any */
    /* The answer is a stream; octets follow. */
    void (*begin)(struct upstream *u);
    /* 0, or -errno: it cannot go on; fault may say why. */
    int (*data)(struct upstream *u, const char *data, size_t len);
    /* The stream ended as streams end: half a record may be lost or whole. */
    void (*end)(struct upstream *u);
    /* The backend no longer has what it was asked for (410).  May be NULL. */
    void (*gone)(struct upstream *u);
    /* What the backend wished to be left alone for; 0: nothing. */
    uint64_t (*retry_ms)(const struct upstream *u);
};

/* The first member of a source type's state. */
struct upstream {
    struct source *source;
    const struct upstream_ops *ops;
    struct target target;
    struct client *client; /* NULL while there is none */
    struct str last_event_id; /* borrowed until the answer has begun */
    struct unpack *unpack; /* NULL: the body comes as it is */
    const char *type;      /* of ops->types, that of the answer */
    const char *fault;     /* static; what data() found wrong, or NULL */
    bool streaming;
    bool resumes;          /* it was told where */
};

/* For source_type.start and .stop.  last_event_id absent: not sent; else it
 * stays until begin(). */
int upstream_start(struct upstream *u, struct source *s,
                   const struct upstream_ops *ops, struct str last_event_id);
/* The same for those whose place is in the URL: path and query, and whether it
 * says one. */
int upstream_start_at(struct upstream *u, struct source *s,
                      const struct upstream_ops *ops, struct str path,
                      bool resumes);
void upstream_stop(struct upstream *u);
/* For source_type.fini, after the last stop. */
void upstream_fini(struct upstream *u);

#endif
