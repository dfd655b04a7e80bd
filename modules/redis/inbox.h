/* inbox.h - what clients say, as messages of a channel (PUBLISH) or entries of
 * a stream (XADD).  Each worker has one connection to a Redis for all that its
 * clients say; it is kept a while for the next. */
#ifndef PENSTOCK_REDIS_INBOX_H
#define PENSTOCK_REDIS_INBOX_H

#include "feed/inbox.h"

extern const struct inbox_type redis_inbox;

#endif
