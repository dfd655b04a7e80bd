/* audience.h - the readers of one channel on one worker, and how each of them
 * reads it.  Most use reader.h, which also knows readers of several channels.
 *
 * No wake-up is lost: an audience that has seen everything sets its bit in
 * channel.waiting under the same lock that appends take, after looking.
 * Whoever appends clears the bits and posts a note to each such worker; the
 * note runs a pass over the audience there.  Passes are cut into slices, so a
 * crowd on one channel does not hold up the others. */
#ifndef PENSTOCK_HUB_AUDIENCE_H
#define PENSTOCK_HUB_AUDIENCE_H

#include "hub/bundle.h"
#include "hub/channel.h"
#include "hub/cursor.h"

struct audience;
struct reader;
struct selection;

struct reader_ops {
    /* There is something to read.  Called in passes, on the reader's worker,
     * unless it is blocked.  May leave. */
    void (*ready)(struct reader *r);
    /* It is blocked, and the history has moved past its cursor.  May leave. */
    void (*behind)(struct reader *r);
    /* The channel was deleted.  Must leave. */
    void (*ended)(struct reader *r);
    /* Its turn is about to come: to prefetch what ready() looks at.  May be
     * NULL. */
    void (*soon)(const struct reader *r);
};

/* Embedded in whatever reads.  Its worker's alone. */
struct reader {
    const struct reader_ops *ops;
    union {
        struct audience *audience;   /* NULL while it has not joined */
        struct selection *selection; /* of several channels: selection.h */
    };
    uint64_t next_seq;         /* its cursor: the message that it wants next */
    uint32_t at;               /* its place in the audience */
    bool blocked;              /* its socket is full: passes leave it out */
    bool selects;              /* it reads a selection */
};

/* What a reader asked for and the history no longer has. */
struct gap {
    char from[ID_MAX]; /* where it was; empty where that was not an id of ours */
    char to[ID_MAX];   /* the id that it goes on from */
    uint64_t missed;   /* how many messages that is; 0: that is not known */
};

#define READING_MAX 64 /* messages that one reading carries: an iovec's worth */

/* Messages from a reader's cursor on, borrowed until reading_done(). */
struct reading {
    struct message *const *messages;
    unsigned count;   /* 0: dry */
    uint64_t missed;  /* messages skipped just before these: gap is set */
    struct gap gap;
    struct message *held[READING_MAX]; /* own references, where it took any */
    uint16_t from[READING_MAX]; /* of a selection: whose each of them is */
    struct bundle **bundles; /* all of them, joined for many; NULL: for one */
    bool owned;
};

/* As reader_join(), into channel c's audience on this worker. */
int audience_join(struct reader *r, const struct reader_ops *ops,
                  struct channel *c, unsigned worker, struct cursor cursor,
                  struct cursor fallback, struct gap *gap);
/* The channel may be freed by this. */
void audience_leave(struct reader *r);
struct channel *audience_channel(const struct reader *r);

/* As those of reader.h. */
void audience_read(struct reader *r, struct reading *reading);
uint64_t audience_skip_to_newest(struct reader *r);
bool audience_dry(const struct reader *r);
size_t audience_position(const struct reader *r, char id[ID_MAX]);

/* Whether, in a pass, the history was found to have moved past its cursor. */
bool audience_left_behind(const struct reader *r);

#endif
