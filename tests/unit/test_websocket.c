#include "parsing.h"

#include <errno.h>
#include <stdio.h>

#include "wire/deflate.h"
#include "wire/websocket.h"

/* What a parser gave, as text: t:data; for a text message, b for binary, p
 * for ping, q for pong, c:code reason; for close, !code; for a failure. */
static int on_message(void *arg, enum ws_opcode opcode, struct str data)
{
    buffer_append_str(arg, opcode == WS_TEXT ? STR("t:") : STR("b:"));
    buffer_append_str(arg, data);
    buffer_append_byte(arg, ';');
    return 0;
}

static int on_control(void *arg, enum ws_opcode opcode, struct str data)
{
    if (opcode == WS_CLOSE) {
        buffer_printf(arg, "c:%u", ws_close_body_code(data));
        if (data.n > 2)
            buffer_printf(arg, " %.*s", (int)data.n - 2, data.p + 2);
    } else {
        buffer_append_str(arg, opcode == WS_PING ? STR("p:") : STR("q:"));
        buffer_append_str(arg, data);
    }
    buffer_append_byte(arg, ';');
    return 0;
}

static const struct ws_parser_ops ops = {on_message, on_control};

#define LIMIT 70000

static enum ws_role role = WS_SERVER;
static bool deflate;

static void run(struct buffer *seen, struct str input, size_t first,
                size_t step)
{
    struct ws_parser p;
    struct str piece;
    int rc = 0;

    ws_parser_init(&p, &ops, seen, role, LIMIT);
    p.deflate = deflate;
    while (rc == 0 && next_piece(&input, &piece, &first, step)) {
        char *copy = malloc(piece.n); /* exact, for the sanitizer */

        memcpy(copy, piece.p, piece.n);
        rc = ws_parser_feed(&p, copy, piece.n);
        free(copy);
    }
    if (rc == -EPROTO) {
        buffer_printf(seen, "!%u;", p.fail_code);
        assert_non_null(p.fail_reason);
        assert_int_equal(ws_parser_feed(&p, (char[]){0}, 1), -EPROTO);
    } else {
        assert_int_equal(rc, 0);
        if (!ws_parser_idle(&p))
            buffer_append_str(seen, STR("open;"));
        else
            assert_null(p.inflater);
    }
    ws_parser_fini(&p);
}

/* Frames are put together here, by hand, so that they can be wrong. */
static struct buffer wire;

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

static void put(unsigned first, struct str payload)
{
    uint8_t head[WS_HEAD_MAX];
    size_t n = ws_frame_head(head, WS_BINARY, payload.n,
                             role == WS_SERVER ? mask : NULL);

    head[0] = (uint8_t)first;
    buffer_append(&wire, head, n);
    buffer_append_str(&wire, payload);
    if (role == WS_SERVER)
        ws_mask(wire.data + wire.len - payload.n, payload.n, mask, 0);
}

#define FIN              0x80
#define PUT(first, text) put(first, STR(text))
#define RAW(bytes)       buffer_append_str(&wire, STR(bytes))

static void assert_wire(const char *want)
{
    assert_parses(run, buffer_str(&wire), want);
    buffer_fini(&wire);
}

/* For what is too long to be cut everywhere. */
static void assert_wire_in_steps(const char *want)
{
    static const size_t steps[] = {1, 64, 997, 65535};

    for (size_t i = 0; i < 4; i++)
        assert_seen(run, buffer_str(&wire), steps[i], steps[i], want);
    assert_seen(run, buffer_str(&wire), wire.len, 1, want);
    buffer_fini(&wire);
}

/* The frames so far are all good, and then this fails with code, at its last
 * octet and not before. */
static void assert_fails_at_end(unsigned code)
{
    struct ws_parser p;
    struct buffer seen = {0};
    size_t i = 0;

    ws_parser_init(&p, &ops, &seen, role, LIMIT);
    p.deflate = deflate;
    for (; i + 1 < wire.len; i++)
        assert_int_equal(ws_parser_feed(&p, wire.data + i, 1), 0);
    assert_int_equal(ws_parser_feed(&p, wire.data + i, 1), -EPROTO);
    assert_int_equal(p.fail_code, code);
    ws_parser_fini(&p);
    buffer_fini(&seen);
    buffer_fini(&wire);
}

static void a_text_frame_is_a_message(void **state)
{
    PUT(FIN | WS_TEXT, "");
    PUT(FIN | WS_TEXT, "hello, world");
    assert_wire("t:;t:hello, world;");
}

