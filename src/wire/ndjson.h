/* ndjson.h - newline-delimited JSON, read.  LF separates, CRLF is tolerated,
 * blank lines are keep-alives; two values on a line are two values; a line
 * that is not JSON is counted and skipped and the stream goes on.
 * An object or array is delivered when it is complete, without waiting for
 * its LF: some backends write none. */
#ifndef PENSTOCK_WIRE_NDJSON_H
#define PENSTOCK_WIRE_NDJSON_H

#include "base/buffer.h"

#define NDJSON_BAD_BYTES 64

struct ndjson_parser_ops {
    /* The bytes of one value as they came, no white space around them.
     * Non-zero stops the feed and becomes its result; the parser is then not
     * touched again, so the callback may have freed it. */
    int (*value)(void *arg, struct str value);
    /* What is no JSON, or a value over the limit: the rest of its line is
     * skipped.  line is where it begins, NDJSON_BAD_BYTES at most. */
    void (*bad)(void *arg, const char *why, struct str line);
    /* A blank line: a sign of life.  May be NULL. */
    void (*keepalive)(void *arg);
};

struct ndjson_parser {
    const struct ndjson_parser_ops *ops;
    void *arg;
    bool sequence;      /* a JSON text sequence (RFC 7464): RS begins each text,
                         * LFs may stand in it; set before the first octet */
    size_t limit_bytes; /* of one object or array, and of a line that holds
                         * other values */
    struct buffer line; /* an unfinished line, from its first value not yet
                         * delivered */
    unsigned depth;     /* open brackets in line, if a container began it */
    bool in_string, escaped;
    bool began;    /* the current line has already given a value */
    bool oversize; /* skip to the next LF */
};

void ndjson_parser_init(struct ndjson_parser *p,
                        const struct ndjson_parser_ops *ops, void *arg,
                        size_t limit_bytes);
/* Takes all of data.  0, what ops->value returned, or -ENOMEM (the parser
 * goes on after ndjson_parser_restart). */
int ndjson_parser_feed(struct ndjson_parser *p, const char *data, size_t len);
/* The stream ended: a complete value without its LF is delivered, half a one
 * is reported as bad.  The parser is then as new. */
int ndjson_parser_end(struct ndjson_parser *p);
/* Forgets a half-read line: the stream broke off. */
void ndjson_parser_restart(struct ndjson_parser *p);
void ndjson_parser_fini(struct ndjson_parser *p);

#endif
