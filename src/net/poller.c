#include "net/poller.h"

#include <errno.h>
#include <event2/event.h>
#include <unistd.h>

#define EVENTS_MAX 256 /* taken from the kernel in one go */
/* The same while the worker has work of its own: those who were just answered
 * and ask again must not hold up those who were not. */
#define EVENTS_FEW 16

static void run_ready(struct poller *p, int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int max = timeout_ms == 0 ? EVENTS_FEW : EVENTS_MAX;
    int n = epoll_wait(p->fd, events, max, timeout_ms);

    for (int i = 0; i < n; i++) {
        struct polled *polled = events[i].data.ptr;

        polled->run(polled, events[i].events);
    }
}

static void on_base(evutil_socket_t fd, short what, void *arg)
{
    run_ready(arg, 0); /* the rest when the base comes round again */
}

int poller_init(struct poller *p)
{
    *p = (struct poller){.fd = epoll_create1(EPOLL_CLOEXEC)};
    if (p->fd < 0)
        return -errno;
    p->base = event_base_new();
    if (p->base != NULL)
        p->event = event_new(p->base, p->fd, EV_READ | EV_PERSIST, on_base, p);
    return p->event == NULL ? -ENOMEM : 0;
}

void poller_fini(struct poller *p)
{
    if (p->event != NULL)
        event_free(p->event);
    if (p->base != NULL)
        event_base_free(p->base);
    if (p->fd >= 0)
        close(p->fd);
}

int poller_add(struct poller *p, int fd, struct polled *polled,
               uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = polled};

    return epoll_ctl(p->fd, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

void poller_set(struct poller *p, int fd, struct polled *polled,
                uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = polled};

    epoll_ctl(p->fd, EPOLL_CTL_MOD, fd, &event);
}

/* Whether the base has events besides ours. */
static bool base_is_used(const struct poller *p)
{
    return event_base_get_num_events(p->base, EVENT_BASE_COUNT_ADDED) >
           (p->beside ? 1 : 0);
}

/* Each wake-up of a set inside another one costs twice, so it is in there only
 * while it has to be. */
static void stand_alone(struct poller *p)
{
    if (p->beside)
        event_del(p->event);
    p->beside = false;
}

static void run_base(struct poller *p, int timeout_ms)
{
    const struct timeval timeout = {timeout_ms / 1000,
                                    timeout_ms % 1000 * 1000};

    if (event_add(p->event, timeout_ms < 0 ? NULL : &timeout) == 0)
        p->beside = true;
    event_base_loop(p->base, timeout_ms == 0 ? EVLOOP_NONBLOCK : EVLOOP_ONCE);
}

void poller_run(struct poller *p, int timeout_ms)
{
    if (base_is_used(p)) {
        run_base(p, timeout_ms);
    } else {
        stand_alone(p);
        run_ready(p, timeout_ms);
    }
}
