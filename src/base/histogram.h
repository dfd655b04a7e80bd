/* histogram.h - how values are spread, in a fixed space: buckets that are a
 * 32nd of their value wide, so a percentile is within 1.6 % of the truth.
 *
 * One thread adds; any may read meanwhile, and sees each count at some time. */
#ifndef PENSTOCK_BASE_HISTOGRAM_H
#define PENSTOCK_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stdint.h>

#define HISTOGRAM_FINE_BITS 5
#define HISTOGRAM_FINE      (1u << HISTOGRAM_FINE_BITS)
#define HISTOGRAM_TOP_BITS                                                     \
    40 /* values from 2^40 on count as the largest below */
#define HISTOGRAM_BUCKETS                                                      \
    ((HISTOGRAM_TOP_BITS - HISTOGRAM_FINE_BITS + 1) * HISTOGRAM_FINE)

/* All zero is an empty one.  Values are in whatever unit its user likes. */
struct histogram {
    _Atomic uint64_t count, sum, max;
    _Atomic uint64_t buckets[HISTOGRAM_BUCKETS];
};

static inline unsigned histogram_bucket(uint64_t value)
{
    unsigned shift;

    if (value < 2 * HISTOGRAM_FINE)
        return (unsigned)value;
    if (value >> HISTOGRAM_TOP_BITS)
        return HISTOGRAM_BUCKETS - 1;
    shift = 63 - HISTOGRAM_FINE_BITS - (unsigned)__builtin_clzll(value);
    return shift * HISTOGRAM_FINE + (unsigned)(value >> shift);
}

static inline void histogram_raise(_Atomic uint64_t *at, uint64_t n)
{
    /* Nobody else adds to it, so a locked add is not needed. */
    atomic_store_explicit(at,
                          atomic_load_explicit(at, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* Adds a value n times. */
static inline void histogram_add_n(struct histogram *h, uint64_t value,
                                   uint64_t n)
{
    histogram_raise(&h->count, n);
    histogram_raise(&h->sum, value * n);
    histogram_raise(&h->buckets[histogram_bucket(value)], n);
    if (value > atomic_load_explicit(&h->max, memory_order_relaxed))
        atomic_store_explicit(&h->max, value, memory_order_relaxed);
}

static inline void histogram_add(struct histogram *h, uint64_t value)
{
    histogram_add_n(h, value, 1);
}

/* The smallest value of a bucket; of HISTOGRAM_BUCKETS: what is too large. */
uint64_t histogram_lowest(unsigned bucket);
/* The buckets from this one on are empty. */
unsigned histogram_used(const struct histogram *h);
/* Adds all that from has; into is the caller's alone. */
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The value that p (0 to 100) of a hundred are at or below, as the middle of
 * its bucket and never above max; 0 when empty. */
uint64_t histogram_percentile(const struct histogram *h, double p);
/* How many are at or below value, to the precision of a bucket. */
uint64_t histogram_count_to(const struct histogram *h, uint64_t value);
/* 0 when empty. */
double histogram_mean(const struct histogram *h);

#endif
