/* pointer.h - values inside a JSON text, found by JSON Pointers (RFC 6901) and
 * handed out as they stand there, never re-printed.  Each text given here is
 * one valid JSON value (json_valid()). */
#ifndef PENSTOCK_WIRE_POINTER_H
#define PENSTOCK_WIRE_POINTER_H

#include "base/buffer.h"

/* Whether text is a pointer: "" or "/a/0/b~1c". */
bool pointer_valid(struct str text);
/* The value that pointer names in document, as a slice of it without white
 * space around.  Of members with one name the first counts.  False: there is
 * none. */
bool pointer_find(struct str document, struct str pointer, struct str *value);

/* Walks an array's items, or an object's values: *at is 0 at first.  name, of
 * a member, is as it is written, between its quotes; absent in an array.
 * False at the end, or if value is neither. */
bool pointer_next(struct str value, size_t *at, struct str *name,
                  struct str *item);

/* Appends what a string says, its escapes resolved (a lone surrogate becomes
 * U+FFFD); of another value what is written. */
void pointer_text(struct str value, struct buffer *out);

#endif
