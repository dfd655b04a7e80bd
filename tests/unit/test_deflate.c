#include "parsing.h"

#include <errno.h>
#include <zlib.h>

#include "wire/deflate.h"

#define LIMIT 300000

static size_t limit = LIMIT;

/* What one message inflates to, and how it failed: !bad, !big. */
static void run(struct buffer *seen, struct str input, size_t first,
                size_t step)
{
    struct inflater *i = inflater_new();
    struct buffer out = {0};
    struct str piece;
    int rc = 0;

    while (rc == 0 && next_piece(&input, &piece, &first, step)) {
        char *copy = malloc(piece.n); /* exact, for the sanitizer */

        memcpy(copy, piece.p, piece.n);
        rc = inflater_feed(i, (struct str){copy, piece.n}, &out, limit);
        free(copy);
    }
    if (rc == 0)
        rc = inflater_finish(i, &out, limit);
    assert_true(out.len <= limit);
    buffer_append_str(seen, buffer_str(&out));
    if (rc < 0)
        buffer_append_str(seen, rc == -EPROTO     ? STR("!bad")
                                : rc == -EMSGSIZE ? STR("!big")
                                                  : STR("!?"));
    buffer_fini(&out);
    inflater_free(&i);
    assert_null(i);
}

#define INFLATES(octets, want) assert_parses(run, STR(octets), want)

/* RFC 7692 7.2.3, the examples. */
static void a_block_with_fixed_codes_inflates(void **state)
{
    INFLATES("\xf2\x48\xcd\xc9\xc9\x07\x00", "Hello");
}

static void a_stored_block_inflates(void **state)
{
    INFLATES("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", "Hello");
}

static void a_last_block_may_be_followed(void **state)
{
    INFLATES("\xf3\x48\xcd\xc9\xc9\x07\x00\x00", "Hello");
    INFLATES("\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x48\xcd\xc9\xc9\x07\x00",
             "HelloHello");
}

static void a_last_block_may_be_the_end(void **state)
{
    INFLATES("\xf3\x48\xcd\xc9\xc9\x07\x00", "Hello");
}

