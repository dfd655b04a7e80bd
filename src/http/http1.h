/* http1.h - HTTP/1.0 and 1.1 towards clients (RFC 9112): connections that hand
 * out exchanges, one at a time, in order. */
#ifndef PENSTOCK_HTTP_HTTP1_H
#define PENSTOCK_HTTP_HTTP1_H

struct service;
struct tls_context;

/* Serves an accepted socket on the calling worker; fd is taken over.  service
 * outlives the connection, and its closed() is told guest.  tls is borrowed;
 * NULL: it is spoken plainly.  0; or -ENOMEM, fd is closed. */
int http1_accept(int fd, const struct service *service,
                 struct tls_context *tls, void *guest);

#endif
