#include "parsing.h"

#include <errno.h>

#include "wire/sse.h"

/* What a parser gave, as text: type|id|data; with * for an absent id. */
static int on_event(void *arg, const struct sse_event *e)
{
    struct buffer *seen = arg;

    buffer_append_str(seen, e->type);
    buffer_append_byte(seen, '|');
    buffer_append_str(seen, e->id.p == NULL ? STR("*") : e->id);
    buffer_append_byte(seen, '|');
    buffer_append_str(seen, e->data);
    buffer_append_byte(seen, ';');
    return 0;
}

static void on_oversize(void *arg, size_t size_bytes)
{
    buffer_append_str(arg, STR("oversize;"));
}

static const struct sse_parser_ops ops = {.event = on_event,
                                          .oversize = on_oversize};

#define LIMIT 2000

static void run(struct buffer *seen, struct str input, size_t first,
                size_t step)
{
    struct sse_parser p;
    struct str piece;

    sse_parser_init(&p, &ops, seen, LIMIT);
    while (next_piece(&input, &piece, &first, step))
        assert_int_equal(sse_parser_feed(&p, piece.p, piece.n), 0);
    sse_parser_fini(&p);
}

#define PARSES(literal, want) assert_parses(run, STR(literal), want)

static void lf_ends_a_line(void **state)
{
    PARSES("data: A\n\ndata: B\n\n", "message|*|A;message|*|B;");
}

static void cr_lf_and_crlf_each_end_one_line(void **state)
{
    PARSES("data: A\r\ndata: B\r\ndata: C\r\n\r\n", "message|*|A\nB\nC;");
    PARSES("data: D\r\n\n", "message|*|D;");
    PARSES("data: A\rdata: B\n\r", "message|*|A\nB;");
    PARSES("data: A\r\rdata: B\r\r", "message|*|A;message|*|B;");
    PARSES("data: A\n\rdata: B\r\n\r", "message|*|A;message|*|B;");
}

static void a_lone_cr_dispatches_at_once(void **state)
{
    PARSES("data: E\r\r", "message|*|E;");
}

static void one_lf_is_swallowed_after_a_cr(void **state)
{
    PARSES("data: E\r\r\ndata: F\n\n", "message|*|E;message|*|F;");
    PARSES("data: E\r\n\ndata: F\n\n", "message|*|E;message|*|F;");
}

static void one_space_after_the_colon_is_dropped(void **state)
{
    PARSES("data:tide\n\ndata: tide\n\ndata:  two\n\ndata:\ttab \n\n",
           "message|*|tide;message|*|tide;message|*| two;message|*|\ttab ;");
}

static void lines_without_a_space_keep_their_payload(void **state)
{
    PARSES("id:1\nevent:token\ndata:La\n\nid:2\nevent:token\ndata: x\n\n"
           "id:3\nevent:token\ndata:  y\n\nretry:3000\n\n",
           "token|1|La;token|2|x;token|3| y;");
}

static void characters_may_be_cut(void **state)
{
    PARSES("data: \xe2\x82\xac\xf0\x9f\x9a\x8b\n\n",
           "message|*|\xe2\x82\xac\xf0\x9f\x9a\x8b;");
}

#define U_FFFD "\xef\xbf\xbd"

static void octets_that_are_no_utf8_are_replaced(void **state)
{
    PARSES("data: a\xff\x62\n\n", "message|*|a" U_FFFD "b;");
    PARSES("event: t\xc3\ndata: 1\n\n", "t" U_FFFD "|*|1;");
    PARSES("data: \xe2\x82\ndata: \xac\n\n",
           "message|*|" U_FFFD "\n" U_FFFD ";");
}

static void an_id_that_is_no_utf8_is_kept(void **state)
{
    PARSES("id: \xff\ndata: 1\n\n", "message|\xff|1;");
}

static void a_name_that_is_no_utf8_is_unknown(void **state)
{
    PARSES("data\xff: 1\nda\xc3ta: 2\ndata: 3\n\n", "message|*|3;");
}

