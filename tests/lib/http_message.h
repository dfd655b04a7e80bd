/* http_message.h - a parsed head for tests of what is done with one. */
#ifndef PENSTOCK_TESTS_HTTP_MESSAGE_H
#define PENSTOCK_TESTS_HTTP_MESSAGE_H

#include "http/parser.h"

static inline int keep_message(void *arg, const struct http_message *m)
{
    *(const struct http_message **)arg = m;
    return 0;
}

static inline int ignore_body(void *arg, const char *data, size_t len)
{
    return 0;
}

static inline int ignore_end(void *arg)
{
    return 0;
}

/* Parses bytes; *m gets the message, or NULL where they are refused or end
 * before the head does.  It lives as long as the parser, the caller's. */
static inline struct parser *parse_message(enum head_side side,
                                           struct str bytes,
                                           const struct http_message **m)
{
    static const struct parser_ops ops = {keep_message, ignore_body,
                                          ignore_end};
    struct parser *p = parser_new(side, &ops, m, NULL);

    *m = NULL;
    if (p == NULL)
        return NULL;
    if (side == HEAD_RESPONSE)
        parser_expect_upgrade(p);
    parser_feed(p, bytes.p, bytes.n);
    return p;
}

#endif
