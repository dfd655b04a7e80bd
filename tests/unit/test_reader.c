/* src/hub/reader.c */
#include <errno.h>
#include <string.h>

#include "hub_world.h"
#include "memory.h"

#define SLICE 128               /* as src/hub/audience.c has it */
#define CROWD (2 * SLICE + 50)  /* more than two of them */

/* cmocka's state: a world whose channel "news" holds messages 3..10. */
static struct channel *news;

static int setup(void **state)
{
    world_setup(state);
    news = world_channel(*state, &world_bounds);
    publish(news, 10);
    return 0;
}

static int teardown(void **state)
{
    channel_unref(&news);
    return world_teardown(state);
}

static struct cursor id_of(uint64_t seq)
{
    return (struct cursor){CURSOR_ID, news->history.epoch, seq};
}

static struct cursor last(uint64_t n)
{
    return (struct cursor){.kind = CURSOR_LAST_N, .seq = n};
}

/* The next message that a reader with this cursor wants; *rc: join's. */
static uint64_t place_of(struct cursor cursor, struct cursor fallback, int *rc)
{
    struct witness r = {0};
    uint64_t next;

    *rc = reader_join(&r.reader, &witness_ops, news, 0, cursor, fallback,
                      &r.gap);
    next = r.reader.next_seq;
    reader_leave(&r.reader);
    return next;
}

#define assert_place(cursor, fallback, want_rc, want_seq)                      \
    do {                                                                       \
        int rc_;                                                               \
        assert_int_equal(place_of(cursor, fallback, &rc_), want_seq);          \
        assert_int_equal(rc_, want_rc);                                        \
    } while (0)

/* ---- where a reader starts --------------------------------------------------- */

static void now_starts_after_the_newest(void **state)
{
    assert_place(from_now, from_oldest, 0, 11);
}

static void oldest_starts_at_the_oldest_held_and_misses_nothing(void **state)
{
    assert_place(from_oldest, from_now, 0, 3);
}

static void last_n_starts_n_before_the_end(void **state)
{
    assert_place(last(1), from_now, 0, 10);
    assert_place(last(3), from_now, 0, 8);
    assert_place(last(0), from_now, 0, 11);
}

static void last_n_of_more_than_is_held_is_the_oldest(void **state)
{
    assert_place(last(8), from_now, 0, 3);
    assert_place(last(9), from_now, 0, 3);
    assert_place(last(UINT64_MAX), from_now, 0, 3);
}

static void last_n_of_nothing_waits(void **state)
{
    channel_unref(&news);
    hub_delete(&((struct world *)*state)->hub, STR("news"));
    news = world_channel(*state, &world_bounds);
    assert_place(last(1), from_now, 0, 1);
}

static void no_cursor_means_the_fallback(void **state)
{
    assert_place(no_cursor, from_now, 0, 11);
    assert_place(no_cursor, from_oldest, 0, 3);
    assert_place(no_cursor, last(1), 0, 10);
}

static void an_id_starts_after_it(void **state)
{
    assert_place(id_of(5), from_now, 0, 6);
    assert_place(id_of(10), from_now, 0, 11);
}

static void the_id_just_before_the_oldest_misses_nothing(void **state)
{
    assert_place(id_of(2), from_now, 0, 3);
}

static void an_id_too_old_is_a_gap_and_the_oldest(void **state)
{
    assert_place(id_of(1), from_now, 1, 3);
    assert_place(id_of(0), from_now, 1, 3);
}

static void an_id_of_the_future_is_a_gap(void **state)
{
    assert_place(id_of(11), from_now, 1, 3);
    assert_place(id_of(UINT64_MAX), from_now, 1, 3);
}

static void an_id_of_another_epoch_is_a_gap(void **state)
{
    struct cursor foreign = id_of(5);

    foreign.epoch ^= 1;
    assert_place(foreign, from_now, 1, 3);
}

static void an_alien_cursor_is_a_gap_and_the_fallback(void **state)
{
    const struct cursor alien = {.kind = CURSOR_ALIEN};

    assert_place(alien, from_now, 1, 11);
    assert_place(alien, from_oldest, 1, 3);
}

static void a_gap_says_from_where_to_where(void **state)
{
    char from[ID_MAX], to[ID_MAX];
    struct witness r = {0};

    id_format(from, news->history.epoch, 1);
    id_format(to, news->history.epoch, 3);
    assert_int_equal(witness_join(&r, news, id_of(1)), 1);
    assert_string_equal(r.gap.from, from);
    assert_string_equal(r.gap.to, to);
    assert_int_equal(r.gap.missed, 1);
    reader_leave(&r.reader);
}

