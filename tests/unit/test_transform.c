/* src/feed/transform.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "feed/transform.h"

#define assert_str(s, want)                                                    \
    do {                                                                       \
        struct str s_ = (s);                                                   \
        assert_int_equal(s_.n, strlen(want));                                  \
        assert_memory_equal(s_.p, want, s_.n);                                 \
    } while (0)

static struct transform t;

static void apply(struct transform_settings how, const char *data)
{
    struct message_parts parts = {
        .data = str_of(data),
        .type = STR("old"),
        .content_type = STR("text/plain"),
    };

    transform_init(&t, &how, &parts, STR("7"));
}

static void what_is_named_is_picked(void **state)
{
    apply((struct transform_settings){.event = "/e", .id = "/n", .data = "/p"},
          "{\"e\":\"tr\\u0061de\", \"n\":9007199254740993, \"p\": {\"x\" : 1.10} }");
    assert_false(t.missed);
    assert_str(t.parts.type, "trade");
    assert_str(t.id, "9007199254740993");
    assert_str(t.parts.data, "{\"x\" : 1.10}");
    assert_str(t.parts.content_type, "application/json");
    transform_fini(&t);
}

static void what_is_not_named_stays(void **state)
{
    apply((struct transform_settings){.event = "/e"}, "{\"e\":1}");
    assert_false(t.missed);
    assert_str(t.parts.type, "1");
    assert_str(t.id, "7");
    assert_str(t.parts.data, "{\"e\":1}");
    assert_str(t.parts.content_type, "text/plain");
    transform_fini(&t);
}

static void what_is_not_there_stays_and_is_told(void **state)
{
    apply((struct transform_settings){.event = "/e", .id = "/n", .data = "/p"},
          "{\"n\":\"8\"}");
    assert_true(t.missed);
    assert_str(t.parts.type, "old");
    assert_str(t.id, "\"8\"");
    assert_str(t.parts.data, "{\"n\":\"8\"}");
    transform_fini(&t);
}

static void what_is_no_json_stays_and_is_told(void **state)
{
    static const char *const bad[] = {"ping", "", "{\"e\":1", "\xff"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        apply((struct transform_settings){.event = ""}, bad[i]);
        assert_true(t.missed);
        assert_str(t.parts.type, "old");
        assert_str(t.parts.data, bad[i]);
        transform_fini(&t);
    }
}

static void without_pointers_nothing_is_looked_at(void **state)
{
    apply((struct transform_settings){0}, "ping");
    assert_false(t.missed);
    assert_str(t.parts.data, "ping");
    transform_fini(&t);
}

static void text_is_what_a_string_says(void **state)
{
    apply((struct transform_settings){.text = "/p"},
          "{\"p\":\"{\\\"id\\\":\\\"1\\\"}\\n\\u20ac\"}");
    assert_str(t.parts.data, "{\"id\":\"1\"}\n\xe2\x82\xac");
    assert_null(t.parts.content_type.p);
    transform_fini(&t);
    apply((struct transform_settings){.text = "/p"}, "{\"p\":\"\"}");
    assert_false(t.missed);
    assert_int_equal(t.parts.data.n, 0);
    transform_fini(&t);
    apply((struct transform_settings){.text = "/p"}, "{\"p\":[ 1 ]}");
    assert_str(t.parts.data, "[ 1 ]");
    assert_str(t.parts.content_type, "application/json");
    transform_fini(&t);
}

static void a_type_that_could_forge_is_none(void **state)
{
    static const char *const bad[] = {
        "{\"e\":\"a\\nb\"}", "{\"e\":\"a\\rb\"}", "{\"e\":\"a\\u0000\"}",
        "{\"e\":\"\"}",      "{\"e\":null}",      "{\"e\":true}",
        "{\"e\":{}}",        "{\"e\":[1]}",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        apply((struct transform_settings){.event = "/e"}, bad[i]);
        assert_true(t.missed);
        assert_str(t.parts.type, "old");
        transform_fini(&t);
    }
}

static void a_type_may_be_as_long_as_a_publisher_s(void **state)
{
    struct buffer b = {0};

    buffer_printf(&b, "[\"%0*d\"]%c", MESSAGE_TYPE_MAX, 0, 0);
    apply((struct transform_settings){.event = "/0"}, b.data);
    assert_false(t.missed);
    assert_int_equal(t.parts.type.n, MESSAGE_TYPE_MAX);
    transform_fini(&t);
    b.len = 0;
    buffer_printf(&b, "[\"%0*d\"]%c", MESSAGE_TYPE_MAX + 1, 0, 0);
    apply((struct transform_settings){.event = "/0"}, b.data);
    assert_true(t.missed);
    transform_fini(&t);
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_named_is_picked),
        cmocka_unit_test(what_is_not_named_stays),
        cmocka_unit_test(what_is_not_there_stays_and_is_told),
        cmocka_unit_test(what_is_no_json_stays_and_is_told),
        cmocka_unit_test(without_pointers_nothing_is_looked_at),
        cmocka_unit_test(text_is_what_a_string_says),
        cmocka_unit_test(a_type_that_could_forge_is_none),
        cmocka_unit_test(a_type_may_be_as_long_as_a_publisher_s),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
