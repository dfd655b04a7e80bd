/* report.h - what there is, and what it does, as the admin listener tells it:
 * GET /routes and /live.  What Prometheus reads is metrics.c's. */
#ifndef PENSTOCK_SERVER_REPORT_H
#define PENSTOCK_SERVER_REPORT_H

#include "base/buffer.h"
#include "base/tally.h"
#include "measure/updates.h"

struct config;
struct route;
struct server;

/* The document of GET /routes: the routes of config, and what they have done.
 * Any thread that holds config. */
void report_routes(struct buffer *out, struct server *s,
                   const struct config *config);
/* How often the channels of each route have something new, in the order of
 * config's routes; those that share their channels have the same.  The caller
 * frees it; NULL when out of memory. */
struct updates *report_updates(struct server *s, const struct config *config);
/* What of a route a part is called: a transport's name, "proxy", or "other":
 * messages from clients, and what was refused. */
const char *report_part_name(const struct route *r, enum tally_part part);

#endif