static void a_binary_frame_is_a_message(void **state)
{
    PUT(FIN | WS_BINARY, "");
    PUT(FIN | WS_BINARY, "\xff\xfe");
    assert_wire("b:;b:\xff\xfe;");
}

static void a_server_sends_without_a_mask(void **state)
{
    role = WS_CLIENT;
    PUT(FIN | WS_TEXT, "hello, world");
    PUT(FIN | WS_PING, "p");
    PUT(WS_TEXT, "a");
    PUT(FIN | WS_CONTINUATION, "b");
    assert_wire("t:hello, world;p:p;t:ab;");
    role = WS_SERVER;
}

static void messages_of_every_length_class_pass(void **state)
{
    static const size_t sizes[] = {125, 126, 127, 128, 65535, 65536, LIMIT};

    for (size_t i = 0; i < 7; i++) {
        struct buffer text = {0}, want = {0};

        for (size_t j = 0; j < sizes[i]; j++)
            buffer_append_byte(&text, (char)('a' + j % 26));
        put(FIN | WS_TEXT, buffer_str(&text));
        buffer_append_str(&want, STR("t:"));
        buffer_append_str(&want, buffer_str(&text));
        buffer_append(&want, ";", 2);
        assert_wire_in_steps(want.data);
        buffer_fini(&text);
        buffer_fini(&want);
    }
}

static void pings_and_pongs_carry_their_payload(void **state)
{
    char full[125];

    memset(full, 'x', sizeof(full));
    PUT(FIN | WS_PING, "");
    PUT(FIN | WS_PING, "1927857900123");
    PUT(FIN | WS_PONG, "unasked");
    PUT(FIN | WS_PING, "\xff\xfe");
    assert_wire("p:;p:1927857900123;q:unasked;p:\xff\xfe;");
    put(FIN | WS_PING, (struct str){full, 125});
    assert_seen(run, buffer_str(&wire), 1, 1,
                "p:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxx;");
    buffer_fini(&wire);
}

static void a_control_frame_over_125_octets_fails_at_its_length(void **state)
{
    RAW("\x89\xfe");
    assert_fails_at_end(1002);
    RAW("\x88\xff");
    assert_fails_at_end(1002);
}

static void reserved_bits_fail_at_the_first_octet(void **state)
{
    for (unsigned rsv = 1; rsv < 8; rsv++)
        for (unsigned i = 0; i < 4; i++) {
            static const unsigned opcodes[] = {WS_TEXT, WS_BINARY, WS_PING,
                                               WS_CLOSE};

            PUT(FIN | WS_TEXT, "good");
            buffer_append_byte(&wire, (char)(FIN | rsv << 4 | opcodes[i]));
            assert_fails_at_end(1002);
        }
}

static void reserved_opcodes_fail_at_the_first_octet(void **state)
{
    for (unsigned opcode = 3; opcode < 16; opcode++) {
        if (opcode >= WS_CLOSE && opcode <= WS_PONG)
            continue;
        PUT(FIN | WS_TEXT, "good");
        buffer_append_byte(&wire, (char)(FIN | opcode));
        assert_fails_at_end(1002);
    }
}

static void a_client_has_to_mask_and_a_server_not_to(void **state)
{
    RAW("\x81\x05");
    assert_fails_at_end(1002);
    RAW("\x8a\x00");
    assert_fails_at_end(1002);
    role = WS_CLIENT;
    RAW("\x81\x85");
    assert_fails_at_end(1002);
    role = WS_SERVER;
}

static void lengths_have_their_shortest_form(void **state)
{
    RAW("\x82\xfe\x00\x7d");
    assert_fails_at_end(1002);
    RAW("\x82\xff\x00\x00\x00\x00\x00\x00");
    assert_fails_at_end(1002);
    RAW("\x82\xfe\x00\x7e");
    assert_wire("open;");
}

