/* src/bench/ledger.c, src/bench/sightings.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bench/ledger.h"
#include "bench/sightings.h"

#define NUMBERS 200

static void in_order_nothing_is_missing(void **state)
{
    struct ledger l = {0};

    for (uint32_t n = 0; n < NUMBERS; n++)
        assert_int_equal(ledger_note(&l, n), LEDGER_NEXT);
    assert_int_equal(l.had, NUMBERS);
    assert_int_equal(l.count, 0);
    assert_null(l.missing);
    ledger_fini(&l);
}

/* What a list of all numbers would say. */
static enum ledger_entry expected(bool had[NUMBERS], uint32_t *next, uint32_t n)
{
    enum ledger_entry e;

    if (n < *next)
        e = had[n] ? LEDGER_AGAIN : LEDGER_LATE;
    else
        e = n == *next ? LEDGER_NEXT : LEDGER_AHEAD;
    had[n] = true;
    if (n >= *next)
        *next = n + 1;
    return e;
}

static void assert_missing(const struct ledger *l, const bool had[NUMBERS])
{
    bool missing[NUMBERS] = {false};
    uint32_t end = 0, different = 0;

    for (unsigned i = 0; i < l->count; i++) {
        assert_true(l->missing[i].from < l->missing[i].to);
        assert_true(i == 0 || l->missing[i].from > end);
        end = l->missing[i].to;
        for (uint32_t n = l->missing[i].from; n < end; n++)
            missing[n] = true;
    }
    assert_true(end < l->next || l->next == 0);
    for (uint32_t n = 0; n < l->next; n++) {
        assert_int_equal(missing[n], !had[n]);
        different += had[n];
    }
    assert_int_equal(l->had, different);
}

static void in_any_order_it_says_what_a_list_would(void **state)
{
    uint32_t x = 7;

    for (int round = 0; round < 200; round++) {
        bool had[NUMBERS] = {false};
        struct ledger l = {0};
        uint32_t next = 0;

        for (int i = 0; i < 300; i++) {
            uint32_t n;

            x = x * 1664525u + 1013904223u;
            n = (x >> 8) % NUMBERS;
            assert_int_equal(ledger_note(&l, n), expected(had, &next, n));
            assert_int_equal(l.next, next);
            assert_missing(&l, had);
        }
        ledger_fini(&l);
        assert_int_equal(l.next, 0);
    }
}

static void sightings_are_numbered_as_they_come(void **state)
{
    struct sightings *s = sightings_new();
    char name[32];

    assert_non_null(s);
    for (uint32_t i = 0; i < 1000; i++) {
        const struct sighting *one;

        snprintf(name, sizeof(name), "id-%u", i);
        one = sightings_see(s, str_of(name), i, 1000 + i);
        assert_int_equal(one->number, i);
    }
    for (uint32_t i = 0; i < 1000; i++) {
        const struct sighting *one;

        snprintf(name, sizeof(name), "id-%u", i);
        one = sightings_see(s, str_of(name), 5, 99999);
        assert_int_equal(one->number, i);
        assert_int_equal(one->first_us, 1000 + i);
        assert_int_equal(sightings_at(s, i)->size_bytes, i);
    }
    assert_int_equal(sightings_count(s), 1000);
    sightings_free(&s);
    assert_null(s);
    sightings_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_nothing_is_missing),
        cmocka_unit_test(in_any_order_it_says_what_a_list_would),
        cmocka_unit_test(sightings_are_numbered_as_they_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
