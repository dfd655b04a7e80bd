#include "parsing.h"

#include <errno.h>

#include "wire/ndjson.h"

static int on_value(void *arg, struct str value)
{
    buffer_append_str(arg, value);
    buffer_append_byte(arg, ';');
    return 0;
}

static void on_bad(void *arg, const char *why, struct str line)
{
    assert_true(line.n <= NDJSON_BAD_BYTES);
    buffer_append_str(arg, STR("bad;"));
}

static void on_keepalive(void *arg)
{
    buffer_append_str(arg, STR("alive;"));
}

static const struct ndjson_parser_ops ops = {on_value, on_bad, on_keepalive};

#define LIMIT 300

static void run(struct buffer *seen, struct str input, size_t first,
                size_t step)
{
    struct ndjson_parser p;
    struct str piece;

    ndjson_parser_init(&p, &ops, seen, LIMIT);
    while (next_piece(&input, &piece, &first, step))
        assert_int_equal(ndjson_parser_feed(&p, piece.p, piece.n), 0);
    buffer_append_str(seen, STR("end;"));
    assert_int_equal(ndjson_parser_end(&p), 0);
    ndjson_parser_fini(&p);
}

#define PARSES(literal, want) assert_parses(run, STR(literal), want)

static void lf_separates_values(void **state)
{
    PARSES("{\"n\":1}\n{\"n\":2}\n", "{\"n\":1};{\"n\":2};end;");
}

static void crlf_is_tolerated(void **state)
{
    PARSES("{\"n\":1}\r\n[2]\r\n", "{\"n\":1};[2];end;");
}

static void blank_lines_are_keepalives(void **state)
{
    PARSES("\n\r\n{\"n\":2}\r\n \t\n", "alive;alive;{\"n\":2};alive;end;");
}

static void two_values_on_a_line_are_two(void **state)
{
    PARSES("{\"n\":3}{\"n\":4}\n", "{\"n\":3};{\"n\":4};end;");
    PARSES(" {\"n\":3} [4]\t5 \"6\" null\n", "{\"n\":3};[4];5;\"6\";null;end;");
}

static void a_container_needs_no_lf(void **state)
{
    struct buffer seen = {0};
    struct ndjson_parser p;

    ndjson_parser_init(&p, &ops, &seen, LIMIT);
    ndjson_parser_feed(&p, "{\"a\":\"}\\\"", 9);
    ndjson_parser_feed(&p, "{\"}[1,[2]]{\"b\":", 15);
    assert_true(str_eq(buffer_str(&seen), STR("{\"a\":\"}\\\"{\"};[1,[2]];")));
    ndjson_parser_feed(&p, "0}\n", 3);
    ndjson_parser_feed(&p, "\n", 1);
    assert_true(str_eq(buffer_str(&seen),
                       STR("{\"a\":\"}\\\"{\"};[1,[2]];{\"b\":0};alive;")));
    ndjson_parser_fini(&p);
    buffer_fini(&seen);
}

static void a_stream_without_lf_is_delivered(void **state)
{
    PARSES("{\"status\":\"create\",\"Actor\":{\"ID\":\"f}{\"}}"
           "{\"status\":\"start\",\"Actor\":{\"ID\":\"f\\\\\"}}"
           "[]{}",
           "{\"status\":\"create\",\"Actor\":{\"ID\":\"f}{\"}};"
           "{\"status\":\"start\",\"Actor\":{\"ID\":\"f\\\\\"}};[];{};end;");
}

static void a_bad_line_is_skipped(void **state)
{
    PARSES("{\"n\":5\n{\"n\":6}\n", "bad;{\"n\":6};end;");
    PARSES("{]}{\"n\":5}\n{\"n\":6}\n", "bad;{\"n\":6};end;");
    PARSES("x{\"n\":5}\n{\"n\":6}\n", "bad;{\"n\":6};end;");
    PARSES("\"abc\n{\"n\":6}\n", "bad;{\"n\":6};end;");
    PARSES("[\"\xff\"]\n[6]\n", "bad;[6];end;");
    PARSES("01\n6\n", "bad;6;end;");
}

static void values_before_what_is_bad_are_delivered(void **state)
{
    PARSES("{\"n\":5} x\n{\"n\":6}\n", "{\"n\":5};bad;{\"n\":6};end;");
    PARSES("{\"n\":5}{\"n\":\n[6]\n", "{\"n\":5};bad;[6];end;");
}

static void a_value_without_its_lf_is_delivered_at_the_end(void **state)
{
    PARSES("{\"n\":1}", "{\"n\":1};end;");
    PARSES("12", "end;12;");
    PARSES("12 ", "end;12;");
}

