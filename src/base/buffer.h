/* buffer.h - bytes that grow: what codecs write into.
 * One owner, one thread. */
#ifndef PENSTOCK_BASE_BUFFER_H
#define PENSTOCK_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/strings.h"

/* All zero is an empty buffer.  When memory runs out, failed is set and
 * appends do nothing from then on, so a writer may check once at the end. */
struct buffer {
    char *data;
    size_t len, cap;
    bool failed;
};

/* Makes room for more bytes after len.  0 or -ENOMEM (failed is then set). */
int buffer_reserve(struct buffer *b, size_t more);
static inline void buffer_append(struct buffer *b, const void *data, size_t len)
{
    if (len == 0 || b->failed ||
        (b->cap - b->len < len && buffer_reserve(b, len) < 0))
        return;
    memcpy(b->data + b->len, data, len);
    b->len += len;
}
static inline void buffer_append_str(struct buffer *b, struct str s)
{
    buffer_append(b, s.p, s.n);
}
static inline void buffer_append_byte(struct buffer *b, char c)
{
    buffer_append(b, &c, 1);
}
/* In decimal. */
void buffer_append_u64(struct buffer *b, uint64_t n);
void buffer_printf(struct buffer *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Appends s as UTF-8, with U+FFFD for what is none: one for every octet that
 * cannot stand where it does, and one for a character that is not finished
 * (the Encoding Standard's decoder). */
void buffer_append_utf8(struct buffer *b, struct str s);
/* Drops n bytes at the front. */
void buffer_drop(struct buffer *b, size_t n);
struct str buffer_str(const struct buffer *b);
/* Frees the bytes; the buffer is empty and usable afterwards. */
void buffer_fini(struct buffer *b);

#endif
