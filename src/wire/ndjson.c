#include "wire/ndjson.h"

#include <errno.h>

#include "wire/json.h"

#define KEEP_BYTES 65536 /* of memory between lines */
#define RS         0x1e  /* begins a text of a sequence */

void ndjson_parser_init(struct ndjson_parser *p,
                        const struct ndjson_parser_ops *ops, void *arg,
                        size_t limit_bytes)
{
    *p = (struct ndjson_parser){
        .ops = ops, .arg = arg, .limit_bytes = limit_bytes};
}

static void track_from_start(struct ndjson_parser *p)
{
    p->depth = 0;
    p->in_string = false;
    p->escaped = false;
}

void ndjson_parser_restart(struct ndjson_parser *p)
{
    buffer_fini(&p->line);
    track_from_start(p);
    p->began = false;
    p->oversize = false;
}

void ndjson_parser_fini(struct ndjson_parser *p)
{
    ndjson_parser_restart(p);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static struct str skip_space(struct str s)
{
    while (s.n > 0 && is_space(s.p[0]))
        s.p++, s.n--;
    return s;
}

static void report(struct ndjson_parser *p, const char *why, struct str line)
{
    if (line.n > NDJSON_BAD_BYTES)
        line.n = NDJSON_BAD_BYTES;
    p->ops->bad(p->arg, why, line);
}

/* Takes the first n octets of *s, which are a value, off its front. */
static int deliver(struct ndjson_parser *p, struct str *s, size_t n)
{
    struct str value = {s->p, n};

    s->p += n;
    s->n -= n;
    *s = skip_space(*s);
    p->began = true;
    return p->ops->value(p->arg, value);
}

static bool is_container(struct str s)
{
    return s.n > 0 && (s.p[0] == '{' || s.p[0] == '[');
}

/* Whether the n octets that end s may be the first ones of a longer value, which
 * the next text of a sequence cut off: RFC 7464 2.4. */
static bool may_be_cut(const struct ndjson_parser *p, struct str s, size_t n)
{
    return p->sequence && n == s.n && !is_container(s) && s.p[0] != '"';
}

/* The values of a line that is all there, or of its end.  A number or a word
 * waits for its line to end, so it is the line that the limit holds for:
 * what passes must not depend on where reads were cut. */
static int take_values(struct ndjson_parser *p, struct str s)
{
    while (s.n > 0) {
        ssize_t n = json_value_length(s);
        size_t held = is_container(s) ? (size_t)n : s.n;
        int rc;

        if (n <= 0 || may_be_cut(p, s, (size_t)n)) {
            report(p, n < 0 ? "not JSON" : "incomplete JSON", s);
            return 0;
        }
        if (held > p->limit_bytes) {
            report(p, "over the limit", s);
            return 0;
        }
        rc = deliver(p, &s, (size_t)n);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Follows the brackets of an unfinished container through its next octets.
 * Returns how many belong to it; *closed says that the last one ends it.  Far
 * cheaper than to parse the line anew with every read; the syntax is checked
 * once, when all is there. */
static size_t track(struct ndjson_parser *p, struct str s, bool *closed)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (p->escaped) {
            p->escaped = false;
        } else if (p->in_string) {
            p->escaped = c == '\\';
            p->in_string = c != '"';
        } else if (c == '"') {
            p->in_string = true;
        } else if (c == '{' || c == '[') {
            p->depth++;
        } else if ((c == '}' || c == ']') && --p->depth == 0) {
            *closed = true;
            return i + 1;
        }
    }
    return s.n;
}

static int keep(struct ndjson_parser *p, struct str s)
{
    if (s.n > p->limit_bytes || p->line.len > p->limit_bytes - s.n) {
        report(p, "over the limit", p->line.len > 0 ? buffer_str(&p->line) : s);
        buffer_fini(&p->line);
        track_from_start(p);
        p->oversize = true;
        return 0;
    }
    buffer_append_str(&p->line, s);
    return p->line.failed ? -ENOMEM : 0;
}

/* A line begins, or goes on after its last value, and does not end here.
 * Delivers the containers that are whole and keeps what is left. */
static int begin_part(struct ndjson_parser *p, struct str s)
{
    bool closed;

    s = skip_space(s);
    while (is_container(s)) {
        ssize_t n = json_value_length(s);
        int rc;

        if (n <= 0)
            track(p, s, &closed);
        if (n <= 0 || (size_t)n > p->limit_bytes)
            break;
        rc = deliver(p, &s, (size_t)n);
        if (rc != 0)
            return rc;
    }
    return keep(p, s);
}

/* The container in the line has its last bracket.  If that is no JSON, it
 * waits for the LF, and for take_values to say so. */
static int end_container(struct ndjson_parser *p)
{
    struct str s = buffer_str(&p->line);

    if (json_value_length(s) != (ssize_t)s.n)
        return 0;
    p->line.len = 0;
    return deliver(p, &s, s.n);
}

/* More of a line that has begun, without its LF. */
static int take_part(struct ndjson_parser *p, struct str s)
{
    while (s.n > 0 && !p->oversize) {
        bool closed = false;
        size_t n = s.n;
        int rc;

        if (p->line.len == 0)
            return begin_part(p, s);
        if (p->depth > 0)
            n = track(p, s, &closed);
        rc = keep(p, (struct str){s.p, n});
        if (rc == 0 && closed && !p->oversize)
            rc = end_container(p);
        if (rc != 0)
            return rc;
        s.p += n;
        s.n -= n;
    }
    return 0;
}

static int take_line(struct ndjson_parser *p, struct str s)
{
    bool quiet;

    if (p->line.len > 0 || p->oversize) {
        int rc = take_part(p, s);

        if (rc != 0)
            return rc;
        s = buffer_str(&p->line);
    }
    s = skip_space(s);
    quiet = p->began || p->oversize;
    track_from_start(p);
    p->line.len = 0;
    p->began = false;
    p->oversize = false;
    if (s.n > 0)
        return take_values(p, s);
    if (!quiet && p->ops->keepalive != NULL)
        p->ops->keepalive(p->arg);
    return 0;
}

static int end_line(struct ndjson_parser *p, struct str s)
{
    int rc = take_line(p, s);

    if (rc != 0)
        return rc;
    p->began = false;
    if (p->line.cap > KEEP_BYTES)
        buffer_fini(&p->line);
    return 0;
}

/* In a sequence an LF ends what is no open container, and RS all there is. */
static int end_text(struct ndjson_parser *p, struct str s, char separator)
{
    int rc;

    if (separator == '\n')
        s.n++;
    rc = take_part(p, s);
    if (rc != 0 || (separator == '\n' && (p->depth > 0 || p->oversize)))
        return rc;
    return end_line(p, STR(""));
}

static const char *find_separator(const struct ndjson_parser *p, struct str s)
{
    const char *lf = memchr(s.p, '\n', s.n), *rs;

    if (!p->sequence)
        return lf;
    rs = memchr(s.p, RS, lf == NULL ? s.n : (size_t)(lf - s.p));
    return rs != NULL ? rs : lf;
}

int ndjson_parser_feed(struct ndjson_parser *p, const char *data, size_t len)
{
    struct str rest = {data, len};

    if (p->line.failed) /* what follows would be misread */
        return -ENOMEM;
    while (rest.n > 0) {
        const char *end = find_separator(p, rest);
        struct str line = {rest.p, 0};
        int rc;

        if (end == NULL)
            return take_part(p, rest);
        line.n = (size_t)(end - rest.p);
        rest.p = end + 1;
        rest.n -= line.n + 1;
        rc = p->sequence ? end_text(p, line, *end) : end_line(p, line);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int ndjson_parser_end(struct ndjson_parser *p)
{
    struct str s = skip_space(buffer_str(&p->line));
    int rc = p->oversize ? 0 : take_values(p, s);

    if (rc == 0)
        ndjson_parser_restart(p);
    return rc;
}
