/* src/hub/selection.c */
#include <errno.h>
#include <string.h>

#include "hub_places.h"
#include "hub_world.h"
#include "memory.h"

#define MANY 3

/* cmocka's state: a world with channels "a", "b" and "c". */
static struct channel *some[MANY];

static struct channel *channel_named(struct hub *of, const char *name,
                                     const struct history_bounds *bounds)
{
    struct channel *c = NULL;

    assert_int_equal(hub_channel(of, str_of(name), bounds, &c), 0);
    return c;
}

static int setup(void **state)
{
    static const char *const names[MANY] = {"a", "b", "c"};

    world_setup(state);
    for (unsigned i = 0; i < MANY; i++)
        some[i] = channel_named(&((struct world *)*state)->hub, names[i],
                                &world_bounds);
    return 0;
}

static int teardown(void **state)
{
    for (unsigned i = 0; i < MANY; i++)
        channel_unref(&some[i]);
    return world_teardown(state);
}

/* What a selection gave, as "a1 b1 a2". */
struct story {
    struct reader reader; /* first */
    char text[2048];
    unsigned most;        /* taken of one reading; 0: all */
    uint64_t missed;
    struct gap gap;
    unsigned behinds, endeds;
};

static void story_read(struct story *s)
{
    struct reading reading;
    unsigned n;

    do {
        reader_read(&s->reader, &reading);
        if (reading.missed > 0)
            s->gap = reading.gap;
        s->missed += reading.missed;
        n = s->most > 0 && s->most < reading.count ? s->most : reading.count;
        for (unsigned i = 0; i < n; i++)
            snprintf(s->text + strlen(s->text),
                     sizeof(s->text) - strlen(s->text), "%s%s%llu",
                     s->text[0] == '\0' ? "" : " ",
                     reading.messages[i]->home->name,
                     (unsigned long long)reading.messages[i]->seq);
        reader_advance(&s->reader, &reading, n);
        reading_done(&reading);
    } while (n > 0 && !reader_dry(&s->reader));
}

static void story_ready(struct reader *r)
{
    story_read((struct story *)r);
}

static void story_behind(struct reader *r)
{
    ((struct story *)r)->behinds++;
}

static void story_ended(struct reader *r)
{
    ((struct story *)r)->endeds++;
    reader_leave(r);
}

static const struct reader_ops story_ops = {story_ready, story_behind,
                                            story_ended, NULL};

static int begin(struct story *s, unsigned count, struct cursor cursor)
{
    struct choice choices[MANY];

    for (unsigned i = 0; i < count; i++)
        choices[i] = (struct choice){some[i], cursor};
    return reader_select(&s->reader, &story_ops, &some[0]->hub->order, choices,
                         count, 0, from_now, &s->gap);
}

static struct cursor where(const struct story *s)
{
    char id[ID_MAX];

    reader_position(&s->reader, id);
    return cursor_parse(str_of(id));
}

#define assert_story(s, want)                                                  \
    do {                                                                       \
        assert_string_equal((s)->text, want);                                  \
        (s)->text[0] = '\0';                                                   \
    } while (0)

/* ---- reading ----------------------------------------------------------------- */

static void messages_come_in_the_order_of_their_appends(void **state)
{
    struct story s = {0};

    assert_int_equal(begin(&s, 3, no_cursor), 0);
    assert_true(reader_dry(&s.reader));
    publish(some[0], 1);
    publish(some[2], 1);
    publish(some[1], 2);
    publish(some[0], 1);
    world_run(*state);
    assert_story(&s, "a1 c1 b1 b2 a2");
    reader_leave(&s.reader);
}

static void one_channel_alone_is_read_in_its_pass(void **state)
{
    struct story s = {0};

    begin(&s, 3, no_cursor);
    publish(some[1], 2);
    world_run(*state);
    publish(some[1], 1);
    world_run(*state);
    assert_story(&s, "b1 b2 b3");
    reader_leave(&s.reader);
}

static void asks_before_it_reads(struct reader *r)
{
    if (!reader_dry(r))
        story_read((struct story *)r);
}

static void it_is_not_dry_when_it_is_told_of_news(void **state)
{
    static const struct reader_ops ops = {asks_before_it_reads, story_behind,
                                          story_ended, NULL};
    struct story s = {0};

    begin(&s, 2, no_cursor);
    s.reader.ops = &ops;
    publish(some[1], 1);
    world_run(*state);
    assert_story(&s, "b1");
    assert_true(reader_dry(&s.reader));
    reader_leave(&s.reader);
}

