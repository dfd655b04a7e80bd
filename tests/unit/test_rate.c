/* Unit tests of src/base/rate.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/rate.h"

/* Ten a second, three at once. */
static const struct rate ten = {.interval_us = 100000, .slack_us = 200000};

static void a_new_bucket_has_the_burst(void **state)
{
    uint64_t full_us = 0, now_us = 5000000;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(rate_wait_us(&ten, full_us, now_us), 0);
        full_us = rate_take(&ten, full_us, now_us);
    }
    assert_int_equal(rate_wait_us(&ten, full_us, now_us), 100000);
}

static void a_token_comes_each_interval(void **state)
{
    uint64_t full_us = 0, now_us = 5000000;
    unsigned taken = 0;

    for (unsigned i = 0; i < 1000; i++, now_us += 10000)
        if (rate_wait_us(&ten, full_us, now_us) == 0) {
            full_us = rate_take(&ten, full_us, now_us);
            taken++;
        }
    assert_in_range(taken, 102, 103); /* ten seconds, and the burst */
}

static void an_idle_bucket_holds_no_more_than_the_burst(void **state)
{
    uint64_t full_us = rate_take(&ten, 0, 5000000), now_us = 5000000000;

    for (int i = 0; i < 3; i++)
        full_us = rate_take(&ten, full_us, now_us);
    assert_int_equal(rate_wait_us(&ten, full_us, now_us), 100000);
}

static void without_an_interval_there_is_no_limit(void **state)
{
    const struct rate none = {0};

    assert_int_equal(rate_wait_us(&none, UINT64_MAX, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_bucket_has_the_burst),
        cmocka_unit_test(a_token_comes_each_interval),
        cmocka_unit_test(an_idle_bucket_holds_no_more_than_the_burst),
        cmocka_unit_test(without_an_interval_there_is_no_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
