#include "parsing.h"

#include <errno.h>

static void assert_holds(struct buffer *b, const char *want)
{
    assert_true(str_eq(buffer_str(b), str_of(want)));
    assert_false(b->failed);
}

static void all_zero_is_an_empty_buffer(void **state)
{
    struct buffer b = {0};

    assert_int_equal(buffer_str(&b).n, 0);
    buffer_append(&b, NULL, 0);
    buffer_append_str(&b, STR_NONE);
    assert_null(b.data);
    buffer_fini(&b);
}

static void appends_add_up(void **state)
{
    struct buffer b = {0};

    buffer_append(&b, "ab", 2);
    buffer_append_str(&b, STR("cd"));
    buffer_append_byte(&b, 'e');
    buffer_printf(&b, "%s-%d", "f", 7);
    assert_holds(&b, "abcdef-7");
    buffer_fini(&b);
}

static void numbers_are_written_in_decimal(void **state)
{
    struct buffer b = {0};

    buffer_append_u64(&b, 0);
    buffer_append_byte(&b, ' ');
    buffer_append_u64(&b, 109);
    buffer_append_byte(&b, ' ');
    buffer_append_u64(&b, UINT64_MAX);
    assert_true(str_eq(buffer_str(&b), STR("0 109 18446744073709551615")));
    buffer_fini(&b);
}

static void a_buffer_grows_and_keeps_its_bytes(void **state)
{
    struct buffer b = {0};

    for (int i = 0; i < 100000; i++)
        buffer_append_byte(&b, (char)i);
    assert_int_equal(b.len, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(b.data[i], (char)i);
    buffer_fini(&b);
}

static void printf_may_outgrow_the_buffer(void **state)
{
    struct buffer b = {0};

    buffer_printf(&b, "%200d", 1);
    assert_int_equal(b.len, 200);
    assert_int_equal(b.data[199], '1');
    buffer_fini(&b);
}

static void a_reserve_makes_room_for_all(void **state)
{
    struct buffer b = {0};

    assert_int_equal(buffer_reserve(&b, 5000), 0);
    assert_true(b.cap >= 5000);
    assert_int_equal(b.len, 0);
    buffer_fini(&b);
}

static void dropping_moves_the_rest_to_the_front(void **state)
{
    struct buffer b = {0};

    buffer_append_str(&b, STR("abcdef"));
    buffer_drop(&b, 0);
    assert_holds(&b, "abcdef");
    buffer_drop(&b, 2);
    assert_holds(&b, "cdef");
    buffer_drop(&b, 100);
    assert_int_equal(b.len, 0);
    buffer_fini(&b);
}

#define U_FFFD "\xef\xbf\xbd"

static void assert_reads_as(const char *octets, const char *want)
{
    struct buffer b = {0};

    buffer_append_utf8(&b, str_of(octets));
    assert_true(str_utf8_valid(buffer_str(&b)));
    assert_holds(&b, want);
    buffer_fini(&b);
}

static void utf8_is_appended_as_it_is(void **state)
{
    assert_reads_as("", "");
    assert_reads_as("z\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\x8b",
                    "z\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\x8b");
}

static void octets_that_begin_nothing_are_replaced_one_by_one(void **state)
{
    assert_reads_as("a\xff\xfe" "b\x80", "a" U_FFFD U_FFFD "b" U_FFFD);
    assert_reads_as("\xc0\xaf", U_FFFD U_FFFD);
    assert_reads_as("\xed\xa0\x80", U_FFFD U_FFFD U_FFFD);
    assert_reads_as("\xf4\x90\x80\x80", U_FFFD U_FFFD U_FFFD U_FFFD);
}

static void a_character_that_breaks_off_is_replaced_once(void **state)
{
    assert_reads_as("\xe2\x82", U_FFFD);
    assert_reads_as("\xe2\x82" "A", U_FFFD "A");
    assert_reads_as("\xf0\x9f\x9a\xf0\x9f\x9a\x8b",
                    U_FFFD "\xf0\x9f\x9a\x8b");
    assert_reads_as("\xc3\xc3\xa9", U_FFFD "\xc3\xa9");
}

static void too_much_is_out_of_memory(void **state)
{
    struct buffer b = {0};

    buffer_append_byte(&b, 'a');
    assert_int_equal(buffer_reserve(&b, SIZE_MAX), -ENOMEM);
    assert_true(b.failed);
    buffer_fini(&b);
    assert_int_equal(buffer_reserve(&b, SIZE_MAX - 10), -ENOMEM);
    assert_true(b.failed);
    buffer_fini(&b);
}

static void a_failed_buffer_stays_as_it_is(void **state)
{
    struct buffer b = {0};

    buffer_append_str(&b, STR("abc"));
    memory_fails_at(1);
    assert_int_equal(buffer_reserve(&b, 1000), -ENOMEM);
    memory_fails_at(0);
    buffer_append_byte(&b, 'd');
    buffer_printf(&b, "e");
    assert_true(b.failed);
    assert_true(str_eq(buffer_str(&b), STR("abc")));
    buffer_fini(&b);
}

static void a_finished_buffer_is_usable_again(void **state)
{
    struct buffer b = {.failed = true};

    buffer_fini(&b);
    buffer_append_byte(&b, 'a');
    assert_holds(&b, "a");
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_zero_is_an_empty_buffer),
        cmocka_unit_test(appends_add_up),
        cmocka_unit_test(numbers_are_written_in_decimal),
        cmocka_unit_test(a_buffer_grows_and_keeps_its_bytes),
        cmocka_unit_test(printf_may_outgrow_the_buffer),
        cmocka_unit_test(a_reserve_makes_room_for_all),
        cmocka_unit_test(dropping_moves_the_rest_to_the_front),
        cmocka_unit_test(utf8_is_appended_as_it_is),
        cmocka_unit_test(octets_that_begin_nothing_are_replaced_one_by_one),
        cmocka_unit_test(a_character_that_breaks_off_is_replaced_once),
        cmocka_unit_test(too_much_is_out_of_memory),
        cmocka_unit_test(a_failed_buffer_stays_as_it_is),
        cmocka_unit_test(a_finished_buffer_is_usable_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
