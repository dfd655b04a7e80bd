/* visit.h - a client that stays, as the backend hears of it: one POST as it
 * comes (on_open) and one when it has gone (on_close), in that order, each
 * repeated until the backend has it or the deadline has passed.  A repeat has
 * the same Idempotency-Key.  Its worker's alone. */
#ifndef PENSTOCK_FEED_VISIT_H
#define PENSTOCK_FEED_VISIT_H

#include <stdbool.h>

struct exchange;
struct feed;
struct visit;

/* The client of x, whose request is there still, stays.  NULL where the route
 * has no hooks, or memory is out, which is counted and logged. */
struct visit *visit_begin(struct exchange *x, const struct feed *feed,
                          const char *transport);
/* It goes: reason is static text.  v is the visit's own from then on; NULL is
 * fine. */
void visit_end(struct visit *v, const char *reason);

/* Whether the backends of this worker's visits have heard all there is. */
bool visit_all_told(void);
/* Ends those that are left: before the worker stops. */
void visit_end_all(void);

#endif
