/* Paths and channel names: the form in which they are written, and what they are
 * as patterns. */
#include "config/config_priv.h"

#include <errno.h>

/* What a path may hold as it is: RFC 3986 3.3's pchar, '/', and escapes. */
static bool is_path_octet(char c)
{
    return pattern_unreserved((unsigned char)c) ||
           (c != '\0' && strchr("/!$&'()*+,;=:@%{}", c));
}

/* Names are whole segments: what lies around them ends and begins with '/'. */
static bool whole_segments(const struct pattern *p)
{
    for (unsigned i = 0; i < p->part_count; i++) {
        struct str literal = p->parts[i].literal;

        if (i > 0 && literal.n > 0 && literal.p[0] != '/')
            return false;
        if (p->parts[i].name.n > 0 &&
            (literal.n == 0 || literal.p[literal.n - 1] != '/'))
            return false;
    }
    return true;
}

static bool has_dot_segment(const char *path)
{
    while ((path = strchr(path, '/')) != NULL) {
        size_t n = strcspn(++path, "/");

        if ((n == 1 && path[0] == '.') ||
            (n == 2 && path[0] == '.' && path[1] == '.'))
            return true;
    }
    return false;
}

/* Tells how text is written in normal form, with escapes for what cannot
 * stand in a path. */
static void fault_form(struct loading *l, const struct node *n,
                       const char *text)
{
    struct buffer escaped = {0}, normal = {0};

    for (const char *c = text; *c != '\0'; c++)
        if (is_path_octet(*c))
            buffer_append_byte(&escaped, *c);
        else
            buffer_printf(&escaped, "%%%02X", (unsigned char)*c);
    pattern_normalize(buffer_str(&escaped), &normal);
    l->no_memory |= escaped.failed || normal.failed;
    fault_at(l, n, "\"%.80s\" is not in the form in which it is compared; "
             "write \"%.*s\"", text, STR_ARG(buffer_str(&normal)));
    buffer_fini(&escaped);
    buffer_fini(&normal);
}

static bool is_normal(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        int octet = pattern_escape(str_of(c));

        if (!is_path_octet(*c) || pattern_unreserved(octet))
            return false;
        if (octet >= 0 && ((c[1] >= 'a' && c[1] <= 'f') ||
                           (c[2] >= 'a' && c[2] <= 'f')))
            return false;
    }
    return true;
}

bool config_check_escapes(struct loading *l, const struct node *n,
                          const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if (*c == '%' && pattern_escape(str_of(c)) < 0) {
            fault_at(l, n, "\"%.80s\" has a %% without two hexadecimal "
                     "digits", text);
            return false;
        }
    return true;
}

/* What no request would ever match, so that the route could not be reached. */
static bool check_path_form(struct loading *l, const struct node *n,
                            const char *text)
{
    size_t end = strcspn(text, "?#");

    if (text[end] != '\0') {
        fault_at(l, n, "a path ends before its query; leave \"%.80s\" out",
                 text + end);
        return false;
    }
    if (!config_check_escapes(l, n, text))
        return false;
    if (has_dot_segment(text) || strstr(text, "//") != NULL) {
        fault_at(l, n, "\"%.80s\" has a segment that is empty, . or ..; no "
                 "request is routed by those", text);
        return false;
    }
    if (!is_normal(text)) {
        fault_form(l, n, text);
        return false;
    }
    return true;
}

typedef int pattern_init_fn(struct pattern *p, const char *text,
                            const char **why);

static bool init_with(pattern_init_fn *init, struct loading *l,
                      const struct node *n, const char *text,
                      struct pattern *out)
{
    struct pattern p;
    const char *why;
    int rc = init(&p, text, &why);

    if (rc == 0) {
        *out = p;
        return true;
    }
    pattern_fini(&p);
    if (rc == -ENOMEM)
        l->no_memory = true;
    else
        fault_at(l, n, "\"%.80s\" has %s", text, why);
    return false;
}

bool config_init_pattern(struct loading *l, const struct node *n,
                         const char *text, struct pattern *out)
{
    return init_with(pattern_init, l, n, text, out);
}

bool config_init_template(struct loading *l, const struct node *n,
                          const char *text, struct pattern *out)
{
    return init_with(pattern_init_text, l, n, text, out);
}

void read_path(struct loading *l, const struct node *n, void *into)
{
    const char *text = expect_text(l, n, "\"/quotes/{symbol}\"");
    struct route *r = into;
    struct pattern p;

    if (text == NULL)
        return;
    if (*text != '/') {
        fault_at(l, n, "must begin with /; write \"/%.80s\"", text);
        return;
    }
    if (!check_path_form(l, n, text) || !config_init_pattern(l, n, text, &p))
        return;
    if (!whole_segments(&p)) {
        fault_at(l, n, "\"%.80s\" has a {name} that is not a whole segment, as "
                 "in /a/{name}/b", text);
        pattern_fini(&p);
        return;
    }
    r->pattern = p;
    r->path = copy_text(l, text);
}

/* What stands in a URL's path, as in /channels/NAME. */
static bool check_channel_text(struct loading *l, const struct node *n,
                               const char *text)
{
    if (*text == '/')
        fault_at(l, n, "does not begin with /; write \"%.80s\"", text + 1);
    else if (*text == '\0')
        fault_at(l, n, "is empty");
    else if (strchr(text, '*') != NULL)
        fault_at(l, n, "\"%.80s\" has a *, which a channel's name cannot have",
                 text);
    else if (config_check_escapes(l, n, text) && is_normal(text))
        return true;
    else if (!is_normal(text))
        fault_form(l, n, text);
    return false;
}

bool config_init_channel(struct loading *l, const struct node *n,
                         const char *text, struct pattern *out)
{
    return check_channel_text(l, n, text) &&
           config_init_pattern(l, n, text, out);
}

void read_channel(struct loading *l, const struct node *n, void *into)
{
    const char *text = expect_text(l, n, "\"quotes/{symbol}\"");
    struct route *r = into;

    if (text != NULL && config_init_channel(l, n, text, &r->channel))
        r->channel_text = copy_text(l, text);
}
