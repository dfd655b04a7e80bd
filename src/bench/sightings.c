#include "bench/sightings.h"

#include <stdlib.h>

/* Without it uthash exits when memory runs out; what could not be added is not
 * in the table, and hh.tbl tells. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct entry {
    struct sighting sighting; /* first */
    UT_hash_handle hh;
    char name[];
};

struct sightings {
    struct entry *table;
    struct entry **list; /* by number */
    uint32_t count, cap;
};

struct sightings *sightings_new(void)
{
    return calloc(1, sizeof(struct sightings));
}

static bool make_room(struct sightings *s)
{
    uint32_t cap = s->cap == 0 ? 64 : 2 * s->cap;
    struct entry **more;

    if (s->count < s->cap)
        return true;
    more = realloc(s->list, cap * sizeof(struct entry *));
    if (more == NULL)
        return false;
    s->list = more;
    s->cap = cap;
    return true;
}

static struct entry *add(struct sightings *s, struct str name)
{
    struct entry *e = make_room(s) ? calloc(1, sizeof(*e) + name.n) : NULL;

    if (e == NULL)
        return NULL;
    memcpy(e->name, name.p, name.n);
    HASH_ADD_KEYPTR(hh, s->table, e->name, name.n, e);
    if (e->hh.tbl == NULL) {
        free(e);
        return NULL;
    }
    e->sighting.number = s->count;
    s->list[s->count++] = e;
    return e;
}

const struct sighting *sightings_see(struct sightings *s, struct str name,
                                     size_t size_bytes, uint64_t now_us)
{
    struct entry *e = NULL;

    HASH_FIND(hh, s->table, name.p, name.n, e);
    if (e != NULL)
        return &e->sighting;
    e = add(s, name);
    if (e == NULL)
        return NULL;
    e->sighting.first_us = now_us;
    e->sighting.size_bytes = size_bytes;
    return &e->sighting;
}

uint32_t sightings_count(const struct sightings *s)
{
    return s->count;
}

const struct sighting *sightings_at(const struct sightings *s, uint32_t number)
{
    return &s->list[number]->sighting;
}

void sightings_free(struct sightings **sp)
{
    struct sightings *s = *sp;

    *sp = NULL;
    if (s == NULL)
        return;
    HASH_CLEAR(hh, s->table);
    for (uint32_t i = 0; i < s->count; i++)
        free(s->list[i]);
    free(s->list);
    free(s);
}
