/* octet.h - which octets may stand where in HTTP/1: one table for the head and
 * for what stands between chunks.  Any thread. */
#ifndef PENSTOCK_HTTP_OCTET_H
#define PENSTOCK_HTTP_OCTET_H

#include <stdbool.h>

enum octet_class {
    OCTET_TOKEN = 1,  /* tchar (RFC 9110 5.6.2) */
    OCTET_TARGET = 2, /* what RFC 3986 allows in a path or query, and "[]" */
    OCTET_HOST = 4,   /* unreserved: no name in use needs more */
    OCTET_TEXT = 8,   /* field values, reasons: VCHAR, SP, HTAB, obs-text */
    OCTET_QUERY = 16, /* what browsers send in a query as well: URL living
                       * standard, "query percent-encode set" */
};

extern const unsigned char octet_classes[256];

static inline bool octet_is(char c, enum octet_class class)
{
    return (octet_classes[(unsigned char)c] & class) != 0;
}

/* The first octet in [p, end) that is not of the class (or of any of several,
 * combined with |), or end. */
static inline const char *octet_skip(const char *p, const char *end,
                                     enum octet_class class)
{
    while (p < end && octet_is(*p, class))
        p++;
    return p;
}

/* octet_skip() for OCTET_TEXT, eight at a time: most of a head is values. */
const char *octet_skip_text(const char *p, const char *end);

#endif
