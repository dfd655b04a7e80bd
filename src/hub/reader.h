/* reader.h - a client with a cursor: of one channel, whose audience it joins,
 * or of several that it reads as one.  Each of these does what the audience or
 * the selection does; callers need not know which. */
#ifndef PENSTOCK_HUB_READER_H
#define PENSTOCK_HUB_READER_H

#include "hub/audience.h"
#include "hub/selection.h"

/* Joins channel c's audience on this worker (a reference is taken) at the
 * place that cursor names: CURSOR_NONE and CURSOR_ALIEN mean fallback, which
 * is one of CURSOR_NOW, CURSOR_OLDEST, CURSOR_LAST_N.  0; 1 if messages are
 * missing in between, and *gap says so; -ENOMEM; -ESTALE: c was deleted.
 * Nothing is called from inside; read until dry afterwards. */
int reader_join(struct reader *r, const struct reader_ops *ops,
                struct channel *c, unsigned worker, struct cursor cursor,
                struct cursor fallback, struct gap *gap);
/* The same with several channels: see selection_join(). */
int reader_select(struct reader *r, const struct reader_ops *ops,
                  struct order *order, const struct choice *choices,
                  unsigned count, unsigned worker, struct cursor fallback,
                  struct gap *gap);
/* Leaves; fine if it never joined.  The channels may be freed by this. */
void reader_leave(struct reader *r);

static inline bool reader_joined(const struct reader *r)
{
    return r->audience != NULL;
}
/* For people: the channel's name, or of several the first one's. */
const char *reader_channel_name(const struct reader *r);

/* Looks at what there is.  Moves nothing but past a gap; reader_advance()
 * does.  Inside a pass most readers share what the pass holds. */
static inline void reader_read(struct reader *r, struct reading *reading)
{
    if (r->selects)
        selection_read(r->selection, reading);
    else
        audience_read(r, reading);
}
void reading_done(struct reading *reading);
/* Moves the cursor past the first count messages of its last reading. */
static inline void reader_advance(struct reader *r,
                                  const struct reading *reading,
                                  unsigned count)
{
    if (r->selects)
        selection_advance(r->selection, reading, count);
    else
        r->next_seq += count;
}
/* Moves the cursor to the newest message that its audience has seen, where the
 * older ones do not matter any more.  Returns how many were passed over. */
static inline uint64_t reader_skip_to_newest(struct reader *r)
{
    return r->selects ? selection_skip_to_newest(r->selection)
                      : audience_skip_to_newest(r);
}
/* Whether it has had all that its audience has seen: what comes later will
 * call ready(). */
static inline bool reader_dry(const struct reader *r)
{
    return r->selects ? selection_dry(r->selection) : audience_dry(r);
}
/* Whether its channel is over: once it is dry, that was all.  Several channels
 * are never over. */
static inline bool reader_over(const struct reader *r)
{
    return !r->selects && channel_over(audience_channel(r));
}
/* Its channel, or one of several, whose source is down; NULL: none is. */
static inline struct channel *reader_stale(const struct reader *r)
{
    struct channel *c;

    if (r->selects)
        return selection_stale(r->selection);
    c = audience_channel(r);
    return channel_stale(c) ? c : NULL;
}
/* What it may be told of transports: 0 for nothing, and of several channels. */
static inline uint64_t reader_hint(const struct reader *r)
{
    return r->selects ? 0 : channel_hint(audience_channel(r));
}
/* The id of the message before its cursor: where it is now. */
static inline size_t reader_position(const struct reader *r, char id[ID_MAX])
{
    return r->selects ? selection_position(r->selection, id)
                      : audience_position(r, id);
}

#endif
