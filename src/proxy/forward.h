/* forward.h - plain proxying: a request goes to a backend, its answer comes
 * back, and neither is looked at or held longer than the slower side takes
 * (RFC 9110 7.6, RFC 9112).
 *
 * The hard rule: what did not end well must not look whole.  A backend that
 * dies in mid-answer costs the client its connection. */
#ifndef PENSTOCK_PROXY_FORWARD_H
#define PENSTOCK_PROXY_FORWARD_H

struct backend;
struct exchange;

/* Octets that one side may be behind before the other is read no more: this,
 * and one read, is the most that a slow client or backend costs. */
#define FORWARD_HIGH_WATER (256 * 1024)

/* Answers x from b, or says why not: 502 (no connection, or an answer that
 * cannot be passed on), 504 (none in time), each a problem document with
 * Proxy-Status (RFC 9209).  Called from dispatch; b outlives the exchange. */
void forward_exchange(struct exchange *x, const struct backend *b);

#endif
