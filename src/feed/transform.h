/* transform.h - what a source's message becomes as the config says: its event
 * type, its upstream id and its data, picked by pointers out of the JSON that
 * the backend sent. */
#ifndef PENSTOCK_FEED_TRANSFORM_H
#define PENSTOCK_FEED_TRANSFORM_H

#include "base/buffer.h"
#include "feed/settings.h"
#include "hub/message.h"

struct transform {
    struct message_parts parts;
    struct str id;            /* what the backend gave it; absent: none */
    bool missed;              /* not all that is to be picked was there */
    struct buffer type, text; /* what had to be decoded; parts may lie there */
};

/* Makes *t of a message as it came.  What is picked lies in parts->data, byte
 * for byte, or, decoded, in *t; what is not there stays as it came. */
void transform_init(struct transform *t, const struct transform_settings *how,
                    const struct message_parts *parts, struct str id);
void transform_fini(struct transform *t);

#endif
