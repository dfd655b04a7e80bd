/* comparison.h - what has been seen of one route over all four transports at
 * once, a column for each.  Filled by compare.c, shown by table.c and
 * summary.c. */
#ifndef PENSTOCK_BENCH_COMPARISON_H
#define PENSTOCK_BENCH_COMPARISON_H

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
extern const char *const comparison_titles[SUBSCRIBE_KINDS];
extern const enum subscriber_kind comparison_order[SUBSCRIBE_KINDS];

/* Octets both ways, of one client, in a minute. */
double column_bytes_a_minute(const struct column *c);
/* How many columns have something in them. */
unsigned comparison_served(const struct comparison *c);
/* Whether there is something to compare, and nothing was lost or misplaced. */
bool comparison_ok(const struct comparison *c);

#endif
