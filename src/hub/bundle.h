/* bundle.h - messages that many readers get one behind the other, as one piece
 * of octets: joined once a format, so each reader is sent one piece and not one
 * for each message.  They belong to whoever hands the messages out, and to its
 * thread. */
#ifndef PENSTOCK_HUB_BUNDLE_H
#define PENSTOCK_HUB_BUNDLE_H

#include "hub/encoding.h"

struct bundle;

/* The octets of the count messages in a format that is not compressed, made
 * when they are first asked for; framed as of wire_str().  *list is all that
 * there are of these messages, NULL at first.  Absent: they are too few or too
 * long to gain by it, or memory is out. */
struct str bundle_of(struct bundle **list, struct message *const *messages,
                     unsigned count, enum wire_format format, bool framed);
/* Frees all of *list and sets it to NULL, which it may be already. */
void bundle_free(struct bundle **list);

#endif