static void what_is_held_is_merged(void **state)
{
    struct story s = {0};

    publish(some[1], 1);
    publish(some[0], 2);
    publish(some[1], 1);
    begin(&s, 2, from_oldest);
    assert_false(reader_dry(&s.reader));
    story_read(&s);
    assert_story(&s, "b1 a1 a2 b2");
    reader_leave(&s.reader);
}

static void the_last_n_are_each_channels_own(void **state)
{
    struct story s = {0};

    publish(some[1], 3);
    publish(some[0], 2);
    begin(&s, 2, (struct cursor){.kind = CURSOR_LAST_N, .seq = 1});
    story_read(&s);
    assert_story(&s, "b3 a2");
    reader_leave(&s.reader);
}

static void what_a_full_socket_leaves_comes_next(void **state)
{
    struct story s = {.most = 2};

    publish(some[0], 1);
    publish(some[1], 2);
    publish(some[0], 2);
    begin(&s, 2, from_oldest);
    story_read(&s);
    assert_story(&s, "a1 b1 b2 a2 a3");
    reader_leave(&s.reader);
}

static void more_than_one_reading_holds_comes_in_several(void **state)
{
    static const struct history_bounds wide = {1000, 1 << 20, 0};
    struct story s = {0};
    char want[2048] = "";

    for (unsigned i = 0; i < 2; i++)
        channel_set_bounds(some[i], &wide);
    for (unsigned i = 1; i <= 80; i++) {
        publish(some[0], 1);
        publish(some[1], 1);
        snprintf(want + strlen(want), sizeof(want) - strlen(want),
                 "%sa%u b%u", i == 1 ? "" : " ", i, i);
    }
    begin(&s, 2, from_oldest);
    story_read(&s);
    assert_story(&s, want);
    reader_leave(&s.reader);
}

static void the_newest_of_each_channel_is_what_merging_leaves(void **state)
{
    struct story s = {0};

    begin(&s, 2, no_cursor);
    s.reader.blocked = true;
    publish(some[0], 3);
    publish(some[1], 2);
    world_run(*state);
    s.reader.blocked = false;
    assert_int_equal(reader_skip_to_newest(&s.reader), 3);
    story_read(&s);
    assert_story(&s, "a3 b2");
    reader_leave(&s.reader);
}

/* ---- places ------------------------------------------------------------------ */

static void an_id_resumes_all_channels_at_once(void **state)
{
    struct story s = {0};
    struct cursor at;

    begin(&s, 2, no_cursor);
    publish(some[0], 1);
    publish(some[1], 1);
    world_run(*state);
    at = where(&s);
    reader_leave(&s.reader);
    publish(some[1], 2);
    publish(some[0], 1);
    s.text[0] = '\0';
    assert_int_equal(begin(&s, 2, at), 0);
    assert_false(reader_dry(&s.reader));
    story_read(&s);
    assert_story(&s, "b2 b3 a2");
    reader_leave(&s.reader);
}

static void every_place_between_two_messages_resumes_there(void **state)
{
    struct story s = {0};

    publish(some[0], 1);
    publish(some[1], 1);
    publish(some[0], 1);
    for (uint64_t stamp = 0; stamp <= 3; stamp++) {
        static const char *const want[] = {"a1 b1 a2", "b1 a2", "a2", ""};
        struct cursor at = {CURSOR_ID, ((struct world *)*state)->hub.order.epoch,
                            stamp};

        assert_int_equal(begin(&s, 2, at), 0);
        assert_int_equal(where(&s).seq, stamp);
        assert_int_equal(reader_dry(&s.reader), stamp == 3);
        story_read(&s);
        assert_story(&s, want[stamp]);
        assert_int_equal(where(&s).seq, 3);
        reader_leave(&s.reader);
    }
}

static void a_channel_may_come_from_a_place_of_its_own(void **state)
{
    struct story s = {0};
    struct cursor at = {CURSOR_ID, ((struct world *)*state)->hub.order.epoch, 1};
    struct choice choices[2] = {{some[0], from_oldest}, {some[1], at}};

    publish(some[1], 1);
    publish(some[0], 1);
    publish(some[1], 1);
    assert_int_equal(reader_select(&s.reader, &story_ops,
                                   &some[0]->hub->order, choices, 2, 0,
                                   from_now, &s.gap), 0);
    story_read(&s);
    assert_story(&s, "a1 b2");
    reader_leave(&s.reader);
}

