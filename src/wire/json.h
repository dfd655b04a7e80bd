/* json.h - the least that a carrier of JSON needs: where a value ends, and
 * how a string is written.  Values are never re-printed: a number of twenty
 * digits stays as it came (RFC 8259 6), which is why this is no tree. */
#ifndef PENSTOCK_WIRE_JSON_H
#define PENSTOCK_WIRE_JSON_H

#include <sys/types.h>

#include "base/buffer.h"

#define JSON_DEPTH_MAX 512 /* nesting; deeper input is refused, not recursed */

/* The length of the one JSON value that starts at s.p[0] (leading white space
 * counts to it): > 0; 0 if s ends before the value does; -1 if it is no JSON.
 * Strict RFC 8259 syntax, well-formed UTF-8, no duplicate-key check, numbers
 * of any size.  A number that runs to the end of s counts as complete. */
ssize_t json_value_length(struct str s);
/* Whether s is exactly one value with white space around it. */
bool json_valid(struct str s);
/* The same, and that value is an object or an array. */
bool json_is_container(struct str s);

/* Appends s as a JSON string with its quotes.  Octets that are not UTF-8
 * become U+FFFD, so the result is always valid JSON. */
void json_append_string(struct buffer *out, struct str s);

#endif
