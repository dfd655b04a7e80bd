#include "http/octet.h"

#include <stdint.h>
#include <string.h>

#define NAME  (OCTET_TOKEN | OCTET_TARGET | OCTET_HOST | OCTET_TEXT)
#define BOTH  (OCTET_TOKEN | OCTET_TARGET | OCTET_TEXT)
#define TOKEN (OCTET_TOKEN | OCTET_TEXT)
#define DELIM (OCTET_TARGET | OCTET_TEXT)
#define QUERY (OCTET_QUERY | OCTET_TEXT)

const unsigned char octet_classes[256] = {
    ['0' ... '9'] = NAME, ['A' ... 'Z'] = NAME,
    ['a' ... 'z'] = NAME, ['-'] = NAME,
    ['.'] = NAME,         ['_'] = NAME,
    ['~'] = NAME,         ['!'] = BOTH,
    ['$'] = BOTH,         ['%'] = BOTH,
    ['&'] = BOTH,         ['\''] = BOTH,
    ['*'] = BOTH,         ['+'] = BOTH,
    ['^'] = TOKEN | QUERY, ['`'] = TOKEN | QUERY,
    ['|'] = TOKEN | QUERY, ['#'] = TOKEN,
    ['('] = DELIM,        [')'] = DELIM,
    [','] = DELIM,        ['/'] = DELIM,
    [':'] = DELIM,        [';'] = DELIM,
    ['='] = DELIM,        ['?'] = DELIM,
    ['@'] = DELIM,        ['['] = DELIM,
    [']'] = DELIM,        ['"'] = OCTET_TEXT,
    ['\\'] = QUERY,       ['{'] = QUERY,
    ['}'] = QUERY,        ['<'] = OCTET_TEXT,
    ['>'] = OCTET_TEXT,   [' '] = OCTET_TEXT,
    ['\t'] = OCTET_TEXT,  [0x80 ... 0xff] = OCTET_TEXT,
};

#define EACH(octet) (~UINT64_C(0) / 255 * (octet))

/* Whether none of the eight is below SP or is DEL.  HTAB counts as below: it
 * is rare, and the loop that follows settles it. */
static bool all_plain(uint64_t eight)
{
    uint64_t del = eight ^ EACH(0x7f);
    uint64_t low = (eight - EACH(0x20)) & ~eight;
    uint64_t zero = (del - EACH(0x01)) & ~del;

    return ((low | zero) & EACH(0x80)) == 0;
}

const char *octet_skip_text(const char *p, const char *end)
{
    uint64_t eight;

    for (;;) {
        while (end - p >= (long)sizeof(eight)) {
            memcpy(&eight, p, sizeof(eight));
            if (!all_plain(eight))
                break;
            p += sizeof(eight);
        }
        p = octet_skip(p, end - p > 8 ? p + 8 : end, OCTET_TEXT);
        if (p == end || !octet_is(*p, OCTET_TEXT))
            return p;
    }
}
