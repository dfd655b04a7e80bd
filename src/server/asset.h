/* asset.h - files that are part of the program and served to browsers.  They
 * hold nothing of anybody's. */
#ifndef PENSTOCK_SERVER_ASSET_H
#define PENSTOCK_SERVER_ASSET_H

#include "http/exchange.h"

/* Made by src/embed.sh when the program is built; arrays end with no name. */
struct asset {
    const char *name;
    const char *etag; /* "hash", with its quotes */
    const unsigned char *octets;
    size_t bytes;
};

/* The one of that name, or NULL. */
const struct asset *asset_find(const struct asset *list, struct str name);

/* Answers x with it, and with these fields beside its own; or with 304 or 405.
 * Any worker. */
void asset_serve(struct exchange *x, const struct asset *asset,
                 struct answer_headers *fields);

#endif