static void two_blocks_inflate(void **state)
{
    INFLATES("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "Hello");
}

static void nothing_inflates_to_nothing(void **state)
{
    INFLATES("\x00", "");
    INFLATES("\x02\x00", "");
    INFLATES("", "");
}

/* 7.2.3.4 with 7.2.3.2: what lies before a last block can be referred to. */
static void what_follows_a_last_block_may_refer_to_it(void **state)
{
    INFLATES("\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00", "HelloHello");
}

static void what_is_no_block_is_bad(void **state)
{
    INFLATES("\xff", "!bad");
    INFLATES("\x07", "!bad");
    INFLATES("\x00\x05\x00\xfa\xfe\x48", "!bad");
}

static void a_message_that_stops_inside_a_block_is_bad(void **state)
{
    INFLATES("\xf2\x48\xcd\xc9", "Helh!bad");
    INFLATES("\x00\x05", "!bad");
}

/* A distance of one, with nothing there. */
static void a_reference_to_before_the_message_is_bad(void **state)
{
    INFLATES("\x02\x02", "!bad");
}

static struct buffer zeros(size_t n)
{
    struct buffer b = {0};

    buffer_reserve(&b, n);
    memset(b.data, 'a', n);
    b.len = n;
    return b;
}

static struct buffer deflated(struct str data, unsigned bits, unsigned level)
{
    struct buffer out = {0};

    deflate_append(&out, data, bits, level);
    assert_false(out.failed);
    assert_memory_equal(out.data + out.len - 4, "\0\0\xff\xff", 4);
    out.len -= 4;
    return out;
}

static void the_limit_is_the_last_size_that_passes(void **state)
{
    struct buffer plain = zeros(100), packed = deflated(buffer_str(&plain), 15, 6);

    limit = 100;
    buffer_append_byte(&plain, '\0');
    assert_parses(run, buffer_str(&packed), plain.data);
    limit = 99;
    buffer_fini(&plain);
    plain = zeros(99);
    buffer_append_str(&plain, STR("!big\0"));
    assert_parses(run, buffer_str(&packed), plain.data);
    limit = LIMIT;
    buffer_fini(&plain);
    buffer_fini(&packed);
}

/* 1:1000, and it takes no more than the limit asks for. */
static void a_bomb_is_stopped_as_it_inflates(void **state)
{
    struct buffer plain = zeros(64 << 20), out = {0};
    struct buffer packed = deflated(buffer_str(&plain), 15, 9);
    struct inflater *i = inflater_new();

    assert_true(packed.len < plain.len / 1000);
    assert_int_equal(inflater_feed(i, buffer_str(&packed), &out, 100000),
                     -EMSGSIZE);
    assert_int_equal(out.len, 100000);
    assert_true(out.cap <= 2 * 100000);
    inflater_free(&i);
    buffer_fini(&plain);
    buffer_fini(&packed);
    buffer_fini(&out);
}

/* Thousands of last blocks, each of which costs a window. */
static void last_blocks_without_end_are_bad(void **state)
{
    struct buffer blocks = {0}, out = {0};
    struct inflater *i = inflater_new();

    for (int n = 0; n < 100000; n++)
        buffer_append_str(&blocks, STR("\x03\x00"));
    assert_int_equal(inflater_feed(i, buffer_str(&blocks), &out, LIMIT),
                     -EPROTO);
    inflater_free(&i);
    buffer_fini(&blocks);
    buffer_fini(&out);
}

/* Something like a message: words that come again, from near and far. */
static struct buffer prose(size_t n)
{
    struct buffer b = {0};
    uint32_t r = 1;

    while (b.len < n) {
        r = r * 1664525 + 1013904223;
        buffer_printf(&b, "{\"price\":%u,\"symbol\":\"ACME\"}", r >> 18);
    }
    b.len = n;
    return b;
}

static void what_was_deflated_inflates_to_the_same(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 255, 256, 257, 4096, 4097, 40000,
                                   LIMIT};

    for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++)
        for (unsigned bits = DEFLATE_BITS_MIN; bits <= DEFLATE_BITS_MAX; bits++) {
            struct buffer plain = prose(sizes[s]);
            struct buffer packed = deflated(buffer_str(&plain), bits, 6);

            buffer_append_byte(&plain, '\0');
            assert_seen(run, buffer_str(&packed), packed.len, 1, plain.data);
            assert_seen(run, buffer_str(&packed), 1, 997, plain.data);
            buffer_fini(&plain);
            buffer_fini(&packed);
        }
}

static void every_cut_gives_the_same(void **state)
{
    struct buffer plain = prose(3000);
    struct buffer packed = deflated(buffer_str(&plain), 15, 6);

    buffer_append_byte(&plain, '\0');
    assert_parses(run, buffer_str(&packed), plain.data);
    buffer_fini(&plain);
    buffer_fini(&packed);
}

/* Read as zlib reads it with a window of that size. */
static bool inflates_with(const struct buffer *packed,
                          const struct buffer *plain, unsigned bits)
{
    char *out = malloc(plain->len + 1);
    z_stream z = {
        .next_in = (Bytef *)packed->data,
        .avail_in = (uInt)packed->len,
        .next_out = (Bytef *)out,
    };
    bool same;

    assert_int_equal(inflateInit2(&z, -(int)bits), Z_OK);
    /* A little at a time: what is still in out needs no window. */
    while (z.avail_in > 0 && z.total_out <= plain->len) {
        z.avail_out = 1;
        if (inflate(&z, Z_SYNC_FLUSH) < 0)
            break;
    }
    same = z.total_out == plain->len && memcmp(out, plain->data, plain->len) == 0;
    inflateEnd(&z);
    free(out);
    return same;
}

/* The trap of zlib's 8 bits: what a reader with a window of that size cannot
 * read must not be written. */
