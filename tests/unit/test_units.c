/* Unit tests of src/config/units.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "config/units.h"

static void durations_have_five_units(void **state)
{
    static const struct {
        const char *text;
        uint64_t ms;
    } all[] = {{"200ms", 200}, {"60s", 60000}, {"5m", 300000},
               {"1h", 3600000}, {"1d", 86400000}, {"0s", 0}, {"007s", 7000}};
    uint64_t ms;

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        assert_int_equal(duration_parse(str_of(all[i].text), &ms), 0);
        assert_int_equal(ms, all[i].ms);
    }
}

static void sizes_are_decimal_or_binary(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } all[] = {{"512B", 512}, {"10KB", 10000}, {"64KiB", 65536},
               {"1MB", 1000000}, {"1MiB", 1048576}, {"2GB", 2000000000},
               {"2GiB", 2147483648}};
    uint64_t bytes;

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        assert_int_equal(size_parse(str_of(all[i].text), &bytes), 0);
        assert_int_equal(bytes, all[i].bytes);
    }
}

static void anything_else_is_invalid(void **state)
{
    static const char *const bad[] = {"", "15", "s", "1.5s", "-1s", "+1s",
                                      " 1s", "1 s", "1s ", "1S", "1sec", "1w",
                                      "0x1s", "1s1s", "1k"};
    uint64_t n;

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(duration_parse(str_of(bad[i]), &n), -EINVAL);
        assert_int_equal(size_parse(str_of(bad[i]), &n), -EINVAL);
    }
    assert_int_equal(size_parse(STR("64kb"), &n), -EINVAL);
    assert_int_equal(size_parse(STR("64K"), &n), -EINVAL);
}

static void what_does_not_fit_64_bits_is_out_of_range(void **state)
{
    uint64_t n;

    assert_int_equal(duration_parse(STR("18446744073709551615ms"), &n), 0);
    assert_int_equal(duration_parse(STR("18446744073709551616ms"), &n),
                     -ERANGE);
    assert_int_equal(duration_parse(STR("18446744073709551615s"), &n),
                     -ERANGE);
    assert_int_equal(size_parse(STR("99999999999999999999999B"), &n), -ERANGE);
}

static void rates_are_counts_per_unit(void **state)
{
    uint64_t n, ms;

    assert_int_equal(rate_parse(STR("10/s"), &n, &ms), 0);
    assert_int_equal(n, 10);
    assert_int_equal(ms, 1000);
    assert_int_equal(rate_parse(STR("30/m"), &n, &ms), 0);
    assert_int_equal(ms, 60000);
    assert_int_equal(rate_parse(STR("0/s"), &n, &ms), -EINVAL);
    assert_int_equal(rate_parse(STR("10"), &n, &ms), -EINVAL);
    assert_int_equal(rate_parse(STR("/s"), &n, &ms), -EINVAL);
    assert_int_equal(rate_parse(STR("10/"), &n, &ms), -EINVAL);
    assert_int_equal(rate_parse(STR("10/ms"), &n, &ms), -EINVAL);
    assert_int_equal(rate_parse(STR("1.5/s"), &n, &ms), -EINVAL);
    assert_int_equal(rate_parse(STR("99999999999999999999/s"), &n, &ms),
                     -ERANGE);
}

static void printing_takes_the_largest_unit_that_divides(void **state)
{
    char out[UNITS_TEXT_MAX];

    assert_string_equal(duration_print(0, out), "0s");
    assert_string_equal(duration_print(1500, out), "1500ms");
    assert_string_equal(duration_print(60000, out), "1m");
    assert_string_equal(duration_print(90000, out), "90s");
    assert_string_equal(duration_print(UINT64_MAX, out),
                        "18446744073709551615ms");
    assert_string_equal(size_print(0, out), "0B");
    assert_string_equal(size_print(65536, out), "64KiB");
    assert_string_equal(size_print(10000, out), "10KB");
    assert_string_equal(size_print(15, out), "15B");
}

static void what_is_printed_parses_back(void **state)
{
    char out[UNITS_TEXT_MAX];
    uint64_t n;

    for (uint64_t v = 0; v < 100000; v += 37) {
        assert_int_equal(duration_parse(str_of(duration_print(v, out)), &n),
                         0);
        assert_int_equal(n, v);
        assert_int_equal(size_parse(str_of(size_print(v, out)), &n), 0);
        assert_int_equal(n, v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_have_five_units),
        cmocka_unit_test(sizes_are_decimal_or_binary),
        cmocka_unit_test(anything_else_is_invalid),
        cmocka_unit_test(what_does_not_fit_64_bits_is_out_of_range),
        cmocka_unit_test(rates_are_counts_per_unit),
        cmocka_unit_test(printing_takes_the_largest_unit_that_divides),
        cmocka_unit_test(what_is_printed_parses_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
