#include "server/server.h"

#include <config.h>

#include <event2/event.h>
#include <event2/thread.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/jitter.h"
#include "base/meter.h"
#include "feed/presence.h"
#include "feed/source.h"
#include "feed/stay.h"
#include "http/accesslog.h"
#include "http/alike.h"
#include "http/http1.h"
#include "http/intake.h"
#include "http/refusal.h"
#include "measure/lately.h"
#include "modules.h"
#include "net/address.h"
#include "proxy/backend.h"
#include "server/advisor.h"
#include "server/apply.h"
#include "server/drain.h"
#include "server/live.h"
#include "server/multiplex.h"
#include "server/reload.h"
#include "server/throttle.h"

/* So many clients less, and a quarter of them: memory is given back. */
#define TRIM_CLIENTS 500
#define SWEEP_S          1
/* A channel that holds nothing and that nobody reads is forgotten after this;
 * its ids are then of no use any more. */
#define CHANNEL_IDLE_US  (60 * UINT64_C(1000000))

/* ---- accepting ----------------------------------------------------------------- */

static void on_client_closed(const struct service *s, void *guest)
{
    struct server_worker *part = s->arg;

    guests_leave(&part->server->guests, guest);
    atomic_fetch_sub(&part->server->clients, 1);
}

static void refuse_client(const struct door *d, int fd, const char *limit)
{
    meter_add(METER_connections_refused, 1);
    log_warn_limited("client.refused", "reason=%s", limit);
    refusal_send(fd, d->tls,
                 (unsigned)jitter_between(RETRY_LEAST_S, RETRY_MOST_S),
                 "there are as many connections as may be: try again later");
}

/* The limit that one more client would be over, or NULL.  Counts it; *guest is
 * for on_client_closed(). */
static const char *admit(struct server_worker *part, int fd,
                         struct guest **guest)
{
    struct server *s = part->server;
    unsigned per_address = part->config->limits.per_address;
    unsigned others = atomic_fetch_add(&s->clients, 1);
    struct address who;

    *guest = NULL;
    if (others >= atomic_load_explicit(&s->clients_peak, memory_order_relaxed))
        atomic_store_explicit(&s->clients_peak, others + 1,
                              memory_order_relaxed);
    if (others >= s->clients_max) {
        atomic_fetch_sub(&s->clients, 1);
        return "limits.connections";
    }
    if (per_address == 0 || !address_of_peer(fd, &who) ||
        guests_enter(&s->guests, &who, per_address, guest) != -EBUSY)
        return NULL;
    atomic_fetch_sub(&s->clients, 1);
    return "limits.per_address";
}

void server_accept_client(void *arg, int fd)
{
    const struct door *d = arg;
    struct server_worker *part = d->part;
    struct guest *guest;
    const char *limit = admit(part, fd, &guest);

    if (limit != NULL)
        refuse_client(d, fd, limit);
    else if (http1_accept(fd, &part->http, d->tls, guest) < 0)
        on_client_closed(&part->http, guest);
}

void server_accept_admin(void *arg, int fd)
{
    const struct door *d = arg;

    http1_accept(fd, &d->part->admin, d->tls, NULL);
}

/* Connections to backends that are kept for later are what every worker can
 * spare. */
void server_starved(void *arg)
{
    struct server *s = ((const struct door *)arg)->part->server;

    for (unsigned i = 0; i < s->worker_count; i++)
        if (!atomic_exchange(&s->parts[i].spare_due, true))
            worker_post(s->workers[i], &s->parts[i].spare_note);
}

/* ---- the parts ----------------------------------------------------------------- */

static struct server_worker *of_note(struct note *n, size_t offset)
{
    return (struct server_worker *)((char *)n - offset);
}

static void begin_part(struct note *n)
{
    struct server_worker *part =
        of_note(n, offsetof(struct server_worker, begin_note));

    reload_start_sources(part);
}

static void spare_part(struct note *n)
{
    struct server_worker *part =
        of_note(n, offsetof(struct server_worker, spare_note));

    atomic_store(&part->spare_due, false);
    backend_pool_close_all();
}

static void drain_note(struct note *n)
{
    struct server_worker *part =
        of_note(n, offsetof(struct server_worker, drain_note));

    listen_close(part);
    drain_part(part);
}

