/* sse.c - the source "sse": a backend's text/event-stream, resumed by its own
 * Last-Event-ID (HTML living standard, "Server-sent events"). */
#include <stdlib.h>

#include "base/logging.h"
#include "base/meter.h"
#include "feed/upstream.h"
#include "hub/message.h"
#include "modules.h"
#include "wire/sse.h"

struct sse_source {
    struct upstream upstream; /* first */
    struct sse_parser parser;
    bool parser_ready;
};

static int on_event(void *arg, const struct sse_event *event)
{
    struct sse_source *s = arg;
    const struct message_parts parts = {
        .data = event->data,
        .type = event->type,
    };

    /* Events that share an earlier one's id may be alike and yet be two. */
    return source_emit(s->upstream.source, &parts,
                       event->has_id ? event->id : STR_NONE);
}

static void on_oversize(void *arg, size_t size_bytes)
{
    struct sse_source *s = arg;

    meter_add(METER_source_refused, 1);
    log_warn_limited("source.refused", "%s reason=\"event over the limit\" "
                     "bytes=%zu", source_label(s->upstream.source),
                     size_bytes);
}

static const struct sse_parser_ops parser_ops = {
    .event = on_event,
    .oversize = on_oversize,
};

static void begin(struct upstream *u)
{
    sse_parser_restart(&((struct sse_source *)u)->parser);
}

static int data(struct upstream *u, const char *bytes, size_t len)
{
    return sse_parser_feed(&((struct sse_source *)u)->parser, bytes, len);
}

/* Half an event at the end is no event. */
static void end(struct upstream *u)
{
}

static uint64_t retry_ms(const struct upstream *u)
{
    return ((const struct sse_source *)u)->parser.retry_ms;
}

static const char *const types[] = {"text/event-stream", NULL};
static const struct upstream_ops upstream_ops = {
    .accept = "text/event-stream",
    .types = types,
    .begin = begin,
    .data = data,
    .end = end,
    .retry_ms = retry_ms,
};

static int start(struct source *source)
{
    struct sse_source *s = source_state(source);

    if (!s->parser_ready)
        sse_parser_init(&s->parser, &parser_ops, s,
                        source_settings(source)->message_bytes);
    s->parser_ready = true;
    s->parser.limit_bytes = source_settings(source)->message_bytes;
    return upstream_start(&s->upstream, source, &upstream_ops,
                          sse_parser_last_id(&s->parser));
}

static void stop(struct source *source)
{
    upstream_stop(source_state(source));
}

static void fini(struct source *source)
{
    struct sse_source *s = source_state(source);

    if (s->parser_ready)
        sse_parser_fini(&s->parser);
    upstream_fini(&s->upstream);
}

const struct source_type source_sse = {
    .name = "sse",
    .state_size = sizeof(struct sse_source),
    .start = start,
    .stop = stop,
    .fini = fini,
};
