/* src/base/histogram.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/histogram.h"

static struct histogram h;

static int start_empty(void **state)
{
    h = (struct histogram){.count = 0};
    return 0;
}

static void an_empty_one_says_nothing(void **state)
{
    assert_int_equal(histogram_percentile(&h, 50), 0);
    assert_int_equal(histogram_count_to(&h, UINT64_MAX), 0);
    assert_true(histogram_mean(&h) == 0);
}

/* Buckets follow each other without a hole or an overlap. */
static void each_value_has_the_next_bucket_or_the_same(void **state)
{
    unsigned last = 0;

    for (uint64_t v = 0; v < 1 << 20; v++) {
        unsigned b = histogram_bucket(v);

        assert_true(b == last || b == last + 1);
        last = b;
    }
    assert_int_equal(histogram_bucket((UINT64_C(1) << HISTOGRAM_TOP_BITS) - 1),
                     HISTOGRAM_BUCKETS - 1);
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static void small_values_are_exact(void **state)
{
    for (uint64_t v = 0; v < 64; v++)
        histogram_add(&h, v);
    assert_int_equal(histogram_percentile(&h, 50), 31);
    assert_int_equal(histogram_percentile(&h, 100), 63);
    assert_int_equal(histogram_count_to(&h, 9), 10);
    assert_true(histogram_mean(&h) == 31.5);
}

/* The same values sorted, as a second opinion. */
static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void percentiles_are_within_a_bucket(void **state)
{
    enum { N = 10000 };
    static uint64_t all[N];
    unsigned seed = 7;

    for (int i = 0; i < N; i++) {
        all[i] = UINT64_C(1) << (unsigned)rand_r(&seed) % 36;
        all[i] += (uint64_t)rand_r(&seed) % all[i];
        histogram_add(&h, all[i]);
    }
    qsort(all, N, sizeof(all[0]), compare);
    for (int p = 1; p <= 100; p++) {
        double exact = (double)all[N * p / 100 - 1];
        double got = (double)histogram_percentile(&h, p);

        assert_true(got > exact * 0.98 && got < exact * 1.02);
    }
    assert_int_equal(h.max, all[N - 1]);
}

static void the_largest_is_never_topped(void **state)
{
    /* The first of its bucket, whose middle is above it. */
    histogram_add(&h, 1 << 20);
    assert_int_equal(histogram_percentile(&h, 99), 1 << 20);
}

static void adding_n_is_adding_n_times(void **state)
{
    struct histogram one = {.count = 0};

    histogram_add_n(&h, 5000, 3);
    for (int i = 0; i < 3; i++)
        histogram_add(&one, 5000);
    assert_memory_equal(&h, &one, sizeof(h));
}

static void merged_is_as_if_all_had_been_added_to_one(void **state)
{
    struct histogram a = {.count = 0}, b = {.count = 0};

    for (uint64_t v = 1; v < 100000; v = v * 3 + 1) {
        histogram_add(v % 2 ? &a : &b, v);
        histogram_add(&h, v);
    }
    histogram_merge(&a, &b);
    assert_memory_equal(&a, &h, sizeof(h));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_one_says_nothing, start_empty),
        cmocka_unit_test_setup(each_value_has_the_next_bucket_or_the_same,
                               start_empty),
        cmocka_unit_test_setup(small_values_are_exact, start_empty),
        cmocka_unit_test_setup(percentiles_are_within_a_bucket, start_empty),
        cmocka_unit_test_setup(the_largest_is_never_topped, start_empty),
        cmocka_unit_test_setup(adding_n_is_adding_n_times, start_empty),
        cmocka_unit_test_setup(merged_is_as_if_all_had_been_added_to_one,
                               start_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
