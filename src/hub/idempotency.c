#include "hub/idempotency.h"

#include <errno.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1 /* it exits otherwise */
#include <uthash.h>

struct entry {
    UT_hash_handle hh;
    uint64_t seq;
    size_t len;
    char key[];
};

/* uthash keeps the order of insertion, so the head is the oldest. */
struct idempotency {
    struct entry *entries;
};

struct idempotency *idempotency_new(void)
{
    return calloc(1, sizeof(struct idempotency));
}

void idempotency_free(struct idempotency *table)
{
    struct entry *e, *next;

    if (table == NULL)
        return;
    HASH_ITER(hh, table->entries, e, next)
    {
        HASH_DEL(table->entries, e);
        free(e);
    }
    free(table);
}

uint64_t idempotency_find(struct idempotency *table, struct str key)
{
    struct entry *e;

    HASH_FIND(hh, table->entries, key.p, key.n, e);
    return e == NULL ? 0 : e->seq;
}

int idempotency_add(struct idempotency *table, struct str key, uint64_t seq)
{
    struct entry *e = malloc(sizeof(*e) + key.n), *oldest;

    if (e == NULL)
        return -ENOMEM;
    e->seq = seq;
    e->len = key.n;
    memcpy(e->key, key.p, key.n);
    if (HASH_COUNT(table->entries) >= IDEMPOTENCY_KEYS_MAX) {
        oldest = table->entries;
        HASH_DEL(table->entries, oldest);
        free(oldest);
    }
    HASH_ADD(hh, table->entries, key, e->len, e);
    if (e->hh.tbl == NULL) {
        free(e);
        return -ENOMEM;
    }
    return 0;
}
