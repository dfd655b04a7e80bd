/* src/hub/cursor.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "hub/cursor.h"

#define EPOCH UINT64_C(0x0123456789)

static struct cursor parse(const char *z)
{
    return cursor_parse(str_of(z));
}

static struct cursor etags(const char *z)
{
    return cursor_parse_etags(str_of(z));
}

static void an_id_is_an_epoch_and_a_seq(void **state)
{
    char id[ID_MAX];

    assert_int_equal(id_format(id, 1, 42), 11);
    assert_string_equal(id, "00000001-42");
}

static void the_longest_id_fits(void **state)
{
    char id[ID_MAX];
    size_t n = id_format(id, (UINT64_C(1) << 40) - 1, UINT64_MAX);

    assert_string_equal(id, "vvvvvvvv-18446744073709551615");
    assert_int_equal(n, strlen(id));
    assert_true(n < ID_MAX);
}

static void an_id_is_of_harmless_octets(void **state)
{
    char id[ID_MAX];

    id_format(id, epoch_new(), 7);
    assert_int_equal(strspn(id, "0123456789abcdefghijklmnopqrstuv-"),
                     strlen(id));
}

static void what_was_formatted_parses(void **state)
{
    static const uint64_t seqs[] = {0, 1, 9, 10, 4294967296, UINT64_MAX};
    char id[ID_MAX];

    for (size_t i = 0; i < sizeof(seqs) / sizeof(seqs[0]); i++) {
        struct cursor c;

        id_format(id, EPOCH, seqs[i]);
        c = parse(id);
        assert_int_equal(c.kind, CURSOR_ID);
        assert_int_equal(c.epoch, EPOCH);
        assert_int_equal(c.seq, seqs[i]);
    }
}

static void epochs_differ_and_are_not_zero(void **state)
{
    uint64_t before = 0;

    for (int i = 0; i < 100; i++) {
        uint64_t e = epoch_new();

        assert_int_not_equal(e, 0);
        assert_int_not_equal(e, before);
        assert_true(e < UINT64_C(1) << 40);
        before = e;
    }
}

static void nothing_is_no_cursor(void **state)
{
    assert_int_equal(cursor_parse(STR_NONE).kind, CURSOR_NONE);
    assert_int_equal(parse("").kind, CURSOR_NONE);
}

static void words_parse(void **state)
{
    assert_int_equal(parse("now").kind, CURSOR_NOW);
    assert_int_equal(parse("oldest").kind, CURSOR_OLDEST);
}

static void minus_n_is_the_last_n(void **state)
{
    assert_int_equal(parse("-1").kind, CURSOR_LAST_N);
    assert_int_equal(parse("-1").seq, 1);
    assert_int_equal(parse("-0").seq, 0);
    assert_int_equal(parse("-18446744073709551615").seq, UINT64_MAX);
}

static void what_is_not_ours_is_alien(void **state)
{
    static const char *const alien[] = {
        "Now", "NOW", " now", "now ", "newest", "-", "--1", "-1x", "- 1", "1",
        "42", "-18446744073709551616", "00000001", "00000001-",
        "00000001-x", "00000001--1", "00000001-1 ", "00000001-+1",
        "0000000-1", "000000001-1", "0000000w-1", "0000000A-1", "0000000\xff-1",
        "00000001-18446744073709551616", "00000001_1", "\xff", "%00",
        "00000001-99999999999999999999999999999999999999", "null", "\"now\"",
    };

    for (size_t i = 0; i < sizeof(alien) / sizeof(alien[0]); i++)
        if (parse(alien[i]).kind != CURSOR_ALIEN)
            fail_msg("%s is taken for ours", alien[i]);
}

static void nul_inside_is_alien(void **state)
{
    assert_int_equal(cursor_parse((struct str){"now\0", 4}).kind,
                     CURSOR_ALIEN);
    assert_int_equal(cursor_parse((struct str){"00000001-1\0", 11}).kind,
                     CURSOR_ALIEN);
    assert_int_equal(cursor_parse((struct str){"0000000\0-1", 10}).kind,
                     CURSOR_ALIEN);
}

static void four_kib_of_anything_is_alien(void **state)
{
    static const char octets[] = "0-, \"Wvz\\\xff";
    char big[4096];

    for (size_t i = 0; i < sizeof(octets) - 1; i++) {
        memset(big, octets[i], sizeof(big));
        assert_int_equal(
            cursor_parse((struct str){big, sizeof(big)}).kind, CURSOR_ALIEN);
        assert_int_equal(
            cursor_parse_etags((struct str){big, sizeof(big)}).kind,
            CURSOR_NONE);
    }
}

static void four_kib_of_digits_is_alien(void **state)
{
    char big[4096];

    memset(big, '9', sizeof(big));
    memcpy(big, "00000001-", 9);
    assert_int_equal(cursor_parse((struct str){big, sizeof(big)}).kind,
                     CURSOR_ALIEN);
    big[0] = '-';
    memset(big + 1, '9', 8);
    assert_int_equal(cursor_parse((struct str){big, sizeof(big)}).kind,
                     CURSOR_ALIEN);
}

static void a_quoted_etag_is_a_cursor(void **state)
{
    assert_int_equal(etags("\"00000001-7\"").kind, CURSOR_ID);
    assert_int_equal(etags("\"00000001-7\"").seq, 7);
}

static void a_weak_etag_is_a_cursor(void **state)
{
    assert_int_equal(etags("W/\"00000001-7\"").seq, 7);
}

static void a_bare_etag_is_a_cursor(void **state)
{
    assert_int_equal(etags("00000001-7").seq, 7);
}

static void the_first_of_ours_in_a_list_counts(void **state)
{
    struct cursor c =
        etags("\"abc\", W/\"x,y\" ,, W/\"00000001-7\", \"00000001-8\"");

    assert_int_equal(c.kind, CURSOR_ID);
    assert_int_equal(c.seq, 7);
}

static void an_etag_inside_another_does_not_count(void **state)
{
    assert_int_equal(etags("\"a, 00000001-7, b\"").kind, CURSOR_NONE);
}

static void etags_that_are_no_ids_are_no_cursor(void **state)
{
    static const char *const none[] = {
        "", "*", "\"\"", "W/", "W/\"\"", "\"", "\"now\"", "\"oldest\"", "now",
        "\"-1\"", ",", ", ,", "\"00000001-7", "00000001-7\"",
        "w/\"00000001-7\"",
    };

    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        if (etags(none[i]).kind != CURSOR_NONE)
            fail_msg("%s is taken for a cursor", none[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_an_epoch_and_a_seq),
        cmocka_unit_test(the_longest_id_fits),
        cmocka_unit_test(an_id_is_of_harmless_octets),
        cmocka_unit_test(what_was_formatted_parses),
        cmocka_unit_test(epochs_differ_and_are_not_zero),
        cmocka_unit_test(nothing_is_no_cursor),
        cmocka_unit_test(words_parse),
        cmocka_unit_test(minus_n_is_the_last_n),
        cmocka_unit_test(what_is_not_ours_is_alien),
        cmocka_unit_test(nul_inside_is_alien),
        cmocka_unit_test(four_kib_of_anything_is_alien),
        cmocka_unit_test(four_kib_of_digits_is_alien),
        cmocka_unit_test(a_quoted_etag_is_a_cursor),
        cmocka_unit_test(a_weak_etag_is_a_cursor),
        cmocka_unit_test(a_bare_etag_is_a_cursor),
        cmocka_unit_test(the_first_of_ours_in_a_list_counts),
        cmocka_unit_test(an_etag_inside_another_does_not_count),
        cmocka_unit_test(etags_that_are_no_ids_are_no_cursor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
