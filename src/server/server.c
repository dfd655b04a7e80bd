#include "server/server.h"

#include <config.h>

#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/jitter.h"
#include "base/meter.h"
#include "feed/source.h"
#include "http/accesslog.h"
#include "http/http1.h"
#include "http/refusal.h"
#include "modules.h"
#include "net/address.h"
#include "net/listener.h"
#include "proxy/backend.h"
#include "server/drain.h"
#include "server/throttle.h"

/* Descriptors that are not clients': listeners, logs, event loops, backends. */
#define DESCRIPTORS_KEPT 128
#define SWEEP_S          1
/* A channel that holds nothing and that nobody reads is forgotten after this;
 * its ids are then of no use any more. */
#define CHANNEL_IDLE_US  (60 * UINT64_C(1000000))

struct history_bounds server_bounds(const struct route *r)
{
    return (struct history_bounds){
        .messages = r->history.messages,
        .bytes = r->history.bytes,
        .age_us = r->history.age_ms * 1000,
    };
}

/* ---- accepting ----------------------------------------------------------------- */

static void on_client_closed(const struct service *s, void *guest)
{
    struct server_worker *part = s->arg;

    guests_leave(&part->server->guests, guest);
    atomic_fetch_sub(&part->server->clients, 1);
}

static void refuse_client(int fd, const char *limit)
{
    meter_add(METER_connections_refused, 1);
    log_warn_limited("client.refused", "reason=%s", limit);
    refusal_send(fd, (unsigned)jitter_between(RETRY_LEAST_S, RETRY_MOST_S),
                 "there are as many connections as may be: try again later");
}

/* The limit that one more client would be over, or NULL.  Counts it; *guest is
 * for on_client_closed(). */
static const char *admit(struct server_worker *part, int fd,
                         struct guest **guest)
{
    struct server *s = part->server;
    unsigned per_address = part->config->limits.per_address;
    struct address who;

    *guest = NULL;
    if (atomic_fetch_add(&s->clients, 1) >= s->clients_max) {
        atomic_fetch_sub(&s->clients, 1);
        return "limits.connections";
    }
    if (per_address == 0 || !address_of_peer(fd, &who) ||
        guests_enter(&s->guests, &who, per_address, guest) != -EBUSY)
        return NULL;
    atomic_fetch_sub(&s->clients, 1);
    return "limits.per_address";
}

static void accept_client(void *arg, int fd)
{
    struct server_worker *part = arg;
    struct guest *guest;
    const char *limit = admit(part, fd, &guest);

    if (limit != NULL)
        refuse_client(fd, limit);
    else if (http1_accept(fd, &part->http, guest) < 0)
        on_client_closed(&part->http, guest);
}

static void accept_admin(void *arg, int fd)
{
    http1_accept(fd, &((struct server_worker *)arg)->admin, NULL);
}

/* Connections to backends that are kept for later are what every worker can
 * spare. */
static void on_starved(void *arg)
{
    struct server *s = ((struct server_worker *)arg)->server;

    for (unsigned i = 0; i < s->worker_count; i++)
        if (!atomic_exchange(&s->parts[i].spare_due, true))
            worker_post(s->workers[i], &s->parts[i].spare_note);
}

static void log_listen_failed(const struct config_address *a, int error)
{
    errno = error;
    log_error("listen.failed", "address=%s error=\"%m\"", a->text);
}

/* One listening socket of one worker.  0 or -1; port 0 becomes the one had. */
static int listen_on(struct server_worker *part, const struct config_address *a,
                     uint16_t *port, listener_accept_fn *accept)
{
    int fd = listener_bind(a->host, port);
    struct listener *l;

    if (fd < 0) {
        log_listen_failed(a, -fd);
        return -1;
    }
    l = listener_new(part->worker, fd, accept, on_starved, part);
    if (l == NULL) {
        close(fd);
        return -1;
    }
    if (accept == accept_client)
        listener_set_rate(l, &part->accept_rate, &part->accept_bucket);
    part->listeners[part->listener_count++] = l;
    return 0;
}

static void log_listen(const struct config_address *a, uint16_t port,
                       const char *kind)
{
    const char *host = a->host != NULL ? a->host : "*";
    bool v6 = strchr(host, ':') != NULL;

    log_info("listen", v6 ? "address=[%s]:%u kind=%s" : "address=%s:%u kind=%s",
             host, port, kind);
}

/* Whether nobody listens there already.  All are asked before any is taken:
 * ours may share a port. */
static bool are_free(const struct config_address *a, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int rc = listener_probe(a[i].host, a[i].port);

        if (rc < 0) {
            log_listen_failed(&a[i], -rc);
            return false;
        }
    }
    return true;
}

