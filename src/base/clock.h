/* clock.h - the one clock.  Deadlines and ages are monotonic; wall time is
 * for people and for HTTP dates only.  Any thread. */
#ifndef PENSTOCK_BASE_CLOCK_H
#define PENSTOCK_BASE_CLOCK_H

#include <stdint.h>

/* Monotonic time in microseconds, from an arbitrary start. */
uint64_t clock_now_us(void);
/* The same as of the kernel's last tick, at a fraction of the price: never ahead
 * of it, and behind by CLOCK_COARSE_US at the most. */
#define CLOCK_COARSE_US 10000
uint64_t clock_coarse_us(void);
/* Wall time in milliseconds since 1970. */
uint64_t clock_wall_ms(void);

/* Stops the clock at now_us, and moves it from there: for unit tests.  Wall
 * time then follows from the same figure. */
void clock_stop_at(uint64_t now_us);
void clock_advance(uint64_t us);

#endif
