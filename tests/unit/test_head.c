#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "http/head.h"
#include "http_cases.h"

/* Judges a copy of the bytes that ends where its memory does, so that one
 * octet read beyond them is seen. */
static ssize_t check(enum head_side side, struct str bytes,
                     const struct head_limits *limits, struct head_fault *fault)
{
    char *copy = malloc(bytes.n + (bytes.n == 0));
    ssize_t n;

    assert_non_null(copy);
    if (bytes.n > 0)
        memcpy(copy, bytes.p, bytes.n);
    n = head_check(side, copy, bytes.n, limits, fault);
    free(copy);
    return n;
}

/* Refused with the status; and no prefix passes as whole, or is refused for
 * another reason. */
static void assert_refused(enum head_side side, struct str bytes, int status)
{
    struct head_fault fault = {0}, earlier = {0};

    if (check(side, bytes, NULL, &fault) != -1 || fault.status != status)
        fail_msg("%d, not %d (%s): %.*s", fault.status, status,
                 fault.reason != NULL ? fault.reason : "passes",
                 STR_ARG(bytes));
    for (size_t n = 0; n < bytes.n; n++) {
        ssize_t verdict = check(side, (struct str){bytes.p, n}, NULL, &earlier);

        assert_true(verdict <= 0);
        if (verdict < 0) {
            assert_int_equal(earlier.status, fault.status);
            assert_string_equal(earlier.reason, fault.reason);
        }
    }
}

/* Whole at its blank line, and at no octet before. */
static void assert_passes(enum head_side side, struct str bytes)
{
    const char *blank = memmem(bytes.p, bytes.n, "\r\n\r\n", 4);
    struct head_fault fault = {0};
    ssize_t head = blank + 4 - bytes.p;

    for (size_t n = 0; n <= bytes.n; n++) {
        ssize_t want = (ssize_t)n < head ? 0 : head;
        ssize_t got = check(side, (struct str){bytes.p, n}, NULL, &fault);

        if (got != want)
            fail_msg("%zd at %zu (%s): %.*s", got, n,
                     got < 0 ? fault.reason : "", STR_ARG(bytes));
    }
}

static void bad_heads_are_refused(void **state)
{
    for (size_t i = 0; i < CASES(bad_heads); i++)
        assert_refused(HEAD_REQUEST, bad_heads[i].bytes, bad_heads[i].status);
}

/* The line, with its first field's name in another case. */
static void append_line(struct buffer *b, struct str line, int letter_case)
{
    size_t start = b->len;

    buffer_append_str(b, line);
    for (size_t i = start; i < b->len && b->data[i] != ':'; i++) {
        bool letter = (b->data[i] | 0x20) >= 'a' && (b->data[i] | 0x20) <= 'z';

        if (letter && letter_case == 1)
            b->data[i] |= 0x20;
        if (letter && letter_case == 2)
            b->data[i] &= ~0x20;
    }
}

/* A good request with the line first, in the middle, or last. */
static void request_with(struct buffer *b, struct str line, int place,
                         int letter_case)
{
    static const char *const fields[] = {"Host: a\r\n", "Accept: */*\r\n"};

    b->len = 0;
    buffer_printf(b, "POST /x HTTP/1.1\r\n");
    for (int i = 0; i < 2; i++) {
        if (place == i)
            append_line(b, line, letter_case);
        buffer_printf(b, "%s", fields[i]);
    }
    if (place == 2)
        append_line(b, line, letter_case);
    buffer_printf(b, "\r\n");
}

static void bad_fields_are_refused_in_any_place_and_case(void **state)
{
    struct buffer b = {0};

    for (size_t i = 0; i < CASES(bad_fields); i++)
        for (int variant = 0; variant < 9; variant++) {
            request_with(&b, bad_fields[i].bytes, variant / 3, variant % 3);
            assert_refused(HEAD_REQUEST, buffer_str(&b), bad_fields[i].status);
        }
    buffer_fini(&b);
}

/* Those that are about requests alone are fine in an answer. */
static bool only_of_requests(struct str line)
{
    return str_eq_nocase((struct str){line.p, 5}, STR("Host:")) ||
           str_starts(line, STR("Expect"));
}

static void bad_fields_are_refused_in_answers(void **state)
{
    struct buffer b = {0};

    for (size_t i = 0; i < CASES(bad_fields); i++) {
        if (only_of_requests(bad_fields[i].bytes) &&
            memmem(bad_fields[i].bytes.p, bad_fields[i].bytes.n, "\r\n ", 3) ==
                NULL)
            continue;
        for (int place = 0; place < 3; place++) {
            b.len = 0;
            buffer_printf(&b, "HTTP/1.1 200 OK\r\n%s",
                          place > 0 ? "A: b\r\n" : "");
            buffer_append_str(&b, bad_fields[i].bytes);
            buffer_printf(&b, "%s\r\n", place < 2 ? "C: d\r\n" : "");
            assert_refused(HEAD_RESPONSE, buffer_str(&b), 502);
        }
    }
    buffer_fini(&b);
}

