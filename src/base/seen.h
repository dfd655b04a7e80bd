/* seen.h - a bounded memory of what has been seen: the last SEEN_MIN hashes at
 * least, twice as many at most.  What is seen again counts as new to it. */
#ifndef PENSTOCK_BASE_SEEN_H
#define PENSTOCK_BASE_SEEN_H

#include "base/strings.h"

#define SEEN_MIN 8192

struct seen {
    uint64_t *now, *before; /* tables of cap places each; 0 is a free one */
    unsigned count, cap;    /* of now */
    unsigned before_cap;
};

/* Notes hash.  1: it is new; 0: it was seen; -ENOMEM: nobody knows. */
int seen_add(struct seen *s, uint64_t hash);
void seen_fini(struct seen *s);

/* A hash of s that goes on from h; HASH_START at first (FNV-1a). */
#define HASH_START UINT64_C(14695981039346656037)
uint64_t hash_add(uint64_t h, struct str s);

#endif
