/* hub_world.h - a hub whose workers are mailboxes that the test empties by
 * hand, and readers that write down what they are told. */
#ifndef PENSTOCK_TESTS_HUB_WORLD_H
#define PENSTOCK_TESTS_HUB_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/clock.h"
#include "hub/hub.h"
#include "hub/reader.h"

#define WORLD_WORKERS  4
#define WORLD_START_US UINT64_C(1000000000)

struct world {
    struct hub hub;
    struct mailbox boxes[WORLD_WORKERS];
    unsigned posts;
};

static const struct history_bounds world_bounds = {
    .messages = 8, .bytes = 1 << 20,
};
static const struct cursor from_now = {.kind = CURSOR_NOW};
static const struct cursor from_oldest = {.kind = CURSOR_OLDEST};
static const struct cursor no_cursor = {.kind = CURSOR_NONE};

static void world_post(void *arg, unsigned worker, struct note *note)
{
    struct world *w = arg;

    w->posts++;
    mailbox_put(&w->boxes[worker], note);
}

/* Runs the notes that a worker has now; not what they post.  Returns how
 * many. */
static inline unsigned world_run_once(struct world *w, unsigned worker)
{
    unsigned n = 0;

    for (struct note *note = mailbox_take(&w->boxes[worker]), *next;
         note != NULL; note = next, n++) {
        next = note->next;
        note->run(note);
    }
    return n;
}

/* Runs all workers until none has a note. */
static inline void world_run(struct world *w)
{
    unsigned ran;

    do {
        ran = 0;
        for (unsigned i = 0; i < WORLD_WORKERS; i++)
            ran += world_run_once(w, i);
    } while (ran > 0);
}

/* For cmocka's setup and teardown: *state is the world. */
static inline int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    clock_stop_at(WORLD_START_US);
    hub_init(&w->hub, WORLD_WORKERS, 100, world_post, w);
    *state = w;
    return 0;
}

static inline int world_teardown(void **state)
{
    struct world *w = *state;

    world_run(w);
    hub_fini(&w->hub);
    free(w);
    clock_stop_at(0);
    return 0;
}

static inline struct channel *world_channel(struct world *w,
                                            const struct history_bounds *b)
{
    struct channel *c = NULL;

    assert_int_equal(hub_channel(&w->hub, STR("news"), b, &c), 0);
    return c;
}

static inline struct message *text_message(struct str text)
{
    const struct message_parts parts = {
        .data = text, .content_type = STR("text/plain"),
    };
    struct message *m = message_new(&parts);

    assert_non_null(m);
    return m;
}

/* Publishes n messages whose data is their seq in decimal. */
static inline void publish(struct channel *c, unsigned n)
{
    while (n-- > 0) {
        struct channel_status status;
        struct message *m;
        char text[24];

        channel_status(c, &status);
        snprintf(text, sizeof(text), "%llu",
                 (unsigned long long)status.next_seq);
        m = text_message(str_of(text));
        assert_int_equal(channel_append(c, &m, 1, NULL), 0);
    }
}

/* A reader that takes all it can each time it is ready. */
struct witness {
    struct reader reader; /* first */
    uint64_t seen[64];    /* seqs, the first of them */
    unsigned count;
    unsigned readies, behinds, endeds;
    uint64_t missed;
    struct gap gap;
};

static inline void witness_read(struct witness *w)
{
    struct reading reading;

    do {
        reader_read(&w->reader, &reading);
        if (reading.missed > 0) {
            w->missed += reading.missed;
            w->gap = reading.gap;
        }
        for (unsigned i = 0; i < reading.count; i++, w->count++)
            if (w->count < 64)
                w->seen[w->count] = reading.messages[i]->seq;
        reader_advance(&w->reader, &reading, reading.count);
        reading_done(&reading);
    } while (reading.count > 0 && !reader_dry(&w->reader));
}

static void witness_ready(struct reader *r)
{
    ((struct witness *)r)->readies++;
    witness_read((struct witness *)r);
}

static void witness_behind(struct reader *r)
{
    ((struct witness *)r)->behinds++;
}

static void witness_ended(struct reader *r)
{
    ((struct witness *)r)->endeds++;
    reader_leave(r);
}

static const struct reader_ops witness_ops = {witness_ready, witness_behind,
                                              witness_ended, NULL};

static inline int witness_join(struct witness *w, struct channel *c,
                               struct cursor cursor)
{
    return reader_join(&w->reader, &witness_ops, c, 0, cursor, from_now,
                       &w->gap);
}

#endif
