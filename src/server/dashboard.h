/* dashboard.h - the admin listener's page, which is part of the program: its
 * files stand in src/dashboard. */
#ifndef PENSTOCK_SERVER_DASHBOARD_H
#define PENSTOCK_SERVER_DASHBOARD_H

#include "http/exchange.h"

/* The file of the page that has this path, or NULL. */
struct asset;
const struct asset *dashboard_file(struct str path);

/* Answers with it, or with 304 or 405.  Anybody may read it: it holds nothing
 * of anybody's, and asks for the token itself.  Any worker. */
void dashboard_serve(struct exchange *x, const struct asset *file);

#endif
