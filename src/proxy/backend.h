/* backend.h - the servers of a backend, and the connections to them that wait
 * for a next request.  Each worker has a pool and a turn of its own, so nothing
 * here takes a lock. */
#ifndef PENSTOCK_PROXY_BACKEND_H
#define PENSTOCK_PROXY_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

struct buffer;
struct client;
struct client_ops;
struct tls_context;
struct tls_server;

struct backend_server {
    char *host; /* a name or an address, without brackets; or, with a '/' at
                 * its beginning, a Unix socket's path */
    uint16_t port;
    bool https;
    struct tls_server *tls; /* NULL: plain */
    bool redis;
    char *user, *password; /* of a Redis: or NULL */
    unsigned db;
};

/* Settings; they never change.  Those who are given one use it no longer than
 * the exchange that it is for. */
struct backend {
    char *name;
    struct backend_server *servers;
    unsigned server_count; /* 1 at least */
    struct {
        bool verify;
        char *ca, *name, *cert, *key; /* as in the file; NULL: not there */
        struct tls_context *context;  /* NULL: no TLS at all */
    } tls;
    bool redis;            /* that is what its servers speak, and no HTTP */
    char *password;        /* of a Redis: from a file, or NULL */
    uint64_t ping_ms;      /* of a Redis: how long it may be silent */
    uint64_t connect_ms;   /* until the connection stands: 502 after */
    uint64_t response_ms;  /* until the answer's head: 504 after */
    uint64_t idle_ms;      /* of a connection in the pool; 0: none is kept */
    unsigned pool;         /* idle connections kept per worker and server */
};

/* The server whose turn it is: round robin. */
const struct backend_server *backend_pick(const struct backend *b);

/* Appends its host and port, as the field Host has them. */
void backend_write_host(const struct backend_server *s, struct buffer *out);

/* client_connect() with what b says of it; s is one of its servers. */
struct client *backend_connect(const struct backend *b,
                               const struct backend_server *s,
                               const struct client_ops *ops, void *arg);

/* A connection to s that is idle and stands, the caller's from now on (with
 * client_set_owner()); NULL if there is none.  sure: the kernel is asked whether
 * it still stands, for requests that must not be sent twice. */
struct client *backend_take(const struct backend_server *s, bool sure);
/* Keeps a connection to s, whose last answer has ended, for a next request; or
 * closes it where there are enough.  It is closed after idle_ms, and as soon as
 * anything comes on it, be it the end: nobody has asked. */
void backend_keep(const struct backend *b, const struct backend_server *s,
                  struct client *c);
/* Closes what this worker keeps: before it stops. */
void backend_pool_close_all(void);

#endif
