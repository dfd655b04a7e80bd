/* message.h - octets that somebody else owns, and the message that a source
 * makes of them.  Installed. */
#ifndef PENSTOCK_MESSAGE_H
#define PENSTOCK_MESSAGE_H

#include <stddef.h>

/* n bytes at p, not terminated.  p may be NULL only where n is 0; a slice
 * with p == NULL means "absent" where the difference matters. */
struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_NONE     ((struct str){NULL, 0})
/* For printf's "%.*s". */
#define STR_ARG(s) (int)(s).n, (s).p

/* What a source knows of a message; absent slices get defaults: type
 * "message", content type by what data is (JSON, text, or else binary). */
struct message_parts {
    struct str data, type, content_type;
};

#endif
