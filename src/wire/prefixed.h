/* prefixed.h - records that each stand behind their length, read. */
#ifndef PENSTOCK_WIRE_PREFIXED_H
#define PENSTOCK_WIRE_PREFIXED_H

#include "base/buffer.h"

enum prefix {
    /* Digits, and a space or a line end that belongs to neither; or nothing,
     * where no record begins with a digit or white space.  White space between
     * records is skipped. */
    PREFIX_DECIMAL,
    PREFIX_UINT32, /* four octets, the most significant first */
};

struct prefixed_parser_ops {
    /* One record, not empty.  Non-zero stops the feed and becomes its result;
     * the parser is then not touched again, so the callback may have freed
     * it. */
    int (*record)(void *arg, struct str record);
    /* A record over the limit, or half of one at the end, is left out. */
    void (*bad)(void *arg, const char *why);
};

struct prefixed_parser {
    const struct prefixed_parser_ops *ops;
    void *arg;
    size_t limit_bytes;   /* of one record */
    enum prefix prefix;
    unsigned prefix_len;  /* octets of the prefix that have come */
    bool cr;              /* the last of them was the CR behind the digits */
    bool inside;          /* the prefix is whole */
    bool oversize;
    uint64_t left;        /* the length so far; inside, what has not come */
    struct buffer record; /* what has */
};

void prefixed_parser_init(struct prefixed_parser *p, enum prefix prefix,
                          const struct prefixed_parser_ops *ops, void *arg,
                          size_t limit_bytes);
/* Takes all of data.  0, what ops->record returned, -EPROTO where a length has
 * to be and is none, after which nothing can be found again, or -ENOMEM; to go
 * on after these: prefixed_parser_restart(). */
int prefixed_parser_feed(struct prefixed_parser *p, const char *data,
                         size_t len);
/* The stream ended.  The parser is then as new. */
void prefixed_parser_end(struct prefixed_parser *p);
/* Forgets a half-read record: the stream broke off. */
void prefixed_parser_restart(struct prefixed_parser *p);
void prefixed_parser_fini(struct prefixed_parser *p);

#endif
