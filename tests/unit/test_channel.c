/* src/hub/channel.c */
#include <errno.h>
#include <string.h>

#include "hub_world.h"
#include "hub/idempotency.h"
#include "memory.h"

static struct channel *setup_channel(void **state)
{
    return world_channel(*state, &world_bounds);
}

static void append_tells_where_it_landed(void **state)
{
    struct channel *c = setup_channel(state);
    struct message *m[2] = {text_message(STR("a")), text_message(STR("b"))};
    struct appended where;

    assert_int_equal(channel_append(c, m, 2, &where), 0);
    assert_int_equal(where.seq, 2);
    assert_int_equal(where.epoch, c->history.epoch);
    assert_false(where.repeat);
    channel_unref(&c);
}

static void append_of_nothing_tells_where_it_is(void **state)
{
    struct channel *c = setup_channel(state);
    struct appended where;

    publish(c, 3);
    assert_int_equal(channel_append(c, NULL, 0, &where), 0);
    assert_int_equal(where.seq, 3);
    channel_unref(&c);
}

static void status_says_what_is_held(void **state)
{
    struct channel *c = setup_channel(state);
    struct channel_status status;

    publish(c, 9);
    channel_status(c, &status);
    assert_int_equal(status.messages, 8);
    assert_int_equal(status.first_seq, 2);
    assert_int_equal(status.next_seq, 10);
    assert_int_equal(status.bytes, 8);
    assert_int_equal(status.readers, 0);
    assert_int_equal(status.epoch, c->history.epoch);
    channel_unref(&c);
}

static void newest_gives_the_newest_with_a_reference(void **state)
{
    struct channel *c = setup_channel(state);
    struct message *m;
    uint64_t epoch;

    publish(c, 3);
    m = channel_newest(c, &epoch);
    publish(c, 20); /* evicts it */
    assert_int_equal(m->seq, 3);
    assert_int_equal(epoch, m->epoch);
    message_unref(&m);
    channel_unref(&c);
}

static void newest_of_nothing_is_none(void **state)
{
    struct channel *c = setup_channel(state);

    assert_null(channel_newest(c, NULL));
    channel_unref(&c);
}

static void expire_drops_what_is_too_old(void **state)
{
    const struct history_bounds aged = {8, 1000, 1000000};
    struct channel *c = world_channel(*state, &aged);
    struct channel_status status;

    publish(c, 2);
    clock_advance(1000000);
    channel_expire(c, clock_now_us());
    channel_status(c, &status);
    assert_int_equal(status.messages, 0);
    channel_unref(&c);
}

static void new_bounds_hold_from_the_next_append(void **state)
{
    const struct history_bounds narrow = {2, 1000, 0};
    struct channel *c = setup_channel(state);
    struct channel_status status;

    publish(c, 5);
    channel_set_bounds(c, &narrow);
    publish(c, 1);
    channel_status(c, &status);
    assert_int_equal(status.messages, 2);
    channel_unref(&c);
}

static void a_key_that_is_known_appends_nothing(void **state)
{
    struct channel *c = setup_channel(state);
    struct appended first, second;

    assert_int_equal(
        channel_append_once(c, STR("k"), text_message(STR("a")), &first), 0);
    publish(c, 1);
    assert_int_equal(
        channel_append_once(c, STR("k"), text_message(STR("b")), &second), 0);
    assert_false(first.repeat);
    assert_true(second.repeat);
    assert_int_equal(second.seq, first.seq);
    assert_int_equal(second.epoch, first.epoch);
    assert_int_equal(c->history.next_seq, 3);
    channel_unref(&c);
}

static void a_key_outlives_its_message(void **state)
{
    struct channel *c = setup_channel(state);
    struct appended where;

    channel_append_once(c, STR("k"), text_message(STR("a")), &where);
    publish(c, 100);
    channel_append_once(c, STR("k"), text_message(STR("a")), &where);
    assert_true(where.repeat);
    assert_int_equal(where.seq, 1);
    channel_unref(&c);
}

