/* conn.h - a connected socket on its worker: reads into the worker's scratch,
 * writes at once and keeps what the socket would not take.  An idle one holds
 * no buffers.  Lives and dies on one worker.
 *
 * An owner embeds it first in a struct of its own, allocates that whole, and
 * gives it up to conn_open(); it is freed after conn_close(), once the event
 * is over. */
#ifndef PENSTOCK_NET_CONN_H
#define PENSTOCK_NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/mailbox.h"
#include "base/tally.h"
#include "net/poller.h"
#include "net/timer.h"

struct conn;
struct evbuffer;
struct conn_tls;
struct tls_context;

struct conn_ops {
    /* Octets came; data is the worker's scratch, writable, borrowed. */
    void (*data)(struct conn *c, char *data, size_t len);
    /* What came last does not yet say what it is about: it is counted when
     * conn_set_tally() says that.  May be NULL: it always does. */
    bool (*undecided)(const struct conn *c);
    /* The peer sends no more.  Reading has stopped. */
    void (*eof)(struct conn *c);
    /* All that was kept has been sent, or an outgoing connection stands. */
    void (*drained)(struct conn *c);
    /* The deadline that conn_set_timer() set has passed. */
    void (*timeout)(struct conn *c);
    /* It broke: errno says how.  The owner closes.  Where writing failed while
     * reading is on, what the peer said before is delivered first.  EPROTO: TLS
     * failed; the peer gets to know why where the owner lingers. */
    void (*broken)(struct conn *c, int error);
    /* The server stops: say good-bye soon.  May be NULL: is left alone. */
    void (*drain)(struct conn *c);
    /* It is closed and about to be freed; the owner frees what it holds. */
    void (*closed)(struct conn *c);
};

struct conn {
    struct polled polled;      /* first */
    LIST_ENTRY(conn) link;     /* worker->conns */
    union {
        struct timer timer;
        struct note free_note; /* once it is dead */
    };
    const struct conn_ops *ops;
    union {
        struct evbuffer *out;  /* NULL when nothing is kept */
        struct conn_tls *tls;  /* if it is secure: all of TLS, and what is kept */
    };
    int fd;
    uint32_t peer4;            /* its address of version 4, once asked for */
    union {
        uint32_t early_bytes;  /* read and not counted yet: ops->undecided */
        uint32_t unacked_seen; /* while lingering: when the timer was set */
    };
    tally_id tally;            /* where its octets are counted: conn_set_tally() */
    uint8_t error : 7;         /* of a write; what can be read still is */
    bool secure : 1;
    bool reading : 1;          /* the owner wants what comes */
    bool unread : 1;           /* something came while it did not */
    bool writing : 1;          /* the socket is full */
    bool connecting : 1, eof : 1, dead : 1, lingering : 1;
    bool shut : 1;             /* conn_shutdown() was called */
};

/* Registers c, whose memory is from malloc and zeroed but for what its owner
 * put after it, on the calling worker; fd is taken over.  It reads at once if
 * reading is true; connecting: connect(2) is under way, and drained or broken
 * tells the end of it. */
void conn_open(struct conn *c, int fd, const struct conn_ops *ops,
               bool reading, bool connecting);
/* Speaks TLS from here on, as the server: right after conn_open(), before
 * anything is written.  The owner hears nothing of the handshake unless it fails,
 * and must not write before the first data.  Octets are counted, and told by
 * conn_pending() and conn_unacked(), as they are at the socket.  0 or -ENOMEM. */
int conn_secure(struct conn *c, struct tls_context *context);
/* Why TLS failed (EPROTO), for people. */
const char *conn_tls_why(const struct conn *c);
/* Where that was since the client spoke HTTP without TLS: speaks plainly from
 * here on, and reads nothing.  False: it was for another reason. */
bool conn_expose(struct conn *c);
/* Whether the end that ops->eof told of was not announced, as TLS wants it to
 * be: the peer may have had more to say. */
bool conn_was_cut(const struct conn *c);
/* Closes now; what is kept is thrown away.  reset: by RST, so that the peer
 * cannot take what it has for whole.  ops->closed is called from inside. */
void conn_close(struct conn *c, bool reset);
/* Sends what is kept, as long as the peer takes some of it, says FIN, reads and
 * drops what still comes for a short while so that our last words are not lost
 * in a RST (RFC 9112 9.6), and closes.  ops->closed is called then; no other
 * callback is. */
void conn_linger(struct conn *c);

/* Writes len octets, keeping what the socket does not take (a copy).  If the
 * connection is broken, ops->broken follows from the loop. */
void conn_write(struct conn *c, const void *data, size_t len);
/* The same for n vectors, in one call to the kernel. */
void conn_write_all(struct conn *c, const struct iovec *iov, int n);
/* Writes what the socket takes now and keeps nothing.  Returns how much: 0..
 * total; less than the total means that drained will be called.  A broken
 * socket takes nothing; broken follows. */
size_t conn_writev(struct conn *c, const struct iovec *iov, int n);
/* As if it broke by itself: nothing more is written, and ops->broken follows
 * from the loop.  For whoever must not be freed where it stands. */
void conn_break(struct conn *c, int error);
/* Says FIN once what is kept has gone; there must be no writes after it. */
void conn_shutdown(struct conn *c);
/* Octets kept. */
size_t conn_pending(const struct conn *c);

/* Octets that the peer has not acknowledged, kept here or by the kernel.  This
 * going down is how a slow peer differs from a dead one: the kernel takes more
 * only once a third of its buffer, some MiB, is free. */
size_t conn_unacked(const struct conn *c);

/* What c is about from now on, until it closes: octets both ways are counted
 * there, and so is what has been read and was not counted yet, such as all of
 * the current read.  0: nothing. */
void conn_set_tally(struct conn *c, tally_id tally);

/* Starts or stops reading (backpressure). */
void conn_read(struct conn *c, bool on);
/* Gives the connection up (ops->broken, ETIMEDOUT) when what was sent stays
 * unacknowledged for so long: TCP_USER_TIMEOUT. */
void conn_set_dead_after(struct conn *c, uint64_t ms);
/* How many octets the kernel may take and not have sent: TCP_NOTSENT_LOWAT.
 * 1: the socket is full until all that it took has left. */
void conn_set_unsent(struct conn *c, unsigned bytes);
/* Sets (0: clears) the one deadline. */
void conn_set_timer(struct conn *c, uint64_t delay_ms);

/* "127.0.0.1:1234" or "[::1]:1234" of the other end; "unix" otherwise. */
const char *conn_peer(const struct conn *c, char *out, size_t cap);
/* The same without the port. */
const char *conn_peer_host(struct conn *c, char *out, size_t cap);

#endif
