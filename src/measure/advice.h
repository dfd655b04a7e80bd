/* advice.h - which transport suits a workload, why, and what each would cost.
 * Decided by price, among those that bring updates within the acceptable age and
 * that the machine can carry; where prices are as good as the same, by age.  Pure; any thread. */
#ifndef PENSTOCK_MEASURE_ADVICE_H
#define PENSTOCK_MEASURE_ADVICE_H

#include "base/buffer.h"
#include "measure/model.h"

/* What is scarce: how much of it a machine has for each core.  The cost of a
 * transport is the sum of the shares that it takes of the three. */
struct advice_scales {
    double cpu_us;    /* per s: 1000000 */
    double bytes;     /* per s, both ways */
    double memory;
};
extern const struct advice_scales advice_scales_usual;

/* What the workload was learnt from.  All zero: it was stated. */
struct advice_sample {
    bool measured;
    double seconds;  /* for how long a channel was watched, in the mean */
    double updates;  /* that it had */
};

struct advice {
    struct workload workload;
    struct advice_sample sample;
    struct price prices[MODEL_TRANSPORTS];
    double costs[MODEL_TRANSPORTS]; /* of one reader, in millionths of a core with
                                     * its share of the machine */
    unsigned allowed;   /* bits, 1 << enum tally_part: to choose from */
    int verdict;        /* enum tally_part; -1: none fits, or not enough data */
    int runner_up;      /* -1: no other fits */
    double margin;      /* what the runner-up costs more, in parts of 1 */
    bool sure;          /* the rate is known well enough not to matter */
    bool enough;        /* data, to say anything */
};

/* 0 or -ENOMEM. */
int advice_make(struct advice *out, const struct workload *w,
                const struct advice_sample *sample, unsigned allowed,
                const struct model_costs *costs,
                const struct advice_scales *scales);
/* What suits of those (bits, 1 << enum tally_part); -1: none fits. */
int advice_choose(const struct advice *a, unsigned allowed);
/* Calls say with each reason, a sentence; of the verdict first. */
void advice_reasons(const struct advice *a,
                    void (*say)(void *arg, struct str reason), void *arg);
/* Appends the members of a JSON object, without its braces. */
void advice_write_json(const struct advice *a, struct buffer *out);

#endif
