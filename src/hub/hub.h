/* hub.h - all channels by name, and how workers are woken.  No sockets: the
 * wake-up is a function that the threads above provide. */
#ifndef PENSTOCK_HUB_HUB_H
#define PENSTOCK_HUB_HUB_H

#include "hub/channel.h"
#include "hub/order.h"

/* Puts a note into worker's mailbox, from any thread. */
typedef void hub_post_fn(void *arg, unsigned worker, struct note *note);

struct hub {
    pthread_rwlock_t lock;
    struct channel *table;   /* under lock */
    unsigned workers;        /* at most 64 */
    unsigned channels_max;   /* under lock */
    hub_post_fn *post;
    void *post_arg;
    struct order order;      /* of all their messages */
    bool uncounted;          /* what is appended is no message of a backend's;
                              * set before there is any */
};

#define HUB_WORKERS_MAX 64 /* bits of channel.waiting */

void hub_init(struct hub *hub, unsigned workers, unsigned channels_max,
              hub_post_fn *post, void *post_arg);
/* Every worker has stopped and every reader has left. */
void hub_fini(struct hub *hub);

/* The channel of that name with a reference for the caller.  Where there is
 * none and bounds is not NULL it is made.  0; -ENOENT; -ENOSPC: channels_max;
 * -ENAMETOOLONG; -ENOMEM.  Any thread. */
int hub_channel(struct hub *hub, struct str name,
                const struct history_bounds *bounds, struct channel **out);
/* Unlists and ends a channel.  0 or -ENOENT. */
int hub_delete(struct hub *hub, struct str name);

/* Any thread; more than there are already is never too few. */
void hub_set_limit(struct hub *hub, unsigned channels_max);

/* Calls each with every channel, the hub locked for reading: be short. */
void hub_each(struct hub *hub, void (*each)(struct channel *c, void *arg),
              void *arg);

/* Drops messages over age, and channels that nobody uses, that hold nothing
 * and that were last used idle_us ago.  Called now and then by one thread. */
void hub_sweep(struct hub *hub, uint64_t now_us, uint64_t idle_us);

#endif
