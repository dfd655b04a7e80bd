/* ndjson.c - the source "ndjson": a backend's stream of JSON values, one to a
 * line, or a JSON text sequence, or each behind its length.  Where a value says
 * its place, and the URL takes one, it is read on from there; else what was sent
 * while we were away is not had. */
#include <errno.h>
#include <stdlib.h>

#include "base/logging.h"
#include "base/meter.h"
#include "feed/upstream.h"
#include "hub/message.h"
#include "modules.h"
#include "wire/ndjson.h"
#include "wire/pointer.h"
#include "wire/prefixed.h"

struct ndjson_source {
    struct upstream upstream; /* first */
    struct ndjson_parser parser;
    struct prefixed_parser records; /* whose content is for parser */
    char *cursor;             /* of the last value that had one, or NULL */
};

static struct ndjson_source *of(struct upstream *u)
{
    return (struct ndjson_source *)u;
}

/* ---- the place ----------------------------------------------------------- */

static void forget_place(struct upstream *u)
{
    free(of(u)->cursor);
    of(u)->cursor = NULL;
}

/* A value may say that there is nothing to go on from. */
static bool says_lost(const struct ndjson_source *s, struct str value)
{
    const char *lost = source_settings(s->upstream.source)->lost;
    struct str member;

    return lost != NULL && pointer_find(value, str_of(lost), &member);
}

static int lose_place(struct ndjson_source *s)
{
    forget_place(&s->upstream);
    s->upstream.fault = "the backend no longer has what follows the cursor";
    return -ESTALE;
}

/* A string, or a number as it is written. */
static int keep_place(struct ndjson_source *s, struct str value)
{
    const char *cursor = source_settings(s->upstream.source)->cursor;
    struct buffer text = {0};
    struct str member;
    char *place;

    if (cursor == NULL || !pointer_find(value, str_of(cursor), &member))
        return 0;
    pointer_text(member, &text);
    place = text.failed ? NULL
                        : strndup(text.data == NULL ? "" : text.data, text.len);
    buffer_fini(&text);
    if (place == NULL)
        return -ENOMEM;
    forget_place(&s->upstream);
    s->cursor = place;
    return 0;
}

static int on_value(void *arg, struct str value)
{
    struct ndjson_source *s = arg;
    const struct message_parts parts = {
        .data = value,
        .content_type = STR("application/json"),
    };

    int rc;

    if (says_lost(s, value))
        return lose_place(s);
    rc = source_emit(s->upstream.source, &parts, STR_NONE);
    return rc < 0 ? rc : keep_place(s, value);
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
    .gone = forget_place,
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
    .gone = forget_place,
};

/* ---- source_type --------------------------------------------------------------- */

static int ask(struct ndjson_source *s, struct source *source,
               const struct upstream_ops *ops)
{
    const struct source_settings *settings = source_settings(source);
    const char *cursor = s->cursor != NULL ? s->cursor : settings->from;
    struct buffer path = {0};
    int rc = -ENOMEM;

    if (cursor == NULL)
        return upstream_start(&s->upstream, source, ops, STR_NONE);
    target_write_param(&path, source_path(source), settings->param, cursor);
    if (!path.failed)
        rc = upstream_start_at(&s->upstream, source, ops, buffer_str(&path),
                               s->cursor != NULL);
    buffer_fini(&path);
    return rc;
}

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
    return ask(s, source, settings->framing == FRAMING_LINES ? &line_ops
                                                             : &record_ops);
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
    forget_place(&s->upstream);
    upstream_fini(&s->upstream);
}

const struct source_type source_ndjson = {
    .name = "ndjson",
    .state_size = sizeof(struct ndjson_source),
    .start = start,
    .stop = stop,
    .fini = fini,
};
