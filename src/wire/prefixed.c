#include "wire/prefixed.h"

#include <errno.h>

#define KEEP_BYTES 65536 /* of memory between records */
#define DIGITS_MAX 18    /* no overflow, and no length of this world */
#define OCTETS     4

void prefixed_parser_init(struct prefixed_parser *p, enum prefix prefix,
                          const struct prefixed_parser_ops *ops, void *arg,
                          size_t limit_bytes)
{
    *p = (struct prefixed_parser){.ops = ops,
                                  .arg = arg,
                                  .limit_bytes = limit_bytes,
                                  .prefix = prefix};
}

static void expect_prefix(struct prefixed_parser *p)
{
    p->prefix_len = 0;
    p->left = 0;
    p->cr = p->inside = p->oversize = false;
}

void prefixed_parser_restart(struct prefixed_parser *p)
{
    buffer_fini(&p->record);
    expect_prefix(p);
}

void prefixed_parser_fini(struct prefixed_parser *p)
{
    prefixed_parser_restart(p);
}

/* ---- the prefix -------------------------------------------------------------- */

/* NEXT took the octet; END took it, too, and that was the prefix; BEFORE found
 * the prefix's end in front of it. */
enum step { NEXT, END, BEFORE, WRONG };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static enum step step_digits(struct prefixed_parser *p, char c)
{
    if (p->cr)
        return c == '\n' ? END : WRONG;
    if (is_digit(c)) {
        p->left = p->left * 10 + (uint64_t)(c - '0');
        return ++p->prefix_len > DIGITS_MAX ? WRONG : NEXT;
    }
    if (p->prefix_len == 0)
        return is_space(c) ? NEXT : WRONG;
    p->cr = c == '\r';
    if (p->cr)
        return NEXT;
    return c == '\n' || c == ' ' ? END : BEFORE;
}

static enum step step_octets(struct prefixed_parser *p, char c)
{
    p->left = p->left << 8 | (unsigned char)c;
    return ++p->prefix_len == OCTETS ? END : NEXT;
}

static int take_prefix(struct prefixed_parser *p, struct str *s)
{
    enum step step = NEXT;

    while (s->n > 0 && step == NEXT) {
        step = p->prefix == PREFIX_DECIMAL ? step_digits(p, s->p[0])
                                           : step_octets(p, s->p[0]);
        if (step == WRONG)
            return -EPROTO;
        if (step != BEFORE)
            s->p++, s->n--;
    }
    if (step == NEXT)
        return 0;
    p->inside = true;
    p->oversize = p->left > p->limit_bytes;
    if (p->oversize)
        p->ops->bad(p->arg, "over the limit");
    if (p->left == 0)
        expect_prefix(p);
    return 0;
}

/* ---- the record -------------------------------------------------------------- */

static int deliver(struct prefixed_parser *p, struct str record)
{
    bool large = p->record.cap > KEEP_BYTES;
    int rc;

    p->record.len = 0;
    expect_prefix(p);
    rc = p->ops->record(p->arg, record);
    if (rc == 0 && large)
        buffer_fini(&p->record);
    return rc;
}

static int take_record(struct prefixed_parser *p, struct str *s)
{
    struct str part = {s->p, p->left < s->n ? (size_t)p->left : s->n};

    s->p += part.n;
    s->n -= part.n;
    p->left -= part.n;
    if (p->oversize) {
        if (p->left == 0)
            expect_prefix(p);
        return 0;
    }
    if (p->left == 0 && p->record.len == 0)
        return deliver(p, part);
    buffer_append_str(&p->record, part);
    if (p->record.failed)
        return -ENOMEM;
    return p->left == 0 ? deliver(p, buffer_str(&p->record)) : 0;
}

int prefixed_parser_feed(struct prefixed_parser *p, const char *data,
                         size_t len)
{
    struct str rest = {data, len};
    int rc = p->record.failed ? -ENOMEM : 0;

    while (rc == 0 && rest.n > 0)
        rc = p->inside ? take_record(p, &rest) : take_prefix(p, &rest);
    return rc;
}

void prefixed_parser_end(struct prefixed_parser *p)
{
    if (p->prefix_len > 0 && !p->oversize)
        p->ops->bad(p->arg, "half a record");
    prefixed_parser_restart(p);
}
