/* websocket.h - RFC 6455 frames, both ways and both roles.  Pure: bytes in,
 * messages out; what to answer is the caller's. */
#ifndef PENSTOCK_WIRE_WEBSOCKET_H
#define PENSTOCK_WIRE_WEBSOCKET_H

#include "base/buffer.h"

struct inflater;

enum ws_opcode { /* RFC 6455 5.2 */
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
};

enum ws_close_code { /* RFC 6455 7.4.1 and the IANA registry */
    WS_NORMAL = 1000,
    WS_GOING_AWAY = 1001,
    WS_PROTOCOL_ERROR = 1002,
    WS_UNSUPPORTED = 1003,
    WS_NO_CODE = 1005, /* never on the wire: a Close without a body */
    WS_BAD_DATA = 1007,
    WS_POLICY = 1008,
    WS_TOO_BIG = 1009,
    WS_INTERNAL_ERROR = 1011,
    WS_RESTART = 1012,
    WS_TRY_LATER = 1013,
    WS_BAD_GATEWAY = 1014,
};

enum ws_role { WS_SERVER, WS_CLIENT }; /* which end reads: a server wants masks */

struct ws_parser_ops {
    /* A whole text or binary message, inflated if it came deflated.  Non-zero stops the feed and becomes
     * its result; the parser is then not touched again, so the callback may
     * have freed it.  data is borrowed, and unmasked. */
    int (*message)(void *arg, enum ws_opcode opcode, struct str data);
    /* A ping, pong or close, at once, also between fragments.  A close's
     * body has been checked (5.5.1, 7.4): code is WS_NO_CODE if empty. */
    int (*control)(void *arg, enum ws_opcode opcode, struct str data);
};

/* 4 MiB may come in pieces of 64 octets; millions of empty ones may not. */
#define WS_FRAGMENTS_MAX 131072

struct ws_parser {
    const struct ws_parser_ops *ops;
    void *arg;
    enum ws_role role;
    size_t limit_bytes;      /* of one message; checked from declared lengths */
    bool deflate;            /* the owner's: permessage-deflate is agreed on */
    unsigned fragment_limit; /* frames of one message: WS_FRAGMENTS_MAX */
    uint8_t head[14];        /* an unfinished frame head */
    uint8_t head_len;
    uint8_t utf8_state;      /* of the open text message */
    bool in_frame;           /* payload_left octets to come */
    bool closed;             /* after a close frame: the rest is ignored */
    uint8_t opcode;          /* of the current frame */
    bool fin;
    uint8_t mask[4], mask_at;
    uint8_t message_opcode;  /* of the open message, 0 if none */
    bool deflated;           /* the open message is */
    unsigned fragments;
    uint64_t payload_left;
    uint64_t deflated_bytes; /* of the open message, as declared so far */
    struct inflater *inflater; /* there only in a deflated message */
    struct buffer message;   /* payload so far; freed between messages */
    uint8_t control[125];
    uint8_t control_len;
    uint16_t fail_code;      /* why the feed failed, a ws_close_code */
    const char *fail_reason;
};

void ws_parser_init(struct ws_parser *p, const struct ws_parser_ops *ops,
                    void *arg, enum ws_role role, size_t limit_bytes);
/* Takes all of data, unmasking it in place.  0; what a callback returned; or
 * -EPROTO with fail_code and fail_reason set (the connection is to be failed
 * with that code, 7.1.7), at the first octet that can be known to be wrong:
 * RSV bits (RSV1 on the first frame of a message is right with deflate, RFC
 * 7692 6), reserved opcodes, wrong masking, non-minimal lengths, control
 * frames over 125 octets or fragmented, continuations out of place -> 1002;
 * text that is not UTF-8 -> 1007 at the bad octet, and what cannot be inflated;
 * declared lengths over the limit -> 1009 before memory is taken, and what
 * inflates beyond it, at that octet; too many fragments -> 1008.  -ENOMEM
 * leaves no way to go on either: 1011.  Any later feed fails alike. */
int ws_parser_feed(struct ws_parser *p, char *data, size_t len);
/* No message or frame is half-read, so the parser could be freed, and made
 * anew when the next octet comes. */
bool ws_parser_idle(const struct ws_parser *p);
void ws_parser_fini(struct ws_parser *p);

/* The code in a close frame's checked body; WS_NO_CODE where it is empty. */
unsigned ws_close_body_code(struct str body);
/* Whether code may stand in a close frame (7.4.1, 7.4.2). */
bool ws_close_code_ok(unsigned code);

/* In a head's first octet: the last frame of a message; a deflated one. */
#define WS_FIN  0x80
#define WS_RSV1 0x40
#define WS_HEAD_MAX 14
/* Writes the head of a single unfragmented frame; returns its length.  With
 * mask (client role) the payload has to be masked by ws_mask. */
size_t ws_frame_head(uint8_t out[WS_HEAD_MAX], enum ws_opcode opcode,
                     uint64_t payload_len, const uint8_t mask[4]);
void ws_mask(char *data, size_t len, const uint8_t mask[4], size_t at);
/* Appends a whole unmasked frame (server role). */
void ws_encode(struct buffer *out, enum ws_opcode opcode, struct str payload);
/* Appends a close frame; reason (may be NULL) is cut to fit 123 octets at a
 * UTF-8 edge.  WS_NO_CODE gives a frame without a body. */
void ws_encode_close(struct buffer *out, enum ws_close_code code,
                     const char *reason);

#define WS_ACCEPT_LEN 28
/* Sec-WebSocket-Accept for a key that is ws_key_ok (4.2.2), terminated; empty
 * for a longer key, or if libcrypto cannot hash. */
void ws_accept(struct str key, char out[WS_ACCEPT_LEN + 1]);
/* Whether a Sec-WebSocket-Key decodes to 16 octets (4.2.1). */
bool ws_key_ok(struct str key);

#endif
