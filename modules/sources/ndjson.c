/* ndjson.c - the source "ndjson": a backend's stream of JSON values, one to a
 * line, or a JSON text sequence.  It has no ids, so what was sent while we were
 * away is not had. */
#include <stdlib.h>

#include "base/logging.h"
#include "base/meter.h"
#include "feed/upstream.h"
#include "hub/message.h"
#include "modules.h"
#include "wire/ndjson.h"

struct ndjson_source {
    struct upstream upstream; /* first */
    struct ndjson_parser parser;
    bool parser_ready;
};

static int on_value(void *arg, struct str value)
{
    struct ndjson_source *s = arg;
    const struct message_parts parts = {
        .data = value,
        .content_type = STR("application/json"),
    };

    return source_emit(s->upstream.source, &parts, STR_NONE);
}

static void on_bad(void *arg, const char *why, struct str line)
{
    struct ndjson_source *s = arg;

    meter_add(METER_source_refused, 1);
    log_warn_limited("source.refused", "%s reason=\"%s\"",
                     source_label(s->upstream.source), why);
}

static const struct ndjson_parser_ops parser_ops = {
    .value = on_value,
    .bad = on_bad,
};

static const char sequence[] = "application/json-seq";

static void begin(struct upstream *u)
{
    struct ndjson_parser *p = &((struct ndjson_source *)u)->parser;

    ndjson_parser_restart(p);
    p->sequence = u->type == sequence;
}

static int data(struct upstream *u, const char *bytes, size_t len)
{
    return ndjson_parser_feed(&((struct ndjson_source *)u)->parser, bytes, len);
}

/* A whole value may stand at the end without its line end. */
static void end(struct upstream *u)
{
    (void)ndjson_parser_end(&((struct ndjson_source *)u)->parser);
    source_flush(u->source);
}

static const char *const types[] = {
    "application/x-ndjson", "application/ndjson",     "application/jsonl",
    "application/json",     "application/json-lines", sequence,
    NULL,
};
static const struct upstream_ops upstream_ops = {
    .accept = "application/x-ndjson, application/json-seq, "
              "application/json;q=0.9",
    .types = types,
    .begin = begin,
    .data = data,
    .end = end,
};

static int start(struct source *source)
{
    struct ndjson_source *s = source_state(source);

    if (!s->parser_ready)
        ndjson_parser_init(&s->parser, &parser_ops, s,
                           source_settings(source)->message_bytes);
    s->parser_ready = true;
    s->parser.limit_bytes = source_settings(source)->message_bytes;
    return upstream_start(&s->upstream, source, &upstream_ops, STR_NONE);
}

static void stop(struct source *source)
{
    upstream_stop(source_state(source));
}

static void fini(struct source *source)
{
    struct ndjson_source *s = source_state(source);

    if (s->parser_ready)
        ndjson_parser_fini(&s->parser);
    upstream_fini(&s->upstream);
}

const struct source_type source_ndjson = {
    .name = "ndjson",
    .state_size = sizeof(struct ndjson_source),
    .start = start,
    .stop = stop,
    .fini = fini,
};
