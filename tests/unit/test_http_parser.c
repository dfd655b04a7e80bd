#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../lib/http_record.h"
#include "http_cases.h"

/* Allocations fail from this one on, where it is not 0. */
static unsigned fail_at, allocations;

void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static bool out_of_memory(void)
{
    allocations++;
    return fail_at != 0 && allocations >= fail_at;
}

void *__wrap_calloc(size_t n, size_t size)
{
    return out_of_memory() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return out_of_memory() ? NULL : __real_realloc(p, size);
}

/* Runs bytes whole, cut once at every offset, and one octet at a time; all
 * must give the record that is returned. */
static struct record run(struct record_plan plan, struct str bytes)
{
    struct record whole, cut;

    record_run(&whole, &plan, bytes);
    for (size_t i = 1; i <= bytes.n; i++) {
        plan.cut = i < bytes.n ? i : 1;
        plan.step = i < bytes.n ? 0 : 1;
        record_run(&cut, &plan, bytes);
        if (!record_same(&whole, &cut))
            fail_msg("cut at %zu: %d %s, not %d %s, of\n%.*s\n%.*s\nnot\n%.*s",
                     i, cut.result, cut.fault.reason, whole.result,
                     whole.fault.reason, STR_ARG(bytes),
                     STR_ARG(buffer_str(&cut.text)),
                     STR_ARG(buffer_str(&whole.text)));
        record_fini(&cut);
    }
    return whole;
}

static const struct record_plan requests = {.side = HEAD_REQUEST};
static const struct record_plan answers = {.side = HEAD_RESPONSE};

static void assert_refused(struct record_plan plan, struct str bytes,
                           int status)
{
    struct record r = run(plan, bytes);

    if (r.result != -EBADMSG || r.fault.status != status || r.messages != 0)
        fail_msg("%d %d (%s), not %d: %.*s", r.result, r.fault.status,
                 r.fault.reason, status, STR_ARG(bytes));
    record_fini(&r);
}

static void assert_record(struct record_plan plan, struct str bytes,
                          const char *text)
{
    struct record r = run(plan, bytes);

    if (r.result != 0)
        fail_msg("%d %s: %.*s", r.result, r.fault.reason, STR_ARG(bytes));
    if (!str_eq(buffer_str(&r.text), str_of(text)))
        fail_msg("%.*s", STR_ARG(buffer_str(&r.text)));
    record_fini(&r);
}

/* What is refused ---------------------------------------------------------- */

static void bad_heads_deliver_nothing(void **state)
{
    for (size_t i = 0; i < CASES(bad_heads); i++)
        assert_refused(requests, bad_heads[i].bytes, bad_heads[i].status);
}

static void bad_fields_deliver_nothing(void **state)
{
    struct buffer b = {0};

    for (size_t i = 0; i < CASES(bad_fields); i++) {
        b.len = 0;
        buffer_printf(&b, "POST / HTTP/1.1\r\nHost: a\r\n");
        buffer_append_str(&b, bad_fields[i].bytes);
        buffer_printf(&b, "\r\nhello");
        assert_refused(requests, buffer_str(&b), bad_fields[i].status);
    }
    buffer_fini(&b);
}

static void bad_answers_deliver_nothing(void **state)
{
    for (size_t i = 0; i < CASES(bad_answers); i++)
        assert_refused(answers, bad_answers[i].bytes, 502);
}

static void bad_chunks_never_end_a_message(void **state)
{
    struct buffer b = {0};

    for (size_t i = 0; i < CASES(bad_chunks); i++) {
        b.len = 0;
        buffer_printf(&b, "POST / HTTP/1.1\r\nHost: a\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n");
        buffer_append_str(&b, bad_chunks[i].bytes);
        assert_refused(requests, buffer_str(&b), bad_chunks[i].status);
        b.len = 0;
        buffer_printf(&b, "HTTP/1.1 200 OK\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n");
        buffer_append_str(&b, bad_chunks[i].bytes);
        assert_refused(answers, buffer_str(&b), 502);
    }
    buffer_fini(&b);
}

