/* src/feed/source.c: when a source runs, and what becomes of what it brings.
 * Its worker has no thread: the test runs its notes and turns its wheel. */
#include <errno.h>
#include <string.h>

#include "base/logging.h"
#include "base/snapshot.h"
#include "feed/source.h"
#include "hub_world.h"
#include "net/worker.h"

#define LINGER_MS  5000
#define BACKOFF_MS 1000
#define MOST_MS    8000
#define FORGET_MS  30000
#define SLACK_MS   (3 * TIMER_TICK_MS)

static struct source *source; /* the last one started */
static unsigned starts, stops, finis;
static int start_rc;

static int fake_start(struct source *s)
{
    source = s;
    starts++;
    return start_rc;
}

static void fake_stop(struct source *s)
{
    stops++;
}

static void fake_fini(struct source *s)
{
    finis++;
}

static const struct source_type fake = {
    .name = "fake", .start = fake_start, .stop = fake_stop, .fini = fake_fini,
};
static const struct source_type no_start = {.name = "publish"};
static const struct source_type *const types[] = {&fake, &no_start, NULL};

static void keep(struct snapshot *s)
{
}

static struct snapshot snapshot = {.refs = 1, .free = keep};
static struct source_settings settings;
static struct hub hub;
static struct worker *worker;
static struct channel *news;
static struct witness reader;

static void post_to_worker(void *arg, unsigned index, struct note *note)
{
    worker_post(worker, note);
}

static void run_notes(void)
{
    struct note *n;

    while ((n = mailbox_take(&worker->mailbox)) != NULL)
        for (struct note *next; n != NULL; n = next) {
            next = n->next;
            n->run(n);
        }
}

/* Time goes by, tick by tick. */
static void go_on(uint64_t ms)
{
    for (uint64_t done = 0; done < ms; done += TIMER_TICK_MS) {
        clock_advance(TIMER_TICK_MS * 1000);
        wheel_turn(&worker->wheel, clock_now_us());
        run_notes();
    }
}

static int setup(void **state)
{
    log_setup(LOG_LEVEL_ERROR, 2);
    clock_stop_at(WORLD_START_US);
    starts = stops = finis = 0;
    start_rc = 0;
    settings = (struct source_settings){
        .type = "fake", .linger_ms = LINGER_MS,
        .backoff_min_ms = BACKOFF_MS, .backoff_max_ms = MOST_MS,
    };
    worker = worker_new(0, NULL);
    source_setup(types, &worker, 1);
    hub_init(&hub, 1, 10, post_to_worker, NULL);
    return hub_channel(&hub, STR("news"), &world_bounds, &news);
}

static int teardown(void **state)
{
    reader_leave(&reader.reader);
    run_notes();
    source_fini();
    channel_unref(&news);
    hub_fini(&hub);
    worker_free(worker);
    clock_stop_at(0);
    assert_int_equal(snapshot.refs, 1);
    return 0;
}

static void ensure(void)
{
    source_ensure(news, &snapshot, &settings,
                  (struct source_request){STR("/stream"), STR_NONE});
}

/* As feed_join() does. */
static void come(void)
{
    reader = (struct witness){0};
    witness_join(&reader, news, from_now);
    ensure();
    run_notes();
}

static void go(void)
{
    reader_leave(&reader.reader);
    run_notes();
}

static void emit(const char *data, const char *id)
{
    const struct message_parts parts = {.data = str_of(data)};

    assert_int_equal(source_emit(source, &parts, str_of(id)), 0);
}

static uint64_t appended(void)
{
    struct channel_status status;

    source_flush(source);
    channel_status(news, &status);
    return status.next_seq - 1;
}

/* How long it takes until it is started again. */
static uint64_t restarts_after_ms(void)
{
    unsigned before = starts;
    uint64_t ms = 0;

    for (; starts == before && ms < 1000000; ms += TIMER_TICK_MS)
        go_on(TIMER_TICK_MS);
    return ms;
}

/* ---- when it runs ---------------------------------------------------------- */

static void the_first_reader_starts_it(void **state)
{
    come();
    assert_int_equal(starts, 1);
    assert_true(str_eq(source_path(source), STR("/stream")));
    assert_string_equal(source_label(source), "channel=\"news\" source=fake");
}

