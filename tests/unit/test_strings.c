#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>

#include "base/strings.h"

static void assert_str(struct str s, const char *want)
{
    assert_int_equal(s.n, strlen(want));
    assert_memory_equal(s.p, want, s.n);
}

static void a_slice_of_null_is_absent(void **state)
{
    assert_null(str_of(NULL).p);
    assert_int_equal(str_of(NULL).n, 0);
    assert_str(str_of("ab"), "ab");
}

static void slices_compare_by_octet(void **state)
{
    assert_true(str_eq(STR("a\0b"), STR("a\0b")));
    assert_false(str_eq(STR("a"), STR("A")));
    assert_false(str_eq(STR("a"), STR("ab")));
    assert_true(str_eq(STR_NONE, STR("")));
}

static void only_ascii_letters_lose_their_case(void **state)
{
    assert_true(str_eq_nocase(STR("WebSocket"), STR("websocKET")));
    assert_false(str_eq_nocase(STR("@"), STR("`")));
    assert_false(str_eq_nocase(STR("["), STR("{")));
    assert_false(str_eq_nocase(STR("\xc3\x84"), STR("\xc3\xa4")));
}

static void everything_starts_with_nothing(void **state)
{
    assert_true(str_starts(STR("abc"), STR("ab")));
    assert_false(str_starts(STR("a"), STR("ab")));
    assert_true(str_starts(STR("a"), STR("")));
    assert_true(str_starts(STR_NONE, STR_NONE));
}

static void space_and_tab_are_trimmed(void **state)
{
    assert_str(str_trim(STR(" \t a b\t ")), "a b");
    assert_str(str_trim(STR("\ra\n")), "\ra\n");
    assert_int_equal(str_trim(STR(" \t")).n, 0);
}

static void a_list_gives_its_elements(void **state)
{
    struct str rest = STR(" a , ,b;q=\"x,\\\",y\",\tc"), e;

    assert_true(str_list_next(&rest, &e));
    assert_str(e, "a");
    assert_true(str_list_next(&rest, &e));
    assert_str(e, "b;q=\"x,\\\",y\"");
    assert_true(str_list_next(&rest, &e));
    assert_str(e, "c");
    assert_false(str_list_next(&rest, &e));
}

static void an_unclosed_quote_runs_to_the_end(void **state)
{
    struct str rest = STR("a\"b,c\\"), e;

    assert_true(str_list_next(&rest, &e));
    assert_str(e, "a\"b,c\\");
    assert_false(str_list_next(&rest, &e));
}

static void quoted_strings_close_or_not(void **state)
{
    static const char *const closed[] = {"", "a", "a, \"b\", c", "\"a,b\"",
                                         "\"\\\"\"", "\\", "\"\\\\\", \"\""};
    static const char *const open[] = {"\"", "a, \"b", "\"a\", \"b, c",
                                       "\"a\\\"", "\"\\", "\"a\"\", b"};

    for (size_t i = 0; i < sizeof(closed) / sizeof(*closed); i++)
        assert_true(str_quotes_close(str_of(closed[i])));
    for (size_t i = 0; i < sizeof(open) / sizeof(*open); i++)
        assert_false(str_quotes_close(str_of(open[i])));
}

static void a_list_is_searched_without_case(void **state)
{
    assert_true(str_list_has(STR("keep-alive, Upgrade"), STR("upgrade")));
    assert_false(str_list_has(STR("upgraded"), STR("upgrade")));
    assert_false(str_list_has(STR_NONE, STR("upgrade")));
}

static void a_split_gives_head_and_rest(void **state)
{
    struct str head, rest = str_split(STR("a=b=c"), '=', &head);

    assert_str(head, "a");
    assert_str(rest, "b=c");
    rest = str_split(STR("a="), '=', &head);
    assert_non_null(rest.p);
    assert_int_equal(rest.n, 0);
    rest = str_split(STR("a"), '=', &head);
    assert_null(rest.p);
    assert_str(head, "a");
}

static void numbers_are_digits_that_fit(void **state)
{
    uint64_t n = 7;

    assert_true(str_to_u64(STR("18446744073709551615"), &n));
    assert_true(n == UINT64_MAX);
    assert_true(str_to_u64(STR("000"), &n));
    assert_int_equal(n, 0);
    n = 7;
    assert_false(str_to_u64(STR("18446744073709551616"), &n));
    assert_false(str_to_u64(STR("99999999999999999999"), &n));
    assert_false(str_to_u64(STR(""), &n));
    assert_false(str_to_u64(STR("-1"), &n));
    assert_false(str_to_u64(STR("1 "), &n));
    assert_int_equal(n, 7);
}

static void a_query_gives_its_values_decoded(void **state)
{
    char out[16];

    assert_int_equal(
        str_query_get(STR("a=1&since=x%2Dy+z&since=2"), "since", out, 16), 5);
    assert_string_equal(out, "x-y z");
    assert_int_equal(str_query_get(STR("presence"), "presence", out, 16), 0);
    assert_int_equal(str_query_get(STR("a=1"), "b", out, 16), -ENOENT);
    assert_int_equal(str_query_get(STR_NONE, "b", out, 16), -ENOENT);
    assert_int_equal(str_query_get(STR("a=%zz"), "a", out, 16), -EINVAL);
    assert_int_equal(str_query_get(STR("a=12345678"), "a", out, 8), -EINVAL);
}

static void a_name_in_a_query_is_whole(void **state)
{
    char out[16];

    assert_int_equal(str_query_get(STR("xsince=1&since2=2"), "since", out, 16),
                     -ENOENT);
}