static void what_is_too_large_once_decoded_is_dropped(void **state)
{
    struct buffer seen = {0};
    struct sse_parser p;

    sse_parser_init(&p, &ops, &seen, 6);
    sse_parser_feed(&p, "data: \xff\xff\n\ndata: \xff\xff\xff\n\ndata: z\n\n",
                    30);
    assert_true(str_eq(buffer_str(&seen), STR("message|*|" U_FFFD U_FFFD ";"
                                              "oversize;message|*|z;")));
    sse_parser_fini(&p);
    buffer_fini(&seen);
}

static void one_leading_bom_is_stripped(void **state)
{
    PARSES("\xef\xbb\xbf"
           "event: boot\ndata: 1\n\n",
           "boot|*|1;");
    PARSES("\xef\xbb\xbf\n\ndata: 1\n\n", "message|*|1;");
}

static void a_second_bom_is_part_of_a_name(void **state)
{
    PARSES("\xef\xbb\xbf\xef\xbb\xbf"
           "data: 1\n\ndata: 2\n\n",
           "message|*|2;");
}

static void a_bom_in_mid_stream_is_payload(void **state)
{
    PARSES("data: \xef\xbb\xbf"
           "1\n\n",
           "message|*|\xef\xbb\xbf"
           "1;");
    PARSES("data: 1\n\n\xef\xbb\xbf"
           "data: 2\n\n",
           "message|*|1;");
}

static void half_a_bom_is_no_bom(void **state)
{
    PARSES("\xef\xbb"
           "data: 1\ndata: 2\n\n",
           "message|*|2;");
    PARSES("\xef\n\ndata: 2\n\n", "message|*|2;");
    PARSES("\xef", "");
}

static void an_id_with_nul_is_ignored(void **state)
{
    PARSES("id: 7\nid: a\0b\ndata: 2\n\n", "message|7|2;");
}

static int note_own_id(void *arg, const struct sse_event *e)
{
    buffer_append_byte(arg, e->has_id ? 'y' : 'n');
    return 0;
}

static void run_own_ids(struct buffer *seen, struct str input, size_t first,
                        size_t step)
{
    static const struct sse_parser_ops own_ids = {.event = note_own_id};
    struct sse_parser p;
    struct str piece;

    sse_parser_init(&p, &own_ids, seen, 100);
    while (next_piece(&input, &piece, &first, step))
        assert_int_equal(sse_parser_feed(&p, piece.p, piece.n), 0);
    sse_parser_fini(&p);
}

static void an_event_knows_whether_the_id_is_its_own(void **state)
{
    assert_parses(run_own_ids,
                  STR("data:a\n\nid:1\ndata:a\n\ndata:a\n\nid:1\ndata:a\n\n"
                      "id:2\n\ndata:a\n\n"),
                  "nynyn");
}

static void an_id_holds_for_later_events(void **state)
{
    PARSES("id: 7\ndata: 1\n\ndata: 2\n\nid: 8\ndata: 3\n\n",
           "message|7|1;message|7|2;message|8|3;");
}

static void an_id_alone_resets_it_to_empty(void **state)
{
    PARSES("id: 7\ndata: x\n\nid\ndata: y\n\nid:\ndata: z\n\n",
           "message|7|x;message||y;message||z;");
}

static void an_id_may_follow_its_data(void **state)
{
    PARSES("data: {\"a\":1}\nid: \"1-g1\"\n\nevent: heartbeat\ndata: \n\n",
           "message|\"1-g1\"|{\"a\":1};heartbeat|\"1-g1\"|;");
}

static void an_event_without_data_commits_its_id(void **state)
{
    PARSES("id: 9\n\ndata: z\n\n", "message|9|z;");
}

static void an_event_without_data_is_none(void **state)
{
    PARSES("event: ready\n\ndata: a\n\n", "message|*|a;");
    PARSES("\n\n\n", "");
}