static void more_readers_share_it(void **state)
{
    struct witness more = {0};

    come();
    source_opened(source, true);
    witness_join(&more, news, from_now);
    ensure();
    run_notes();
    assert_int_equal(starts, 1);
    reader_leave(&more.reader);
}

static void publish_needs_no_source(void **state)
{
    settings.type = "publish";
    come();
    assert_null(news->source);
}

static void after_the_last_reader_it_lingers(void **state)
{
    come();
    source_opened(source, true);
    go();
    go_on(LINGER_MS - TIMER_TICK_MS);
    assert_int_equal(stops, 0);
    go_on(SLACK_MS);
    assert_int_equal(stops, 1);
}

static void who_comes_while_it_lingers_keeps_it(void **state)
{
    come();
    source_opened(source, true);
    go();
    go_on(LINGER_MS / 2);
    come();
    go_on(2 * LINGER_MS);
    assert_int_equal(starts, 1);
    assert_int_equal(stops, 0);
}

static void a_reader_that_comes_later_starts_the_same_one_again(void **state)
{
    struct source *first;

    come();
    first = source;
    source_opened(source, true);
    go();
    go_on(LINGER_MS + SLACK_MS);
    come();
    assert_int_equal(starts, 2);
    assert_ptr_equal(source, first);
}

static void a_poll_is_a_reader_for_a_while(void **state)
{
    ensure(); /* nobody has joined */
    run_notes();
    assert_int_equal(starts, 1);
    go_on(LINGER_MS + SLACK_MS);
    assert_int_equal(stops, 1);
}

static void an_idle_one_is_kept_while_messages_are_held(void **state)
{
    come();
    emit("a", NULL);
    appended();
    go();
    go_on(LINGER_MS + 3 * FORGET_MS);
    assert_int_equal(finis, 0);
    assert_non_null(news->source);
}

static void an_idle_one_of_an_empty_channel_is_forgotten(void **state)
{
    come();
    go();
    go_on(LINGER_MS + FORGET_MS + SLACK_MS);
    assert_int_equal(finis, 1);
    assert_null(news->source);
}

static void always_needs_no_reader(void **state)
{
    settings.when = WHEN_ALWAYS;
    ensure();
    run_notes();
    go_on(10 * LINGER_MS);
    assert_int_equal(starts, 1);
    assert_int_equal(stops, 0);
}

static void behind_a_deleted_channel_it_stops_and_goes(void **state)
{
    settings.when = WHEN_ALWAYS;
    ensure();
    run_notes();
    source_opened(source, true);
    hub_delete(&hub, STR("news"));
    run_notes();
    go_on(LINGER_MS + SLACK_MS);
    assert_int_equal(stops, 1);
    go_on(FORGET_MS + SLACK_MS);
    assert_int_equal(finis, 1);
}

static void a_deleted_channel_gets_none(void **state)
{
    hub_delete(&hub, STR("news"));
    ensure();
    assert_null(news->source);
}

static void what_it_brings_after_deletion_is_dropped(void **state)
{
    come();
    source_opened(source, true);
    hub_delete(&hub, STR("news"));
    emit("a", NULL);
    assert_int_equal(appended(), 0);
}

/* ---- when it fails --------------------------------------------------------- */

static void a_failed_one_starts_again_later(void **state)
{
    uint64_t ms;

    come();
    source_failed(source, "why", 0);
    assert_int_equal(stops, 1);
    ms = restarts_after_ms();
    assert_in_range(ms, BACKOFF_MS / 2, BACKOFF_MS + SLACK_MS);
}

static void one_that_cannot_start_has_failed(void **state)
{
    start_rc = -ENOMEM;
    come();
    assert_int_equal(starts, 1);
    start_rc = 0;
    assert_in_range(restarts_after_ms(), BACKOFF_MS / 2, BACKOFF_MS + SLACK_MS);
}

static void each_failure_doubles_the_wait_up_to_a_bound(void **state)
{
    uint64_t most = BACKOFF_MS;

    come();
    for (int i = 0; i < 10; i++) {
        source_failed(source, "why", 0);
        assert_in_range(restarts_after_ms(), most / 2, most + SLACK_MS);
        most = most * 2 < MOST_MS ? most * 2 : MOST_MS;
    }
}

