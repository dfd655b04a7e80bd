/* pubsub.h - SUBSCRIBE and PSUBSCRIBE.  Each worker has one connection to a
 * Redis for all that its channels subscribe to. */
#ifndef PENSTOCK_REDIS_PUBSUB_H
#define PENSTOCK_REDIS_PUBSUB_H

#include <sys/queue.h>

#include "feed/source.h"

struct subscription;

/* A source's part in a subscription; in its state. */
struct pubsub {
    struct source *source;
    struct subscription *to; /* NULL: none */
    LIST_ENTRY(pubsub) link, unflushed_link;
    bool unflushed;          /* it has been given messages to append */
};

/* For source_type.start and .stop. */
int pubsub_join(struct pubsub *p, struct source *s);
void pubsub_leave(struct pubsub *p);

#endif
