/* src/hub/bundle.c */
#include <stdlib.h>

#include "hub/bundle.h"
#include "hub_world.h"
#include "memory.h"

#define N 3

static struct channel *news;
static struct message *messages[N];
static struct bundle *list;

static int setup(void **state)
{
    world_setup(state);
    news = world_channel(*state, &world_bounds);
    publish(news, N);
    for (unsigned i = 0; i < N; i++)
        messages[i] = history_at(&news->history, 1 + i);
    return 0;
}

static int teardown(void **state)
{
    bundle_free(&list);
    memory_fails_at(0);
    channel_unref(&news);
    return world_teardown(state);
}

/* What they would be one by one. */
static void assert_joined(struct str s, enum wire_format format, bool framed)
{
    struct buffer want = {0};

    for (unsigned i = 0; i < N; i++)
        buffer_append_str(&want,
                          wire_str(message_wire(messages[i], format), framed));
    assert_int_equal(s.n, want.len);
    assert_memory_equal(s.p, want.data, want.len);
    buffer_fini(&want);
}

static void each_format_is_one_behind_the_other(void **state)
{
    const enum wire_format formats[] = {WIRE_WS, WIRE_WS_ENVELOPE, WIRE_SSE,
                                        WIRE_SSE_NAMED};

    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < 4; i++)
            for (int framed = 0; framed < 2; framed++)
                assert_joined(bundle_of(&list, messages, N, formats[i], framed),
                              formats[i], framed);
}

static void it_is_made_once(void **state)
{
    struct str first = bundle_of(&list, messages, N, WIRE_SSE, true);

    bundle_of(&list, messages, N, WIRE_WS, true);
    assert_ptr_equal(bundle_of(&list, messages, N, WIRE_SSE, true).p, first.p);
}

static void one_message_is_a_piece_already(void **state)
{
    assert_null(bundle_of(&list, messages, 1, WIRE_WS, true).p);
    assert_null(list);
}

static void long_ones_are_not_copied(void **state)
{
    char *text = calloc(1, 64 * 1024);
    struct message *m = text_message((struct str){text, 64 * 1024});
    struct message *both[] = {messages[0], m};

    assert_null(bundle_of(&list, both, 2, WIRE_WS, true).p);
    assert_null(bundle_of(&list, both, 2, WIRE_WS, true).p);
    message_unref(&m);
    free(text);
}

static void without_memory_there_is_none(void **state)
{
    bool made = false;

    for (unsigned long at = 1; !made; at++) {
        memory_fails_at(at);
        made = bundle_of(&list, messages, N, WIRE_SSE, true).p != NULL;
        memory_fails_at(0);
        if (!made)
            bundle_free(&list);
    }
    assert_joined(bundle_of(&list, messages, N, WIRE_SSE, true), WIRE_SSE, true);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest cases[] = {
        CASE(each_format_is_one_behind_the_other),
        CASE(it_is_made_once),
        CASE(one_message_is_a_piece_already),
        CASE(long_ones_are_not_copied),
        CASE(without_memory_there_is_none),
    };

    return cmocka_run_group_tests(cases, NULL, NULL);
}