static void of_a_gap_to_another_history_nobody_knows_the_size(void **state)
{
    struct cursor elsewhere[] = {id_of(11), id_of(5)};
    struct witness r = {0};

    elsewhere[1].epoch ^= 1;
    for (int i = 0; i < 2; i++) {
        r.gap.missed = 77;
        assert_int_equal(witness_join(&r, news, elsewhere[i]), 1);
        assert_int_equal(r.gap.missed, 0);
        reader_leave(&r.reader);
    }
}

static void the_gap_of_an_alien_cursor_has_no_from(void **state)
{
    const struct cursor alien = {.kind = CURSOR_ALIEN};
    struct witness r = {0};

    strcpy(r.gap.from, "?");
    assert_int_equal(witness_join(&r, news, alien), 1);
    assert_string_equal(r.gap.from, "");
    reader_leave(&r.reader);
}

static void joining_looks_at_ages(void **state)
{
    const struct history_bounds aged = {8, 1000, 1000000};

    channel_set_bounds(news, &aged);
    clock_advance(1000000);
    assert_place(from_oldest, from_now, 0, 11);
}

static void a_deleted_channel_takes_no_reader(void **state)
{
    struct witness r = {0};

    channel_end(news);
    assert_int_equal(witness_join(&r, news, from_now), -ESTALE);
    assert_false(reader_joined(&r.reader));
    reader_leave(&r.reader);
    assert_int_equal(atomic_load(&news->readers), 0);
}

static void leaving_without_having_joined_is_fine(void **state)
{
    struct witness r = {0};

    reader_leave(&r.reader);
    assert_false(reader_joined(&r.reader));
}

static void the_position_is_the_id_before_the_cursor(void **state)
{
    char want[ID_MAX], id[ID_MAX];
    struct witness r = {0};

    witness_join(&r, news, id_of(5));
    id_format(want, news->history.epoch, 5);
    assert_int_equal(reader_position(&r.reader, id), strlen(want));
    assert_string_equal(id, want);
    assert_string_equal(reader_channel_name(&r.reader), "news");
    reader_leave(&r.reader);
}

/* ---- reading ----------------------------------------------------------------- */

static void a_reader_sees_what_lies_after_its_cursor(void **state)
{
    struct witness r = {0};

    witness_join(&r, news, id_of(5));
    assert_false(reader_dry(&r.reader));
    witness_read(&r);
    assert_int_equal(r.count, 5);
    assert_int_equal(r.seen[0], 6);
    assert_int_equal(r.seen[4], 10);
    assert_true(reader_dry(&r.reader));
    reader_leave(&r.reader);
}

static void reading_moves_nothing(void **state)
{
    struct reading reading;
    struct witness r = {0};

    witness_join(&r, news, id_of(5));
    for (int i = 0; i < 2; i++) {
        reader_read(&r.reader, &reading);
        assert_int_equal(reading.count, 5);
        assert_int_equal(reading.messages[0]->seq, 6);
        reading_done(&reading);
    }
    reader_leave(&r.reader);
}

static void what_is_read_stays_until_done(void **state)
{
    struct reading reading;
    struct witness r = {0};

    witness_join(&r, news, id_of(5));
    reader_read(&r.reader, &reading);
    publish(news, 20); /* evicts all of it */
    assert_int_equal(reading.messages[0]->seq, 6);
    reading_done(&reading);
    reader_leave(&r.reader);
}

static void a_reader_left_behind_is_told_of_the_gap(void **state)
{
    char from[ID_MAX], to[ID_MAX];
    struct witness r = {0};

    witness_join(&r, news, id_of(5));
    publish(news, 6); /* 9..16 are held */
    id_format(from, news->history.epoch, 5);
    id_format(to, news->history.epoch, 9);
    witness_read(&r);
    assert_int_equal(r.missed, 3);
    assert_int_equal(r.gap.missed, 3);
    assert_string_equal(r.gap.from, from);
    assert_string_equal(r.gap.to, to);
    assert_int_equal(r.seen[0], 9);
    assert_int_equal(r.count, 8);
    reader_leave(&r.reader);
}

