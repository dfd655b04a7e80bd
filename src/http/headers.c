#include "http/headers.h"

#include <errno.h>
#include <stdlib.h>

int headers_add(struct headers *h, struct str name, struct str value)
{
    if (h->count == h->cap) {
        unsigned cap = h->cap == 0 ? 16 : h->cap * 2;
        struct header *list = realloc(h->list, cap * sizeof(*list));

        if (list == NULL)
            return -ENOMEM;
        h->list = list;
        h->cap = cap;
    }
    h->list[h->count++] = (struct header){name, value};
    return 0;
}

bool headers_find(const struct headers *h, struct str name, unsigned *at,
                  struct str *value)
{
    while (*at < h->count) {
        const struct header *header = &h->list[(*at)++];

        if (str_eq_nocase(header->name, name)) {
            *value = header->value;
            return true;
        }
    }
    return false;
}

struct str headers_get_only(const struct headers *h, const char *name)
{
    struct str value = STR_NONE, other;
    unsigned at = 0;

    if (headers_next(h, name, &at, &value) &&
        headers_next(h, name, &at, &other))
        return STR_NONE;
    return value;
}

bool headers_list_has(const struct headers *h, const char *name,
                      const char *token)
{
    struct str value;
    unsigned at = 0;

    while (headers_next(h, name, &at, &value))
        if (str_list_has(value, str_of(token)))
            return true;
    return false;
}

void header_write(struct buffer *out, struct str name, struct str value)
{
    if (buffer_reserve(out, name.n + value.n + 4) < 0)
        return;
    buffer_append_str(out, name);
    buffer_append(out, ": ", 2);
    buffer_append_str(out, value);
    buffer_append(out, "\r\n", 2);
}

void headers_fini(struct headers *h)
{
    free(h->list);
    *h = (struct headers){0};
}
