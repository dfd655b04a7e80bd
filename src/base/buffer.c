#include "base/buffer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int buffer_reserve(struct buffer *b, size_t more)
{
    size_t need, cap = b->cap < 64 ? 64 : b->cap;
    char *data;

    if (b->failed || __builtin_add_overflow(b->len, more, &need))
        goto fail;
    if (need <= b->cap)
        return 0;
    while (cap < need)
        if (__builtin_mul_overflow(cap, 2, &cap))
            goto fail;
    data = realloc(b->data, cap);
    if (data == NULL)
        goto fail;
    b->data = data;
    b->cap = cap;
    return 0;

fail:
    b->failed = true;
    return -ENOMEM;
}

void buffer_append_u64(struct buffer *b, uint64_t n)
{
    char digits[DECIMAL_MAX];

    buffer_append(b, digits, str_format_u64(digits, n));
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || buffer_reserve(b, (size_t)n + 1) < 0)
        return;
    va_start(args, format);
    vsnprintf(b->data + b->len, (size_t)n + 1, format, args);
    va_end(args);
    b->len += (size_t)n;
}

/* How many octets at the end of s begin a character that is not finished. */
static size_t unfinished(struct str s)
{
    size_t n = 1;

    while (((unsigned char)s.p[s.n - n] & 0xc0) == 0x80)
        n++;
    return n;
}

void buffer_append_utf8(struct buffer *b, struct str s)
{
    while (s.n > 0) {
        uint8_t state = 0;
        size_t n = str_utf8_scan(&state, s);
        size_t half = state == 0 ? 0 : unfinished((struct str){s.p, n});

        buffer_append(b, s.p, n - half);
        if (half > 0 || n < s.n)
            buffer_append(b, "\xef\xbf\xbd", 3);
        if (half == 0 && n < s.n)
            n++; /* it begins nothing */
        s.p += n;
        s.n -= n;
    }
}

void buffer_drop(struct buffer *b, size_t n)
{
    if (n >= b->len) {
        b->len = 0;
        return;
    }
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
}

struct str buffer_str(const struct buffer *b)
{
    return (struct str){b->data, b->len};
}

void buffer_fini(struct buffer *b)
{
    free(b->data);
    *b = (struct buffer){0};
}