static void a_message_ends_the_row_of_failures(void **state)
{
    come();
    for (int i = 0; i < 5; i++) {
        source_failed(source, "why", 0);
        restarts_after_ms();
    }
    source_opened(source, true);
    emit("a", NULL);
    source_failed(source, "why", 0);
    assert_in_range(restarts_after_ms(), BACKOFF_MS / 2, BACKOFF_MS + SLACK_MS);
}

static void a_connection_alone_does_not(void **state)
{
    come();
    for (int i = 0; i < 5; i++) {
        source_opened(source, true);
        source_failed(source, "why", 0);
        restarts_after_ms();
    }
    source_failed(source, "why", 0);
    assert_true(restarts_after_ms() >= MOST_MS / 2);
}

static void the_backends_wish_is_the_least(void **state)
{
    come();
    source_failed(source, "why", 20000);
    assert_true(restarts_after_ms() >= 20000);
}

static void an_endless_wish_has_an_end(void **state)
{
    come();
    source_failed(source, "why", UINT64_MAX);
    clock_advance(UINT64_C(2) * 86400 * 1000000);
    wheel_turn(&worker->wheel, clock_now_us());
    assert_int_equal(starts, 2);
}

static void nobody_is_left_nothing_is_tried(void **state)
{
    come();
    source_failed(source, "why", 0);
    go();
    settings.linger_ms = 0;
    restarts_after_ms();
    go_on(LINGER_MS);
    assert_int_equal(stops, starts);
    starts = 0;
    go_on(10 * MOST_MS);
    assert_int_equal(starts, 0);
}

static void one_that_is_over_is_not_asked_again(void **state)
{
    come();
    source_opened(source, true);
    source_over(source, "204");
    go_on(10 * MOST_MS);
    assert_int_equal(starts, 1);
}

static void a_new_reader_asks_again(void **state)
{
    struct witness more = {0};

    come();
    source_over(source, "204");
    witness_join(&more, news, from_now);
    ensure();
    run_notes();
    assert_int_equal(starts, 2);
    reader_leave(&more.reader);
}

/* It had come while the source still ran. */
static void a_reader_that_goes_does_not_ask_again(void **state)
{
    struct witness more = {0};

    come();
    source_opened(source, true);
    witness_join(&more, news, from_now);
    ensure();
    run_notes();
    source_over(source, "204");
    reader_leave(&more.reader);
    go();
    go_on(SLACK_MS);
    assert_int_equal(starts, 1);
}

/* ---- what it brings -------------------------------------------------------- */

static void what_came_together_is_appended_together(void **state)
{
    struct channel_status status;

    come();
    emit("a", NULL);
    emit("b", NULL);
    channel_status(news, &status);
    assert_int_equal(status.messages, 0);
    assert_int_equal(appended(), 2);
    run_notes();
    assert_int_equal(reader.readies, 1);
    assert_int_equal(reader.count, 2);
}

static void very_much_is_appended_in_parts(void **state)
{
    struct channel_status status;

    come();
    for (int i = 0; i < 200; i++)
        emit("a", NULL);
    channel_status(news, &status);
    assert_int_equal(status.next_seq - 1, 192);
    assert_int_equal(appended(), 200);
}

static void failing_appends_what_was_gathered(void **state)
{
    come();
    emit("a", NULL);
    source_failed(source, "why", 0);
    assert_int_equal(appended(), 1);
}

static void reconnect(void)
{
    source_failed(source, "why", 0);
    restarts_after_ms();
    source_opened(source, true);
}

static void after_a_reconnect_what_is_repeated_is_dropped(void **state)
{
    come();
    source_opened(source, true);
    emit("a", "1");
    emit("b", "2");
    reconnect();
    emit("b", "2");
    emit("c", "3");
    assert_int_equal(appended(), 3);
}

static void before_a_reconnect_nothing_is_a_repeat(void **state)
{
    come();
    source_opened(source, true);
    emit("a", "1");
    emit("a", "1");
    assert_int_equal(appended(), 2);
}

