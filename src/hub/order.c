#include "hub/order.h"

#include "hub/cursor.h"

void order_init(struct order *o)
{
    pthread_mutex_init(&o->lock, NULL);
    o->epoch = epoch_new();
    atomic_init(&o->last, 0);
    atomic_init(&o->forgotten, 0);
}

void order_fini(struct order *o)
{
    pthread_mutex_destroy(&o->lock);
}

void order_forget(struct order *o, uint64_t stamp)
{
    uint64_t known = atomic_load(&o->forgotten);

    while (known < stamp &&
           !atomic_compare_exchange_weak(&o->forgotten, &known, stamp))
        ;
}
