/* server.h - a running penstock: workers, listeners, the hub, and how they
 * start, reload and stop. */
#ifndef PENSTOCK_SERVER_SERVER_H
#define PENSTOCK_SERVER_SERVER_H

#include "hub/hub.h"
#include "http/exchange.h"
#include "net/worker.h"
#include "config/config.h"
#include "server/guests.h"
#include "server/leaving.h"

struct listener;
struct throttle;

struct server;

/* A worker's part of the server; its own. */
struct server_worker {
    struct server *server;
    struct worker *worker;
    struct config *config; /* a reference: the one that new requests see */
    struct service http, admin;
    struct listener *listeners[CONFIG_LISTEN_MAX + 1];
    unsigned listener_count;
    struct rate accept_rate; /* this worker's share */
    uint64_t accept_bucket;
    struct note begin_note, reload_note, spare_note, drain_note;
    atomic_bool reload_due; /* reload_note is in the mailbox */
    atomic_bool spare_due;  /* spare_note is */
    struct exchange_list readers; /* those that stay, but for the next */
    struct leaving leaving;       /* and those that are to go */
    struct timer drain_timer;
    uint64_t drain_until_us; /* 0: not draining */
    bool drained;            /* no reader is left here */
    bool sources_stopped;
};

struct server {
    struct hub hub;
    struct config *config;          /* a reference; the main thread's */
    struct server_worker *parts;
    struct worker **workers;
    unsigned worker_count;
    atomic_uint clients;            /* connections of clients, all workers */
    atomic_uint clients_max;
    unsigned descriptors;
    struct guests guests;
    struct throttle *throttle;
    pthread_mutex_t next_lock;
    struct config *next;            /* under next_lock; a reference, or NULL:
                                     * what reload_note brings */
    atomic_bool ready, draining;
    atomic_uint parts_with_readers; /* while draining */
    uint64_t started_us;
};

/* Serves until SIGTERM or SIGINT and then drains.  config is borrowed: SIGHUP
 * reads its file again.  0; or -1, and the log says why it never began. */
int server_run(struct config *config);

/* serve.c: answers requests of clients, and of the admin listener.  x->service
 * is a part's; called on its worker. */
void serve_client(struct exchange *x);
/* What Retry-After says where there is no telling: far enough apart. */
#define RETRY_LEAST_S 5
#define RETRY_MOST_S  15
/* The part that answers x. */
static inline struct server_worker *server_part(const struct exchange *x)
{
    return x->service->arg;
}

/* admin.c: publishing, what there is, health. */
void serve_admin(struct exchange *x);

/* What a route says of history, as the hub takes it. */
struct history_bounds server_bounds(const struct route *r);

#endif
