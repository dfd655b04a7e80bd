#include "parsing.h"

#include <errno.h>
#include <zlib.h>

#include "wire/gzip.h"
#include "wire/unpack.h"

#define GZIP 31
#define ZLIB 15
#define BARE -15

/* What zlib makes of text, flushed in the middle, ended or not. */
static void pack(struct buffer *out, struct str text, int bits, bool ended)
{
    z_stream z = {.next_in = (Bytef *)text.p, .avail_in = (uInt)text.n / 2};

    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, bits, 8,
                                  Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(buffer_reserve(out, text.n + 200), 0);
    z.next_out = (Bytef *)out->data + out->len;
    z.avail_out = (uInt)text.n + 200;
    deflate(&z, Z_SYNC_FLUSH);
    z.avail_in = (uInt)(text.n - text.n / 2);
    deflate(&z, ended ? Z_FINISH : Z_SYNC_FLUSH);
    out->len += z.total_out;
    deflateEnd(&z);
}

static int take(void *arg, const char *data, size_t len)
{
    buffer_append(arg, data, len);
    return 0;
}

static const char *coding;

/* A run_fn: what came out, whether it was complete, and how it ended. */
static void unpack_pieces(struct buffer *seen, struct str input, size_t first,
                          size_t step)
{
    struct unpack *u;
    struct str piece;
    int rc = unpack_new(&u, str_of(coding));

    assert_int_equal(rc, 0);
    while (rc == 0 && next_piece(&input, &piece, &first, step)) {
        char *exact = malloc(piece.n);

        memcpy(exact, piece.p, piece.n);
        rc = unpack_feed(u, (struct str){exact, piece.n}, take, seen);
        free(exact);
    }
    buffer_printf(seen, "|%s", rc == -EPROTO         ? "bad"
                               : rc < 0              ? "?"
                               : unpack_complete(u) ? "whole"
                                                     : "more");
    unpack_free(&u);
}

static void assert_unpacks(const char *name, const struct buffer *packed,
                           const char *want)
{
    coding = name;
    assert_parses(unpack_pieces, buffer_str(packed), want);
}

static void each_form_unpacks_wherever_it_is_cut(void **state)
{
    static const struct {
        const char *name;
        int bits;
    } forms[] = {{"gzip", GZIP}, {"x-gzip", GZIP}, {"GZIP", GZIP},
                 {"deflate", ZLIB}, {"deflate", BARE},
                 {"identity, gzip", GZIP}};

    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++)
        for (int ended = 0; ended < 2; ended++) {
            struct buffer packed = {0};

            pack(&packed, STR("data: hello, hello\n\n"), forms[i].bits, ended);
            assert_unpacks(forms[i].name, &packed,
                           ended ? "data: hello, hello\n\n|whole"
                                 : "data: hello, hello\n\n|more");
            buffer_fini(&packed);
        }
}

static void what_was_flushed_is_had_at_once(void **state)
{
    struct buffer packed = {0}, got = {0};
    struct unpack *u;

    pack(&packed, STR("data: 1\n\n"), GZIP, false);
    unpack_new(&u, STR("gzip"));
    assert_int_equal(unpack_feed(u, buffer_str(&packed), take, &got), 0);
    assert_true(str_eq(buffer_str(&got), STR("data: 1\n\n")));
    unpack_free(&u);
    buffer_fini(&packed);
    buffer_fini(&got);
}

static void members_follow_each_other(void **state)
{
    struct buffer packed = {0};

    pack(&packed, STR("one"), GZIP, true);
    pack(&packed, STR("two"), GZIP, true);
    assert_unpacks("gzip", &packed, "onetwo|whole");
    buffer_fini(&packed);
}

static void what_follows_an_end_is_refused(void **state)
{
    struct buffer packed = {0};

    pack(&packed, STR("one"), ZLIB, true);
    buffer_append_byte(&packed, 'x');
    assert_unpacks("deflate", &packed, "one|bad");
    packed.len = 0;
    pack(&packed, STR("one"), GZIP, true);
    buffer_append_str(&packed, STR("garbage"));
    assert_unpacks("gzip", &packed, "one|bad");
    buffer_fini(&packed);
}

