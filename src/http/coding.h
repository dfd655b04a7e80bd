/* coding.h - content codings: whether a client takes one (RFC 9110 12.5.3). */
#ifndef PENSTOCK_HTTP_CODING_H
#define PENSTOCK_HTTP_CODING_H

#include "http/headers.h"

/* Whether Accept-Encoding takes gzip and does not like it less than nothing at
 * all.  Without the field: no, though any could be sent. */
bool coding_gzip_accepted(const struct headers *h);

#endif
