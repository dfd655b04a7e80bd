/* src/bench/letter.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <cmocka.h>

#include "bench/letter.h"

#define RUN 0x12345678u

static struct letter_form form;
static struct buffer text;

static void begin(size_t size, bool json)
{
    assert_int_equal(letter_form_init(&form, size, json, RUN), 0);
}

static void end(void)
{
    letter_form_fini(&form);
    buffer_fini(&text);
}

static const struct letter sent = {0xabcdef, 0x01020304,
                                   UINT64_C(0x0fedcba987654321)};

static void assert_sent(const struct letter *l)
{
    assert_int_equal(l->channel, sent.channel);
    assert_int_equal(l->number, sent.number);
    assert_true(l->time_us == sent.time_us);
}

static void every_size_comes_back(void **state)
{
    for (int json = 0; json <= 1; json++)
        for (size_t n = letter_size_min(json); n < 400; n++) {
            struct letter found;
            struct str rest;

            begin(n, json);
            letter_write(&form, &sent, &text);
            assert_int_equal(text.len, n);
            rest = buffer_str(&text);
            assert_int_equal(letter_next(&form, &rest, &found), LETTER_OURS);
            assert_sent(&found);
            assert_int_equal(letter_next(&form, &rest, &found), LETTER_NONE);
            end();
        }
}

static void one_too_small_is_none(void **state)
{
    for (int json = 0; json <= 1; json++) {
        assert_int_equal(
            letter_form_init(&form, letter_size_min(json) - 1, json, RUN),
            -EINVAL);
        letter_form_fini(&form);
    }
}

static void several_are_found_in_what_stands_around_them(void **state)
{
    struct letter found;
    struct str rest;

    begin(100, true);
    for (int i = 0; i < 3; i++) {
        buffer_append_str(&text, STR("data: [\"PSB\",\n"));
        letter_write(&form, &sent, &text);
        buffer_append_str(&text, STR("]\n\n"));
    }
    rest = buffer_str(&text);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(letter_next(&form, &rest, &found), LETTER_OURS);
        assert_sent(&found);
    }
    assert_int_equal(letter_next(&form, &rest, &found), LETTER_NONE);
    end();
}

/* Whatever is cut off is never taken for the whole. */
static void one_that_is_cut_is_corrupt(void **state)
{
    begin(120, false);
    letter_write(&form, &sent, &text);
    for (size_t n = 0; n < text.len; n++) {
        struct str rest = {text.data, n};
        struct letter found;

        assert_int_equal(letter_next(&form, &rest, &found),
                         n < 5 ? LETTER_NONE : LETTER_CORRUPT);
        assert_int_equal(letter_next(&form, &rest, &found), LETTER_NONE);
    }
    end();
}

/* Of the numbers any digit may be another digit: that is another letter. */
static bool is_digit_of_numbers(size_t at)
{
    return (at >= 14 && at < 20) || (at >= 21 && at < 29) ||
           (at >= 30 && at < 46);
}

static void one_with_another_octet_is_told(void **state)
{
    begin(120, false);
    letter_write(&form, &sent, &text);
    for (size_t at = 0; at < text.len; at++) {
        struct str rest = buffer_str(&text);
        char was = text.data[at];
        struct letter found;
        enum letter_found is;

        text.data[at] = was == '0' ? '1' : '0';
        is = letter_next(&form, &rest, &found);
        if (at < 5)
            assert_int_equal(is, LETTER_NONE);
        else if (at < 13)
            assert_int_equal(is, LETTER_FOREIGN);
        else
            assert_int_equal(is, is_digit_of_numbers(at) ? LETTER_OURS
                                                         : LETTER_CORRUPT);
        text.data[at] = was;
    }
    end();
}

static void those_of_another_run_are_foreign(void **state)
{
    struct letter_form other;
    struct letter found;
    struct str rest;

    begin(80, false);
    assert_int_equal(letter_form_init(&other, 60, false, RUN + 1), 0);
    letter_write(&other, &sent, &text);
    letter_write(&form, &sent, &text);
    rest = buffer_str(&text);
    assert_int_equal(letter_next(&form, &rest, &found), LETTER_FOREIGN);
    assert_int_equal(letter_next(&form, &rest, &found), LETTER_OURS);
    assert_sent(&found);
    letter_form_fini(&other);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_comes_back),
        cmocka_unit_test(one_too_small_is_none),
        cmocka_unit_test(several_are_found_in_what_stands_around_them),
        cmocka_unit_test(one_that_is_cut_is_corrupt),
        cmocka_unit_test(one_with_another_octet_is_told),
        cmocka_unit_test(those_of_another_run_are_foreign),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
