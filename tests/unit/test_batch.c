/* src/feed/batch.c */
#include <errno.h>
#include <string.h>

#include "feed/batch.h"
#include "hub_world.h"
#include "memory.h"

/* cmocka's state: a world whose channel "news" holds messages 3..10. */
static struct channel *news;
static struct reader_settings settings;
static const struct exchange get; /* not counted */

static int setup(void **state)
{
    world_setup(state);
    news = world_channel(*state, &world_bounds);
    publish(news, 10);
    settings = (struct reader_settings){
        .batch_messages = 100, .batch_bytes = 1 << 20,
    };
    return 0;
}

static int teardown(void **state)
{
    memory_fails_at(0);
    channel_unref(&news);
    return world_teardown(state);
}

static struct cursor id_of(uint64_t seq)
{
    return (struct cursor){CURSOR_ID, news->history.epoch, seq};
}

/* What a reader with this cursor gets; its body is terminated. */
static void take_more(struct batch *t, struct witness *r, bool gap)
{
    batch_take(t, &get, &r->reader, &settings, gap);
    buffer_append(&t->body, "", 1);
}

static void take(struct batch *t, struct cursor cursor)
{
    struct witness r = {0};

    take_more(t, &r, witness_join(&r, news, cursor) > 0);
    reader_leave(&r.reader);
}

static unsigned count_of(const struct batch *t, const char *what)
{
    unsigned n = 0;

    for (const char *p = t->body.data; (p = strstr(p, what)) != NULL; p++)
        n++;
    return n;
}

#define assert_next(t, seq_)                                                   \
    do {                                                                       \
        char id_[ID_MAX];                                                      \
        id_format(id_, news->history.epoch, seq_);                             \
        assert_string_equal((t)->id, id_);                                     \
    } while (0)

static void it_takes_all_there_is(void **state)
{
    struct batch t;

    take(&t, id_of(5));
    assert_int_equal(t.count, 5);
    assert_int_equal(count_of(&t, "\"event\""), 5);
    assert_next(&t, 10);
    buffer_fini(&t.body);
}

static void it_is_one_json_object(void **state)
{
    struct batch t;
    char next[64];

    take(&t, id_of(8));
    snprintf(next, sizeof(next), "],\"next\":\"%s\"}", t.id);
    assert_memory_equal(t.body.data, "{\"messages\":[{\"id\":", 19);
    assert_int_equal(count_of(&t, "},{"), 1);
    assert_non_null(strstr(t.body.data, next));
    buffer_fini(&t.body);
}

static void nothing_is_an_empty_batch_that_says_where_it_is(void **state)
{
    struct batch t;
    char want[80];

    take(&t, from_now);
    assert_int_equal(t.count, 0);
    assert_next(&t, 10);
    snprintf(want, sizeof(want), "{\"messages\":[],\"next\":\"%s\"}", t.id);
    assert_memory_equal(t.body.data, want, strlen(want));
    buffer_fini(&t.body);
}

static void it_is_bounded_by_messages(void **state)
{
    struct batch t;

    settings.batch_messages = 3;
    take(&t, id_of(5));
    assert_int_equal(t.count, 3);
    assert_next(&t, 8);
    buffer_fini(&t.body);
}

static void it_is_bounded_by_bytes(void **state)
{
    struct batch whole, t;

    take(&whole, id_of(5));
    settings.batch_bytes = whole.body.len / 2;
    take(&t, id_of(5));
    assert_true(t.count > 0 && t.count < 5);
    assert_true(t.body.len < whole.body.len);
    assert_next(&t, 5 + t.count);
    buffer_fini(&whole.body);
    buffer_fini(&t.body);
}

static void one_message_is_taken_whatever_its_size(void **state)
{
    struct batch t;

    settings.batch_bytes = 1;
    take(&t, id_of(5));
    assert_int_equal(t.count, 1);
    assert_next(&t, 6);
    buffer_fini(&t.body);
}

static void a_batch_that_its_bounds_ended_is_full(void **state)
{
    struct witness r = {0};
    struct batch t;

    settings.batch_messages = 3;
    witness_join(&r, news, id_of(5));
    take_more(&t, &r, false);
    assert_true(t.full);
    buffer_fini(&t.body);
    take_more(&t, &r, false);
    assert_false(t.full);
    reader_leave(&r.reader);
    buffer_fini(&t.body);
}