static void an_id_of_another_life_is_a_gap_and_the_oldest(void **state)
{
    struct story s = {0};
    struct buffer lost = {0};

    publish(some[0], 1);
    assert_int_equal(begin(&s, 2, (struct cursor){CURSOR_ID, 77, 1}), 1);
    selection_write_lost(s.reader.selection, &lost);
    assert_true(str_eq(buffer_str(&lost), STR("[\"a\",\"b\"]")));
    story_read(&s);
    assert_story(&s, "a1");
    buffer_fini(&lost);
    reader_leave(&s.reader);
}

static void a_gap_names_the_channels_that_lost(void **state)
{
    struct story s = {0};
    struct buffer lost = {0};
    struct cursor at;

    begin(&s, 3, no_cursor);
    publish(some[0], 1);
    world_run(*state);
    at = where(&s);
    reader_leave(&s.reader);
    publish(some[1], 9); /* eight are held */
    publish(some[2], 8);
    s.text[0] = '\0';
    assert_int_equal(begin(&s, 3, at), 1);
    selection_write_lost(s.reader.selection, &lost);
    assert_true(str_eq(buffer_str(&lost), STR("[\"b\"]")));
    lost.len = 0;
    selection_write_lost(s.reader.selection, &lost);
    assert_true(str_eq(buffer_str(&lost), STR("[]")));
    buffer_fini(&lost);
    reader_leave(&s.reader);
}

static void a_deleted_channel_leaves_a_gap_for_its_successor(void **state)
{
    struct world *w = *state;
    struct story s = {0};

    begin(&s, 2, no_cursor);
    publish(some[0], 1);
    world_run(w);
    struct cursor at = where(&s);
    reader_leave(&s.reader);
    publish(some[1], 1);
    channel_unref(&some[1]);
    hub_delete(&w->hub, STR("b"));
    some[1] = channel_named(&w->hub, "b", &world_bounds);
    assert_int_equal(begin(&s, 2, at), 1);
    at = where(&s);
    reader_leave(&s.reader);
    assert_int_equal(begin(&s, 2, at), 0); /* it is told once */
    reader_leave(&s.reader);
}

static void a_reader_that_lags_is_told_what_it_missed(void **state)
{
    struct story s = {0};

    begin(&s, 2, no_cursor);
    s.reader.blocked = true;
    publish(some[0], 1);
    publish(some[1], 10);
    world_run(*state);
    publish(some[1], 1);
    world_run(*state);
    assert_int_equal(s.behinds, 2);
    s.reader.blocked = false;
    story_read(&s);
    assert_int_equal(s.missed, 3);
    assert_int_equal(s.gap.missed, 3);
    assert_story(&s, "a1 b4 b5 b6 b7 b8 b9 b10 b11");
    reader_leave(&s.reader);
}

static void a_gap_moves_it_to_what_it_goes_on_with(void **state)
{
    struct story s = {0};
    struct reading reading;

    begin(&s, 2, no_cursor);
    s.reader.blocked = true;
    publish(some[1], 12);
    world_run(*state);
    reader_read(&s.reader, &reading);
    assert_int_equal(reading.missed, 4);
    assert_int_equal(where(&s).seq, reading.messages[0]->stamp - 1);
    reading_done(&reading);
    reader_leave(&s.reader);
}

/* What it is to be told of channels whose sources went down or came back. */
static void assert_turn(const struct story *s, const char *name, bool down)
{
    bool stale;
    const char *turn = selection_next_turn(s->reader.selection, &stale);

    if (name == NULL) {
        assert_null(turn);
        return;
    }
    assert_string_equal(turn, name);
    assert_int_equal(stale, down);
}

static void a_lost_source_is_told_once_and_its_return_once(void **state)
{
    struct story s = {0};

    begin(&s, MANY, no_cursor);
    assert_turn(&s, NULL, false);
    assert_null(reader_stale(&s.reader));
    channel_set_stale(some[1], true);
    channel_set_stale(some[2], true);
    assert_ptr_equal(reader_stale(&s.reader), some[1]);
    assert_turn(&s, "b", true);
    channel_set_stale(some[2], false); /* before it was told: never mind */
    assert_turn(&s, NULL, false);
    channel_set_stale(some[1], false);
    assert_turn(&s, "b", false);
    assert_turn(&s, NULL, false);
    reader_leave(&s.reader);
}

/* ---- changes ----------------------------------------------------------------- */