static void half_a_value_at_the_end_is_bad(void **state)
{
    PARSES("{\"n\":1", "end;bad;");
    PARSES("tru", "end;bad;");
}

static void numbers_stay_as_they_came(void **state)
{
    PARSES("{\"id\":9007199254740993,\"f\":1.10,\"e\":1E400,"
           "\"k\":\"\\u00e9\\/\",\"k\":2}\n",
           "{\"id\":9007199254740993,\"f\":1.10,\"e\":1E400,"
           "\"k\":\"\\u00e9\\/\",\"k\":2};end;");
}

static void deep_nesting_is_bad_and_the_stream_goes_on(void **state)
{
    struct buffer seen = {0};
    struct ndjson_parser p;

    ndjson_parser_init(&p, &ops, &seen, 1000000);
    for (int i = 0; i < 100000; i++)
        ndjson_parser_feed(&p, "[", 1);
    ndjson_parser_feed(&p, "\n[1]\n", 5);
    assert_true(str_eq(buffer_str(&seen), STR("bad;[1];")));
    ndjson_parser_fini(&p);
    buffer_fini(&seen);
}

/* A string in brackets, size octets long. */
static void big_value(struct buffer *out, size_t size)
{
    buffer_append_str(out, STR("[\""));
    for (size_t i = 4; i < size; i++)
        buffer_append_byte(out, 'x');
    buffer_append_str(out, STR("\"]"));
}

static void a_value_as_large_as_the_limit_passes(void **state)
{
    struct buffer input = {0}, want = {0};

    big_value(&input, LIMIT);
    buffer_append_str(&want, buffer_str(&input));
    buffer_append_str(&input, STR("\n7\n"));
    buffer_append(&want, ";7;end;", 8);
    assert_parses(run, buffer_str(&input), want.data);
    buffer_fini(&input);
    buffer_fini(&want);
}

static void a_value_over_the_limit_is_skipped(void **state)
{
    struct buffer input = {0};

    big_value(&input, LIMIT + 1);
    buffer_append_str(&input, STR("[8]\n7\n"));
    assert_parses(run, buffer_str(&input), "bad;7;end;");
    buffer_fini(&input);
}

static void other_values_share_the_limit_of_their_line(void **state)
{
    struct buffer input = {0};

    for (int i = 0; i < LIMIT / 2; i++)
        buffer_append_str(&input, STR("1 "));
    buffer_append_str(&input, STR("2\n{}\n"));
    assert_parses(run, buffer_str(&input), "bad;{};end;");
    buffer_fini(&input);
}

static void an_endless_line_takes_bounded_memory(void **state)
{
    struct buffer seen = {0};
    struct ndjson_parser p;

    ndjson_parser_init(&p, &ops, &seen, LIMIT);
    for (int i = 0; i < 100000; i++) {
        ndjson_parser_feed(&p, "\"xxxxxxx", 8);
        assert_true(p.line.cap <= 2 * LIMIT);
    }
    ndjson_parser_feed(&p, "\n{}\n", 4);
    assert_true(str_eq(buffer_str(&seen), STR("bad;{};")));
    ndjson_parser_fini(&p);
    buffer_fini(&seen);
}

static void restart_forgets_half_a_line(void **state)
{
    struct buffer seen = {0};
    struct ndjson_parser p;

    ndjson_parser_init(&p, &ops, &seen, LIMIT);
    ndjson_parser_feed(&p, "{\"half\":\"", 9);
    ndjson_parser_restart(&p);
    ndjson_parser_feed(&p, "[1]\n", 4);
    assert_true(str_eq(buffer_str(&seen), STR("[1];")));
    ndjson_parser_fini(&p);
    buffer_fini(&seen);
}

static int stop(void *arg, struct str value)
{
    return -ECANCELED;
}

static void a_callback_may_stop_the_feed(void **state)
{
    static const struct ndjson_parser_ops stopping = {stop, on_bad, NULL};
    struct ndjson_parser p;

    ndjson_parser_init(&p, &stopping, NULL, LIMIT);
    assert_int_equal(ndjson_parser_feed(&p, "\n[1]\n[2]\n", 9), -ECANCELED);
    ndjson_parser_restart(&p);
    assert_int_equal(ndjson_parser_feed(&p, "[1", 2), 0);
    assert_int_equal(ndjson_parser_feed(&p, "]", 1), -ECANCELED);
    ndjson_parser_fini(&p);
}

static void running_out_of_memory_is_told(void **state)
{
    struct buffer seen = {0};
    struct ndjson_parser p;

    ndjson_parser_init(&p, &ops, &seen, LIMIT);
    memory_fails_at(1);
    assert_int_equal(ndjson_parser_feed(&p, "[1", 2), -ENOMEM);
    assert_int_equal(ndjson_parser_feed(&p, "]\n", 2), -ENOMEM);
    memory_fails_at(0);
    ndjson_parser_restart(&p);
    assert_int_equal(ndjson_parser_feed(&p, "[1]\n", 4), 0);
    assert_true(str_eq(buffer_str(&seen), STR("[1];")));
    ndjson_parser_fini(&p);
    buffer_fini(&seen);
}

