#include "stream.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/logging.h"
#include "base/meter.h"
#include "link.h"

#define ENTRIES_MAX "100" /* of one answer: bounds what it takes in memory */
#define ID_TEXT_MAX 44

static struct str id_text(struct entry_id id, char out[ID_TEXT_MAX])
{
    int n = snprintf(out, ID_TEXT_MAX, "%" PRIu64 "-%" PRIu64, id.ms, id.seq);

    return (struct str){out, (size_t)n};
}

static void give_up(struct stream *st, const char *why)
{
    source_failed(st->source, why, 0);
}

/* ---- asking -------------------------------------------------------------- */

static void ask_top(struct stream *st)
{
    const struct str words[] = {STR("XREVRANGE"), source_path(st->source),
                                STR("+"), STR("-"), STR("COUNT"), STR("1")};

    st->asked_top = true;
    link_command(st->link, words, 6);
}

/* Whether what came last is still held: then nothing behind it is missing. */
static void ask_last(struct stream *st)
{
    char id[ID_TEXT_MAX];
    struct str last = id_text(st->last, id);
    const struct str words[] = {STR("XRANGE"), source_path(st->source), last,
                                last};

    link_command(st->link, words, 4);
}

/* It waits for half as long as silence may last, so that there is none. */
static void ask_entries(struct stream *st)
{
    uint64_t wait_ms = source_settings(st->source)->backend->ping_ms / 2;
    char id[ID_TEXT_MAX], wait[24];
    const struct str words[] = {
        STR("XREAD"), STR("COUNT"), STR(ENTRIES_MAX), STR("BLOCK"),
        {wait, (size_t)snprintf(wait, sizeof(wait), "%" PRIu64, wait_ms)},
        STR("STREAMS"), source_path(st->source), id_text(st->last, id),
    };

    st->reading = true;
    link_command(st->link, words, 8);
}

/* ---- answers ------------------------------------------------------------- */

static bool entry_id_of(struct entry_id *id, const redisReply *entry)
{
    return entry->type == REDIS_REPLY_ARRAY && entry->elements == 2 &&
           entry->element[0]->type == REDIS_REPLY_STRING &&
           entry_id_parse(id, reply_str(entry->element[0]));
}

static void begin(struct stream *st, bool resumes)
{
    source_opened(st->source, resumes);
    ask_entries(st);
}

/* The place from which to go on for the first time. */
static void place(struct stream *st)
{
    const char *from = source_settings(st->source)->from;

    st->last = st->top;
    if (from != NULL)
        entry_id_parse(&st->last, str_of(from));
    st->placed = true;
    begin(st, true);
}

static bool is_nothing(struct entry_id id)
{
    return id.ms == 0 && id.seq == 0;
}

static void take_top(struct stream *st, const redisReply *r)
{
    st->asked_top = false;
    st->top = (struct entry_id){0, 0};
    if (r->elements > 0 && !entry_id_of(&st->top, r->element[0]))
        give_up(st, "Redis answered with something else than entries");
    else if (!st->placed)
        place(st);
    else if (is_nothing(st->last))
        begin(st, true);
}

/* A stream that ends before our place is another one of that name: from its
 * beginning, then. */
static void take_last(struct stream *st, const redisReply *r)
{
    bool held = r->elements > 0;

    if (!held && entry_id_compare(st->top, st->last) < 0)
        st->last = (struct entry_id){0, 0};
    begin(st, held);
}

static void refuse(struct stream *st, const char *why)
{
    meter_add(METER_source_refused, 1);
    log_warn_limited("source.refused", "%s reason=\"%s\"",
                     source_label(st->source), why);
}

static int emit(struct stream *st, const redisReply *entry)
{
    const struct source_settings *settings = source_settings(st->source);
    struct message_parts parts;
    struct buffer json = {0};
    int rc = 0;

    if (!entry_parts(&parts, entry->element[1], settings->field, &json))
        refuse(st, json.failed ? "out of memory"
                               : "an entry without the field");
    else if (parts.data.n > settings->message_bytes)
        refuse(st, "entry over the limit");
    else
        rc = source_emit(st->source, &parts, reply_str(entry->element[0]));
    buffer_fini(&json);
    return rc;
}

/* The entries of the one stream that was asked for: [[KEY, [entry, ...]]]. */
static const redisReply *entries_of(const redisReply *r)
{
    if (r->elements != 1 || r->element[0]->type != REDIS_REPLY_ARRAY ||
        r->element[0]->elements != 2 ||
        r->element[0]->element[1]->type != REDIS_REPLY_ARRAY)
        return NULL;
    return r->element[0]->element[1];
}

static const char *take_entries(struct stream *st, const redisReply *r)
{
    const redisReply *entries = entries_of(r);

    for (size_t i = 0; entries != NULL && i < entries->elements; i++) {
        const redisReply *entry = entries->element[i];
        struct entry_id id;

        if (!entry_id_of(&id, entry))
            return "Redis answered with something else than entries";
        if (emit(st, entry) < 0)
            return "out of memory";
        st->last = id;
    }
    return entries == NULL ? "Redis answered with something else than entries"
                           : NULL;
}

static void take_answer(struct stream *st, const redisReply *r)
{
    const char *why = NULL;

    if (r->type != REDIS_REPLY_NIL) /* nothing came while it waited */
        why = take_entries(st, r);
    source_flush(st->source);
    if (why == NULL)
        ask_entries(st);
    else
        give_up(st, why);
}

static void on_reply(void *arg, const redisReply *r)
{
    struct stream *st = arg;
    char text[200];

    if (r->type == REDIS_REPLY_ERROR) {
        log_warn_limited("redis.refused", "%s error=%s",
                         source_label(st->source),
                         reply_error(r, text, sizeof(text)));
        give_up(st, "Redis answered with an error");
    } else if (r->type != REDIS_REPLY_ARRAY && r->type != REDIS_REPLY_NIL) {
        give_up(st, "Redis answered with something else than entries");
    } else if (st->reading) {
        take_answer(st, r);
    } else if (st->asked_top) {
        take_top(st, r);
    } else {
        take_last(st, r);
    }
}

static void on_delivered(void *arg)
{
}

static void on_failed(void *arg, const char *why)
{
    struct stream *st = arg;

    st->link = NULL;
    give_up(st, why);
}

static const struct link_ops stream_ops = {on_reply, on_delivered, on_failed};

/* ---- running ------------------------------------------------------------- */

int stream_start(struct stream *st, struct source *s)
{
    const struct backend *backend = source_settings(s)->backend;

    st->source = s;
    st->reading = false;
    st->link = link_open(backend, backend_pick(backend), &stream_ops, st);
    if (st->link == NULL)
        return -ENOMEM;
    link_allow(st->link, source_message_max(s));
    ask_top(st);
    if (st->placed && !is_nothing(st->last))
        ask_last(st);
    return 0;
}

void stream_stop(struct stream *st)
{
    if (st->link != NULL)
        link_close(st->link);
    st->link = NULL;
}
