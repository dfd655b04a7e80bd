/* src/base/clock.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"

static int run_again(void **state)
{
    clock_stop_at(0);
    return 0;
}

static void it_never_goes_back(void **state)
{
    uint64_t before = clock_now_us();

    for (int i = 0; i < 1000; i++) {
        uint64_t now = clock_now_us();

        assert_true(now >= before);
        before = now;
    }
}

static void the_coarse_one_is_little_behind(void **state)
{
    for (int i = 0; i < 1000; i++) {
        uint64_t before = clock_now_us(), coarse = clock_coarse_us();

        assert_true(coarse + CLOCK_COARSE_US >= before);
        assert_true(coarse <= clock_now_us());
    }
}

static void wall_time_is_after_2020(void **state)
{
    assert_true(clock_wall_ms() > UINT64_C(1577836800000));
}

static void a_stopped_clock_stands(void **state)
{
    clock_stop_at(5000);
    assert_int_equal(clock_now_us(), 5000);
    assert_int_equal(clock_now_us(), 5000);
}

static void a_stopped_clock_is_moved_by_hand(void **state)
{
    clock_stop_at(5000);
    clock_advance(1500);
    assert_int_equal(clock_now_us(), 6500);
}

static void wall_time_follows_the_stopped_clock(void **state)
{
    clock_stop_at(5000000);
    assert_int_equal(clock_wall_ms(), 5000);
    clock_advance(2000);
    assert_int_equal(clock_wall_ms(), 5002);
}

static void stopping_it_at_zero_lets_it_run(void **state)
{
    clock_stop_at(5000);
    clock_stop_at(0);
    assert_true(clock_now_us() > 0);
    assert_true(clock_wall_ms() > UINT64_C(1577836800000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_never_goes_back),
        cmocka_unit_test(the_coarse_one_is_little_behind),
        cmocka_unit_test(wall_time_is_after_2020),
        cmocka_unit_test_teardown(a_stopped_clock_stands, run_again),
        cmocka_unit_test_teardown(a_stopped_clock_is_moved_by_hand, run_again),
        cmocka_unit_test_teardown(wall_time_follows_the_stopped_clock,
                                  run_again),
        cmocka_unit_test_teardown(stopping_it_at_zero_lets_it_run, run_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
