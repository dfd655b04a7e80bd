/* reader.h - a client with a cursor, and the audience that it sits in: the
 * readers of one channel on one worker.
 *
 * No wake-up is lost: an audience that has seen everything sets its bit in
 * channel.waiting under the same lock that appends take, after looking.
 * Whoever appends clears the bits and posts a note to each such worker; the
 * note runs a pass over the audience there.  Passes are cut into slices, so a
 * crowd on one channel does not hold up the others. */
#ifndef PENSTOCK_HUB_READER_H
#define PENSTOCK_HUB_READER_H

#include "hub/channel.h"
#include "hub/cursor.h"

struct reader;

struct reader_ops {
    /* There is something to read.  Called in passes, on the reader's worker,
     * unless it is blocked.  May leave. */
    void (*ready)(struct reader *r);
    /* It is blocked, and the history has moved past its cursor.  May leave. */
    void (*behind)(struct reader *r);
    /* The channel was deleted.  Must leave. */
    void (*ended)(struct reader *r);
};

/* Embedded in whatever reads.  Its worker's alone. */
struct reader {
    const struct reader_ops *ops;
    struct audience *audience; /* NULL while it has not joined */
    uint64_t next_seq;         /* its cursor: the message that it wants next */
    uint32_t at;               /* its place in the audience */
    bool blocked;              /* its socket is full: passes leave it out */
};

/* What a reader asked for and the history no longer has. */
struct gap {
    char from[ID_MAX]; /* where it was; empty where that was not an id of ours */
    char to[ID_MAX];   /* the id that it goes on from */
};

/* Joins channel c's audience on this worker (a reference is taken) at the
 * place that cursor names: CURSOR_NONE and CURSOR_ALIEN mean fallback, which
 * is one of CURSOR_NOW, CURSOR_OLDEST, CURSOR_LAST_N.  0; 1 if messages are
 * missing in between, and *gap says so; -ENOMEM; -ESTALE: c was deleted.
 * Nothing is called from inside; read until dry afterwards. */
int reader_join(struct reader *r, const struct reader_ops *ops,
                struct channel *c, unsigned worker, struct cursor cursor,
                struct cursor fallback, struct gap *gap);
/* Leaves; fine if it never joined.  The channel may be freed by this. */
void reader_leave(struct reader *r);

static inline bool reader_joined(const struct reader *r)
{
    return r->audience != NULL;
}
struct channel *reader_channel(const struct reader *r);

#define READING_MAX 64 /* messages that one reading carries: an iovec's worth */

/* Messages from a reader's cursor on, borrowed until reading_done(). */
struct reading {
    struct message *const *messages;
    unsigned count;   /* 0: dry */
    uint64_t missed;  /* messages skipped just before these: gap is set */
    struct gap gap;
    struct message *held[READING_MAX]; /* own references, where it took any */
    bool owned;
};

/* Looks at what there is.  Moves nothing but past a gap; reader_advance()
 * does.  Inside a pass most readers share what the pass holds. */
void reader_read(struct reader *r, struct reading *reading);
void reading_done(struct reading *reading);
static inline void reader_advance(struct reader *r, unsigned count)
{
    r->next_seq += count;
}
/* Moves the cursor to the newest message that its audience has seen, where the
 * older ones do not matter any more.  Returns how many were passed over. */
uint64_t reader_skip_to_newest(struct reader *r);
/* Whether it has had all that its audience has seen: what comes later will
 * call ready(). */
bool reader_dry(const struct reader *r);
/* The id of the message before its cursor: where it is now. */
size_t reader_position(const struct reader *r, char id[ID_MAX]);

#endif