static int open_listeners(struct server *s)
{
    if (!are_free(s->config->listen, s->config->listen_count) ||
        (s->config->admin != NULL && !are_free(s->config->admin, 1)))
        return -1;
    for (unsigned i = 0; i < s->config->listen_count; i++) {
        const struct config_address *a = &s->config->listen[i];
        uint16_t port = a->port;

        for (unsigned k = 0; k < s->worker_count; k++)
            if (listen_on(&s->parts[k], a, &port, accept_client) < 0)
                return -1;
        log_listen(a, port, "http");
    }
    if (s->config->admin != NULL) {
        uint16_t port = s->config->admin->port;

        if (listen_on(&s->parts[0], s->config->admin, &port, accept_admin) < 0)
            return -1;
        log_listen(s->config->admin, port, "admin");
    }
    return 0;
}

static void close_listeners(struct server_worker *part)
{
    while (part->listener_count > 0)
        listener_free(part->listeners[--part->listener_count]);
}

/* ---- the parts ----------------------------------------------------------------- */

static void set_limits(struct service *s, const struct config *c)
{
    s->head = (struct head_limits){
        .head_bytes = c->limits.head_bytes,
        .fields = c->limits.fields,
        .target_bytes = c->limits.target_bytes,
    };
    s->head_ms = c->limits.head_ms;
    s->idle_ms = c->limits.idle_ms;
    s->body_ms = c->limits.write_ms;
    s->write_ms = c->limits.write_ms;
}

/* Connections spread over the workers, and so does the rate.  A tenth of a
 * second's worth may come at once. */
static void set_accept_rate(struct server_worker *part)
{
    part->accept_rate = (struct rate){
        .interval_us = part->config->limits.accept.interval_us *
                       part->server->worker_count,
        .slack_us = 100000,
    };
}

static struct server_worker *of_note(struct note *n, size_t offset)
{
    return (struct server_worker *)((char *)n - offset);
}

/* A channel with a source that always runs needs no reader. */
static void start_always(struct server_worker *part, const struct route *r)
{
    struct history_bounds bounds = server_bounds(r);
    struct channel *c;

    if (r->channel_text == NULL || r->source.when != WHEN_ALWAYS)
        return;
    if (hub_channel(&part->server->hub, str_of(r->channel_text), &bounds,
                    &c) < 0) {
        log_error("source.failed", "channel=%s reason=\"no room\"",
                  r->channel_text);
        return;
    }
    source_ensure(c, &part->config->snapshot, &r->source,
                  str_of(r->source.path));
    channel_unref(&c);
}

static void begin_part(struct note *n)
{
    struct server_worker *part =
        of_note(n, offsetof(struct server_worker, begin_note));

    for (unsigned i = 0; i < part->config->route_count; i++)
        start_always(part, &part->config->routes[i]);
}

/* With a reference for the caller: another reload may drop next's own. */
static struct config *next_config(struct server *s)
{
    struct config *next;

    pthread_mutex_lock(&s->next_lock);
    next = config_ref(s->next);
    pthread_mutex_unlock(&s->next_lock);
    return next;
}

static void reload_part(struct note *n)
{
    struct server_worker *part =
        of_note(n, offsetof(struct server_worker, reload_note));
    struct config *next;

    /* First: what is reloaded from here on posts the note again. */
    atomic_store(&part->reload_due, false);
    next = next_config(part->server);
    config_unref(&part->config);
    part->config = next;
    set_limits(&part->http, next);
    set_limits(&part->admin, next);
    set_accept_rate(part);
    if (part == part->server->parts)
        begin_part(&part->begin_note);
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

    close_listeners(part);
    drain_part(part);
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
    part->worker->thread_end = accesslog_thread_end;
    part->config = config_ref(s->config);
    part->http = (struct service){
        .dispatch = serve_client,
        .closed = on_client_closed,
        .arg = part,
        .readers = &part->readers,
    };
    LIST_INIT(&part->readers);
    leaving_init(&part->leaving, part->worker);
    part->admin = (struct service){
        .dispatch = serve_admin,
        .arg = part,
        .readers = &part->readers,
    };
    set_limits(&part->http, s->config);
    set_limits(&part->admin, s->config);
    set_accept_rate(part);
    part->begin_note.run = begin_part;
    part->reload_note.run = reload_part;
    part->spare_note.run = spare_part;
    part->drain_note.run = drain_note;
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

static unsigned clients_max(const struct config *c, unsigned descriptors)
{
    unsigned most = descriptors > 2 * DESCRIPTORS_KEPT
                        ? descriptors - DESCRIPTORS_KEPT
                        : descriptors / 2;

    return c->limits.connections == 0 || c->limits.connections > most
               ? most
               : c->limits.connections;
}

static void apply_logging(const struct config *c)
{
    log_setup(c->log.level, STDERR_FILENO);
    accesslog_setup((enum access_log_form)c->log.access);
}

static int server_init(struct server *s, struct config *config)
{
    unsigned descriptors = raise_descriptors();

    *s = (struct server){.config = config_ref(config)};
    pthread_mutex_init(&s->next_lock, NULL);
    apply_logging(config);
    s->started_us = clock_now_us();
    s->descriptors = descriptors;
    s->clients_max = clients_max(config, descriptors);
    s->worker_count = config->workers > 0 ? config->workers : count_cores();
    log_info("start", "version=%s workers=%u descriptors=%u connections=%u",
             PACKAGE_VERSION, s->worker_count, descriptors, s->clients_max);
    hub_init(&s->hub, s->worker_count, config->limits.channels, post_to_part,
             s);
    guests_init(&s->guests);
    s->throttle = throttle_new();
    s->parts = calloc(s->worker_count, sizeof(*s->parts));
    s->workers = calloc(s->worker_count, sizeof(*s->workers));
    if (s->parts == NULL || s->workers == NULL || s->throttle == NULL)
        return -1;
    for (unsigned i = 0; i < s->worker_count; i++)
        if (make_part(s, i) < 0)
            return -1;
    source_setup(modules_sources, s->workers, s->worker_count);
    return open_listeners(s);
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
        close_listeners(&s->parts[i]);
        if (s->parts[i].worker != NULL)
            worker_free(s->parts[i].worker);
        config_unref(&s->parts[i].config);
    }
    source_fini();
    hub_fini(&s->hub);
    config_unref(&s->next);
    config_unref(&s->config);
    pthread_mutex_destroy(&s->next_lock);
    guests_fini(&s->guests);
    throttle_free(s->throttle);
    free(s->parts);
    free(s->workers);
    accesslog_flush();
}

