/* summary.h - what a comparison comes to, in sentences: who was soonest, who
 * took least, what that means for a choice, and what was not looked at. */
#ifndef PENSTOCK_BENCH_SUMMARY_H
#define PENSTOCK_BENCH_SUMMARY_H

#include <stdio.h>

#include "bench/comparison.h"

/* Of one that has at least one column. */
void summary_print(const struct comparison *c, FILE *out);

#endif
