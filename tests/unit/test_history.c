/* src/hub/history.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "hub/history.h"
#include "memory.h"

#define START_US UINT64_C(1000000000)

static struct history h;
static struct message *evicted;

static void init(unsigned messages, size_t bytes, uint64_t age_us)
{
    const struct history_bounds bounds = {messages, bytes, age_us};

    clock_stop_at(START_US);
    evicted = NULL;
    history_init(&h, &bounds);
}

static int teardown(void **state)
{
    history_free_evicted(evicted);
    history_fini(&h);
    clock_stop_at(0);
    return 0;
}

static void add(size_t len)
{
    static const char data[1000];
    const struct message_parts parts = {.data = {data, len}};
    struct message *m = message_new(&parts);

    assert_int_equal(history_append(&h, m, &evicted), 0);
}

static unsigned count_evicted(void)
{
    unsigned n = 0;

    for (struct message *m = evicted; m != NULL; m = m->evicted_next)
        n++;
    return n;
}

static void an_empty_one_holds_nothing(void **state)
{
    init(4, 1000, 0);
    assert_int_equal(h.count, 0);
    assert_int_equal(history_first_seq(&h), 1);
    assert_int_equal(h.next_seq, 1);
}

static void seqs_count_up_from_one(void **state)
{
    init(4, 1000, 0);
    add(1);
    add(1);
    assert_int_equal(history_at(&h, 1)->seq, 1);
    assert_int_equal(history_at(&h, 2)->seq, 2);
    assert_int_equal(h.next_seq, 3);
}

static void messages_get_the_epoch(void **state)
{
    init(4, 1000, 0);
    add(1);
    assert_int_equal(history_at(&h, 1)->epoch, h.epoch);
    assert_int_not_equal(h.epoch, 0);
}

static void histories_have_epochs_of_their_own(void **state)
{
    const struct history_bounds bounds = {4, 1000, 0};
    struct history other;

    init(4, 1000, 0);
    history_init(&other, &bounds);
    assert_int_not_equal(other.epoch, h.epoch);
    history_fini(&other);
}

static void it_is_bounded_by_messages(void **state)
{
    init(3, 1000, 0);
    for (int i = 0; i < 10; i++)
        add(1);
    assert_int_equal(h.count, 3);
    assert_int_equal(history_first_seq(&h), 8);
    assert_int_equal(history_at(&h, 8)->seq, 8);
    assert_int_equal(history_at(&h, 10)->seq, 10);
}

static void append_reports_what_was_evicted(void **state)
{
    init(2, 1000, 0);
    add(1);
    add(1);
    assert_null(evicted);
    add(1);
    assert_int_equal(evicted->seq, 1);
    add(1);
    assert_int_equal(count_evicted(), 2);
}

static void it_is_bounded_by_bytes(void **state)
{
    init(100, 250, 0);
    for (int i = 0; i < 5; i++)
        add(100);
    assert_int_equal(h.count, 2);
    assert_int_equal(h.bytes, 200);
}

static void bytes_are_held_up_to_the_bound_itself(void **state)
{
    init(100, 300, 0);
    for (int i = 0; i < 5; i++)
        add(100);
    assert_int_equal(h.bytes, 300);
}

static void the_newest_is_held_whatever_its_size(void **state)
{
    init(100, 250, 0);
    add(100);
    add(1000);
    assert_int_equal(h.count, 1);
    assert_int_equal(history_at(&h, 2)->len, 1000);
    add(1);
    assert_int_equal(h.count, 1);
    assert_int_equal(h.bytes, 1);
}

static void a_bound_of_no_messages_holds_the_newest(void **state)
{
    init(0, 0, 0);
    add(1);
    add(1);
    assert_int_equal(h.count, 1);
    assert_int_equal(history_at(&h, 2)->seq, 2);
}

static void it_is_bounded_by_age(void **state)
{
    init(100, 1000, 1000000);
    add(1);
    clock_advance(600000);
    add(1);
    history_expire(&h, clock_now_us() + 399999, &evicted);
    assert_int_equal(h.count, 2);
    history_expire(&h, clock_now_us() + 400000, &evicted);
    assert_int_equal(h.count, 1);
    assert_int_equal(evicted->seq, 1);
}

static void age_is_looked_at_by_appends(void **state)
{
    init(100, 1000, 1000000);
    add(1);
    clock_advance(1000000);
    add(1);
    assert_int_equal(h.count, 1);
    assert_int_equal(history_first_seq(&h), 2);
}

static void age_may_leave_nothing(void **state)
{
    init(100, 1000, 1000000);
    add(1);
    history_expire(&h, clock_now_us() + 1000000, &evicted);
    assert_int_equal(h.count, 0);
    assert_int_equal(history_first_seq(&h), 2);
    assert_int_equal(h.bytes, 0);
}

static void without_an_age_bound_nothing_expires(void **state)
{
    init(100, 1000, 0);
    add(1);
    history_expire(&h, UINT64_MAX, &evicted);
    assert_int_equal(h.count, 1);
}

static void it_grows_and_keeps_order(void **state)
{
    init(1000, 10000, 0);
    for (int i = 0; i < 1000; i++)
        add(1);
    for (uint64_t seq = 1; seq <= 1000; seq++)
        assert_int_equal(history_at(&h, seq)->seq, seq);
}

static void a_ring_that_wrapped_grows_in_order(void **state)
{
    init(3, 10000, 0);
    for (int i = 0; i < 6; i++)
        add(1);
    h.bounds.messages = 50;
    for (int i = 0; i < 20; i++)
        add(1);
    assert_int_equal(h.count, 23);
    for (uint64_t seq = history_first_seq(&h); seq < h.next_seq; seq++)
        assert_int_equal(history_at(&h, seq)->seq, seq);
}

static void narrower_bounds_hold_from_the_next_append(void **state)
{
    init(100, 1000, 0);
    for (int i = 0; i < 50; i++)
        add(1);
    h.bounds.messages = 5;
    add(1);
    assert_int_equal(h.count, 5);
    assert_int_equal(count_evicted(), 46);
}

static void few_messages_take_few_slots(void **state)
{
    init(100000, 10000, 0);
    add(1);
    assert_true(h.cap <= 4);
}

static void without_memory_the_message_stays_the_callers(void **state)
{
    const struct message_parts parts = {.data = STR("x")};
    struct message *m;

    init(100, 1000, 0);
    for (int i = 0; i < 4; i++)
        add(1);
    m = message_new(&parts);
    memory_fails_at(1);
    assert_int_equal(history_append(&h, m, &evicted), -ENOMEM);
    assert_true(memory_ran_out());
    assert_int_equal(h.count, 4);
    assert_int_equal(h.next_seq, 5);
    assert_int_equal(history_append(&h, m, &evicted), 0);
    assert_int_equal(m->seq, 5);
}

static void add_aside(void)
{
    struct message *m = message_new(&(struct message_parts){.data = STR("x")});

    m->aside = true;
    assert_int_equal(history_append(&h, m, &evicted), 0);
}

static void what_is_aside_is_never_the_newest(void **state)
{
    init(4, 1000, 0);
    add_aside();
    assert_null(history_newest(&h));
    add(1);
    add_aside();
    assert_int_equal(history_newest(&h)->seq, 2);
    assert_int_equal(h.newest_seq, 2);
}

static void a_newest_that_is_gone_is_none(void **state)
{
    init(2, 1000, 0);
    add(1);
    add_aside();
    assert_int_equal(history_newest(&h)->seq, 1);
    add_aside();
    assert_null(history_newest(&h));
    assert_int_equal(h.newest_seq, 1);
}

#define CASE(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_empty_one_holds_nothing),
        CASE(seqs_count_up_from_one),
        CASE(messages_get_the_epoch),
        CASE(histories_have_epochs_of_their_own),
        CASE(it_is_bounded_by_messages),
        CASE(append_reports_what_was_evicted),
        CASE(it_is_bounded_by_bytes),
        CASE(what_is_aside_is_never_the_newest),
        CASE(a_newest_that_is_gone_is_none),
        CASE(bytes_are_held_up_to_the_bound_itself),
        CASE(the_newest_is_held_whatever_its_size),
        CASE(a_bound_of_no_messages_holds_the_newest),
        CASE(it_is_bounded_by_age),
        CASE(age_is_looked_at_by_appends),
        CASE(age_may_leave_nothing),
        CASE(without_an_age_bound_nothing_expires),
        CASE(it_grows_and_keeps_order),
        CASE(a_ring_that_wrapped_grows_in_order),
        CASE(narrower_bounds_hold_from_the_next_append),
        CASE(few_messages_take_few_slots),
        CASE(without_memory_the_message_stays_the_callers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
