/* src/measure/model.c, and octets.c below it */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "measure/model.h"

static struct workload w;
static struct price prices[MODEL_TRANSPORTS];

static int start_usual(void **state)
{
    model_workload_init(&w);
    return 0;
}

static void price_all(void)
{
    for (unsigned i = 0; i < MODEL_TRANSPORTS; i++)
        assert_int_equal(model_price(&prices[i], i, &w, &model_costs_usual), 0);
}

static double octets(enum tally_part part)
{
    return prices[part].bytes_in + prices[part].bytes_out;
}

static void about(double got, double wanted, double part)
{
    assert_true(fabs(got - wanted) <= fabs(wanted) * part);
}

/* ---- edges --------------------------------------------------------------- */

static void assert_sane(const struct price *p)
{
    const double all[] = {
        p->bytes_in, p->bytes_out, p->served_in, p->served_out, p->requests,
        p->empty, p->delivered, p->age_mean_ms, p->age_p99_ms, p->cpu_us,
        p->memory_bytes, p->utilization, p->poll_s, p->max_rate, p->cache_s};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        assert_true(isfinite(all[i]) && all[i] >= 0);
    assert_true(isfinite(p->merged) && p->merged >= -1e-9 * (1 + w.rate));
    assert_true(p->empty <= p->requests * (1 + 1e-9));
    about(p->delivered + p->merged, w.rate, 1e-6);
    assert_true(p->fits == (p->why_not == NULL));
}

static void any_workload_has_a_price(void **state)
{
    static const double rates[] = {0, 1e-9, 1.0 / 3600, 1, 1e6};
    static const double sizes[] = {0, 1, 5200, 1e12};
    static const double crowds[] = {1, 1e4, 1e12};
    static const double burstinesses[] = {0, 0.5, 1, 1000};
    static const double ages[] = {0.001, 1, 86400};

    for (int n = 0; n < 5 * 4 * 3 * 4 * 3 * 4; n++) {
        int i = n;

        model_workload_init(&w);
        w.rate = rates[i % 5], i /= 5;
        w.size_bytes = sizes[i % 4], i /= 4;
        w.readers = crowds[i % 3], i /= 3;
        w.burstiness = burstinesses[i % 4], i /= 4;
        w.age_s = ages[i % 3], i /= 3;
        w.newest = (i & 1) != 0;
        w.cacheable = (i & 2) != 0;
        price_all();
        for (int k = 0; k < MODEL_TRANSPORTS; k++)
            assert_sane(&prices[k]);
    }
}

static void without_updates_there_are_signs_of_life_and_empty_answers(void **s)
{
    w.rate = 0;
    w.stay_s = 1e9;
    price_all();
    about(prices[TALLY_WEBSOCKET].bytes_out, 2 / w.heartbeat_s, 0.01);
    about(prices[TALLY_WEBSOCKET].bytes_in, 6 / w.heartbeat_s, 0.01);
    assert_true(prices[TALLY_SSE].bytes_in < 1e-3);
    about(prices[TALLY_LONGPOLL].empty, 1 / (w.wait_s + w.rtt_s), 0.01);
    about(prices[TALLY_POLL].empty, prices[TALLY_POLL].requests, 1e-9);
}

/* ---- what grows with what ------------------------------------------------ */

static void a_frame_is_as_long_as_its_data_and_four(void **state)
{
    w.raw = true;
    w.kind = ENVELOPE_TEXT;
    w.stay_s = 1e9;
    w.burstiness = 0;
    price_all();
    about(octets(TALLY_WEBSOCKET), w.rate * (w.size_bytes + 4), 1e-4);
}

static void binary_data_is_a_third_longer_but_in_raw_frames(void **state)
{
    double text;

    w.size_bytes = 30000;
    w.kind = ENVELOPE_TEXT;
    price_all();
    text = octets(TALLY_SSE);
    w.kind = ENVELOPE_BINARY;
    price_all();
    about(octets(TALLY_SSE) / text, 4.0 / 3, 0.01);
    w.raw = true;
    price_all();
    about(octets(TALLY_WEBSOCKET), 30000, 0.01);
}

static void large_data_is_reckoned_and_not_made(void **state)
{
    w.size_bytes = 1e9;
    price_all();
    for (int i = 0; i < MODEL_TRANSPORTS; i++)
        about(octets((enum tally_part)i), 1e9 * prices[i].delivered, 1e-3);
}

static void compression_leaves_its_share(void **state)
{
    double whole;

    w.size_bytes = 30000;
    price_all();
    whole = octets(TALLY_SSE);
    w.packed = 0.25;
    price_all();
    about(octets(TALLY_SSE) / whole, 0.25, 0.01);
}

