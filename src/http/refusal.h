/* refusal.h - an answer to a connection that is not to be served, whatever it
 * would ask: there is no room. */
#ifndef PENSTOCK_HTTP_REFUSAL_H
#define PENSTOCK_HTTP_REFUSAL_H

struct tls_context;

/* Answers 503 on fd, which is taken over, and closes it: in such a way that the
 * answer is not lost to a request that was already on its way (RFC 9112 9.6),
 * as long as there are not too many.  tls is borrowed; NULL: it is spoken
 * plainly; too many are not answered there, but closed.  retry_s: for
 * Retry-After; detail is a literal, and goes into JSON as it is.  On a worker. */
void refusal_send(int fd, struct tls_context *tls, unsigned retry_s,
                  const char *detail);

#endif