static void more_keys_than_the_bound_push_the_first_out(void **state)
{
    struct channel *c = setup_channel(state);
    struct appended where;
    char key[16];

    for (unsigned i = 0; i <= IDEMPOTENCY_KEYS_MAX; i++) {
        snprintf(key, sizeof(key), "key-%u", i);
        channel_append_once(c, str_of(key), text_message(STR("a")), &where);
    }
    channel_append_once(c, STR("key-0"), text_message(STR("a")), &where);
    assert_false(where.repeat);
    channel_append_once(c, STR("key-2"), text_message(STR("a")), &where);
    assert_true(where.repeat);
    channel_unref(&c);
}

static void an_ended_channel_takes_nothing(void **state)
{
    struct channel *c = setup_channel(state);
    struct message *m[2] = {text_message(STR("a")), text_message(STR("b"))};

    channel_end(c);
    assert_true(channel_ended(c));
    assert_int_equal(channel_append(c, m, 2, NULL), -ESTALE);
    assert_null(m[0]);
    assert_null(m[1]);
    channel_unref(&c);
}

static void an_ended_channel_forgets_its_keys(void **state)
{
    struct channel *c = setup_channel(state);
    struct appended where;

    channel_append_once(c, STR("k"), text_message(STR("a")), &where);
    channel_end(c);
    assert_int_equal(
        channel_append_once(c, STR("k"), text_message(STR("a")), &where),
        -ESTALE);
    assert_false(where.repeat);
    channel_unref(&c);
}

static void an_ended_channel_holds_nothing_under_a_new_epoch(void **state)
{
    struct channel *c = setup_channel(state);
    struct channel_status before, after;

    publish(c, 5);
    channel_status(c, &before);
    channel_end(c);
    channel_status(c, &after);
    assert_int_equal(after.messages, 0);
    assert_int_equal(after.bytes, 0);
    assert_int_not_equal(after.epoch, before.epoch);
    assert_null(channel_newest(c, NULL));
    channel_unref(&c);
}

static void ending_it_twice_is_fine(void **state)
{
    struct channel *c = setup_channel(state);

    publish(c, 5);
    channel_end(c);
    channel_end(c);
    channel_unref(&c);
}

static void an_append_wakes_only_workers_that_wait(void **state)
{
    struct channel *c = setup_channel(state);
    struct world *w = *state;

    publish(c, 1);
    assert_int_equal(w->posts, 0);
    channel_unref(&c);
}

static void many_appends_wake_a_worker_once(void **state)
{
    struct channel *c = setup_channel(state);
    struct world *w = *state;
    struct witness a = {0}, b = {0};

    witness_join(&a, c, from_now);
    reader_join(&b.reader, &witness_ops, c, 3, from_now, from_now, &b.gap);
    publish(c, 5);
    assert_int_equal(w->posts, 2); /* one a worker */
    world_run(w);
    assert_int_equal(a.count, 5);
    assert_int_equal(b.count, 5);
    publish(c, 1);
    assert_int_equal(w->posts, 4);
    world_run(w);
    reader_leave(&a.reader);
    reader_leave(&b.reader);
    channel_unref(&c);
}

static unsigned watched, watched_readers;
static char watch_arg[] = "arg";

static void on_watch(struct channel *c, void *arg)
{
    watched++;
    watched_readers = atomic_load(&c->readers);
    assert_ptr_equal(arg, watch_arg);
}

static void the_first_reader_and_the_last_leave_are_watched(void **state)
{
    struct channel *c = setup_channel(state);
    struct witness a = {0}, b = {0};

    watched = 0;
    channel_set_watch(c, on_watch, watch_arg);
    witness_join(&a, c, from_now);
    assert_int_equal(watched, 1);
    assert_int_equal(watched_readers, 1);
    witness_join(&b, c, from_now);
    reader_leave(&a.reader);
    assert_int_equal(watched, 1);
    reader_leave(&b.reader);
    assert_int_equal(watched, 2);
    assert_int_equal(watched_readers, 0);
    channel_unref(&c);
}

static void the_end_is_watched(void **state)
{
    struct channel *c = setup_channel(state);

    watched = 0;
    channel_set_watch(c, on_watch, watch_arg);
    channel_end(c);
    assert_int_equal(watched, 1);
    channel_unref(&c);
}

static void used_is_when_it_last_took_a_message(void **state)
{
    struct channel *c = setup_channel(state);
    struct appended where;

    clock_advance(10);
    publish(c, 1);
    assert_int_equal(atomic_load(&c->used_us), WORLD_START_US + 10);
    clock_advance(10);
    channel_append_once(c, STR("k"), text_message(STR("a")), &where);
    assert_int_equal(atomic_load(&c->used_us), WORLD_START_US + 20);
    channel_unref(&c);
}

