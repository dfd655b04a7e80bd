#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "proxy/tunnel.h"
#include "../lib/http_message.h"

#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define KEY     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define ACCEPT  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define ASKS    "Connection: Upgrade\r\nUpgrade: websocket\r\n"

static struct parser *parse_request(const char *line, const char *fields,
                                    const struct http_message **m)
{
    char request[512];
    int n = snprintf(request, sizeof(request), "%s\r\nHost: a\r\n%s\r\n", line,
                     fields);
    struct parser *p =
        parse_message(HEAD_REQUEST, (struct str){request, (size_t)n}, m);

    assert_non_null(*m);
    return p;
}

static void assert_protocol(const char *fields, const char *want)
{
    const struct http_message *m;
    struct parser *p = parse_request("GET / HTTP/1.1", fields, &m);

    assert_true(str_eq_nocase(tunnel_protocol(m), str_of(want)));
    parser_free(p);
}

static void websocket_is_found_in_any_place_and_case(void **state)
{
    assert_protocol(ASKS, "websocket");
    assert_protocol("Connection: keep-alive, UPGRADE\r\nUpgrade: WebSocket\r\n",
                    "websocket");
    assert_protocol("Connection: keep-alive\r\nConnection: upgrade\r\n"
                    "Upgrade: h2c, chat\r\nUpgrade: websocket\r\n",
                    "websocket");
}

static void another_protocol_is_asked_for_as_it_is(void **state)
{
    assert_protocol("Connection: upgrade\r\nUpgrade: h2c, SPDY/3.1\r\n",
                    "SPDY/3.1");
}

static void http_in_disguise_is_not_asked_for(void **state)
{
    assert_protocol("Connection: upgrade\r\nUpgrade: h2c\r\n", "");
    assert_protocol("Connection: upgrade\r\nUpgrade: HTTP/2.0, TLS/1.3\r\n", "");
}

static void upgrade_counts_only_if_connection_names_it(void **state)
{
    assert_protocol("Upgrade: websocket\r\n", "");
    assert_protocol("Connection: not-upgrade-me\r\nUpgrade: websocket\r\n", "");
}

static void assert_refusal(unsigned want, const char *line, const char *fields)
{
    const struct http_message *m;
    struct parser *p = parse_request(line, fields, &m);
    const char *why;

    assert_int_equal(tunnel_refusal(m, &why), want);
    parser_free(p);
}

static void a_good_handshake_is_not_refused(void **state)
{
    assert_refusal(0, "GET / HTTP/1.1", ASKS VERSION KEY);
}

static void other_versions_are_told_which_one(void **state)
{
    assert_refusal(426, "GET / HTTP/1.1",
                   ASKS "Sec-WebSocket-Version: 1337\r\n" KEY);
    assert_refusal(426, "GET / HTTP/1.1",
                   ASKS "Sec-WebSocket-Version: 8\r\n" KEY);
    assert_refusal(426, "GET / HTTP/1.1",
                   ASKS "Sec-WebSocket-Version: 13, 8\r\n" KEY);
}

static void a_malformed_handshake_is_refused(void **state)
{
    assert_refusal(400, "GET / HTTP/1.1", ASKS KEY);
    assert_refusal(400, "GET / HTTP/1.1", ASKS VERSION VERSION KEY);
    assert_refusal(400, "GET / HTTP/1.1", ASKS VERSION);
    assert_refusal(400, "GET / HTTP/1.1", ASKS VERSION KEY KEY);
    assert_refusal(400, "GET / HTTP/1.1",
                   ASKS VERSION "Sec-WebSocket-Key: short\r\n");
    assert_refusal(400, "POST / HTTP/1.1", ASKS VERSION KEY);
    assert_refusal(400, "GET / HTTP/1.0", ASKS VERSION KEY);
    assert_refusal(400, "GET / HTTP/1.1",
                   ASKS VERSION KEY "Content-Length: 1\r\n");
}

static void what_asks_for_no_websocket_is_not_judged(void **state)
{
    assert_refusal(0, "POST / HTTP/1.1", "Upgrade: websocket\r\n");
    assert_refusal(0, "POST / HTTP/1.1",
                   "Connection: upgrade\r\nUpgrade: websocket2\r\n");
}

static bool granted(const char *fields, const char *answer)
{
    const struct http_message *m, *a;
    struct parser *p = parse_request("GET / HTTP/1.1", fields, &m);
    struct parser *q = parse_message(HEAD_RESPONSE, str_of(answer), &a);
    const char *why;
    bool good = a != NULL && tunnel_granted(m, tunnel_protocol(m), a, &why);

    parser_free(p);
    parser_free(q);
    return good;
}

#define GRANTS                                                                 \
    "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n"

static void the_right_accept_is_granted(void **state)
{
    assert_true(granted(ASKS VERSION KEY, GRANTS ACCEPT "\r\n"));
}

static void a_wrong_accept_is_not(void **state)
{
    assert_false(granted(ASKS VERSION KEY, GRANTS "\r\n"));
    assert_false(granted(ASKS VERSION KEY, GRANTS ACCEPT ACCEPT "\r\n"));
    assert_false(granted(ASKS VERSION KEY,
                         GRANTS "Sec-WebSocket-Accept: "
                                "S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
}

static void another_protocol_than_asked_is_not(void **state)
{
    assert_false(granted(ASKS VERSION KEY,
                         "HTTP/1.1 101 X\r\nConnection: Upgrade\r\n"
                         "Upgrade: h2c\r\n" ACCEPT "\r\n"));
    assert_false(granted("Connection: upgrade\r\nUpgrade: tcp\r\n",
                         GRANTS ACCEPT "\r\n"));
    assert_false(granted("", GRANTS ACCEPT "\r\n"));
}

static void another_protocol_needs_no_accept(void **state)
{
    assert_true(granted("Connection: upgrade\r\nUpgrade: tcp\r\n",
                        "HTTP/1.1 101 X\r\nConnection: Upgrade\r\n"
                        "Upgrade: tcp\r\n\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(websocket_is_found_in_any_place_and_case),
        cmocka_unit_test(another_protocol_is_asked_for_as_it_is),
        cmocka_unit_test(http_in_disguise_is_not_asked_for),
        cmocka_unit_test(upgrade_counts_only_if_connection_names_it),
        cmocka_unit_test(a_good_handshake_is_not_refused),
        cmocka_unit_test(other_versions_are_told_which_one),
        cmocka_unit_test(a_malformed_handshake_is_refused),
        cmocka_unit_test(what_asks_for_no_websocket_is_not_judged),
        cmocka_unit_test(the_right_accept_is_granted),
        cmocka_unit_test(a_wrong_accept_is_not),
        cmocka_unit_test(another_protocol_than_asked_is_not),
        cmocka_unit_test(another_protocol_needs_no_accept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
