/* src/measure/advice.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "measure/advice.h"

#define REASONS_MAX 8 /* more would not be read */

#define ALL ((1u << MODEL_TRANSPORTS) - 1)

static struct workload w;
static struct advice_sample sample;
static struct advice a;

static int start_usual(void **state)
{
    model_workload_init(&w);
    sample = (struct advice_sample){.measured = false};
    return 0;
}

static void advise(unsigned allowed)
{
    assert_int_equal(advice_make(&a, &w, &sample, allowed, &model_costs_usual,
                                 &advice_scales_usual), 0);
}

static void the_cheapest_that_fits_is_advised(void **state)
{
    static const double rates[] = {0, 0.001, 1, 50};

    for (int i = 0; i < 4; i++) {
        w.rate = rates[i];
        advise(ALL);
        assert_true(a.verdict >= 0 && a.prices[a.verdict].fits);
        for (int k = 0; k < MODEL_TRANSPORTS; k++)
            assert_true(!a.prices[k].fits ||
                        a.costs[k] * 1.1001 >= a.costs[a.verdict]);
        assert_true(a.runner_up != a.verdict && a.margin >= 0);
    }
}

static void of_those_that_cost_the_same_the_sooner_one_is_advised(void **state)
{
    w.rate = 1.0 / 3600;
    w.age_s = 10;
    advise(1u << TALLY_LONGPOLL | 1u << TALLY_SSE);
    assert_in_range(a.costs[TALLY_SSE] / a.costs[TALLY_LONGPOLL] * 1000, 950,
                    1050);
    assert_int_equal(a.verdict, TALLY_SSE);
    assert_true(a.margin >= 0);
}

static void what_the_route_does_not_serve_is_not_advised(void **state)
{
    for (unsigned allowed = 1; allowed <= ALL; allowed++) {
        advise(allowed);
        assert_true(a.verdict < 0 || (allowed >> a.verdict & 1) == 1);
        assert_true(a.runner_up < 0 || (allowed >> a.runner_up & 1) == 1);
    }
}

static void two_ways_are_for_websocket(void **state)
{
    w.sends = 1;
    w.send_bytes = 50;
    advise(ALL);
    assert_int_equal(a.verdict, TALLY_WEBSOCKET);
}

static void what_is_public_and_may_be_old_is_polled_from_a_cache(void **state)
{
    w.rate = 1.0 / 3600;
    w.readers = 10000;
    w.newest = w.cacheable = true;
    w.age_s = 600;
    advise(ALL);
    assert_int_equal(a.verdict, TALLY_POLL);
}

static void what_has_to_be_there_soon_is_not_polled(void **state)
{
    w.rate = 0.1;
    w.age_s = 0.2;
    advise(ALL);
    assert_true(a.verdict == TALLY_SSE || a.verdict == TALLY_WEBSOCKET);
}

static void nothing_fits_where_the_way_is_longer_than_the_age(void **state)
{
    w.age_s = 0.01;
    advise(ALL);
    assert_int_equal(a.verdict, -1);
    assert_int_equal(a.runner_up, -1);
    assert_true(a.enough);
}

/* ---- what is known ------------------------------------------------------- */

static void measure(double seconds, double updates)
{
    sample = (struct advice_sample){true, seconds, updates};
    w.rate = updates / seconds;
}

static void few_are_enough_where_any_frequency_has_the_same_verdict(void **s)
{
    w.sends = 10;
    measure(100, 2);
    advise(ALL);
    assert_true(a.enough && a.sure);
    assert_int_equal(a.verdict, TALLY_WEBSOCKET);
}

static void at_some_frequency_a_few_updates_do_not_tell(void **state)
{
    bool doubted = false;

    for (double seconds = 1; seconds < 1e6; seconds *= 2)
        for (double age = 1; age < 1e4; age *= 2) {
            w.age_s = age;
            measure(seconds, 4);
            advise(ALL);
            assert_true(a.enough == a.sure); /* fewer than ten */
            assert_true(a.enough || a.verdict == -1);
            doubted |= !a.enough;
        }
    assert_true(doubted);
}

/* ---- in words and as JSON ------------------------------------------------ */

static void count(void *arg, struct str reason)
{
    unsigned *n = arg;

    assert_true(reason.n > 0 && memchr(reason.p, 0, reason.n) == NULL);
    assert_null(memmem(reason.p, reason.n, "nan", 3));
    assert_null(memmem(reason.p, reason.n, "inf", 3));
    (*n)++;
}

static void each_advice_has_reasons(void **state)
{
    static const double rates[] = {0, 1e-6, 1, 1e5};
    static const double ages[] = {0.001, 1, 1e5};

    for (int i = 0; i < 2 * 4 * 3; i++) {
        unsigned n = 0;

        w.newest = (i & 1) != 0;
        w.rate = rates[i / 2 % 4];
        w.age_s = ages[i / 8];
        advise(ALL);
        advice_reasons(&a, count, &n);
        assert_in_range(n, 1, REASONS_MAX);
    }
}

static void its_json_can_be_read(void **state)
{
    struct buffer out = {0};
    const json_t *prices;
    json_t *root;

    advise(ALL & ~(1u << TALLY_POLL));
    buffer_append_byte(&out, '{');
    advice_write_json(&a, &out);
    buffer_append_byte(&out, '}');
    assert_false(out.failed);
    root = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "verdict")),
                        tally_transports[a.verdict]);
    prices = json_object_get(root, "prices");
    assert_int_equal(json_object_size(prices), MODEL_TRANSPORTS);
    assert_true(json_is_false(
        json_object_get(json_object_get(prices, "poll"), "served")));
    assert_true(json_array_size(json_object_get(root, "why")) > 0);
    json_decref(root);
    buffer_fini(&out);
}

int main(void)
{
#define FACT(name) cmocka_unit_test_setup(name, start_usual)
    const struct CMUnitTest tests[] = {
        FACT(the_cheapest_that_fits_is_advised),
        FACT(of_those_that_cost_the_same_the_sooner_one_is_advised),
        FACT(what_the_route_does_not_serve_is_not_advised),
        FACT(two_ways_are_for_websocket),
        FACT(what_is_public_and_may_be_old_is_polled_from_a_cache),
        FACT(what_has_to_be_there_soon_is_not_polled),
        FACT(nothing_fits_where_the_way_is_longer_than_the_age),
        FACT(few_are_enough_where_any_frequency_has_the_same_verdict),
        FACT(at_some_frequency_a_few_updates_do_not_tell),
        FACT(each_advice_has_reasons),
        FACT(its_json_can_be_read),
    };
#undef FACT
    return cmocka_run_group_tests(tests, NULL, NULL);
}
