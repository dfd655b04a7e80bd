/* stay.h - the polls of one client, taken together: its backend hears of them as
 * of one visit (visit.h), from the first until none has come for hook_grace.
 * Who it is, the route's "identity" or ?client= says; polls of nobody are none's.
 * Any thread, but for what says otherwise. */
#ifndef PENSTOCK_FEED_STAY_H
#define PENSTOCK_FEED_STAY_H

struct exchange;
struct feed;
struct stay;

/* A poll of x's client begins, whose request is there still.  NULL where it is
 * nobody's, where the route has no hooks, and where memory is out, which is
 * counted.  On a worker. */
struct stay *stay_enter(struct exchange *x, const struct feed *feed,
                        const char *transport);
/* It has been answered, or its client is gone.  NULL is fine. */
void stay_leave(struct stay *s);

/* Ends those that began on this worker, and none begins there any more: before
 * it stops. */
void stay_end_here(void);
/* Forgets all: no worker runs any more. */
void stay_fini(void);

#endif
