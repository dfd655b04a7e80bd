/* rate.h - so many in so much time, with a burst: a token bucket, kept as the
 * one moment at which it will be full again. */
#ifndef PENSTOCK_BASE_RATE_H
#define PENSTOCK_BASE_RATE_H

#include <stdint.h>

struct rate {
    uint64_t interval_us; /* in which one token comes; 0: no limit */
    uint64_t slack_us;    /* burst - 1 intervals */
};

/* How long until there is a token: 0 if there is one now.  full_us is the
 * bucket; 0 is a full one. */
static inline uint64_t rate_wait_us(const struct rate *r, uint64_t full_us,
                                    uint64_t now_us)
{
    uint64_t ready_us = now_us + r->slack_us;

    return r->interval_us == 0 || full_us <= ready_us ? 0 : full_us - ready_us;
}

/* Takes a token, which must be there; returns the bucket as it is then. */
static inline uint64_t rate_take(const struct rate *r, uint64_t full_us,
                                 uint64_t now_us)
{
    return (full_us > now_us ? full_us : now_us) + r->interval_us;
}

#endif
