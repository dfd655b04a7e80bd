/* script.h - penstock.js, which is part of the program and served to browsers
 * where the config file says so. */
#ifndef PENSTOCK_SERVER_SCRIPT_H
#define PENSTOCK_SERVER_SCRIPT_H

#include "config/config.h"
#include "http/exchange.h"

/* Whether m asks for the script: the config serves it, and r, the route that
 * the path belongs to (NULL for none), is not written for this very path. */
bool script_wanted(const struct config *c, const struct http_message *m,
                   const struct route *r);

/* Answers with it, or with 304 or 405.  Any worker. */
void script_serve(struct exchange *x);

#endif
