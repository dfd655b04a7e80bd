/* updates.h - how often the channels of a route have something new: those of
 * its channels that there are, put together. */
#ifndef PENSTOCK_MEASURE_UPDATES_H
#define PENSTOCK_MEASURE_UPDATES_H

#include "base/buffer.h"
#include "hub/frequency.h"

/* All zero: no channel. */
struct updates {
    unsigned channels;        /* that have had something */
    struct frequency all;
    double per_s[WINDOW_N];   /* of all of them together */
};

void updates_add(struct updates *u, const struct frequency *f,
                 uint64_t now_us);
/* Messages a second of one channel, in the mean. */
double updates_per_s(const struct updates *u, enum frequency_window w);
/* {"channels":…,…}: see penstock(1), GET /routes. */
void updates_write(struct buffer *out, const struct updates *u,
                   uint64_t now_us);

#endif
