/* src/base/logging.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/logging.h"

static int fds[2];
static char text[8192];

/* The log goes into a pipe; the clock stands at one second. */
static int setup(void **state)
{
    clock_stop_at(1000000);
    log_setup(LOG_LEVEL_INFO, pipe(fds) == 0 ? fds[1] : 2);
    return 0;
}

static int teardown(void **state)
{
    log_setup(LOG_LEVEL_INFO, 2);
    close(fds[0]);
    close(fds[1]);
    clock_stop_at(0);
    return 0;
}

/* All that was logged so far; ends the log. */
static const char *logged(void)
{
    ssize_t n;

    log_setup(LOG_LEVEL_INFO, 2);
    dup2(2, fds[1]); /* the pipe's last writer: reading ends */
    n = read(fds[0], text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void a_line_is_time_level_what_and_values(void **state)
{
    log_info("listen", "port=%d", 80);
    assert_string_equal(logged(), "1970-01-01T00:00:01.000Z info listen "
                                  "port=80\n");
}

static void what_is_above_the_level_is_not_written(void **state)
{
    log_debug("move", "x=1");
    log_warn("coped", "x=2");
    assert_string_equal(logged(), "1970-01-01T00:00:01.000Z warn coped x=2\n");
}

static void levels_are_ordered(void **state)
{
    log_setup(LOG_LEVEL_WARN, fds[1]);
    assert_true(log_enabled(LOG_LEVEL_ERROR));
    assert_true(log_enabled(LOG_LEVEL_WARN));
    assert_false(log_enabled(LOG_LEVEL_INFO));
    assert_false(log_enabled(LOG_LEVEL_DEBUG));
}

static void it_keeps_errno(void **state)
{
    errno = ENOENT;
    log_info("what", "x=1");
    assert_int_equal(errno, ENOENT);
    log_setup(LOG_LEVEL_INFO, -1); /* the write fails */
    log_info("what", "x=1");
    assert_int_equal(errno, ENOENT);
}

static void percent_m_is_the_callers_errno(void **state)
{
    errno = ENOENT;
    log_info("what", "error=\"%m\"");
    assert_non_null(strstr(logged(), "No such file or directory"));
}

static void a_line_too_long_is_cut_and_ends(void **state)
{
    char x[4001];

    memset(x, 'x', 4000);
    x[4000] = '\0';
    log_info("what", "x=%s", x);
    logged();
    assert_true(strlen(text) < 2048);
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_int_equal(text[strlen(text) - 2], 'x');
}

static void quote_escapes_quotes_and_backslashes(void **state)
{
    char out[64];

    assert_string_equal(log_quote(out, sizeof(out), "say \"hi\\\"", 9),
                        "\"say \\\"hi\\\\\\\"\"");
}

static void quote_shows_control_octets_as_hex(void **state)
{
    char out[64];

    assert_string_equal(log_quote(out, sizeof(out), "a\r\n\0\x7f", 5),
                        "\"a\\x0d\\x0a\\x00\\x7f\"");
}

static void quote_leaves_utf8_alone(void **state)
{
    char out[64];

    assert_string_equal(log_quote(out, sizeof(out), "\xc3\xa9", 2),
                        "\"\xc3\xa9\"");
}

static void quote_of_nothing_is_two_quotes(void **state)
{
    char out[6];

    assert_string_equal(log_quote(out, sizeof(out), "", 0), "\"\"");
}

static void quote_cuts_what_does_not_fit(void **state)
{
    char out[16];

    assert_string_equal(log_quote(out, sizeof(out), "0123456789abcdef", 16),
                        "\"012345...\"");
}

/* The octets behind out are poisoned by the sanitizer. */
static void quote_never_writes_past_its_room(void **state)
{
    char out[40], s[64];

    memset(s, 1, sizeof(s));
    for (size_t cap = 6; cap <= sizeof(out); cap++)
        for (size_t len = 0; len <= sizeof(s); len++) {
            memset(out, '#', sizeof(out));
            log_quote(out, cap, s, len);
            assert_true(strnlen(out, cap) < cap);
            for (size_t i = cap; i < sizeof(out); i++)
                assert_int_equal(out[i], '#');
        }
}

static void the_first_of_a_limited_line_passes(void **state)
{
    struct log_limit limit = {0};

    assert_true(log_limit_pass(&limit));
}

static void others_within_a_second_are_held_back(void **state)
{
    struct log_limit limit = {0};

    log_limit_pass(&limit);
    assert_false(log_limit_pass(&limit));
    clock_advance(999999);
    assert_false(log_limit_pass(&limit));
    clock_advance(1);
    assert_true(log_limit_pass(&limit));
}

static void the_next_that_passes_says_how_many_were_held(void **state)
{
    struct log_limit limit = {0};

    for (int i = 0; i < 4; i++)
        log_limit_pass(&limit);
    clock_advance(1000000);
    log_limit_pass(&limit);
    assert_non_null(strstr(logged(), "warn log.held lines=3\n"));
}

static void each_place_has_a_limit_of_its_own(void **state)
{
    for (int i = 0; i < 3; i++)
        log_warn_limited("one", "x=1");
    log_warn_limited("two", "x=1");
    assert_string_equal(logged(),
                        "1970-01-01T00:00:01.000Z warn one x=1\n"
                        "1970-01-01T00:00:01.000Z warn two x=1\n");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_line_is_time_level_what_and_values),
        CASE(what_is_above_the_level_is_not_written),
        CASE(levels_are_ordered),
        CASE(it_keeps_errno),
        CASE(percent_m_is_the_callers_errno),
        CASE(a_line_too_long_is_cut_and_ends),
        CASE(quote_escapes_quotes_and_backslashes),
        CASE(quote_shows_control_octets_as_hex),
        CASE(quote_leaves_utf8_alone),
        CASE(quote_of_nothing_is_two_quotes),
        CASE(quote_cuts_what_does_not_fit),
        CASE(quote_never_writes_past_its_room),
        CASE(the_first_of_a_limited_line_passes),
        CASE(others_within_a_second_are_held_back),
        CASE(the_next_that_passes_says_how_many_were_held),
        CASE(each_place_has_a_limit_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
