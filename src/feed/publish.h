/* publish.h - the way in for backends that come to us: a POST whose body is
 * one message, or a stream of NDJSON or SSE for as long as it likes. */
#ifndef PENSTOCK_FEED_PUBLISH_H
#define PENSTOCK_FEED_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>

struct channel;
struct exchange;

/* Answers x, a POST, by appending its body to channel (a reference is taken).
 * limit_bytes: of one message; 413 beyond.  json: 400 for what is none. */
void publish_open(struct exchange *x, struct channel *channel,
                  size_t limit_bytes, bool json);

#endif
