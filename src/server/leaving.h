/* leaving.h - readers of one worker that have to go, because the server stops
 * or their route is no more: let go a few at a time, since all of them at once
 * would come back at once. */
#ifndef PENSTOCK_SERVER_LEAVING_H
#define PENSTOCK_SERVER_LEAVING_H

#include "http/exchange.h"
#include "net/timer.h"

struct leaving {
    struct worker *worker;
    struct exchange_list list; /* not yet told */
    unsigned count;            /* of them, at most */
    unsigned whole, told;      /* since leaving_begin() */
    uint64_t began_us, spread_us;
    struct timer timer;
};

/* All on its worker. */
void leaving_init(struct leaving *l, struct worker *w);
/* x stays (exchange_stay()), and is to go; leaving_begin() follows. */
void leaving_add(struct leaving *l, struct exchange *x);
/* Lets them go evenly within spread_ms, or faster where they are few. */
void leaving_begin(struct leaving *l, uint64_t spread_ms);
static inline bool leaving_is_done(const struct leaving *l)
{
    return LIST_EMPTY(&l->list);
}

#endif
