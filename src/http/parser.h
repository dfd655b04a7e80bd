/* parser.h - one direction of one HTTP/1 connection: raw bytes in, messages
 * out.  head.c judges the head, llhttp parses it and the body, and what llhttp
 * leaves to us in chunked framing is judged on the way.  RFC 9112.
 * No I/O; one thread; one message at a time. */
#ifndef PENSTOCK_HTTP_PARSER_H
#define PENSTOCK_HTTP_PARSER_H

#include <sys/types.h>

#include "http/head.h"
#include "http/headers.h"

/* A parsed head.  All slices point into the parser and live until
 * parser_next() or parser_free(). */
struct http_message {
    /* requests */
    struct str method;     /* "GET"; always one that llhttp knows */
    struct str target;     /* as received */
    struct str authority;  /* Host, or the authority of an absolute target */
    struct str path;       /* of the target, "/" at least, as received */
    struct str query;      /* after '?'; absent where there is none */
    bool expect_continue;
    /* responses */
    unsigned status;
    struct str reason;
    /* both */
    unsigned minor;        /* HTTP/1.minor: 0 or 1 */
    struct headers headers;
    bool chunked;
    bool until_close;      /* response body ends with the connection */
    bool has_length;
    uint64_t length;       /* Content-Length; 0 where there is none */
    bool keep_alive;       /* by version and Connection */
    bool upgrade;          /* Connection: upgrade with an Upgrade field */
};

struct parser_ops {
    /* The head is whole.  Non-zero stops the feed and becomes its result. */
    int (*head)(void *arg, const struct http_message *message);
    /* Some of the body, unframed.  Non-zero stops the feed. */
    int (*body)(void *arg, const char *data, size_t len);
    /* The message is complete; feed() returns after this. */
    int (*end)(void *arg);
};

struct parser;

/* A parser of requests, or of responses.  NULL when out of memory. */
struct parser *parser_new(enum head_side side, const struct parser_ops *ops,
                          void *arg, const struct head_limits *limits);
void parser_free(struct parser *p);

/* Responses only, before the head arrives: the request was HEAD, so there
 * will be no body whatever the fields say (RFC 9112 6.3). */
void parser_expect_no_body(struct parser *p);
/* Responses only: whether a 101 may come (an Upgrade was asked for). */
void parser_expect_upgrade(struct parser *p);

/* Feeds bytes; returns how many were taken: all of them, or fewer where a
 * message ended (the rest belongs to the next one, or after a request that
 * asks for an upgrade or a 101 answer to the new protocol).  -EBADMSG: refused,
 * see parser_fault().  Other negative values: what a callback returned, or
 * -ENOMEM.  1xx answers other than 101 are messages of their own: head and end
 * are called for each. */
ssize_t parser_feed(struct parser *p, const char *data, size_t len);
/* The peer closed.  0: the message was complete or none had begun (end is
 * called for a body that runs until close); -EBADMSG: cut off in the middle. */
int parser_finish(struct parser *p);
/* Prepares for the next message on the connection. */
void parser_next(struct parser *p);
/* Whether a message has begun and not ended. */
bool parser_busy(const struct parser *p);
/* Whether the head is complete, so that a fault is one of the body. */
bool parser_in_body(const struct parser *p);
const struct head_fault *parser_fault(const struct parser *p);

#endif
