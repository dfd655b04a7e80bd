/* src/wire/prefixed.c */
#include "parsing.h"

#include <errno.h>

#include "wire/prefixed.h"

#define LIMIT 300

static int on_record(void *arg, struct str record)
{
    buffer_append_str(arg, record);
    buffer_append_byte(arg, ';');
    return 0;
}

static void on_bad(void *arg, const char *why)
{
    buffer_append_str(arg, STR("bad;"));
}

static const struct prefixed_parser_ops ops = {on_record, on_bad};

/* What is no length is the last that is seen. */
static void run(enum prefix prefix, struct buffer *seen, struct str input,
                size_t first, size_t step)
{
    struct prefixed_parser p;
    struct str piece;
    int rc = 0;

    prefixed_parser_init(&p, prefix, &ops, seen, LIMIT);
    while (rc == 0 && next_piece(&input, &piece, &first, step))
        rc = prefixed_parser_feed(&p, piece.p, piece.n);
    if (rc < 0) {
        assert_int_equal(rc, -EPROTO);
        buffer_append_str(seen, STR("lost;"));
    } else {
        prefixed_parser_end(&p);
    }
    prefixed_parser_fini(&p);
}

static void run_decimal(struct buffer *seen, struct str input, size_t first,
                        size_t step)
{
    run(PREFIX_DECIMAL, seen, input, first, step);
}

static void run_uint32(struct buffer *seen, struct str input, size_t first,
                       size_t step)
{
    run(PREFIX_UINT32, seen, input, first, step);
}

#define DECIMAL(literal, want) assert_parses(run_decimal, STR(literal), want)
#define UINT32(literal, want)  assert_parses(run_uint32, STR(literal), want)

static void digits_stand_before_each_record(void **state)
{
    DECIMAL("7{\"n\":1}9{\"n\":\"}\"}", "{\"n\":1};{\"n\":\"}\"};");
    DECIMAL("7 {\"n\":1}2 []", "{\"n\":1};[];");
}

static void digits_may_have_a_line_of_their_own(void **state)
{
    DECIMAL("9\r\n{\"n\":1}\r\n4\r\n[]\r\n", "{\"n\":1}\r\n;[]\r\n;");
    DECIMAL("7\n{\"n\":1}\n2\n[]\n", "{\"n\":1};[];");
}

static void white_space_between_is_life(void **state)
{
    DECIMAL("\r\n\r\n2\r\n{}\r\n\r\n", "{};");
    DECIMAL("0\n\n2\n{}0\n", "{};");
}

static void four_octets_stand_before_each_record(void **state)
{
    UINT32("\0\0\0\7{\"n\":1}\0\0\0\0\0\0\0\2\n\0", "{\"n\":1};\n");
}

static void what_is_no_length_is_the_end(void **state)
{
    DECIMAL("2[]x2[]", "[];lost;");
    DECIMAL("2\r[]", "lost;");
    DECIMAL("-2[]", "lost;");
    DECIMAL("1234567890123456789 ", "lost;");
}

static void a_record_over_the_limit_is_left_out(void **state)
{
    struct buffer input = {0}, octets = {0};

    buffer_printf(&input, "%d ", LIMIT + 1);
    buffer_append(&octets, "\0\0\1\55", 4);
    for (int i = 0; i < LIMIT + 1; i++)
        buffer_append_byte(&input, '7');
    buffer_append(&octets, input.data + 4, LIMIT + 1);
    buffer_append_str(&input, STR("2[]"));
    buffer_append(&octets, "\0\0\0\2[]", 6);
    assert_parses(run_decimal, buffer_str(&input), "bad;[];");
    assert_parses(run_uint32, buffer_str(&octets), "bad;[];");
    buffer_fini(&input);
    buffer_fini(&octets);
}

static void a_record_as_large_as_the_limit_passes(void **state)
{
    struct buffer input = {0};
    char want[LIMIT + 2];

    memset(want, 'x', LIMIT);
    strcpy(want + LIMIT, ";");
    buffer_printf(&input, "%d", LIMIT);
    buffer_append(&input, want, LIMIT);
    assert_parses(run_decimal, buffer_str(&input), want);
    buffer_fini(&input);
}

static void half_a_record_at_the_end_is_told(void **state)
{
    DECIMAL("2[]3[]", "[];bad;");
    DECIMAL("2[]3", "[];bad;");
    UINT32("\0\0\0\2[", "bad;");
    UINT32("\0\0", "bad;");
    DECIMAL("999[]", "bad;");
}

static int stop(void *arg, struct str record)
{
    return -ECANCELED;
}

static void a_callback_may_stop_the_feed(void **state)
{
    static const struct prefixed_parser_ops stopping = {stop, on_bad};
    struct prefixed_parser p;

    prefixed_parser_init(&p, PREFIX_DECIMAL, &stopping, NULL, LIMIT);
    assert_int_equal(prefixed_parser_feed(&p, "2[]2[]", 6), -ECANCELED);
    assert_int_equal(prefixed_parser_feed(&p, "2[", 2), 0);
    assert_int_equal(prefixed_parser_feed(&p, "]", 1), -ECANCELED);
    prefixed_parser_fini(&p);
}

static void running_out_of_memory_is_told(void **state)
{
    struct buffer seen = {0};
    struct prefixed_parser p;

    prefixed_parser_init(&p, PREFIX_DECIMAL, &ops, &seen, LIMIT);
    memory_fails_at(1);
    assert_int_equal(prefixed_parser_feed(&p, "2[", 2), -ENOMEM);
    assert_int_equal(prefixed_parser_feed(&p, "]", 1), -ENOMEM);
    memory_fails_at(0);
    prefixed_parser_restart(&p);
    assert_int_equal(prefixed_parser_feed(&p, "2[]", 3), 0);
    assert_true(str_eq(buffer_str(&seen), STR("[];")));
    prefixed_parser_fini(&p);
    buffer_fini(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digits_stand_before_each_record),
        cmocka_unit_test(digits_may_have_a_line_of_their_own),
        cmocka_unit_test(white_space_between_is_life),
        cmocka_unit_test(four_octets_stand_before_each_record),
        cmocka_unit_test(what_is_no_length_is_the_end),
        cmocka_unit_test(a_record_over_the_limit_is_left_out),
        cmocka_unit_test(a_record_as_large_as_the_limit_passes),
        cmocka_unit_test(half_a_record_at_the_end_is_told),
        cmocka_unit_test(a_callback_may_stop_the_feed),
        cmocka_unit_test(running_out_of_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
