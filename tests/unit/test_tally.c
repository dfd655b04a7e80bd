/* src/base/tally.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <pthread.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/tally.h"

static void a_route_has_its_number_for_ever(void **state)
{
    tally_id a = tally_route(NULL, "/a"), b = tally_route("h", "/a");

    assert_int_not_equal(a, 0);
    assert_true(b >= a + TALLY_PARTS || a >= b + TALLY_PARTS);
    assert_int_equal(tally_route(NULL, "/a"), a);
    assert_int_equal(tally_route("h", "/a"), b);
}

static void what_was_never_counted_says_so(void **state)
{
    struct tally sum = {.counts = {0}};

    assert_false(tally_sum(tally_route(NULL, "/never"), &sum));
}

static void number_0_counts_for_nobody(void **state)
{
    struct tally sum = {.counts = {0}};

    tally_add(0, TALLY_gaps, 5);
    assert_false(tally_sum(0, &sum));
}

static tally_id shared;

static void *count(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        tally_add(shared, TALLY_gaps, 1);
        histogram_add(&tally_of(shared)->age_us, 7);
    }
    return NULL;
}

static void threads_add_up(void **state)
{
    struct tally sum = {.counts = {0}};
    pthread_t threads[3];

    shared = tally_route(NULL, "/shared");
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
    count(NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_true(tally_sum(shared, &sum));
    assert_int_equal(tally_get(&sum, TALLY_gaps), 4000);
    assert_int_equal(sum.age_us.count, 4000);
    assert_int_equal(histogram_percentile(&sum.age_us, 50), 7);
}

/* How many there are, and for how long they have been there: both from sums. */
static void connections_move(void **state)
{
    tally_id id = tally_route(NULL, "/moves");
    struct tally sum = {.counts = {0}};

    clock_stop_at(1000);
    tally_move(0, id);
    clock_advance(500);
    tally_move(0, id);
    tally_move(id, id);
    clock_advance(200);
    tally_move(id, 0);
    clock_stop_at(0);
    tally_sum(id, &sum);
    assert_int_equal(tally_get(&sum, TALLY_route_connections), 2);
    assert_int_equal(tally_get(&sum, TALLY_route_connections_closed), 1);
    assert_int_equal(tally_get(&sum, TALLY_connection_opened_us), 2500);
    assert_int_equal(tally_get(&sum, TALLY_connection_closed_us), 1700);
}

static tally_id busy;
static atomic_bool enough;

static void *move_often(void *arg)
{
    while (!atomic_load(&enough)) {
        tally_move(0, busy);
        tally_move(busy, 0);
        for (volatile int i = 0; i < 50; i++)
            ; /* or nobody would ever see it at rest */
    }
    return NULL;
}

/* The clock is at a day: half of a move would be seen as that. */
static void a_sum_has_no_half_of_a_move(void **state)
{
    const uint64_t day_us = UINT64_C(86400) * 1000000;
    uint64_t connections = 0;
    pthread_t mover;

    busy = tally_route(NULL, "/busy");
    clock_stop_at(day_us);
    assert_int_equal(pthread_create(&mover, NULL, move_often, NULL), 0);
    while (connections < 100000) {
        struct tally sum = {.counts = {0}};

        tally_sum(busy, &sum);
        connections = tally_get(&sum, TALLY_route_connections);
        assert_true((connections -
                     tally_get(&sum, TALLY_route_connections_closed)) *
                        day_us ==
                    tally_get(&sum, TALLY_connection_opened_us) -
                        tally_get(&sum, TALLY_connection_closed_us));
    }
    atomic_store(&enough, true);
    pthread_join(mover, NULL);
    clock_stop_at(0);
}

static void one_in_so_many_is_timed(void **state)
{
    tally_id id = tally_route(NULL, "/timed");
    struct tally sum = {.counts = {0}};

    clock_stop_at(1000);
    for (int i = 0; i < 10 * TALLY_SAMPLE_EVERY; i++) {
        uint64_t began_us = tally_begin();

        clock_advance(3);
        tally_end(id, TALLY_delivery_us, began_us, 2);
    }
    clock_stop_at(0);
    tally_sum(id, &sum);
    assert_int_equal(tally_get(&sum, TALLY_delivery_us), 30);
    assert_int_equal(tally_get(&sum, TALLY_delivery_samples), 20);
}

/* The last: nothing has room after it. */
static void beyond_the_last_route_nothing_is_counted(void **state)
{
    char path[32];

    for (int i = 0; i < TALLY_ROUTES_MAX; i++) {
        snprintf(path, sizeof(path), "/many/%d", i);
        tally_route(NULL, path);
    }
    assert_int_equal(tally_route(NULL, "/one/more"), 0);
    assert_int_not_equal(tally_route(NULL, "/a"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_route_has_its_number_for_ever),
        cmocka_unit_test(what_was_never_counted_says_so),
        cmocka_unit_test(number_0_counts_for_nobody),
        cmocka_unit_test(threads_add_up),
        cmocka_unit_test(connections_move),
        cmocka_unit_test(a_sum_has_no_half_of_a_move),
        cmocka_unit_test(one_in_so_many_is_timed),
        cmocka_unit_test(beyond_the_last_route_nothing_is_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
