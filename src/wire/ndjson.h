/* ndjson.h - newline-delimited JSON, read.  LF separates, CRLF is tolerated,
 * blank lines are keep-alives; two values on a line are two values; a line
 * that is not JSON is counted and skipped and the stream goes on. */
#ifndef PENSTOCK_WIRE_NDJSON_H
#define PENSTOCK_WIRE_NDJSON_H

#include "base/buffer.h"

struct ndjson_parser_ops {
    /* The bytes of one value as they came, no white space around them.
     * Non-zero stops the feed and becomes its result. */
    int (*value)(void *arg, struct str value);
    /* A line that is no JSON (first octets of it), or over the limit. */
    void (*bad)(void *arg, const char *why, struct str line);
    /* A blank line: a sign of life.  May be NULL. */
    void (*keepalive)(void *arg);
};

struct ndjson_parser {
    const struct ndjson_parser_ops *ops;
    void *arg;
    size_t limit_bytes; /* of one line */
    struct buffer line;
    bool oversize; /* skip to the next LF */
};

void ndjson_parser_init(struct ndjson_parser *p,
                        const struct ndjson_parser_ops *ops, void *arg,
                        size_t limit_bytes);
/* Takes all of data.  0, what ops->value returned, or -ENOMEM. */
int ndjson_parser_feed(struct ndjson_parser *p, const char *data, size_t len);
/* The stream ended: a complete value without its LF is delivered, half a one
 * is reported as bad.  The parser is then as new. */
int ndjson_parser_end(struct ndjson_parser *p);
/* Forgets a half-read line: the stream broke off. */
void ndjson_parser_restart(struct ndjson_parser *p);
void ndjson_parser_fini(struct ndjson_parser *p);

#endif
