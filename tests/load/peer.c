#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PER_ADDRESS 2000 /* connections from one source address */
#define EVENTS      512

static int epoll_fd = -1, watched_fd = -1;
static void (*on_watched)(int fd);

void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

uint64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void octets_add(struct octets *o, const void *data, size_t len)
{
    if (len == 0)
        return;
    if (o->len + len > o->cap) {
        o->cap = (o->len + len) * 2;
        o->data = realloc(o->data, o->cap);
        if (o->data == NULL)
            die("out of memory");
    }
    memcpy(o->data + o->len, data, len);
    o->len += len;
}

/* An idle client holds no memory for octets. */
void octets_drop(struct octets *o, size_t len)
{
    o->len -= len;
    if (o->len > 0) {
        memmove(o->data, o->data + len, o->len);
        return;
    }
    free(o->data);
    *o = (struct octets){0};
}

void peers_init(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        die("epoll: %m");
}

static void control(struct peer *p, int what)
{
    struct epoll_event e = {
        .events = EPOLLIN | (p->writing ? EPOLLOUT : 0),
        .data.ptr = p,
    };

    if (epoll_ctl(epoll_fd, what, p->fd, &e) < 0)
        die("epoll_ctl: %m");
}

static void want_write(struct peer *p, bool on)
{
    if (p->writing == on)
        return;
    p->writing = on;
    control(p, EPOLL_CTL_MOD);
}

/* 127.0.0.2, 127.0.0.3 and so on; the port is picked when it connects, from
 * those that are free towards that server. */
static void bind_source(int fd, unsigned index)
{
    struct sockaddr_in source = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + index / PER_ADDRESS),
    };
    int one = 1;

    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    if (bind(fd, (struct sockaddr *)&source, sizeof(source)) < 0)
        die("bind: %m");
}

void peer_connect(struct peer *p, const struct peer_ops *ops, uint16_t port,
                  unsigned index)
{
    struct sockaddr_in server = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons(port),
    };
    int one = 1;

    p->ops = ops;
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (p->fd < 0)
        die("socket: %m");
    bind_source(p->fd, index);
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(p->fd, (struct sockaddr *)&server, sizeof(server)) < 0 &&
        errno != EINPROGRESS)
        die("connect: %m");
    p->connecting = p->writing = true;
    control(p, EPOLL_CTL_ADD);
}

void peer_close(struct peer *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    octets_drop(&p->out, p->out.len);
}

static void end(struct peer *p, int error)
{
    peer_close(p);
    p->ops->closed(p, error);
}

static void flush(struct peer *p)
{
    ssize_t n = p->out.len == 0
                    ? 0
                    : send(p->fd, p->out.data, p->out.len, MSG_NOSIGNAL);

    if (n > 0)
        octets_drop(&p->out, (size_t)n);
    /* Of what broke, reading tells. */
    want_write(p, p->out.len > 0 && (n >= 0 || errno == EAGAIN));
}

void peer_send(struct peer *p, const void *data, size_t len)
{
    ssize_t n = 0;

    if (p->out.len == 0 && !p->connecting)
        n = send(p->fd, data, len, MSG_NOSIGNAL);
    if (n < 0)
        n = 0;
    octets_add(&p->out, (const char *)data + n, len - (size_t)n);
    if (p->out.len > 0 && p->fd >= 0 && !p->connecting)
        want_write(p, true);
}

static void finish_connect(struct peer *p)
{
    int error = 0;
    socklen_t len = sizeof(error);

    getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    if (error != 0) {
        end(p, error);
        return;
    }
    p->connecting = false;
    p->ops->connected(p);
    if (p->fd >= 0)
        flush(p);
}

static void read_some(struct peer *p)
{
    static char scratch[256 * 1024];
    ssize_t n = recv(p->fd, scratch, sizeof(scratch), 0);

    if (n > 0)
        p->ops->data(p, scratch, (size_t)n);
    else if (n == 0)
        end(p, 0);
    else if (errno != EAGAIN && errno != EINTR)
        end(p, errno);
}

static void handle(const struct epoll_event *e)
{
    struct peer *p = e->data.ptr;

    if (p == NULL) {
        on_watched(watched_fd);
        return;
    }
    if (p->fd < 0)
        return; /* closed by what was handled before it */
    if (p->connecting)
        finish_connect(p);
    else if (e->events & EPOLLOUT)
        flush(p);
    if (p->fd >= 0 && (e->events & ~(uint32_t)EPOLLOUT))
        read_some(p);
}

void peers_run(int timeout_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(epoll_fd, events, EVENTS, timeout_ms);

    if (n < 0 && errno != EINTR)
        die("epoll_wait: %m");
    for (int i = 0; i < n; i++)
        handle(&events[i]);
}

void peers_watch(int fd, void (*readable)(int fd))
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};

    watched_fd = fd;
    on_watched = readable;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
        die("epoll_ctl: %m");
}

const char *find(const char *text, size_t len, const char *needle)
{
    return memmem(text, len, needle, strlen(needle));
}

size_t answer_read(const struct octets *in, struct answer *a)
{
    const char *end =
        in->len == 0 ? NULL : find(in->data, in->len, "\r\n\r\n");
    const char *length;

    if (end == NULL)
        return 0;
    *a = (struct answer){
        .head = in->data,
        .head_len = (size_t)(end + 4 - in->data),
        .body = end + 4,
    };
    if (in->len < 12 || sscanf(in->data, "HTTP/1.1 %3u", &a->status) != 1)
        die("no answer: %.*s", (int)a->head_len, a->head);
    length = find(a->head, a->head_len, "Content-Length: ");
    if (length != NULL)
        a->body_len = strtoul(length + 16, NULL, 10);
    if (in->len < a->head_len + a->body_len)
        return 0;
    return a->head_len + a->body_len;
}
