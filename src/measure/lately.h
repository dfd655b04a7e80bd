/* lately.h - how old messages were lately: of histograms that only grow, what
 * has been added in about the last minute.
 *
 * Whoever asks keeps it going: at each asking what there is now is compared with
 * what there was then, and remembered if the last that is remembered is old
 * enough.  Any thread. */
#ifndef PENSTOCK_MEASURE_LATELY_H
#define PENSTOCK_MEASURE_LATELY_H

#include <stdbool.h>
#include <stdint.h>

struct histogram;
struct lately;

struct lately_ages {
    double seconds; /* that it is about: 40 to 60 where somebody asks each
                      * second; at first less; else since somebody asked */
    uint64_t count;
    uint64_t p50_us; /* within 6 %; 0 where count is */
    uint64_t p99_us;
};

/* Of histograms with numbers below n, which were empty at began_us (of
 * clock_now_us()).  NULL: no memory. */
struct lately *lately_new(unsigned n, uint64_t began_us);
/* NULL is allowed.  Nobody uses it any more. */
void lately_free(struct lately *l);
/* What has come lately to the histogram of that number, which is now such.
 * False: no memory to remember it. */
bool lately_take(struct lately *l, unsigned number, const struct histogram *now,
                 uint64_t now_us, struct lately_ages *out);

#endif
