#include "parsing.h"

#include "wire/json.h"

#define VALID(literal)   assert_true(json_valid(STR(literal)))
#define INVALID(literal) assert_false(json_valid(STR(literal)))
#define LENGTH(literal)  json_value_length(STR(literal))

static void every_kind_of_value_is_valid(void **state)
{
    VALID("{}");
    VALID("[]");
    VALID("\"\"");
    VALID("true");
    VALID("false");
    VALID("null");
    VALID("0");
    VALID(" \t\r\n{ \"a\" : [ 1 , { } , \"b\" ] , \"c\" : null } \n");
}

static void numbers_may_have_any_size(void **state)
{
    VALID("1E400");
    VALID("-0.0e-999999");
    VALID("123456789012345678901234567890");
    VALID("{\"id\":9007199254740993,\"f\":1.10,\"k\":1,\"k\":2}");
}

static void numbers_have_one_syntax(void **state)
{
    INVALID("01");
    INVALID("-");
    INVALID("+1");
    INVALID(".5");
    INVALID("1.");
    INVALID("1e");
    INVALID("1e+");
    INVALID("0x10");
    INVALID("1.5.2");
    INVALID("-01");
    INVALID("0\xff");
    INVALID("NaN");
    INVALID("Infinity");
}

static void words_have_one_spelling(void **state)
{
    INVALID("True");
    INVALID("tru");
    INVALID("truee");
    INVALID("nullfalse");
    INVALID("undefined");
}

static void commas_and_colons_have_their_places(void **state)
{
    INVALID("[1,]");
    INVALID("[,1]");
    INVALID("[1 2]");
    INVALID("{\"a\":1,}");
    INVALID("{\"a\" 1}");
    INVALID("{\"a\":}");
    INVALID("{a:1}");
    INVALID("{1:1}");
    INVALID("{,}");
    INVALID("[1}");
    INVALID("{\"a\":1]");
    INVALID("]");
    INVALID("");
    INVALID(" ");
    INVALID("// c\n1");
    INVALID("\xef\xbb\xbf{}");
}

static void there_is_one_value(void **state)
{
    INVALID("{}{}");
    INVALID("1 2");
    INVALID("[] x");
}

static void strings_have_their_escapes(void **state)
{
    VALID("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uABcd\"");
    INVALID("\"\\x\"");
    INVALID("\"\\u12g4\"");
    INVALID("\"\\\0\"");
    INVALID("'a'");
}

static void a_lone_surrogate_escape_is_carried(void **state)
{
    VALID("\"\\ud800\"");
}

static void strings_hold_no_control_octets(void **state)
{
    char text[] = "\"aaaaaaaa?aaaaaaa\"";

    for (int c = 0; c < 0x80; c++) {
        bool ok = c >= 0x20 && c != '"' && c != '\\';

        for (size_t at = 1; at < sizeof(text) - 2; at++) {
            char old = text[at];

            text[at] = (char)c;
            assert_int_equal(json_valid(STR(text)), ok);
            text[at] = old;
        }
    }
}

static void strings_are_utf8(void **state)
{
    VALID("\"\x7f\xc2\x80 \xe2\x82\xac\xf0\x9f\x9a\x8b\"");
    INVALID("\"\xff\"");
    INVALID("\"\xe2\x82\"");
    INVALID("\"\xed\xa0\x80\"");
    INVALID("\"\xc0\xaf\"");
    INVALID("\"\xf4\x90\x80\x80\"");
    INVALID("{\"\xff\":1}");
}

static void a_value_ends_where_the_next_begins(void **state)
{
    assert_int_equal(LENGTH("{\"n\":3}{\"n\":4}"), 7);
    assert_int_equal(LENGTH("  [1]\n"), 5);
    assert_int_equal(LENGTH("12"), 2);
    assert_int_equal(LENGTH("12 13"), 2);
    assert_int_equal(LENGTH("\"a\"\"b\""), 3);
}

static void every_front_of_a_value_is_incomplete(void **state)
{
    static const char text[] =
        " {\"a\\u00e9\\n\":[-1.5e+3,true,false,null,{},[]],"
        "\"\xe2\x82\xac\":\"\xf0\x9f\x9a\x8b\"}";

    for (size_t n = 0; n < sizeof(text) - 1; n++)
        assert_int_equal(json_value_length((struct str){text, n}), 0);
    assert_int_equal(LENGTH(text), sizeof(text) - 1);
}

static void what_cannot_become_json_is_told_at_once(void **state)
{
    assert_int_equal(LENGTH("{\"a\":tx"), -1);
    assert_int_equal(LENGTH("[1,]"), -1);
    assert_int_equal(LENGTH("\"\xe2\x28"), -1);
    assert_int_equal(LENGTH("x"), -1);
}

