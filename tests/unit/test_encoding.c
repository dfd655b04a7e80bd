/* src/hub/encoding.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <pthread.h>
#include <string.h>
#include <cmocka.h>

#include "base/meter.h"
#include "hub/encoding.h"
#include "hub/hub.h"
#include "memory.h"

#define THREADS 4

/* Where they all are. */
static struct hub hub = {.order.epoch = 2};
static union {
    struct channel channel;
    char room[sizeof(struct channel) + 8];
} home;

static int make_home(void **state)
{
    home.channel.hub = &hub;
    memcpy(home.channel.name, "a/b", 4);
    return 0;
}

/* As if a history held it: epoch 1, seq 7, at the start of 1970. */
static struct message *held(struct str data, struct str type,
                            struct str content_type)
{
    const struct message_parts parts = {data, type, content_type};
    struct message *m = message_new(&parts);

    assert_non_null(m);
    m->epoch = 1;
    m->seq = 7;
    m->stamp = 99;
    m->home = &home.channel;
    m->time_ms = 0;
    return m;
}

static void assert_wire(struct message *m, enum wire_format format, bool framed,
                        struct str want)
{
    const struct wire *w = message_wire(m, format);
    struct str s;

    assert_non_null(w);
    s = wire_str(w, framed);
    assert_int_equal(s.n, want.n);
    assert_memory_equal(s.p, want.p, want.n);
}

#define JSON_TEXT                                                              \
    "{\"id\":\"00000001-7\",\"event\":\"message\",\"data\":\"hi\","            \
    "\"time\":\"1970-01-01T00:00:00.000Z\"}"

static void json_is_the_element_of_a_batch(void **state)
{
    struct message *m = held(STR("hi"), STR_NONE, STR_NONE);

    assert_wire(m, WIRE_JSON, false, STR(JSON_TEXT));
    assert_wire(m, WIRE_JSON, true, STR(JSON_TEXT));
    message_unref(&m);
}

static void sse_is_an_event(void **state)
{
    struct message *m = held(STR("a\nb"), STR("tick"), STR_NONE);

    assert_wire(m, WIRE_SSE, false,
                STR("id: 00000001-7\nevent: tick\ndata: a\ndata: b\n\n"));
    message_unref(&m);
}

static void framed_sse_is_a_chunk(void **state)
{
    struct message *m = held(STR("hi"), STR_NONE, STR_NONE);

    assert_wire(m, WIRE_SSE, true,
                STR("19\r\nid: 00000001-7\ndata: hi\n\n\r\n"));
    message_unref(&m);
}

static void binary_sse_is_base64(void **state)
{
    struct message *m = held(STR("\xff\xfe"), STR_NONE, STR_NONE);

    assert_wire(m, WIRE_SSE, false, STR("id: 00000001-7\ndata: //4=\n\n"));
    message_unref(&m);
}

static void websocket_is_a_frame_of_the_data(void **state)
{
    struct message *m = held(STR("hi"), STR_NONE, STR_NONE);

    assert_wire(m, WIRE_WS, false, STR("\x81\x02hi"));
    message_unref(&m);
}

static void binary_websocket_is_a_binary_frame(void **state)
{
    struct message *m = held(STR("\xff\xfe"), STR_NONE, STR_NONE);

    assert_wire(m, WIRE_WS, true, STR("\x82\x02\xff\xfe"));
    message_unref(&m);
}

static void an_empty_message_is_an_empty_frame(void **state)
{
    struct message *m = held(STR_NONE, STR_NONE, STR_NONE);

    assert_wire(m, WIRE_WS, false, (struct str){"\x81\0", 2});
    message_unref(&m);
}

static void the_envelope_is_a_text_frame_of_json(void **state)
{
    struct message *m = held(STR("hi"), STR_NONE, STR_NONE);

    assert_wire(m, WIRE_WS_ENVELOPE, false, STR("\x81\x53" JSON_TEXT));
    assert_int_equal(sizeof(JSON_TEXT) - 1, 0x53);
    message_unref(&m);
}

/* ---- compressed ------------------------------------------------------------ */

#define TWENTY "0123456789abcdefghij"
#define LONG   TWENTY TWENTY TWENTY TWENTY TWENTY TWENTY

static const struct deflate_settings always = {true, 6, 0};

#define NAMED_TEXT                                                             \
    "{\"channel\":\"a/b\",\"id\":\"00000002-99\",\"event\":\"message\","     \
    "\"data\":\"hi\",\"time\":\"1970-01-01T00:00:00.000Z\"}"

static void named_ones_tell_the_channel_and_the_place_among_all(void **state)
{
    struct message *m = held(STR("hi"), STR_NONE, STR_NONE);

    assert_wire(m, WIRE_JSON_NAMED, false, STR(NAMED_TEXT));
    assert_wire(m, WIRE_SSE_NAMED, false,
                STR("id: 00000002-99\ndata: " NAMED_TEXT "\n\n"));
    assert_wire(m, WIRE_WS_NAMED, false, STR("\x81\x64" NAMED_TEXT));
    message_unref(&m);
}

