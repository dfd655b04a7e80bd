/* src/wire/pointer.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/pointer.h"

/* RFC 6901 5. */
static const char example[] =
    "{\"foo\": [\"bar\", \"baz\"], \"\": 0, \"a/b\": 1, \"c%d\": 2,"
    "\"e^f\": 3, \"g|h\": 4, \"i\\\\j\": 5, \"k\\\"l\": 6, \" \": 7,"
    "\"m~n\": 8 }";

#define assert_found(document, pointer, want)                                  \
    do {                                                                       \
        struct str v_;                                                         \
        assert_true(pointer_find(str_of(document), STR(pointer), &v_));        \
        assert_true(str_eq(v_, STR(want)));                                    \
    } while (0)

#define assert_lost(document, pointer)                                         \
    do {                                                                       \
        struct str v_;                                                         \
        assert_false(pointer_find(str_of(document), STR(pointer), &v_));       \
    } while (0)

static void the_standards_examples_hold(void **state)
{
    assert_found(example, "/foo", "[\"bar\", \"baz\"]");
    assert_found(example, "/foo/0", "\"bar\"");
    assert_found(example, "/", "0");
    assert_found(example, "/a~1b", "1");
    assert_found(example, "/c%d", "2");
    assert_found(example, "/e^f", "3");
    assert_found(example, "/g|h", "4");
    assert_found(example, "/i\\j", "5");
    assert_found(example, "/k\"l", "6");
    assert_found(example, "/ ", "7");
    assert_found(example, "/m~0n", "8");
}

static void values_stand_as_they_are_written(void **state)
{
    assert_found(" { \"a\" : 1.10 , \"b\":[ 9007199254740993 , 1E400]}", "/a",
                 "1.10");
    assert_found("{\"b\":[ 9007199254740993 , 1E400 ]}", "/b/0",
                 "9007199254740993");
    assert_found("{\"b\":[ 9007199254740993 , 1E400 ]}", "/b/1", "1E400");
    assert_found(" [ 1 ] ", "", "[ 1 ]");
    assert_found("{\"a\":{\"b\":{\"c\":null}}}", "/a/b/c", "null");
    assert_found("{\"\\u0061\":1}", "/a", "1");
}

static void what_is_not_there_is_not_found(void **state)
{
    assert_lost(example, "/foo/2");
    assert_lost(example, "/foo/00");
    assert_lost(example, "/foo/-");
    assert_lost(example, "/foo/x");
    assert_lost(example, "/foo/0/1");
    assert_lost(example, "/bar");
    assert_lost("[]", "/0");
    assert_lost("{}", "/");
    assert_lost("1", "/0");
}

static void a_pointer_begins_with_a_slash_and_escapes_well(void **state)
{
    assert_true(pointer_valid(STR("")));
    assert_true(pointer_valid(STR("/")));
    assert_true(pointer_valid(STR("/a~0~1//")));
    assert_false(pointer_valid(STR("a")));
    assert_false(pointer_valid(STR("/~")));
    assert_false(pointer_valid(STR("/~2")));
    assert_false(pointer_valid(STR("/\xff")));
}

static void a_walk_gives_each_item_once(void **state)
{
    static const char *const want[] = {"1", "\"]\"", "{\"a\":[]}"};
    struct str array = STR(" [1, \"]\" ,{\"a\":[]} ] "), name, item;
    size_t at = 0, n = 0;

    while (pointer_next(array, &at, &name, &item)) {
        assert_null(name.p);
        assert_true(str_eq(item, str_of(want[n++])));
    }
    assert_int_equal(n, 3);
    at = 0;
    assert_false(pointer_next(STR("[ ]"), &at, &name, &item));
    at = 0;
    assert_false(pointer_next(STR("\"[1]\""), &at, &name, &item));
}

static void text_of(const char *json, struct str want)
{
    struct buffer b = {0};

    pointer_text(str_of(json), &b);
    assert_true(str_eq(buffer_str(&b), want));
    buffer_fini(&b);
}

static void strings_are_read(void **state)
{
    text_of("\"a\\n\\t\\\"\\\\\\/\\b\\f\\r\"", STR("a\n\t\"\\/\b\f\r"));
    text_of("\"\\u00e4\\u20AC\\ud83d\\ude80\"",
            STR("\xc3\xa4\xe2\x82\xac\xf0\x9f\x9a\x80"));
    text_of("\"\\ud83d\\u0041\\udc00\"", STR("\xef\xbf\xbd" "A\xef\xbf\xbd"));
    text_of("17", STR("17"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_standards_examples_hold),
        cmocka_unit_test(values_stand_as_they_are_written),
        cmocka_unit_test(what_is_not_there_is_not_found),
        cmocka_unit_test(a_pointer_begins_with_a_slash_and_escapes_well),
        cmocka_unit_test(a_walk_gives_each_item_once),
        cmocka_unit_test(strings_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
