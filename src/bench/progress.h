/* progress.h - what a long run has come to, on standard error: on a terminal a
 * line that changes, else a new one now and then.  One thread. */
#ifndef PENSTOCK_BENCH_PROGRESS_H
#define PENSTOCK_BENCH_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *name; /* of the command */
    uint64_t next_us; /* when to speak again */
    bool terminal, open;
};

/* The name is borrowed.  From here on SIGINT and SIGTERM end the run, not the
 * process. */
void progress_init(struct progress *p, const char *name);
/* Says it if it is time to. */
void progress_say(struct progress *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The line is done with. */
void progress_fini(struct progress *p);

/* Whether somebody wants it to end. */
bool progress_interrupted(void);
/* Sleeps so long, or until that. */
void progress_pause(uint64_t ms);

#endif