static void empty_data_lines_count(void **state)
{
    PARSES("data\n\n", "message|*|;");
    PARSES("data:\n\n", "message|*|;");
    PARSES("data:\ndata\n\n", "message|*|\n;");
    PARSES("data: a\ndata\ndata: b\n\n", "message|*|a\n\nb;");
}

static void comments_are_no_events(void **state)
{
    PARSES(":thump\n:thump\nevent: update\ndata: {}\n\n", "update|*|{};");
    PARSES(":ok\n\nevent: message\nid: [{\"offset\":-1}]\ndata: 1\n\n"
           ":\n\n: ping\r\n\r\n",
           "message|[{\"offset\":-1}]|1;");
    PARSES("data: a\n: in between\ndata: b\n\n", "message|*|a\nb;");
}

static void names_have_their_case_and_no_spaces(void **state)
{
    PARSES("DATA: x\nEvent: y\n data: z\ndata : q\nnone\n\n", "");
}

static void the_last_type_counts_and_the_next_event_has_none(void **state)
{
    PARSES("event: a\nevent: b\ndata: 1\n\ndata: 2\n\nevent: c\nevent\n"
           "data: 3\n\n",
           "b|*|1;message|*|2;message|*|3;");
}

static void an_unfinished_event_is_not_delivered(void **state)
{
    PARSES("data: 1\n\ndata: half", "message|*|1;");
    PARSES("data: 1\n\ndata: half\n", "message|*|1;");
    PARSES("data: 1\n\ndata: half\r", "message|*|1;");
}

static void nul_may_stand_in_data(void **state)
{
    struct buffer seen = {0};

    run(&seen, STR("data: a\0b\n\n"), 4, 100);
    assert_true(str_eq(buffer_str(&seen), STR("message|*|a\0b;")));
    buffer_fini(&seen);
}

static void retry_takes_digits_only(void **state)
{
    struct buffer seen = {0};
    struct sse_parser p;

    sse_parser_init(&p, &ops, &seen, LIMIT);
    sse_parser_feed(&p, STR("retry: 250\n").p, 11);
    assert_int_equal(p.retry_ms, 250);
    for (const char *const *bad =
             (const char *const[]){"5000abc", "-1", "1e3", "", " 5", "+5",
                                   "99999999999999999999", NULL};
         *bad != NULL; bad++) {
        sse_parser_feed(&p, "retry: ", 7);
        sse_parser_feed(&p, *bad, strlen(*bad));
        sse_parser_feed(&p, "\n", 1);
        assert_int_equal(p.retry_ms, 250);
    }
    sse_parser_fini(&p);
    buffer_fini(&seen);
}

static void comments_are_told(void **state)
{
    struct buffer seen = {0};
    struct sse_parser_ops told = ops;
    struct sse_parser p;

    told.comment = (void (*)(void *))(void *)buffer_fini;
    sse_parser_init(&p, &told, &seen, LIMIT);
    buffer_append_str(&seen, STR("gone with a comment"));
    assert_int_equal(sse_parser_feed(&p, ":thu", 4), 0);
    assert_int_not_equal(seen.len, 0);
    assert_int_equal(sse_parser_feed(&p, "mp\n", 3), 0);
    assert_int_equal(seen.len, 0);
    sse_parser_fini(&p);
}

static void restart_discards_half_an_event(void **state)
{
    static const char *const broken[] = {"id: 6\nevent: bill\ndata: half",
                                         "id: 6\nevent: bill\ndata: half\n",
                                         "id: 6\nevent: bill\ndata: half\r",
                                         "\xef\xbb"};

    for (size_t i = 0; i < 4; i++) {
        struct buffer seen = {0};
        struct sse_parser p;

        sse_parser_init(&p, &ops, &seen, LIMIT);
        sse_parser_feed(&p, "id: 5\ndata: a\n\n", 15);
        sse_parser_feed(&p, broken[i], strlen(broken[i]));
        sse_parser_restart(&p);
        assert_true(str_eq(sse_parser_last_id(&p), STR("5")));
        sse_parser_feed(&p,
                        "\xef\xbb\xbf"
                        "data: fresh\n\n",
                        16);
        assert_true(
            str_eq(buffer_str(&seen), STR("message|5|a;message|5|fresh;")));
        sse_parser_fini(&p);
        buffer_fini(&seen);
    }
}

