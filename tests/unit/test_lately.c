/* src/measure/lately.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/histogram.h"
#include "measure/lately.h"

#define BEGAN_US UINT64_C(5000000)
#define NUMBERS  3

static struct histogram h;
static struct lately *l;

static int start(void **state)
{
    h = (struct histogram){.count = 0};
    l = lately_new(NUMBERS, BEGAN_US);
    return l == NULL;
}

static int end(void **state)
{
    lately_free(l);
    return 0;
}

/* What it says so many seconds after the beginning. */
static struct lately_ages at(double s)
{
    struct lately_ages ages;

    assert_true(lately_take(l, 1, &h, BEGAN_US + (uint64_t)(s * 1e6), &ages));
    return ages;
}

static void near(uint64_t is, double wanted)
{
    assert_in_range(is, (uint64_t)(wanted * 0.94), (uint64_t)(wanted * 1.06));
}

static void at_first_all_is_lately(void **state)
{
    struct lately_ages a = at(3);

    assert_int_equal(a.count, 0);
    histogram_add_n(&h, 1000, 98);
    histogram_add_n(&h, 70000, 2);
    a = at(9);
    assert_true(a.seconds == 9);
    assert_int_equal(a.count, 100);
    near(a.p50_us, 1000);
    near(a.p99_us, 70000);
}

static void what_was_slow_long_ago_is_forgotten(void **state)
{
    struct lately_ages a;

    for (int s = 1; s <= 300; s++) {
        histogram_add_n(&h, s < 100 ? 2000000 : 300, 10);
        a = at(s);
        if (s > 60)
            assert_true(a.seconds >= 40 && a.seconds <= 60);
        assert_int_equal(a.count, (uint64_t)(a.seconds * 10));
        if (s == 99)
            near(a.p50_us, 2e6);
    }
    near(a.p50_us, 300);
    near(a.p99_us, 300);
    assert_true(histogram_percentile(&h, 99) > 1900000);
}

static void nobody_asked_for_long(void **state)
{
    struct lately_ages a;

    histogram_add_n(&h, 100, 7);
    assert_true(at(4000).seconds == 4000);
    histogram_add(&h, 5000);
    a = at(4001);
    assert_true(a.seconds == 1);
    assert_int_equal(a.count, 1);
    near(a.p50_us, 5000);
    assert_true(at(4030).seconds == 30);
    a = at(9000);
    assert_true(a.seconds == 4970);
    assert_int_equal(a.count, 0);
}

/* Another thread has summed later and come first. */
static void time_and_counts_may_seem_to_go_back(void **state)
{
    struct histogram later;
    struct lately_ages a;

    histogram_add_n(&h, 50, 10);
    later = h;
    histogram_add_n(&later, 50, 3);
    assert_true(lately_take(l, 1, &later, BEGAN_US + 100000000, &a));
    assert_int_equal(a.count, 13);
    a = at(99.9);
    assert_int_equal(a.count, 0);
    assert_true(a.seconds == 0);
}

static void each_number_is_apart(void **state)
{
    struct lately_ages a;

    histogram_add_n(&h, 50, 10);
    at(100);
    assert_true(lately_take(l, 2, &h, BEGAN_US + 101000000, &a));
    assert_int_equal(a.count, 10);
    assert_int_equal(at(101).count, 0);
}

static void the_largest_values_count(void **state)
{
    histogram_add_n(&h, UINT64_MAX, 2);
    assert_int_equal(at(1).count, 2);
    assert_true(at(1).p50_us > UINT64_C(1) << 39);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, start, end)
    const struct CMUnitTest tests[] = {
        TEST(at_first_all_is_lately), TEST(what_was_slow_long_ago_is_forgotten),
        TEST(nobody_asked_for_long),  TEST(time_and_counts_may_seem_to_go_back),
        TEST(each_number_is_apart),   TEST(the_largest_values_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
