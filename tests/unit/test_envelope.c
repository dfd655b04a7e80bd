#include "parsing.h"

#include <time.h>

#include "wire/envelope.h"
#include "wire/json.h"

static void assert_is(struct buffer *out, const char *want)
{
    assert_false(out->failed);
    buffer_append_byte(out, '\0');
    assert_string_equal(out->data, want);
    buffer_fini(out);
}

static void text_is_a_string(void **state)
{
    struct buffer out = {0};

    envelope_encode(&out, STR_NONE, STR("e-1"), STR("say"), ENVELOPE_TEXT,
                    STR("say \"hi\"\n"), 1767323045678);
    assert_is(&out, "{\"id\":\"e-1\",\"event\":\"say\","
                    "\"data\":\"say \\\"hi\\\"\\n\","
                    "\"time\":\"2026-01-02T03:04:05.678Z\"}");
}

static void json_is_embedded_byte_for_byte(void **state)
{
    struct buffer out = {0};

    envelope_encode(&out, STR_NONE, STR("e-1"), STR_NONE, ENVELOPE_JSON,
                    STR("{ \"id\":9007199254740993,\"f\":1.10,\"e\":1E400,"
                        "\"k\":\"\\u00e9\\/\",\"k\":2}"),
                    0);
    assert_is(&out, "{\"id\":\"e-1\",\"event\":\"message\",\"data\":"
                    "{ \"id\":9007199254740993,\"f\":1.10,\"e\":1E400,"
                    "\"k\":\"\\u00e9\\/\",\"k\":2},"
                    "\"time\":\"1970-01-01T00:00:00.000Z\"}");
}

static void binary_is_base64_and_says_so(void **state)
{
    struct buffer out = {0};

    envelope_encode(&out, STR_NONE, STR("e-1"), STR(""), ENVELOPE_BINARY, STR("\xff\0"),
                    0);
    assert_is(&out, "{\"id\":\"e-1\",\"event\":\"message\",\"data\":\"/wA=\","
                    "\"encoding\":\"base64\","
                    "\"time\":\"1970-01-01T00:00:00.000Z\"}");
}

static void text_that_is_no_utf8_still_makes_json(void **state)
{
    struct buffer out = {0};

    envelope_encode(&out, STR_NONE, STR("\xff"), STR("\"\n"), ENVELOPE_TEXT, STR("a\xff"),
                    0);
    assert_true(json_valid(buffer_str(&out)));
    buffer_fini(&out);
}

static void assert_time(uint64_t ms, const char *want)
{
    struct buffer out = {0};

    envelope_encode(&out, STR_NONE, STR("i"), STR_NONE, ENVELOPE_JSON, STR("0"), ms);
    assert_true(out.len > 26);
    assert_memory_equal(out.data + out.len - 26, want, 24);
    buffer_fini(&out);
}

static void leap_days_are_counted(void **state)
{
    assert_time(951782400000, "2000-02-29T00:00:00.000Z");
    assert_time(951868799999, "2000-02-29T23:59:59.999Z");
    assert_time(951868800000, "2000-03-01T00:00:00.000Z");
    assert_time(1709251199000, "2024-02-29T23:59:59.000Z");
    assert_time(4107542399000, "2100-02-28T23:59:59.000Z");
    assert_time(4107542400000, "2100-03-01T00:00:00.000Z");
}

static void every_day_is_as_the_system_has_it(void **state)
{
    for (uint64_t day = 0; day < 80000; day += 1) {
        time_t seconds = (time_t)(day * 86400);
        char want[32];
        struct tm tm;

        gmtime_r(&seconds, &tm);
        strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
        assert_time(day * 86400000, want);
    }
}

static void a_year_has_four_digits(void **state)
{
    assert_time(UINT64_MAX, "9999-12-31T23:59:59.999Z");
}

static void a_gap_tells_from_and_to(void **state)
{
    struct buffer out = {0};

    envelope_encode_gap(&out, STR("e-1"), STR("e-7"), STR_NONE);
    assert_is(&out, "{\"from\":\"e-1\",\"to\":\"e-7\"}");
    envelope_encode_gap(&out, STR_NONE, STR("e-7"), STR("[\"a\"]"));
    assert_is(&out, "{\"from\":null,\"to\":\"e-7\",\"channels\":[\"a\"]}");
}

