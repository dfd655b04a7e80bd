/* headers.h - a list of fields, in order, as slices into somebody's bytes. */
#ifndef PENSTOCK_HTTP_HEADERS_H
#define PENSTOCK_HTTP_HEADERS_H

#include "base/buffer.h"

struct header {
    struct str name, value; /* value without white space around it */
};

struct headers {
    struct header *list; /* owned; the bytes are not */
    unsigned count, cap;
};

/* 0 or -ENOMEM. */
int headers_add(struct headers *h, struct str name, struct str value);
/* As headers_next(), which knows the length of a literal as it is compiled. */
bool headers_find(const struct headers *h, struct str name, unsigned *at,
                  struct str *value);
/* Walks all fields of that name: *at is 0 at first.  False at the end. */
static inline bool headers_next(const struct headers *h, const char *name,
                                unsigned *at, struct str *value)
{
    return headers_find(h, str_of(name), at, value);
}
/* The first field of that name (without case); absent if there is none. */
static inline struct str headers_get(const struct headers *h, const char *name)
{
    struct str value = STR_NONE;
    unsigned at = 0;

    headers_next(h, name, &at, &value);
    return value;
}
/* The one field of that name; absent if there is none, or more than one. */
struct str headers_get_only(const struct headers *h, const char *name);
/* Whether any field of that name has the token in its list. */
bool headers_list_has(const struct headers *h, const char *name,
                      const char *token);
/* Appends "Name: value\r\n" to out. */
void header_write(struct buffer *out, struct str name, struct str value);
void headers_fini(struct headers *h);

#endif
