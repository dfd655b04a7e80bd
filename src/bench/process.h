/* process.h - what processes cost the machine: those of a server that is
 * measured, with all that descend from them.  Linux: reads /proc. */
#ifndef PENSTOCK_BENCH_PROCESS_H
#define PENSTOCK_BENCH_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PROCESS_MAX 256

struct process_set {
    pid_t pids[PROCESS_MAX];
    unsigned count;
};

struct process_cost {
    uint64_t cpu_us; /* of all threads, since they began */
    uint64_t
        pss_bytes; /* memory, that which is shared divided by who shares it;
                         * 0: may not be read */
};

/* These and their descendants as they are now.  False: one is not there. */
bool process_family(struct process_set *set, const pid_t *pids, unsigned count);
/* Added up. What has ended meanwhile counts nothing. */
struct process_cost process_cost(const struct process_set *set);
/* The CPU time of the whole machine that was not idle. */
uint64_t process_machine_busy_us(void);

#endif
