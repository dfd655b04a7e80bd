/* http1.h - HTTP/1.0 and 1.1 towards clients (RFC 9112): connections that hand
 * out exchanges, one at a time, in order. */
#ifndef PENSTOCK_HTTP_HTTP1_H
#define PENSTOCK_HTTP_HTTP1_H

struct service;

/* Serves an accepted socket on the calling worker; fd is taken over.  service
 * outlives the connection, and its closed() is told guest.  0; or -ENOMEM, fd is closed. */
int http1_accept(int fd, const struct service *service, void *guest);

#endif
