#include "parsing.h"

#include <zlib.h>

#include "wire/deflate.h"
#include "wire/gzip.h"

/* What zlib reads, octet by octet as a client gets them; whole: it must be at
 * the end of a member, whose sums it has then checked. */
static struct buffer unpacked(struct str packed, bool whole)
{
    z_stream z = {.next_in = (Bytef *)packed.p};
    struct buffer out = {0};
    int rc = Z_OK;

    assert_int_equal(inflateInit2(&z, 16 + 15), Z_OK);
    buffer_reserve(&out, 1 << 20);
    for (size_t i = 0; i < packed.n; i++) {
        assert_int_equal(rc, Z_OK);
        z.avail_in = 1;
        z.next_out = (Bytef *)out.data + out.len;
        z.avail_out = (uInt)(out.cap - out.len);
        rc = inflate(&z, Z_SYNC_FLUSH);
        out.len = z.total_out;
    }
    assert_int_equal(rc, whole ? Z_STREAM_END : Z_OK);
    inflateEnd(&z);
    return out;
}

static void assert_unpacks(const struct buffer *packed, bool whole,
                           struct str want)
{
    struct buffer out = unpacked(buffer_str(packed), whole);

    assert_true(str_eq(buffer_str(&out), want));
    buffer_fini(&out);
}

/* As a reader does with a message's wire, made once for all. */
static void add_shared(struct gzip *g, struct buffer *out, struct str text)
{
    struct gzip_part part = gzip_part_of(text);

    deflate_append(out, text, 15, 6);
    gzip_add(g, &part);
}

static void a_body_unpacks_to_itself(void **state)
{
    struct buffer packed = {0};

    gzip_append(&packed, STR("hello, hello, hello"), 6);
    assert_unpacks(&packed, true, STR("hello, hello, hello"));
    buffer_fini(&packed);
}

static void an_empty_body_unpacks_to_itself(void **state)
{
    struct buffer packed = {0};

    gzip_append(&packed, STR(""), 6);
    assert_unpacks(&packed, true, STR(""));
    buffer_fini(&packed);
}

static void a_stream_is_its_parts_one_after_the_other(void **state)
{
    struct buffer packed = {0};
    struct gzip g;

    gzip_begin(&g, &packed);
    gzip_store(&g, &packed, STR(":\n\n"));
    add_shared(&g, &packed, STR("data: one\n\n"));
    add_shared(&g, &packed, STR("data: two\n\n"));
    gzip_store(&g, &packed, STR(":\n\n"));
    add_shared(&g, &packed, STR("data: two\n\n"));
    gzip_end(&g, &packed);
    assert_unpacks(&packed, true,
                   STR(":\n\ndata: one\n\ndata: two\n\n:\n\ndata: two\n\n"));
    buffer_fini(&packed);
}

static void an_empty_stream_ends_too(void **state)
{
    struct buffer packed = {0};
    struct gzip g;

    gzip_begin(&g, &packed);
    gzip_end(&g, &packed);
    assert_unpacks(&packed, true, STR(""));
    buffer_fini(&packed);
}

/* Or a client would see an event only when the next one comes. */
static void each_part_can_be_read_at_once(void **state)
{
    struct buffer packed = {0}, plain = {0};
    struct gzip g;

    gzip_begin(&g, &packed);
    for (int i = 0; i < 20; i++) {
        struct buffer text = {0};

        buffer_printf(&text, "id: %d\ndata: %d\n\n", i, i * i);
        buffer_append_str(&plain, buffer_str(&text));
        if (i % 3 == 0)
            gzip_store(&g, &packed, buffer_str(&text));
        else
            add_shared(&g, &packed, buffer_str(&text));
        assert_unpacks(&packed, false, buffer_str(&plain));
        buffer_fini(&text);
    }
    buffer_fini(&packed);
    buffer_fini(&plain);
}

static void long_text_is_stored_in_several_blocks(void **state)
{
    struct buffer packed = {0}, plain = {0};
    struct gzip g;

    while (plain.len < 200000)
        buffer_printf(&plain, "%zu ", plain.len);
    gzip_begin(&g, &packed);
    gzip_store(&g, &packed, buffer_str(&plain));
    gzip_end(&g, &packed);
    assert_int_equal(packed.len, 10 + plain.len + 4 * 5 + 10);
    assert_unpacks(&packed, true, buffer_str(&plain));
    buffer_fini(&packed);
    buffer_fini(&plain);
}

static void a_long_stream_has_its_sums_right(void **state)
{
    struct buffer packed = {0}, plain = {0};
    struct gzip g;

    gzip_begin(&g, &packed);
    for (unsigned i = 0; i < 1000; i++) {
        struct buffer text = {0};

        buffer_printf(&text, "data: %*u\n\n", 1 + (int)(i % 700), i);
        buffer_append_str(&plain, buffer_str(&text));
        add_shared(&g, &packed, buffer_str(&text));
        buffer_fini(&text);
    }
    gzip_end(&g, &packed);
    assert_int_equal(g.size, plain.len);
    assert_unpacks(&packed, true, buffer_str(&plain));
    buffer_fini(&packed);
    buffer_fini(&plain);
}

static void an_equal_body_is_not_packed_again(void **state)
{
    struct str first = gzip_shared(STR("a body, a body"), 6);
    struct str second = gzip_shared(STR("a body, a body"), 6);

    assert_non_null(first.p);
    assert_ptr_equal(first.p, second.p);
}

static void another_body_or_level_is(void **state)
{
    struct buffer packed = {0};

    gzip_shared(STR("a body, a body"), 6);
    buffer_append_str(&packed, gzip_shared(STR("a body, another"), 6));
    assert_unpacks(&packed, true, STR("a body, another"));
    buffer_fini(&packed);
    gzip_append(&packed, STR("a body, another"), 1);
    assert_true(str_eq(gzip_shared(STR("a body, another"), 1),
                       buffer_str(&packed)));
    buffer_fini(&packed);
}

static void without_memory_there_is_no_body(void **state)
{
    for (unsigned long nth = 1; nth < 3; nth++) {
        gzip_shared(STR("something else"), 6);
        memory_fails_at(nth);
        assert_null(gzip_shared(STR("a body, a body"), 6).p);
        memory_fails_at(0);
        assert_non_null(gzip_shared(STR("a body, a body"), 6).p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_unpacks_to_itself),
        cmocka_unit_test(an_empty_body_unpacks_to_itself),
        cmocka_unit_test(a_stream_is_its_parts_one_after_the_other),
        cmocka_unit_test(an_empty_stream_ends_too),
        cmocka_unit_test(each_part_can_be_read_at_once),
        cmocka_unit_test(long_text_is_stored_in_several_blocks),
        cmocka_unit_test(a_long_stream_has_its_sums_right),
        cmocka_unit_test(an_equal_body_is_not_packed_again),
        cmocka_unit_test(another_body_or_level_is),
        cmocka_unit_test(without_memory_there_is_no_body),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
