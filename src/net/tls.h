/* tls.h - TLS towards a server, or a client that came to us, as a codec: the
 * peer's octets go in, ours come out, and between them is what is really said.
 * No sockets, and no memory but OpenSSL's where nothing is under way.
 *
 * The hard rule: an end that the peer has not announced (close_notify) is not an
 * end but a cut (RFC 8446 6.1). */
#ifndef PENSTOCK_NET_TLS_H
#define PENSTOCK_NET_TLS_H

#include <sys/types.h>
#include <sys/uio.h>

#include "base/buffer.h"

/* ---- settings ------------------------------------------------------------- */

/* Whom to trust, and who we are.  Absent: the system's authorities; no
 * certificate of our own. */
struct tls_settings {
    bool listens; /* for clients that come to us: cert and key are needed */
    bool verify;
    struct str ca, cert, key; /* PEM, as read from their files */
};

/* What one of them is at fault for. */
enum tls_setting { TLS_CA, TLS_CERT, TLS_KEY, TLS_OTHER };

/* Settings made ready; held by the servers that they are for.  Counted, any
 * thread. */
struct tls_context;

/* 0; -ENOMEM; or -EINVAL, with what is wrong with which setting: *why reads on
 * from "FILE ", and is good until the next call on this thread. */
int tls_context_new(struct tls_context **out, const struct tls_settings *s,
                    enum tls_setting *which, const char **why);
struct tls_context *tls_context_ref(struct tls_context *c);
/* Whether both were made of the same, down to what stood in the files.  Either
 * may be NULL. */
bool tls_context_same(const struct tls_context *a, const struct tls_context *b);
/* Drops the caller's reference and sets *cp to NULL; it may be NULL. */
void tls_context_unref(struct tls_context **cp);

/* ---- one server ----------------------------------------------------------- */

/* A server to speak TLS with: counted, any thread.  It remembers sessions, so
 * that the next connections' handshakes are short. */
struct tls_server;

/* name is the host that the certificate must be for, and is asked for by SNI
 * where it is no address.  foreign: it is none that the settings are about, and
 * does not get our certificate.  NULL when out of memory. */
struct tls_server *tls_server_new(struct tls_context *context,
                                  const char *name, bool foreign);
struct tls_server *tls_server_ref(struct tls_server *s);
/* Sets *sp to NULL; it may be NULL. */
void tls_server_unref(struct tls_server **sp);
/* The same text for servers that are spoken to in the same way, down to what
 * stood in the files; "" for NULL, which is plain TCP. */
const char *tls_server_id(const struct tls_server *s);

/* ---- one connection ------------------------------------------------------- */

struct tls;

enum tls_state {
    TLS_HANDSHAKE,   /* not yet said who is who */
    TLS_OPEN,
    TLS_ENDED,       /* the peer has announced that it sends no more */
    TLS_UNTRUSTED,   /* its certificate: see tls_why() */
    TLS_FAILED,      /* what it says is no TLS, or it refused: see tls_why() */
    TLS_PLAIN,       /* a client's: not only no TLS, but most likely HTTP */
};

/* Begins a handshake, whose first octets are there to send.  Takes a reference
 * to server.  NULL when out of memory. */
struct tls *tls_new(struct tls_server *server);
/* The other side of it: a client begins.  context is borrowed, and may be let
 * go.  NULL when out of memory. */
struct tls *tls_accept(struct tls_context *context);
/* Frees *tp and sets it to NULL; it may be NULL. */
void tls_free(struct tls **tp);

/* What the peer sent, all of which is taken.  0 or -ENOMEM. */
int tls_feed(struct tls *t, const void *data, size_t len);
/* Takes what it says out of that: 1..cap octets, or 0 when there is no more for
 * now, and the state may have changed.  Drives the handshake, too. */
size_t tls_read(struct tls *t, void *out, size_t cap);
/* Whether tls_read() may find something without another tls_feed(). */
bool tls_holds(const struct tls *t);
/* Says n vectors, once the handshake is over.  0 or -EPIPE. */
int tls_write(struct tls *t, const struct iovec *iov, int n);
/* Says of them, behind the first from octets, what one record holds, which is
 * 16 KiB.  How many that are, or -EPIPE. */
ssize_t tls_write_record(struct tls *t, const struct iovec *iov, int n,
                         size_t from);
/* Announces that we send no more. */
void tls_end(struct tls *t);

/* What is to be sent to the peer, after any of the above; valid until the next
 * call. */
struct str tls_output(const struct tls *t);
/* The first len octets of it have been sent, or kept. */
void tls_sent(struct tls *t, size_t len);

enum tls_state tls_state(const struct tls *t);
/* For people, printable, until t is freed: what TLS_UNTRUSTED and TLS_FAILED
 * came of. */
const char *tls_why(const struct tls *t);

#endif