static void a_gap_before_it_is_told_in_front_of_it(void **state)
{
    struct message *m = held(STR("hi"), STR_NONE, STR_NONE);

    m->after_gap = true;
    assert_wire(m, WIRE_JSON, false, STR(JSON_TEXT)); /* the batch tells it */
    assert_wire(m, WIRE_WS, false, STR("\x81\x02hi")); /* nobody could see it */
    assert_wire(m, WIRE_SSE, false,
                STR("id: 00000001-6\nevent: penstock.gap\n"
                    "data: {\"from\":\"00000001-6\",\"to\":\"00000001-7\"}\n\n"
                    "id: 00000001-7\ndata: hi\n\n"));
    assert_wire(m, WIRE_WS_ENVELOPE, false,
                STR("\x81\x2f{\"gap\":{\"from\":\"00000001-6\","
                    "\"to\":\"00000001-7\"}}" "\x81\x53" JSON_TEXT));
    message_unref(&m);
}

static void an_enveloped_event_has_its_type_inside(void **state)
{
    struct message *m = held(STR("\xff"), STR("say"), STR_NONE);

    assert_wire(m, WIRE_SSE_ENVELOPE, false,
                STR("id: 00000001-7\ndata: {\"id\":\"00000001-7\","
                    "\"event\":\"say\",\"data\":\"/w==\","
                    "\"encoding\":\"base64\","
                    "\"time\":\"1970-01-01T00:00:00.000Z\"}\n\n"));
    message_unref(&m);
}

static void a_deflated_frame_says_so(void **state)
{
    struct message *m = held(STR(LONG), STR_NONE, STR_NONE);
    const struct wire *w = message_wire_packed(m, WIRE_WS_15, &always);

    assert_int_equal((unsigned char)w->bytes[0], 0xc1);
    assert_true(w->len < 60);
    assert_int_equal(w->bytes[1], w->len - 2);
    message_unref(&m);
}

static void what_does_not_shrink_is_a_plain_frame(void **state)
{
    struct message *m = held(STR("hi"), STR_NONE, STR_NONE);

    assert_wire(m, WIRE_WS_15, false, STR("\x81\x02hi"));
    message_unref(&m);
}

static void what_is_below_the_minimum_is_the_plain_frame(void **state)
{
    const struct deflate_settings from_121 = {true, 6, 121};
    const struct deflate_settings from_120 = {true, 6, 120};
    struct message *m = held(STR(LONG), STR_NONE, STR_NONE);

    assert_ptr_equal(message_wire_packed(m, WIRE_WS_15, &from_121),
                     message_wire(m, WIRE_WS));
    assert_ptr_not_equal(message_wire_packed(m, WIRE_WS_15, &from_120),
                         message_wire(m, WIRE_WS));
    message_unref(&m);
}

/* All of a gzip stream is gzip. */
static void an_event_has_no_minimum(void **state)
{
    const struct deflate_settings from_1000 = {true, 6, 1000};
    struct message *m = held(STR("hi"), STR_NONE, STR_NONE);
    const struct wire *w = message_wire_packed(m, WIRE_SSE_GZIP, &from_1000);
    struct gzip_part part = gzip_part_of(STR("id: 00000001-7\ndata: hi\n\n"));

    assert_int_equal(w->part.crc, part.crc);
    assert_int_equal(w->part.size, part.size);
    assert_int_equal(w->tail, 2);
    message_unref(&m);
}

static void a_format_is_found_for_each_window(void **state)
{
    assert_int_equal(wire_format_deflated(WIRE_WS, 15), WIRE_WS_15);
    assert_int_equal(wire_format_deflated(WIRE_WS, 14), WIRE_WS_12);
    assert_int_equal(wire_format_deflated(WIRE_WS, 12), WIRE_WS_12);
    assert_int_equal(wire_format_deflated(WIRE_WS, 11), WIRE_WS_9);
    assert_int_equal(wire_format_deflated(WIRE_WS_ENVELOPE, 9), WIRE_WS_ENVELOPE_9);
    assert_int_equal(wire_format_deflated(WIRE_WS_ENVELOPE, 15),
                     WIRE_WS_ENVELOPE_15);
    assert_int_equal(wire_format_deflated(WIRE_WS_NAMED, 12),
                     WIRE_WS_NAMED_12);
    assert_int_equal(wire_format_gzip(WIRE_SSE), WIRE_SSE_GZIP);
    assert_int_equal(wire_format_gzip(WIRE_SSE_NAMED), WIRE_SSE_NAMED_GZIP);
}

static void windows_share_what_fits_the_smaller(void **state)
{
    struct message *m = held(STR(LONG), STR_NONE, STR_NONE);
    uint64_t before = meter_sum(METER_messages_deflated);

    assert_ptr_equal(message_wire_packed(m, WIRE_WS_12, &always),
                     message_wire_packed(m, WIRE_WS_15, &always));
    assert_ptr_equal(message_wire_packed(m, WIRE_WS_9, &always),
                     message_wire_packed(m, WIRE_WS_15, &always));
    assert_ptr_equal(message_wire_packed(m, WIRE_WS_ENVELOPE_12, &always),
                     message_wire_packed(m, WIRE_WS_ENVELOPE_15, &always));
    assert_int_equal(meter_sum(METER_messages_deflated) - before, 2);
    message_unref(&m);
}

