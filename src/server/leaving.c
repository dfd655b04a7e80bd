#include "server/leaving.h"

#include <stddef.h>

#include "net/worker.h"

#define TURN_MS TIMER_TICK_MS
/* 500 a second of each worker, who would be no crowd if they came back at once:
 * it is not for them that anybody should have to wait. */
#define TURN_LEAST 10

static void on_turn(struct timer *t)
{
    struct leaving *l =
        (struct leaving *)((char *)t - offsetof(struct leaving, timer));

    for (unsigned i = 0; i < l->each_turn && !LIST_EMPTY(&l->list); i++) {
        l->count--;
        exchange_let_go(LIST_FIRST(&l->list));
    }
    if (LIST_EMPTY(&l->list))
        l->count = 0; /* some went by themselves */
    else
        worker_timer_set(l->worker, t, TURN_MS);
}

void leaving_init(struct leaving *l, struct worker *w)
{
    *l = (struct leaving){.worker = w, .timer.fire = on_turn};
    LIST_INIT(&l->list);
}

void leaving_add(struct leaving *l, struct exchange *x)
{
    LIST_REMOVE(x, link);
    LIST_INSERT_HEAD(&l->list, x, link);
    l->count++;
}

void leaving_begin(struct leaving *l, uint64_t spread_ms)
{
    uint64_t turns = spread_ms / TURN_MS;

    l->each_turn = turns == 0 ? l->count
                              : (unsigned)((l->count + turns - 1) / turns);
    if (l->each_turn < TURN_LEAST)
        l->each_turn = TURN_LEAST;
    if (!LIST_EMPTY(&l->list) && !timer_is_set(&l->timer))
        worker_timer_set(l->worker, &l->timer, 0);
}
