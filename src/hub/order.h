/* order.h - the one order in which messages of all channels were appended.
 * Each gets a stamp, counted up by one, so that one number says how far a
 * reader of several channels has come. */
#ifndef PENSTOCK_HUB_ORDER_H
#define PENSTOCK_HUB_ORDER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* Keys: (i) fixed; (a) atomic; (l) under lock, which is the innermost one:
 * taken under a channel's, for an append. */
struct order {
    pthread_mutex_t lock;
    uint64_t epoch;             /* (i) of ids that hold a stamp */
    _Atomic uint64_t last;      /* (a), written (l): every message up to it has
                                 * been appended, for all who look now */
    _Atomic uint64_t forgotten; /* (a) the newest stamp of any channel that
                                 * went with its history */
};

void order_init(struct order *o);
void order_fini(struct order *o);

/* All messages with stamps up to this one can be seen. */
static inline uint64_t order_last(struct order *o)
{
    return atomic_load_explicit(&o->last, memory_order_acquire /* appends */);
}
/* Messages up to this stamp may be gone without a trace. */
void order_forget(struct order *o, uint64_t stamp);

#endif
