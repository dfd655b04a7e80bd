#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

/* 0 while the clock runs by itself.  Relaxed: tests move it between steps. */
static _Atomic uint64_t by_hand;

static uint64_t read_us(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t clock_now_us(void)
{
    uint64_t us = atomic_load_explicit(&by_hand, memory_order_relaxed);

    return us != 0 ? us : read_us(CLOCK_MONOTONIC);
}

uint64_t clock_coarse_us(void)
{
    uint64_t us = atomic_load_explicit(&by_hand, memory_order_relaxed);

    return us != 0 ? us : read_us(CLOCK_MONOTONIC_COARSE);
}

uint64_t clock_wall_ms(void)
{
    uint64_t us = atomic_load_explicit(&by_hand, memory_order_relaxed);

    return (us != 0 ? us : read_us(CLOCK_REALTIME)) / 1000;
}

void clock_stop_at(uint64_t now_us)
{
    atomic_store_explicit(&by_hand, now_us, memory_order_relaxed);
}

void clock_advance(uint64_t us)
{
    atomic_fetch_add_explicit(&by_hand, us, memory_order_relaxed);
}
