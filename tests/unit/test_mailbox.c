/* src/base/mailbox.h */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <pthread.h>
#include <sched.h>
#include <cmocka.h>

#include "base/mailbox.h"

#define POSTERS 3
#define NOTES   5000

struct letter {
    struct note note; /* first */
    unsigned poster, number;
};

static void notes_come_out_as_they_went_in(void **state)
{
    struct mailbox box = {0};
    struct note a = {0}, b = {0}, c = {0};
    struct note *n;

    mailbox_put(&box, &a);
    mailbox_put(&box, &b);
    mailbox_put(&box, &c);
    n = mailbox_take(&box);
    assert_ptr_equal(n, &a);
    assert_ptr_equal(n->next, &b);
    assert_ptr_equal(n->next->next, &c);
    assert_null(n->next->next->next);
}

static void only_the_first_note_asks_for_a_wake_up(void **state)
{
    struct mailbox box = {0};
    struct note a = {0}, b = {0};

    assert_true(mailbox_put(&box, &a));
    assert_false(mailbox_put(&box, &b));
}

static void after_taking_the_next_one_asks_again(void **state)
{
    struct mailbox box = {0};
    struct note a = {0};

    mailbox_put(&box, &a);
    mailbox_take(&box);
    assert_true(mailbox_put(&box, &a));
}

static void an_empty_one_gives_nothing(void **state)
{
    struct mailbox box = {0};

    assert_null(mailbox_take(&box));
}

static struct mailbox shared;
static struct letter letters[POSTERS][NOTES];

static void *post(void *arg)
{
    struct letter *mine = arg;

    for (unsigned i = 0; i < NOTES; i++)
        mailbox_put(&shared, &mine[i].note);
    return NULL;
}

/* Takes until all have come; each poster's must be in order. */
static unsigned collect(void)
{
    unsigned next[POSTERS] = {0}, total = 0, wrong = 0;

    while (total < POSTERS * NOTES) {
        struct note *n = mailbox_take(&shared);

        if (n == NULL)
            sched_yield();
        for (; n != NULL; n = n->next, total++) {
            struct letter *l = (struct letter *)n;

            wrong += l->number != next[l->poster]++;
        }
    }
    return wrong;
}

static void none_is_lost_between_threads(void **state)
{
    pthread_t threads[POSTERS];

    for (unsigned i = 0; i < POSTERS; i++)
        for (unsigned k = 0; k < NOTES; k++)
            letters[i][k] = (struct letter){.poster = i, .number = k};
    for (unsigned i = 0; i < POSTERS; i++)
        pthread_create(&threads[i], NULL, post, letters[i]);
    assert_int_equal(collect(), 0);
    for (unsigned i = 0; i < POSTERS; i++)
        pthread_join(threads[i], NULL);
    assert_null(mailbox_take(&shared));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notes_come_out_as_they_went_in),
        cmocka_unit_test(only_the_first_note_asks_for_a_wake_up),
        cmocka_unit_test(after_taking_the_next_one_asks_again),
        cmocka_unit_test(an_empty_one_gives_nothing),
        cmocka_unit_test(none_is_lost_between_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
