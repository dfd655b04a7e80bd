/* src/hub/message.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "hub/encoding.h"
#include "hub/hub.h"
#include "hub/message.h"
#include "memory.h"

static struct message *made_of(struct str data, struct str type,
                               struct str content_type)
{
    const struct message_parts parts = {data, type, content_type};

    return message_new(&parts);
}

#define assert_str(s, literal) assert_true(str_eq(s, STR(literal)))

static void it_keeps_copies_of_its_parts(void **state)
{
    char data[] = "data", type[] = "type", media[] = "text/css";
    struct message *m =
        made_of((struct str){data, 4}, (struct str){type, 4},
                (struct str){media, 8});

    memset(type, '#', 4);
    memset(media, '#', 8);
    memset(data, '#', 4);
    assert_str(message_data(m), "data");
    assert_str(m->type, "type");
    assert_str(m->content_type, "text/css");
    message_unref(&m);
}

static void an_absent_type_is_message(void **state)
{
    struct message *m = made_of(STR("x"), STR_NONE, STR_NONE);

    assert_str(m->type, "message");
    message_unref(&m);
}

static void an_empty_type_is_message(void **state)
{
    struct message *m = made_of(STR("x"), STR(""), STR(""));

    assert_str(m->type, "message");
    assert_str(m->content_type, "text/plain; charset=utf-8");
    message_unref(&m);
}

static void text_is_plain_by_default(void **state)
{
    struct message *m = made_of(STR("x"), STR_NONE, STR_NONE);

    assert_int_equal(m->kind, ENVELOPE_TEXT);
    assert_str(m->content_type, "text/plain; charset=utf-8");
    message_unref(&m);
}

static void an_object_is_json_by_default(void **state)
{
    struct message *m = made_of(STR("{\"a\":1}"), STR_NONE, STR_NONE);

    assert_int_equal(m->kind, ENVELOPE_JSON);
    assert_str(m->content_type, "application/json");
    message_unref(&m);
}

static void what_is_no_utf8_is_binary_by_default(void **state)
{
    struct message *m = made_of(STR("\xff\xfe"), STR_NONE, STR_NONE);

    assert_int_equal(m->kind, ENVELOPE_BINARY);
    assert_str(m->content_type, "application/octet-stream");
    message_unref(&m);
}

static void data_may_be_empty(void **state)
{
    struct message *m = made_of(STR_NONE, STR_NONE, STR_NONE);

    assert_int_equal(m->len, 0);
    assert_str(m->type, "message");
    message_unref(&m);
}

static void data_may_hold_nul(void **state)
{
    struct message *m = made_of((struct str){"a\0b", 3}, STR_NONE, STR_NONE);

    assert_int_equal(m->len, 3);
    assert_memory_equal(m->data, "a\0b", 3);
    message_unref(&m);
}

static void it_is_born_now(void **state)
{
    struct message *m;

    clock_stop_at(5000000);
    m = made_of(STR("x"), STR_NONE, STR_NONE);
    clock_stop_at(0);
    assert_int_equal(m->born_us, 5000000);
    assert_int_equal(m->time_ms, 5000);
    message_unref(&m);
}

static void the_last_reference_frees(void **state)
{
    struct message *m = made_of(STR("x"), STR_NONE, STR_NONE);
    struct message *again = message_ref(m);

    assert_ptr_equal(again, m);
    message_unref(&m);
    assert_null(m);
    assert_str(message_data(again), "x");
    message_unref(&again);
    assert_null(again);
}

static void unref_of_nothing_is_fine(void **state)
{
    struct message *m = NULL;

    message_unref(&m);
    assert_null(m);
}

static void its_wires_are_freed_with_it(void **state)
{
    static struct hub hub;
    static union {
        struct channel channel;
        char room[sizeof(struct channel) + 1]; /* and its name's end */
    } home = {.channel.hub = &hub};
    struct message *m = made_of(STR("x"), STR_NONE, STR_NONE);

    m->home = &home.channel;
    for (int i = 0; i < WIRE_N; i++)
        assert_non_null(message_wire(m, (enum wire_format)i));
    message_unref(&m); /* the sanitizer finds what is not */
}

static void without_memory_there_is_none(void **state)
{
    struct message *m;

    memory_fails_at(1);
    m = made_of(STR("x"), STR_NONE, STR_NONE);
    assert_true(memory_ran_out());
    assert_null(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_keeps_copies_of_its_parts),
        cmocka_unit_test(an_absent_type_is_message),
        cmocka_unit_test(an_empty_type_is_message),
        cmocka_unit_test(text_is_plain_by_default),
        cmocka_unit_test(an_object_is_json_by_default),
        cmocka_unit_test(what_is_no_utf8_is_binary_by_default),
        cmocka_unit_test(data_may_be_empty),
        cmocka_unit_test(data_may_hold_nul),
        cmocka_unit_test(it_is_born_now),
        cmocka_unit_test(the_last_reference_frees),
        cmocka_unit_test(unref_of_nothing_is_fine),
        cmocka_unit_test(its_wires_are_freed_with_it),
        cmocka_unit_test(without_memory_there_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