static ssize_t nested(unsigned depth, char open, char close)
{
    struct buffer b = {0};
    ssize_t n;

    for (unsigned i = 0; i < depth; i++)
        buffer_append(&b, open == '{' ? "{\"a\":" : "[", open == '{' ? 5 : 1);
    buffer_append_byte(&b, '1');
    for (unsigned i = 0; i < depth; i++)
        buffer_append_byte(&b, close);
    n = json_value_length(buffer_str(&b));
    buffer_fini(&b);
    return n;
}

static void nesting_has_a_limit(void **state)
{
    assert_int_equal(nested(JSON_DEPTH_MAX, '[', ']'), 2 * JSON_DEPTH_MAX + 1);
    assert_int_equal(nested(JSON_DEPTH_MAX, '{', '}'), 6 * JSON_DEPTH_MAX + 1);
    assert_int_equal(nested(JSON_DEPTH_MAX + 1, '[', ']'), -1);
    assert_int_equal(nested(100000, '[', ']'), -1);
    assert_int_equal(nested(3, '[', '}'), -1);
}

static void only_objects_and_arrays_are_containers(void **state)
{
    assert_true(json_is_container(STR(" {} ")));
    assert_true(json_is_container(STR("[1]")));
    assert_false(json_is_container(STR("1")));
    assert_false(json_is_container(STR("\"{}\"")));
    assert_false(json_is_container(STR("{")));
    assert_false(json_is_container(STR_NONE));
}

static void assert_written(struct str s, const char *want)
{
    struct buffer out = {0};

    json_append_string(&out, s);
    assert_true(json_valid(buffer_str(&out)));
    buffer_append_byte(&out, '\0');
    assert_string_equal(out.data, want);
    buffer_fini(&out);
}

#define WRITES(literal, want) assert_written(STR(literal), want)

static void a_string_is_written_with_its_escapes(void **state)
{
    WRITES("", "\"\"");
    assert_written(STR_NONE, "\"\"");
    WRITES("a\"b\\c/d", "\"a\\\"b\\\\c/d\"");
    WRITES("\b\f\n\r\t\x01\x1f\x7f", "\"\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
    WRITES("a\0b", "\"a\\u0000b\"");
    WRITES("12345678\"12345678", "\"12345678\\\"12345678\"");
}

static void utf8_is_written_as_it_is(void **state)
{
    WRITES("\xe2\x82\xac \xf0\x9f\x9a\x8b",
           "\"\xe2\x82\xac \xf0\x9f\x9a\x8b\"");
}

#define FFFD "\xef\xbf\xbd"

static void what_is_no_utf8_becomes_a_replacement_character(void **state)
{
    WRITES("a\xff\x62", "\"a" FFFD "b\"");
    WRITES("\xe2\x82", "\"" FFFD "\"");
    WRITES("\xe2\x82\xe2\x82\xac\x80", "\"" FFFD "\xe2\x82\xac" FFFD "\"");
    WRITES("\xf0\x9f\x9a"
           "A",
           "\"" FFFD "A\"");
    WRITES("\xed\xa0\x80", "\"" FFFD FFFD FFFD "\"");
    WRITES("\xc0\xaf", "\"" FFFD FFFD "\"");
}

static void writing_without_memory_sets_failed(void **state)
{
    struct buffer out = {0};

    memory_fails_at(1);
    json_append_string(&out, STR("a"));
    memory_fails_at(0);
    assert_true(out.failed);
    assert_int_equal(out.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_is_valid),
        cmocka_unit_test(numbers_may_have_any_size),
        cmocka_unit_test(numbers_have_one_syntax),
        cmocka_unit_test(words_have_one_spelling),
        cmocka_unit_test(commas_and_colons_have_their_places),
        cmocka_unit_test(there_is_one_value),
        cmocka_unit_test(strings_have_their_escapes),
        cmocka_unit_test(a_lone_surrogate_escape_is_carried),
        cmocka_unit_test(strings_hold_no_control_octets),
        cmocka_unit_test(strings_are_utf8),
        cmocka_unit_test(a_value_ends_where_the_next_begins),
        cmocka_unit_test(every_front_of_a_value_is_incomplete),
        cmocka_unit_test(what_cannot_become_json_is_told_at_once),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(only_objects_and_arrays_are_containers),
        cmocka_unit_test(a_string_is_written_with_its_escapes),
        cmocka_unit_test(utf8_is_written_as_it_is),
        cmocka_unit_test(what_is_no_utf8_becomes_a_replacement_character),
        cmocka_unit_test(writing_without_memory_sets_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
