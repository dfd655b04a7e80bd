/* selection.h - several channels read as one, in the order in which their
 * messages came.  It sits in the audience of each; its cursor is a stamp of
 * that order (order.h), which names a place in every channel at once.  Its
 * worker's alone. */
#ifndef PENSTOCK_HUB_SELECTION_H
#define PENSTOCK_HUB_SELECTION_H

#include "base/buffer.h"
#include "hub/audience.h"
#include "hub/order.h"

struct selection;

/* A channel to read, and where from: an id of the order's epoch, "now",
 * "oldest", or its own last N. */
struct choice {
    struct channel *channel;
    struct cursor cursor;
};

/* Makes r the reader of choices[0..count), which may be none, no channel twice,
 * all of the hub that this is the order of.  As reader_join(); messages that
 * are missing from any of them are one gap, and selection_write_lost() says
 * from which.  -ESTALE: one was deleted. */
int selection_join(struct reader *r, const struct reader_ops *ops,
                   struct order *order, const struct choice *choices,
                   unsigned count, unsigned worker, struct cursor fallback,
                   struct gap *gap);
/* Leaves all of them, and frees it. */
void selection_leave(struct reader *r);

/* Adds one while it reads; id gets the place right before the first message
 * that it gives of it.  As selection_join(); -EEXIST: it is there. */
int selection_add(struct selection *s, const struct choice *choice,
                  unsigned worker, struct cursor fallback, char id[ID_MAX],
                  struct gap *gap);
/* Takes one out.  False: it was not there. */
bool selection_remove(struct selection *s, struct str channel_name);
unsigned selection_count(const struct selection *s);

/* Appends ["a","b"]: the channels that gaps were found in since the last
 * time. */
void selection_write_lost(struct selection *s, struct buffer *out);
const char *selection_first_name(const struct selection *s);

/* A channel whose source is down, or NULL. */
struct channel *selection_stale(const struct selection *s);
/* The name of one whose source has gone down, or come back (*stale says which),
 * since it was last told so; NULL: there is none. */
const char *selection_next_turn(struct selection *s, bool *stale);

/* As those of reader.h. */
void selection_read(struct selection *s, struct reading *reading);
void selection_advance(struct selection *s, const struct reading *reading,
                       unsigned count);
uint64_t selection_skip_to_newest(struct selection *s);
bool selection_dry(const struct selection *s);
size_t selection_position(const struct selection *s, char id[ID_MAX]);

#endif
