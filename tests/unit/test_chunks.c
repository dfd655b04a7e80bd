#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "http/chunks.h"
#include "http_cases.h"

/* Judges bytes in pieces of at most step; returns how many were good. */
static size_t judge(struct chunks *c, struct str bytes, size_t step)
{
    size_t at = 0;
    bool kept;

    chunks_init(c);
    while (at < bytes.n && c->state != CHUNKS_END && c->state != CHUNKS_BAD) {
        size_t n = bytes.n - at < step ? bytes.n - at : step;

        at += chunks_judge(c, bytes.p + at, n, &kept);
    }
    return at;
}

static void bad_chunks_are_refused_however_cut(void **state)
{
    struct chunks whole, cut;

    for (size_t i = 0; i < CASES(bad_chunks); i++) {
        size_t good = judge(&whole, bad_chunks[i].bytes, SIZE_MAX);

        if (whole.state != CHUNKS_BAD ||
            whole.fault.status != bad_chunks[i].status)
            fail_msg("%d: %.*s", whole.fault.status,
                     STR_ARG(bad_chunks[i].bytes));
        for (size_t step = 1; step < bad_chunks[i].bytes.n; step++) {
            assert_int_equal(judge(&cut, bad_chunks[i].bytes, step), good);
            assert_int_equal(cut.state, CHUNKS_BAD);
            assert_string_equal(cut.fault.reason, whole.fault.reason);
        }
    }
}

static void the_end_is_found_and_nothing_after_it_taken(void **state)
{
    static const char body[] = "3;a=\"b;\"\r\nabc\r\n0\r\nX: y\r\n\r\n";
    struct str bytes = STR("3;a=\"b;\"\r\nabc\r\n0\r\nX: y\r\n\r\nGET");
    struct chunks c;

    for (size_t step = 1; step <= bytes.n; step++) {
        assert_int_equal(judge(&c, bytes, step), sizeof(body) - 1);
        assert_int_equal(c.state, CHUNKS_END);
    }
}

static void extensions_and_trailers_are_told_from_the_rest(void **state)
{
    struct str bytes = STR("1;x=\"y\"\r\n;\r\n0;z\r\nX: y\r\n\r\nrest");
    static const char *const runs[] = {
        "1", ";x=\"y\"", "\r\n;\r\n0", ";z", "\r\n", "X: y\r\n\r\n",
    };
    struct chunks c;
    bool kept;

    chunks_init(&c);
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        size_t n = chunks_judge(&c, bytes.p, bytes.n, &kept);

        assert_true(str_eq((struct str){bytes.p, n}, str_of(runs[i])));
        assert_int_equal(kept, i % 2 == 0);
        bytes.p += n;
        bytes.n -= n;
    }
    assert_int_equal(c.state, CHUNKS_END);
    assert_int_equal(chunks_judge(&c, bytes.p, bytes.n, &kept), 0);
}

static void a_chunk_of_any_size_is_stepped_over(void **state)
{
    struct chunks c;
    bool kept;

    chunks_init(&c);
    assert_int_equal(chunks_judge(&c, "7fffffffffffffff\r\nabc", 21, &kept),
                     21);
    assert_int_equal(c.state, CHUNKS_DATA);
    assert_true(c.size_bytes == INT64_MAX - 3);
}

/* chunks of one octet, each with an extension of so many octets */
static void with_extensions(struct buffer *b, unsigned chunks, size_t each)
{
    b->len = 0;
    while (chunks-- > 0) {
        buffer_printf(b, "1;");
        for (size_t i = 0; i < each; i++)
            buffer_append_byte(b, 'e');
        buffer_printf(b, "\r\nx\r\n");
    }
    buffer_printf(b, "0\r\n\r\n");
}

static void extensions_are_limited_over_the_whole_body(void **state)
{
    struct buffer b = {0};
    struct chunks c;

    with_extensions(&b, 1, 16 * 1024 - 1);
    judge(&c, buffer_str(&b), SIZE_MAX);
    assert_int_equal(c.state, CHUNKS_END);
    with_extensions(&b, 1, 64 * 1024);
    judge(&c, buffer_str(&b), SIZE_MAX);
    assert_int_equal(c.state, CHUNKS_BAD);
    with_extensions(&b, 20, 1000);
    judge(&c, buffer_str(&b), SIZE_MAX);
    assert_int_equal(c.state, CHUNKS_BAD);
    assert_int_equal(c.fault.status, 400);
    buffer_fini(&b);
}

static void trailers_are_limited(void **state)
{
    struct buffer b = {0};
    struct chunks c;

    buffer_printf(&b, "0\r\n");
    for (int i = 0; i < 2000; i++)
        buffer_printf(&b, "Name: value\r\n");
    judge(&c, buffer_str(&b), SIZE_MAX);
    assert_int_equal(c.state, CHUNKS_BAD);
    assert_int_equal(c.fault.status, 431);
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_chunks_are_refused_however_cut),
        cmocka_unit_test(the_end_is_found_and_nothing_after_it_taken),
        cmocka_unit_test(extensions_and_trailers_are_told_from_the_rest),
        cmocka_unit_test(a_chunk_of_any_size_is_stepped_over),
        cmocka_unit_test(extensions_are_limited_over_the_whole_body),
        cmocka_unit_test(trailers_are_limited),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
