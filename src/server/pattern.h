/* pattern.h - path patterns and templates: "/quotes/{symbol}", "/files/*".
 * {name} is one segment that is not empty; * at the end is the rest.  The same
 * text matches a path and, filled in, makes one. */
#ifndef PENSTOCK_SERVER_PATTERN_H
#define PENSTOCK_SERVER_PATTERN_H

#include "base/buffer.h"

#define PATTERN_PARTS_MAX 32 /* segments and names; more is a config error */

struct pattern_part {
    struct str literal;  /* text before the name (or all, for the last part) */
    struct str name;     /* absent in a part that is text only; "*": the rest */
};

struct pattern {
    char *text;          /* owned; parts point into it */
    struct pattern_part parts[PATTERN_PARTS_MAX];
    unsigned part_count;
};

struct pattern_values {
    struct str names[PATTERN_PARTS_MAX], values[PATTERN_PARTS_MAX];
    unsigned count;
};

/* 0; -ENOMEM; or -EINVAL and *why a static text. */
int pattern_init(struct pattern *p, const char *text, const char **why);
void pattern_fini(struct pattern *p);

/* Whether s fits, and what the names stand for (slices of s). */
bool pattern_match(const struct pattern *p, struct str s,
                   struct pattern_values *values);
/* > 0 if a is more specific than b: compared part by part from the left,
 * literal before {name} before *, longer literal first. */
int pattern_compare(const struct pattern *a, const struct pattern *b);
/* Whether every name that template uses is given by source. */
bool pattern_covers(const struct pattern *source, const struct pattern *template,
                    struct str *missing);
/* Appends the template with its names filled in.  -ENOENT for a name without a
 * value, -ENOMEM. */
int pattern_expand(const struct pattern *template,
                   const struct pattern_values *values, struct buffer *out);

#endif