static void the_next_batch_goes_on_where_it_ended(void **state)
{
    struct witness r = {0};
    struct batch t = {0};

    settings.batch_messages = 3;
    witness_join(&r, news, id_of(5));
    take_more(&t, &r, false);
    buffer_fini(&t.body);
    take_more(&t, &r, false);
    assert_int_equal(t.count, 2);
    assert_next(&t, 10);
    reader_leave(&r.reader);
    buffer_fini(&t.body);
}

static void more_than_one_reading_fits(void **state)
{
    const struct history_bounds wide = {1000, 1 << 20, 0};
    struct batch t;

    channel_set_bounds(news, &wide);
    publish(news, 90);
    settings.batch_messages = 98;
    take(&t, from_oldest);
    assert_int_equal(t.count, 98);
    assert_int_equal(count_of(&t, "\"event\""), 98);
    assert_next(&t, 100);
    buffer_fini(&t.body);
}

static void a_gap_is_said_in_the_batch(void **state)
{
    struct batch t;

    take(&t, id_of(1));
    assert_true(t.gap);
    assert_memory_equal(t.body.data, "{\"gap\":true,\"messages\":[", 24);
    assert_int_equal(t.count, 8);
    buffer_fini(&t.body);
}

static void a_gap_that_came_after_joining_is_said_too(void **state)
{
    struct witness r = {0};
    struct batch t = {0};

    witness_join(&r, news, id_of(5));
    publish(news, 10);
    take_more(&t, &r, false);
    assert_true(t.gap);
    assert_memory_equal(t.body.data, "{\"gap\":true", 11);
    assert_int_equal(t.count, 8);
    assert_next(&t, 20);
    reader_leave(&r.reader);
    buffer_fini(&t.body);
}

static void without_memory_the_body_has_failed(void **state)
{
    for (unsigned long nth = 1;; nth++) {
        struct witness r = {0};
        struct batch t = {0};

        witness_join(&r, news, id_of(5));
        memory_fails_at(nth);
        batch_take(&t, &get, &r.reader, &settings, false);
        reader_leave(&r.reader);
        if (!memory_ran_out()) {
            assert_false(t.body.failed);
            buffer_fini(&t.body);
            return;
        }
        assert_true(t.body.failed);
        buffer_fini(&t.body);
    }
}

static struct str field(const struct answer_headers *a, const char *name)
{
    return headers_get(&a->headers, name);
}

static void fields_say_where_to_go_on(void **state)
{
    struct answer_headers a;
    struct batch_fields scratch;

    answer_init(&a);
    batch_fields(&a, &scratch, "00000001-7", false, false);
    assert_true(str_eq(field(&a, "ETag"), STR("\"00000001-7\"")));
    assert_true(str_eq(field(&a, "Link"),
                       STR("<?since=00000001-7>; rel=\"next\"")));
    assert_null(field(&a, "Penstock-Gap").p);
}

static void the_etag_of_what_is_packed_is_weak(void **state)
{
    struct answer_headers a;
    struct batch_fields scratch;

    answer_init(&a);
    batch_fields(&a, &scratch, "00000001-7", false, true);
    assert_true(str_eq(field(&a, "ETag"), STR("W/\"00000001-7\"")));
}

static void fields_of_the_longest_id_fit(void **state)
{
    static const char longest[] = "vvvvvvvv-18446744073709551615";
    struct answer_headers a;
    struct batch_fields scratch;

    answer_init(&a);
    batch_fields(&a, &scratch, longest, true, true);
    assert_int_equal(field(&a, "ETag").n, strlen(longest) + 4);
    assert_true(str_eq(field(&a, "Link"),
                       STR("<?since=vvvvvvvv-18446744073709551615>; "
                           "rel=\"next\"")));
    assert_true(str_eq(field(&a, "Penstock-Gap"), STR("1")));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(it_takes_all_there_is),
        CASE(it_is_one_json_object),
        CASE(nothing_is_an_empty_batch_that_says_where_it_is),
        CASE(it_is_bounded_by_messages),
        CASE(it_is_bounded_by_bytes),
        CASE(one_message_is_taken_whatever_its_size),
        CASE(a_batch_that_its_bounds_ended_is_full),
        CASE(the_next_batch_goes_on_where_it_ended),
        CASE(more_than_one_reading_fits),
        CASE(a_gap_is_said_in_the_batch),
        CASE(a_gap_that_came_after_joining_is_said_too),
        CASE(without_memory_the_body_has_failed),
        CASE(fields_say_where_to_go_on),
        CASE(the_etag_of_what_is_packed_is_weak),
        CASE(fields_of_the_longest_id_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
