/* worker.h - a thread with its own event loop.  What it holds (connections,
 * timers, readers) is touched by it alone; others send it notes. */
#ifndef PENSTOCK_NET_WORKER_H
#define PENSTOCK_NET_WORKER_H

#include <pthread.h>
#include <sys/queue.h>

#include "base/mailbox.h"
#include "net/poller.h"
#include "net/timer.h"

struct conn;
struct event_base;
struct evdns_base;

#define WORKER_SCRATCH (64 * 1024) /* one read(2) */

struct worker {
    unsigned index;
    struct poller poller;
    struct event_base *base;      /* the poller's: for libraries */
    struct evdns_base *dns;       /* NULL until first asked for */
    pthread_t thread;
    struct mailbox mailbox;       /* its notes run at the end of a round */
    int wake_fd;                  /* an eventfd */
    struct polled wake;
    struct wheel wheel;
    struct mailbox local;         /* notes from this worker itself */
    struct mailbox last;          /* the same, to run behind all others */
    char *scratch;                /* WORKER_SCRATCH octets for reading into */
    LIST_HEAD(, conn) conns;
    unsigned conn_count;
    void *owner;                  /* the server's part of this worker */
    void (*round_end)(void);      /* after each round of events; or NULL */
    void (*thread_end)(void);     /* as the thread ends; or NULL */
    bool stopping;
};

/* Makes a worker; its thread does not run yet.  NULL on failure. */
struct worker *worker_new(unsigned index, void *owner);
/* Starts the thread.  0 or -errno. */
int worker_start(struct worker *w);
/* Ends the loop, from the worker itself (a note). */
void worker_stop(struct worker *w);
/* Waits for the thread, if it was started. */
void worker_join(struct worker *w);
/* Runs what notes came too late, and frees.  All threads have been joined. */
void worker_free(struct worker *w);

/* Puts a note into w's mailbox.  Any thread; from w itself it costs no wake-up
 * and runs before the loop sleeps again. */
void worker_post(struct worker *w, struct note *note);

/* The same from w itself, for what is to be done once all other notes of this
 * round have run: these run in the order in which they were posted, and what has
 * closed is freed by one of them. */
void worker_post_last(struct worker *w, struct note *note);

/* Whether w, which this thread is, has notes to run before it sleeps. */
static inline bool worker_has_notes(const struct worker *w)
{
    return atomic_load_explicit(&w->local.top, memory_order_relaxed) != NULL;
}

/* The worker that this thread is; NULL in other threads. */
struct worker *worker_self(void);
/* Microseconds, monotonic. */
uint64_t worker_now_us(void);
/* The resolver, made when first asked for; NULL if that fails. */
struct evdns_base *worker_dns(struct worker *w);

/* Timers on w's wheel. */
void worker_timer_set(struct worker *w, struct timer *t, uint64_t delay_ms);
void worker_timer_clear(struct worker *w, struct timer *t);

#endif