static void a_channel_can_be_added_and_taken_out(void **state)
{
    struct story s = {0};
    struct choice b = {some[1], from_oldest};
    char id[ID_MAX];

    publish(some[0], 1);
    publish(some[1], 1);
    begin(&s, 1, no_cursor);
    assert_int_equal(selection_add(s.reader.selection, &b, 0, from_now, id,
                                   &s.gap), 0);
    assert_int_equal(cursor_parse(str_of(id)).seq, 1);
    assert_int_equal(selection_add(s.reader.selection, &b, 0, from_now, id,
                                   &s.gap), -EEXIST);
    assert_false(reader_dry(&s.reader));
    story_read(&s);
    publish(some[0], 1);
    publish(some[1], 1);
    world_run(*state);
    assert_story(&s, "b1 a2 b2");
    assert_true(selection_remove(s.reader.selection, STR("b")));
    assert_false(selection_remove(s.reader.selection, STR("b")));
    publish(some[1], 1);
    publish(some[0], 1);
    world_run(*state);
    assert_story(&s, "a3");
    reader_leave(&s.reader);
}

static void the_end_of_one_channel_is_the_end(void **state)
{
    struct world *w = *state;
    struct story s = {0};

    begin(&s, 2, no_cursor);
    hub_delete(&w->hub, STR("b"));
    world_run(w);
    assert_int_equal(s.endeds, 1);
    assert_false(reader_joined(&s.reader));
    assert_int_equal(begin(&s, 2, no_cursor), -ESTALE);
    assert_false(reader_joined(&s.reader));
}

static void each_failing_allocation_is_an_error_and_no_leak(void **state)
{
    bool failed = true;

    for (unsigned long n = 1; failed; n++) {
        struct story s = {0};
        int rc;

        memory_fails_at(n);
        rc = begin(&s, 3, no_cursor);
        failed = memory_ran_out();
        assert_int_equal(rc, failed ? -ENOMEM : 0);
        assert_int_equal(reader_joined(&s.reader), !failed);
        reader_leave(&s.reader);
    }
}

/* ---- between threads --------------------------------------------------------- */

#define CHANNELS 5
#define READERS  8    /* of each worker */
#define MESSAGES 4000 /* to each channel */

static const struct history_bounds all = {2 * MESSAGES, 1 << 30, 0};

struct follower {
    struct reader reader; /* first */
    struct place *place;
    struct cursor at;
    uint64_t stamp;
    uint64_t want[CHANNELS];
};

static struct channel *channels[CHANNELS];

static void take(struct follower *f, const struct message *m)
{
    unsigned which = (unsigned)(m->home->name[0] - 'a');

    expect(m->seq == f->want[which], "a message is missing, or came twice");
    expect(m->stamp > f->stamp, "messages out of order");
    f->want[which] = m->seq + 1;
    f->stamp = m->stamp;
}

/* At times it takes only a part, and resumes from there another time. */
static void drain(struct follower *f)
{
    struct reading r;
    char id[ID_MAX];
    unsigned n;

    do {
        reader_read(&f->reader, &r);
        expect(r.missed == 0, "a gap where everything is held");
        n = r.count > 1 && roll(f->place, 4) == 0 ? r.count / 2 : r.count;
        for (unsigned i = 0; i < n; i++)
            take(f, r.messages[i]);
        reader_advance(&f->reader, &r, n);
        reading_done(&r);
        reader_position(&f->reader, id);
        f->at = cursor_parse(str_of(id));
        if (n < r.count && !atomic_load(&quiet)) {
            reader_leave(&f->reader);
            return;
        }
    } while (n > 0 && !reader_dry(&f->reader));
}

static void on_ready(struct reader *r)
{
    struct follower *f = (struct follower *)r;

    drain(f);
    if (reader_joined(r) && !atomic_load(&quiet) && roll(f->place, 30) == 0)
        reader_leave(r);
}

static const struct reader_ops follower_ops = {on_ready, on_ready, on_ready, NULL};

static void join(struct follower *f)
{
    struct choice choices[CHANNELS];
    struct gap gap;

    for (unsigned i = 0; i < CHANNELS; i++)
        choices[i] = (struct choice){channels[i], f->at};
    expect(reader_select(&f->reader, &follower_ops, &hub.order, choices,
                         CHANNELS, f->place->index, from_now, &gap) == 0,
           "a place that is held was not found");
    drain(f);
}

static bool has_all(const struct follower *followers)
{
    for (unsigned i = 0; i < READERS; i++)
        for (unsigned c = 0; c < CHANNELS; c++)
            if (followers[i].want[c] != MESSAGES + 1)
                return false;
    return true;
}

