/* src/hub/idempotency.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <cmocka.h>

#include "hub/idempotency.h"
#include "memory.h"

static struct idempotency *table;

static int setup(void **state)
{
    table = idempotency_new();
    return table == NULL;
}

static int teardown(void **state)
{
    memory_fails_at(0);
    idempotency_free(table);
    return 0;
}

static void add_numbers(unsigned from, unsigned to)
{
    char key[16];

    for (unsigned i = from; i < to; i++) {
        snprintf(key, sizeof(key), "key-%u", i);
        assert_int_equal(idempotency_add(table, str_of(key), i + 1), 0);
    }
}

static uint64_t find_number(unsigned i)
{
    char key[16];

    snprintf(key, sizeof(key), "key-%u", i);
    return idempotency_find(table, str_of(key));
}

static void an_unknown_key_is_zero(void **state)
{
    assert_int_equal(idempotency_find(table, STR("a")), 0);
}

static void a_known_key_gives_its_seq(void **state)
{
    idempotency_add(table, STR("a"), 7);
    idempotency_add(table, STR("b"), 8);
    assert_int_equal(idempotency_find(table, STR("a")), 7);
    assert_int_equal(idempotency_find(table, STR("b")), 8);
}

static void keys_are_compared_whole(void **state)
{
    idempotency_add(table, STR("abc"), 7);
    assert_int_equal(idempotency_find(table, STR("ab")), 0);
    assert_int_equal(idempotency_find(table, STR("abcd")), 0);
    assert_int_equal(idempotency_find(table, STR("ABC")), 0);
}

static void a_key_may_hold_any_octet(void **state)
{
    idempotency_add(table, (struct str){"a\0b", 3}, 7);
    assert_int_equal(idempotency_find(table, (struct str){"a\0b", 3}), 7);
    assert_int_equal(idempotency_find(table, (struct str){"a\0c", 3}), 0);
}

static void a_key_is_copied(void **state)
{
    char key[] = "abc";

    idempotency_add(table, str_of(key), 7);
    key[0] = 'x';
    assert_int_equal(idempotency_find(table, STR("abc")), 7);
}

static void the_last_ones_are_known(void **state)
{
    add_numbers(0, IDEMPOTENCY_KEYS_MAX);
    for (unsigned i = 0; i < IDEMPOTENCY_KEYS_MAX; i++)
        assert_int_equal(find_number(i), i + 1);
}

static void over_the_bound_the_oldest_is_forgotten(void **state)
{
    add_numbers(0, IDEMPOTENCY_KEYS_MAX + 1);
    assert_int_equal(find_number(0), 0);
    assert_int_equal(find_number(1), 2);
    assert_int_equal(find_number(IDEMPOTENCY_KEYS_MAX),
                     IDEMPOTENCY_KEYS_MAX + 1);
}

static void many_times_the_bound_leaves_the_last(void **state)
{
    add_numbers(0, 5 * IDEMPOTENCY_KEYS_MAX);
    assert_int_equal(find_number(4 * IDEMPOTENCY_KEYS_MAX - 1), 0);
    assert_int_equal(find_number(4 * IDEMPOTENCY_KEYS_MAX),
                     4 * IDEMPOTENCY_KEYS_MAX + 1);
}

static void without_memory_no_key_is_added(void **state)
{
    int rc = -ENOMEM;

    for (unsigned nth = 1; rc < 0; nth++) {
        memory_fails_at(nth);
        rc = idempotency_add(table, STR("a"), 7);
        if (!memory_ran_out())
            break;
        assert_int_equal(rc, -ENOMEM);
        assert_int_equal(idempotency_find(table, STR("a")), 0);
    }
    assert_int_equal(rc, 0);
    assert_int_equal(idempotency_find(table, STR("a")), 7);
}

static void a_table_that_cannot_grow_stays_whole(void **state)
{
    unsigned failures = 0;
    char key[16];

    for (unsigned i = 0; i < 500; i++) {
        snprintf(key, sizeof(key), "key-%u", i);
        memory_fails_at(2); /* the entry is had; more is not */
        if (idempotency_add(table, str_of(key), i + 1) < 0)
            failures++;
        memory_fails_at(0);
        if (find_number(i) == 0)
            add_numbers(i, i + 1);
    }
    assert_true(failures > 0);
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(find_number(i), i + 1);
}

static void without_memory_there_is_no_table(void **state)
{
    memory_fails_at(1);
    assert_null(idempotency_new());
}

static void freeing_nothing_is_fine(void **state)
{
    idempotency_free(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_unknown_key_is_zero),
        CASE(a_known_key_gives_its_seq),
        CASE(keys_are_compared_whole),
        CASE(a_key_may_hold_any_octet),
        CASE(a_key_is_copied),
        CASE(the_last_ones_are_known),
        CASE(over_the_bound_the_oldest_is_forgotten),
        CASE(many_times_the_bound_leaves_the_last),
        CASE(without_memory_no_key_is_added),
        CASE(a_table_that_cannot_grow_stays_whole),
        CASE(without_memory_there_is_no_table),
        CASE(freeing_nothing_is_fine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
