#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "http/headers.h"

static void add(struct headers *h, const char *name, const char *value)
{
    assert_int_equal(headers_add(h, str_of(name), str_of(value)), 0);
}

static void get_finds_the_first_without_case(void **state)
{
    struct headers h = {0};

    add(&h, "X-Other", "0");
    add(&h, "x-NAME", "1");
    add(&h, "X-Name", "2");
    assert_true(str_eq(headers_get(&h, "X-Name"), STR("1")));
    headers_fini(&h);
}

static void an_absent_field_differs_from_an_empty_one(void **state)
{
    struct headers h = {0};

    add(&h, "Empty", "");
    assert_non_null(headers_get(&h, "Empty").p);
    assert_null(headers_get(&h, "Absent").p);
    headers_fini(&h);
}

static void the_only_one_of_two_is_none(void **state)
{
    struct headers h = {0};

    add(&h, "A", "1");
    add(&h, "B", "2");
    add(&h, "b", "2");
    assert_true(str_eq(headers_get_only(&h, "a"), STR("1")));
    assert_null(headers_get_only(&h, "B").p);
    assert_null(headers_get_only(&h, "C").p);
    headers_fini(&h);
}

static void next_walks_fields_of_one_name_in_order(void **state)
{
    struct headers h = {0};
    struct str value;
    unsigned at = 0;

    add(&h, "A", "1");
    add(&h, "B", "2");
    add(&h, "a", "3");
    assert_true(headers_next(&h, "A", &at, &value));
    assert_true(str_eq(value, STR("1")));
    assert_true(headers_next(&h, "A", &at, &value));
    assert_true(str_eq(value, STR("3")));
    assert_false(headers_next(&h, "A", &at, &value));
    headers_fini(&h);
}

static void a_list_is_searched_over_all_its_lines(void **state)
{
    struct headers h = {0};

    add(&h, "Connection", "x, y");
    add(&h, "connection", "\tClose\t");
    assert_true(headers_list_has(&h, "Connection", "close"));
    assert_true(headers_list_has(&h, "Connection", "Y"));
    assert_false(headers_list_has(&h, "Connection", "clos"));
    assert_false(headers_list_has(&h, "Upgrade", "close"));
    headers_fini(&h);
}

static void a_thousand_fields_are_kept_in_order(void **state)
{
    struct headers h = {0};
    char names[1000][16];

    for (int i = 0; i < 1000; i++) {
        snprintf(names[i], sizeof(names[i]), "n%d", i);
        add(&h, names[i], names[i]);
    }
    for (int i = 0; i < 1000; i++)
        assert_true(str_eq(headers_get(&h, names[i]), str_of(names[i])));
    assert_int_equal(h.count, 1000);
    headers_fini(&h);
    assert_int_equal(h.count, 0);
}

static void a_field_is_written_with_colon_space_and_crlf(void **state)
{
    struct buffer out = {0};

    header_write(&out, STR("Name"), STR("value"));
    header_write(&out, STR("Empty"), STR_NONE);
    assert_true(str_eq(buffer_str(&out), STR("Name: value\r\nEmpty: \r\n")));
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(get_finds_the_first_without_case),
        cmocka_unit_test(an_absent_field_differs_from_an_empty_one),
        cmocka_unit_test(the_only_one_of_two_is_none),
        cmocka_unit_test(next_walks_fields_of_one_name_in_order),
        cmocka_unit_test(a_list_is_searched_over_all_its_lines),
        cmocka_unit_test(a_thousand_fields_are_kept_in_order),
        cmocka_unit_test(a_field_is_written_with_colon_space_and_crlf),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
