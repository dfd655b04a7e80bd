/* fields.h - what of a head goes on to the next hop, and what is added: RFC
 * 9110 7.6, RFC 9112 3.2.  Pure. */
#ifndef PENSTOCK_PROXY_FIELDS_H
#define PENSTOCK_PROXY_FIELDS_H

#include "http/parser.h"

/* What a request's head does not say. */
struct fields_context {
    struct str peer;    /* the client's address, without port or brackets */
    struct str scheme;  /* that the client has asked for: "http", "https" */
    struct str server;  /* "host:port", for requests without an authority */
    struct str upgrade; /* the protocol to ask for; absent: none */
    bool expect;        /* the client waits for 100 Continue */
};

/* Appends the head of the request to send.  Its target is in origin-form, the
 * octets as they were received.  Fields keep their order; gone are those of the
 * connection that it came on: Connection and what that names (but nothing that
 * frames the message or tells where it is from), Keep-Alive, TE and so on.
 * Added: X-Forwarded-For and Forwarded, each one line with the client at its
 * end; X-Forwarded-Proto and -Host, in place of any that came; Via. */
void fields_write_request(struct buffer *out,
                          const struct http_message *request,
                          const struct fields_context *context);

/* Adds to out the fields of an answer that go on to the client, as slices of
 * answer, and Via.  0 or -ENOMEM. */
int fields_pick_answer(struct headers *out, const struct http_message *answer);

/* The value of Max-Forwards, if it counts for this method and is a number
 * (RFC 9110 7.6.2). */
bool fields_max_forwards(const struct http_message *request, uint64_t *hops);

#endif
