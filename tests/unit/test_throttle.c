/* Unit tests of src/server/throttle.c, src/server/guests.c and
 * src/net/address.c: whose requests and connections are counted together. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "net/address.h"
#include "server/guests.h"
#include "server/throttle.h"

static const struct rate one = {.interval_us = 1000000, .slack_us = 0};

static struct address address(const char *text)
{
    struct address a;

    assert_true(address_of_text(text, &a));
    return a;
}

static bool same(const char *a, const char *b)
{
    struct address x = address(a), y = address(b);

    return memcmp(&x, &y, sizeof(x)) == 0;
}

static void ipv4_counts_by_address(void **state)
{
    assert_true(same("10.0.0.1", "10.0.0.1"));
    assert_false(same("10.0.0.1", "10.0.0.2"));
}

static void ipv6_counts_by_network(void **state)
{
    assert_true(same("2001:db8::1", "2001:db8::ffff:1"));
    assert_false(same("2001:db8:0:1::1", "2001:db8:0:2::1"));
}

static void mapped_ipv4_is_ipv4(void **state)
{
    assert_true(same("::ffff:10.0.0.1", "10.0.0.1"));
    assert_false(same("::ffff:10.0.0.1", "::ffff:10.0.0.2"));
}

static void other_text_is_no_address(void **state)
{
    struct address a;

    assert_false(address_of_text("unknown", &a));
    assert_false(address_of_text("", &a));
}

static void one_clients_requests_do_not_count_for_another(void **state)
{
    struct throttle *t = throttle_new();
    struct address a = address("10.0.0.1"), b = address("10.0.0.2");

    assert_int_equal(throttle_take(t, &one, 1, &a, 1000000), 0);
    assert_int_equal(throttle_take(t, &one, 1, &a, 1000000), 1000000);
    assert_int_equal(throttle_take(t, &one, 1, &b, 1000000), 0);
    throttle_free(t);
}

static void one_routes_requests_do_not_count_for_another(void **state)
{
    struct throttle *t = throttle_new();
    struct address a = address("10.0.0.1");

    assert_int_equal(throttle_take(t, &one, 1, &a, 1000000), 0);
    assert_int_equal(throttle_take(t, &one, 2, &a, 1000000), 0);
    assert_int_equal(throttle_take(t, &one, 1, &a, 1500000), 500000);
    assert_int_equal(throttle_take(t, &one, 1, &a, 2000000), 0);
    throttle_free(t);
}

/* A tenth of what the table holds, so that sets with more than their ways are
 * as good as none. */
static void thousands_are_told_apart(void **state)
{
    struct throttle *t = throttle_new();
    unsigned forgotten = 0;
    struct address a;
    char text[32];

    for (int turn = 0; turn < 2; turn++)
        for (unsigned i = 0; i < 6000; i++) {
            snprintf(text, sizeof(text), "10.1.%u.%u", i / 250, i % 250);
            a = address(text);
            if (throttle_take(t, &one, 1, &a, 1000000) == 0)
                forgotten += (unsigned)turn;
        }
    assert_int_equal(forgotten, 0);
    throttle_free(t);
}

static void the_busiest_is_remembered_in_a_flood_of_others(void **state)
{
    const struct rate hourly = {.interval_us = 3600000000, .slack_us = 0};
    struct throttle *t = throttle_new();
    struct address a = address("10.0.0.1"), other;
    char text[32];

    assert_int_equal(throttle_take(t, &hourly, 1, &a, 1000000), 0);
    for (unsigned i = 0; i < 500000; i++) {
        snprintf(text, sizeof(text), "11.%u.%u.%u", i >> 16, i >> 8 & 255,
                 i & 255);
        other = address(text);
        throttle_take(t, &one, 1, &other, 1000000);
    }
    assert_true(throttle_take(t, &hourly, 1, &a, 1000000) > 0);
    throttle_free(t);
}

static void an_address_has_so_many_connections_and_no_more(void **state)
{
    struct address a = address("10.0.0.1"), b = address("10.0.0.2");
    struct guest *guests[4];
    struct guests g;

    guests_init(&g);
    assert_int_equal(guests_enter(&g, &a, 2, &guests[0]), 0);
    assert_int_equal(guests_enter(&g, &a, 2, &guests[1]), 0);
    assert_int_equal(guests_enter(&g, &a, 2, &guests[2]), -EBUSY);
    assert_null(guests[2]);
    assert_int_equal(guests_enter(&g, &b, 2, &guests[3]), 0);
    guests_leave(&g, guests[0]);
    assert_int_equal(guests_enter(&g, &a, 2, &guests[0]), 0);
    for (int i = 0; i < 4; i++)
        guests_leave(&g, guests[i]);
    assert_null(g.table);
    guests_fini(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ipv4_counts_by_address),
        cmocka_unit_test(ipv6_counts_by_network),
        cmocka_unit_test(mapped_ipv4_is_ipv4),
        cmocka_unit_test(other_text_is_no_address),
        cmocka_unit_test(one_clients_requests_do_not_count_for_another),
        cmocka_unit_test(one_routes_requests_do_not_count_for_another),
        cmocka_unit_test(thousands_are_told_apart),
        cmocka_unit_test(the_busiest_is_remembered_in_a_flood_of_others),
        cmocka_unit_test(an_address_has_so_many_connections_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
