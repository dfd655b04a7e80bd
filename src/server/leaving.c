#include "server/leaving.h"

#include <stddef.h>

#include "net/worker.h"

#define TURN_MS TIMER_TICK_MS
/* Some 250 a second of each worker, who would be no crowd if they came back at once:
 * it is not for them that anybody should have to wait. */
#define TURN_LEAST 10

/* By the clock and not by the turn: those come late on a busy worker, and every
 * other tick of the wheel at best. */
static unsigned due_now(const struct leaving *l)
{
    uint64_t elapsed_us = worker_now_us() - l->began_us;
    uint64_t due = elapsed_us < l->spread_us
                       ? l->whole * elapsed_us / l->spread_us
                       : l->whole;

    return due > l->told + TURN_LEAST ? (unsigned)due - l->told : TURN_LEAST;
}

static void on_turn(struct timer *t)
{
    struct leaving *l =
        (struct leaving *)((char *)t - offsetof(struct leaving, timer));

    for (unsigned n = due_now(l); n > 0 && !LIST_EMPTY(&l->list); n--) {
        l->count--;
        l->told++;
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
    l->whole = l->count;
    l->told = 0;
    l->began_us = worker_now_us();
    l->spread_us = spread_ms * 1000;
    if (!LIST_EMPTY(&l->list) && !timer_is_set(&l->timer))
        worker_timer_set(l->worker, &l->timer, 0);
}
