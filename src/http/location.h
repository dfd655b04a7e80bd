/* location.h - the place of an http or https URL, and where a Location field
 * leads from there (RFC 3986 5.2, RFC 9110 10.2.2).  Pure. */
#ifndef PENSTOCK_HTTP_LOCATION_H
#define PENSTOCK_HTTP_LOCATION_H

#include "base/buffer.h"

#define LOCATION_HOST_MAX 253     /* octets of a host's name, RFC 1035 2.3.4 */
#define LOCATION_BYTES_MAX 16384  /* of a reference */

struct location {
    bool https;
    uint16_t port;
    char host[LOCATION_HOST_MAX + 1]; /* without brackets, lower case */
    struct buffer path;               /* and query; begins with '/' */
};

/* Moves l to where reference leads; a fragment is left out.  0; -ENOMEM; or
 * -EINVAL for what is no such URL, or has a user in it.  Then l is as before. */
int location_resolve(struct location *l, struct str reference);
/* Whether both are of one scheme, host and port (RFC 6454 4). */
bool location_same_origin(const struct location *a, const struct location *b);
/* Appends "host", "host:port" or "[host]:port", as a Host field has it. */
void location_write_host(const struct location *l, struct buffer *out);
void location_fini(struct location *l);

#endif
