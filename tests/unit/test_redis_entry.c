/* modules/redis/entry.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "redis/entry.h"

static void ids_are_numbers_in_two_halves(void **state)
{
    struct entry_id id;

    assert_true(entry_id_parse(&id, STR("1526919030474-55")));
    assert_true(id.ms == 1526919030474u && id.seq == 55);
    assert_true(entry_id_parse(&id, STR("7")));
    assert_true(id.ms == 7 && id.seq == 0);
    assert_false(entry_id_parse(&id, STR("")));
    assert_false(entry_id_parse(&id, STR("7-")));
    assert_false(entry_id_parse(&id, STR("7-1-2")));
    assert_false(entry_id_parse(&id, STR("18446744073709551616-0")));
}

static void ids_compare_by_both_halves(void **state)
{
    struct entry_id a = {9, 5}, b = {10, 1}, c = {10, 2};

    assert_true(entry_id_compare(a, b) < 0 && entry_id_compare(b, c) < 0);
    assert_true(entry_id_compare(c, a) > 0 && entry_id_compare(c, c) == 0);
}

/* What an entry with these fields is, as "TYPE|DATA|CONTENT-TYPE", or "none". */
static void assert_parts(const char *resp, const char *field,
                         const char *expected)
{
    redisReader *reader = redisReaderCreate();
    struct buffer json = {0}, text = {0};
    struct message_parts parts;
    void *reply = NULL;

    redisReaderFeed(reader, resp, strlen(resp));
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    if (entry_parts(&parts, reply, field, &json))
        buffer_printf(&text, "%.*s|%.*s|%.*s", STR_ARG(parts.type),
                      STR_ARG(parts.data), STR_ARG(parts.content_type));
    else
        buffer_printf(&text, "none");
    buffer_append_byte(&text, '\0');
    assert_string_equal(text.data, expected);
    buffer_fini(&json);
    buffer_fini(&text);
    freeReplyObject(reply);
    redisReaderFree(reader);
}

static void the_field_data_is_the_data(void **state)
{
    assert_parts("*4\r\n$1\r\na\r\n$1\r\n1\r\n$4\r\ndata\r\n$2\r\nhi\r\n", NULL,
                 "|hi|");
    assert_parts("*4\r\n$5\r\nevent\r\n$1\r\ne\r\n$4\r\ndata\r\n$0\r\n\r\n", NULL,
                 "e||");
}

static void without_it_all_fields_are(void **state)
{
    assert_parts("*4\r\n$1\r\na\r\n$1\r\n\"\r\n$1\r\nb\r\n$1\r\n2\r\n", NULL,
                 "|{\"a\":\"\\\"\",\"b\":\"2\"}|application/json");
    assert_parts("*0\r\n", NULL, "|{}|application/json");
}

static void a_field_that_is_named_has_to_be_there(void **state)
{
    assert_parts("*2\r\n$1\r\na\r\n$1\r\n1\r\n", "a", "|1|");
    assert_parts("*2\r\n$4\r\ndata\r\n$1\r\n1\r\n", "a", "none");
}

static void what_is_no_entry_is_none(void **state)
{
    assert_parts(":1\r\n", NULL, "none");
    assert_parts("*2\r\n$1\r\na\r\n:1\r\n", NULL, "none");
    assert_parts("*2\r\n$1\r\na\r\n$-1\r\n", NULL, "none");
    assert_parts("*1\r\n$4\r\ndata\r\n", "data", "none");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_numbers_in_two_halves),
        cmocka_unit_test(ids_compare_by_both_halves),
        cmocka_unit_test(the_field_data_is_the_data),
        cmocka_unit_test(without_it_all_fields_are),
        cmocka_unit_test(a_field_that_is_named_has_to_be_there),
        cmocka_unit_test(what_is_no_entry_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
