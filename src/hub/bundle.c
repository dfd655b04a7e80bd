#include "hub/bundle.h"

#include <stdlib.h>
#include <string.h>

/* Longer ones gain nothing: what a message costs is its octets then, and not
 * that it is a piece of its own. */
#define BUNDLE_MAX (64 * 1024)

struct bundle {
    struct bundle *next;
    enum wire_format format;
    bool framed;
    size_t len; /* 0: they are too long */
    char octets[];
};

/* 0: too long, or there is no memory for one of them. */
static size_t measure(struct message *const *messages, unsigned count,
                      enum wire_format format, bool framed)
{
    size_t len = 0;

    for (unsigned i = 0; i < count; i++) {
        const struct wire *w = message_wire(messages[i], format);

        if (w == NULL)
            return 0;
        len += wire_str(w, framed).n;
        if (len > BUNDLE_MAX)
            return 0;
    }
    return len;
}

static struct bundle *join(struct message *const *messages, unsigned count,
                           enum wire_format format, bool framed)
{
    size_t len = measure(messages, count, format, framed);
    struct bundle *b = malloc(sizeof(*b) + len);
    size_t at = 0;

    if (b == NULL)
        return NULL;
    *b = (struct bundle){.format = format, .framed = framed, .len = len};
    while (at < len) {
        struct str s = wire_str(message_wire(*messages++, format), framed);

        memcpy(b->octets + at, s.p, s.n);
        at += s.n;
    }
    return b;
}

struct str bundle_of(struct bundle **list, struct message *const *messages,
                     unsigned count, enum wire_format format, bool framed)
{
    struct bundle *b = *list;

    if (count < 2)
        return STR_NONE;
    while (b != NULL && (b->format != format || b->framed != framed))
        b = b->next;
    if (b == NULL) {
        b = join(messages, count, format, framed);
        if (b == NULL)
            return STR_NONE;
        b->next = *list;
        *list = b;
    }
    return b->len == 0 ? STR_NONE : (struct str){b->octets, b->len};
}

void bundle_free(struct bundle **list)
{
    while (*list != NULL) {
        struct bundle *b = *list;

        *list = b->next;
        free(b);
    }
}