static void on_thread_end(void)
{
    accesslog_thread_end();
    intake_thread_end();
    alike_thread_end();
}

static int make_part(struct server *s, unsigned index)
{
    struct server_worker *part = &s->parts[index];

    part->server = s;
    part->worker = worker_new(index, part);
    if (part->worker == NULL)
        return -1;
    s->workers[index] = part->worker;
    part->worker->round_end = accesslog_flush;
    part->worker->thread_end = on_thread_end;
    part->config = config_ref(s->config);
    part->http = (struct service){
        .dispatch = serve_client,
        .closed = on_client_closed,
        .arg = part,
        .readers = &part->readers,
    };
    LIST_INIT(&part->readers);
    LIST_INIT(&part->watchers);
    leaving_init(&part->leaving, part->worker);
    part->admin = (struct service){
        .dispatch = serve_admin,
        .arg = part,
        .readers = &part->watchers,
    };
    apply_config_part(part);
    part->begin_note.run = begin_part;
    part->spare_note.run = spare_part;
    part->drain_note.run = drain_note;
    reload_init_part(part);
    return 0;
}

static void post_to_part(void *arg, unsigned worker, struct note *note)
{
    worker_post(((struct server *)arg)->workers[worker], note);
}

/* ---- the whole ----------------------------------------------------------------- */

static unsigned count_cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > HUB_WORKERS_MAX ? HUB_WORKERS_MAX : (unsigned)n;
}

/* A descriptor is a connection: take all that the system lets us have. */
static unsigned raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 1024;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur > INT32_MAX ? INT32_MAX : (unsigned)limit.rlim_cur;
}

static int listen_all(struct server *s)
{
    if (listen_prepare(s, NULL, s->config) < 0)
        return -1;
    for (unsigned i = 0; i < s->worker_count; i++)
        listen_apply(&s->parts[i]);
    listen_done(s);
    return 0;
}

static int server_init(struct server *s, struct config *config)
{
    *s = (struct server){.config = config_ref(config), .reload_fd = -1};
    s->started_us = clock_now_us();
    s->descriptors = raise_descriptors();
    s->worker_count = config->workers > 0 ? config->workers : count_cores();
    hub_init(&s->hub, s->worker_count, config->limits.channels, post_to_part,
             s);
    s->lately = lately_new(TALLY_IDS, s->started_us);
    if (s->lately == NULL || live_init(s) < 0 || advisor_init(s) < 0)
        return -1;
    apply_config(s, config);
    log_info("start", "version=%s workers=%u descriptors=%u connections=%u",
             PACKAGE_VERSION, s->worker_count, s->descriptors, s->clients_max);
    guests_init(&s->guests);
    s->throttle = throttle_new();
    s->parts = calloc(s->worker_count, sizeof(*s->parts));
    s->workers = calloc(s->worker_count, sizeof(*s->workers));
    s->reload_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->parts == NULL || s->workers == NULL || s->throttle == NULL ||
        s->reload_fd < 0)
        return -1;
    for (unsigned i = 0; i < s->worker_count; i++)
        if (make_part(s, i) < 0)
            return -1;
    source_setup(modules_sources, s->workers, s->worker_count);
    feed_set_finder(multiplex_find);
    return listen_all(s);
}

static int start_workers(struct server *s)
{
    for (unsigned i = 0; i < s->worker_count; i++)
        if (worker_start(s->workers[i]) < 0)
            return -1;
    worker_post(s->workers[0], &s->parts[0].begin_note);
    atomic_store(&s->ready, true);
    return 0;
}

static void server_fini(struct server *s)
{
    for (unsigned i = 0; s->parts != NULL && i < s->worker_count; i++)
        if (s->parts[i].worker != NULL)
            worker_join(s->parts[i].worker);
    for (unsigned i = 0; s->parts != NULL && i < s->worker_count; i++) {
        listen_close(&s->parts[i]);
        if (s->parts[i].worker != NULL)
            worker_free(s->parts[i].worker);
        config_unref(&s->parts[i].config);
    }
    source_fini();
    presence_fini();
    stay_fini();
    live_fini(s);
    advisor_fini(s);
    lately_free(s->lately);
    hub_fini(&s->hub);
    listen_done(s);
    config_unref(&s->next);
    config_unref(&s->config);
    if (s->reload_fd >= 0)
        close(s->reload_fd);
    guests_fini(&s->guests);
    throttle_free(s->throttle);
    free(s->parts);
    free(s->workers);
    accesslog_flush();
}

