/* pattern.h - path patterns and templates: "/quotes/{symbol}", and "/files/"
 * followed by an asterisk.  {name} is a part of one segment, not empty and not
 * a dot segment; an asterisk as the last segment is the rest, which may be
 * empty.  The same text matches a path and, filled in, makes one.
 *
 * Paths compare as RFC 3986 6.2.2.1 and 6.2.2.2 have it: "%7e" is "~", "%c3"
 * is "%C3".  Nothing else is decoded, so a value may hold "%2F". */
#ifndef PENSTOCK_CONFIG_PATTERN_H
#define PENSTOCK_CONFIG_PATTERN_H

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

/* 0; -ENOMEM; or -EINVAL and *why a static text.  Whatever came back, p may
 * be given to pattern_fini. */
int pattern_init(struct pattern *p, const char *text, const char **why);
/* The same of a template for text that is no path: a * in it is a *. */
int pattern_init_text(struct pattern *p, const char *text, const char **why);
void pattern_fini(struct pattern *p);

/* Whether s fits, and what the names stand for (slices of s, as they are in
 * s).  values may be NULL.  Any thread; no allocation. */
bool pattern_match(const struct pattern *p, struct str s,
                   struct pattern_values *values);
/* > 0 if a is more specific than b: compared part by part from the left,
 * literal before {name} before *, longer literal first.  0 does not mean that
 * they match the same paths. */
int pattern_compare(const struct pattern *a, const struct pattern *b);
/* Appends the pattern with its names left out: two patterns that match the
 * same paths have the same key. */
void pattern_key(const struct pattern *p, struct buffer *out);
/* Whether every name that template uses is given by source. */
bool pattern_covers(const struct pattern *source, const struct pattern *template,
                    struct str *missing);
/* Whether it has a {name} or a *. */
bool pattern_has_names(const struct pattern *p);

/* Appends the template with its names filled in, each in its normal form, so
 * that "/quotes/%41" and "/quotes/A" share a channel.  -ENOENT for a name
 * without a value, -ENOMEM. */
int pattern_expand(const struct pattern *template,
                   const struct pattern_values *values, struct buffer *out);
/* The same for a URL: what would end a segment or a query's value in there
 * ('/', '?', '#', '&', '=', '+', ';') and what no URL may hold is encoded. */
int pattern_expand_url(const struct pattern *template,
                       const struct pattern_values *values, struct buffer *out);
/* The same with all escapes decoded.  glob: for a pattern of Redis, in which the
 * values stand for themselves alone. */
int pattern_expand_text(const struct pattern *template,
                        const struct pattern_values *values, bool glob,
                        struct buffer *out);
/* Appends s in its normal form (RFC 3986 6.2.2.1, 6.2.2.2): escapes of
 * unreserved characters decoded, the digits of others in upper case, a '%'
 * that begins no escape encoded.  The normal form is its own. */
void pattern_normalize(struct str s, struct buffer *out);

/* s[0..3) as an escape: its octet, or -1 where it is none. */
int pattern_escape(struct str s);
/* Letters, digits, '-', '.', '_' and '~' (RFC 3986 2.3). */
bool pattern_unreserved(int c);

#endif