static void more_readers_than_caches_hold_cost_more_each(void **state)
{
    double few;

    price_all();
    few = prices[TALLY_SSE].cpu_us;
    w.readers = 18000;
    price_all();
    about(prices[TALLY_SSE].cpu_us, 2.43 * few, 1e-3);
    w.readers = 1;
    price_all();
    about(prices[TALLY_SSE].cpu_us, few, 1e-3);
}

/* ---- polls --------------------------------------------------------------- */

static void polls_are_as_far_apart_as_the_age_allows(void **state)
{
    w.age_s = 10;
    price_all();
    assert_true(prices[TALLY_POLL].fits);
    about(prices[TALLY_POLL].poll_s, 10, 0.02);
    about(prices[TALLY_POLL].age_p99_ms, 10000, 1e-6);
    about(prices[TALLY_POLL].age_mean_ms, 5000, 0.02);
}

static void polls_of_the_newest_pass_over_the_others(void **state)
{
    w.newest = true;
    w.burstiness = 0;
    w.rate = 10;
    w.poll_s = 0.5;
    price_all();
    about(prices[TALLY_POLL].delivered, 2, 1e-9);
    about(prices[TALLY_POLL].merged, 8, 1e-9);
}

static void polls_of_every_message_come_before_the_history_is_over(void **state)
{
    w.age_s = 3600;
    w.rate = 100;
    w.history = 1000;
    price_all();
    assert_true(prices[TALLY_POLL].poll_s * w.rate <= w.history);
    assert_true(prices[TALLY_POLL].merged < 1e-6);
}

static void a_cache_in_front_takes_most_of_the_polls(void **state)
{
    double without;

    w.newest = true;
    w.age_s = 60;
    w.readers = 10000;
    price_all();
    without = prices[TALLY_POLL].served_out;
    w.cacheable = true;
    price_all();
    assert_true(prices[TALLY_POLL].served_out < without / 100);
    assert_true(prices[TALLY_POLL].bytes_out > without / 2);
    assert_true(prices[TALLY_POLL].age_p99_ms <= 60000 * (1 + 1e-6));
}

/* ---- those that wait ----------------------------------------------------- */

static void a_long_poll_is_as_soon_as_a_stream_when_updates_are_rare(void **s)
{
    w.rate = 1e-4;
    price_all();
    about(prices[TALLY_LONGPOLL].age_mean_ms, prices[TALLY_SSE].age_mean_ms,
          0.1);
    w.rate = 100;
    price_all();
    assert_true(prices[TALLY_LONGPOLL].age_mean_ms >
                1.5 * prices[TALLY_SSE].age_mean_ms);
}

/* It brings several at once, and no more answers than round trips. */
static void a_long_poll_asks_once_a_round_trip_at_most(void **state)
{
    w.rate = 1000;
    price_all();
    assert_true(prices[TALLY_LONGPOLL].requests <= 1 / w.rtt_s);
    about(prices[TALLY_LONGPOLL].delivered, 1000, 1e-9);
}

static void followers_are_sent_the_newest_as_the_age_allows(void **state)
{
    w.newest = true;
    w.rate = 1000;
    w.readers = 10;
    price_all();
    assert_true(prices[TALLY_SSE].fits);
    about(prices[TALLY_SSE].delivered, 1 / (w.age_s - w.rtt_s / 2), 0.01);
    w.newest = false;
    price_all();
    about(prices[TALLY_SSE].delivered, 1000, 1e-9);
}

static void a_machine_that_is_too_small_is_told(void **state)
{
    w.readers = 1e6;
    w.rate = 10;
    price_all();
    for (int i = 0; i < MODEL_TRANSPORTS; i++)
        assert_false(prices[i].fits);
    w.workers = 10000;
    price_all();
    assert_true(prices[TALLY_WEBSOCKET].fits);
}

int main(void)
{
#define FACT(name) cmocka_unit_test_setup(name, start_usual)
    const struct CMUnitTest tests[] = {
        FACT(any_workload_has_a_price),
        FACT(without_updates_there_are_signs_of_life_and_empty_answers),
        FACT(a_frame_is_as_long_as_its_data_and_four),
        FACT(binary_data_is_a_third_longer_but_in_raw_frames),
        FACT(large_data_is_reckoned_and_not_made),
        FACT(compression_leaves_its_share),
        FACT(more_readers_than_caches_hold_cost_more_each),
        FACT(polls_are_as_far_apart_as_the_age_allows),
        FACT(polls_of_the_newest_pass_over_the_others),
        FACT(polls_of_every_message_come_before_the_history_is_over),
        FACT(a_cache_in_front_takes_most_of_the_polls),
        FACT(a_long_poll_is_as_soon_as_a_stream_when_updates_are_rare),
        FACT(a_long_poll_asks_once_a_round_trip_at_most),
        FACT(followers_are_sent_the_newest_as_the_age_allows),
        FACT(a_machine_that_is_too_small_is_told),
    };
#undef FACT
    return cmocka_run_group_tests(tests, NULL, NULL);
}
