/* hint.h - what readers of a channel are told of the transport that suits it: by
 * a notice where they follow it, by a field where they poll.  A channel keeps it
 * as a number (channel_set_hint), 0 for nothing. */
#ifndef PENSTOCK_FEED_HINT_H
#define PENSTOCK_FEED_HINT_H

#include "base/buffer.h"
#include "base/tally.h"
#include "http/exchange.h"

struct channel;
struct reader_settings;

#define HINT_TEXT_MAX 48 /* of the field's value */

/* poll_ms: between two polls, if that is what suits. */
uint64_t hint_pack(enum tally_part part, uint64_t poll_ms);
#define HINT_PART_BITS 3
/* The transport that it names, and 1; 0 for none. */
static inline unsigned hint_part(uint64_t hint)
{
    return (unsigned)(hint & ((1u << HINT_PART_BITS) - 1));
}
/* {"advice":{"transport":"poll","every_ms":12000}}, in one line. */
void hint_encode(struct buffer *out, uint64_t hint);
/* Adds Penstock-Advice: poll;every_ms=12000 where the route follows advice and
 * there is any for c (NULL: several channels, or none).  text lives as long as
 * a. */
void hint_add(struct answer_headers *a, const struct reader_settings *s,
              const struct channel *c, char text[HINT_TEXT_MAX]);

#endif