static void one_reading_carries_so_many(void **state)
{
    const struct history_bounds wide = {1000, 1 << 20, 0};
    struct reading reading;
    struct witness r = {0};

    channel_set_bounds(news, &wide);
    publish(news, 100);
    witness_join(&r, news, from_oldest);
    reader_read(&r.reader, &reading);
    assert_int_equal(reading.count, READING_MAX);
    reading_done(&reading);
    witness_read(&r);
    assert_int_equal(r.count, 108);
    reader_leave(&r.reader);
}

/* ---- passes ------------------------------------------------------------------ */

static void what_is_appended_makes_readers_ready(void **state)
{
    struct witness r = {0};

    witness_join(&r, news, from_now);
    publish(news, 2);
    assert_int_equal(r.readies, 0); /* from its worker only */
    world_run(*state);
    assert_int_equal(r.readies, 1);
    assert_int_equal(r.seen[0], 11);
    assert_int_equal(r.seen[1], 12);
    reader_leave(&r.reader);
}

static void a_pass_hands_round_references_without_the_lock(void **state)
{
    struct witness r[3] = {0};

    for (int i = 0; i < 3; i++)
        witness_join(&r[i], news, from_now);
    publish(news, 5);
    world_run(*state);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(r[i].count, 5);
        reader_leave(&r[i].reader);
    }
}

static void more_than_a_pass_holds_takes_several(void **state)
{
    const struct history_bounds wide = {1000, 1 << 20, 0};
    struct witness r = {0};

    channel_set_bounds(news, &wide);
    witness_join(&r, news, from_now);
    publish(news, 200);
    world_run(*state);
    assert_int_equal(r.count, 200);
    assert_int_equal(r.readies, 4);
    reader_leave(&r.reader);
}

static void a_burst_past_the_history_is_a_gap(void **state)
{
    struct witness r = {0};

    witness_join(&r, news, from_now);
    publish(news, 20);
    world_run(*state);
    assert_int_equal(r.missed, 12);
    assert_int_equal(r.count, 8);
    assert_int_equal(r.seen[7], 30);
    reader_leave(&r.reader);
}

static void a_blocked_reader_is_left_out(void **state)
{
    struct witness r = {0};

    witness_join(&r, news, from_now);
    r.reader.blocked = true;
    publish(news, 2);
    world_run(*state);
    assert_int_equal(r.readies, 0);
    assert_int_equal(r.behinds, 0);
    r.reader.blocked = false;
    witness_read(&r);
    assert_int_equal(r.count, 2);
    reader_leave(&r.reader);
}

static void a_blocked_reader_hears_that_it_fell_behind(void **state)
{
    struct witness r = {0};

    witness_join(&r, news, from_now);
    r.reader.blocked = true;
    publish(news, 8);
    world_run(*state);
    assert_int_equal(r.behinds, 0);
    publish(news, 1);
    world_run(*state);
    assert_int_equal(r.behinds, 1);
    reader_leave(&r.reader);
}

static void one_that_joined_meanwhile_sees_no_message_twice(void **state)
{
    struct witness r = {0}, late = {0};

    witness_join(&r, news, from_now);
    publish(news, 3);
    witness_join(&late, news, id_of(11)); /* while the note is on its way */
    witness_read(&late);
    world_run(*state);
    assert_int_equal(late.count, 2);
    assert_int_equal(late.seen[0], 12);
    assert_int_equal(late.seen[1], 13);
    reader_leave(&r.reader);
    reader_leave(&late.reader);
}

static void after_the_pass_it_waits_again(void **state)
{
    struct witness r = {0};

    witness_join(&r, news, from_now);
    for (int i = 0; i < 5; i++) {
        publish(news, 1);
        world_run(*state);
    }
    assert_int_equal(r.count, 5);
    reader_leave(&r.reader);
}

static void appends_during_a_pass_are_seen_without_another_note(void **state)
{
    struct witness r = {0};
    struct world *w = *state;

    witness_join(&r, news, from_now);
    publish(news, 1);
    publish(news, 1);
    assert_int_equal(w->posts, 1);
    world_run(w);
    assert_int_equal(r.count, 2);
    reader_leave(&r.reader);
}

