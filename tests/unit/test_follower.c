/* src/feed/follower.c, over an exchange that takes as many octets as the test
 * lets it, and writes them down. */
#include <errno.h>
#include <string.h>

#include "base/logging.h"
#include "feed/follower.h"
#include "feed/source.h"
#include "http/accesslog.h"
#include "hub_world.h"
#include "hub/encoding.h"
#include "memory.h"
#include "net/worker.h"

/* The program has to be linked with -Wl,--wrap=worker_self. */
struct worker *__wrap_worker_self(void);

struct worker *__wrap_worker_self(void)
{
    static struct worker first;

    return &first;
}

/* ---- the exchange ---------------------------------------------------------- */

static struct exchange x;
static struct buffer seen;
static size_t room;      /* octets that the socket takes */
static size_t unacked;
static uint64_t timer_ms;
static unsigned finishes, fails, begun;

static size_t take_writev(struct exchange *ex, const struct iovec *iov, int n)
{
    size_t taken = 0;

    for (int i = 0; i < n; i++) {
        size_t len = iov[i].iov_len < room ? iov[i].iov_len : room;

        buffer_append(&seen, iov[i].iov_base, len);
        room -= len;
        taken += len;
    }
    return taken;
}

static void note_finish(struct exchange *ex)
{
    finishes++;
}

static void note_fail(struct exchange *ex)
{
    fails++;
}

static void ignore(struct exchange *ex)
{
}

static void ignore_ms(struct exchange *ex, uint64_t ms)
{
}

static void note_timer(struct exchange *ex, uint64_t ms)
{
    timer_ms = ms;
}

static size_t tell_unacked(const struct exchange *ex)
{
    return unacked;
}

static const char *tell_peer(const struct exchange *ex, char *out, size_t cap)
{
    return "peer";
}

static const struct exchange_protocol protocol = {
    .writev = take_writev,
    .flush = ignore,
    .finish = note_finish,
    .fail = note_fail,
    .forget = ignore,
    .set_dead_after = ignore_ms,
    .set_prompt = ignore,
    .set_timer = note_timer,
    .unacked = tell_unacked,
    .peer = tell_peer,
};

/* ---- the transport --------------------------------------------------------- */

static bool alive;
static bool can_tell_gaps;

static bool heartbeat(struct follower *f)
{
    follower_control(f, "<beat>", 6);
    return alive;
}

static bool tell_gap(struct follower *f, const struct gap *gap)
{
    if (can_tell_gaps)
        follower_control(f, "<gap>", 5);
    return can_tell_gaps;
}

static void goodbye(struct follower *f, enum farewell why)
{
    follower_control(f, why == FAREWELL_BEHIND ? "<slow>" : "<bye!>", 6);
}

static const struct follower_ops ops = {
    .name = "test", .heartbeat = heartbeat, .gap = tell_gap,
    .goodbye = goodbye,
};

/* ---- the cases' world ------------------------------------------------------ */

static const struct source_type publish_type = {.name = "publish"};
static const struct source_type *const types[] = {&publish_type, NULL};
static const struct source_settings no_source = {.type = "publish"};
static struct exchange_list staying;
static const struct service service = {
    .readers = &staying, .draining = true,
};
static const struct exchange_ops told = {
    .drained = follower_on_drained,
    .timeout = follower_on_timeout,
    .drain = follower_on_drain,
    .renew = follower_on_renew,
    .gone = follower_on_gone,
};
static const struct http_message request;
static struct reader_settings settings;
static struct channel *news;
static struct follower *follower; /* owned by itself */

static int setup(void **state)
{
    log_setup(LOG_LEVEL_ERROR, 2);
    accesslog_setup(ACCESS_LOG_OFF);
    world_setup(state);
    news = world_channel(*state, &world_bounds);
    source_setup(types, NULL, 0);
    settings = (struct reader_settings){
        .lag = LAG_DISCONNECT, .heartbeat_ms = 15000, .write_ms = 60000,
    };
    x = (struct exchange){
        .protocol = &protocol, .busy = true, .status = 200, .chunked = true,
        .service = &service, .request = &request, .ops = &told,
    };
    seen = (struct buffer){0};
    room = SIZE_MAX;
    unacked = finishes = fails = 0;
    alive = can_tell_gaps = true;
    return 0;
}

static int teardown(void **state)
{
    memory_fails_at(0);
    if (finishes + fails < begun)
        follower_on_gone(&x);
    begun = 0;
    world_run(*state);
    channel_unref(&news);
    buffer_fini(&seen);
    return world_teardown(state);
}

