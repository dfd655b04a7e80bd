#include "net/conn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>
#include <unistd.h>

#include "net/worker.h"

#define LINGER_MS 2000 /* a peer that still sends gets this long to stop */
#define FLUSH_MS 30000 /* one that takes none of our last words, this long */

static void on_event(evutil_socket_t fd, short what, void *arg);

/* Registers for what is wanted now; the kernel is asked only on a change. */
static void watch(struct conn *c, bool reading, bool writing)
{
    short want = (short)(EV_PERSIST | (reading ? EV_READ : 0) |
                         (writing ? EV_WRITE : 0));

    if (reading == c->reading && writing == c->writing)
        return;
    if (c->reading || c->writing)
        event_del(&c->event);
    c->reading = reading;
    c->writing = writing;
    if (!reading && !writing)
        return;
    event_assign(&c->event, c->worker->base, c->fd, want, on_event, c);
    event_add(&c->event, NULL);
}

/* Lingering: as long as the peer takes something, it gets its time. */
static void await_flush(struct conn *c)
{
    c->unacked_seen = conn_unacked(c);
    conn_set_timer(c, FLUSH_MS);
}

static void on_timer(struct timer *t)
{
    struct conn *c = (struct conn *)((char *)t - offsetof(struct conn, timer));

    if (!c->lingering)
        c->ops->timeout(c);
    else if (conn_pending(c) > 0 && conn_unacked(c) < c->unacked_seen)
        await_flush(c);
    else
        conn_close(c, conn_pending(c) > 0); /* cut short: must not look whole */
}

void conn_open(struct conn *c, int fd, const struct conn_ops *ops,
               bool reading, bool connecting)
{
    struct worker *w = worker_self();
    int one = 1;

    assert(w != NULL);
    c->worker = w;
    c->fd = fd;
    c->ops = ops;
    c->connecting = connecting;
    c->timer.fire = on_timer;
    /* Merging is done by us, message by message, and never by waiting. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    LIST_INSERT_HEAD(&w->conns, c, link);
    w->conn_count++;
    watch(c, reading && !connecting, connecting);
}

/* Nothing is freed inside its own callback, but when the round is over. */
static void free_later(struct note *note)
{
    free((char *)note - offsetof(struct conn, free_note));
}

void conn_close(struct conn *c, bool reset)
{
    struct worker *w = c->worker;
    const struct linger rst = {1, 0};

    if (c->dead)
        return;
    c->dead = true;
    watch(c, false, false);
    worker_timer_clear(w, &c->timer);
    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &rst, sizeof(rst));
    close(c->fd);
    c->fd = -1;
    if (c->out != NULL)
        evbuffer_free(c->out);
    c->out = NULL;
    LIST_REMOVE(c, link);
    w->conn_count--;
    c->free_note.run = free_later;
    worker_post(w, &c->free_note);
    c->ops->closed(c);
}

static void half_close(struct conn *c)
{
    shutdown(c->fd, SHUT_WR);
    conn_set_timer(c, LINGER_MS);
    if (c->eof)
        conn_close(c, false);
    else
        watch(c, true, false);
}

void conn_linger(struct conn *c)
{
    if (c->dead || c->lingering)
        return;
    c->lingering = true;
    await_flush(c);
    if (conn_pending(c) == 0)
        half_close(c);
    else
        watch(c, !c->eof, true);
}

void conn_shutdown(struct conn *c)
{
    if (c->dead || c->shut)
        return;
    c->shut = true;
    if (conn_pending(c) == 0)
        shutdown(c->fd, SHUT_WR);
}

size_t conn_pending(const struct conn *c)
{
    return c->out == NULL ? 0 : evbuffer_get_length(c->out);
}

size_t conn_unacked(const struct conn *c)
{
    int sent = 0;

    if (!c->dead)
        ioctl(c->fd, SIOCOUTQ, &sent);
    return conn_pending(c) + (size_t)sent;
}

/* A broken socket is told of by the loop, not from inside a write: whoever
 * writes need not expect to be freed. */
static void expect_break(struct conn *c)
{
    watch(c, c->reading, true);
}

size_t conn_writev(struct conn *c, const struct iovec *iov, int n)
{
    size_t total = 0;
    ssize_t sent;

    if (c->dead || c->connecting || c->writing || conn_pending(c) > 0 ||
        c->error != 0)
        return 0;
    for (int i = 0; i < n; i++)
        total += iov[i].iov_len;
    do /* one piece, the usual case of a fan-out, has a shorter way */
        sent = n == 1 ? send(c->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
                      : writev(c->fd, iov, n);
    while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        /* The kernel tells of it once: SO_ERROR is clear after this. */
        c->error = errno == EAGAIN ? 0 : errno;
        sent = 0;
    }
    if ((size_t)sent < total)
        expect_break(c); /* or a full socket: the same way to find out */
    return (size_t)sent;
}

void conn_break(struct conn *c, int error)
{
    if (c->dead)
        return;
    c->error = error;
    shutdown(c->fd, SHUT_RDWR);
    expect_break(c);
}

static void keep(struct conn *c, const void *data, size_t len)
{
    if (c->out == NULL)
        c->out = evbuffer_new();
    /* Out of memory for one connection: it alone has to go. */
    if (c->out == NULL || evbuffer_add(c->out, data, len) < 0)
        conn_break(c, ENOMEM);
    watch(c, c->reading, true);
}

