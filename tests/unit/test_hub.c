/* src/hub/hub.c */
#include <errno.h>
#include <string.h>

#include "hub_world.h"
#include "memory.h"

#define IDLE_US UINT64_C(60000000)

static int find(struct world *w, const char *name, bool make,
                struct channel **c)
{
    return hub_channel(&w->hub, str_of(name), make ? &world_bounds : NULL, c);
}

static unsigned counted;

static void count(struct channel *c, void *arg)
{
    counted++;
}

static unsigned count_channels(struct world *w)
{
    counted = 0;
    hub_each(&w->hub, count, NULL);
    return counted;
}

static void make_and_drop(struct world *w, const char *name)
{
    struct channel *c;

    assert_int_equal(find(w, name, true, &c), 0);
    channel_unref(&c);
}

static void an_unknown_name_is_not_found(void **state)
{
    struct channel *c;

    assert_int_equal(find(*state, "a", false, &c), -ENOENT);
    assert_null(c);
}

static void a_name_is_made_once(void **state)
{
    struct channel *a, *b, *again;

    find(*state, "a", true, &a);
    find(*state, "b", true, &b);
    assert_int_equal(find(*state, "a", false, &again), 0);
    assert_ptr_equal(again, a);
    assert_ptr_not_equal(b, a);
    assert_string_equal(b->name, "b");
    channel_unref(&a);
    channel_unref(&b);
    channel_unref(&again);
}

static void names_have_a_length(void **state)
{
    char name[CHANNEL_NAME_MAX + 2];
    struct channel *c;

    memset(name, 'x', sizeof(name));
    name[CHANNEL_NAME_MAX + 1] = '\0';
    assert_int_equal(find(*state, "", true, &c), -ENAMETOOLONG);
    assert_int_equal(find(*state, name, true, &c), -ENAMETOOLONG);
    name[CHANNEL_NAME_MAX] = '\0';
    make_and_drop(*state, name);
}

static void channels_have_a_limit(void **state)
{
    struct world *w = *state;
    struct channel *c;

    w->hub.channels_max = 2;
    make_and_drop(w, "a");
    make_and_drop(w, "b");
    assert_int_equal(find(w, "c", true, &c), -ENOSPC);
    assert_int_equal(find(w, "b", true, &c), 0);
    channel_unref(&c);
}

static void a_deleted_one_makes_room(void **state)
{
    struct world *w = *state;

    w->hub.channels_max = 1;
    make_and_drop(w, "a");
    assert_int_equal(hub_delete(&w->hub, STR("a")), 0);
    make_and_drop(w, "b");
}

static void deleting_what_is_not_there_says_so(void **state)
{
    struct world *w = *state;

    assert_int_equal(hub_delete(&w->hub, STR("a")), -ENOENT);
}

static void a_deleted_name_begins_anew(void **state)
{
    struct world *w = *state;
    struct channel *old, *new;

    find(w, "a", true, &old);
    publish(old, 3);
    hub_delete(&w->hub, STR("a"));
    find(w, "a", true, &new);
    assert_ptr_not_equal(new, old);
    assert_int_equal(new->history.count, 0);
    assert_int_equal(new->history.next_seq, 1);
    channel_unref(&old);
    channel_unref(&new);
}

static void each_sees_every_channel(void **state)
{
    make_and_drop(*state, "a");
    make_and_drop(*state, "b");
    assert_int_equal(count_channels(*state), 2);
}

static void sweep(struct world *w)
{
    hub_sweep(&w->hub, clock_now_us(), IDLE_US);
}

static void sweep_reaps_what_nobody_used_for_long(void **state)
{
    make_and_drop(*state, "a");
    clock_advance(IDLE_US);
    sweep(*state);
    assert_int_equal(count_channels(*state), 0);
}

static void sweep_spares_what_was_used_lately(void **state)
{
    make_and_drop(*state, "a");
    clock_advance(IDLE_US - 1);
    sweep(*state);
    assert_int_equal(count_channels(*state), 1);
}

static void sweep_spares_what_holds_messages(void **state)
{
    struct channel *c;

    find(*state, "a", true, &c);
    publish(c, 1);
    channel_unref(&c);
    clock_advance(2 * IDLE_US);
    sweep(*state);
    assert_int_equal(count_channels(*state), 1);
}

static void sweep_spares_what_somebody_holds(void **state)
{
    struct channel *c;

    find(*state, "a", true, &c);
    clock_advance(2 * IDLE_US);
    sweep(*state);
    assert_int_equal(count_channels(*state), 1);
    channel_unref(&c);
}

static void sweep_spares_what_has_a_reader(void **state)
{
    struct witness r = {0};
    struct channel *c;

    find(*state, "a", true, &c);
    witness_join(&r, c, from_now);
    channel_unref(&c);
    clock_advance(2 * IDLE_US);
    sweep(*state);
    assert_int_equal(count_channels(*state), 1);
    reader_leave(&r.reader);
}

static void sweep_drops_messages_over_age_and_then_the_channel(void **state)
{
    const struct history_bounds aged = {8, 1000, 1000000};
    struct channel *c = world_channel(*state, &aged);

    publish(c, 2);
    channel_unref(&c);
    clock_advance(IDLE_US);
    sweep(*state);
    assert_int_equal(count_channels(*state), 0);
}

static void an_audience_without_readers_is_reaped_with_its_channel(void **state)
{
    const struct history_bounds aged = {8, 1000, 1000000};
    struct channel *c = world_channel(*state, &aged);
    struct witness r = {0};

    witness_join(&r, c, from_now);
    publish(c, 2);
    world_run(*state);
    reader_leave(&r.reader);
    channel_unref(&c);
    clock_advance(IDLE_US);
    sweep(*state);
    assert_int_equal(count_channels(*state), 0);
}

static void a_note_on_its_way_keeps_its_channel(void **state)
{
    struct world *w = *state;
    struct channel *c = world_channel(w, &world_bounds);
    struct witness r = {0};

    witness_join(&r, c, from_now);
    publish(c, 1);
    reader_leave(&r.reader);
    hub_delete(&w->hub, STR("news"));
    channel_unref(&c);
    world_run(w); /* the sanitizer knows whether it was still there */
}

static void without_memory_no_channel_is_made(void **state)
{
    struct world *w = *state;
    struct channel *c;
    int rc;

    for (unsigned long nth = 1;; nth++) {
        memory_fails_at(nth);
        rc = find(w, "a", true, &c);
        if (!memory_ran_out())
            break;
        assert_int_equal(rc, -ENOMEM);
        assert_int_equal(count_channels(w), 0);
        assert_int_equal(find(w, "a", false, &c), -ENOENT);
    }
    assert_int_equal(rc, 0);
    channel_unref(&c);
}

#define CASE(name)                                                             \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_unknown_name_is_not_found),
        CASE(a_name_is_made_once),
        CASE(names_have_a_length),
        CASE(channels_have_a_limit),
        CASE(a_deleted_one_makes_room),
        CASE(deleting_what_is_not_there_says_so),
        CASE(a_deleted_name_begins_anew),
        CASE(each_sees_every_channel),
        CASE(sweep_reaps_what_nobody_used_for_long),
        CASE(sweep_spares_what_was_used_lately),
        CASE(sweep_spares_what_holds_messages),
        CASE(sweep_spares_what_somebody_holds),
        CASE(sweep_spares_what_has_a_reader),
        CASE(sweep_drops_messages_over_age_and_then_the_channel),
        CASE(an_audience_without_readers_is_reaped_with_its_channel),
        CASE(a_note_on_its_way_keeps_its_channel),
        CASE(without_memory_no_channel_is_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
