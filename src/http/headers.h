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
/* The first field of that name (without case); absent if there is none. */
struct str headers_get(const struct headers *h, const char *name);
/* The one field of that name; absent if there is none, or more than one. */
struct str headers_get_only(const struct headers *h, const char *name);
/* Walks all fields of that name: *at is 0 at first.  False at the end. */
bool headers_next(const struct headers *h, const char *name, unsigned *at,
                  struct str *value);
/* Whether any field of that name has the token in its list. */
bool headers_list_has(const struct headers *h, const char *name,
                      const char *token);
/* Appends "Name: value\r\n" to out. */
void header_write(struct buffer *out, struct str name, struct str value);
void headers_fini(struct headers *h);

#endif
