/* table.h - what `penstock compare` has seen, as JSON and as a table for people
 * who have not read a manual. */
#ifndef PENSTOCK_BENCH_TABLE_H
#define PENSTOCK_BENCH_TABLE_H

#include <jansson.h>
#include <stdio.h>

#include "bench/options.h"

/* The clients of one transport. */
struct column {
    enum subscriber_kind kind;
    const char *missing; /* why there is nothing in it; NULL: there is */
    unsigned status;     /* of the answer that said so; 0: there was none */
    unsigned clients;
    uint64_t seconds_us; /* that they listened */
    uint64_t delivered;  /* over all its clients */
    uint64_t merged;     /* passed over for a newer one */
    uint64_t lost, again, late;
    struct subscriber_counts
        counts; /* of the time; connects: since the start */
    /* From when the first client of all had a message: until it arrived; until
     * it, or a newer one, did. */
    struct histogram age_us, delay_us;
};

struct comparison {
    const struct compare_options *options;
    struct column columns[SUBSCRIBE_KINDS];
    uint64_t seconds_us;
    uint32_t messages; /* different ones in that time */
    double size_bytes; /* of their data, in the mean */
    bool interrupted;
};

/* As people call them, and from what keeps a connection to what asks now and
 * then. */
extern const char *const table_titles[SUBSCRIBE_KINDS];
extern const enum subscriber_kind table_order[SUBSCRIBE_KINDS];

/* Both ways, of one client. */
double table_bytes_a_minute(const struct column *c);
/* The caller's; NULL when out of memory. */
json_t *table_json(const struct comparison *c);
/* Whether there is something to compare, and nothing was lost or misplaced. */
bool table_ok(const struct comparison *c);
void table_print(const struct comparison *c, FILE *out);

#endif