static void no_reference_is_farther_than_the_window(void **state)
{
    struct buffer plain = prose(100000);

    for (unsigned bits = DEFLATE_BITS_MIN; bits <= DEFLATE_BITS_MAX; bits++) {
        struct buffer packed = deflated(buffer_str(&plain), bits, 9);

        assert_true(inflates_with(&packed, &plain, bits));
        buffer_fini(&packed);
    }
    buffer_fini(&plain);
}

/* Or they could not be sent to whoever did not get the one before. */
static void messages_do_not_depend_on_each_other(void **state)
{
    struct buffer plain = prose(1000);
    struct buffer once = deflated(buffer_str(&plain), 15, 6);
    struct buffer again = deflated(buffer_str(&plain), 15, 6);

    assert_int_equal(once.len, again.len);
    assert_memory_equal(once.data, again.data, once.len);
    buffer_fini(&plain);
    buffer_fini(&once);
    buffer_fini(&again);
}

static void the_level_can_change_from_message_to_message(void **state)
{
    struct buffer plain = prose(50000);
    struct buffer fast = deflated(buffer_str(&plain), 15, 1);
    struct buffer small = deflated(buffer_str(&plain), 15, 9);
    struct buffer again = deflated(buffer_str(&plain), 15, 1);

    assert_true(small.len < fast.len);
    assert_int_equal(again.len, fast.len);
    assert_memory_equal(again.data, fast.data, fast.len);
    buffer_fini(&plain);
    buffer_fini(&fast);
    buffer_fini(&small);
    buffer_fini(&again);
}

static void it_appends_to_what_is_there(void **state)
{
    struct buffer out = {0};

    buffer_append_str(&out, STR("before"));
    deflate_append(&out, STR("Hello"), 15, 6);
    assert_true(str_eq(buffer_str(&out),
                       STR("before\xf2\x48\xcd\xc9\xc9\x07\x00\0\0\xff\xff")));
    buffer_fini(&out);
}

static void without_memory_the_buffer_says_so(void **state)
{
    struct buffer out = {0}, plain = prose(1000);

    memory_fails_at(1);
    deflate_append(&out, buffer_str(&plain), 15, 6);
    memory_fails_at(0);
    assert_true(out.failed);
    buffer_fini(&out);
    deflate_append(&out, buffer_str(&plain), 15, 6);
    assert_false(out.failed);
    buffer_fini(&out);
    buffer_fini(&plain);
}

static void without_memory_inflating_stops(void **state)
{
    struct inflater *i = inflater_new();
    struct buffer out = {0};

    memory_fails_at(1);
    assert_int_equal(inflater_feed(i, STR("\xf2\x48\xcd\xc9\xc9\x07\x00"), &out,
                                   LIMIT),
                     -ENOMEM);
    memory_fails_at(0);
    inflater_free(&i);
    inflater_free(&i);
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_with_fixed_codes_inflates),
        cmocka_unit_test(a_stored_block_inflates),
        cmocka_unit_test(a_last_block_may_be_followed),
        cmocka_unit_test(a_last_block_may_be_the_end),
        cmocka_unit_test(two_blocks_inflate),
        cmocka_unit_test(nothing_inflates_to_nothing),
        cmocka_unit_test(what_follows_a_last_block_may_refer_to_it),
        cmocka_unit_test(what_is_no_block_is_bad),
        cmocka_unit_test(a_message_that_stops_inside_a_block_is_bad),
        cmocka_unit_test(a_reference_to_before_the_message_is_bad),
        cmocka_unit_test(the_limit_is_the_last_size_that_passes),
        cmocka_unit_test(a_bomb_is_stopped_as_it_inflates),
        cmocka_unit_test(last_blocks_without_end_are_bad),
        cmocka_unit_test(what_was_deflated_inflates_to_the_same),
        cmocka_unit_test(every_cut_gives_the_same),
        cmocka_unit_test(no_reference_is_farther_than_the_window),
        cmocka_unit_test(messages_do_not_depend_on_each_other),
        cmocka_unit_test(the_level_can_change_from_message_to_message),
        cmocka_unit_test(it_appends_to_what_is_there),
        cmocka_unit_test(without_memory_the_buffer_says_so),
        cmocka_unit_test(without_memory_inflating_stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