static void begin(struct cursor cursor)
{
    const struct feed feed = {
        .channel = news, .reader = &settings, .source = &no_source,
        .cursor = cursor,
    };
    struct gap gap;

    begun = 1;
    LIST_INIT(&staying);
    x.staying = false;
    follower = calloc(1, sizeof(*follower));
    follower_init(follower, &x, &feed, &ops, WIRE_SSE);
    assert_true(follower_join(follower, &feed, &gap) >= 0);
    follower_run(follower);
}

static void append_wire(struct buffer *out, uint64_t seq)
{
    struct message *m = history_at(&news->history, seq);

    buffer_append_str(out, wire_str(message_wire(m, WIRE_SSE), x.chunked));
}

/* What has gone out: marks stand for themselves, a digit for that message. */
static void assert_seen(const char *want)
{
    struct buffer all = {0};

    for (const char *p = want; *p != '\0'; p++)
        if (*p >= '0' && *p <= '9')
            append_wire(&all, (uint64_t)(*p - '0'));
        else
            buffer_append_byte(&all, *p);
    assert_int_equal(seen.len, all.len);
    if (all.len > 0)
        assert_memory_equal(seen.data, all.data, all.len);
    buffer_fini(&all);
}

static void drained(size_t octets)
{
    room = octets;
    follower_on_drained(&x);
}

static void timeout_after(uint64_t ms)
{
    clock_advance(ms * 1000);
    follower_on_timeout(&x);
}

/* ---- sending --------------------------------------------------------------- */

static void what_is_held_goes_out_at_once(void **state)
{
    publish(news, 3);
    begin(from_oldest);
    assert_seen("123");
}

static void what_comes_goes_out_in_a_pass(void **state)
{
    begin(from_now);
    assert_seen("");
    publish(news, 2);
    world_run(*state);
    assert_seen("12");
}

/* In a pass they go out as one piece, which the socket may cut as it likes. */
static void any_cut_of_a_pass_gives_the_same_stream(void **state)
{
    size_t whole = 1;

    for (size_t first = 0; first < whole; first++) {
        struct buffer want = {0};
        uint64_t seq;

        begin(from_now);
        seq = follower->reader.next_seq;
        seen.len = 0;
        room = first;
        publish(news, 3);
        world_run(*state);
        assert_int_equal(seen.len, first);
        drained(SIZE_MAX);
        for (unsigned i = 0; i < 3; i++)
            append_wire(&want, seq + i);
        whole = want.len;
        assert_int_equal(seen.len, whole);
        assert_memory_equal(seen.data, want.data, whole);
        buffer_fini(&want);
        follower_on_gone(&x);
    }
    begun = 0;
}

static void inner_bytes_go_out_where_nothing_is_framed(void **state)
{
    x.chunked = false;
    publish(news, 2);
    begin(from_oldest);
    assert_seen("12");
}

/* However the octets are cut, nothing is lost, doubled or out of order. */
static void any_cut_of_the_octets_gives_the_same_stream(void **state)
{
    size_t whole;

    publish(news, 5);
    begin(from_oldest);
    whole = seen.len;
    follower_on_gone(&x);
    for (size_t step = 1; step <= whole; step++) {
        seen.len = 0;
        room = step;
        begin(from_oldest);
        while (seen.len < whole)
            drained(step);
        assert_seen("12345");
        follower_on_gone(&x);
    }
    begun = 0;
}

static void marks_go_between_messages_however_octets_are_cut(void **state)
{
    size_t whole = 0;

    publish(news, 3);
    for (size_t first = 0; whole == 0 || first < whole; first++) {
        seen.len = 0;
        room = first;
        begin(from_oldest);
        follower_control(follower, "<mark>", 6);
        for (int i = 0; i < 400; i++)
            drained(1);
        drained(SIZE_MAX);
        if (whole == 0)
            whole = seen.len;
        assert_int_equal(seen.len, whole);
        assert_non_null(memmem(seen.data, seen.len, "<mark>", 6));
        buffer_append_byte(&seen, '\0');
        /* Never inside of one: what is before it ends as messages do. */
        if (memcmp(seen.data, "<mark>", 6) != 0)
            assert_memory_equal((char *)memmem(seen.data, seen.len, "<mark>",
                                               6) - 4, "\n\n\r\n", 4);
        follower_on_gone(&x);
    }
    begun = 0;
}

static void a_full_socket_is_left_out_of_passes(void **state)
{
    publish(news, 1);
    room = 3;
    begin(from_oldest);
    room = SIZE_MAX; /* but nobody has said so */
    publish(news, 1);
    world_run(*state);
    assert_int_equal(seen.len, 3);
    drained(SIZE_MAX);
    assert_seen("12");
}

