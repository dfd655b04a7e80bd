/* stream.h - XREAD of a Redis stream, from the entry that came last.  Each has
 * a connection of its own, as it waits there. */
#ifndef PENSTOCK_REDIS_STREAM_H
#define PENSTOCK_REDIS_STREAM_H

#include "entry.h"
#include "feed/source.h"

struct link;

/* In a source's state. */
struct stream {
    struct source *source;
    struct link *link;     /* NULL: not running */
    struct entry_id last;  /* read up to there */
    struct entry_id top;   /* the newest in there, as we came */
    bool placed;           /* last says something */
    bool reading;          /* what comes are entries */
    bool asked_top;        /* the next reply is the top's */
};

/* For source_type.start and .stop. */
int stream_start(struct stream *st, struct source *s);
void stream_stop(struct stream *st);

#endif
