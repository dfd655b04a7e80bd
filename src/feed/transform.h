/* transform.h - event type, id and data of a message, picked out of its JSON by
 * a source's "transform".  What is picked is a slice, as it stands there. */
#ifndef PENSTOCK_FEED_TRANSFORM_H
#define PENSTOCK_FEED_TRANSFORM_H

#include "base/buffer.h"
#include "hub/message.h"

/* JSON Pointers (RFC 6901); NULL: left as it is. */
struct transform_settings {
    const char *event, *id, *data;
};

/* What parts and id point into where they were strings with escapes. */
struct transformed {
    struct buffer event, id;
};

/* Changes parts and the upstream's id.  False: something that was to be picked
 * is not there, and has been left as it was.  out is zeroed, and the caller's to
 * fini when the message is made. */
bool transform_apply(const struct transform_settings *t,
                     struct message_parts *parts, struct str *id,
                     struct transformed *out);
void transformed_fini(struct transformed *t);

static inline bool transform_is_set(const struct transform_settings *t)
{
    return t->event != NULL || t->id != NULL || t->data != NULL;
}

#endif
