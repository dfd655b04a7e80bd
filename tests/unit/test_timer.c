/* src/net/timer.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "net/timer.h"

#define START_US UINT64_C(7000000)
#define TICK_US  (TIMER_TICK_MS * 1000)
#define TURN_MS  (TIMER_SLOTS * TIMER_TICK_MS)

static struct wheel wheel;
static uint64_t now_us;
static unsigned fired;

static void count_fired(struct timer *t)
{
    fired++;
}

static int setup(void **state)
{
    now_us = START_US;
    fired = 0;
    wheel_init(&wheel, now_us);
    return 0;
}

/* Goes on by ms, turning the wheel at each tick. */
static void go_on(uint64_t ms)
{
    for (uint64_t end = now_us + ms * 1000; now_us < end;) {
        now_us += end - now_us < TICK_US ? end - now_us : TICK_US;
        wheel_turn(&wheel, now_us);
    }
}

static void it_fires_once(void **state)
{
    struct timer t = {.fire = count_fired};

    timer_set(&wheel, &t, now_us, 100);
    go_on(1000);
    assert_int_equal(fired, 1);
    assert_false(timer_is_set(&t));
    assert_int_equal(wheel.count, 0);
}

static void it_never_fires_early_and_at_most_two_ticks_late(void **state)
{
    for (uint64_t offset = 0; offset < TICK_US; offset += 1999)
        for (uint64_t ms = 0; ms < 100; ms += 7) {
            struct timer t = {.fire = count_fired};
            uint64_t set_us;

            fired = 0;
            now_us = START_US + offset;
            wheel_init(&wheel, now_us);
            set_us = now_us;
            timer_set(&wheel, &t, now_us, ms);
            while (fired == 0)
                wheel_turn(&wheel, now_us += 500);
            assert_true(now_us >= set_us + ms * 1000);
            assert_true(now_us <= set_us + ms * 1000 + 2 * TICK_US);
        }
}

static void setting_it_again_puts_it_off(void **state)
{
    struct timer t = {.fire = count_fired};

    timer_set(&wheel, &t, now_us, 100);
    go_on(80);
    timer_set(&wheel, &t, now_us, 100);
    assert_int_equal(wheel.count, 1);
    go_on(80);
    assert_int_equal(fired, 0);
    go_on(60);
    assert_int_equal(fired, 1);
}

static void a_cleared_one_does_not_fire(void **state)
{
    struct timer t = {.fire = count_fired};

    timer_set(&wheel, &t, now_us, 100);
    timer_clear(&wheel, &t);
    timer_clear(&wheel, &t);
    assert_false(timer_is_set(&t));
    assert_int_equal(wheel.count, 0);
    go_on(1000);
    assert_int_equal(fired, 0);
}

static void one_longer_than_a_turn_goes_round_again(void **state)
{
    struct timer t = {.fire = count_fired};

    timer_set(&wheel, &t, now_us, TURN_MS * 2 + 500);
    go_on(TURN_MS * 2 + 460);
    assert_int_equal(fired, 0);
    go_on(100);
    assert_int_equal(fired, 1);
}

static void after_a_long_sleep_all_that_is_due_fires(void **state)
{
    struct timer t[TIMER_SLOTS + 1];

    for (unsigned i = 0; i <= TIMER_SLOTS; i++) {
        t[i] = (struct timer){.fire = count_fired};
        timer_set(&wheel, &t[i], now_us, i * TIMER_TICK_MS * 3);
    }
    wheel_turn(&wheel, now_us + (uint64_t)TURN_MS * 1000 * 10);
    assert_int_equal(fired, TIMER_SLOTS + 1);
    assert_int_equal(wheel.count, 0);
}

static void after_a_long_sleep_what_is_not_due_stays(void **state)
{
    struct timer t = {.fire = count_fired};

    timer_set(&wheel, &t, now_us, (uint64_t)TURN_MS * 20);
    now_us += (uint64_t)TURN_MS * 1000 * 10;
    wheel_turn(&wheel, now_us);
    assert_int_equal(fired, 0);
    go_on((uint64_t)TURN_MS * 10 + 2 * TIMER_TICK_MS);
    assert_int_equal(fired, 1);
}

static struct timer *pair[2];

/* Whichever fires first takes the other one off. */
static void clear_other(struct timer *t)
{
    fired++;
    timer_clear(&wheel, pair[t == pair[0]]);
}

static void one_that_fires_may_clear_another_that_is_due(void **state)
{
    struct timer a = {.fire = clear_other}, b = {.fire = clear_other};

    pair[0] = &a;
    pair[1] = &b;
    timer_set(&wheel, &a, now_us, 100);
    timer_set(&wheel, &b, now_us, 100);
    go_on(1000);
    assert_int_equal(fired, 1);
    assert_int_equal(wheel.count, 0);
}

static void set_again(struct timer *t)
{
    if (++fired < 3)
        timer_set(&wheel, t, now_us, 0);
}

static void one_that_fires_may_set_itself_again(void **state)
{
    struct timer t = {.fire = set_again};

    timer_set(&wheel, &t, now_us, 0);
    go_on(2 * TIMER_TICK_MS);
    assert_true(fired < 3); /* not all at once */
    go_on(1000);
    assert_int_equal(fired, 3);
}

static void free_it(struct timer *t)
{
    fired++;
    free(t);
}

static void one_that_fires_may_free_itself(void **state)
{
    for (int i = 0; i < 3; i++) {
        struct timer *t = calloc(1, sizeof(*t));

        t->fire = free_it;
        timer_set(&wheel, t, now_us, 100);
    }
    go_on(1000);
    assert_int_equal(fired, 3);
}

#define CASE(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(it_fires_once),
        CASE(it_never_fires_early_and_at_most_two_ticks_late),
        CASE(setting_it_again_puts_it_off),
        CASE(a_cleared_one_does_not_fire),
        CASE(one_longer_than_a_turn_goes_round_again),
        CASE(after_a_long_sleep_all_that_is_due_fires),
        CASE(after_a_long_sleep_what_is_not_due_stays),
        CASE(one_that_fires_may_clear_another_that_is_due),
        CASE(one_that_fires_may_set_itself_again),
        CASE(one_that_fires_may_free_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