/* ---- signals --------------------------------------------------------------------- */

static void terminate(struct server *s, int signal)
{
    if (atomic_exchange(&s->draining, true)) {
        log_warn("stop", "reason=\"second signal\"");
        _exit(EXIT_FAILURE);
    }
    log_info("drain", "signal=%d timeout_ms=%llu", signal,
             (unsigned long long)s->config->limits.drain_ms);
    drain_prepare(s);
    for (unsigned i = 0; i < s->worker_count; i++)
        worker_post(s->workers[i], &s->parts[i].drain_note);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    struct signalfd_siginfo info;

    while (read(fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGHUP)
            reload_begin(arg);
        else
            terminate(arg, (int)info.ssi_signo);
    }
}

static void on_reloaded(evutil_socket_t fd, short what, void *arg)
{
    reload_end(arg);
}

/* What many clients left behind when they went lies between what is in use,
 * where malloc keeps it for good. */
static void give_memory_back(struct server *s)
{
    unsigned clients = atomic_load(&s->clients);
    unsigned peak = atomic_load(&s->clients_peak);

    if (clients + TRIM_CLIENTS > peak || clients > peak / 4 * 3)
        return;
    atomic_store(&s->clients_peak, clients);
    malloc_trim(0);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    struct server *s = arg;

    live_tick(s);
    advisor_tick(s);
    hub_sweep(&s->hub, clock_now_us(), CHANNEL_IDLE_US);
    give_memory_back(s);
}

/* What the main thread waits for.  Signals are read, not handled: what is done
 * then needs no care for what it interrupts. */
struct watch {
    struct event_base *base;
    struct event *signals, *sweep, *reloaded;
    sigset_t set;
    int fd;
};

/* Before anything listens: a signal that comes while we start is not lost. */
static int watch_init(struct watch *w, struct server *s)
{
    const struct timeval every = {SWEEP_S, 0};

    *w = (struct watch){.base = event_base_new()};
    sigemptyset(&w->set);
    sigaddset(&w->set, SIGTERM);
    sigaddset(&w->set, SIGINT);
    sigaddset(&w->set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &w->set, NULL);
    w->fd = signalfd(-1, &w->set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (w->base == NULL || w->fd < 0)
        return -1;
    w->signals = event_new(w->base, w->fd, EV_READ | EV_PERSIST, on_signal, s);
    w->sweep = event_new(w->base, -1, EV_PERSIST, on_sweep, s);
    if (w->signals == NULL || event_add(w->signals, NULL) < 0 ||
        w->sweep == NULL || event_add(w->sweep, &every) < 0)
        return -1;
    return 0;
}

/* Once there is a server to be reloaded. */
static int watch_reloads(struct watch *w, struct server *s)
{
    w->reloaded = event_new(w->base, s->reload_fd, EV_READ | EV_PERSIST,
                            on_reloaded, s);
    return w->reloaded == NULL ? -1 : event_add(w->reloaded, NULL);
}

/* From here on a second signal ends us at once. */
static void watch_fini(struct watch *w)
{
    pthread_sigmask(SIG_UNBLOCK, &w->set, NULL);
    if (w->signals != NULL)
        event_free(w->signals);
    if (w->sweep != NULL)
        event_free(w->sweep);
    if (w->reloaded != NULL)
        event_free(w->reloaded);
    if (w->fd >= 0)
        close(w->fd);
    if (w->base != NULL)
        event_base_free(w->base);
}

int server_run(struct config *config)
{
    struct server s = {0};
    struct watch watch;
    int rc;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* so again when we drain: there is no reload then */
    evthread_use_pthreads();
    rc = watch_init(&watch, &s);
    if (rc == 0)
        rc = server_init(&s, config);
    if (rc == 0)
        rc = watch_reloads(&watch, &s);
    if (rc == 0)
        rc = start_workers(&s);
    while (rc == 0 && !atomic_load(&s.draining))
        event_base_loop(watch.base, EVLOOP_ONCE);
    watch_fini(&watch);
    server_fini(&s);
    if (rc == 0)
        log_info("stop", "reason=drained");
    return rc;
}
