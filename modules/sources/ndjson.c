/* ndjson.c - the source "ndjson": a backend's stream of JSON values, one to a
 * line, or a JSON text sequence, or each behind its length.  It has no ids, so
 * what was sent while we were away is not had. */
#include <errno.h>
#include <stdlib.h>

#include "base/logging.h"
#include "base/meter.h"
#include "feed/upstream.h"
#include "hub/message.h"
#include "modules.h"
#include "wire/ndjson.h"
#include "wire/prefixed.h"

struct ndjson_source {
    struct upstream upstream; /* first */
    struct ndjson_parser parser;
    struct prefixed_parser records; /* whose content is for parser */
};

static struct ndjson_source *of(struct upstream *u)
{
    return (struct ndjson_source *)u;
}

static int on_value(void *arg, struct str value)
{
    struct ndjson_source *s = arg;
    const struct message_parts parts = {
        .data = value,
        .content_type = STR("application/json"),
    };

    return source_emit(s->upstream.source, &parts, STR_NONE);
}

static void refuse(struct ndjson_source *s, const char *why)
{
    meter_add(METER_source_refused, 1);
    log_warn_limited("source.refused", "%s reason=\"%s\"",
                     source_label(s->upstream.source), why);
}

static void on_bad(void *arg, const char *why, struct str line)
{
    refuse(arg, why);
}

static const struct ndjson_parser_ops parser_ops = {
    .value = on_value,
    .bad = on_bad,
};

/* ---- lines and sequences ------------------------------------------------------- */

static const char sequence[] = "application/json-seq";

static void begin(struct upstream *u)
{
    ndjson_parser_restart(&of(u)->parser);
    of(u)->parser.sequence = u->type == sequence;
}

static int data(struct upstream *u, const char *bytes, size_t len)
{
    return ndjson_parser_feed(&of(u)->parser, bytes, len);
}

/* A whole value may stand at the end without its line end. */
static void end(struct upstream *u)
{
    (void)ndjson_parser_end(&of(u)->parser);
    source_flush(u->source);
}

static const char *const types[] = {
    "application/x-ndjson", "application/ndjson",     "application/jsonl",
    "application/json",     "application/json-lines", sequence,
    NULL,
};
static const struct upstream_ops line_ops = {
    .accept = "application/x-ndjson, application/json-seq, "
              "application/json;q=0.9",
    .types = types,
    .begin = begin,
    .data = data,
    .end = end,
};

/* ---- records behind their lengths ---------------------------------------------- */

/* Each is read as one text of a sequence: it may hold line ends, and its end is
 * that of all that is in it. */
static int on_record(void *arg, struct str record)
{
    struct ndjson_parser *p = &((struct ndjson_source *)arg)->parser;
    int rc = ndjson_parser_feed(p, record.p, record.n);

    if (rc == 0)
        rc = ndjson_parser_feed(p, "\n", 1);
    return rc == 0 ? ndjson_parser_end(p) : rc;
}

static void on_bad_record(void *arg, const char *why)
{
    refuse(arg, why);
}

static const struct prefixed_parser_ops record_parser_ops = {
    .record = on_record,
    .bad = on_bad_record,
};

static void begin_records(struct upstream *u)
{
    prefixed_parser_restart(&of(u)->records);
    ndjson_parser_restart(&of(u)->parser);
    of(u)->parser.sequence = true;
}

static int record_data(struct upstream *u, const char *bytes, size_t len)
{
    int rc = prefixed_parser_feed(&of(u)->records, bytes, len);

    if (rc == -EPROTO)
        u->fault = "what comes has no length where one has to be";
    return rc;
}

static void end_records(struct upstream *u)
{
    prefixed_parser_end(&of(u)->records);
}

static const struct upstream_ops record_ops = {
    .accept = "*/*",
    .begin = begin_records,
    .data = record_data,
    .end = end_records,
};

/* ---- source_type --------------------------------------------------------------- */

static int start(struct source *source)
{
    struct ndjson_source *s = source_state(source);
    const struct source_settings *settings = source_settings(source);

    ndjson_parser_fini(&s->parser);
    ndjson_parser_init(&s->parser, &parser_ops, s, settings->message_bytes);
    prefixed_parser_fini(&s->records);
    prefixed_parser_init(&s->records,
                         settings->framing == FRAMING_UINT32 ? PREFIX_UINT32
                                                             : PREFIX_DECIMAL,
                         &record_parser_ops, s, settings->message_bytes);
    return upstream_start(&s->upstream, source,
                          settings->framing == FRAMING_LINES ? &line_ops
                                                             : &record_ops,
                          STR_NONE);
}

static void stop(struct source *source)
{
    upstream_stop(source_state(source));
}

static void fini(struct source *source)
{
    struct ndjson_source *s = source_state(source);

    ndjson_parser_fini(&s->parser);
    prefixed_parser_fini(&s->records);
    upstream_fini(&s->upstream);
}

const struct source_type source_ndjson = {
    .name = "ndjson",
    .state_size = sizeof(struct ndjson_source),
    .start = start,
    .stop = stop,
    .fini = fini,
};
