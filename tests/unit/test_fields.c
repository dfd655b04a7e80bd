#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "proxy/fields.h"
#include "../lib/http_message.h"

#define FROM_CLIENT                                                            \
    "X-Forwarded-For: 10.1.2.3\r\n"                                            \
    "X-Forwarded-Host: a\r\n"                                                  \
    "X-Forwarded-Proto: http\r\n"                                              \
    "Forwarded: for=10.1.2.3;host=\"a\";proto=http\r\n"                        \
    "Via: 1.1 penstock\r\n"                                                    \
    "\r\n"

static const struct fields_context plain = {
    .peer = {"10.1.2.3", 8},
    .scheme = {"http", 4},
    .server = {"b:9000", 6},
};

static void assert_sent(const char *request, const struct fields_context *context,
                        const char *want)
{
    const struct http_message *m;
    struct parser *p = parse_message(HEAD_REQUEST, str_of(request), &m);
    struct buffer out = {0};

    assert_non_null(m);
    fields_write_request(&out, m, context);
    buffer_append_byte(&out, '\0');
    assert_string_equal(out.data, want);
    buffer_fini(&out);
    parser_free(p);
}

static void assert_passes(const char *request, const char *want)
{
    assert_sent(request, &plain, want);
}

/* What becomes of one line beside Host. */
static void assert_line(const char *line, const char *want)
{
    char request[512], head[1024];

    snprintf(request, sizeof(request),
             "OPTIONS / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n", line);
    snprintf(head, sizeof(head), "OPTIONS / HTTP/1.1\r\nHost: a\r\n%s" FROM_CLIENT,
             want);
    assert_passes(request, head);
}

static void the_target_passes_as_received(void **state)
{
    assert_passes("GET //a%2F..%2fb;x?y=%2f+z? HTTP/1.1\r\nHost: a\r\n\r\n",
                  "GET //a%2F..%2fb;x?y=%2f+z? HTTP/1.1\r\nHost: a\r\n"
                  FROM_CLIENT);
}

static void an_absolute_target_becomes_origin_form(void **state)
{
    assert_passes("GET http://a/x?y HTTP/1.1\r\nHost: wrong\r\n\r\n",
                  "GET /x?y HTTP/1.1\r\nHost: a\r\n" FROM_CLIENT);
    assert_passes("GET http://a?y HTTP/1.1\r\nHost: wrong\r\n\r\n",
                  "GET /?y HTTP/1.1\r\nHost: a\r\n" FROM_CLIENT);
    assert_passes("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
                  "OPTIONS * HTTP/1.1\r\nHost: a\r\n" FROM_CLIENT);
}

static void a_request_without_host_gets_the_servers(void **state)
{
    assert_passes("GET / HTTP/1.0\r\n\r\n",
                  "GET / HTTP/1.1\r\nHost: b:9000\r\n"
                  "X-Forwarded-For: 10.1.2.3\r\nX-Forwarded-Proto: http\r\n"
                  "Forwarded: for=10.1.2.3;proto=http\r\n"
                  "Via: 1.0 penstock\r\n\r\n");
}

static void fields_keep_their_order_and_case(void **state)
{
    assert_line("cOOkie: a=1\r\nX-Empty:\r\nCookie: b=2",
                "cOOkie: a=1\r\nX-Empty: \r\nCookie: b=2\r\n");
}

static void fields_of_the_connection_stay(void **state)
{
    assert_line("Connection: keep-alive", "");
    assert_line("Keep-Alive: timeout=5", "");
    assert_line("Proxy-Connection: keep-alive", "");
    assert_line("TE: trailers", "");
    assert_line("Trailer: X-T", "");
    assert_line("Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk", "");
}

static void fields_that_connection_names_stay(void **state)
{
    assert_line("Connection: close, X-A , x-b\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3",
                "X-C: 3\r\n");
    assert_line("Connection: X-A\r\nX-B: 2\r\nConnection: X-B\r\nX-A: 1", "");
}

