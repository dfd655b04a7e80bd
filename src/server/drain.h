/* drain.h - the end of a worker: readers are let go, what is under way may
 * end, and who is not done in time is cut. */
#ifndef PENSTOCK_SERVER_DRAIN_H
#define PENSTOCK_SERVER_DRAIN_H

struct server;
struct server_worker;

/* Before each part drains, on the main thread. */
void drain_prepare(struct server *s);
/* Begins to drain a part, on its worker, which ends by itself. */
void drain_part(struct server_worker *part);

#endif
