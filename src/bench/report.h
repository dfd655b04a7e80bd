/* report.h - what a run of bench has shown, as JSON and as text for people; the
 * text is made from the JSON, so the two cannot disagree. */
#ifndef PENSTOCK_BENCH_REPORT_H
#define PENSTOCK_BENCH_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "bench/crowd.h"
#include "bench/options.h"
#include "bench/process.h"
#include "bench/publisher.h"

/* All that a report is made of. */
struct findings {
    const struct bench_options *options;
    const struct publisher_sum *published; /* NULL: nothing was */
    struct crowd_sum crowd;
    unsigned ready, refused;
    uint64_t expected, lost;
    uint64_t measured_us; /* between the marks */
    struct process_cost before, idle,
        after;                      /* no connection; all; at the end */
    uint64_t server_us, machine_us; /* of CPU, between the marks */
    bool interrupted;
};

/* {"quantile": milliseconds} of microseconds; NULL when out of memory. */
json_t *report_spread(const struct histogram *us);
/* The caller's; NULL when out of memory.  Its "faults" are texts that say what
 * is wrong, and "ok" is whether there are none. */
json_t *report_new(const struct findings *f);
void report_print(const json_t *report, FILE *out);

#endif
