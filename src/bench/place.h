/* place.h - where a load test reads and posts: the URLs of its channels, and how
 * their server is spoken to.  Pure. */
#ifndef PENSTOCK_BENCH_PLACE_H
#define PENSTOCK_BENCH_PLACE_H

#include "http/location.h"

struct tls_server;

/* A URL with {channel} in it, made for each channel. */
struct places {
    struct location *list;
    unsigned count;
};
/* 0, -EINVAL (no http, https, ws or wss URL) or -ENOMEM. */
int places_init(struct places *p, const char *url, unsigned count);
void places_fini(struct places *p);

/* Which certificates are good. */
struct trust {
    const char *ca; /* a file of PEM; NULL: the system's authorities */
    bool insecure;  /* any */
};
/* *out: whom to speak TLS with there, the caller's reference; NULL where it is
 * plain.  0 or -errno; *why may then say more, and is static. */
int place_trust(struct tls_server **out, const struct location *at,
                const struct trust *trust, const char **why);

#endif
