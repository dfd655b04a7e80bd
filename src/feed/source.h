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
#include "penstock/module.h"

struct buffer;
struct channel;
struct worker;

/* ---- for source types: penstock/module.h, and for those built in ----------- */

const struct source_settings *source_settings(const struct source *s);
/* Fields that its clients' requests had, "Name: value\r\n"..., for its own:
 * secret. */
struct str source_passed(const struct source *s);
/* The backend has answered one of many questions: it is open, and what has
 * been gathered is appended. */
void source_answered(struct source *s);

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
/* How many there are by state, in Prometheus' text format. */
void source_metrics(struct buffer *out);

#endif
