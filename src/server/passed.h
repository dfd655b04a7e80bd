/* passed.h - fields of a client's request that its source is to have, and the
 * channel that is theirs: one for all who send the same. */
#ifndef PENSTOCK_SERVER_PASSED_H
#define PENSTOCK_SERVER_PASSED_H

#include "base/buffer.h"
#include "http/headers.h"

/* Appends, of those that h has, the fields with these names (NULL-ended), as
 * "Name: value\r\n"...: what an upstream request carries.  Secret. */
void passed_collect(struct buffer *out, const struct headers *h,
                    char *const *names);
/* Appends to a channel's name what tells it from those of others: see
 * config_base_name().  It cannot be found out without this process's key, nor
 * can what was passed be found from it. */
void passed_name(struct buffer *name, struct str passed);

#endif
