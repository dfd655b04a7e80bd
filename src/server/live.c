#include "server/live.h"

#include "modules.h"
#include "server/report.h"
#include "server/server.h"

/* Only what is now matters, and nobody comes back for more. */
static const struct history_bounds bounds = {.messages = 1, .bytes = 1};
static const struct source_settings source = {.type = "publish"};
static const struct reader_settings reader = {
    .lag = LAG_LATEST,
    .heartbeat_ms = 15000,
    .write_ms = 30000,
    .retry_ms = 2000,
};

int live_init(struct server *s)
{
    hub_init(&s->own, s->worker_count, 1, s->hub.post, s->hub.post_arg);
    s->own.uncounted = true;
    return hub_channel(&s->own, STR("live"), &bounds, &s->live);
}

void live_fini(struct server *s)
{
    if (s->own.workers == 0)
        return;
    channel_unref(&s->live);
    hub_fini(&s->own);
}

static void publish(struct server *s, const struct config *config)
{
    struct buffer text = {0};
    struct message *m = NULL;

    report_routes(&text, s, config);
    if (!text.failed)
        m = message_new(&(struct message_parts){
            .data = buffer_str(&text),
            .content_type = STR("application/json"),
        });
    if (m != NULL)
        channel_append(s->live, &m, 1, NULL);
    buffer_fini(&text);
}

void live_open(struct server *s, const struct config *config,
               struct exchange *x)
{
    const struct feed feed = {
        .channel = s->live,
        .reader = &reader,
        .source = &source,
        .cursor = {.kind = CURSOR_OLDEST}, /* it need not wait for its first */
    };

    if (atomic_load(&s->live->readers) == 0)
        publish(s, config); /* what is there is of when somebody last read */
    modules_transport("sse")->open(x, &feed);
}

void live_tick(struct server *s)
{
    if (atomic_load(&s->live->readers) > 0)
        publish(s, s->config);
}