static void the_last_id_is_absent_then_set_then_empty(void **state)
{
    struct buffer seen = {0};
    struct sse_parser p;

    sse_parser_init(&p, &ops, &seen, LIMIT);
    assert_null(sse_parser_last_id(&p).p);
    sse_parser_feed(&p, "id: 1\ndata: a\n", 14);
    assert_null(sse_parser_last_id(&p).p);
    sse_parser_feed(&p, "\n", 1);
    assert_true(str_eq(sse_parser_last_id(&p), STR("1")));
    sse_parser_feed(&p, "id\n\n", 4);
    assert_non_null(sse_parser_last_id(&p).p);
    assert_int_equal(sse_parser_last_id(&p).n, 0);
    sse_parser_fini(&p);
    buffer_fini(&seen);
}

/* An event of n octets of data in lines of line_len, then "after". */
static void big_event(struct buffer *out, size_t n, size_t line_len)
{
    while (n > 0) {
        size_t m = n < line_len ? n : line_len;

        buffer_append_str(out, STR("data: "));
        for (size_t i = 0; i < m; i++)
            buffer_append_byte(out, 'x');
        buffer_append_byte(out, '\n');
        n -= m;
        if (n > 0)
            n--; /* the LF between lines is data too */
    }
    buffer_append_str(out, STR("id: 42\n\ndata: after\n\n"));
}

static void check_big(size_t n, size_t line_len, bool passes)
{
    struct buffer input = {0}, want = {0};

    big_event(&input, n, line_len);
    if (passes) {
        buffer_append_str(&want, STR("message|42|"));
        for (size_t i = 0; i < n; i++)
            buffer_append_byte(&want,
                               i % (line_len + 1) == line_len ? '\n' : 'x');
        buffer_append_str(&want, STR(";message|42|after;"));
    } else {
        buffer_append_str(&want, STR("oversize;message|*|after;"));
    }
    buffer_append_byte(&want, '\0');
    assert_parses(run, buffer_str(&input), want.data);
    buffer_fini(&input);
    buffer_fini(&want);
}

static void an_event_as_large_as_the_limit_passes(void **state)
{
    check_big(LIMIT, LIMIT, true);
    check_big(LIMIT, 98, true);
}

static void an_event_over_the_limit_is_dropped_whole(void **state)
{
    check_big(LIMIT + 1, LIMIT + 1, false);
    check_big(LIMIT + 1, 98, false);
    check_big(2 * LIMIT, 2 * LIMIT, false);
}

static void an_endless_line_takes_bounded_memory(void **state)
{
    struct buffer seen = {0};
    struct sse_parser p;
    char xs[1000];

    memset(xs, 'x', sizeof(xs));
    for (int comment = 0; comment < 2; comment++) {
        sse_parser_init(&p, &ops, &seen, LIMIT);
        sse_parser_feed(&p, comment ? ": " : "data: ", comment ? 2 : 6);
        for (int i = 0; i < 1000; i++) {
            assert_int_equal(sse_parser_feed(&p, xs, sizeof(xs)), 0);
            assert_true(p.line.cap + p.data.cap <= 4 * LIMIT);
        }
        sse_parser_feed(&p, "\n\ndata: after\n\n", 15);
        sse_parser_fini(&p);
    }
    assert_true(str_eq(buffer_str(&seen),
                       STR("oversize;message|*|after;message|*|after;")));
    buffer_fini(&seen);
}

