#include "net/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/logging.h"
#include "net/worker.h"

#define BACKLOG 4096
/* Taken in one go, so that a storm of arrivals leaves time for others. */
#define ACCEPT_MAX 64
/* After running out of descriptors: how long nothing is accepted. */
#define PAUSE_MS 100
/* What the kernel takes from us for a client and cannot send yet.  Left to
 * itself it takes up to 4 MB for each one that does not read; and whoever is
 * slow is to be known as slow while the history still has what it lacks.  Half
 * a dozen round trips of a fast link's; accepted sockets inherit it. */
#define UNSENT_MAX (128 * 1024)

struct listener {
    struct polled polled; /* first */
    struct worker *worker;
    struct timer pause;
    int fd;
    listener_accept_fn *accept;
    listener_starved_fn *starved;
    void *arg;
    const struct rate *rate; /* NULL: as many as come */
    uint64_t *bucket;
};

/* A socket bound to a, shared with others of ours or not.  The fd or -errno. */
static int bind_address(const struct addrinfo *a, bool shared)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    0);
    int one = 1, saved;

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if ((shared &&
         setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0) ||
        bind(fd, a->ai_addr, a->ai_addrlen) < 0) {
        saved = errno;
        close(fd);
        return -saved;
    }
    return fd;
}

/* fd, listening, or closed and -errno. */
static int listen_on(int fd, uint16_t *port)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof(bound);
    int unsent = UNSENT_MAX, one = 1, saved;

    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* conn.h */
    if (listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&bound, &len) < 0) {
        saved = errno;
        close(fd);
        return -saved;
    }
    *port = ntohs(bound.ss_family == AF_INET6
                      ? ((struct sockaddr_in6 *)&bound)->sin6_port
                      : ((struct sockaddr_in *)&bound)->sin_port);
    return fd;
}

static int resolve_and_bind(const char *host, uint16_t port, bool shared)
{
    const struct addrinfo hints = {
        .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
        .ai_socktype = SOCK_STREAM,
    };
    struct addrinfo *list;
    char service[8];
    int fd;

    snprintf(service, sizeof(service), "%u", port);
    if (getaddrinfo(host, service, &hints, &list) != 0)
        return -EADDRNOTAVAIL;
    fd = bind_address(list, shared);
    freeaddrinfo(list);
    return fd;
}

int listener_bind(const char *host, uint16_t *port)
{
    int fd = resolve_and_bind(host, *port, true);

    return fd < 0 ? fd : listen_on(fd, port);
}

int listener_probe(const char *host, uint16_t port)
{
    int fd = resolve_and_bind(host, port, false);

    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

static void resume(struct timer *t)
{
    struct listener *l =
        (struct listener *)((char *)t - offsetof(struct listener, pause));

    poller_set(&l->worker->poller, l->fd, &l->polled, EPOLLIN);
}

static void pause_for(struct listener *l, uint64_t ms)
{
    poller_set(&l->worker->poller, l->fd, &l->polled, 0);
    worker_timer_set(l->worker, &l->pause, ms);
}

/* Whether one more may come now; if not, it waits its time. */
static bool may_accept(struct listener *l)
{
    uint64_t wait_us;

    if (l->rate == NULL)
        return true;
    wait_us = rate_wait_us(l->rate, *l->bucket, clock_now_us());
    if (wait_us > 0)
        pause_for(l, wait_us / 1000 + 1);
    return wait_us == 0;
}

static void on_readable(struct polled *polled, uint32_t events)
{
    struct listener *l = (struct listener *)polled;

    for (int i = 0; i < ACCEPT_MAX && may_accept(l); i++) {
        int client = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (client >= 0) {
            if (l->rate != NULL)
                *l->bucket = rate_take(l->rate, *l->bucket, clock_now_us());
            l->accept(l->arg, client);
            continue;
        }
        if (errno == ECONNABORTED || errno == EINTR)
            continue;
        if (errno != EAGAIN) { /* EMFILE and the like: busy waiting is no use */
            log_warn_limited("accept.pause", "ms=%d error=\"%m\"", PAUSE_MS);
            pause_for(l, PAUSE_MS);
            l->starved(l->arg);
        }
        return;
    }
}

struct listener *listener_new(struct worker *w, int fd,
                              listener_accept_fn *accept,
                              listener_starved_fn *starved, void *arg)
{
    struct listener *l = calloc(1, sizeof(*l));

    if (l == NULL)
        return NULL;
    l->worker = w;
    l->fd = fd;
    l->accept = accept;
    l->starved = starved;
    l->arg = arg;
    l->pause.fire = resume;
    l->polled.run = on_readable;
    if (poller_add(&w->poller, fd, &l->polled, EPOLLIN) < 0) {
        free(l);
        return NULL;
    }
    return l;
}

void listener_empty(struct listener *l)
{
    int client;

    while ((client = accept4(l->fd, NULL, NULL,
                             SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        l->accept(l->arg, client);
}

void listener_set_rate(struct listener *l, const struct rate *rate,
                       uint64_t *bucket)
{
    l->rate = rate;
    l->bucket = bucket;
}

void listener_free(struct listener *l)
{
    if (l == NULL)
        return;
    worker_timer_clear(l->worker, &l->pause);
    close(l->fd);
    free(l);
}
