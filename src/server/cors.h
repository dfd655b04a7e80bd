/* cors.h - what browsers are told of a route, so that they let pages of other
 * origins read it (Fetch, "CORS protocol"). */
#ifndef PENSTOCK_SERVER_CORS_H
#define PENSTOCK_SERVER_CORS_H

#include <stdbool.h>

struct exchange;
struct route;

/* Gives x the fields that every answer of r is to have, errors too; those that
 * a backend sends itself give way to them.  True: x was a preflight and has
 * been answered, without a backend and before anybody is asked who the client
 * is, which a preflight never says.  r outlives x. */
bool cors_begin(struct exchange *x, const struct route *r);

#endif