static void what_is_not_packed_is_refused(void **state)
{
    struct buffer text = {0};

    buffer_append_str(&text, STR("data: hello\n\n"));
    assert_unpacks("gzip", &text, "|bad");
    buffer_fini(&text);
}

static void nothing_at_all_is_whole(void **state)
{
    struct buffer none = {0};

    assert_unpacks("gzip", &none, "|whole");
    assert_unpacks("deflate", &none, "|whole");
}

static void one_octet_is_not_whole(void **state)
{
    struct buffer one = {0};

    buffer_append_byte(&one, 0x78);
    assert_unpacks("deflate", &one, "|more");
    buffer_fini(&one);
}

static void a_wrong_sum_is_refused(void **state)
{
    struct buffer packed = {0};

    pack(&packed, STR("hello"), GZIP, true);
    packed.data[packed.len - 5] ^= 1;
    assert_unpacks("gzip", &packed, "hello|bad");
    buffer_fini(&packed);
}

static void codings_that_are_not_known_are_refused(void **state)
{
    static const char *const names[] = {"br", "zstd", "compress", "gzip, gzip",
                                        "deflate, br", "gzip;q=1"};
    struct unpack *u;

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        assert_int_equal(unpack_new(&u, str_of(names[i])), -ENOTSUP);
}

static void nothing_to_unpack_needs_no_unpacking(void **state)
{
    struct unpack *u;

    assert_int_equal(unpack_new(&u, STR_NONE), 0);
    assert_null(u);
    assert_int_equal(unpack_new(&u, STR("identity, ,")), 0);
    assert_null(u);
}

static int count(void *arg, const char *data, size_t len)
{
    *(size_t *)arg += len;
    return 0;
}

/* Octets that come out of so many zeros, packed, before it stops. */
static int unpack_zeros(size_t n, size_t *came)
{
    struct buffer packed = {0};
    char *zeros = calloc(n, 1);
    struct unpack *u;
    int rc;

    gzip_append(&packed, (struct str){zeros, n}, 9);
    unpack_new(&u, STR("gzip"));
    *came = 0;
    rc = unpack_feed(u, buffer_str(&packed), count, came);
    unpack_free(&u);
    buffer_fini(&packed);
    free(zeros);
    return rc;
}

static void a_bomb_is_refused(void **state)
{
    size_t came;

    assert_int_equal(unpack_zeros(100 << 20, &came), -EMSGSIZE);
    assert_in_range(came, UNPACK_FREE_BYTES, 3 * UNPACK_FREE_BYTES);
}

static void what_is_only_large_is_not(void **state)
{
    size_t came;

    assert_int_equal(unpack_zeros(UNPACK_FREE_BYTES, &came), 0);
    assert_int_equal(came, UNPACK_FREE_BYTES);
}

static int refuse(void *arg, const char *data, size_t len)
{
    return -ENOMEM;
}

static void whoever_takes_it_may_stop_it(void **state)
{
    struct buffer packed = {0};
    struct unpack *u;

    pack(&packed, STR("hello"), GZIP, true);
    unpack_new(&u, STR("gzip"));
    assert_int_equal(unpack_feed(u, buffer_str(&packed), refuse, NULL),
                     -ENOMEM);
    unpack_free(&u);
    buffer_fini(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_unpacks_wherever_it_is_cut),
        cmocka_unit_test(what_was_flushed_is_had_at_once),
        cmocka_unit_test(members_follow_each_other),
        cmocka_unit_test(what_follows_an_end_is_refused),
        cmocka_unit_test(what_is_not_packed_is_refused),
        cmocka_unit_test(nothing_at_all_is_whole),
        cmocka_unit_test(one_octet_is_not_whole),
        cmocka_unit_test(a_wrong_sum_is_refused),
        cmocka_unit_test(codings_that_are_not_known_are_refused),
        cmocka_unit_test(nothing_to_unpack_needs_no_unpacking),
        cmocka_unit_test(a_bomb_is_refused),
        cmocka_unit_test(what_is_only_large_is_not),
        cmocka_unit_test(whoever_takes_it_may_stop_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
