/* src/hub/frequency.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <cmocka.h>

#include "hub/frequency.h"
#include "hub/message.h"

#define SECOND UINT64_C(1000000)
#define START (1000 * 86400 * SECOND)

static struct frequency f;

static int start_empty(void **state)
{
    f = (struct frequency){0};
    return 0;
}

static void note(uint64_t at_us, size_t len)
{
    struct message m = {.born_us = at_us, .len = len, .kind = ENVELOPE_TEXT};

    frequency_note(&f, &m);
}

static void nothing_says_nothing(void **state)
{
    assert_true(frequency_per_s(&f, WINDOW_MINUTE, START) == 0);
    assert_int_equal(frequency_bytes(&f, 99), 0);
    assert_true(frequency_burstiness(&f) < 0);
}

static void about(double got, double wanted, double part)
{
    assert_true(fabs(got - wanted) <= wanted * part);
}

/* Whatever the moment of the look. */
static void a_steady_stream_has_its_rate_in_each_window(void **state)
{
    uint64_t now = START;

    for (int i = 0; i < 4 * 86400; i++, now += SECOND / 2)
        note(now, 10);
    for (int i = 0; i < 100; i++, now += SECOND / 2) {
        note(now, 10);
        for (int w = 0; w < WINDOW_N; w++)
            about(frequency_per_s(&f, (enum frequency_window)w, now), 2, 0.02);
    }
}

/* A minute after its first message nothing is known of an hour. */
static void a_young_channel_is_judged_by_its_own_life(void **state)
{
    uint64_t now = START + 3599 * SECOND; /* an hour ends in the middle */

    for (int i = 0; i < 20; i++, now += SECOND)
        note(now, 10);
    about(frequency_per_s(&f, WINDOW_HOUR, now), 1, 0.1);
    about(frequency_per_s(&f, WINDOW_DAY, now), 1, 0.1);
}

static void silence_wears_off(void **state)
{
    uint64_t now = START;

    for (int i = 0; i < 600; i++, now += SECOND / 10)
        note(now, 10);
    about(frequency_per_s(&f, WINDOW_MINUTE, now), 10, 0.02);
    assert_true(frequency_per_s(&f, WINDOW_MINUTE, now + 121 * SECOND) == 0);
    about(frequency_per_s(&f, WINDOW_HOUR, now + 540 * SECOND), 1, 0.02);
}

/* Threads that publish at once append in another order than they were given
 * their messages; and whoever looks has taken the time before. */
static void a_message_from_before_the_newest_takes_nothing_away(void **state)
{
    uint64_t now = START - 60 * SECOND; /* START begins a window of each */

    for (int i = 0; i < 60; i++, now += SECOND)
        note(now, 10);
    note(START + 1, 10);
    note(START - 1, 10);
    note(START + 2, 10);
    assert_int_equal(f.messages, 63);
    assert_int_equal(f.last_us, START + 2);
    for (int w = 0; w < WINDOW_N; w++)
        about(frequency_per_s(&f, (enum frequency_window)w, START + 3), 1,
              0.05);
}

static void a_look_from_before_the_newest_sees_it(void **state)
{
    note(START - 10 * SECOND, 10);
    note(START + 1, 10);
    for (int w = 0; w < WINDOW_N; w++)
        about(frequency_per_s(&f, (enum frequency_window)w, START - 1), 0.1,
              0.01);
}

/* Two that come together do not mean thousands a second. */
static void a_burst_is_spread_over_a_second(void **state)
{
    for (int i = 0; i < 11; i++)
        note(START + (uint64_t)i, 10);
    for (int w = 0; w < WINDOW_N; w++) {
        about(frequency_per_s(&f, (enum frequency_window)w, START + 20), 10,
              0.01);
        about(frequency_per_s(&f, (enum frequency_window)w,
                              START + 5 * SECOND), 2, 0.01);
    }
}

