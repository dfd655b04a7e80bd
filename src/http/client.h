/* client.h - a connection to a server: requests out as octets, answers in as
 * parsed messages (RFC 9112).  Used by sources and by the proxy.  Lives on the
 * worker that opened it. */
#ifndef PENSTOCK_HTTP_CLIENT_H
#define PENSTOCK_HTTP_CLIENT_H

#include <sys/uio.h>

#include "http/parser.h"

struct client;
struct tls_server;

enum client_failure {
    CLIENT_UNRESOLVED,  /* no address for the host */
    CLIENT_REFUSED,     /* no connection to any of its addresses */
    CLIENT_SLOW_CONNECT, /* none to any, the last for want of time */
    CLIENT_UNTRUSTED,   /* TLS: not its certificate */
    CLIENT_BAD_TLS,     /* TLS: not spoken there, or refused */
    CLIENT_TIMEOUT,     /* the deadline of client_set_timer() */
    CLIENT_BAD_ANSWER,  /* what no parser may let pass */
    CLIENT_CUT_OFF,     /* closed in the middle of an answer */
    CLIENT_CLOSED,      /* closed with no answer begun */
};
extern const char *const client_failure_names[];

struct client_ops {
    /* The connection stands. May be NULL. */
    void (*connected)(struct client *c);
    /* An answer's head; 1xx come as answers of their own.  message is valid
     * until the answer ends. */
    void (*head)(struct client *c, const struct http_message *message);
    void (*body)(struct client *c, const char *data, size_t len);
    /* All that had come so far has been delivered.  May be NULL. */
    void (*delivered)(struct client *c);
    /* The answer is complete.  reusable: another request may be sent. */
    void (*end)(struct client *c, bool reusable);
    /* What was kept has gone out. May be NULL. */
    void (*drained)(struct client *c);
    /* Octets after a 101 answer, or after client_expect_raw(). */
    void (*raw)(struct client *c, char *data, size_t len);
    /* The other end sends no more, after a 101.  May be NULL: failed. */
    void (*raw_end)(struct client *c);
    /* Over: c is closed and must be forgotten.  why is for people, and lives
     * until this returns. */
    void (*failed)(struct client *c, enum client_failure failure,
                   const char *why);
};

/* Begins to connect, trying each address of host in turn (RFC 8305 without
 * the race), each for connect_ms at most, with the handshake where tls is not
 * NULL, and before that the resolver, which is asked each time.  A host that
 * begins with '/' is a Unix socket's path.  failed() is never called from
 * inside.  NULL when out of memory. */
struct client *client_connect(const char *host, uint16_t port,
                              struct tls_server *tls, uint64_t connect_ms,
                              const struct client_ops *ops, void *arg);
/* The same from an IPv4 address of ours, in network order, where the other end
 * has one of that kind: for more connections to one place than there are
 * ports. */
struct client *client_connect_from(uint32_t from4, const char *host,
                                   uint16_t port, struct tls_server *tls,
                                   uint64_t connect_ms,
                                   const struct client_ops *ops, void *arg);
/* Hands the connection to somebody else: a pool, the next request. */
void client_set_owner(struct client *c, const struct client_ops *ops,
                      void *arg);
void *client_arg(const struct client *c);

/* A request begins: what kind of answer may come. */
void client_expect(struct client *c, bool is_head, bool upgrade);
/* The server speaks no HTTP: all that comes is raw. */
void client_expect_raw(struct client *c);
/* Sends octets, keeping what the socket does not take; before the connection
 * stands all is kept. */
void client_send(struct client *c, const void *data, size_t len);
/* The same for n vectors, in one call to the kernel. */
void client_send_all(struct client *c, const struct iovec *iov, int n);
/* After a 101: no more will be sent, and the server is told so. */
void client_shutdown(struct client *c);
size_t client_pending(const struct client *c);
/* Octets that the server has not acknowledged: see conn_unacked(). */
size_t client_unacked(const struct client *c);
/* Stops or resumes reading: backpressure. */
void client_read(struct client *c, bool on);
/* The one deadline; 0 clears. */
void client_set_timer(struct client *c, uint64_t delay_ms);
/* Whether a connection on which nothing is expected still stands: nothing has
 * come on it, not even its end; nor, if it is to be sure, anything that the
 * loop has yet to tell of. */
bool client_idle(const struct client *c, bool sure);
/* Whether some of an answer has come since client_expect(). */
bool client_answered(const struct client *c);
/* Octets that have come and gone at the socket, TLS and all; what is kept to be
 * sent counts as gone. */
void client_bytes(const struct client *c, uint64_t *in, uint64_t *out);
/* Closes without a word to ops. */
void client_close(struct client *c);
/* The same, but it is the server that is to close: what is kept still goes out
 * and what comes is dropped, for wait_ms at most (RFC 6455 7.1.1).  c itself is
 * gone at once. */
void client_leave(struct client *c, uint64_t wait_ms);

#endif
