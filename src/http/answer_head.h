/* answer_head.h - the octets of an answer's head in HTTP/1.1 (RFC 9112): status
 * line, the handler's fields, and those that are the connection's. */
#ifndef PENSTOCK_HTTP_ANSWER_HEAD_H
#define PENSTOCK_HTTP_ANSWER_HEAD_H

#include "http/exchange.h"

/* Appends the whole head.  Sets x->chunked where the body goes in chunks;
 * x->keep_alive says already whether the connection goes on.  head->failed:
 * out of memory. */
void answer_head_write(struct buffer *head, struct exchange *x,
                       unsigned status, const struct headers *headers,
                       enum exchange_body body, uint64_t length);
/* That of a 101: nothing after it is HTTP. */
void answer_head_write_upgrade(struct buffer *head, const struct exchange *x,
                               const struct headers *headers);
/* That of any other 1xx: the fields are all there are. */
void answer_head_write_interim(struct buffer *head, unsigned status,
                               const struct headers *headers);

#endif
