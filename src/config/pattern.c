#include "config/pattern.h"

#include <errno.h>
#include <stdlib.h>

static bool is_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

bool pattern_unreserved(int c)
{
    return is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

static int hex(char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int pattern_escape(struct str s)
{
    if (s.n < 3 || s.p[0] != '%' || hex(s.p[1]) < 0 || hex(s.p[2]) < 0)
        return -1;
    return hex(s.p[1]) * 16 + hex(s.p[2]);
}

static struct str rest_of(struct str s, size_t n)
{
    return (struct str){s.p + n, s.n - n};
}

static void encode(int octet, struct buffer *out)
{
    static const char digits[] = "0123456789ABCDEF";

    buffer_append_byte(out, '%');
    buffer_append_byte(out, digits[octet >> 4]);
    buffer_append_byte(out, digits[octet & 15]);
}

/* One escape or one octet; returns how many octets of s that was.  A '%' that
 * begins no escape is encoded: "%%32e" would otherwise become "%2e", and that
 * a dot for whoever reads it next. */
static size_t normalize_one(struct str s, struct buffer *out)
{
    int octet = pattern_escape(s);

    if (octet < 0) {
        if (s.p[0] == '%')
            encode('%', out);
        else
            buffer_append_byte(out, s.p[0]);
        return 1;
    }
    if (pattern_unreserved(octet))
        buffer_append_byte(out, (char)octet);
    else
        encode(octet, out);
    return 3;
}

void pattern_normalize(struct str s, struct buffer *out)
{
    while (s.n > 0)
        s = rest_of(s, normalize_one(s, out));
}

/* Reading a pattern ------------------------------------------------------- */

static bool name_valid(struct str name)
{
    if (name.n == 0 || is_digit(name.p[0]))
        return false;
    for (size_t i = 0; i < name.n; i++)
        if (!is_letter(name.p[i]) && !is_digit(name.p[i]) && name.p[i] != '_')
            return false;
    return true;
}

static bool name_known(const struct pattern *p, struct str name)
{
    for (unsigned i = 0; i < p->part_count; i++)
        if (str_eq(p->parts[i].name, name))
            return true;
    return false;
}

static const char *add_part(struct pattern *p, struct str literal,
                            struct str name)
{
    if (p->part_count == PATTERN_PARTS_MAX)
        return "more than 32 parts";
    if (p->part_count > 0 && literal.n == 0 && name.n > 0)
        return "two names with nothing between them";
    p->parts[p->part_count++] = (struct pattern_part){literal, name};
    return NULL;
}

/* {name} at s: its octets with the braces in *used. */
static const char *read_name(struct pattern *p, struct str literal,
                             struct str s, size_t *used)
{
    const char *close = memchr(s.p, '}', s.n);
    struct str name;

    if (close == NULL)
        return "a { that is not closed";
    name = (struct str){s.p + 1, (size_t)(close - s.p) - 1};
    *used = name.n + 2;
    if (!name_valid(name))
        return "a {name} is made of letters, digits and _";
    if (name_known(p, name))
        return "the same {name} twice";
    return add_part(p, literal, name);
}

static const char *read_parts(struct pattern *p, bool is_path)
{
    struct str s = str_of(p->text), literal = {s.p, 0};

    while (s.n > 0) {
        const char *why;
        size_t used = 1;

        switch (s.p[0]) {
        case '{':
            why = read_name(p, literal, s, &used);
            if (why != NULL)
                return why;
            literal = (struct str){s.p + used, 0};
            break;
        case '}':
            return "a } without a {";
        case '*':
            if (!is_path) {
                literal.n++;
                break;
            }
            if (s.n > 1 || (s.p > p->text && s.p[-1] != '/'))
                return "a * that is not the whole last segment";
            return add_part(p, literal, (struct str){s.p, 1});
        default:
            literal.n++;
        }
        s = rest_of(s, used);
    }
    if (literal.n > 0 || p->part_count == 0)
        return add_part(p, literal, STR_NONE);
    return NULL;
}

static int init(struct pattern *p, const char *text, bool is_path,
                const char **why)
{
    *p = (struct pattern){.text = strdup(text)};
    if (p->text == NULL)
        return -ENOMEM;
    *why = read_parts(p, is_path);
    return *why == NULL ? 0 : -EINVAL;
}

int pattern_init(struct pattern *p, const char *text, const char **why)
{
    return init(p, text, true, why);
}

int pattern_init_text(struct pattern *p, const char *text, const char **why)
{
    return init(p, text, false, why);
}

void pattern_fini(struct pattern *p)
{
    free(p->text);
    *p = (struct pattern){0};
}

/* Matching ---------------------------------------------------------------- */

/* The escape at *s against the literal, which is in normal form.  Returns how
 * much of the literal it stands for; 0: something else. */
static size_t take_escape(struct str literal, struct str *s)
{
    int octet = pattern_escape(*s);
    size_t n = 3;

    if (octet < 0) {
        if (s->n == 0 || literal.p[0] != s->p[0])
            return 0;
        *s = rest_of(*s, 1);
        return 1;
    }
    if (pattern_unreserved(octet)) {
        if ((unsigned char)literal.p[0] != octet)
            return 0;
        n = 1;
    } else if (pattern_escape(literal) != octet) {
        return 0;
    }
    *s = rest_of(*s, 3);
    return n;
}

/* Takes the literal off the front of *s.  This is what a request pays for
 * each route that is not its own, mostly for one octet or two. */
static bool take_literal(struct str literal, struct str *s)
{
    struct str left = *s;

    while (literal.n > 0) {
        size_t n = 1;

        if (left.n == 0)
            return false;
        if (left.p[0] == '%')
            n = take_escape(literal, &left);
        else if (left.p[0] != literal.p[0])
            return false;
        else
            left = rest_of(left, 1);
        if (n == 0)
            return false;
        literal = rest_of(literal, n);
    }
    *s = left;
    return true;
}

/* "." and "..", also as escapes: a value like that would climb out of the
 * place that a template puts it in. */
static bool is_dots(struct str s)
{
    unsigned dots = 0;

    while (s.n > 0) {
        size_t n = s.p[0] == '.' ? 1 : pattern_escape(s) == '.' ? 3 : 0;

        if (n == 0)
            return false;
        dots++;
        s = rest_of(s, n);
    }
    return dots == 1 || dots == 2;
}

/* How much of s a {name} takes that next follows: up to the first place where
 * next fits (at the end of s, where next is the last).  0: nowhere. */
static size_t name_length(struct str s, const struct pattern_part *next)
{
    size_t n = 0;

    while (n < s.n && s.p[n] != '/') {
        struct str after;

        n += pattern_escape(rest_of(s, n)) < 0 ? 1 : 3;
        after = rest_of(s, n);
        if (next != NULL && take_literal(next->literal, &after) &&
            (next->name.n > 0 || after.n == 0))
            return n;
    }
    return next == NULL && n == s.n ? n : 0;
}

static void give(struct pattern_values *values, struct str name,
                 struct str value)
{
    if (values == NULL)
        return;
    values->names[values->count] = name;
    values->values[values->count++] = value;
}

bool pattern_match(const struct pattern *p, struct str s,
                   struct pattern_values *values)
{
    const struct pattern_part *part = p->parts, *end = part + p->part_count;

    if (values != NULL)
        values->count = 0;
    for (; part < end; part++) {
        const struct pattern_part *next = part + 1 < end ? part + 1 : NULL;
        size_t n;

        if (!take_literal(part->literal, &s))
            return false;
        if (part->name.n == 0)
            break;
        if (part->name.p[0] == '*') {
            give(values, part->name, s);
            return true;
        }
        n = name_length(s, next);
        if (n == 0 || is_dots((struct str){s.p, n}))
            return false;
        give(values, part->name, (struct str){s.p, n});
        s = rest_of(s, n);
    }
    return s.n == 0;
}

/* Comparing and filling in ------------------------------------------------ */

static int kind(struct str name)
{
    if (name.n == 0)
        return 2;
    return name.p[0] == '*' ? 0 : 1;
}

int pattern_compare(const struct pattern *a, const struct pattern *b)
{
    for (unsigned i = 0; i < a->part_count && i < b->part_count; i++) {
        const struct pattern_part *x = &a->parts[i], *y = &b->parts[i];

        if (x->literal.n != y->literal.n)
            return x->literal.n > y->literal.n ? 1 : -1;
        if (kind(x->name) != kind(y->name))
            return kind(x->name) - kind(y->name);
    }
    return (int)a->part_count - (int)b->part_count;
}

void pattern_key(const struct pattern *p, struct buffer *out)
{
    for (unsigned i = 0; i < p->part_count; i++) {
        struct str name = p->parts[i].name;

        buffer_append_str(out, p->parts[i].literal);
        if (name.n > 0)
            buffer_append_str(out, name.p[0] == '*' ? STR("*") : STR("{}"));
    }
}

bool pattern_covers(const struct pattern *source,
                    const struct pattern *template, struct str *missing)
{
    for (unsigned i = 0; i < template->part_count; i++) {
        struct str name = template->parts[i].name;

        if (name.n > 0 && !name_known(source, name)) {
            *missing = name;
            return false;
        }
    }
    return true;
}

bool pattern_has_names(const struct pattern *p)
{
    return p->part_count > 0 && p->parts[0].name.n > 0;
}

static const struct str *value_of(const struct pattern_values *values,
                                  struct str name)
{
    for (unsigned i = 0; i < values->count; i++)
        if (str_eq(values->names[i], name))
            return &values->values[i];
    return NULL;
}

typedef void append_fn(struct str value, struct buffer *out);

static int expand(const struct pattern *template,
                  const struct pattern_values *values, append_fn *append,
                  struct buffer *out)
{
    for (unsigned i = 0; i < template->part_count; i++) {
        const struct pattern_part *part = &template->parts[i];
        const struct str *value = NULL;

        buffer_append_str(out, part->literal);
        if (part->name.n == 0)
            break;
        value = value_of(values, part->name);
        if (value == NULL)
            return -ENOENT;
        append(*value, out);
    }
    return out->failed ? -ENOMEM : 0;
}

int pattern_expand(const struct pattern *template,
                   const struct pattern_values *values, struct buffer *out)
{
    return expand(template, values, pattern_normalize, out);
}

/* RFC 3986 3.3's pchar without the ones that part a query's values. */
static bool passes_in_url(int c)
{
    return pattern_unreserved(c) || (c != '\0' && strchr("!$'()*,:@", c));
}

static void append_for_url(struct str s, struct buffer *out)
{
    while (s.n > 0) {
        size_t n = 1;

        if (pattern_escape(s) >= 0)
            n = normalize_one(s, out);
        else if (passes_in_url((unsigned char)s.p[0]))
            buffer_append_byte(out, s.p[0]);
        else
            encode((unsigned char)s.p[0], out);
        s = rest_of(s, n);
    }
}

int pattern_expand_url(const struct pattern *template,
                       const struct pattern_values *values, struct buffer *out)
{
    return expand(template, values, append_for_url, out);
}

static size_t decode_one(struct str s, char *out)
{
    int octet = pattern_escape(s);

    *out = octet < 0 ? s.p[0] : (char)octet;
    return octet < 0 ? 1 : 3;
}

static void append_decoded(struct str s, struct buffer *out)
{
    char octet;

    while (s.n > 0) {
        s = rest_of(s, decode_one(s, &octet));
        buffer_append_byte(out, octet);
    }
}

/* What Redis' patterns give a meaning to follows a backslash. */
static void append_quoted(struct str s, struct buffer *out)
{
    char octet;

    while (s.n > 0) {
        s = rest_of(s, decode_one(s, &octet));
        if (octet != '\0' && strchr("*?[]^-\\", octet) != NULL)
            buffer_append_byte(out, '\\');
        buffer_append_byte(out, octet);
    }
}

int pattern_expand_text(const struct pattern *template,
                        const struct pattern_values *values, bool glob,
                        struct buffer *out)
{
    return expand(template, values, glob ? append_quoted : append_decoded, out);
}