static void deletion_ends_readers(void **state)
{
    struct world *w = *state;
    struct witness r[3] = {0};

    for (unsigned i = 0; i < 3; i++)
        reader_join(&r[i].reader, &witness_ops, news, i, from_now, from_now,
                    &r[i].gap);
    r[1].reader.blocked = true;
    hub_delete(&w->hub, STR("news"));
    world_run(w);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(r[i].endeds, 1);
        assert_false(reader_joined(&r[i].reader));
    }
    assert_int_equal(atomic_load(&news->readers), 0);
}

static void a_reader_may_free_a_deleted_channel_by_leaving(void **state)
{
    struct world *w = *state;
    struct channel *c;
    struct witness r = {0};

    hub_channel(&w->hub, STR("other"), &world_bounds, &c);
    witness_join(&r, c, from_now);
    hub_delete(&w->hub, STR("other"));
    channel_unref(&c);
    world_run(w);
    assert_int_equal(r.endeds, 1);
}

static void leaving_frees_a_channel_that_is_not_listed_any_more(void **state)
{
    struct world *w = *state;
    struct channel *c;
    struct witness r = {0};

    hub_channel(&w->hub, STR("other"), &world_bounds, &c);
    witness_join(&r, c, from_now);
    hub_delete(&w->hub, STR("other"));
    channel_unref(&c);
    reader_leave(&r.reader); /* before its worker got the note */
    world_run(w);
    assert_int_equal(r.endeds, 0);
}

/* ---- slices ------------------------------------------------------------------ */

static struct witness *crowd;

static void join_crowd(void)
{
    crowd = calloc(CROWD, sizeof(*crowd));
    for (unsigned i = 0; i < CROWD; i++)
        witness_join(&crowd[i], news, from_now);
}

static void leave_crowd(void)
{
    for (unsigned i = 0; i < CROWD; i++)
        reader_leave(&crowd[i].reader);
    free(crowd);
}

static unsigned count_seen(unsigned n)
{
    unsigned with = 0;

    for (unsigned i = 0; i < CROWD; i++)
        with += crowd[i].count == n;
    return with;
}

static void a_crowd_is_served_in_slices(void **state)
{
    struct world *w = *state;

    join_crowd();
    publish(news, 1);
    world_run_once(w, 0);
    assert_int_equal(count_seen(1), SLICE);
    world_run_once(w, 0);
    assert_int_equal(count_seen(1), 2 * SLICE);
    world_run_once(w, 0);
    assert_int_equal(count_seen(1), CROWD);
    world_run(w);
    assert_int_equal(count_seen(1), CROWD);
    leave_crowd();
}

static void between_slices_anybody_may_leave(void **state)
{
    struct world *w = *state;
    unsigned left = 0;

    join_crowd();
    publish(news, 1);
    world_run_once(w, 0);
    for (unsigned i = 0; i < CROWD; i += 3, left++)
        reader_leave(&crowd[i].reader); /* some served, some not */
    world_run(w);
    for (unsigned i = 0; i < CROWD; i++)
        if (i % 3 != 0)
            assert_int_equal(crowd[i].readies, 1);
    assert_int_equal(atomic_load(&news->readers), CROWD - left);
    leave_crowd();
}

static void between_slices_anybody_may_join(void **state)
{
    struct witness late = {0};
    struct world *w = *state;

    join_crowd();
    publish(news, 2);
    world_run_once(w, 0);
    witness_join(&late, news, id_of(11));
    witness_read(&late);
    world_run(w);
    assert_int_equal(late.count, 1);
    assert_int_equal(late.seen[0], 12);
    assert_int_equal(count_seen(2), CROWD);
    reader_leave(&late.reader);
    leave_crowd();
}

/* Those not served yet, and then one that was: nobody's place gets mixed up. */
static void between_slices_the_unserved_may_leave_first(void **state)
{
    struct world *w = *state;

    join_crowd();
    publish(news, 1);
    world_run_once(w, 0);
    for (unsigned i = 0; i < CROWD; i++)
        if (crowd[i].count == 0)
            reader_leave(&crowd[i].reader);
    reader_leave(&crowd[0].reader);
    for (unsigned i = 1; i < CROWD; i++)
        if (reader_joined(&crowd[i].reader))
            assert_true(crowd[i].reader.at < SLICE - 1);
    leave_crowd();
    world_run(w);
}

static void all_may_leave_in_mid_pass(void **state)
{
    struct world *w = *state;

    join_crowd();
    publish(news, 1);
    world_run_once(w, 0);
    leave_crowd();
    world_run(w);
    assert_int_equal(atomic_load(&news->readers), 0);
}

