/* race.h - GET /race/TRANSPORT/CHANNEL of the admin listener: any channel, by
 * any of the four transports, whatever its route serves, so that a page (the
 * dashboard) or a person can put them side by side.
 *
 * Such a reader is a spectator: it makes the channel's source run, as any does,
 * but is not counted as one of the route's, is not present, tells no hook, and
 * what it says goes nowhere.  It keeps the configuration that it began under. */
#ifndef PENSTOCK_SERVER_RACE_H
#define PENSTOCK_SERVER_RACE_H

#include "http/exchange.h"

/* Answers x; rest is what stands in its path behind "/race/".  On x's worker. */
void race_serve(struct exchange *x, struct str rest);

#endif