/* 100 000 a second, for a day. */
static void a_fast_channel_counts_on(void **state)
{
    const uint64_t many = UINT64_C(86400) * 100000;

    note(START, 10);
    note(START + 1, 10);
    f.messages += many;
    f.sizes[7] += many;
    f.windows[WINDOW_DAY].now += many;
    about(frequency_per_s(&f, WINDOW_DAY, START + 86399 * SECOND), 100000,
          0.01);
    about((double)frequency_bytes(&f, 99), 9, 0.2);
}

static void sizes_are_known_within_a_fifth(void **state)
{
    for (size_t n = 1; n <= 1000; n++)
        note(START + n, n);
    about((double)frequency_bytes(&f, 50), 500, 0.2);
    about((double)frequency_bytes(&f, 99), 990, 0.2);
    assert_int_equal(f.bytes_max, 1000);
    assert_int_equal(f.bytes, 500500);
}

static void one_size_is_no_more_than_it_is(void **state)
{
    note(START, 64);
    assert_int_equal(frequency_bytes(&f, 50), 64);
}

static void a_clock_is_regular_and_chance_is_not(void **state)
{
    uint64_t now = START;
    unsigned seed = 3;

    for (int i = 0; i < 1000; i++, now += SECOND)
        note(now, 1);
    assert_true(frequency_burstiness(&f) < 0.01);
    start_empty(state);
    for (int i = 0; i < 20000; i++) {
        double u = (rand_r(&seed) + 1.0) / ((double)RAND_MAX + 2);

        now += (uint64_t)(-log(u) * 1e6);
        note(now, 1);
    }
    about(frequency_burstiness(&f), 1, 0.05);
    start_empty(state);
    for (int i = 0; i < 1000; i++) /* ten at once, each minute */
        note(START + (uint64_t)(i / 10) * 60 * SECOND, 1);
    assert_true(frequency_burstiness(&f) > 2);
}

static void what_is_aside_is_no_update(void **state)
{
    struct message m = {.born_us = START, .len = 5, .aside = true};

    frequency_note(&f, &m);
    assert_int_equal(f.messages, 0);
}

static void merged_has_both(void **state)
{
    struct frequency all = {0};

    for (int i = 0; i < 10; i++)
        note(START + (uint64_t)i * SECOND, 100);
    frequency_merge(&all, &f);
    start_empty(state);
    for (int i = 0; i < 10; i++)
        note(START + (uint64_t)i * SECOND + 7 * SECOND, 100);
    frequency_merge(&all, &f);
    assert_int_equal(all.messages, 20);
    assert_int_equal(all.first_us, START);
    assert_int_equal(all.last_us, START + 16 * SECOND);
    assert_int_equal(all.gaps, 18);
    assert_true(fabs(all.gap_s - 18) < 1e-6 && fabs(all.gap_s2 - 18) < 1e-6);
    assert_int_equal(all.bytes, 2000);
    about((double)frequency_bytes(&all, 50), 100, 0.2);
    assert_int_equal(all.bytes_max, 100);
    assert_true(frequency_burstiness(&all) < 0.01);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_says_nothing, start_empty),
        cmocka_unit_test_setup(a_steady_stream_has_its_rate_in_each_window,
                               start_empty),
        cmocka_unit_test_setup(a_young_channel_is_judged_by_its_own_life,
                               start_empty),
        cmocka_unit_test_setup(silence_wears_off, start_empty),
        cmocka_unit_test_setup(
            a_message_from_before_the_newest_takes_nothing_away, start_empty),
        cmocka_unit_test_setup(a_look_from_before_the_newest_sees_it,
                               start_empty),
        cmocka_unit_test_setup(a_burst_is_spread_over_a_second, start_empty),
        cmocka_unit_test_setup(a_fast_channel_counts_on, start_empty),
        cmocka_unit_test_setup(sizes_are_known_within_a_fifth, start_empty),
        cmocka_unit_test_setup(one_size_is_no_more_than_it_is, start_empty),
        cmocka_unit_test_setup(a_clock_is_regular_and_chance_is_not,
                               start_empty),
        cmocka_unit_test_setup(what_is_aside_is_no_update, start_empty),
        cmocka_unit_test_setup(merged_has_both, start_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
