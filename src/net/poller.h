/* poller.h - many sockets in an epoll set of their own, which is one event of a
 * libevent base: what libevent keeps for a socket is more than all that an idle
 * reader needs.
 *
 * Edge-triggered, both ways at once: a socket is registered when it opens, and
 * the kernel is not asked again when it fills up or empties.  So whoever is told
 * reads or writes until there is no more, or calls poller_again(). */
#ifndef PENSTOCK_NET_POLLER_H
#define PENSTOCK_NET_POLLER_H

#include <stdint.h>
#include <sys/epoll.h>

struct event;
struct event_base;
struct polled;

/* EPOLLIN and the like; may close what it is about, and free it when the round
 * of events is over, but not before. */
typedef void polled_fn(struct polled *polled, uint32_t events);

/* Embedded in whatever has a socket. */
struct polled {
    polled_fn *run;
};

struct poller {
    int fd;
    struct event *event;
};

/* 0 or -errno.  What poller_init() refused may be given to poller_fini(). */
int poller_init(struct poller *p, struct event_base *base);
void poller_fini(struct poller *p);

/* Watches fd until that is closed.  0 or -errno. */
int poller_add(struct poller *p, int fd, struct polled *polled);
/* What is ready now is told once more. */
void poller_again(struct poller *p, int fd, struct polled *polled);

#endif
