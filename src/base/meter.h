/* meter.h - counters, one set per thread, summed when somebody reads them.
 * Adding is a load and a store on the thread's own cache line. */
#ifndef PENSTOCK_BASE_METER_H
#define PENSTOCK_BASE_METER_H

#include <stdatomic.h>
#include <stdint.h>

enum meter {
#define METER(name, help) METER_##name,
#include "base/meter.def"
#undef METER
    METER_N
};

extern const char *const meter_names[METER_N];
extern const char *const meter_helps[METER_N];

extern _Thread_local _Atomic uint64_t *meter_mine;

/* Gives this thread its set; it is never taken back, so sums stay whole.  A
 * thread that was given none counts into a shared one, and may lose some where
 * there are several of that kind. */
void meter_thread_init(void);
uint64_t meter_sum(enum meter m);

static inline void meter_add(enum meter m, uint64_t n)
{
    _Atomic uint64_t *count = &meter_mine[m];

    /* Nobody else adds to it, so a locked add is not needed. */
    atomic_store_explicit(
        count, atomic_load_explicit(count, memory_order_relaxed) + n,
        memory_order_relaxed);
}

#endif
