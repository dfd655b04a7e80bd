/* socket.h - our end of a backend's WebSocket, of which we are the client (RFC
 * 6455): how it is asked for, whether it was had, and what is said to it.  For
 * the source of that name, and for clients that have one of their own. */
#ifndef PENSTOCK_FEED_SOCKET_H
#define PENSTOCK_FEED_SOCKET_H

#include "http/client.h"
#include "wire/websocket.h"

/* A backend that pings and reads no pongs may not fill our memory with them. */
#define SOCKET_UNSENT_MAX 65536
/* It has this long to close the connection after the closing handshake (7.1.1),
 * or after it was failed. */
#define SOCKET_LEAVE_MS 2000

struct socket {
    char key[24 + 1]; /* 16 octets in base64 (4.1) */
    const char *protocol; /* the one that is offered; NULL: none */
    bool deflate;     /* permessage-deflate: offered, and then: agreed on */
};

/* Writes the fields that ask for it, from Connection on, and the empty line;
 * then client_expect() an upgrade. */
void socket_offer(struct socket *s, bool deflate, struct buffer *out);
/* NULL if the answer agrees (4.1), or else what is wrong: static. */
const char *socket_judge(struct socket *s, const struct http_message *m);

/* Appends a whole frame, masked with a key that nobody can foresee (5.3). */
void socket_frame(struct buffer *out, enum ws_opcode opcode,
                  struct str payload);
/* Sends one.  0 or -ENOMEM. */
int socket_send(struct client *c, enum ws_opcode opcode, struct str payload);
/* The last of all frames (5.5.1). */
void socket_send_close(struct client *c, unsigned code);

#endif
