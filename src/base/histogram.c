#include "base/histogram.h"

static uint64_t get(const _Atomic uint64_t *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

uint64_t histogram_lowest(unsigned bucket)
{
    unsigned shift;

    if (bucket < 2 * HISTOGRAM_FINE)
        return bucket;
    shift = bucket / HISTOGRAM_FINE - 1;
    return (uint64_t)(bucket - shift * HISTOGRAM_FINE) << shift;
}

/* The middle of the values that share a bucket. */
static uint64_t middle(unsigned bucket)
{
    return (histogram_lowest(bucket) + histogram_lowest(bucket + 1) - 1) / 2;
}

/* Most are far from full: reading them is most of what a report costs.  Whoever
 * adds raises max last, so the newest value may be missed, until the next time. */
unsigned histogram_used(const struct histogram *h)
{
    return get(&h->count) == 0 ? 0 : histogram_bucket(get(&h->max)) + 1;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    unsigned used = histogram_used(from);

    histogram_raise(&into->count, get(&from->count));
    histogram_raise(&into->sum, get(&from->sum));
    if (get(&from->max) > get(&into->max))
        atomic_store_explicit(&into->max, get(&from->max),
                              memory_order_relaxed);
    for (unsigned i = 0; i < used; i++)
        histogram_raise(&into->buckets[i], get(&from->buckets[i]));
}

uint64_t histogram_percentile(const struct histogram *h, double p)
{
    uint64_t total = 0, seen = 0, max = get(&h->max), value;
    unsigned used = histogram_used(h);
    double wanted;

    /* Not count, which may be ahead of them. */
    for (unsigned i = 0; i < used; i++)
        total += get(&h->buckets[i]);
    wanted = p / 100 * (double)total;
    if (total == 0)
        return 0;
    for (unsigned i = 0; i < used; i++) {
        seen += get(&h->buckets[i]);
        if (seen > 0 && (double)seen >= wanted) {
            value = middle(i);
            return value < max ? value : max;
        }
    }
    return max;
}

uint64_t histogram_count_to(const struct histogram *h, uint64_t value)
{
    unsigned last = histogram_bucket(value);
    uint64_t n = 0;

    for (unsigned i = 0; i <= last; i++)
        n += get(&h->buckets[i]);
    return n;
}

double histogram_mean(const struct histogram *h)
{
    uint64_t count = get(&h->count);

    return count == 0 ? 0 : (double)get(&h->sum) / (double)count;
}
