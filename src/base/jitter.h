/* jitter.h - what must not happen everywhere at the same time. */
#ifndef PENSTOCK_BASE_JITTER_H
#define PENSTOCK_BASE_JITTER_H

#include <stdint.h>

/* Any of low..high, both included, each as likely.  Any thread. */
uint64_t jitter_between(uint64_t low, uint64_t high);

#endif
