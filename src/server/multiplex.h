/* multiplex.h - a route that serves many channels over one connection: those
 * that its clients name, as ?channel=a&channel=b or by subscribing. */
#ifndef PENSTOCK_SERVER_MULTIPLEX_H
#define PENSTOCK_SERVER_MULTIPLEX_H

#include "feed/transport.h"

/* Reads the channels that the request of x names, into feed; where each is
 * read from, too, if ?since= stands right behind its name.  0; or for the one
 * whose name is put into wrong: -ENOENT: the route has none such; -E2BIG: it is
 * one too many; or as hub_channel(). */
int multiplex_read(struct exchange *x, struct feed *feed,
                   struct buffer *wrong);
/* Frees what it read. */
void multiplex_fini(struct feed *feed);

/* For feed_set_finder(). */
feed_find_fn multiplex_find;
/* The same, whatever x is about: any channel of x->snapshot's routes that is
 * not one client's own. */
feed_find_fn multiplex_find_any;

#endif
