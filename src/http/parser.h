/* parser.h - one direction of one HTTP/1 connection: raw bytes in, messages
 * out.  head.c judges the head, llhttp parses it and the body, and what llhttp
 * leaves to us in chunked framing is judged on the way (chunks.c).  What is
 * refused is in doc/refused.md.  RFC 9112.
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
    struct str method;    /* "GET"; always one that llhttp knows */
    struct str target;    /* as received */
    struct str authority; /* of an absolute target, or Host; absent: neither */
    struct str path;      /* of the target, "/" at least, as received; or "*" */
    struct str query;     /* after '?'; absent where there is none */
    bool expect_continue;
    /* responses */
    unsigned status;
    struct str reason;
    /* both */
    unsigned minor;         /* HTTP/1.minor: 0 or 1 */
    struct headers headers; /* of a request: none with '_' in their names */
    bool has_body;          /* body() will be called, unless it is empty */
    bool chunked;           /* by the fields, also where there is no body */
    bool until_close;       /* response body ends with the connection */
    bool has_length;
    uint64_t length; /* Content-Length; 0 where there is none */
    bool keep_alive; /* by version and Connection */
    bool upgrade;    /* asked for: Connection: upgrade, an Upgrade field,
                            * HTTP/1.1, no body; granted: a 101 with both */
};

/* None may be NULL.  They may call parser_next() from end(), but never free
 * the parser: after a result that stops the feed, its caller does. */
struct parser_ops {
    /* The head is whole.  A negative value stops the feed for good and becomes
     * its result, here and below. */
    int (*head)(void *arg, const struct http_message *message);
    /* Some of the body, unframed, never 0 bytes; borrowed.  Trailers are
     * dropped. */
    int (*body)(void *arg, const char *data, size_t len);
    /* The message is complete; feed() returns after this. */
    int (*end)(void *arg);
};

struct parser;

/* A parser of requests, or of responses.  ops is borrowed for ever, limits are
 * copied (NULL: the defaults).  NULL when out of memory. */
struct parser *parser_new(enum head_side side, const struct parser_ops *ops,
                          void *arg, const struct head_limits *limits);
/* As good as new, for another connection: keeps only its memory. */
void parser_lend(struct parser *p, const struct parser_ops *ops, void *arg,
                 const struct head_limits *limits);
/* NULL is allowed. */
void parser_free(struct parser *p);

/* Responses only, before the head arrives: the request was HEAD, so there
 * will be no body whatever the fields say (RFC 9112 6.3).  This and the next
 * hold until a final answer has come: 1xx before it change nothing. */
void parser_expect_no_body(struct parser *p);
/* Responses only: whether a 101 may come (an Upgrade was asked for). */
void parser_expect_upgrade(struct parser *p);

/* Feeds bytes; returns how many were taken: all of them, or fewer where a
 * message ended (the rest belongs to the next one, or after a request that
 * asks for an upgrade or a 101 answer to the new protocol), and none until
 * parser_next() then.  -EBADMSG: refused, see parser_fault().  Other negative
 * values: what a callback returned, or -ENOMEM.  A negative result stays.
 * 1xx answers other than 101 are messages of their own: head and end are called
 * for each.  Where the bytes are cut makes no difference to what is delivered,
 * also before a refusal. */
ssize_t parser_feed(struct parser *p, const char *data, size_t len);
/* The peer closed.  0: the message was complete or none had begun (end is
 * called for a body that runs until close); -EBADMSG: cut off in the middle. */
int parser_finish(struct parser *p);
/* Prepares for the next message on the connection; does nothing before this
 * one has ended.  Slices of its head die. */
void parser_next(struct parser *p);
/* Whether a message has begun (a blank line before a request is none) and not
 * ended. */
bool parser_busy(const struct parser *p);
/* The same, or some octets of a blank line before a request have come: which may
 * not be forgotten, or another one would be let pass, and half of one not. */
bool parser_holds(const struct parser *p);
/* Whether the head is complete, so that a fault is one of the body.  The head
 * was delivered then. */
bool parser_in_body(const struct parser *p);
/* After -EBADMSG: why, and what to answer. */
const struct head_fault *parser_fault(const struct parser *p);

#endif
