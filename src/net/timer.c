#include "net/timer.h"

#include <stddef.h>

#define LOOK_AHEAD 50 /* slots, a second's worth */

static uint64_t tick_of(uint64_t us)
{
    return us / (TIMER_TICK_MS * 1000);
}

void wheel_init(struct wheel *w, uint64_t now_us)
{
    *w = (struct wheel){.tick = tick_of(now_us)};
}

static void link_timer(struct timer **head, struct timer *t)
{
    t->next = *head;
    if (t->next != NULL)
        t->next->prev = &t->next;
    t->prev = head;
    *head = t;
}

static void unlink_timer(struct timer *t)
{
    *t->prev = t->next;
    if (t->next != NULL)
        t->next->prev = t->prev;
    t->prev = NULL;
}

void timer_set(struct wheel *w, struct timer *t, uint64_t now_us,
               uint64_t delay_ms)
{
    timer_clear(w, t);
    /* One tick more, since this one has partly gone by. */
    t->due_tick = tick_of(now_us + delay_ms * 1000) + 1;
    if (t->due_tick <= w->tick)
        t->due_tick = w->tick + 1;
    link_timer(&w->slots[t->due_tick % TIMER_SLOTS], t);
    w->count++;
}

void timer_clear(struct wheel *w, struct timer *t)
{
    if (t->prev == NULL)
        return;
    unlink_timer(t);
    w->count--;
}

int wheel_wait_ms(const struct wheel *w, uint64_t now_us)
{
    uint64_t next = w->tick + 1, due_us;

    if (w->count == 0)
        return -1;
    while (next < w->tick + LOOK_AHEAD && w->slots[next % TIMER_SLOTS] == NULL)
        next++;
    due_us = next * TIMER_TICK_MS * 1000;
    return due_us <= now_us ? 0 : (int)((due_us - now_us + 999) / 1000);
}

/* Moves a slot's timers to a list of its own first: what they do when they
 * fire may set or clear any other. */
static void turn_slot(struct wheel *w, struct timer **slot)
{
    struct timer *due = NULL;

    for (struct timer *t = *slot, *next; t != NULL; t = next) {
        next = t->next;
        if (t->due_tick > w->tick)
            continue;
        unlink_timer(t);
        link_timer(&due, t);
    }
    while (due != NULL) {
        struct timer *t = due;

        unlink_timer(t);
        w->count--;
        t->fire(t);
    }
}

void wheel_turn(struct wheel *w, uint64_t now_us)
{
    uint64_t now_tick = tick_of(now_us);

    /* After a long sleep each slot is visited once, not once a turn. */
    if (now_tick > w->tick + TIMER_SLOTS)
        w->tick = now_tick - TIMER_SLOTS;
    while (w->tick < now_tick) {
        w->tick++;
        turn_slot(w, &w->slots[w->tick % TIMER_SLOTS]);
    }
}
