/* history.h - a channel's messages: a bounded, append-only log, oldest dropped
 * first.  No lock of its own: everything here is called under the channel's. */
#ifndef PENSTOCK_HUB_HISTORY_H
#define PENSTOCK_HUB_HISTORY_H

#include "hub/message.h"

struct history_bounds {
    unsigned messages; /* at least 1 */
    size_t bytes;      /* of data; the newest message is held whatever its size */
    uint64_t age_us;   /* since arrival; 0: no bound */
};

struct history {
    struct history_bounds bounds;
    uint64_t epoch;
    uint64_t next_seq;      /* of the next append; 1 at first */
    uint64_t newest_seq;    /* of the last one that is not aside; 0: none was */
    uint64_t oldest_us;     /* when the oldest message held was born */
    uint64_t lost_stamp;    /* of the newest message that is gone; 0: none is */
    struct message **ring;  /* cap slots, a power of two; seq & (cap - 1) */
    unsigned cap, count;
    size_t bytes;
};

void history_init(struct history *h, const struct history_bounds *bounds);
/* Takes the caller's reference and gives m its epoch and seq.  What falls out
 * of bounds is put in front of *evicted, linked by evicted_next, for the caller
 * to unref after unlocking.  0, or -ENOMEM: m is still the caller's. */
int history_append(struct history *h, struct message *m,
                   struct message **evicted);
/* Drops what is older than the age bound, as above. */
void history_expire(struct history *h, uint64_t now_us,
                    struct message **evicted);
/* The seq of the oldest message held; next_seq where there is none. */
uint64_t history_first_seq(const struct history *h);
/* Borrowed; seq is one that is held. */
struct message *history_at(const struct history *h, uint64_t seq);
/* The newest message that is not aside, borrowed; NULL where none is held. */
struct message *history_newest(const struct history *h);
/* The seq of the oldest message held whose stamp is larger; next_seq where
 * there is none. */
uint64_t history_after_stamp(const struct history *h, uint64_t stamp);
/* Unrefs everything. */
void history_fini(struct history *h);

/* Unrefs a chain of evicted messages.  Not under the lock. */
void history_free_evicted(struct message *evicted);

#endif