static void percent_escapes_are_decoded(void **state)
{
    char out[8];

    assert_int_equal(str_percent_decode(STR("a%2fB%C3+"), out, 8), 5);
    assert_string_equal(out, "a/B\xc3+");
    assert_int_equal(str_percent_decode(STR("1234567"), out, 8), 7);
    assert_int_equal(str_percent_decode(STR("12345678"), out, 8), -EINVAL);
}

static void bad_escapes_are_refused(void **state)
{
    char out[8];

    assert_int_equal(str_percent_decode(STR("%"), out, 8), -EINVAL);
    assert_int_equal(str_percent_decode(STR("%4"), out, 8), -EINVAL);
    assert_int_equal(str_percent_decode(STR("%g0"), out, 8), -EINVAL);
    assert_int_equal(str_percent_decode(STR("%00"), out, 8), -EINVAL);
    assert_int_equal(str_percent_decode(STR("a\0b"), out, 8), -EINVAL);
    assert_int_equal(str_percent_decode(STR(""), out, 0), -EINVAL);
}

static void media_types_compare_without_parameters_and_case(void **state)
{
    assert_true(str_media_is(STR("Text/Event-Stream ;charset=utf-8"),
                             "text/event-stream"));
    assert_false(str_media_is(STR("text/event-streams"), "text/event-stream"));
}

/* The verdict of a check that knows nothing of tables: decode and see. */
static bool decodes(const unsigned char *p, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

    for (size_t i = 0, len; i < n; i += len) {
        uint32_t c = p[i];

        len = c < 0x80 ? 1 : c < 0xc0 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        if (len == 0 || c > 0xf7 || len > n - i)
            return false;
        if (len > 1)
            c &= 0x7fu >> len;
        for (size_t j = 1; j < len; j++) {
            if (p[i + j] >> 6 != 2)
                return false;
            c = c << 6 | (p[i + j] & 0x3f);
        }
        if (c < least[len] || c > 0x10ffff || c >> 11 == 0x1b)
            return false;
    }
    return true;
}

static void utf8_is_told_from_other_octets(void **state)
{
    static const unsigned char tails[] = {0x00, 0x41, 0x7f, 0x80, 0x8f,
                                          0x90, 0x9f, 0xa0, 0xbf, 0xc0,
                                          0xc2, 0xe0, 0xff};
    unsigned char p[12] = "12345678";
    const size_t m = sizeof(tails);

    for (unsigned i = 0; i < 256 * m * m * m; i++) {
        p[8] = (unsigned char)(i & 0xff);
        p[9] = tails[i / 256 % m];
        p[10] = tails[i / 256 / m % m];
        p[11] = tails[i / 256 / m / m];
        for (size_t n = 9; n <= 12; n++)
            assert_int_equal(str_utf8_valid((struct str){(char *)p, n}),
                             decodes(p, n));
    }
}

static void the_ends_of_utf8_are_in_it(void **state)
{
    assert_true(str_utf8_valid(STR("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80")));
    assert_true(str_utf8_valid(STR("\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf")));
    assert_true(str_utf8_valid(STR("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")));
    assert_true(str_utf8_valid(STR("a\0b")));
    assert_true(str_utf8_valid(STR_NONE));
}

static void utf8_may_come_in_pieces(void **state)
{
    static const char text[] = "12345678\xc2\x80\xe2\x82\xac\xf0\x9f\x9a\x8bz";
    const size_t n = sizeof(text) - 1;

    for (size_t at = 0; at <= n; at++) {
        uint8_t s = 0;

        assert_int_equal(str_utf8_scan(&s, (struct str){text, at}), at);
        assert_int_equal(s != 0, (at > 8 && (text[at] & 0xc0) == 0x80));
        assert_int_equal(str_utf8_scan(&s, (struct str){text + at, n - at}),
                         n - at);
        assert_int_equal(s, 0);
    }
}

static void a_scan_stops_at_the_bad_octet(void **state)
{
    uint8_t s = 0;

    assert_int_equal(str_utf8_scan(&s, STR("123456789\xe2\x82z")), 11);
    s = 0;
    assert_int_equal(str_utf8_scan(&s, STR("12345678\xff")), 8);
}

static void the_nearest_name_is_suggested(void **state)
{
    static const char *const names[] = {"transports", "history", "heartbeat"};

    assert_string_equal(str_nearest("transport", names, 3), "transports");
    assert_string_equal(str_nearest("hartbeat", names, 3), "heartbeat");
    assert_null(str_nearest("colour", names, 3));
    assert_null(str_nearest("", names, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slice_of_null_is_absent),
        cmocka_unit_test(slices_compare_by_octet),
        cmocka_unit_test(only_ascii_letters_lose_their_case),
        cmocka_unit_test(everything_starts_with_nothing),
        cmocka_unit_test(space_and_tab_are_trimmed),
        cmocka_unit_test(a_list_gives_its_elements),
        cmocka_unit_test(an_unclosed_quote_runs_to_the_end),
        cmocka_unit_test(quoted_strings_close_or_not),
        cmocka_unit_test(a_list_is_searched_without_case),
        cmocka_unit_test(a_split_gives_head_and_rest),
        cmocka_unit_test(numbers_are_digits_that_fit),
        cmocka_unit_test(a_query_gives_its_values_decoded),
        cmocka_unit_test(a_name_in_a_query_is_whole),
        cmocka_unit_test(percent_escapes_are_decoded),
        cmocka_unit_test(bad_escapes_are_refused),
        cmocka_unit_test(media_types_compare_without_parameters_and_case),
        cmocka_unit_test(utf8_is_told_from_other_octets),
        cmocka_unit_test(the_ends_of_utf8_are_in_it),
        cmocka_unit_test(utf8_may_come_in_pieces),
        cmocka_unit_test(a_scan_stops_at_the_bad_octet),
        cmocka_unit_test(the_nearest_name_is_suggested),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
