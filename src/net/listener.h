/* listener.h - a listening socket of one worker.  Each worker has its own on
 * the same address (SO_REUSEPORT), so the kernel spreads connections. */
#ifndef PENSTOCK_NET_LISTENER_H
#define PENSTOCK_NET_LISTENER_H

#include <stdint.h>

#include "base/rate.h"

struct listener;
struct worker;

/* A new connection; fd is the callee's. */
typedef void listener_accept_fn(void *arg, int fd);
/* There is no descriptor for a client that waits: give back what can be
 * spared.  It is tried again soon. */
typedef void listener_starved_fn(void *arg);

/* Opens a listening socket, for a worker to be named later.  host NULL: any
 * address; port 0: one that is free.  *port gets the port it has.  The fd, or
 * -errno. */
int listener_bind(const char *host, uint16_t *port);

/* Whether an address is free: 0 or -errno.  Sockets of listener_bind() share
 * theirs, also with those of another process of the same user, which would
 * then take some of the clients; so ask first. */
int listener_probe(const char *host, uint16_t port);

/* Accepts on fd (taken over) on w, before its thread runs or on it.  NULL when
 * out of memory: fd is the caller's still. */
struct listener *listener_new(struct worker *w, int fd,
                              listener_accept_fn *accept,
                              listener_starved_fn *starved, void *arg);
/* Takes no more than rate (borrowed, may change on l's worker) says, out of
 * bucket, which listeners of a worker may share: those who come beyond it wait
 * in the kernel's queue. */
void listener_set_rate(struct listener *l, const struct rate *rate,
                       uint64_t *bucket);
/* Takes all who wait now, however many may come in a second: before closing,
 * which would throw them out. */
void listener_empty(struct listener *l);
/* Stops and closes.  On its worker, or when that has ended. */
void listener_free(struct listener *l);

#endif