/* ---- signals --------------------------------------------------------------------- */

static void set_bounds(struct channel *c, void *arg)
{
    const struct route *r = config_route_of_channel(arg, str_of(c->name), NULL);
    struct history_bounds bounds;

    if (r == NULL)
        return;
    bounds = server_bounds(r);
    channel_set_bounds(c, &bounds);
}

static void warn_of_fixed(const struct config *old, const struct config *new)
{
    bool same = old->listen_count == new->listen_count &&
                old->workers == new->workers;

    for (unsigned i = 0; same && i < old->listen_count; i++)
        same = strcmp(old->listen[i].text, new->listen[i].text) == 0;
    if (!same)
        log_warn("reload", "listen=kept reason=\"listen and workers change "
                           "with a restart only\"");
}

/* A note is in a mailbox once: a worker that has not yet come to the last
 * reload gets this one with it. */
static void hand_out(struct server *s, struct config *next)
{
    pthread_mutex_lock(&s->next_lock);
    config_unref(&s->next);
    s->next = config_ref(next);
    pthread_mutex_unlock(&s->next_lock);
    for (unsigned i = 0; i < s->worker_count; i++)
        if (!atomic_exchange(&s->parts[i].reload_due, true))
            worker_post(s->workers[i], &s->parts[i].reload_note);
}

static void reload(struct server *s)
{
    struct buffer errors = {0};
    struct config *next = NULL;

    if (config_load(&next, s->config->file, &errors) < 0) {
        log_error("reload.failed", "file=%s config=unchanged", s->config->file);
        if (errors.len > 0 && write(STDERR_FILENO, errors.data, errors.len) < 0)
            log_debug("reload.failed", "error=\"%m\"");
        buffer_fini(&errors);
        return;
    }
    buffer_fini(&errors);
    warn_of_fixed(s->config, next);
    apply_logging(next);
    hub_each(&s->hub, set_bounds, next);
    atomic_store(&s->clients_max, clients_max(next, s->descriptors));
    hand_out(s, next);
    config_unref(&s->config);
    s->config = next;
    log_info("reload", "file=%s routes=%u", next->file, next->route_count);
}

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
            reload(arg);
        else
            terminate(arg, (int)info.ssi_signo);
    }
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
    hub_sweep(&((struct server *)arg)->hub, clock_now_us(), CHANNEL_IDLE_US);
}

/* What the main thread waits for.  Signals are read, not handled: what is done
 * then needs no care for what it interrupts. */
struct watch {
    struct event_base *base;
    struct event *signals, *sweep;
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

/* From here on a second signal ends us at once. */
static void watch_fini(struct watch *w)
{
    pthread_sigmask(SIG_UNBLOCK, &w->set, NULL);
    if (w->signals != NULL)
        event_free(w->signals);
    if (w->sweep != NULL)
        event_free(w->sweep);
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
        rc = start_workers(&s);
    while (rc == 0 && !atomic_load(&s.draining))
        event_base_loop(watch.base, EVLOOP_ONCE);
    watch_fini(&watch);
    server_fini(&s);
    if (rc == 0)
        log_info("stop", "reason=drained");
    return rc;
}