static void the_top_bit_of_a_length_is_clear(void **state)
{
    RAW("\x82\xff\x80");
    assert_fails_at_end(1002);
    PUT(FIN | WS_TEXT, "a");
    RAW("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    assert_wire("t:a;!1002;");
}

static void a_declared_length_over_the_limit_fails_at_once(void **state)
{
    RAW("\x82\xff\x00\x00\x00\x00\x00\x01\x11\x71");
    assert_fails_at_end(1009);
    RAW("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff");
    assert_fails_at_end(1009);
}

static void the_limit_holds_for_all_fragments_together(void **state)
{
    char part[40000];

    memset(part, 'x', sizeof(part));
    put(WS_BINARY, (struct str){part, sizeof(part)});
    RAW("\x80\xfe\x75\x31"); /* 30001 more */
    assert_fails_at_end(1009);
}

static void declared_length_takes_no_memory(void **state)
{
    struct buffer seen = {0};
    struct ws_parser p;

    ws_parser_init(&p, &ops, &seen, WS_SERVER, (size_t)1 << 40);
    RAW("\x82\xff\x00\x00\x00\xff\x00\x00\x00\x00");
    RAW("....xx");
    assert_int_equal(ws_parser_feed(&p, wire.data, wire.len), 0);
    assert_true(p.message.cap < 1000);
    ws_parser_fini(&p);
    buffer_fini(&wire);
}

static void fragments_are_joined(void **state)
{
    PUT(WS_TEXT, "");
    PUT(WS_CONTINUATION, "mid");
    PUT(WS_CONTINUATION, "dle");
    PUT(FIN | WS_CONTINUATION, "");
    PUT(WS_BINARY, "");
    PUT(FIN | WS_CONTINUATION, "\xff");
    PUT(WS_TEXT, "");
    PUT(FIN | WS_CONTINUATION, "");
    assert_wire("t:middle;b:\xff;t:;");
}

static void control_frames_pass_between_fragments(void **state)
{
    PUT(WS_TEXT, "\xe2");
    PUT(FIN | WS_PING, "x");
    PUT(WS_CONTINUATION, "\x82");
    PUT(FIN | WS_PONG, "");
    PUT(FIN | WS_CONTINUATION, "\xac");
    assert_wire("p:x;q:;t:\xe2\x82\xac;");
}

static void control_frames_are_not_fragmented(void **state)
{
    RAW("\x09");
    assert_fails_at_end(1002);
    RAW("\x0a");
    assert_fails_at_end(1002);
    RAW("\x08");
    assert_fails_at_end(1002);
}

static void a_continuation_continues_something(void **state)
{
    RAW("\x80");
    assert_fails_at_end(1002);
    RAW("\x00");
    assert_fails_at_end(1002);
    PUT(WS_TEXT, "a");
    PUT(FIN | WS_CONTINUATION, "b");
    RAW("\x00");
    assert_fails_at_end(1002);
}

static void a_message_does_not_begin_inside_another(void **state)
{
    PUT(WS_TEXT, "a");
    RAW("\x81");
    assert_fails_at_end(1002);
    PUT(WS_TEXT, "a");
    RAW("\x02");
    assert_fails_at_end(1002);
}

static void many_small_fragments_are_legal(void **state)
{
    struct buffer want = {0};

    buffer_append_str(&want, STR("t:"));
    PUT(WS_TEXT, "");
    for (int i = 0; i < 65536; i++) {
        PUT(WS_CONTINUATION, "x");
        buffer_append_byte(&want, 'x');
    }
    PUT(FIN | WS_CONTINUATION, "");
    buffer_append(&want, ";", 2);
    assert_wire_in_steps(want.data);
    buffer_fini(&want);
}

static void endless_empty_fragments_break_the_policy(void **state)
{
    PUT(WS_TEXT, "");
    for (int i = 0; i < WS_FRAGMENTS_MAX; i++)
        PUT(WS_CONTINUATION, "");
    assert_wire_in_steps("!1008;");
}

static void utf8_is_checked_as_a_whole(void **state)
{
    static const char greek[] = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";

    PUT(FIN | WS_TEXT, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5");
    for (size_t i = 0; i < 11; i++)
        put((i == 0 ? WS_TEXT : 0u) | (i == 10 ? FIN : 0u),
            (struct str){greek + i, 1});
    assert_wire("t:\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5;"
                "t:\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5;");
}

static void text_ends_at_the_end_of_a_character(void **state)
{
    static const char greek[] = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";

    for (size_t n = 1; n <= 11; n++) {
        bool edge = n == 2 || n == 5 || n == 7 || n == 9 || n == 11;
        char want[20];

        put(FIN | WS_TEXT, (struct str){greek, n});
        snprintf(want, sizeof(want), edge ? "t:%.*s;" : "!1007;", (int)n,
                 greek);
        assert_wire(want);
        put(WS_TEXT, (struct str){greek, n});
        PUT(FIN | WS_CONTINUATION, "");
        assert_wire(want);
    }
}

/* The octet that is wrong, in a frame that goes on. */
static void assert_bad_at_end(struct str text)
{
    RAW("\x81\xfe\x01\x00\x00\x00\x00\x00");
    buffer_append_str(&wire, text);
    assert_fails_at_end(1007);
}

static void bad_text_fails_at_its_octet_in_an_unfinished_frame(void **state)
{
    assert_bad_at_end(STR("\xce\xba\xf4\x90"));
    assert_bad_at_end(STR("ok \xed\xa0"));
    assert_bad_at_end(STR("12345678\x80"));
    assert_bad_at_end(STR("\xc0"));
    assert_bad_at_end(STR("\xe0\x9f"));
    assert_bad_at_end(STR("\xf0\x8f"));
    assert_bad_at_end(STR("\xf5"));
    assert_bad_at_end(STR("\xe2\x82 "));
    assert_bad_at_end(STR("\xff"));
}

static void bad_text_fails_in_its_fragment(void **state)
{
    PUT(WS_TEXT, "\xce\xba\xe1\xbd\xb9");
    PUT(WS_CONTINUATION, "\xf4\x90\x80\x80");
    PUT(FIN | WS_CONTINUATION, "x");
    assert_wire("!1007;");
}

static void a_close_may_have_a_code_and_a_reason(void **state)
{
    PUT(FIN | WS_CLOSE, "");
    assert_wire("c:1005;");
    PUT(FIN | WS_CLOSE, "\x03\xe8");
    assert_wire("c:1000;");
    PUT(FIN | WS_CLOSE, "\x03\xe9gone");
    assert_wire("c:1001 gone;");
}

static void what_follows_a_close_is_ignored(void **state)
{
    PUT(FIN | WS_CLOSE, "\x03\xe8");
    PUT(FIN | WS_CLOSE, "\x03\xe8");
    PUT(FIN | WS_PING, "x");
    PUT(FIN | WS_TEXT, "x");
    RAW("\xff\xff\xff");
    assert_wire("c:1000;");
}

static void a_close_ends_an_open_message(void **state)
{
    PUT(WS_TEXT, "a");
    PUT(FIN | WS_CLOSE, "\x03\xe8");
    PUT(FIN | WS_CONTINUATION, "b");
    assert_wire("c:1000;");
}

static void a_close_body_is_checked(void **state)
{
    PUT(FIN | WS_CLOSE, "\x03");
    assert_wire("!1002;");
    PUT(FIN | WS_CLOSE, "\x03\xe8\xff");
    assert_wire("!1007;");
}

static void some_close_codes_are_never_sent(void **state)
{
    static const unsigned bad[] = {0,    999,  1004, 1005, 1006, 1015,
                                   1016, 1100, 2000, 2999, 5000, 65535};
    static const unsigned good[] = {1000, 1001, 1002, 1003, 1007, 1008,
                                    1009, 1010, 1011, 1012, 1013, 1014,
                                    3000, 3999, 4000, 4999};

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        put(FIN | WS_CLOSE,
            (struct str){(char[]){(char)(bad[i] >> 8), (char)bad[i]}, 2});
        assert_wire("!1002;");
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_true(ws_close_code_ok(good[i]));
}

static int keep_where(void *arg, enum ws_opcode opcode, struct str data)
{
    *(const char **)arg = data.p;
    return 0;
}

static void a_message_that_lies_whole_is_not_copied(void **state)
{
    static const struct ws_parser_ops where = {keep_where, on_control};
    const char *at = NULL;
    struct ws_parser p;

    PUT(FIN | WS_TEXT, "hello, world");
    ws_parser_init(&p, &where, &at, WS_SERVER, LIMIT);
    assert_int_equal(ws_parser_feed(&p, wire.data, wire.len), 0);
    assert_ptr_equal(at, wire.data + 6);
    assert_memory_equal(at, "hello, world", 12);
    ws_parser_fini(&p);
    buffer_fini(&wire);
}

static void memory_is_freed_between_messages(void **state)
{
    struct buffer seen = {0};
    struct ws_parser p;

    PUT(WS_TEXT, "a");
    PUT(FIN | WS_CONTINUATION, "b");
    ws_parser_init(&p, &ops, &seen, WS_SERVER, LIMIT);
    assert_int_equal(ws_parser_feed(&p, wire.data, wire.len), 0);
    assert_true(ws_parser_idle(&p));
    assert_null(p.message.data);
    buffer_fini(&seen);
    buffer_fini(&wire);
}

static void a_parser_is_idle_between_messages_only(void **state)
{
    struct buffer seen = {0};
    struct ws_parser p;
    size_t i = 0;

    PUT(WS_TEXT, "a");
    PUT(FIN | WS_CONTINUATION, "b");
    ws_parser_init(&p, &ops, &seen, WS_SERVER, LIMIT);
    for (; i < wire.len; i++) {
        assert_int_equal(ws_parser_idle(&p), i == 0);
        ws_parser_feed(&p, wire.data + i, 1);
    }
    assert_true(ws_parser_idle(&p));
    buffer_fini(&seen);
    buffer_fini(&wire);
}

static int free_the_parser(void *arg, enum ws_opcode opcode, struct str data)
{
    struct ws_parser **p = arg;

    ws_parser_fini(*p);
    free(*p);
    return -ECANCELED;
}

static void a_callback_that_stops_may_free_the_parser(void **state)
{
    static const struct ws_parser_ops freeing = {free_the_parser,
                                                 free_the_parser};
    static const unsigned opcodes[] = {WS_TEXT, WS_PING, WS_CLOSE};

    for (size_t i = 0; i < 3; i++) {
        struct ws_parser *p = malloc(sizeof(*p));

        PUT(FIN | opcodes[i], "");
        PUT(FIN | WS_TEXT, "more");
        ws_parser_init(p, &freeing, &p, WS_SERVER, LIMIT);
        assert_int_equal(ws_parser_feed(p, wire.data, wire.len), -ECANCELED);
        buffer_fini(&wire);
    }
    struct ws_parser *p = malloc(sizeof(*p));

    PUT(WS_TEXT, "a");
    PUT(FIN | WS_CONTINUATION, "b");
    ws_parser_init(p, &freeing, &p, WS_SERVER, LIMIT);
    assert_int_equal(ws_parser_feed(p, wire.data, wire.len), -ECANCELED);
    buffer_fini(&wire);
}

static void running_out_of_memory_is_told(void **state)
{
    struct buffer seen = {0};
    struct ws_parser p;

    PUT(WS_TEXT, "a");
    PUT(FIN | WS_CONTINUATION, "b");
    ws_parser_init(&p, &ops, &seen, WS_SERVER, LIMIT);
    memory_fails_at(1);
    assert_int_equal(ws_parser_feed(&p, wire.data, wire.len), -ENOMEM);
    memory_fails_at(0);
    assert_int_equal(p.fail_code, WS_INTERNAL_ERROR);
    assert_int_equal(ws_parser_feed(&p, wire.data, wire.len), -ENOMEM);
    ws_parser_fini(&p);
    buffer_fini(&wire);
}

static void a_mask_may_begin_anywhere(void **state)
{
    char text[40], masked[40];

    memset(text, 'x', sizeof(text));
    for (size_t at = 0; at < 9; at++)
        for (size_t len = 0; len + at <= sizeof(text); len++) {
            memcpy(masked, text, sizeof(text));
            ws_mask(masked + at, len, mask, at);
            for (size_t i = 0; i < sizeof(text); i++) {
                bool in = i >= at && i < at + len;

                assert_int_equal((uint8_t)masked[i],
                                 'x' ^ (in ? mask[i % 4] : 0));
            }
        }
}

static void assert_encodes(struct buffer *out, struct str want)
{
    assert_int_equal(out->len, want.n);
    assert_memory_equal(out->data, want.p, want.n);
    buffer_fini(out);
}

static void a_frame_is_written_with_the_shortest_length(void **state)
{
    struct buffer out = {0};
    uint8_t head[WS_HEAD_MAX];

    ws_encode(&out, WS_TEXT, STR("hi"));
    assert_encodes(&out, STR("\x81\x02hi"));
    ws_encode(&out, WS_PONG, STR_NONE);
    assert_encodes(&out, STR("\x8a\x00"));
    assert_int_equal(ws_frame_head(head, WS_BINARY, 125, NULL), 2);
    assert_int_equal(ws_frame_head(head, WS_BINARY, 126, NULL), 4);
    assert_memory_equal(head, "\x82\x7e\x00\x7e", 4);
    assert_int_equal(ws_frame_head(head, WS_BINARY, 65535, NULL), 4);
    assert_int_equal(ws_frame_head(head, WS_BINARY, 65536, mask), 14);
    assert_memory_equal(head, "\x82\xff\0\0\0\0\0\x01\0\0\x37\xfa\x21\x3d", 14);
}

static void a_close_reason_is_cut_between_characters(void **state)
{
    struct buffer out = {0};
    char reason[130];

    memset(reason, 'x', sizeof(reason));
    memcpy(reason + 122, "\xe2\x82\xac", 4);
    ws_encode_close(&out, WS_TOO_BIG, reason);
    assert_int_equal(out.len, 2 + 2 + 122);
    assert_memory_equal(out.data, "\x88\x7c\x03\xf1xx", 6);
    buffer_fini(&out);
    ws_encode_close(&out, WS_GOING_AWAY, "bye");
    assert_encodes(&out, STR("\x88\x05\x03\xe9"
                             "bye"));
    ws_encode_close(&out, WS_NORMAL, NULL);
    assert_encodes(&out, STR("\x88\x02\x03\xe8"));
    ws_encode_close(&out, WS_NO_CODE, "unsaid");
    assert_encodes(&out, STR("\x88\x00"));
}

static void writing_without_memory_sets_failed(void **state)
{
    struct buffer out = {0};

    memory_fails_at(1);
    ws_encode_close(&out, WS_NORMAL, "x");
    memory_fails_at(0);
    assert_true(out.failed);
    assert_int_equal(out.len, 0);
}

static void the_rfcs_key_gives_the_rfcs_accept(void **state)
{
    char out[WS_ACCEPT_LEN + 1];

    ws_accept(STR("dGhlIHNhbXBsZSBub25jZQ=="), out);
    assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    ws_accept(STR("dGhlIHNhbXBsZSBub25jZQ==x"), out);
    assert_string_equal(out, "");
}

static void a_key_is_sixteen_octets(void **state)
{
    assert_true(ws_key_ok(STR("dGhlIHNhbXBsZSBub25jZQ==")));
    assert_false(ws_key_ok(STR("")));
    assert_false(ws_key_ok(STR("dGhlIHNhbXBsZSBub25j")));
    assert_false(ws_key_ok(STR("dGhlIHNhbXBsZSBub25jZQ=")));
    assert_false(ws_key_ok(STR("dGhlIHNhbXBsZSBub25jZQ====")));
    assert_false(ws_key_ok(STR("dGhlIHNhbXBsZSBub25jZQA=")));
    assert_false(ws_key_ok(STR("dGhlIHNh XBsZSBub25jZQ==")));
    assert_false(ws_key_ok(STR("dGhlIHNhbXBsZSBub25jZ===")));
}

/* ---- permessage-deflate (RFC 7692 6, 8) ------------------------------------ */

#define RSV1 WS_RSV1
#define HELLO "\xf2\x48\xcd\xc9\xc9\x07\x00"

static void a_deflated_message_comes_inflated(void **state)
{
    deflate = true;
    PUT(FIN | RSV1 | WS_TEXT, HELLO);
    PUT(FIN | RSV1 | WS_BINARY, HELLO);
    assert_wire("t:Hello;b:Hello;");
}

static void a_plain_message_may_come_between(void **state)
{
    deflate = true;
    PUT(FIN | RSV1 | WS_TEXT, HELLO);
    PUT(FIN | WS_TEXT, "plain");
    PUT(FIN | RSV1 | WS_TEXT, HELLO);
    assert_wire("t:Hello;t:plain;t:Hello;");
}

static void a_deflated_message_may_be_fragmented(void **state)
{
    deflate = true;
    PUT(RSV1 | WS_TEXT, "\xf2\x48\xcd");
    PUT(FIN | WS_PING, "p");
    PUT(WS_CONTINUATION, "");
    PUT(WS_CONTINUATION, "\xc9\xc9");
    PUT(FIN | WS_CONTINUATION, "\x07\x00");
    PUT(FIN | WS_TEXT, "x");
    assert_wire("p:p;t:Hello;t:x;");
}

static void a_server_s_deflated_message_comes_inflated(void **state)
{
    deflate = true;
    role = WS_CLIENT;
    PUT(FIN | RSV1 | WS_TEXT, HELLO);
    assert_wire("t:Hello;");
    role = WS_SERVER;
}

static void a_deflated_empty_message_is_one(void **state)
{
    deflate = true;
    put(FIN | RSV1 | WS_TEXT, STR("\0"));
    PUT(FIN | RSV1 | WS_BINARY, "");
    PUT(RSV1 | WS_BINARY, "");
    PUT(FIN | WS_CONTINUATION, "");
    assert_wire("t:;b:;b:;");
}

static void rsv1_that_was_not_agreed_on_is_wrong(void **state)
{
    PUT(FIN | RSV1 | WS_TEXT, HELLO);
    wire.len = 1;
    assert_fails_at_end(1002);
}

static void rsv1_on_a_continuation_is_wrong(void **state)
{
    deflate = true;
    PUT(RSV1 | WS_TEXT, "\xf2\x48\xcd");
    PUT(FIN | RSV1 | WS_CONTINUATION, "\xc9\xc9\x07\x00");
    assert_wire("!1002;");
}

static void rsv1_on_a_control_frame_is_wrong(void **state)
{
    deflate = true;
    for (unsigned opcode = WS_CLOSE; opcode <= WS_PONG; opcode++) {
        PUT(FIN | RSV1 | opcode, "");
        assert_wire("!1002;");
    }
}

static void the_other_reserved_bits_stay_wrong(void **state)
{
    deflate = true;
    PUT(FIN | 0x20 | WS_TEXT, "");
    assert_wire("!1002;");
    PUT(FIN | RSV1 | 0x10 | WS_TEXT, HELLO);
    assert_wire("!1002;");
}

static void what_cannot_be_inflated_is_bad_data(void **state)
{
    deflate = true;
    PUT(FIN | RSV1 | WS_BINARY, "\x07");
    assert_wire("!1007;");
    PUT(FIN | RSV1 | WS_BINARY, "\xf2\x48\xcd");
    assert_wire("!1007;");
}

/* In a stored block, so that it can be read here. */
static void inflated_text_is_checked_as_it_comes(void **state)
{
    deflate = true;
    put(RSV1 | WS_TEXT, STR("\0\4\0\xfb\xff" "ab\xff"));
    assert_fails_at_end(1007);
    put(FIN | RSV1 | WS_TEXT, STR("\0\2\0\xfd\xff" "a\xc3" "\0"));
    assert_wire("!1007;");
    put(FIN | RSV1 | WS_TEXT, STR("\0\2\0\xfd\xff" "\xc3\xa4" "\0"));
    assert_wire("t:\xc3\xa4;");
}

/* A frame that inflates to n times 'a'. */
static void put_bomb(size_t n)
{
    struct buffer plain = {0}, packed = {0};

    buffer_reserve(&plain, n);
    memset(plain.data, 'a', n);
    plain.len = n;
    deflate_append(&packed, buffer_str(&plain), 15, 9);
    packed.len -= DEFLATE_TAIL.n;
    put(FIN | RSV1 | WS_BINARY, buffer_str(&packed));
    buffer_fini(&plain);
    buffer_fini(&packed);
}

static void a_message_may_inflate_to_the_limit(void **state)
{
    struct buffer want = {0};

    deflate = true;
    put_bomb(LIMIT);
    buffer_append_str(&want, STR("b:"));
    buffer_reserve(&want, LIMIT);
    memset(want.data + 2, 'a', LIMIT);
    want.len += LIMIT;
    buffer_append(&want, ";", 2);
    assert_wire_in_steps(want.data);
    buffer_fini(&want);
}

static void a_message_that_inflates_beyond_it_is_too_big(void **state)
{
    deflate = true;
    put_bomb(LIMIT + 1);
    assert_wire("!1009;");
    put_bomb(LIMIT * 1000);
    assert_wire_in_steps("!1009;");
}

static void a_deflated_length_far_over_the_limit_is_too_big(void **state)
{
    struct buffer much = {0};

    deflate = true;
    buffer_reserve(&much, LIMIT * 2);
    memset(much.data, 0, LIMIT * 2);
    much.len = LIMIT * 2;
    put(FIN | RSV1 | WS_BINARY, buffer_str(&much));
    wire.len = 10; /* the length is enough */
    assert_wire("!1009;");
    buffer_fini(&much);
}

/* Empty blocks, for ever. */
static void a_message_that_inflates_to_nothing_ends_too(void **state)
{
    struct ws_parser p;
    struct buffer seen = {0};
    int rc = 0;

    ws_parser_init(&p, &ops, &seen, WS_CLIENT, 1000);
    p.deflate = true;
    role = WS_CLIENT;
    put(RSV1 | WS_BINARY, STR("\0\0\0\xff\xff"));
    for (int i = 0; i < 1000 && rc == 0; i++) {
        rc = ws_parser_feed(&p, wire.data, wire.len);
        wire.data[0] = WS_CONTINUATION;
    }
    assert_int_equal(rc, -EPROTO);
    assert_int_equal(p.fail_code, 1009);
    ws_parser_fini(&p);
    buffer_fini(&wire);
    role = WS_SERVER;
}

static void a_close_inside_a_deflated_message_is_the_end(void **state)
{
    deflate = true;
    PUT(RSV1 | WS_TEXT, "\xf2\x48\xcd");
    PUT(FIN | WS_CLOSE, "\x03\xe8");
    assert_wire("c:1000;");
}

static int without_deflate(void **state)
{
    deflate = false;
    return 0;
}

#define DEFLATE_TEST(test) cmocka_unit_test_teardown(test, without_deflate)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_frame_is_a_message),
        cmocka_unit_test(a_binary_frame_is_a_message),
        cmocka_unit_test(a_server_sends_without_a_mask),
        cmocka_unit_test(messages_of_every_length_class_pass),
        cmocka_unit_test(pings_and_pongs_carry_their_payload),
        cmocka_unit_test(a_control_frame_over_125_octets_fails_at_its_length),
        cmocka_unit_test(reserved_bits_fail_at_the_first_octet),
        cmocka_unit_test(reserved_opcodes_fail_at_the_first_octet),
        cmocka_unit_test(a_client_has_to_mask_and_a_server_not_to),
        cmocka_unit_test(lengths_have_their_shortest_form),
        cmocka_unit_test(the_top_bit_of_a_length_is_clear),
        cmocka_unit_test(a_declared_length_over_the_limit_fails_at_once),
        cmocka_unit_test(the_limit_holds_for_all_fragments_together),
        cmocka_unit_test(declared_length_takes_no_memory),
        cmocka_unit_test(fragments_are_joined),
        cmocka_unit_test(control_frames_pass_between_fragments),
        cmocka_unit_test(control_frames_are_not_fragmented),
        cmocka_unit_test(a_continuation_continues_something),
        cmocka_unit_test(a_message_does_not_begin_inside_another),
        cmocka_unit_test(many_small_fragments_are_legal),
        cmocka_unit_test(endless_empty_fragments_break_the_policy),
        cmocka_unit_test(utf8_is_checked_as_a_whole),
        cmocka_unit_test(text_ends_at_the_end_of_a_character),
        cmocka_unit_test(bad_text_fails_at_its_octet_in_an_unfinished_frame),
        cmocka_unit_test(bad_text_fails_in_its_fragment),
        cmocka_unit_test(a_close_may_have_a_code_and_a_reason),
        cmocka_unit_test(what_follows_a_close_is_ignored),
        cmocka_unit_test(a_close_ends_an_open_message),
        cmocka_unit_test(a_close_body_is_checked),
        cmocka_unit_test(some_close_codes_are_never_sent),
        cmocka_unit_test(a_message_that_lies_whole_is_not_copied),
        cmocka_unit_test(memory_is_freed_between_messages),
        cmocka_unit_test(a_parser_is_idle_between_messages_only),
        cmocka_unit_test(a_callback_that_stops_may_free_the_parser),
        cmocka_unit_test(running_out_of_memory_is_told),
        cmocka_unit_test(a_mask_may_begin_anywhere),
        cmocka_unit_test(a_frame_is_written_with_the_shortest_length),
        cmocka_unit_test(a_close_reason_is_cut_between_characters),
        cmocka_unit_test(writing_without_memory_sets_failed),
        cmocka_unit_test(the_rfcs_key_gives_the_rfcs_accept),
        cmocka_unit_test(a_key_is_sixteen_octets),
        DEFLATE_TEST(a_deflated_message_comes_inflated),
        DEFLATE_TEST(a_plain_message_may_come_between),
        DEFLATE_TEST(a_deflated_message_may_be_fragmented),
        DEFLATE_TEST(a_server_s_deflated_message_comes_inflated),
        DEFLATE_TEST(a_deflated_empty_message_is_one),
        DEFLATE_TEST(rsv1_that_was_not_agreed_on_is_wrong),
        DEFLATE_TEST(rsv1_on_a_continuation_is_wrong),
        DEFLATE_TEST(rsv1_on_a_control_frame_is_wrong),
        DEFLATE_TEST(the_other_reserved_bits_stay_wrong),
        DEFLATE_TEST(what_cannot_be_inflated_is_bad_data),
        DEFLATE_TEST(inflated_text_is_checked_as_it_comes),
        DEFLATE_TEST(a_message_may_inflate_to_the_limit),
        DEFLATE_TEST(a_message_that_inflates_beyond_it_is_too_big),
        DEFLATE_TEST(a_deflated_length_far_over_the_limit_is_too_big),
        DEFLATE_TEST(a_message_that_inflates_to_nothing_ends_too),
        DEFLATE_TEST(a_close_inside_a_deflated_message_is_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
