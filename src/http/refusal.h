/* refusal.h - an answer to a connection that is not to be served, whatever it
 * would ask: there is no room. */
#ifndef PENSTOCK_HTTP_REFUSAL_H
#define PENSTOCK_HTTP_REFUSAL_H

/* Answers 503 on fd, which is taken over, and closes it: in such a way that the
 * answer is not lost to a request that was already on its way (RFC 9112 9.6),
 * as long as there are not too many.  retry_s: for Retry-After; detail goes
 * into JSON as it is.  On a worker. */
void refusal_send(int fd, unsigned retry_s, const char *detail);

#endif
