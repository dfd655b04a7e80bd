/* source.h - what appends to a channel from a backend.  A source type (one
 * file in modules/sources/) connects and reads; this core decides when it
 * runs, where, and what happens when it breaks off.
 *
 * A channel has at most one source, however many readers.  It runs on one
 * worker, picked by the channel's name. */
#ifndef PENSTOCK_FEED_SOURCE_H
#define PENSTOCK_FEED_SOURCE_H

#include "base/snapshot.h"
#include "base/strings.h"
#include "feed/settings.h"

struct buffer;
struct channel;
struct message_parts;
struct source;
struct worker;

/* One const struct per type.  Everything is called on the source's worker. */
struct source_type {
    const char *name;  /* as written in the config file */
    size_t state_size; /* private octets per source, zeroed; source_state() */
    /* Begins to connect.  It may call source_failed() later, not from inside.
     * 0 or -errno, which counts as a failure. */
    int (*start)(struct source *s);
    /* Ends it: no call to the core may follow. */
    void (*stop)(struct source *s);
    /* The source is about to go for good: frees what state holds. */
    void (*fini)(struct source *s);
};

/* ---- for source types ------------------------------------------------------ */

void *source_state(struct source *s);
const struct source_settings *source_settings(const struct source *s);
/* Path and query of the upstream URL, beginning with '/'. */
struct str source_path(const struct source *s);
/* Fields that its clients' requests had, "Name: value\r\n"..., for its own:
 * secret. */
struct str source_passed(const struct source *s);
/* "channel=NAME source=TYPE", for log lines. */
const char *source_label(const struct source *s);

/* Appends a message.  upstream_id is what the backend gave it, and no other
 * (absent: none): after a reconnect a message with an id, type and data that were seen shortly before
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
/* The backend has answered one of many questions: the same, and what has been
 * gathered is appended. */
void source_answered(struct source *s);
/* The stream ended or never began.  The core calls stop(), and start() again
 * after a while: retry_ms (0: no wish) is what the backend asked for.  why is
 * borrowed until it returns, and is shown to people. */
void source_failed(struct source *s, const char *why, uint64_t retry_ms);
/* The backend says that there will be no more (204): the channel is over, and
 * the backend is not asked again until a new reader comes. */
void source_over(struct source *s, const char *why);

/* ---- for the core's users -------------------------------------------------- */

/* The known types, NULL-ended; set once, before workers run. */
void source_setup(const struct source_type *const *types,
                  struct worker *const *workers, unsigned worker_count);
/* What of a source's requests depends on its channel. */
struct source_request {
    struct str path;   /* see source_path() */
    struct str passed; /* see source_passed() */
};

/* Makes sure that channel's source exists and, if it is wanted, runs.  Nothing
 * happens for the type "publish".  request is copied.  Any worker. */
void source_ensure(struct channel *channel, struct snapshot *snapshot,
                   const struct source_settings *settings,
                   struct source_request request);
bool source_exists(struct channel *channel);
/* What the source of channel is to be from now on, its URL's path and query in
 * path, which is empty; NULL: there is to be none. */
typedef const struct source_settings *source_plan_fn(void *arg,
                                                     struct channel *channel,
                                                     struct buffer *path);
/* Asks plan, whose answers are part of snapshot, about each source of this
 * worker.  One of the same type and URL goes on, with its connection where that
 * can be; others make room for a new one, or for none. */
void source_revise_here(struct snapshot *snapshot, source_plan_fn *plan,
                        void *arg);
/* On a worker that is about to stop: ends the sources that run there.  None
 * starts anywhere from then on. */
void source_stop_here(void);
/* Frees them all; every worker has stopped. */
void source_fini(void);

/* State and last fault for people, as JSON members ("state":"open",...), or
 * nothing where the channel has no source. */
void source_describe(struct channel *channel, struct buffer *out);

#endif
