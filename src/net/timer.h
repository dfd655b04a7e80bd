/* timer.h - deadlines on a shared wheel: setting one is a list insertion, and
 * its worker turns it after each round of events.  Resolution TIMER_TICK_MS; a timer
 * never fires early.  A worker's own. */
#ifndef PENSTOCK_NET_TIMER_H
#define PENSTOCK_NET_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#define TIMER_TICK_MS 20
#define TIMER_SLOTS   2048 /* 41 s a turn; longer ones go round again */

struct timer;
typedef void timer_fn(struct timer *timer);

/* Embedded; all zero is a timer that is not set. */
struct timer {
    struct timer *next, **prev; /* prev == NULL: not set */
    uint64_t due_tick;
    timer_fn *fire;             /* may set it again, or free what holds it */
};

struct wheel {
    struct timer *slots[TIMER_SLOTS];
    uint64_t tick;              /* every slot up to it was turned */
    unsigned count;
};

void wheel_init(struct wheel *w, uint64_t now_us);
/* Fires what is due. */
void wheel_turn(struct wheel *w, uint64_t now_us);

/* How long nothing can be due, in milliseconds: up to the next timer, or about a
 * second where none is that near; -1 where none is set. */
int wheel_wait_ms(const struct wheel *w, uint64_t now_us);

/* (Re)sets t to fire delay_ms from now. */
void timer_set(struct wheel *w, struct timer *t, uint64_t now_us,
               uint64_t delay_ms);
void timer_clear(struct wheel *w, struct timer *t);
static inline bool timer_is_set(const struct timer *t)
{
    return t->prev != 0;
}

#endif
