/* redis.c - the module "redis": the source of that name, in two kinds, and the
 * way back. */
#include "inbox.h"
#include "pubsub.h"
#include "stream.h"

/* A stream's place outlives its connections; so it lies apart. */
struct redis_source {
    struct pubsub pubsub;
    struct stream stream;
};

static int start(struct source *s)
{
    struct redis_source *r = source_state(s);

    if (source_settings(s)->redis == REDIS_STREAM)
        return stream_start(&r->stream, s);
    return pubsub_join(&r->pubsub, s);
}

static void stop(struct source *s)
{
    struct redis_source *r = source_state(s);

    stream_stop(&r->stream);
    pubsub_leave(&r->pubsub);
}

static const struct source_type redis = {
    .name = "redis",
    .state_size = sizeof(struct redis_source),
    .start = start,
    .stop = stop,
};

static const struct source_type *const sources[] = {&redis, NULL};

const struct module penstock_module = {
    .abi = PENSTOCK_ABI,
    .name = "redis",
    .sources = sources,
    .inbox = &redis_inbox,
};
