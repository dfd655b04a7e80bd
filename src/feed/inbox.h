/* inbox.h - what one client says, on its way to a backend: a POST for each
 * message, one at a time and in order.  At most "queue" of them wait.  Its
 * worker's alone. */
#ifndef PENSTOCK_FEED_INBOX_H
#define PENSTOCK_FEED_INBOX_H

#include "feed/settings.h"
#include "hub/message.h"

struct exchange;
struct feed;
struct inbox;

/* What becomes of messages.  These may leave the inbox. */
struct inbox_ops {
    /* The backend's answer, for this client alone; data may be empty.  Both
     * slices are borrowed. */
    void (*answered)(void *arg, unsigned status, struct str data,
                     struct str content_type);
    /* There is none: 502, 503 or 504.  why is static. */
    void (*failed)(void *arg, unsigned status, const char *why);
    /* There is room again after inbox_put() had said that there is none.  This
     * one may not leave. */
    void (*room)(void *arg);
};

/* An inbox for the client of x, whose request is there still, as the feed says.
 * NULL when out of memory. */
struct inbox *inbox_new(struct exchange *x, const struct feed *feed,
                        const struct inbox_ops *ops, void *arg);
/* The client is gone, and ops are not called any more; what it has said still
 * goes to the backend, until that fails to take it.  NULL is fine. */
void inbox_leave(struct inbox *in);
/* Ends those of this worker that are left: before it stops. */
void inbox_end_all(void);
/* Whether there is no room. */
bool inbox_full(const struct inbox *in);
/* Copies a message.  0; 1: it is taken, and there is no room for another until
 * room() says so; -ENOMEM. */
int inbox_put(struct inbox *in, const struct message_parts *parts);

#endif
