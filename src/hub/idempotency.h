/* idempotency.h - the last keys that publishers gave, and what they got, so
 * that a publish repeated after a lost answer appends nothing.  Called under
 * the channel's lock. */
#ifndef PENSTOCK_HUB_IDEMPOTENCY_H
#define PENSTOCK_HUB_IDEMPOTENCY_H

#include "base/strings.h"

#define IDEMPOTENCY_KEYS_MAX 1000 /* per channel; bounds memory */
#define IDEMPOTENCY_KEY_MAX  255  /* octets */

struct idempotency;

struct idempotency *idempotency_new(void);
void idempotency_free(struct idempotency *table);
/* The seq that key was answered with, or 0. */
uint64_t idempotency_find(struct idempotency *table, struct str key);
/* Remembers it, forgetting the oldest one over the bound.  0 or -ENOMEM. */
int idempotency_add(struct idempotency *table, struct str key, uint64_t seq);

#endif