static void endless_fields_take_bounded_memory(void **state)
{
    struct buffer seen = {0};
    struct sse_parser p;

    sse_parser_init(&p, &ops, &seen, LIMIT);
    for (int i = 0; i < 100000; i++)
        sse_parser_feed(&p, "data\nevent: x\nid: y\n", 20);
    assert_true(p.line.cap + p.data.cap + p.type.cap + p.next_id.cap <=
                4 * LIMIT);
    assert_true(str_eq(buffer_str(&seen), STR("oversize;")));
    sse_parser_fini(&p);
    buffer_fini(&seen);
}

static int stop_at_second(void *arg, const struct sse_event *e)
{
    return ++*(int *)arg == 2 ? -ECANCELED : 0;
}

static void a_callback_may_stop_the_feed(void **state)
{
    static const struct sse_parser_ops stopping = {.event = stop_at_second};
    struct sse_parser p;
    int n = 0;

    sse_parser_init(&p, &stopping, &n, LIMIT);
    assert_int_equal(sse_parser_feed(&p, "data: 1\n\ndata: 2\n\ndata: 3\n\n",
                                     27),
                     -ECANCELED);
    assert_int_equal(n, 2);
    sse_parser_fini(&p);
}

static int free_the_parser(void *arg, const struct sse_event *e)
{
    struct sse_parser **p = arg;

    sse_parser_fini(*p);
    free(*p);
    return -ECANCELED;
}

static void a_callback_that_stops_may_free_the_parser(void **state)
{
    static const struct sse_parser_ops freeing = {.event = free_the_parser};
    struct sse_parser *p = malloc(sizeof(*p));

    sse_parser_init(p, &freeing, &p, LIMIT);
    assert_int_equal(sse_parser_feed(p, "id: 1\ndata: 1\n\ndata: 2\n", 23),
                     -ECANCELED);
}

static void running_out_of_memory_is_told(void **state)
{
    static const char text[] = "\xef\xbb"
                               "x\n\nid: 1\nevent: e\ndata: "
                               "a\ndata: b\n\nid: 2\ndata: c\n\n";
    int rc = -ENOMEM;

    for (unsigned long nth = 1; rc == -ENOMEM; nth++) {
        struct sse_parser p;
        int n = 0;

        sse_parser_init(&p, &(struct sse_parser_ops){.event = stop_at_second},
                        &n, LIMIT);
        memory_fails_at(nth);
        rc = 0;
        for (size_t i = 0; rc == 0 && i + 1 < sizeof(text); i++)
            rc = sse_parser_feed(&p, text + i, 1);
        memory_fails_at(0);
        assert_true(rc == -ENOMEM || (rc == -ECANCELED && nth > 3));
        sse_parser_restart(&p);
        n = 0;
        assert_int_equal(sse_parser_feed(&p, "data: ok\n\n", 10), 0);
        assert_int_equal(n, 1);
        sse_parser_fini(&p);
    }
}

static void assert_encodes(struct str id, struct str type, struct str data,
                           const char *want)
{
    struct buffer out = {0};

    sse_encode(&out, id, type, data);
    assert_true(str_eq(buffer_str(&out), str_of(want)));
    buffer_fini(&out);
}

static void an_event_is_written_with_its_fields(void **state)
{
    assert_encodes(STR("e-1"), STR("trade"), STR("{}"),
                   "id: e-1\nevent: trade\ndata: {}\n\n");
    assert_encodes(STR_NONE, STR_NONE, STR(" x"), "data:  x\n\n");
    assert_encodes(STR_NONE, STR("message"), STR_NONE, "data: \n\n");
}

static void data_is_cut_at_every_kind_of_line_end(void **state)
{
    assert_encodes(STR_NONE, STR_NONE, STR("a\nb\r\nc\rd"),
                   "data: a\ndata: b\ndata: c\ndata: d\n\n");
    assert_encodes(STR_NONE, STR_NONE, STR("ok\rdata: forged\r\r"),
                   "data: ok\ndata: data: forged\ndata: \ndata: \n\n");
    assert_encodes(STR_NONE, STR_NONE, STR("x\n\nevent: admin\ndata: 1"),
                   "data: x\ndata: \ndata: event: admin\ndata: data: 1\n\n");
}

