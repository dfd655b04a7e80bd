/* advisor.h - which transport suits each route, by what has been measured of it
 * and by what the configuration says of it: GET /advice, and the choice for
 * clients that leave it open where "transports" is "auto". */
#ifndef PENSTOCK_SERVER_ADVISOR_H
#define PENSTOCK_SERVER_ADVISOR_H

#include "base/buffer.h"
#include "config/config.h"

struct server;

/* The document of GET /advice: the routes of config that have readers, and what
 * suits each.  Any thread that holds config. */
void advisor_write(struct buffer *out, struct server *s,
                   const struct config *config);
/* A second has passed.  Now and then the routes that say "auto" are looked at,
 * and the readers of those for which another transport is better now are told.  The main thread. */
void advisor_tick(struct server *s);
/* What answers a request to r that leaves the choice open: a kind that needs
 * nothing of the client; KIND_N: nothing is known.  Any thread. */
enum transport_kind advisor_choice(const struct server *s,
                                   const struct route *r);

/* 0, or -1: no memory.  Before there are workers, and after. */
int advisor_init(struct server *s);
void advisor_fini(struct server *s);

#endif