static void its_own_words_are_not_echoed(void **state)
{
    struct message *m;

    settings.no_echo = true;
    begin(from_now);
    publish(news, 1);
    m = text_message(STR("mine"));
    m->sender = follower->number;
    channel_append(news, &m, 1, NULL);
    publish(news, 1);
    world_run(*state);
    assert_seen("13");
    assert_true(reader_dry(&follower->reader));
}

/* ---- falling behind -------------------------------------------------------- */

/* A half sent message and a history that has moved on by nine. */
static void fall_behind(struct world *w)
{
    publish(news, 1);
    room = 3;
    begin(from_oldest);
    publish(news, 9);
    room = 0;
    world_run(w);
}

static void who_falls_behind_is_told_and_let_go(void **state)
{
    fall_behind(*state);
    drained(SIZE_MAX);
    assert_memory_equal(seen.data + seen.len - 6, "<slow>", 6);
    assert_int_equal(finishes, 1);
}

static void who_may_skip_is_told_of_the_gap_after_the_half_sent_one(
    void **state)
{
    struct message *first;
    struct buffer want = {0};

    settings.lag = LAG_SKIP;
    publish(news, 1);
    first = channel_newest(news, NULL);
    room = 3;
    begin(from_oldest);
    publish(news, 9);
    world_run(*state);
    drained(SIZE_MAX);
    buffer_append_str(&want, wire_str(message_wire(first, WIRE_SSE), true));
    buffer_append_str(&want, STR("<gap>"));
    for (uint64_t seq = 3; seq <= 10; seq++)
        append_wire(&want, seq);
    assert_int_equal(seen.len, want.len);
    assert_memory_equal(seen.data, want.data, want.len);
    buffer_fini(&want);
    message_unref(&first);
}

static void who_may_skip_but_cannot_be_told_is_let_go(void **state)
{
    settings.lag = LAG_SKIP;
    can_tell_gaps = false;
    fall_behind(*state);
    drained(SIZE_MAX);
    assert_int_equal(finishes, 1);
}

static void who_wants_the_latest_gets_it_and_no_gap(void **state)
{
    settings.lag = LAG_LATEST;
    publish(news, 3);
    begin(from_oldest);
    assert_seen("3");
}

static void a_history_of_one_does_not_cut_who_wants_the_latest(void **state)
{
    const struct history_bounds one = {1, 1000, 0};

    settings.lag = LAG_LATEST;
    channel_set_bounds(news, &one);
    begin(from_now);
    publish(news, 1);
    room = 0;
    world_run(*state);
    publish(news, 2);
    drained(SIZE_MAX); /* before its worker has run the note */
    assert_int_equal(finishes + fails, 0);
    world_run(*state);
    assert_seen("3");
}

/* ---- silence --------------------------------------------------------------- */

static void silence_is_broken_by_a_sign_of_life(void **state)
{
    begin(from_now);
    assert_int_equal(timer_ms, 15000);
    timeout_after(15000);
    assert_seen("<beat>");
    assert_int_equal(timer_ms, 15000);
}

static void what_went_out_puts_the_sign_of_life_off(void **state)
{
    begin(from_now);
    clock_advance(10000000);
    publish(news, 1);
    world_run(*state);
    timeout_after(5000);
    assert_seen("1");
    assert_int_equal(timer_ms, 10000);
}

static void a_dead_peer_is_cut(void **state)
{
    begin(from_now);
    alive = false;
    timeout_after(15000);
    assert_int_equal(fails, 1);
}

static void a_full_socket_gets_no_sign_of_life(void **state)
{
    publish(news, 1);
    room = 3;
    begin(from_oldest);
    room = SIZE_MAX;
    timeout_after(15000);
    assert_int_equal(seen.len, 3);
}

static void a_full_socket_is_cut_after_write_timeout(void **state)
{
    publish(news, 1);
    room = 3;
    begin(from_oldest);
    unacked = 1000;
    for (int i = 0; i < 6 && fails == 0; i++)
        timeout_after(15000);
    assert_int_equal(fails, 1);
}

static void a_socket_that_moves_is_not_cut(void **state)
{
    publish(news, 1);
    room = 3;
    begin(from_oldest);
    unacked = 1000;
    for (int i = 0; i < 20; i++, unacked--)
        timeout_after(15000);
    assert_int_equal(fails, 0);
}

/* ---- the end --------------------------------------------------------------- */

