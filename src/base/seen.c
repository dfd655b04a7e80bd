#include "base/seen.h"

#include <errno.h>
#include <stdlib.h>

#define CAP_MIN 64
#define CAP_MAX (2 * SEEN_MIN) /* half full at the most */

/* Where hash is, or would be. */
static uint64_t *place(uint64_t *table, unsigned cap, uint64_t hash)
{
    unsigned at = (unsigned)(hash ^ hash >> 32) & (cap - 1);

    while (table[at] != 0 && table[at] != hash)
        at = (at + 1) & (cap - 1);
    return &table[at];
}

static bool has(uint64_t *table, unsigned cap, uint64_t hash)
{
    return table != NULL && *place(table, cap, hash) == hash;
}

/* A table twice as large, or, where that would be too much, a new one beside
 * the full one. */
static int make_room(struct seen *s)
{
    unsigned cap = s->cap == 0        ? CAP_MIN
                   : s->cap < CAP_MAX ? s->cap * 2
                                      : CAP_MAX;
    uint64_t *table = calloc(cap, sizeof(*table));

    if (table == NULL)
        return -ENOMEM;
    if (s->cap == CAP_MAX) {
        free(s->before);
        s->before = s->now;
        s->before_cap = s->cap;
        s->count = 0;
    } else {
        for (unsigned i = 0; i < s->cap; i++)
            if (s->now[i] != 0)
                *place(table, cap, s->now[i]) = s->now[i];
        free(s->now);
    }
    s->now = table;
    s->cap = cap;
    return 0;
}

int seen_add(struct seen *s, uint64_t hash)
{
    hash += hash == 0;
    if (has(s->now, s->cap, hash))
        return 0;
    if (s->count * 2 >= s->cap && make_room(s) < 0)
        return -ENOMEM;
    *place(s->now, s->cap, hash) = hash;
    s->count++;
    return !has(s->before, s->before_cap, hash);
}

void seen_fini(struct seen *s)
{
    free(s->now);
    free(s->before);
    *s = (struct seen){0};
}

uint64_t hash_add(uint64_t h, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * UINT64_C(1099511628211);
    return h;
}