static void run_sequence(struct buffer *seen, struct str input, size_t first,
                         size_t step)
{
    struct ndjson_parser p;
    struct str piece;

    ndjson_parser_init(&p, &ops, seen, LIMIT);
    p.sequence = true;
    while (next_piece(&input, &piece, &first, step))
        assert_int_equal(ndjson_parser_feed(&p, piece.p, piece.n), 0);
    assert_int_equal(ndjson_parser_end(&p), 0);
    ndjson_parser_fini(&p);
}

#define SEQUENCE(literal, want) assert_parses(run_sequence, STR(literal), want)

/* Signs of life stand between, as LF and RS both end something. */
static void rs_begins_each_text_of_a_sequence(void **state)
{
    SEQUENCE("\x1e{\"n\":1}\n\x1e[2]\n\x1e" "3\n\x1e\"4\"\n",
             "alive;{\"n\":1};alive;[2];alive;3;alive;\"4\";");
    SEQUENCE("\x1e{}\x1e[]\x1e", "alive;{};[];");
}

static void a_text_of_a_sequence_may_be_of_many_lines(void **state)
{
    SEQUENCE("\x1e{\n  \"n\": [\r\n1 ]\n}\n\x1e[\n]\n",
             "alive;{\n  \"n\": [\r\n1 ]\n};alive;[\n];");
}

static void a_text_cut_off_by_the_next_is_bad(void **state)
{
    SEQUENCE("\x1e{\"n\":\x1e{\"n\":2}\n", "alive;bad;{\"n\":2};");
    SEQUENCE("\x1e{\n\"n\"\n\x1e{\"n\":2}\n", "alive;bad;{\"n\":2};");
    SEQUENCE("\x1e{\"n\" x {\n} 1\n\x1e{\"n\":2}\n", "alive;bad;{\"n\":2};");
    SEQUENCE("\x1e{]}[1\n\x1e{\"n\":2}\n", "alive;bad;alive;{\"n\":2};");
}

static void what_may_be_half_a_number_is_none(void **state)
{
    SEQUENCE("\x1e" "12\x1e" "34\n\x1etrue\x1e\"whole\"\x1e" "5",
             "alive;bad;34;alive;bad;\"whole\";bad;");
}

static void the_inside_of_a_text_over_the_limit_is_no_text(void **state)
{
    struct buffer input = {0};

    buffer_append_str(&input, STR("\x1e[\n"));
    for (int i = 0; i < LIMIT; i++)
        buffer_append_str(&input, STR("{}\n,\n"));
    buffer_append_str(&input, STR("{}\n]\n\x1e[7]\n"));
    assert_parses(run_sequence, buffer_str(&input), "alive;bad;[7];");
    buffer_fini(&input);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lf_separates_values),
        cmocka_unit_test(crlf_is_tolerated),
        cmocka_unit_test(blank_lines_are_keepalives),
        cmocka_unit_test(two_values_on_a_line_are_two),
        cmocka_unit_test(a_container_needs_no_lf),
        cmocka_unit_test(a_stream_without_lf_is_delivered),
        cmocka_unit_test(a_bad_line_is_skipped),
        cmocka_unit_test(values_before_what_is_bad_are_delivered),
        cmocka_unit_test(a_value_without_its_lf_is_delivered_at_the_end),
        cmocka_unit_test(half_a_value_at_the_end_is_bad),
        cmocka_unit_test(numbers_stay_as_they_came),
        cmocka_unit_test(deep_nesting_is_bad_and_the_stream_goes_on),
        cmocka_unit_test(a_value_as_large_as_the_limit_passes),
        cmocka_unit_test(a_value_over_the_limit_is_skipped),
        cmocka_unit_test(other_values_share_the_limit_of_their_line),
        cmocka_unit_test(an_endless_line_takes_bounded_memory),
        cmocka_unit_test(restart_forgets_half_a_line),
        cmocka_unit_test(a_callback_may_stop_the_feed),
        cmocka_unit_test(rs_begins_each_text_of_a_sequence),
        cmocka_unit_test(a_text_of_a_sequence_may_be_of_many_lines),
        cmocka_unit_test(a_text_cut_off_by_the_next_is_bad),
        cmocka_unit_test(what_may_be_half_a_number_is_none),
        cmocka_unit_test(the_inside_of_a_text_over_the_limit_is_no_text),
        cmocka_unit_test(running_out_of_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
