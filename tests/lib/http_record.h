/* http_record.h - feeds bytes to a parser, cut as told, and writes down all it
 * delivers: the same bytes must give the same record wherever they are cut.
 * For the unit test and the fuzzer of parser.c. */
#ifndef PENSTOCK_TESTS_HTTP_RECORD_H
#define PENSTOCK_TESTS_HTTP_RECORD_H

#include <errno.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "http/parser.h"

struct record {
    struct buffer text;
    unsigned messages; /* complete ones */
    bool upgraded;     /* the rest is another protocol's, and in text */
    int result;        /* 0 or -errno */
    struct head_fault fault;
};

struct record_plan {
    enum head_side side;
    bool head_only, may_upgrade;
    size_t cut;  /* first piece; 0: none */
    size_t step; /* pieces after it; 0: all the rest */
};

static inline int record_head(void *arg, const struct http_message *m)
{
    struct record *r = arg;

    buffer_printf(&r->text,
                  "%.*s|%.*s|%.*s|%.*s|%.*s|%u|%.*s|1.%u|%d%d%d%d%d%d%d|%llu\n",
                  STR_ARG(m->method), STR_ARG(m->target), STR_ARG(m->authority),
                  STR_ARG(m->path), STR_ARG(m->query), m->status,
                  STR_ARG(m->reason), m->minor, m->expect_continue, m->has_body,
                  m->chunked, m->until_close, m->has_length, m->keep_alive,
                  m->upgrade, (unsigned long long)m->length);
    for (unsigned i = 0; i < m->headers.count; i++)
        header_write(&r->text, m->headers.list[i].name,
                     m->headers.list[i].value);
    buffer_append_byte(&r->text, '\n');
    r->upgraded = m->upgrade;
    return 0;
}

static inline int record_body(void *arg, const char *data, size_t len)
{
    struct record *r = arg;

    buffer_append(&r->text, data, len);
    return 0;
}

static inline int record_end(void *arg)
{
    struct record *r = arg;

    r->messages++;
    buffer_printf(&r->text, "\n[end]\n");
    return 0;
}

/* Feeds one piece, which ends where its memory does. */
static inline int record_piece(struct record *r, struct parser *p,
                               const char *data, size_t len)
{
    char *copy = malloc(len);
    size_t at = 0;
    ssize_t n = 0;

    if (copy == NULL)
        return -ENOMEM;
    memcpy(copy, data, len);
    while (at < len && n >= 0 && !r->upgraded) {
        n = parser_feed(p, copy + at, len - at);
        at += n > 0 ? (size_t)n : 0;
        if (n >= 0 && !parser_busy(p) && !r->upgraded)
            parser_next(p);
    }
    if (r->upgraded && n >= 0)
        buffer_append(&r->text, copy + at, len - at);
    free(copy);
    return n < 0 ? (int)n : 0;
}

static inline void record_run(struct record *r, const struct record_plan *plan,
                              struct str bytes)
{
    static const struct parser_ops ops = {record_head, record_body, record_end};
    struct parser *p = parser_new(plan->side, &ops, r, NULL);
    size_t at = 0, n = plan->cut;

    *r = (struct record){.result = p == NULL ? -ENOMEM : 0};
    if (p != NULL && plan->head_only)
        parser_expect_no_body(p);
    if (p != NULL && plan->may_upgrade)
        parser_expect_upgrade(p);
    for (; r->result == 0 && at < bytes.n; at += n, n = plan->step) {
        if (n == 0 || n > bytes.n - at)
            n = bytes.n - at;
        r->result = record_piece(r, p, bytes.p + at, n);
    }
    if (r->result == 0 && !r->upgraded)
        r->result = parser_finish(p);
    if (p != NULL)
        r->fault = *parser_fault(p);
    parser_free(p);
}

static inline bool record_same(const struct record *a, const struct record *b)
{
    return a->result == b->result && a->fault.status == b->fault.status &&
           a->fault.reason == b->fault.reason && a->messages == b->messages &&
           str_eq(buffer_str(&a->text), buffer_str(&b->text));
}

static inline void record_fini(struct record *r)
{
    buffer_fini(&r->text);
}

#endif
