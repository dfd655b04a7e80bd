/* sightings.h - which messages a crowd of clients has seen, and when the first
 * of them saw each: what there is to compare by where nobody knows when a message
 * was sent.  One thread. */
#ifndef PENSTOCK_BENCH_SIGHTINGS_H
#define PENSTOCK_BENCH_SIGHTINGS_H

#include <stdint.h>

#include "base/strings.h"

struct sighting {
    uint32_t number; /* 0, 1, 2... in the order in which they were first seen */
    uint64_t first_us;
    size_t size_bytes; /* of its data */
};

struct sightings;

/* NULL when out of memory. */
struct sightings *sightings_new(void);
/* The one of that name (its id; of a message without one its data), which begins
 * now if nobody has seen it before.  NULL when out of memory. */
const struct sighting *sightings_see(struct sightings *s, struct str name,
                                     size_t size_bytes, uint64_t now_us);
/* How many there are. */
uint32_t sightings_count(const struct sightings *s);
/* By number; number is less than their count. */
const struct sighting *sightings_at(const struct sightings *s, uint32_t number);
/* Sets *sp to NULL; it may be NULL. */
void sightings_free(struct sightings **sp);

#endif
