/* guests.h - how many connections each client address has: for
 * limits.per_address.  An address is known as long as it has one, so memory is
 * bounded by limits.connections. */
#ifndef PENSTOCK_SERVER_GUESTS_H
#define PENSTOCK_SERVER_GUESTS_H

#include <pthread.h>

struct address;
struct guest;

struct guests {
    pthread_mutex_t lock;
    struct guest *table; /* under lock */
};

void guests_init(struct guests *g);
/* Every connection has closed. */
void guests_fini(struct guests *g);

/* Counts one more connection of who, unless it has max already.  0 and *out,
 * for guests_leave(); -EBUSY; -ENOMEM.  Any thread. */
int guests_enter(struct guests *g, const struct address *who, unsigned max,
                 struct guest **out);
/* guest may be NULL. */
void guests_leave(struct guests *g, struct guest *guest);

#endif
