/* target.h - where the next request of a source goes: to one of its backend's
 * servers, at its configured URL, or to where an answer has sent it since (RFC
 * 9110 15.4).  For all source types that ask a backend. */
#ifndef PENSTOCK_FEED_TARGET_H
#define PENSTOCK_FEED_TARGET_H

#include "http/client.h"
#include "http/location.h"

struct backend_server;
struct source;

/* The most redirects from one URL: as browsers' fetch once had it, and more
 * than anything needs. */
#define TARGET_REDIRECTS_MAX 5

/* All zero is one that has not begun. */
struct target {
    struct location at;
    struct tls_server *tls; /* a reference; NULL: plain */
    unsigned redirects;
    bool foreign;           /* no server of the backend: gets no secrets */
};

/* Begins at path (and query) on the server whose turn it is.  0 or -ENOMEM. */
int target_begin(struct target *t, const struct source *s, struct str path);
/* The server that it is at, for the pool; NULL: none of the backend's. */
const struct backend_server *target_server(const struct target *t,
                                           const struct source *s);
/* As client_connect(). */
struct client *target_connect(const struct target *t, const struct source *s,
                              const struct client_ops *ops, void *arg);
/* Writes a GET's request line, the fields that the source's settings and its
 * clients ask for, and which codings can be read; others, and the empty line,
 * follow. */
void target_write_request(const struct target *t, const struct source *s,
                          struct buffer *out);
/* Whether an answer is a redirect that may be followed; *location is where to,
 * and empty where it does not say. */
bool target_is_redirect(const struct http_message *m, struct str *location);
/* Moves there, as far as the settings let it.  NULL, or why not: static. */
const char *target_follow(struct target *t, const struct source *s,
                          struct str location);
/* Writes path and query with one more parameter, percent-encoded (RFC 3986
 * 3.4). */
void target_write_param(struct buffer *out, struct str path, const char *name,
                        const char *value);
void target_fini(struct target *t);

#endif
