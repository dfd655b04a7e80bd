/* The hub between threads: publishers append, workers read, readers come and
 * go, channels are deleted; each reader sees every message once, in order.
 * Worth most under TSan. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "hub/encoding.h"
#include "hub/reader.h"
#include "hub_places.h"

#define PUBLISHERS 2
#define LASTING    2    /* channels that stay; one more is deleted at times */
#define CHANNELS   (LASTING + 1)
#define FLEETING   LASTING
#define MESSAGES   8000 /* of each publisher to each channel */
#define TOTAL      (PUBLISHERS * MESSAGES)
#define READERS    12   /* of each worker on each channel */
#define DELETIONS  100
#define STEPS      5000 /* messages that are sent once all have the last one */

static const struct history_bounds bounds = {2 * TOTAL, 1 << 30, 0};
static const char *const names[CHANNELS] = {"one", "two", "fleeting"};
static const struct cursor from_oldest = {.kind = CURSOR_OLDEST};
static const struct cursor from_now = {.kind = CURSOR_NOW};

struct listener {
    struct reader reader; /* first */
    struct place *place;
    unsigned channel;
    bool steady;          /* never leaves by itself: only wake-ups help it */
    uint64_t epoch, want; /* the seq that has to come next */
};

static atomic_uint delivered, ends;

static struct listener *listeners_of(const struct place *p)
{
    return p->own;
}

/* ---- readers --------------------------------------------------------------- */

static void take(struct listener *l, const struct reading *r, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct message *m = r->messages[i];

        expect(m->seq == l->want, "a message is missing, or came twice");
        expect(m->epoch == l->epoch, "a message is of another epoch");
        expect(message_wire(m, WIRE_SSE) != NULL, "no memory");
        l->want = m->seq + 1;
    }
    atomic_fetch_add(&delivered, n);
}

/* At times it takes only a part, as a full socket does. */
static void drain(struct listener *l)
{
    struct reading r;
    unsigned n;

    do {
        reader_read(&l->reader, &r);
        expect(r.missed == 0, "a gap where everything is held");
        n = r.count > 1 && roll(l->place, 4) == 0 ? r.count / 2 : r.count;
        take(l, &r, n);
        reader_advance(&l->reader, &r, n);
        reading_done(&r);
    } while (n > 0 && !reader_dry(&l->reader));
}

static void on_ready(struct reader *r)
{
    struct listener *l = (struct listener *)r;

    drain(l);
    if (!l->steady && !atomic_load(&quiet) && roll(l->place, 50) == 0)
        reader_leave(r);
}

static void on_behind(struct reader *r)
{
    expect(false, "nobody is blocked");
}

static void on_ended(struct reader *r)
{
    expect(((struct listener *)r)->channel == FLEETING,
           "a lasting channel has ended");
    atomic_fetch_add(&ends, 1);
    reader_leave(r);
}

static const struct reader_ops listener_ops = {on_ready, on_behind, on_ended, NULL};

/* Goes on where it was; on a channel of the same name from its start. */
static void join(struct listener *l)
{
    struct channel *c;
    struct channel_status status;
    struct cursor cursor = from_oldest;
    struct gap gap;
    int rc;

    if (hub_channel(&hub, str_of(names[l->channel]), &bounds, &c) < 0)
        return;
    channel_status(c, &status);
    if (status.epoch == l->epoch)
        cursor = (struct cursor){CURSOR_ID, l->epoch, l->want - 1};
    else
        l->want = 1;
    l->epoch = status.epoch;
    rc = reader_join(&l->reader, &listener_ops, c, l->place->index, cursor,
                     from_now, &gap);
    expect(rc == 0 || (rc == -ESTALE && l->channel == FLEETING),
           "a place that is held was not found");
    channel_unref(&c);
    if (rc == 0)
        drain(l);
    else
        l->epoch = 0;
}

static void come_and_go(struct place *p)
{
    for (unsigned i = 0; i < READERS * CHANNELS; i++) {
        struct listener *l = &listeners_of(p)[i];

        if (!reader_joined(&l->reader))
            join(l);
        else if (!l->steady && !atomic_load(&quiet) && roll(p, 20) == 0)
            reader_leave(&l->reader);
    }
}

/* ---- workers --------------------------------------------------------------- */

static bool has_all(const struct place *p)
{
    for (unsigned i = 0; i < READERS * CHANNELS; i++)
        if (listeners_of(p)[i].channel != FLEETING &&
            listeners_of(p)[i].want != TOTAL + 1)
            return false;
    return true;
}

static void *work(void *arg)
{
    struct place *p = arg;
    bool woken = true;

    while (!atomic_load(&quiet)) {
        come_and_go(p);
        wait_ms(p, 1);
        run_notes(p);
    }
    come_and_go(p); /* for the last time: now only notes help */
    while (woken && !has_all(p)) {
        woken = wait_ms(p, PATIENCE_S * 1000);
        run_notes(p);
    }
    expect(woken, "a wake-up was lost");
    for (unsigned i = 0; i < READERS * CHANNELS; i++)
        reader_leave(&listeners_of(p)[i].reader);
    run_notes(p);
    return NULL;
}