void conn_write_all(struct conn *c, const struct iovec *iov, int n)
{
    size_t sent = conn_writev(c, iov, n);

    for (int i = 0; i < n && !c->dead && c->error == 0; i++) {
        size_t done = sent < iov[i].iov_len ? sent : iov[i].iov_len;

        sent -= done;
        if (done < iov[i].iov_len)
            keep(c, (const char *)iov[i].iov_base + done,
                 iov[i].iov_len - done);
    }
}

void conn_write(struct conn *c, const void *data, size_t len)
{
    const struct iovec whole = {(void *)data, len};

    if (len > 0)
        conn_write_all(c, &whole, 1);
}

void conn_read(struct conn *c, bool on)
{
    if (!c->dead && !c->lingering)
        watch(c, on && !c->eof, c->writing);
}

void conn_set_dead_after(struct conn *c, uint64_t ms)
{
    unsigned value = ms > INT32_MAX ? INT32_MAX : (unsigned)ms;

    if (!c->dead)
        setsockopt(c->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value,
                   sizeof(value));
}

void conn_set_unsent(struct conn *c, unsigned bytes)
{
    if (!c->dead)
        setsockopt(c->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes,
                   sizeof(bytes));
}

void conn_set_timer(struct conn *c, uint64_t delay_ms)
{
    if (c->dead)
        return;
    if (delay_ms == 0)
        worker_timer_clear(c->worker, &c->timer);
    else
        worker_timer_set(c->worker, &c->timer, delay_ms);
}

static void on_broken(struct conn *c, int error)
{
    if (c->lingering)
        conn_close(c, false);
    else
        c->ops->broken(c, error);
}

static void finish_connect(struct conn *c)
{
    int error = 0;
    socklen_t len = sizeof(error);

    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0) {
        on_broken(c, error);
        return;
    }
    c->connecting = false;
    watch(c, c->reading, conn_pending(c) > 0);
    c->ops->drained(c);
}

/* Nothing more can be written; but a peer that broke off may have said why,
 * as with an early answer to a request that it did not want whole. */
static void break_off(struct conn *c)
{
    if (c->out != NULL)
        evbuffer_free(c->out);
    c->out = NULL;
    if (c->reading)
        watch(c, true, false);
    else
        on_broken(c, c->error);
}

/* Sends of what is kept what can be sent. */
static void flush(struct conn *c)
{
    int sent = evbuffer_write(c->out, c->fd);

    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        c->error = errno;
}

static void on_writable(struct conn *c)
{
    socklen_t len = sizeof(c->error);

    if (conn_pending(c) > 0)
        flush(c);
    else if (c->error == 0)
        getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &c->error, &len);
    if (c->error != 0) {
        break_off(c);
        return;
    }
    if (conn_pending(c) > 0)
        return;
    if (c->out != NULL)
        evbuffer_free(c->out);
    c->out = NULL;
    watch(c, c->reading, false);
    if (c->shut)
        shutdown(c->fd, SHUT_WR);
    if (c->lingering)
        half_close(c);
    else
        c->ops->drained(c);
}

static void on_eof(struct conn *c)
{
    c->eof = true;
    watch(c, false, c->writing);
    if (!c->lingering)
        c->ops->eof(c);
    else if (conn_pending(c) == 0)
        conn_close(c, false);
}

static void on_readable(struct conn *c)
{
    ssize_t n = recv(c->fd, c->worker->scratch, WORKER_SCRATCH, 0);

    if (n > 0) {
        if (!c->lingering)
            c->ops->data(c, c->worker->scratch, (size_t)n);
    } else if (n == 0 && c->error == 0) {
        on_eof(c);
    } else if (n == 0) {
        on_broken(c, c->error);
    } else if (errno != EAGAIN && errno != EINTR) {
        on_broken(c, errno);
    }
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;

    if (what & EV_WRITE) {
        if (c->connecting)
            finish_connect(c);
        else
            on_writable(c);
    }
    /* The write may have closed it, or stopped it reading. */
    if ((what & EV_READ) && !c->dead && c->reading)
        on_readable(c);
}

static const char *format_address(const struct sockaddr_storage *a,
                                  bool with_port, char *out, size_t cap)
{
    const struct sockaddr_in *v4 = (const void *)a;
    const struct sockaddr_in6 *v6 = (const void *)a;
    char host[INET6_ADDRSTRLEN] = "";

    if (a->ss_family == AF_INET) {
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        snprintf(out, cap, with_port ? "%s:%u" : "%s", host,
                 ntohs(v4->sin_port));
    } else if (a->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        snprintf(out, cap, with_port ? "[%s]:%u" : "%s", host,
                 ntohs(v6->sin6_port));
    } else {
        snprintf(out, cap, "unknown");
    }
    return out;
}

static const char *peer(const struct conn *c, bool with_port, char *out,
                        size_t cap)
{
    struct sockaddr_storage a = {0};
    socklen_t len = sizeof(a);

    if (getpeername(c->fd, (struct sockaddr *)&a, &len) < 0)
        a.ss_family = AF_UNSPEC;
    return format_address(&a, with_port, out, cap);
}

const char *conn_peer(const struct conn *c, char *out, size_t cap)
{
    return peer(c, true, out, cap);
}

const char *conn_peer_host(const struct conn *c, char *out, size_t cap)
{
    return peer(c, false, out, cap);
}