static void connection_cannot_name_what_is_protected(void **state)
{
    assert_line("Connection: Host, Via, Max-Forwards\r\nMax-Forwards: 5",
                "Max-Forwards: 4\r\n");
    assert_passes("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                  "Connection: Content-Length\r\n\r\n",
                  "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                  FROM_CLIENT);
}

static void chunks_are_announced_anew(void **state)
{
    assert_passes("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n"
                  "Connection: Transfer-Encoding\r\n\r\n",
                  "POST / HTTP/1.1\r\nHost: a\r\n"
                  "Transfer-Encoding: chunked\r\n" FROM_CLIENT);
}

static void expect_passes_only_if_it_is_waited_for(void **state)
{
    const char *request = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                          "Content-Length: 5\r\n\r\n";
    struct fields_context waits = plain;

    waits.expect = true;
    assert_passes(request, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                           FROM_CLIENT);
    assert_sent(request, &waits,
                "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                "Content-Length: 5\r\n" FROM_CLIENT);
}

static void an_upgrade_is_asked_for_on_this_hop(void **state)
{
    struct fields_context upgrade = plain;

    upgrade.upgrade = STR("websocket");
    assert_sent("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c, websocket\r\n"
                "Connection: keep-alive, Upgrade\r\n\r\n",
                &upgrade,
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                "Upgrade: websocket\r\n" FROM_CLIENT);
}

static void the_client_is_added_to_who_came_before(void **state)
{
    assert_passes("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: x, y\r\n"
                  "X-Forwarded-For:\r\nx-forwarded-for: z\r\n"
                  "Forwarded: for=x\r\nForwarded: for=\"[::1]\"\r\n"
                  "Connection: X-Forwarded-For, Forwarded\r\n"
                  "X-Forwarded-Proto: https\r\nX-Forwarded-Host: forged\r\n\r\n",
                  "GET / HTTP/1.1\r\nHost: a\r\n"
                  "X-Forwarded-For: x, y, z, 10.1.2.3\r\n"
                  "X-Forwarded-Host: a\r\nX-Forwarded-Proto: http\r\n"
                  "Forwarded: for=x, for=\"[::1]\", "
                  "for=10.1.2.3;host=\"a\";proto=http\r\n"
                  "Via: 1.1 penstock\r\n\r\n");
}

static void an_open_quote_cannot_swallow_what_is_added(void **state)
{
    assert_line("Forwarded: for=\"x", "");
    assert_line("Forwarded: for=\"x\\\"", "");
}

static void the_scheme_is_the_clients(void **state)
{
    struct fields_context context = plain;

    context.scheme = STR("https");
    assert_sent("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: http\r\n\r\n",
                &context,
                "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.1.2.3\r\n"
                "X-Forwarded-Host: a\r\nX-Forwarded-Proto: https\r\n"
                "Forwarded: for=10.1.2.3;host=\"a\";proto=https\r\n"
                "Via: 1.1 penstock\r\n\r\n");
}

static void an_address_of_version_6_is_quoted(void **state)
{
    struct fields_context context = plain;

    context.peer = STR("::1");
    assert_sent("GET / HTTP/1.1\r\nHost: [::2]:8\r\n\r\n", &context,
                "GET / HTTP/1.1\r\nHost: [::2]:8\r\nX-Forwarded-For: ::1\r\n"
                "X-Forwarded-Host: [::2]:8\r\nX-Forwarded-Proto: http\r\n"
                "Forwarded: for=\"[::1]\";host=\"[::2]:8\";proto=http\r\n"
                "Via: 1.1 penstock\r\n\r\n");
}

static void max_forwards_counts_down_for_options_alone(void **state)
{
    assert_line("Max-Forwards: 10", "Max-Forwards: 9\r\n");
    assert_line("Max-Forwards: ten", "Max-Forwards: ten\r\n");
    assert_passes("GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 10\r\n\r\n",
                  "GET / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 10\r\n"
                  FROM_CLIENT);
}

/* ---- answers ------------------------------------------------------------- */

static void assert_picked(const char *answer, const char *want)
{
    const struct http_message *m;
    struct parser *p = parse_message(HEAD_RESPONSE, str_of(answer), &m);
    struct headers picked = {0};
    struct buffer out = {0};

    assert_non_null(m);
    assert_int_equal(fields_pick_answer(&picked, m), 0);
    for (unsigned i = 0; i < picked.count; i++)
        header_write(&out, picked.list[i].name, picked.list[i].value);
    buffer_append_byte(&out, '\0');
    assert_string_equal(out.data, want);
    headers_fini(&picked);
    buffer_fini(&out);
    parser_free(p);
}

static void an_answers_fields_pass_in_order(void **state)
{
    assert_picked("HTTP/1.1 200 OK\r\nServer: b\r\nSet-Cookie: a\r\n"
                  "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nset-cookie: b\r\n"
                  "X-Accel-Buffering: no\r\nVia: 1.1 other\r\n\r\n",
                  "Server: b\r\nSet-Cookie: a\r\n"
                  "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nset-cookie: b\r\n"
                  "X-Accel-Buffering: no\r\nVia: 1.1 other\r\n"
                  "Via: 1.1 penstock\r\n");
}

static void an_answers_connection_and_framing_stay(void **state)
{
    assert_picked("HTTP/1.1 200 OK\r\nConnection: X-A, Date\r\nX-A: 1\r\n"
                  "Keep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n"
                  "Trailer: X-T\r\nUpgrade: h2c\r\n"
                  "Proxy-Connection: close\r\nDate: now\r\n\r\n",
                  "Date: now\r\nVia: 1.1 penstock\r\n");
    assert_picked("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n",
                  "Via: 1.0 penstock\r\n");
}

static void upgrade_passes_where_it_is_the_answer(void **state)
{
    assert_picked("HTTP/1.1 426 No\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
                  "Upgrade: x\r\nVia: 1.1 penstock\r\n");
    assert_picked("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
                  "Upgrade: x\r\nVia: 1.1 penstock\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_target_passes_as_received),
        cmocka_unit_test(an_absolute_target_becomes_origin_form),
        cmocka_unit_test(a_request_without_host_gets_the_servers),
        cmocka_unit_test(fields_keep_their_order_and_case),
        cmocka_unit_test(fields_of_the_connection_stay),
        cmocka_unit_test(fields_that_connection_names_stay),
        cmocka_unit_test(connection_cannot_name_what_is_protected),
        cmocka_unit_test(chunks_are_announced_anew),
        cmocka_unit_test(expect_passes_only_if_it_is_waited_for),
        cmocka_unit_test(an_upgrade_is_asked_for_on_this_hop),
        cmocka_unit_test(the_client_is_added_to_who_came_before),
        cmocka_unit_test(an_open_quote_cannot_swallow_what_is_added),
        cmocka_unit_test(the_scheme_is_the_clients),
        cmocka_unit_test(an_address_of_version_6_is_quoted),
        cmocka_unit_test(max_forwards_counts_down_for_options_alone),
        cmocka_unit_test(an_answers_fields_pass_in_order),
        cmocka_unit_test(an_answers_connection_and_framing_stay),
        cmocka_unit_test(upgrade_passes_where_it_is_the_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
