/* src/base/meter.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <pthread.h>
#include <string.h>
#include <cmocka.h>

#include "base/meter.h"

#define THREADS 4
#define ADDS    10000

static void a_thread_without_a_set_counts_as_well(void **state)
{
    uint64_t before = meter_sum(METER_requests);

    meter_add(METER_requests, 3);
    assert_int_equal(meter_sum(METER_requests), before + 3);
}

static void counters_do_not_mix(void **state)
{
    uint64_t before = meter_sum(METER_source_gaps);

    meter_add(METER_requests, 5);
    assert_int_equal(meter_sum(METER_source_gaps), before);
}

static void *count(void *arg)
{
    meter_thread_init();
    for (int i = 0; i < ADDS; i++)
        meter_add(METER_requests, 1);
    return NULL;
}

static void what_ended_threads_counted_stays(void **state)
{
    uint64_t before = meter_sum(METER_requests);
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, count, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(meter_sum(METER_requests), before + THREADS * ADDS);
}

static void *tell_set(void *arg)
{
    meter_thread_init();
    return (void *)meter_mine;
}

static void threads_have_lines_of_their_own(void **state)
{
    pthread_t thread;
    void *theirs;

    pthread_create(&thread, NULL, tell_set, NULL);
    pthread_join(thread, &theirs);
    assert_ptr_not_equal(theirs, meter_mine);
    assert_int_equal((uintptr_t)theirs % 64, 0);
}

static void each_has_a_name_and_a_sentence(void **state)
{
    for (int i = 0; i < METER_N; i++) {
        assert_true(strlen(meter_names[i]) > 0);
        assert_true(strlen(meter_helps[i]) > 0);
    }
    assert_string_equal(meter_names[METER_source_gaps], "source_gaps");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_without_a_set_counts_as_well),
        cmocka_unit_test(counters_do_not_mix),
        cmocka_unit_test(what_ended_threads_counted_stays),
        cmocka_unit_test(threads_have_lines_of_their_own),
        cmocka_unit_test(each_has_a_name_and_a_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
