/* strings.h - slices of bytes that somebody else owns, and the few questions
 * that protocols ask of them.  Nothing here allocates. */
#ifndef PENSTOCK_BASE_STRINGS_H
#define PENSTOCK_BASE_STRINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "penstock/message.h"

/* The slice of a terminated string; absent for NULL. */
static inline struct str str_of(const char *z)
{
    return (struct str){z, z == NULL ? 0 : strlen(z)};
}

bool str_eq(struct str a, struct str b);
/* The same of terminated ones; NULL is like NULL alone. */
bool text_same(const char *a, const char *b);
/* The same of arrays of them, with NULL at their end. */
bool texts_same(char *const *a, char *const *b);
#define DECIMAL_MAX 20 /* digits of a number of 64 bits */
/* Writes n in decimal, not terminated; returns how many digits. */
size_t str_format_u64(char out[DECIMAL_MAX], uint64_t n);

bool str_same_nocase(const char *a, const char *b, size_t n);
/* ASCII letters compare without case, other octets as they are. */
static inline bool str_eq_nocase(struct str a, struct str b)
{
    return a.n == b.n && str_same_nocase(a.p, b.p, a.n);
}
bool str_starts(struct str s, struct str prefix);

/* Drops SP and HTAB at both ends (RFC 9110 5.6.3, OWS). */
struct str str_trim(struct str s);

/* Takes the next element of a comma-separated list (RFC 9110 5.6.1) off the
 * front of *rest, trimmed; commas inside quoted strings do not split.  Empty
 * elements are skipped.  False when the list is used up. */
bool str_list_next(struct str *rest, struct str *element);
/* Whether each quoted string in it has its end (RFC 9110 5.6.4). */
bool str_quotes_close(struct str list);
/* Whether the list has this token, compared without case. */
bool str_list_has(struct str list, struct str token);

/* Splits s at the first octet c: *head gets what lies before (or all of s)
 * and the rest after c is returned (absent where c does not occur). */
struct str str_split(struct str s, char c, struct str *head);

/* Decimal digits only, no sign, no space, the whole slice. */
bool str_to_u64(struct str s, uint64_t *out);

/* Finds name's value in a query string (without '?') and writes it, percent-
 * decoded and with '+' as space, terminated, to out.  Returns its length;
 * -ENOENT where there is no such name, -EINVAL where it holds a bad escape or
 * NUL or does not fit cap. */
int str_query_get(struct str query, const char *name, char *out, size_t cap);

/* Takes the next NAME=VALUE off the front of a query string, both as they
 * stand there.  False when it is used up. */
bool str_query_next(struct str *query, struct str *name, struct str *value);
/* The same decoding as str_query_get(), of a value alone. */
int str_query_decode(struct str value, char *out, size_t cap);

/* Percent-decodes s into out (cap bytes, terminated).  Returns the length, or
 * -EINVAL for a bad escape, an encoded NUL, or too little room. */
int str_percent_decode(struct str s, char *out, size_t cap);

/* Media types compare without parameters and case (RFC 9110 8.3.1). */
bool str_media_is(struct str content_type, const char *type);

/* Well-formed UTF-8 (RFC 3629), the whole slice. */
bool str_utf8_valid(struct str s);
/* The same over text that comes in pieces.  *state is 0 before the first piece
 * and again wherever a character is complete.  Returns s.n, or the offset of
 * the first octet that cannot stand where it does. */
size_t str_utf8_scan(uint8_t *state, struct str s);

/* The name among names[0..n) nearest to wrong, for "did you mean"; NULL where
 * none is near enough to be worth saying. */
const char *str_nearest(const char *wrong, const char *const names[], size_t n);

#endif