static void what_is_cut_off_is_refused(void **state)
{
    struct str request = STR("POST / HTTP/1.1\r\nHost: a\r\n"
                             "Transfer-Encoding: chunked\r\n\r\n"
                             "5;a=\"b\"\r\nhello\r\n0\r\nX: y\r\n\r\n");
    struct str answer = STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
                            "hello");

    for (size_t n = 1; n < request.n; n++)
        assert_refused(requests, (struct str){request.p, n}, 400);
    for (size_t n = 1; n < answer.n; n++)
        assert_refused(answers, (struct str){answer.p, n}, 502);
}

static void an_upgrade_needs_both_its_fields(void **state)
{
    struct record_plan plan = {.side = HEAD_RESPONSE, .may_upgrade = true};

    assert_refused(plan, STR("HTTP/1.1 101 Up\r\n\r\n"), 502);
    assert_refused(plan, STR("HTTP/1.1 101 Up\r\nUpgrade: x\r\n\r\n"), 502);
    assert_refused(plan, STR("HTTP/1.1 101 Up\r\nConnection: upgrade\r\n\r\n"),
                   502);
    assert_refused(plan,
                   STR("HTTP/1.0 101 Up\r\nConnection: upgrade\r\n"
                       "Upgrade: x\r\n\r\n"),
                   502);
}

static void what_came_before_a_bad_request_is_delivered(void **state)
{
    struct record r = run(requests, STR("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
                                        "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
                                        "GET /3 HTTP/1.1\nHost: a\r\n\r\n"
                                        "GET /4 HTTP/1.1\r\nHost: a\r\n\r\n"));

    assert_int_equal(r.result, -EBADMSG);
    assert_int_equal(r.fault.status, 400);
    assert_int_equal(r.messages, 2);
    record_fini(&r);
}

/* What passes -------------------------------------------------------------- */

static void good_messages_are_the_same_however_cut(void **state)
{
    for (size_t i = 0; i < CASES(good_requests) + CASES(good_answers); i++) {
        bool request = i < CASES(good_requests);
        struct str bytes = request
                               ? good_requests[i].bytes
                               : good_answers[i - CASES(good_requests)].bytes;
        struct record r = run(request ? requests : answers, bytes);

        if (r.result != 0 || r.messages == 0)
            fail_msg("%d %s: %.*s", r.result, r.fault.reason, STR_ARG(bytes));
        record_fini(&r);
    }
}

static void a_request_is_told_whole(void **state)
{
    assert_record(requests,
                  STR("POST /a/b?c=d?e HTTP/1.1\r\nHost: h:80\r\nX:\t y z \r\n"
                      "Expect: 100-continue\r\nX_Y: gone\r\nE:\r\n"
                      "Content-Length: 5\r\n\r\nhello"),
                  "POST|/a/b?c=d?e|h:80|/a/b|c=d?e|0||1.1|1100110|5\n"
                  "Host: h:80\r\nX: y z\r\nExpect: 100-continue\r\nE: \r\n"
                  "Content-Length: 5\r\n\nhello\n[end]\n");
}

static void an_answer_is_told_whole(void **state)
{
    assert_record(answers,
                  STR("HTTP/1.1 404 Not Found\r\nX_Y: kept\r\n"
                      "Content-Length: 2\r\n\r\nhi"),
                  "|||||404|Not Found|1.1|0100110|2\n"
                  "X_Y: kept\r\nContent-Length: 2\r\n\nhi\n[end]\n");
}

static void chunks_come_unframed_and_trailers_not_at_all(void **state)
{
    assert_record(requests,
                  STR("POST / HTTP/1.1\r\nHost: a\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n"
                      "3;x=\"1\"\r\nab\n\r\n00A\r\n0123456789\r\n0\r\n"
                      "Host: b\r\nContent-Length: 9\r\n\r\n"
                      "GET /2 HTTP/1.0\r\n\r\n"),
                  "POST|/|a|/||0||1.1|0110010|0\n"
                  "Host: a\r\nTransfer-Encoding: chunked\r\n\n"
                  "ab\n0123456789\n[end]\n"
                  "GET|/2||/2||0||1.0|0000000|0\n\n\n[end]\n");
}

struct target_case {
    const char *line, *told; /* authority|path|query */
};

