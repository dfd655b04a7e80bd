/* apply.h - what a configuration means to a server that runs: at its start, and
 * when another one comes. */
#ifndef PENSTOCK_SERVER_APPLY_H
#define PENSTOCK_SERVER_APPLY_H

#include "hub/history.h"

struct config;
struct route;
struct server;
struct server_worker;

/* Applies what is neither a route's nor a worker's; the main thread. */
void apply_config(struct server *s, struct config *config);
/* Applies part->config to what the part's connections see; its worker, or
 * before that runs. */
void apply_config_part(struct server_worker *part);
/* What a route says of history, as the hub takes it.  Any thread. */
struct history_bounds apply_bounds(const struct route *r);

#endif