static void unref_of_nothing_is_fine(void **state)
{
    struct channel *c = NULL;

    channel_unref(&c);
    assert_null(c);
}

/* The ring grows at the 5th message: the first ones stay, in order. */
static void without_memory_the_rest_of_a_batch_is_dropped(void **state)
{
    struct channel *c = setup_channel(state);
    struct message *m[6];
    struct appended where;

    for (int i = 0; i < 6; i++)
        m[i] = text_message(STR("a"));
    memory_fails_at(2);
    assert_int_equal(channel_append(c, m, 6, &where), -ENOMEM);
    assert_true(memory_ran_out());
    assert_int_equal(where.seq, 4);
    assert_null(m[4]);
    assert_null(m[5]);
    publish(c, 2);
    assert_int_equal(c->history.next_seq, 7);
    channel_unref(&c);
}

static void without_memory_what_landed_wakes_readers(void **state)
{
    struct channel *c = setup_channel(state);
    struct message *m[6];
    struct witness r = {0};

    for (int i = 0; i < 6; i++)
        m[i] = text_message(STR("a"));
    witness_join(&r, c, from_now);
    memory_fails_at(2);
    channel_append(c, m, 6, NULL);
    memory_fails_at(0);
    world_run(*state);
    assert_int_equal(r.count, 4);
    reader_leave(&r.reader);
    channel_unref(&c);
}

static void append_once(struct channel *c, unsigned long nth, int *rc,
                        struct appended *where)
{
    struct message *m = text_message(STR("a"));

    memory_fails_at(nth);
    *rc = channel_append_once(c, STR("k"), m, where);
}

static void without_memory_a_key_may_be_forgotten_but_nothing_breaks(
    void **state)
{
    struct channel *c = setup_channel(state);
    struct appended where;
    unsigned refused = 0;
    int rc;

    for (unsigned long nth = 1;; nth++) {
        append_once(c, nth, &rc, &where);
        if (!memory_ran_out())
            break;
        assert_true(rc == 0 || rc == -ENOMEM);
        refused += rc == -ENOMEM;
    }
    assert_int_equal(rc, 0);
    assert_true(refused >= 2); /* the table, the ring */
    append_once(c, 0, &rc, &where);
    assert_true(where.repeat);
    channel_unref(&c);
}

static void without_memory_there_is_no_channel(void **state)
{
    struct world *w = *state;
    struct channel *c;

    for (unsigned long nth = 1;; nth++) {
        memory_fails_at(nth);
        c = channel_new(&w->hub, STR("x"), WORLD_WORKERS, &world_bounds);
        if (!memory_ran_out())
            break;
        assert_null(c);
    }
    assert_non_null(c);
    assert_string_equal(c->name, "x");
    channel_unref(&c);
}

#define CASE(name)                                                             \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(append_tells_where_it_landed),
        CASE(append_of_nothing_tells_where_it_is),
        CASE(status_says_what_is_held),
        CASE(newest_gives_the_newest_with_a_reference),
        CASE(newest_of_nothing_is_none),
        CASE(expire_drops_what_is_too_old),
        CASE(new_bounds_hold_from_the_next_append),
        CASE(a_key_that_is_known_appends_nothing),
        CASE(a_key_outlives_its_message),
        CASE(more_keys_than_the_bound_push_the_first_out),
        CASE(an_ended_channel_takes_nothing),
        CASE(an_ended_channel_forgets_its_keys),
        CASE(an_ended_channel_holds_nothing_under_a_new_epoch),
        CASE(ending_it_twice_is_fine),
        CASE(an_append_wakes_only_workers_that_wait),
        CASE(many_appends_wake_a_worker_once),
        CASE(the_first_reader_and_the_last_leave_are_watched),
        CASE(the_end_is_watched),
        CASE(used_is_when_it_last_took_a_message),
        CASE(unref_of_nothing_is_fine),
        CASE(without_memory_the_rest_of_a_batch_is_dropped),
        CASE(without_memory_what_landed_wakes_readers),
        CASE(without_memory_a_key_may_be_forgotten_but_nothing_breaks),
        CASE(without_memory_there_is_no_channel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