static void a_message_larger_than_a_window_is_made_for_it(void **state)
{
    struct buffer data = {0};
    struct message *m;

    while (data.len < 600)
        buffer_append_str(&data, STR(LONG));
    m = held(buffer_str(&data), STR_NONE, STR_NONE);
    assert_ptr_not_equal(message_wire_packed(m, WIRE_WS_9, &always),
                         message_wire_packed(m, WIRE_WS_15, &always));
    assert_ptr_equal(message_wire_packed(m, WIRE_WS_12, &always),
                     message_wire_packed(m, WIRE_WS_15, &always));
    message_unref(&m);
    buffer_fini(&data);
}

static void it_is_made_once(void **state)
{
    struct message *m = held(STR("hi"), STR_NONE, STR_NONE);

    for (int i = 0; i < WIRE_N; i++) {
        const struct wire *w = message_wire(m, (enum wire_format)i);

        assert_ptr_equal(message_wire(m, (enum wire_format)i), w);
    }
    message_unref(&m);
}

static struct message *asked;
static pthread_barrier_t gate;

static void *ask(void *arg)
{
    const struct wire **seen = arg;

    pthread_barrier_wait(&gate);
    for (int i = 0; i < WIRE_N; i++)
        seen[i] = message_wire(asked, (enum wire_format)i);
    return NULL;
}

static void threads_that_ask_at_once_get_the_same(void **state)
{
    const struct wire *seen[THREADS][WIRE_N];
    pthread_t threads[THREADS];

    uint64_t before = meter_sum(METER_messages_deflated);

    pthread_barrier_init(&gate, NULL, THREADS);
    for (int round = 0; round < 50; round++) {
        asked = held(STR("hi"), STR_NONE, STR_NONE);
        for (int t = 0; t < THREADS; t++)
            pthread_create(&threads[t], NULL, ask, seen[t]);
        for (int t = 0; t < THREADS; t++)
            pthread_join(threads[t], NULL);
        for (int t = 1; t < THREADS; t++)
            assert_memory_equal(seen[t], seen[0], sizeof(seen[0]));
        assert_wire(asked, WIRE_WS, false, STR("\x81\x02hi"));
        message_unref(&asked);
    }
    pthread_barrier_destroy(&gate);
    /* Gzip of the data and of three kinds of event, and deflated frames: two
     * kinds for all windows, and those that name a channel, which might be
     * long, for each. */
    assert_int_equal(meter_sum(METER_messages_deflated) - before,
                     50 * (4 + 2 + 3));
}

static void fails_and_recovers(struct str data, enum wire_format format)
{
    struct message *m = held(data, STR_NONE, STR_NONE);
    const struct wire *w;

    for (unsigned nth = 1;; nth++) {
        memory_fails_at(nth);
        w = message_wire(m, format);
        if (!memory_ran_out())
            break;
        assert_null(w);
        assert_true(nth < 20);
    }
    assert_non_null(w);
    message_unref(&m);
}

static void without_memory_it_is_made_later(void **state)
{
    for (int i = 0; i < WIRE_N; i++) {
        fails_and_recovers(STR("hi"), (enum wire_format)i);
        fails_and_recovers(STR("\xff"), (enum wire_format)i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_the_element_of_a_batch),
        cmocka_unit_test(sse_is_an_event),
        cmocka_unit_test(framed_sse_is_a_chunk),
        cmocka_unit_test(binary_sse_is_base64),
        cmocka_unit_test(websocket_is_a_frame_of_the_data),
        cmocka_unit_test(binary_websocket_is_a_binary_frame),
        cmocka_unit_test(an_empty_message_is_an_empty_frame),
        cmocka_unit_test(the_envelope_is_a_text_frame_of_json),
        cmocka_unit_test(named_ones_tell_the_channel_and_the_place_among_all),
        cmocka_unit_test(a_gap_before_it_is_told_in_front_of_it),
        cmocka_unit_test(an_enveloped_event_has_its_type_inside),
        cmocka_unit_test(a_deflated_frame_says_so),
        cmocka_unit_test(what_does_not_shrink_is_a_plain_frame),
        cmocka_unit_test(what_is_below_the_minimum_is_the_plain_frame),
        cmocka_unit_test(an_event_has_no_minimum),
        cmocka_unit_test(a_format_is_found_for_each_window),
        cmocka_unit_test(windows_share_what_fits_the_smaller),
        cmocka_unit_test(a_message_larger_than_a_window_is_made_for_it),
        cmocka_unit_test(it_is_made_once),
        cmocka_unit_test(threads_that_ask_at_once_get_the_same),
        cmocka_unit_test(without_memory_it_is_made_later),
    };

    return cmocka_run_group_tests(tests, make_home, NULL);
}