static void a_channel_deleted_in_mid_pass_ends_all(void **state)
{
    struct world *w = *state;
    unsigned ended = 0;

    join_crowd();
    publish(news, 1);
    world_run_once(w, 0);
    hub_delete(&w->hub, STR("news"));
    world_run(w);
    for (unsigned i = 0; i < CROWD; i++)
        ended += crowd[i].endeds;
    assert_int_equal(ended, CROWD);
    leave_crowd();
}

/* In ready(): every third leaves, takes a random other one along, and one that
 * is outside comes in. */
static unsigned dice = 1;
static struct reader_ops restless_ops;

static unsigned roll(unsigned n)
{
    dice = dice * 1103515245u + 12345u;
    return (dice >> 8) % n;
}

static void restless_ready(struct reader *r)
{
    struct witness *other = &crowd[roll(CROWD)];

    witness_ready(r);
    if (roll(3) == 0)
        reader_leave(&other->reader);
    else if (roll(3) == 0 && !reader_joined(&other->reader)) {
        other->count = 0;
        reader_join(&other->reader, &restless_ops, news, 0, from_now, from_now,
                    &other->gap);
    }
    if (roll(4) == 0)
        reader_leave(r);
}

static void check_in_order(const struct witness *w)
{
    for (unsigned i = 1; i < w->count && i < 64; i++)
        assert_int_equal(w->seen[i], w->seen[i - 1] + 1);
    assert_int_equal(w->missed, 0);
}

static void readers_come_and_go_in_ready(void **state)
{
    struct world *w = *state;

    restless_ops = witness_ops;
    restless_ops.ready = restless_ready;
    crowd = calloc(CROWD, sizeof(*crowd));
    for (int round = 0; round < 8; round++) {
        for (unsigned i = 0; i < CROWD; i++)
            if (!reader_joined(&crowd[i].reader)) {
                crowd[i].count = 0;
                reader_join(&crowd[i].reader, &restless_ops, news, 0,
                            from_now, from_now, &crowd[i].gap);
            }
        publish(news, 2);
        world_run(w);
        for (unsigned i = 0; i < CROWD; i++) {
            check_in_order(&crowd[i]);
            /* Whoever is still there has had all. */
            if (reader_joined(&crowd[i].reader))
                assert_int_equal(crowd[i].reader.next_seq,
                                 news->history.next_seq);
        }
    }
    leave_crowd();
}

/* ---- memory ------------------------------------------------------------------ */

static void without_memory_nobody_joins(void **state)
{
    struct witness r = {0};
    int rc;

    for (unsigned long nth = 1;; nth++) {
        memory_fails_at(nth);
        rc = witness_join(&r, news, from_now);
        if (!memory_ran_out())
            break;
        assert_int_equal(rc, -ENOMEM);
        assert_false(reader_joined(&r.reader));
        assert_int_equal(atomic_load(&news->readers), 0);
    }
    assert_int_equal(rc, 0);
    reader_leave(&r.reader);
}

/* A pass that one slice does not end is kept, and that takes memory. */
static void without_memory_for_a_pass_readers_look_by_themselves(void **state)
{
    join_crowd();
    publish(news, 3);
    memory_fails_at(1);
    world_run(*state);
    assert_true(memory_ran_out());
    assert_int_equal(count_seen(3), CROWD);
    publish(news, 1);
    world_run(*state);
    assert_int_equal(count_seen(4), CROWD);
    leave_crowd();
}

static void without_memory_for_a_pass_deletion_ends_readers(void **state)
{
    struct world *w = *state;
    unsigned ended = 0;

    join_crowd();
    hub_delete(&w->hub, STR("news"));
    memory_fails_at(1);
    world_run(w);
    assert_true(memory_ran_out());
    for (unsigned i = 0; i < CROWD; i++)
        ended += crowd[i].endeds;
    assert_int_equal(ended, CROWD);
    leave_crowd();
}

static void a_small_audience_needs_no_memory(void **state)
{
    struct witness r = {0};

    witness_join(&r, news, from_now);
    publish(news, 3);
    memory_fails_at(1);
    world_run(*state);
    assert_false(memory_ran_out());
    assert_int_equal(r.count, 3);
    reader_leave(&r.reader);
}