static void come_and_go(struct place *p, struct follower *followers)
{
    for (unsigned i = 0; i < READERS; i++)
        if (!reader_joined(&followers[i].reader))
            join(&followers[i]);
        else if (roll(p, 20) == 0)
            reader_leave(&followers[i].reader);
}

static void *work(void *arg)
{
    struct follower followers[READERS] = {0};
    struct place *p = arg;
    bool woken = true;

    for (unsigned i = 0; i < READERS; i++) {
        followers[i].place = p;
        followers[i].at = from_oldest;
        for (unsigned c = 0; c < CHANNELS; c++)
            followers[i].want[c] = 1;
    }
    while (!atomic_load(&quiet)) {
        come_and_go(p, followers);
        wait_ms(p, 1);
        run_notes(p);
    }
    for (unsigned i = 0; i < READERS; i++)
        if (!reader_joined(&followers[i].reader))
            join(&followers[i]); /* from now on only notes help */
    while (woken && !has_all(followers)) {
        woken = wait_ms(p, PATIENCE_S * 1000);
        run_notes(p);
    }
    expect(woken, "a wake-up was lost");
    for (unsigned i = 0; i < READERS; i++)
        reader_leave(&followers[i].reader);
    run_notes(p);
    return NULL;
}

/* Each publishes to every other channel, in batches. */
static void *publish_some(void *arg)
{
    const struct message_parts parts = {.data = STR("hello")};
    const struct timespec pause = {0, 50000};
    struct message *batch[8];

    for (unsigned done = 0, n; done < MESSAGES; done += n) {
        n = done % 7 + 1 < MESSAGES - done ? done % 7 + 1 : MESSAGES - done;
        for (unsigned c = (unsigned)(uintptr_t)arg; c < CHANNELS; c += 2) {
            for (unsigned i = 0; i < n; i++)
                batch[i] = message_new(&parts);
            expect(channel_append(channels[c], batch, n, NULL) == 0,
                   "a channel takes no messages");
        }
        nanosleep(&pause, NULL); /* so that there are many wake-ups */
    }
    return NULL;
}

static void each_reader_gets_all_channels_in_one_order(void **state)
{
    pthread_t publishers[2];

    hub_init(&hub, WORKERS, 100, post, NULL);
    for (unsigned c = 0; c < CHANNELS; c++)
        channels[c] = channel_named(&hub, (char[]){(char)('a' + c), '\0'},
                                    &all);
    for (unsigned i = 0; i < WORKERS; i++)
        place_start(i, work, NULL);
    for (uintptr_t i = 0; i < 2; i++)
        pthread_create(&publishers[i], NULL, publish_some, (void *)i);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(publishers[i], NULL);
    places_end();
    for (unsigned c = 0; c < CHANNELS; c++)
        channel_unref(&channels[c]);
    hub_fini(&hub);
    assert_int_equal(atomic_load(&wrong), 0);
}

#define in_a_world(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_a_world(messages_come_in_the_order_of_their_appends),
        in_a_world(one_channel_alone_is_read_in_its_pass),
        in_a_world(it_is_not_dry_when_it_is_told_of_news),
        in_a_world(what_is_held_is_merged),
        in_a_world(the_last_n_are_each_channels_own),
        in_a_world(what_a_full_socket_leaves_comes_next),
        in_a_world(more_than_one_reading_holds_comes_in_several),
        in_a_world(the_newest_of_each_channel_is_what_merging_leaves),
        in_a_world(an_id_resumes_all_channels_at_once),
        in_a_world(every_place_between_two_messages_resumes_there),
        in_a_world(a_channel_may_come_from_a_place_of_its_own),
        in_a_world(an_id_of_another_life_is_a_gap_and_the_oldest),
        in_a_world(a_gap_names_the_channels_that_lost),
        in_a_world(a_deleted_channel_leaves_a_gap_for_its_successor),
        in_a_world(a_reader_that_lags_is_told_what_it_missed),
        in_a_world(a_gap_moves_it_to_what_it_goes_on_with),
        in_a_world(a_lost_source_is_told_once_and_its_return_once),
        in_a_world(a_channel_can_be_added_and_taken_out),
        in_a_world(the_end_of_one_channel_is_the_end),
        in_a_world(each_failing_allocation_is_an_error_and_no_leak),
        cmocka_unit_test(each_reader_gets_all_channels_in_one_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