static const struct target_case targets[] = {
    {"GET /", "h|/|"},
    {"GET /?", "h|/|"},
    {"GET //x/y", "h|//x/y|"},
    {"GET /http://x/", "h|/http://x/|"},
    {"GET http://x", "x|/|"},
    {"GET http://x:81/", "x:81|/|"},
    {"GET HTTP://x/y?z", "x|/y|z"},
    {"GET /x?{a|b}^`\\?{", "h|/x|{a|b}^`\\?{"},
    {"GET http://x?[{}]", "x|/|[{}]"},
    {"GET https://[::1]:1?z/http://w", "[::1]:1|/|z/http://w"},
    {"OPTIONS *", "h|*|"},
    {"OPTIONS http://x", "x|*|"},
    {"OPTIONS http://x/", "x|/|"},
    {"OPTIONS http://x?y", "x|/|y"},
};

static void targets_are_split(void **state)
{
    struct buffer b = {0}, want = {0};

    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        const char *space = strchr(targets[i].line, ' ');

        b.len = want.len = 0;
        buffer_printf(&b, "%s HTTP/1.1\r\nHost: h\r\n\r\n", targets[i].line);
        buffer_printf(&want,
                      "%.*s|%s|%s|0||1.1|0000010|0\nHost: h\r\n\n\n[end]\n",
                      (int)(space - targets[i].line), targets[i].line,
                      space + 1, targets[i].told);
        buffer_append_byte(&want, '\0');
        assert_record(requests, buffer_str(&b), want.data);
    }
    buffer_fini(&b);
    buffer_fini(&want);
}

struct connection_case {
    const char *version, *fields;
    bool keep_alive, upgrade;
};

static const struct connection_case connections[] = {
    {"1.1", "", true, false},
    {"1.1", "Connection: close\t\r\n", false, false},
    {"1.1", "Connection: x,\tCLOSE ,y\r\n", false, false},
    {"1.1", "Connection: x\r\nConnection: close\r\n", false, false},
    {"1.1", "Connection: closed\r\n", true, false},
    {"1.1", "Connection: keep-alive, close\r\n", false, false},
    {"1.0", "", false, false},
    {"1.0", "Connection: Keep-Alive\r\n", true, false},
    {"1.0", "Connection: keep-alive, close\r\n", false, false},
    {"1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n", true, true},
    {"1.1", "Upgrade: x\r\nConnection: a,\tupgrade\t\r\n", true, true},
    {"1.1", "Connection: Upgrade\r\n", true, false},
    {"1.1", "Connection: Upgrade\r\nUpgrade:\r\n", true, false},
    {"1.1", "Upgrade: websocket\r\n", true, false},
    {"1.0", "Connection: Upgrade\r\nUpgrade: websocket\r\n", false, false},
    {"1.1", "Connection: upgrade\r\nUpgrade: x\r\nContent-Length: 0\r\n", true,
     true},
};

static int note_message(void *arg, const struct http_message *m)
{
    *(struct http_message *)arg = *m;
    return 0;
}

static int ignore_body(void *arg, const char *data, size_t len)
{
    return 0;
}

static int ignore_end(void *arg)
{
    return 0;
}

static const struct parser_ops noting = {note_message, ignore_body, ignore_end};

static void connection_is_read_as_a_list(void **state)
{
    struct buffer b = {0};

    for (size_t i = 0; i < sizeof(connections) / sizeof(connections[0]); i++) {
        struct http_message m = {0};
        struct parser *p = parser_new(HEAD_REQUEST, &noting, &m, NULL);

        b.len = 0;
        buffer_printf(&b, "GET / HTTP/%s\r\nHost: a\r\n%s\r\n",
                      connections[i].version, connections[i].fields);
        assert_int_equal(parser_feed(p, b.data, b.len), b.len);
        assert_int_equal(m.keep_alive, connections[i].keep_alive);
        assert_int_equal(m.upgrade, connections[i].upgrade);
        parser_free(p);
    }
    buffer_fini(&b);
}

/* Which answers have bodies ------------------------------------------------ */