static void other_data_under_the_same_id_is_no_repeat(void **state)
{
    come();
    source_opened(source, true);
    emit("a", "1");
    reconnect();
    emit("b", "1");
    assert_int_equal(appended(), 2);
}

static void without_an_id_nothing_is_a_repeat(void **state)
{
    come();
    source_opened(source, true);
    emit("a", NULL);
    reconnect();
    emit("a", NULL);
    assert_int_equal(appended(), 2);
}

static void what_is_long_past_is_no_repeat(void **state)
{
    char id[16];

    come();
    source_opened(source, true);
    emit("a", "first");
    for (int i = 0; i < 1024; i++) {
        snprintf(id, sizeof(id), "%d", i);
        emit("a", id);
    }
    reconnect();
    emit("a", "first");
    emit("a", "1023");
    assert_int_equal(appended(), 1026);
}

/* ---- for people ------------------------------------------------------------ */

static void it_is_described_with_its_last_fault(void **state)
{
    struct buffer b = {0};

    come();
    source_failed(source, "it \"broke\"", 0);
    source_describe(news, &b);
    buffer_append(&b, "", 1);
    assert_string_equal(b.data,
                        ",\"source\":{\"type\":\"fake\",\"state\":\"WAITING\","
                        "\"fault\":\"it \\\"broke\\\"\"}");
    buffer_fini(&b);
}

static void assert_metrics(const char *line)
{
    struct buffer b = {0};

    source_metrics(&b);
    buffer_append(&b, "", 1);
    assert_non_null(strstr(b.data, line));
    buffer_fini(&b);
}

static void they_are_counted_by_state(void **state)
{
    settings.stale_ms = 100;
    assert_metrics("\npenstock_sources{state=\"OPENING\"} 0\n");
    come();
    assert_metrics("\npenstock_sources{state=\"OPENING\"} 1\n");
    source_failed(source, "broke", 0);
    assert_metrics("\npenstock_sources{state=\"WAITING\"} 1\n");
    assert_metrics("\npenstock_sources_stale 0\n");
    go_on(100 + SLACK_MS);
    assert_metrics("\npenstock_sources_stale 1\n");
}

static void a_channel_without_one_has_nothing_to_describe(void **state)
{
    struct buffer b = {0};

    source_describe(news, &b);
    assert_int_equal(b.len, 0);
    buffer_fini(&b);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_first_reader_starts_it),
        CASE(more_readers_share_it),
        CASE(publish_needs_no_source),
        CASE(after_the_last_reader_it_lingers),
        CASE(who_comes_while_it_lingers_keeps_it),
        CASE(a_reader_that_comes_later_starts_the_same_one_again),
        CASE(a_poll_is_a_reader_for_a_while),
        CASE(an_idle_one_is_kept_while_messages_are_held),
        CASE(an_idle_one_of_an_empty_channel_is_forgotten),
        CASE(always_needs_no_reader),
        CASE(behind_a_deleted_channel_it_stops_and_goes),
        CASE(a_deleted_channel_gets_none),
        CASE(what_it_brings_after_deletion_is_dropped),
        CASE(a_failed_one_starts_again_later),
        CASE(one_that_cannot_start_has_failed),
        CASE(each_failure_doubles_the_wait_up_to_a_bound),
        CASE(a_message_ends_the_row_of_failures),
        CASE(a_connection_alone_does_not),
        CASE(the_backends_wish_is_the_least),
        CASE(an_endless_wish_has_an_end),
        CASE(nobody_is_left_nothing_is_tried),
        CASE(one_that_is_over_is_not_asked_again),
        CASE(a_new_reader_asks_again),
        CASE(a_reader_that_goes_does_not_ask_again),
        CASE(what_came_together_is_appended_together),
        CASE(very_much_is_appended_in_parts),
        CASE(failing_appends_what_was_gathered),
        CASE(after_a_reconnect_what_is_repeated_is_dropped),
        CASE(before_a_reconnect_nothing_is_a_repeat),
        CASE(other_data_under_the_same_id_is_no_repeat),
        CASE(without_an_id_nothing_is_a_repeat),
        CASE(what_is_long_past_is_no_repeat),
        CASE(it_is_described_with_its_last_fault),
        CASE(they_are_counted_by_state),
        CASE(a_channel_without_one_has_nothing_to_describe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
