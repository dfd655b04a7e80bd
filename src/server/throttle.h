/* throttle.h - how many requests each client makes on each route that has a
 * rate.  One table for all workers: a client's connections are spread over
 * them, and with a bucket on each the limit would be as many times what was
 * written, or not, by chance. */
#ifndef PENSTOCK_SERVER_THROTTLE_H
#define PENSTOCK_SERVER_THROTTLE_H

#include <stdint.h>

#include "base/rate.h"

struct address;
struct throttle;

/* NULL when out of memory. */
struct throttle *throttle_new(void);
void throttle_free(struct throttle *t);

/* Takes a token of who's for what (any number that stands for it).  0, or the
 * microseconds until there is one.  Any thread.
 * Memory is fixed, 1 MiB: where more clients are active than it holds, those
 * that asked for the least lately begin anew. */
uint64_t throttle_take(struct throttle *t, const struct rate *rate,
                       uint64_t what, const struct address *who,
                       uint64_t now_us);

#endif
