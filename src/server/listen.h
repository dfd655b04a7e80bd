/* listen.h - the addresses that the server listens on, each with a socket per
 * worker, and how they change with a reload. */
#ifndef PENSTOCK_SERVER_LISTEN_H
#define PENSTOCK_SERVER_LISTEN_H

#include <stdbool.h>

#include "config/config.h"

struct listener;
struct server;
struct server_worker;
struct tls_context;

/* Clients' addresses and the admin listener's. */
#define LISTEN_MAX (CONFIG_LISTEN_MAX + 1)

/* A listening socket of a part. */
struct door {
    struct server_worker *part;
    struct listener *listener;
    struct tls_context *tls; /* a reference; NULL: plain */
    char *text; /* the address, as written */
    bool admin;
};

/* An address that is about to be listened on. */
struct opening {
    char *text;
    bool admin;
    int *fds; /* of each part, taken by it (-1); the admin's has part 0 only */
};

struct openings {
    struct opening list[LISTEN_MAX];
    unsigned count;
};

/* The main thread: binds what config lists and old (may be NULL) does not.  0;
 * or -1, and nothing is bound, and the log says why. */
int listen_prepare(struct server *s, const struct config *old,
                   const struct config *config);
/* The part's worker, or before it runs: closes what part->config does not list,
 * after taking who is waiting there, and opens what was prepared.  Who comes
 * from now on gets the certificates of part->config. */
void listen_apply(struct server_worker *part);
/* The main thread, when all parts have applied it: forgets what was prepared. */
void listen_done(struct server *s);
/* The part's worker, or when it has ended: closes all. */
void listen_close(struct server_worker *part);

#endif
