/* listener.h - a listening socket of one worker.  Each worker has its own on
 * the same address (SO_REUSEPORT), so the kernel spreads connections. */
#ifndef PENSTOCK_NET_LISTENER_H
#define PENSTOCK_NET_LISTENER_H

#include <stdint.h>

struct listener;
struct worker;

/* A new connection; fd is the callee's. */
typedef void listener_accept_fn(void *arg, int fd);

/* Opens a listening socket, for a worker to be named later.  host NULL: any
 * address; port 0: one that is free.  *port gets the port it has.  The fd, or
 * -errno. */
int listener_bind(const char *host, uint16_t *port);

/* Accepts on fd (taken over) on w, before its thread runs or on it.  NULL when
 * out of memory. */
struct listener *listener_new(struct worker *w, int fd,
                              listener_accept_fn *accept, void *arg);
/* Stops and closes.  On its worker, or when that has ended. */
void listener_free(struct listener *l);

#endif
