/* verdict.h - what an answer of a backend, or the lack of one, means to a
 * source, in the words of source_failed().  For all source types that ask. */
#ifndef PENSTOCK_FEED_VERDICT_H
#define PENSTOCK_FEED_VERDICT_H

#include "http/client.h"

struct unpack;

/* Of a client's failure, with its own word for it; streaming: the answer's
 * head has come. */
const char *verdict_failure(enum client_failure failure, bool streaming,
                            const char *why);
/* Of a status that is none of success; static. */
const char *verdict_status(unsigned status);
/* How long the backend wishes to be left alone, in ms; 0: it has no wish.
 * Retry-After (RFC 9110 10.2.3), in seconds up to a day, or a date. */
uint64_t verdict_retry_ms(const struct http_message *m);

/* What unpacks the body, asked for or not: in place of *unpack, which is NULL
 * where it comes as it is.  NULL, or what is wrong with it; static. */
const char *verdict_coding(struct unpack **unpack,
                           const struct http_message *m);
/* Of what unpack_feed() came to; static. */
const char *verdict_unpack(int rc);

#endif
