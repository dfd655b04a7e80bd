/* presence.h - who reads a channel.  A member comes with its first connection,
 * and has gone when it has been without one for a grace time; either is a
 * message of the channel, and the list of all can be had.  Who says who it is
 * (the route's "identity", or ?client=) is one member however many connections
 * it has.  Any thread, but for what says otherwise. */
#ifndef PENSTOCK_FEED_PRESENCE_H
#define PENSTOCK_FEED_PRESENCE_H

#include "base/strings.h"
#include "feed/settings.h"

struct buffer;
struct exchange;
struct feed;
struct member;

/* The client of x, whose request is there still, reads the feed's channel.
 * stays: each of its connections has a name of its own, so that it is somebody
 * even where it does not say who.  NULL where it is nobody, where the route
 * keeps no presence, where there are as many members as may be (which is
 * counted) and where memory is out.  On a worker. */
struct member *presence_enter(struct exchange *x, const struct feed *feed,
                              bool stays);
/* Appends to key who the client of x says it is: the octet of a kind, and a name;
 * that alone where it is nobody.  stays: see above.  The kind, as a JSON member's
 * name. */
const char *presence_name(const struct exchange *x, const struct feed *feed,
                          bool stays, struct buffer *key);
/* One connection less: it has gone if grace_ms passes without another one.
 * NULL is fine.  On a worker. */
void presence_leave(struct member *m, uint64_t grace_ms);

/* Whether a GET with this query is for the list: ?presence, where the route
 * keeps one. */
bool presence_asked(struct str query, const struct presence_settings *settings);
/* Answers x with it, and the id that the channel has then:
 *   {"members":[{"identity":"ann","connections":2}],"count":1,"next":"ID"} */
void presence_answer(struct exchange *x, const struct feed *feed);

/* Forgets all: no worker runs any more. */
void presence_fini(void);

#endif
