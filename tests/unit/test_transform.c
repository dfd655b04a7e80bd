/* src/feed/transform.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "feed/transform.h"

static const struct transform_settings all = {"/type", "/seq", "/payload"};

/* What comes of this data; whether all was there. */
static bool apply(const struct transform_settings *t, const char *data,
                  const char *type, const char *id, const char *want)
{
    struct message_parts parts = {.data = str_of(data), .type = STR("before")};
    struct transformed out = {{0}, {0}};
    struct str picked = STR("old");
    bool whole = transform_apply(t, &parts, &picked, &out);

    assert_true(str_eq(parts.type, str_of(type)));
    assert_true(str_eq(picked, str_of(id)));
    assert_true(str_eq(parts.data, str_of(want)));
    transformed_fini(&out);
    return whole;
}

static void all_three_are_picked_as_they_stand(void **state)
{
    assert_true(apply(&all, "{\"type\":\"tr\\u0061de\",\"seq\":17,"
                            "\"payload\": {\"p\":1.10,\"n\":9007199254740993}}",
                      "trade", "17", "{\"p\":1.10,\"n\":9007199254740993}"));
    assert_true(apply(&all, "{\"seq\":\"a-1\",\"type\":\"x\",\"payload\":null}",
                      "x", "a-1", "null"));
}

static void what_is_not_set_is_left(void **state)
{
    const struct transform_settings event = {.event = "/type"};

    assert_true(apply(&event, "{\"type\":\"x\"}", "x", "old", "{\"type\":\"x\"}"));
    assert_true(transform_is_set(&event));
    assert_false(transform_is_set(&(struct transform_settings){.id = NULL}));
}

static void what_is_not_there_is_left_and_told(void **state)
{
    assert_false(apply(&all, "{\"type\":\"x\"}", "x", "old", "{\"type\":\"x\"}"));
    assert_false(apply(&all, "{\"payload\":1}", "before", "old", "1"));
    assert_false(apply(&all, "no json", "before", "old", "no json"));
    assert_false(apply(&all, "[]", "before", "old", "[]"));
}

static void what_would_forge_a_field_is_none(void **state)
{
    const struct transform_settings event = {.event = "/t"};

    assert_false(apply(&event, "{\"t\":\"a\\ndata: b\"}", "before", "old",
                       "{\"t\":\"a\\ndata: b\"}"));
    assert_false(apply(&event, "{\"t\":\"\"}", "before", "old", "{\"t\":\"\"}"));
    assert_false(apply(&event, "{\"t\":{}}", "before", "old", "{\"t\":{}}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_three_are_picked_as_they_stand),
        cmocka_unit_test(what_is_not_set_is_left),
        cmocka_unit_test(what_is_not_there_is_left_and_told),
        cmocka_unit_test(what_would_forge_a_field_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
