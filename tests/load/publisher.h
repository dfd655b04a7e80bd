/* publisher.h - POSTs to the admin listener, many on the way at a time on a few
 * connections.  A channel's messages all go over the same one, so that they
 * arrive in order. */
#ifndef PENSTOCK_TESTS_LOAD_PUBLISHER_H
#define PENSTOCK_TESTS_LOAD_PUBLISHER_H

#include "peer.h"

#define PUBLISHERS 4

/* Connections are made as they are needed. */
void publisher_init(uint16_t admin_port);
/* Publishes data to channel; key picks the connection. */
void publisher_post(unsigned key, const char *channel, const char *data,
                    size_t len);
/* How many are on the way: posted, and not answered yet.  An answer that is
 * not 201 ends the process. */
unsigned long publisher_pending(void);

#endif