static void bad_hosts_are_refused(void **state)
{
    struct buffer b = {0};

    for (size_t i = 0; i < CASES(bad_hosts); i++) {
        b.len = 0;
        buffer_printf(&b, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", bad_hosts[i]);
        assert_refused(HEAD_REQUEST, buffer_str(&b), 400);
    }
    buffer_fini(&b);
}

static void bad_answers_are_refused(void **state)
{
    /* The last two are whole, but unasked: the parser's to refuse. */
    for (size_t i = 0; i + 2 < CASES(bad_answers); i++)
        assert_refused(HEAD_RESPONSE, bad_answers[i].bytes, 502);
}

static void good_heads_pass_at_their_blank_line(void **state)
{
    for (size_t i = 0; i < CASES(good_requests); i++)
        assert_passes(HEAD_REQUEST, good_requests[i].bytes);
    for (size_t i = 0; i < CASES(good_answers); i++)
        assert_passes(HEAD_RESPONSE, good_answers[i].bytes);
}

static const char *const methods[] = {
    "GET",   "HEAD",     "POST",       "PUT",       "DELETE", "OPTIONS",
    "PATCH", "PROPFIND", "MKCALENDAR", "SUBSCRIBE", "SEARCH",
};

static void the_methods_in_use_pass(void **state)
{
    struct buffer b = {0};

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        b.len = 0;
        buffer_printf(&b, "%s / HTTP/1.1\r\nHost: a\r\n\r\n", methods[i]);
        assert_passes(HEAD_REQUEST, buffer_str(&b));
    }
    buffer_fini(&b);
}

/* Every octet in the middle of a value, at each place in a word of eight. */
static void values_hold_text_and_nothing_else(void **state)
{
    char head[] = "GET / HTTP/1.1\r\nHost: a\r\nX: abcdefghijklmnopqrs\r\n\r\n";
    size_t at = strlen("GET / HTTP/1.1\r\nHost: a\r\nX: ") + 4;
    struct str bytes = {head, sizeof(head) - 1};
    struct head_fault fault;

    for (size_t i = at; i < at + 8; i++) {
        char kept = head[i];

        for (int c = 0; c < 256; c++) {
            bool good = (c >= ' ' && c != 0x7f) || c == '\t';

            head[i] = (char)c;
            assert_int_equal(check(HEAD_REQUEST, bytes, NULL, &fault) > 0,
                             good);
        }
        head[i] = kept;
    }
}

static void filled_head(struct buffer *b, size_t target, size_t fields,
                        size_t field_bytes)
{
    b->len = 0;
    buffer_printf(b, "GET /");
    for (size_t i = 1; i < target; i++)
        buffer_append_byte(b, 'a');
    buffer_printf(b, " HTTP/1.1\r\nHost: a\r\n");
    for (size_t i = 1; i < fields; i++) {
        buffer_printf(b, "X: ");
        for (size_t n = 5; n < field_bytes; n++)
            buffer_append_byte(b, 'x');
        buffer_printf(b, "\r\n");
    }
    buffer_printf(b, "\r\n");
}

static void limits_are_exact(void **state)
{
    struct buffer b = {0};

    filled_head(&b, 8192, 1, 0);
    assert_passes(HEAD_REQUEST, buffer_str(&b));
    filled_head(&b, 8193, 1, 0);
    assert_refused(HEAD_REQUEST, buffer_str(&b), 414);
    filled_head(&b, 1, 100, 9);
    assert_passes(HEAD_REQUEST, buffer_str(&b));
    filled_head(&b, 1, 101, 9);
    assert_refused(HEAD_REQUEST, buffer_str(&b), 431);
    filled_head(&b, 1, 2, 16384 - 27);
    assert_int_equal(b.len, 16384);
    assert_passes(HEAD_REQUEST, buffer_str(&b));
    filled_head(&b, 1, 2, 16384 - 26);
    assert_refused(HEAD_REQUEST, buffer_str(&b), 431);
    buffer_fini(&b);
}

static void a_head_without_end_is_refused_at_the_limit(void **state)
{
    struct head_limits limits = {
        .head_bytes = 64, .fields = 3, .target_bytes = 16};
    struct head_fault fault;
    char junk[80];

    memset(junk, 'A', sizeof(junk));
    assert_int_equal(
        check(HEAD_REQUEST, (struct str){junk, 63}, &limits, &fault), 0);
    assert_int_equal(
        check(HEAD_REQUEST, (struct str){junk, 64}, &limits, &fault), -1);
    assert_int_equal(fault.status, 431);
    memcpy(junk, "GET /", 5);
    assert_int_equal(
        check(HEAD_REQUEST, (struct str){junk, 20}, &limits, &fault), 0);
    assert_int_equal(
        check(HEAD_REQUEST, (struct str){junk, 21}, &limits, &fault), -1);
    assert_int_equal(fault.status, 414);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_heads_are_refused),
        cmocka_unit_test(bad_fields_are_refused_in_any_place_and_case),
        cmocka_unit_test(bad_fields_are_refused_in_answers),
        cmocka_unit_test(bad_hosts_are_refused),
        cmocka_unit_test(bad_answers_are_refused),
        cmocka_unit_test(good_heads_pass_at_their_blank_line),
        cmocka_unit_test(the_methods_in_use_pass),
        cmocka_unit_test(values_hold_text_and_nothing_else),
        cmocka_unit_test(limits_are_exact),
        cmocka_unit_test(a_head_without_end_is_refused_at_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
