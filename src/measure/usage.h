/* usage.h - what one transport of a route has done so far, for people and
 * programs: a tally's sums, and as JSON.  Pure; any thread. */
#ifndef PENSTOCK_MEASURE_USAGE_H
#define PENSTOCK_MEASURE_USAGE_H

#include "base/buffer.h"
#include "base/tally.h"

struct lately_ages;

/* {"readers":…,…}: see penstock(1), GET /routes.  now_us is clock_now_us();
 * lately NULL: nobody knows. */
void usage_write(struct buffer *out, const struct tally *t,
                 const struct lately_ages *lately, uint64_t now_us);
/* Connections whose last request it was, now. */
uint64_t usage_readers(const struct tally *t);
/* For how long there have been readers, added up, in seconds. */
double usage_reader_s(const struct tally *t, uint64_t now_us);

#endif
