/* src/wire/command.c */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "wire/command.h"

static int parse(struct command *c, const char *text)
{
    const char *why;
    int rc = command_parse(c, str_of(text), &why);

    if (rc < 0)
        assert_non_null(why);
    return rc;
}

static void subscribe_names_a_channel_and_perhaps_a_place(void **state)
{
    struct command c;

    assert_int_equal(parse(&c, "{\"subscribe\":\"a\"}"), 0);
    assert_int_equal(c.kind, COMMAND_SUBSCRIBE);
    assert_true(str_eq(c.channel, STR("a")));
    assert_null(c.since.p);
    command_fini(&c);
    assert_int_equal(parse(&c, " { \"since\" : \"-1\", \"subscribe\":\"\" } "), 0);
    assert_true(str_eq(c.channel, STR("")));
    assert_true(str_eq(c.since, STR("-1")));
    command_fini(&c);
}

static void unsubscribe_names_a_channel(void **state)
{
    struct command c;

    assert_int_equal(parse(&c, "{\"unsubscribe\":\"\\u00e4\"}"), 0);
    assert_int_equal(c.kind, COMMAND_UNSUBSCRIBE);
    assert_true(str_eq(c.channel, STR("\xc3\xa4")));
    command_fini(&c);
}

static void anything_else_is_none(void **state)
{
    static const char *const none[] = {
        "", "hi", "1", "null", "[]", "{}", "{\"subscribe\":1}",
        "{\"subscribe\":\"a\",\"unsubscribe\":\"a\"}",
        "{\"subscribe\":\"a\",\"subscribe\":\"b\"}",
        "{\"subscribe\":\"a\",\"since\":1}", "{\"subscribe\":\"a\"} x",
        "{\"subscribe\":\"\\u0000\"}", "{\"subscribe\":\"\xff\"}",
    };
    struct command c;

    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_int_equal(parse(&c, none[i]), -EINVAL);
}

static void cut_anywhere_it_is_none(void **state)
{
    static const char text[] = "{\"subscribe\":\"news\",\"since\":\"now\"}";
    const char *why;
    struct command c;

    for (size_t n = 0; n < sizeof(text) - 1; n++)
        assert_int_equal(command_parse(&c, (struct str){text, n}, &why),
                         -EINVAL);
}

static void assert_is(struct buffer *b, const char *want)
{
    assert_true(str_eq(buffer_str(b), str_of(want)));
    buffer_fini(b);
}

static void answers_are_json(void **state)
{
    struct buffer b = {0};

    command_subscribed(&b, STR("a\"b"), STR("e-1"));
    assert_is(&b, "{\"subscribed\":\"a\\\"b\",\"id\":\"e-1\"}");
    command_unsubscribed(&b, STR("a"));
    assert_is(&b, "{\"unsubscribed\":\"a\"}");
    command_error(&b, STR("a"), 0, STR("no"));
    assert_is(&b, "{\"error\":{\"channel\":\"a\",\"detail\":\"no\"}}");
    command_error(&b, STR_NONE, 503, STR("no"));
    assert_is(&b, "{\"error\":{\"status\":503,\"detail\":\"no\"}}");
    command_reply(&b, STR("text/plain"), STR("ok"));
    assert_is(&b, "{\"event\":\"message\",\"data\":\"ok\",\"reply\":true}");
    command_reply(&b, STR_NONE, STR("\xff"));
    assert_is(&b, "{\"event\":\"message\",\"data\":\"/w==\","
                  "\"encoding\":\"base64\",\"reply\":true}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(subscribe_names_a_channel_and_perhaps_a_place),
        cmocka_unit_test(unsubscribe_names_a_channel),
        cmocka_unit_test(anything_else_is_none),
        cmocka_unit_test(cut_anywhere_it_is_none),
        cmocka_unit_test(answers_are_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
