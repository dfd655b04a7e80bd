/* tunnel.h - requests that become something else (RFC 9110 7.8): who may, and
 * the octets both ways once both sides have agreed.
 *
 * The hard rule: no octet is tunnelled before both sides were checked.  A proxy
 * that tunnels on a mere 101, or after a request that its backend never took
 * for an upgrade, lets a client speak to the backend behind every rule. */
#ifndef PENSTOCK_PROXY_TUNNEL_H
#define PENSTOCK_PROXY_TUNNEL_H

#include "http/parser.h"

struct client;
struct exchange;

/* The protocol to ask the backend for: WebSocket if it is in the list, else
 * the first that is not HTTP or TLS in disguise, in which requests would pass
 * us unseen.  Absent: this is an ordinary request.  A slice of it. */
struct str tunnel_protocol(const struct http_message *request);

/* Judges a request that asks for WebSocket (RFC 6455 4.2.1).  0: it may pass,
 * or is none; else the status to refuse it with: 400, or 426 for another
 * version, with *why, static. */
unsigned tunnel_refusal(const struct http_message *request, const char **why);

/* Whether answer, a 101, grants request the protocol that was asked for (RFC
 * 6455 4.1); *why not, static. */
bool tunnel_granted(const struct http_message *request, struct str protocol,
                    const struct http_message *answer, const char **why);

/* Answers x with 101 and these fields, and carries octets between it and c
 * until both have ended.  Takes both over, also where it fails. */
void tunnel_open(struct exchange *x, struct client *c,
                 const struct headers *headers, struct str protocol);

#endif