static void fields_that_would_forge_others_are_left_out(void **state)
{
    assert_encodes(STR("1\nid: 9"), STR("t\rdata: z"), STR("d"), "data: d\n\n");
    assert_encodes(STR("1\0"), STR("t\0"), STR("d"), "data: d\n\n");
    assert_false(sse_field_ok(STR("a\0b")));
    assert_true(sse_field_ok(STR("a b: c")));
}

static void what_is_written_is_read_back(void **state)
{
    struct buffer out = {0};

    sse_encode(&out, STR("1"), STR("t"), STR(" a\n\nb\n"));
    sse_encode(&out, STR(""), STR(""), STR(""));
    assert_parses(run, buffer_str(&out), "t|1| a\n\nb\n;message||;");
    buffer_fini(&out);
}

static void encoding_without_memory_sets_failed(void **state)
{
    struct buffer out = {0};

    memory_fails_at(1);
    sse_encode(&out, STR("1"), STR("t"), STR("d"));
    memory_fails_at(0);
    assert_true(out.failed);
    assert_int_equal(out.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lf_ends_a_line),
        cmocka_unit_test(cr_lf_and_crlf_each_end_one_line),
        cmocka_unit_test(a_lone_cr_dispatches_at_once),
        cmocka_unit_test(one_lf_is_swallowed_after_a_cr),
        cmocka_unit_test(one_space_after_the_colon_is_dropped),
        cmocka_unit_test(lines_without_a_space_keep_their_payload),
        cmocka_unit_test(characters_may_be_cut),
        cmocka_unit_test(octets_that_are_no_utf8_are_replaced),
        cmocka_unit_test(an_id_that_is_no_utf8_is_kept),
        cmocka_unit_test(a_name_that_is_no_utf8_is_unknown),
        cmocka_unit_test(what_is_too_large_once_decoded_is_dropped),
        cmocka_unit_test(one_leading_bom_is_stripped),
        cmocka_unit_test(a_second_bom_is_part_of_a_name),
        cmocka_unit_test(a_bom_in_mid_stream_is_payload),
        cmocka_unit_test(half_a_bom_is_no_bom),
        cmocka_unit_test(an_id_with_nul_is_ignored),
        cmocka_unit_test(an_event_knows_whether_the_id_is_its_own),
        cmocka_unit_test(an_id_holds_for_later_events),
        cmocka_unit_test(an_id_alone_resets_it_to_empty),
        cmocka_unit_test(an_id_may_follow_its_data),
        cmocka_unit_test(an_event_without_data_commits_its_id),
        cmocka_unit_test(an_event_without_data_is_none),
        cmocka_unit_test(empty_data_lines_count),
        cmocka_unit_test(comments_are_no_events),
        cmocka_unit_test(names_have_their_case_and_no_spaces),
        cmocka_unit_test(the_last_type_counts_and_the_next_event_has_none),
        cmocka_unit_test(an_unfinished_event_is_not_delivered),
        cmocka_unit_test(nul_may_stand_in_data),
        cmocka_unit_test(retry_takes_digits_only),
        cmocka_unit_test(comments_are_told),
        cmocka_unit_test(restart_discards_half_an_event),
        cmocka_unit_test(the_last_id_is_absent_then_set_then_empty),
        cmocka_unit_test(an_event_as_large_as_the_limit_passes),
        cmocka_unit_test(an_event_over_the_limit_is_dropped_whole),
        cmocka_unit_test(an_endless_line_takes_bounded_memory),
        cmocka_unit_test(endless_fields_take_bounded_memory),
        cmocka_unit_test(a_callback_may_stop_the_feed),
        cmocka_unit_test(a_callback_that_stops_may_free_the_parser),
        cmocka_unit_test(running_out_of_memory_is_told),
        cmocka_unit_test(an_event_is_written_with_its_fields),
        cmocka_unit_test(data_is_cut_at_every_kind_of_line_end),
        cmocka_unit_test(fields_that_would_forge_others_are_left_out),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(encoding_without_memory_sets_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