static void an_answer_to_head_has_no_body(void **state)
{
    struct record_plan plan = {.side = HEAD_RESPONSE, .head_only = true};

    assert_record(
        plan, STR("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        "|||||200|OK|1.1|0000110|5\nContent-Length: 5\r\n\n\n[end]\n");
    assert_record(plan,
                  STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
                  "|||||200|OK|1.1|0010010|0\n"
                  "Transfer-Encoding: chunked\r\n\n\n[end]\n");
    assert_record(plan, STR("HTTP/1.0 200 OK\r\n\r\n"),
                  "|||||200|OK|1.0|0000000|0\n\n\n[end]\n");
}

static void a_head_request_is_remembered_over_interim_answers(void **state)
{
    struct record_plan plan = {.side = HEAD_RESPONSE, .head_only = true};

    assert_record(
        plan,
        STR("HTTP/1.1 103 Hints\r\n\r\n"
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        "|||||103|Hints|1.1|0000010|0\n\n\n[end]\n"
        "|||||200|OK|1.1|0000110|5\nContent-Length: 5\r\n\n\n[end]\n");
}

static void a_head_request_is_forgotten_after_its_answer(void **state)
{
    struct record_plan plan = {.side = HEAD_RESPONSE, .head_only = true};

    assert_record(
        plan,
        STR("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
        "|||||200|OK|1.1|0000110|1\nContent-Length: 1\r\n\n\n[end]\n"
        "|||||200|OK|1.1|0100110|1\nContent-Length: 1\r\n\nx\n[end]\n");
}

static void no_content_and_not_modified_have_no_body(void **state)
{
    assert_record(
        answers,
        STR("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n"
            "HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n"),
        "|||||204|No|1.1|0000110|5\nContent-Length: 5\r\n\n\n[end]\n"
        "|||||304|No|1.1|0000110|5\nContent-Length: 5\r\n\n\n[end]\n");
}

static void an_answer_without_length_runs_until_close(void **state)
{
    assert_record(answers,
                  STR("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 500 No\r\n\r\n"),
                  "|||||200|OK|1.1|0101000|0\n\n"
                  "HTTP/1.1 500 No\r\n\r\n\n[end]\n");
}

static void a_second_answer_is_left_unread(void **state)
{
    struct http_message m;
    struct parser *p = parser_new(HEAD_RESPONSE, &noting, &m, NULL);
    struct str bytes = STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
                           "HTTP/1.1 500 No\r\n\r\n");

    assert_int_equal(parser_feed(p, bytes.p, bytes.n), bytes.n - 19);
    assert_int_equal(parser_feed(p, bytes.p, bytes.n), 0);
    assert_int_equal(m.status, 200);
    assert_int_equal(parser_finish(p), 0);
    parser_free(p);
}

static void an_upgrade_that_was_asked_for_leaves_the_rest(void **state)
{
    struct record_plan plan = {.side = HEAD_RESPONSE, .may_upgrade = true};

    assert_record(plan,
                  STR("HTTP/1.1 100 Continue\r\n\r\n"
                      "HTTP/1.1 101 Up\r\nConnection: upgrade\r\n"
                      "Upgrade: websocket\r\n\r\n\x81\x01x"),
                  "|||||100|Continue|1.1|0000010|0\n\n\n[end]\n"
                  "|||||101|Up|1.1|0000011|0\nConnection: upgrade\r\n"
                  "Upgrade: websocket\r\n\n\n[end]\n\x81\x01x");
}

/* States ------------------------------------------------------------------- */

static void busy_and_in_body_follow_the_message(void **state)
{
    struct http_message m;
    struct parser *p = parser_new(HEAD_REQUEST, &noting, &m, NULL);
    static const char rest[] = "ET / HTTP/1.1\r\nHost: a\r\n"
                               "Content-Length: 2\r\n\r\n";

    assert_false(parser_busy(p));
    assert_int_equal(parser_feed(p, "\r\n", 2), 2);
    assert_false(parser_busy(p));
    assert_int_equal(parser_feed(p, "G", 1), 1);
    assert_true(parser_busy(p));
    assert_false(parser_in_body(p));
    assert_int_equal(parser_feed(p, rest, sizeof(rest) - 1), sizeof(rest) - 1);
    assert_true(parser_busy(p));
    assert_true(parser_in_body(p));
    assert_int_equal(parser_feed(p, "hix", 3), 2);
    assert_false(parser_busy(p));
    parser_next(p);
    assert_false(parser_in_body(p));
    assert_int_equal(parser_finish(p), 0);
    parser_free(p);
}

static void a_refusal_is_for_good(void **state)
{
    struct http_message m = {0};
    struct parser *p = parser_new(HEAD_REQUEST, &noting, &m, NULL);
    static const char good[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    assert_int_equal(parser_feed(p, "\n", 1), -EBADMSG);
    parser_next(p);
    assert_int_equal(parser_feed(p, good, sizeof(good) - 1), -EBADMSG);
    assert_int_equal(parser_finish(p), -EBADMSG);
    assert_null(m.method.p);
    parser_free(p);
}

struct stopping {
    char at; /* h, b or e */
};

static int stop_head(void *arg, const struct http_message *m)
{
    return ((struct stopping *)arg)->at == 'h' ? -ECANCELED : 0;
}

static int stop_body(void *arg, const char *data, size_t len)
{
    return ((struct stopping *)arg)->at == 'b' ? -ECANCELED : 0;
}

static int stop_end(void *arg)
{
    return ((struct stopping *)arg)->at == 'e' ? -ECANCELED : 0;
}

static void a_callback_can_stop_the_feed(void **state)
{
    static const struct parser_ops ops = {stop_head, stop_body, stop_end};
    static const char *const bodies[] = {
        "Content-Length: 2\r\n\r\nhi",
        "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    };

    for (int i = 0; i < 6; i++) {
        struct stopping s = {"hbe"[i % 3]};
        struct parser *p = parser_new(HEAD_REQUEST, &ops, &s, NULL);
        struct buffer b = {0};

        buffer_printf(&b, "POST / HTTP/1.1\r\nHost: a\r\n%s", bodies[i / 3]);
        assert_int_equal(parser_feed(p, b.data, b.len), -ECANCELED);
        assert_int_equal(parser_feed(p, b.data, b.len), -ECANCELED);
        buffer_fini(&b);
        parser_free(p);
    }
}

static void memory_may_run_out_at_every_step(void **state)
{
    struct str bytes = STR("GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\n\r\n");

    for (size_t cut = 0; cut < 30; cut += 29) {
        struct http_message m;
        ssize_t n = -ENOMEM;

        for (fail_at = 1; n == -ENOMEM; fail_at++) {
            struct parser *p;

            allocations = 0;
            p = parser_new(HEAD_REQUEST, &noting, &m, NULL);
            if (p == NULL)
                continue;
            n = parser_feed(p, bytes.p, cut);
            if (n >= 0)
                n = parser_feed(p, bytes.p + cut, bytes.n - cut);
            parser_free(p);
        }
        assert_true(fail_at > 3);
        assert_int_equal(n, bytes.n - cut);
        fail_at = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_heads_deliver_nothing),
        cmocka_unit_test(bad_fields_deliver_nothing),
        cmocka_unit_test(bad_answers_deliver_nothing),
        cmocka_unit_test(bad_chunks_never_end_a_message),
        cmocka_unit_test(what_is_cut_off_is_refused),
        cmocka_unit_test(an_upgrade_needs_both_its_fields),
        cmocka_unit_test(what_came_before_a_bad_request_is_delivered),
        cmocka_unit_test(good_messages_are_the_same_however_cut),
        cmocka_unit_test(a_request_is_told_whole),
        cmocka_unit_test(an_answer_is_told_whole),
        cmocka_unit_test(chunks_come_unframed_and_trailers_not_at_all),
        cmocka_unit_test(targets_are_split),
        cmocka_unit_test(connection_is_read_as_a_list),
        cmocka_unit_test(an_answer_to_head_has_no_body),
        cmocka_unit_test(a_head_request_is_remembered_over_interim_answers),
        cmocka_unit_test(a_head_request_is_forgotten_after_its_answer),
        cmocka_unit_test(no_content_and_not_modified_have_no_body),
        cmocka_unit_test(an_answer_without_length_runs_until_close),
        cmocka_unit_test(a_second_answer_is_left_unread),
        cmocka_unit_test(an_upgrade_that_was_asked_for_leaves_the_rest),
        cmocka_unit_test(busy_and_in_body_follow_the_message),
        cmocka_unit_test(a_refusal_is_for_good),
        cmocka_unit_test(a_callback_can_stop_the_feed),
        cmocka_unit_test(memory_may_run_out_at_every_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