static void an_audience_without_readers_is_not_woken(void **state)
{
    struct witness r = {0};
    struct world *w = *state;
    unsigned posts;

    witness_join(&r, news, from_now);
    reader_leave(&r.reader);
    publish(news, 1); /* nobody knows yet that nobody is here */
    world_run(w);
    posts = w->posts;
    publish(news, 1);
    assert_int_equal(w->posts, posts);
    witness_join(&r, news, from_now);
    assert_true(reader_dry(&r.reader));
    publish(news, 1);
    world_run(w);
    assert_int_equal(r.count, 1);
    reader_leave(&r.reader);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* ---- no more is to come ------------------------------------------------------ */

static void a_channel_that_is_over_calls_its_readers_once(void **state)
{
    struct witness r = {0};

    witness_join(&r, news, from_now);
    assert_false(reader_over(&r.reader));
    channel_set_over(news, true);
    channel_set_over(news, true);
    world_run(*state);
    assert_int_equal(r.readies, 1);
    assert_true(reader_over(&r.reader));
    channel_set_over(news, false);
    channel_set_over(news, true);
    world_run(*state);
    assert_int_equal(r.readies, 2);
    reader_leave(&r.reader);
}

static void a_message_says_that_it_is_not_over(void **state)
{
    struct witness r = {0};

    channel_set_over(news, true);
    witness_join(&r, news, from_now);
    world_run(*state);
    assert_int_equal(r.readies, 0); /* it can see so for itself */
    publish(news, 1);
    world_run(*state);
    assert_int_equal(r.readies, 1);
    assert_false(reader_over(&r.reader));
    reader_leave(&r.reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(now_starts_after_the_newest),
        CASE(oldest_starts_at_the_oldest_held_and_misses_nothing),
        CASE(last_n_starts_n_before_the_end),
        CASE(last_n_of_more_than_is_held_is_the_oldest),
        CASE(last_n_of_nothing_waits),
        CASE(no_cursor_means_the_fallback),
        CASE(an_id_starts_after_it),
        CASE(the_id_just_before_the_oldest_misses_nothing),
        CASE(an_id_too_old_is_a_gap_and_the_oldest),
        CASE(an_id_of_the_future_is_a_gap),
        CASE(an_id_of_another_epoch_is_a_gap),
        CASE(an_alien_cursor_is_a_gap_and_the_fallback),
        CASE(a_gap_says_from_where_to_where),
        CASE(of_a_gap_to_another_history_nobody_knows_the_size),
        CASE(the_gap_of_an_alien_cursor_has_no_from),
        CASE(joining_looks_at_ages),
        CASE(a_deleted_channel_takes_no_reader),
        CASE(leaving_without_having_joined_is_fine),
        CASE(the_position_is_the_id_before_the_cursor),
        CASE(a_reader_sees_what_lies_after_its_cursor),
        CASE(reading_moves_nothing),
        CASE(what_is_read_stays_until_done),
        CASE(a_reader_left_behind_is_told_of_the_gap),
        CASE(one_reading_carries_so_many),
        CASE(what_is_appended_makes_readers_ready),
        CASE(a_pass_hands_round_references_without_the_lock),
        CASE(more_than_a_pass_holds_takes_several),
        CASE(a_burst_past_the_history_is_a_gap),
        CASE(a_blocked_reader_is_left_out),
        CASE(a_blocked_reader_hears_that_it_fell_behind),
        CASE(one_that_joined_meanwhile_sees_no_message_twice),
        CASE(after_the_pass_it_waits_again),
        CASE(appends_during_a_pass_are_seen_without_another_note),
        CASE(deletion_ends_readers),
        CASE(a_reader_may_free_a_deleted_channel_by_leaving),
        CASE(leaving_frees_a_channel_that_is_not_listed_any_more),
        CASE(a_crowd_is_served_in_slices),
        CASE(between_slices_anybody_may_leave),
        CASE(between_slices_anybody_may_join),
        CASE(between_slices_the_unserved_may_leave_first),
        CASE(all_may_leave_in_mid_pass),
        CASE(a_channel_deleted_in_mid_pass_ends_all),
        CASE(readers_come_and_go_in_ready),
        CASE(without_memory_nobody_joins),
        CASE(without_memory_for_a_pass_readers_look_by_themselves),
        CASE(without_memory_for_a_pass_deletion_ends_readers),
        CASE(a_small_audience_needs_no_memory),
        CASE(an_audience_without_readers_is_not_woken),
        CASE(a_channel_that_is_over_calls_its_readers_once),
        CASE(a_message_says_that_it_is_not_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
