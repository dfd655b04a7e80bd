/* hub_places.h - for tests of the hub between threads: a few workers, each a
 * thread with a mailbox, as far as the hub needs them. */
#ifndef PENSTOCK_TESTS_HUB_PLACES_H
#define PENSTOCK_TESTS_HUB_PLACES_H

#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "hub/hub.h"

#define WORKERS    3
#define PATIENCE_S 60 /* a wake-up that takes longer is lost */

struct place {
    pthread_t thread;
    struct mailbox box;
    sem_t wake;
    unsigned index, dice;
    void *own; /* the test's */
};

static struct hub hub;
static struct place places[WORKERS];
static atomic_bool quiet; /* all is published */
static atomic_uint wrong;

static void expect(bool fact, const char *what)
{
    if (!fact && atomic_fetch_add(&wrong, 1) == 0)
        print_error("%s\n", what);
}

static void post(void *arg, unsigned worker, struct note *note)
{
    if (mailbox_put(&places[worker].box, note))
        sem_post(&places[worker].wake);
}

static unsigned roll(struct place *p, unsigned n)
{
    p->dice = p->dice * 1103515245u + 12345u;
    return (p->dice >> 8) % n;
}

static void run_notes(struct place *p)
{
    for (struct note *n = mailbox_take(&p->box), *next; n != NULL; n = next) {
        next = n->next;
        n->run(n);
    }
}

/* Whether a note came in time. */
static bool wait_ms(struct place *p, unsigned ms)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000)
        until.tv_sec++, until.tv_nsec -= 1000000000;
    return sem_timedwait(&p->wake, &until) == 0;
}

static void place_start(unsigned index, void *(*run)(void *), void *own)
{
    struct place *p = &places[index];

    p->index = index;
    p->dice = index + 1;
    p->own = own;
    sem_init(&p->wake, 0, 0);
    pthread_create(&p->thread, NULL, run, p);
}

/* All is published: the places end by themselves. */
static void places_end(void)
{
    atomic_store(&quiet, true);
    for (unsigned i = 0; i < WORKERS; i++)
        sem_post(&places[i].wake);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(places[i].thread, NULL);
    for (unsigned i = 0; i < WORKERS; i++) {
        run_notes(&places[i]); /* what came too late */
        sem_destroy(&places[i].wake);
    }
}

#endif