/* ---- publishers and who deletes -------------------------------------------- */

static unsigned publish(unsigned channel, unsigned n)
{
    struct message *batch[8];
    const struct message_parts parts = {.data = STR("hello")};
    struct channel *c;
    int rc;

    if (hub_channel(&hub, str_of(names[channel]), &bounds, &c) < 0)
        return 0;
    for (unsigned i = 0; i < n; i++)
        batch[i] = message_new(&parts);
    rc = channel_append(c, batch, n, NULL);
    expect(rc == 0 || (rc == -ESTALE && channel == FLEETING),
           "a lasting channel takes no messages");
    channel_unref(&c);
    return n;
}

static void *publish_all(void *arg)
{
    const struct timespec pause = {0, 50000};
    unsigned done[CHANNELS] = {0}, n = 0;

    for (bool more = true; more;) {
        more = false;
        for (unsigned i = 0; i < CHANNELS; i++) {
            n = n % 7 + 1;
            if (n > MESSAGES - done[i])
                n = MESSAGES - done[i];
            if (n > 0)
                done[i] += publish(i, n);
            more |= done[i] < MESSAGES;
        }
        nanosleep(&pause, NULL); /* so that there are many wake-ups */
    }
    return NULL;
}

static void *delete_at_times(void *arg)
{
    const struct timespec pause = {0, 2000000};

    for (unsigned i = 0; i < DELETIONS; i++) {
        hub_delete(&hub, str_of(names[FLEETING]));
        hub_sweep(&hub, 1, 1);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

/* ---- the test -------------------------------------------------------------- */

static void start_place(unsigned index, void *(*run)(void *))
{
    struct listener *listeners = calloc(READERS * CHANNELS, sizeof(*listeners));

    for (unsigned i = 0; i < READERS * CHANNELS; i++)
        listeners[i] = (struct listener){
            .place = &places[index], .channel = i % CHANNELS,
            .steady = i / CHANNELS % 2 == 0, .want = 1,
        };
    place_start(index, run, listeners);
}

static void end_places(void)
{
    places_end();
    for (unsigned i = 0; i < WORKERS; i++)
        free(places[i].own);
}

static void every_reader_sees_every_message_once_and_in_order(void **state)
{
    pthread_t publishers[PUBLISHERS], deleter;

    hub_init(&hub, WORKERS, 100, post, NULL);
    for (unsigned i = 0; i < WORKERS; i++)
        start_place(i, work);
    for (unsigned i = 0; i < PUBLISHERS; i++)
        pthread_create(&publishers[i], NULL, publish_all, NULL);
    pthread_create(&deleter, NULL, delete_at_times, NULL);
    for (unsigned i = 0; i < PUBLISHERS; i++)
        pthread_join(publishers[i], NULL);
    pthread_join(deleter, NULL);
    end_places();
    hub_fini(&hub);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_true(atomic_load(&delivered) >= WORKERS * READERS * LASTING * TOTAL);
    assert_true(atomic_load(&ends) > 0);
}

/* ---- in step --------------------------------------------------------------- */

/* Each message is appended as soon as the one before is had by all, which is
 * when workers are about to wait: here one lost wake-up is the end. */
static void *wait_only(void *arg)
{
    struct place *p = arg;

    for (unsigned i = 0; i < READERS; i++) {
        listeners_of(p)[i * CHANNELS].steady = true;
        join(&listeners_of(p)[i * CHANNELS]);
    }
    while (!atomic_load(&quiet)) {
        wait_ms(p, PATIENCE_S * 1000);
        run_notes(p);
    }
    for (unsigned i = 0; i < READERS; i++)
        reader_leave(&listeners_of(p)[i * CHANNELS].reader);
    return NULL;
}

static bool await_delivered(unsigned n)
{
    time_t until = time(NULL) + PATIENCE_S;

    while (atomic_load(&delivered) < n)
        if (time(NULL) > until)
            return false;
        else
            sched_yield();
    return true;
}

static void a_worker_that_goes_to_wait_hears_of_the_next_message(void **state)
{
    bool heard = true;

    hub_init(&hub, WORKERS, 100, post, NULL);
    atomic_store(&quiet, false);
    atomic_store(&delivered, 0);
    for (unsigned i = 0; i < WORKERS; i++)
        start_place(i, wait_only);
    for (unsigned i = 1; heard && i <= STEPS; i++) {
        publish(0, 1);
        heard = await_delivered(i * WORKERS * READERS);
    }
    end_places();
    hub_fini(&hub);
    assert_true(heard);
    assert_int_equal(atomic_load(&wrong), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_reader_sees_every_message_once_and_in_order),
        cmocka_unit_test(a_worker_that_goes_to_wait_hears_of_the_next_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
