#include "base/meter.h"

#include <stdlib.h>

const char *const meter_names[METER_N] = {
#define METER(name, help) #name,
#include "base/meter.def"
#undef METER
};
const char *const meter_helps[METER_N] = {
#define METER(name, help) help,
#include "base/meter.def"
#undef METER
};

/* Own lines, so that threads do not share one. */
struct meter_set {
    _Alignas(64) _Atomic uint64_t counts[METER_N];
    struct meter_set *next;
};

static struct meter_set shared_set;
static _Atomic(struct meter_set *) sets = &shared_set;
_Thread_local _Atomic uint64_t *meter_mine = shared_set.counts;

void meter_thread_init(void)
{
    struct meter_set *set = aligned_alloc(64, sizeof(*set));

    if (set == NULL)
        return;
    for (int i = 0; i < METER_N; i++)
        atomic_init(&set->counts[i], 0);
    set->next = atomic_load(&sets);
    while (!atomic_compare_exchange_weak(&sets, &set->next, set))
        ;
    meter_mine = set->counts;
}

uint64_t meter_sum(enum meter m)
{
    uint64_t sum = 0;

    for (struct meter_set *s = atomic_load(&sets); s != NULL; s = s->next)
        sum += atomic_load_explicit(&s->counts[m], memory_order_relaxed);
    return sum;
}
