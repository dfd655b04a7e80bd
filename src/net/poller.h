/* poller.h - a worker's sockets, in an epoll set that is ours: what libevent
 * keeps for a socket is more than all that an idle reader needs, and it asks the
 * kernel again whenever one fills up.
 *
 * What a library watches for itself (DNS, say) is in a libevent base beside it.
 * As long as there is something in that, the set is one event of the base. */
#ifndef PENSTOCK_NET_POLLER_H
#define PENSTOCK_NET_POLLER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct event;
struct event_base;
struct polled;

/* For connections: told of each change once, both ways, so whoever is told reads
 * or writes until there is no more, or calls poller_set() again. */
#define POLLER_EDGES (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

/* EPOLLIN and the like.  May close what it is about, and free it when the round
 * of events is over, but not before. */
typedef void polled_fn(struct polled *polled, uint32_t events);

/* Embedded in whatever has a socket. */
struct polled {
    polled_fn *run;
};

struct poller {
    int fd;
    struct event_base *base;
    struct event *event;     /* the set's, in the base */
    bool beside;             /* it is added */
};

/* 0 or -errno.  What was refused may be given to poller_fini(). */
int poller_init(struct poller *p);
void poller_fini(struct poller *p);

/* Watches fd until that is closed.  0 or -errno. */
int poller_add(struct poller *p, int fd, struct polled *polled,
               uint32_t events);
/* Watches it for these from now on; what is ready now is told once more. */
void poller_set(struct poller *p, int fd, struct polled *polled,
                uint32_t events);

/* One round of events: waits for the first of them so long at most; -1: for
 * ever; 0, where there is other work: takes only a few. */
void poller_run(struct poller *p, int timeout_ms);

#endif