static void the_end_is_said_after_what_has_come(void **state)
{
    begin(from_now);
    publish(news, 2);
    follower_on_drain(&x);
    assert_seen("12<bye!>");
    assert_int_equal(finishes, 1);
}

static void the_end_waits_for_a_full_socket(void **state)
{
    publish(news, 1);
    room = 3;
    begin(from_oldest);
    room = 0;
    follower_on_drain(&x);
    assert_int_equal(finishes, 0);
    drained(SIZE_MAX);
    assert_seen("1<bye!>");
    assert_int_equal(finishes, 1);
}

static void who_does_not_take_the_end_is_cut(void **state)
{
    publish(news, 1);
    room = 3;
    begin(from_oldest);
    room = 0;
    follower_on_drain(&x);
    timeout_after(2000);
    assert_int_equal(fails, 1);
}

static void max_age_is_the_end_whatever_comes(void **state)
{
    settings.life_ms = 10000;
    begin(from_now);
    assert_in_range(timer_ms, 7900, 10001);
    timeout_after(7000);
    assert_int_equal(finishes, 0);
    publish(news, 1);
    assert_in_range(timer_ms, 900, 3001);
    timeout_after(3001);
    assert_seen("1<bye!>");
    assert_int_equal(finishes, 1);
}

static void new_settings_are_looked_at_at_once(void **state)
{
    struct reader_settings other = settings;

    begin(from_now);
    assert_int_equal(timer_ms, 15000);
    other.heartbeat_ms = 1000;
    follower_on_renew(&x, &other);
    assert_int_equal(timer_ms, 1000);
    timeout_after(1000);
    assert_seen("<beat>");
}

static void a_new_max_age_begins_with_them(void **state)
{
    struct reader_settings other = settings;

    settings.life_ms = 10000;
    begin(from_now);
    follower_on_renew(&x, &other);
    assert_int_equal(timer_ms, 15000);
    settings.life_ms = 5000;
    follower_on_renew(&x, &settings);
    assert_in_range(timer_ms, 3900, 5001);
}

static void a_deleted_channel_is_the_end(void **state)
{
    struct world *w = *state;

    begin(from_now);
    hub_delete(&w->hub, STR("news"));
    world_run(w);
    assert_seen("<bye!>");
    assert_int_equal(finishes, 1);
    assert_int_equal(atomic_load(&news->readers), 0);
}

static void without_memory_for_a_mark_it_is_cut(void **state)
{
    begin(from_now);
    memory_fails_at(1);
    timeout_after(15000);
    assert_true(memory_ran_out());
    assert_int_equal(fails, 1);
    assert_seen("");
}

static void without_memory_for_a_message_it_is_cut(void **state)
{
    begin(from_now);
    publish(news, 1);
    memory_fails_at(2); /* the pass is had */
    world_run(*state);
    assert_true(memory_ran_out());
    assert_int_equal(fails, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_held_goes_out_at_once),
        CASE(what_comes_goes_out_in_a_pass),
        CASE(any_cut_of_a_pass_gives_the_same_stream),
        CASE(inner_bytes_go_out_where_nothing_is_framed),
        CASE(any_cut_of_the_octets_gives_the_same_stream),
        CASE(marks_go_between_messages_however_octets_are_cut),
        CASE(a_full_socket_is_left_out_of_passes),
        CASE(its_own_words_are_not_echoed),
        CASE(who_falls_behind_is_told_and_let_go),
        CASE(who_may_skip_is_told_of_the_gap_after_the_half_sent_one),
        CASE(who_may_skip_but_cannot_be_told_is_let_go),
        CASE(who_wants_the_latest_gets_it_and_no_gap),
        CASE(a_history_of_one_does_not_cut_who_wants_the_latest),
        CASE(silence_is_broken_by_a_sign_of_life),
        CASE(what_went_out_puts_the_sign_of_life_off),
        CASE(a_dead_peer_is_cut),
        CASE(a_full_socket_gets_no_sign_of_life),
        CASE(a_full_socket_is_cut_after_write_timeout),
        CASE(a_socket_that_moves_is_not_cut),
        CASE(the_end_is_said_after_what_has_come),
        CASE(the_end_waits_for_a_full_socket),
        CASE(who_does_not_take_the_end_is_cut),
        CASE(max_age_is_the_end_whatever_comes),
        CASE(new_settings_are_looked_at_at_once),
        CASE(a_new_max_age_begins_with_them),
        CASE(a_deleted_channel_is_the_end),
        CASE(without_memory_for_a_mark_it_is_cut),
        CASE(without_memory_for_a_message_it_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
