/* src/base/seen.c */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/seen.h"
#include "memory.h"

static void what_was_added_is_known(void **state)
{
    struct seen s = {0};

    assert_int_equal(seen_add(&s, 7), 1);
    assert_int_equal(seen_add(&s, 7), 0);
    assert_int_equal(seen_add(&s, 0), 1);
    assert_int_equal(seen_add(&s, 0), 0);
    seen_fini(&s);
}

/* Spread as hashes are. */
static uint64_t nth(uint64_t n)
{
    return hash_add(HASH_START, (struct str){(char *)&n, sizeof(n)});
}

static void the_last_ones_are_remembered_and_memory_has_an_end(void **state)
{
    struct seen s = {0};

    for (uint64_t n = 0; n < 20 * SEEN_MIN; n++) {
        assert_int_equal(seen_add(&s, nth(n)), 1);
        assert_int_equal(seen_add(&s, nth(0)), 0); /* comes again and again */
    }
    for (uint64_t n = 20 * SEEN_MIN; n > 19 * SEEN_MIN + SEEN_MIN / 2; n--)
        assert_int_equal(seen_add(&s, nth(n - 1)), 0);
    assert_true(s.cap <= 2 * SEEN_MIN && s.before_cap <= 2 * SEEN_MIN);
    seen_fini(&s);
}

static void without_memory_nobody_knows(void **state)
{
    struct seen s = {0};

    memory_fails_at(1);
    assert_int_equal(seen_add(&s, 7), -ENOMEM);
    assert_true(memory_ran_out());
    assert_int_equal(seen_add(&s, 7), 1);
    seen_fini(&s);
}

static void a_hash_goes_on(void **state)
{
    uint64_t whole = hash_add(HASH_START, STR("abc"));

    assert_int_equal(hash_add(hash_add(HASH_START, STR("a")), STR("bc")),
                     whole);
    assert_int_not_equal(hash_add(HASH_START, STR("acb")), whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_known),
        cmocka_unit_test(the_last_ones_are_remembered_and_memory_has_an_end),
        cmocka_unit_test(without_memory_nobody_knows),
        cmocka_unit_test(a_hash_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
