/* module.h - what a loadable module shows, and what it may call.  Installed: a
 * source of one's own is a shared object made against `pkg-config penstock`
 * and named in "modules" of the config file.
 *
 * It exports `const struct module penstock_module`.  Its source types are then
 * written as those that are built in: {"NAME": "BACKEND/PATH"}.
 *
 * Everything here is called on the source's worker, a thread with a loop of
 * libevent; nothing may block.  A module is never unloaded. */
#ifndef PENSTOCK_MODULE_H
#define PENSTOCK_MODULE_H

#include <stdbool.h>
#include <stdint.h>

#include "penstock/message.h"

struct event_base;
struct inbox_type;
struct source;

/* Grows with each change to what stands in these headers. */
#define PENSTOCK_ABI 2

/* What appends to a channel.  Each channel has one of its own, in its state. */
struct source_type {
    const char *name;  /* as written in the config file */
    size_t state_size; /* private octets per source, zeroed; source_state() */
    /* Begins to connect.  It may call source_failed() later, not from inside.
     * 0 or -errno, which counts as a failure. */
    int (*start)(struct source *s);
    /* Ends it: no call to the core may follow. */
    void (*stop)(struct source *s);
    /* The source is about to go for good: frees what state holds.  May be
     * NULL. */
    void (*fini)(struct source *s);
};

struct module {
    unsigned abi; /* PENSTOCK_ABI; first, for ever */
    const char *name;
    const struct source_type *const *sources; /* NULL-ended */
    const struct inbox_type *inbox; /* where "receive" may send what clients say;
                                     * NULL, but for "redis" */
};

/* What a module exports. */
extern const struct module penstock_module
    __attribute__((visibility("default")));

/* ---- what there is to know ----------------------------------------------- */

void *source_state(struct source *s);
/* What follows the backend's name: path and query of a URL, beginning with '/',
 * its {name}s filled in. */
struct str source_path(const struct source *s);
/* "channel=NAME source=TYPE", for log lines. */
const char *source_label(const struct source *s);
/* The server whose turn it is: a name or an address, without brackets. */
const char *source_server(const struct source *s, uint16_t *port);
/* The largest message that is to be taken; larger ones are dropped. */
size_t source_message_max(const struct source *s);
/* The loop of the calling worker, for events, timers and bufferevents. */
struct event_base *source_event_base(void);

/* ---- what it brings ------------------------------------------------------ */

/* Appends a message, which is copied, changed as the route's "transform" says.
 * upstream_id is what the backend gave it, and no other (absent: none): after a
 * reconnect a message with an id, type and data that were seen shortly before
 * is dropped as a repeat.  0 or -errno. */
int source_emit(struct source *s, const struct message_parts *parts,
                struct str upstream_id);
/* Appends what source_emit() has gathered: at the end of a read, so that what
 * came together is appended together. */
void source_flush(struct source *s);
/* The backend answered as it should: a stream is open.  resumes: it was told
 * from where to go on.  Otherwise, from the second time on, messages may be
 * missing, and readers are told so with the next one. */
void source_opened(struct source *s, bool resumes);
/* The stream ended or never began.  The core calls stop(), and start() again
 * after a while: retry_ms (0: no wish) is what the backend asked for.  why is
 * borrowed until it returns, and is shown to people. */
void source_failed(struct source *s, const char *why, uint64_t retry_ms);
/* The backend says that there will be no more: the channel is over, and the
 * backend is not asked again until a new reader comes. */
void source_over(struct source *s, const char *why);

#endif
