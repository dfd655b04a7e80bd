#include "net/worker.h"

#include <assert.h>
#include <errno.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/logging.h"
#include "base/meter.h"

/* Nearly all of a heap of glibc's, 64 MiB, in pieces that are still taken from
 * there. */
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define GLIBC_HEAP
#endif
#define HEAP_BLOCKS 500
#define HEAP_BLOCK  (120 * 1024)

static _Thread_local struct worker *self;

struct worker *worker_self(void)
{
    return self;
}

uint64_t worker_now_us(void)
{
    return clock_now_us();
}

static void run_notes(struct note *notes)
{
    while (notes != NULL) {
        struct note *next = notes->next;

        notes->run(notes);
        notes = next;
    }
}

/* Notes, and what this round of events left to do, which what closed in it is
 * part of: nothing is freed inside its own callback, nor before the others of
 * the round have run. */
static void finish_round(struct worker *w)
{
    run_notes(mailbox_take(&w->mailbox));
    run_notes(mailbox_take(&w->local));
    run_notes(mailbox_take(&w->last));
    if (w->round_end != NULL)
        w->round_end();
}

/* It has only to end the wait.  It is told of by edges, so it is never read. */
static void on_wake(struct polled *polled, uint32_t events)
{
}

struct worker *worker_new(unsigned index, void *owner)
{
    struct worker *w = calloc(1, sizeof(*w));

    if (w == NULL)
        return NULL;
    w->index = index;
    w->owner = owner;
    LIST_INIT(&w->conns);
    w->wake.run = on_wake;
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->scratch = malloc(WORKER_SCRATCH);
    wheel_init(&w->wheel, clock_now_us());
    if (poller_init(&w->poller) < 0 || w->wake_fd < 0 || w->scratch == NULL ||
        poller_add(&w->poller, w->wake_fd, &w->wake, EPOLLIN | EPOLLET) < 0)
        goto fail;
    w->base = w->poller.base;
    return w;

fail:
    worker_free(w);
    return NULL;
}

/* glibc opens up a thread's heap page by page, with a call to the kernel each
 * time, and only once for each: so all of it is opened here and given back. */
static void open_heap(void)
{
#ifdef GLIBC_HEAP
    void *blocks[HEAP_BLOCKS];

    for (int i = 0; i < HEAP_BLOCKS; i++)
        blocks[i] = malloc(HEAP_BLOCK);
    for (int i = 0; i < HEAP_BLOCKS; i++)
        free(blocks[i]);
#endif
}

static bool has_work(const struct worker *w)
{
    return w->local.top != NULL || w->last.top != NULL;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    char name[16];

    self = w;
    meter_thread_init();
    open_heap();
    snprintf(name, sizeof(name), "worker-%u", w->index);
    pthread_setname_np(pthread_self(), name);
    while (!w->stopping) {
        poller_run(&w->poller, has_work(w)
                                   ? 0
                                   : wheel_wait_ms(&w->wheel, clock_now_us()));
        wheel_turn(&w->wheel, clock_now_us());
        finish_round(w);
    }
    finish_round(w);
    if (w->thread_end != NULL)
        w->thread_end();
    return NULL;
}

int worker_start(struct worker *w)
{
    sigset_t all, old;
    int rc;

    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&w->thread, NULL, worker_main, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0)
        w->thread = 0;
    return -rc;
}

void worker_stop(struct worker *w)
{
    w->stopping = true;
}

void worker_join(struct worker *w)
{
    if (w->thread != 0)
        pthread_join(w->thread, NULL);
    w->thread = 0;
}

void worker_free(struct worker *w)
{
    struct note *late;

    while ((late = mailbox_take(&w->local)) != NULL ||
           (late = mailbox_take(&w->last)) != NULL ||
           (late = mailbox_take(&w->mailbox)) != NULL)
        run_notes(late);
    if (w->dns != NULL)
        evdns_base_free(w->dns, 0);
    poller_fini(&w->poller);
    if (w->wake_fd >= 0)
        close(w->wake_fd);
    free(w->scratch);
    free(w);
}

void worker_post(struct worker *w, struct note *note)
{
    const uint64_t one = 1;

    if (w == self) {
        mailbox_put(&w->local, note);
        return;
    }
    if (mailbox_put(&w->mailbox, note) &&
        write(w->wake_fd, &one, sizeof(one)) < 0)
        assert(errno == EAGAIN); /* the count is full: it is awake */
}

void worker_post_last(struct worker *w, struct note *note)
{
    assert(w == self);
    mailbox_put(&w->last, note);
}

struct evdns_base *worker_dns(struct worker *w)
{
    if (w->dns == NULL)
        w->dns = evdns_base_new(w->base,
                                EVDNS_BASE_INITIALIZE_NAMESERVERS |
                                    EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    return w->dns;
}

void worker_timer_set(struct worker *w, struct timer *t, uint64_t delay_ms)
{
    /* Rather late by a tick of the kernel's than early. */
    timer_set(&w->wheel, t, clock_coarse_us() + CLOCK_COARSE_US, delay_ms);
}

void worker_timer_clear(struct worker *w, struct timer *t)
{
    timer_clear(&w->wheel, t);
}
