#include "net/poller.h"

#include <errno.h>
#include <event2/event.h>
#include <unistd.h>

#define EVENTS_MAX 256 /* taken from the kernel in one go */
#define GOES_MAX   4   /* before the base's other events have their turn */

static const uint32_t everything = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct epoll_event events[EVENTS_MAX];
    int n = EVENTS_MAX;

    for (int go = 0; go < GOES_MAX && n == EVENTS_MAX; go++) {
        n = epoll_wait(fd, events, EVENTS_MAX, 0);
        for (int i = 0; i < n; i++) {
            struct polled *polled = events[i].data.ptr;

            polled->run(polled, events[i].events);
        }
    }
}

int poller_init(struct poller *p, struct event_base *base)
{
    p->event = NULL;
    p->fd = epoll_create1(EPOLL_CLOEXEC);
    if (p->fd < 0)
        return -errno;
    p->event = event_new(base, p->fd, EV_READ | EV_PERSIST, on_ready, NULL);
    if (p->event == NULL || event_add(p->event, NULL) < 0)
        return -ENOMEM;
    return 0;
}

void poller_fini(struct poller *p)
{
    if (p->event != NULL)
        event_free(p->event);
    if (p->fd >= 0)
        close(p->fd);
}

int poller_add(struct poller *p, int fd, struct polled *polled)
{
    struct epoll_event event = {.events = everything, .data.ptr = polled};

    return epoll_ctl(p->fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void poller_again(struct poller *p, int fd, struct polled *polled)
{
    struct epoll_event event = {.events = everything, .data.ptr = polled};

    epoll_ctl(p->fd, EPOLL_CTL_MOD, fd, &event);
}
