/* inbox.h - what one client says, on its way to a backend.  Which way that is,
 * is its type's: a POST for each message (inbox_post.c), or a WebSocket of the
 * client's own (inbox_websocket.c).  Its worker's alone. */
#ifndef PENSTOCK_FEED_INBOX_H
#define PENSTOCK_FEED_INBOX_H

#include <sys/queue.h>

#include "base/buffer.h"
#include "feed/settings.h"
#include "hub/message.h"

struct exchange;
struct feed;
struct inbox;

/* What becomes of messages.  Any of these may leave the inbox. */
struct inbox_ops {
    /* What the backend says to this client alone; data is absent where it says
     * nothing, and status 200 where there is none.  Both slices are borrowed. */
    void (*answered)(void *arg, unsigned status, struct str data,
                     struct str content_type);
    /* A message has no answer: 502, 503 or 504.  why is borrowed. */
    void (*failed)(void *arg, unsigned status, const char *why);
    /* The backend wants no more, so the client is to be closed with this code of
     * a WebSocket; reason is borrowed. */
    void (*closed)(void *arg, unsigned code, const char *reason);
    /* There is room again after inbox_put() had said that there is none. */
    void (*room)(void *arg);
};

/* ---- for those who have a client ------------------------------------------- */

/* An inbox for the client of x, whose request is there still, as the feed says.
 * NULL when out of memory. */
struct inbox *inbox_new(struct exchange *x, const struct feed *feed,
                        const struct inbox_ops *ops, void *arg);
/* The client is gone, its WebSocket closed with that code (0: it said none), and
 * ops are not called any more; what it has said still goes to the backend, until
 * that fails to take it.  NULL is fine. */
void inbox_leave(struct inbox *in, unsigned code);
/* Copies a message.  0; 1: it is taken, and there is no room for another until
 * room() says so; -ENOMEM. */
int inbox_put(struct inbox *in, const struct message_parts *parts);
/* Whether there is no room. */
bool inbox_full(const struct inbox *in);
/* Whether what others say already fills the way that in shares with them: no time
 * to begin. */
bool inbox_crowded(const struct inbox *in);
/* Stops or resumes what the backend says: the client is behind.  May call ops. */
void inbox_read(struct inbox *in, bool on);

/* Ends those of this worker that are left: before it stops. */
void inbox_end_all(void);

/* ---- for types ------------------------------------------------------------- */

struct inbox_type {
    /* inbox_init() on what it makes.  Calls no ops.  NULL when out of memory. */
    struct inbox *(*open)(struct exchange *x, const struct feed *feed);
    int (*put)(struct inbox *in, const struct message_parts *parts);
    void (*read)(struct inbox *in, bool on);
    /* NULL where nothing is shared. */
    bool (*crowded)(const struct inbox *in);
    /* Nobody listens any more.  Frees it, or lets it linger until what was said
     * has gone out: then it is called again after each inbox_exit(). */
    void (*leave)(struct inbox *in);
    void (*free)(struct inbox *in);
    /* Closes what this worker keeps for others to come.  May be NULL. */
    void (*rest)(void);
};
extern const struct inbox_type inbox_post, inbox_websocket;

/* The first member of a type's own struct. */
struct inbox {
    const struct inbox_type *type;
    const struct inbox_ops *ops;
    void *arg;
    LIST_ENTRY(inbox) link;    /* of those that linger */
    struct snapshot *snapshot; /* a reference: the backend's */
    const struct inbox_settings *settings;
    struct buffer target;      /* of the backend's URL: path and query */
    struct buffer fields;      /* of each request: who says it, and where */
    unsigned busy;             /* calls that are not over yet */
    unsigned leave_code;
    bool full;                 /* put() said so, and room() has not since:
                                * messages that came with that one are taken */
    bool left, lingers;
};

/* 0 or -ENOMEM; inbox_fini() in either case. */
int inbox_init(struct inbox *in, const struct inbox_type *type,
               struct exchange *x, const struct feed *feed);
void inbox_fini(struct inbox *in);
/* Around whatever calls ops: in lives until the last exit, and perhaps no
 * longer. */
void inbox_enter(struct inbox *in);
void inbox_exit(struct inbox *in);
/* For leave(): it is freed later. */
void inbox_linger(struct inbox *in);
/* There is room where there was none. */
void inbox_make_room(struct inbox *in);

#endif
