/* ledger.h - which of the numbers 0, 1, 2... one client has had: what is
 * missing, what came late, what came twice.  All zero is an empty one; it takes
 * memory only for what is missing. */
#ifndef PENSTOCK_BENCH_LEDGER_H
#define PENSTOCK_BENCH_LEDGER_H

#include <stdint.h>

struct ledger_range {
    uint32_t from, to; /* to is not in it */
};

struct ledger {
    uint32_t next;                /* one more than the highest so far */
    uint32_t had;                 /* different ones */
    struct ledger_range *missing; /* in order */
    unsigned count, cap;
};

enum ledger_entry {
    LEDGER_NEXT,  /* in order */
    LEDGER_AHEAD, /* some before it are missing */
    LEDGER_LATE,  /* was missing: out of order */
    LEDGER_AGAIN, /* has been had before */
};

/* Notes one.  Where there is no memory to remember what is missing, those count
 * as had before once they come. */
enum ledger_entry ledger_note(struct ledger *l, uint32_t number);
void ledger_fini(struct ledger *l);

#endif
