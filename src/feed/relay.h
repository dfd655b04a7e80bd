/* relay.h - a message by POST from a client whose transport is one-way, to the
 * backend that the route's "receive" names; its answer is the client's. */
#ifndef PENSTOCK_FEED_RELAY_H
#define PENSTOCK_FEED_RELAY_H

struct exchange;
struct feed;

/* Answers x, a POST: with what the backend says to it, or 413, 400 (no JSON,
 * where that is asked for), 502 or 504. */
void relay_open(struct exchange *x, const struct feed *feed);

#endif
