/* table.h - what `penstock compare` has seen, as JSON and as a table for people
 * who have not read a manual. */
#ifndef PENSTOCK_BENCH_TABLE_H
#define PENSTOCK_BENCH_TABLE_H

#include <jansson.h>
#include <stdio.h>

#include "bench/comparison.h"

/* The caller's; NULL when out of memory. */
json_t *table_json(const struct comparison *c);
void table_print(const struct comparison *c, FILE *out);

#endif
