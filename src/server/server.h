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
#include "server/listen.h"

struct advisor;
struct lately;
struct throttle;

struct server;

/* A worker's part of the server; its own. */
struct server_worker {
    struct server *server;
    struct worker *worker;
    struct config *config; /* a reference: the one that new requests see */
    struct service http, admin;
    struct door *doors[LISTEN_MAX];
    unsigned door_count;
    struct rate accept_rate; /* this worker's share */
    uint64_t accept_bucket;
    struct note begin_note, spare_note, drain_note;
    struct note reload_note, sources_note; /* reload.c's, one after the other */
    atomic_bool spare_due; /* spare_note is in the mailbox */
    struct exchange_list readers; /* those that stay, but for the next two */
    struct exchange_list watchers; /* those of the admin listener */
    struct leaving leaving;       /* and those that are to go */
    struct timer drain_timer;
    uint64_t drain_until_us; /* 0: not draining */
    bool drained;            /* no reader is left here */
    bool sources_stopped;
};

struct server {
    struct hub hub;
    struct hub own;                 /* live.c's: what we tell of ourselves */
    struct channel *live;           /* in there */
    struct advisor *advisor;
    struct lately *lately;          /* by tally_id */
    struct config *config;          /* a reference; the main thread's */
    struct server_worker *parts;
    struct worker **workers;
    unsigned worker_count;
    atomic_uint clients;            /* connections of clients, all workers */
    atomic_uint clients_max;
    atomic_uint clients_peak;       /* about, since memory was given back */
    unsigned descriptors;
    struct guests guests;
    struct throttle *throttle;
    struct config *next;            /* a reference, or NULL: a reload is under
                                     * way, and changes it when it is over */
    bool reload_again;              /* the main thread's: one has to follow */
    atomic_uint reload_left;        /* workers that are not done with a note */
    int reload_fd;                  /* an eventfd: they all are with both */
    struct openings openings;       /* fixed while workers apply it */
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
/* Reads from where, and for how long, m asks. */
struct feed;
void serve_read(const struct http_message *m, struct feed *feed);
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

/* A connection has come; arg is the door. */
void server_accept_client(void *arg, int fd);
void server_accept_admin(void *arg, int fd);
/* There are no descriptors left; arg is the door. */
void server_starved(void *arg);

#endif
