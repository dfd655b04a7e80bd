/* live.h - GET /live of the admin listener: the document of GET /routes, once a
 * second, as an event stream.  It is a channel of the server's own, read as any
 * other by the transport "sse". */
#ifndef PENSTOCK_SERVER_LIVE_H
#define PENSTOCK_SERVER_LIVE_H

struct config;
struct exchange;
struct server;

/* 0, or -1: no memory. */
int live_init(struct server *s);
/* Every worker has stopped. */
void live_fini(struct server *s);
/* Answers x with the stream, on its worker, which holds config. */
void live_open(struct server *s, const struct config *config,
               struct exchange *x);
/* A second has passed: whoever reads gets the next.  The main thread. */
void live_tick(struct server *s);

#endif
