/* items.h - messages out of a JSON answer: all of it, what "select" points to,
 * or each item of an array there that is new by its key ("each"). */
#ifndef PENSTOCK_FEED_ITEMS_H
#define PENSTOCK_FEED_ITEMS_H

#include "base/seen.h"

struct source;

struct items {
    struct seen keys;    /* of items that were had */
    uint64_t last;       /* hash of the last value, where there is no "each" */
    bool any;
};

/* Emits what is new in body, by the source's settings.  0; or what is wrong, for
 * source_failed(), static.  content_type: of body. */
const char *items_emit(struct items *it, struct source *s, struct str body,
                       struct str content_type);
void items_fini(struct items *it);

#endif