static void a_batch_has_a_head_and_a_tail(void **state)
{
    struct buffer out = {0};

    envelope_batch_head(&out, false);
    envelope_batch_tail(&out, STR("e-7"));
    assert_is(&out, "{\"messages\":[],\"next\":\"e-7\"}");
    envelope_batch_head(&out, true);
    envelope_batch_tail(&out, STR("e-7"));
    assert_is(&out, "{\"gap\":true,\"messages\":[],\"next\":\"e-7\"}");
}

#define KIND(type, data, kind)                                                 \
    assert_int_equal(envelope_kind_of(STR(type), STR(data)), ENVELOPE_##kind)

static void json_media_types_hold_json_if_it_is_valid(void **state)
{
    KIND("application/json", "5", JSON);
    KIND("Application/JSON; charset=utf-8", "\"a\"", JSON);
    KIND("application/problem+json", "null", JSON);
    KIND("application/x-ndjson", "{}", JSON);
    KIND("application/json", "{", TEXT);
    KIND("application/json", "", TEXT);
    KIND("application/json", "{\"a\":\"\xff\"}", BINARY);
}

static void text_that_parses_as_a_container_is_json(void **state)
{
    KIND("text/plain", "{\"a\":1}", JSON);
    KIND("", "[1]", JSON);
    KIND("text/plain", "5", TEXT);
    KIND("", "[DONE]", TEXT);
    KIND("text/event-stream", "", TEXT);
    assert_int_equal(envelope_kind_of(STR_NONE, STR_NONE), ENVELOPE_TEXT);
}

static void some_media_types_are_always_binary(void **state)
{
    KIND("application/octet-stream", "abc", BINARY);
    KIND("image/png", "{}", BINARY);
    KIND("Audio/ogg", "a", BINARY);
    KIND("video/mp4;x=y", "a", BINARY);
}

static void what_is_no_utf8_is_binary(void **state)
{
    KIND("text/plain", "a\xff", BINARY);
    KIND("", "\xff\0", BINARY);
}

static void assert_base64(struct str s, const char *want)
{
    struct buffer out = {0};

    base64_append(&out, s);
    assert_is(&out, want);
}

static void base64_is_padded(void **state)
{
    assert_base64(STR(""), "");
    assert_base64(STR("f"), "Zg==");
    assert_base64(STR("fo"), "Zm8=");
    assert_base64(STR("foo"), "Zm9v");
    assert_base64(STR("foob"), "Zm9vYg==");
}

static void base64_may_be_long(void **state)
{
    struct buffer in = {0}, out = {0};

    for (size_t i = 0; i < (3 << 20) + 1; i++)
        buffer_append_byte(&in, 'x');
    base64_append(&out, buffer_str(&in));
    assert_int_equal(out.len, (in.len + 2) / 3 * 4);
    assert_memory_equal(out.data + (4 << 20) - 4, "eHh4eA==", 8);
    buffer_fini(&in);
    buffer_fini(&out);
}

static void encoding_without_memory_sets_failed(void **state)
{
    struct buffer out = {.failed = true};

    for (unsigned long nth = 1; out.failed; nth++) {
        buffer_fini(&out);
        memory_fails_at(nth);
        envelope_batch_head(&out, true);
        envelope_encode(&out, STR_NONE, STR("e-1"), STR("a\nb"), ENVELOPE_BINARY,
                        STR("a long binary message, a long binary message, "
                            "a long binary message, a long binary message"),
                        0);
        envelope_batch_tail(&out, STR("e-1"));
        memory_fails_at(0);
    }
    assert_true(json_valid(buffer_str(&out)));
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_a_string),
        cmocka_unit_test(json_is_embedded_byte_for_byte),
        cmocka_unit_test(binary_is_base64_and_says_so),
        cmocka_unit_test(text_that_is_no_utf8_still_makes_json),
        cmocka_unit_test(leap_days_are_counted),
        cmocka_unit_test(every_day_is_as_the_system_has_it),
        cmocka_unit_test(a_year_has_four_digits),
        cmocka_unit_test(a_gap_tells_from_and_to),
        cmocka_unit_test(a_batch_has_a_head_and_a_tail),
        cmocka_unit_test(json_media_types_hold_json_if_it_is_valid),
        cmocka_unit_test(text_that_parses_as_a_container_is_json),
        cmocka_unit_test(some_media_types_are_always_binary),
        cmocka_unit_test(what_is_no_utf8_is_binary),
        cmocka_unit_test(base64_is_padded),
        cmocka_unit_test(base64_may_be_long),
        cmocka_unit_test(encoding_without_memory_sets_failed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
