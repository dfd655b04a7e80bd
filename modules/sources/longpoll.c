/* longpoll.c - the source "longpoll": follows a backend's long poll by its
 * cursor: a Link, a field, or a member of its JSON answers. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/logging.h"
#include "base/meter.h"
#include "feed/fetch.h"
#include "feed/items.h"
#include "feed/verdict.h"
#include "hub/message.h"
#include "modules.h"
#include "net/worker.h"
#include "wire/envelope.h"
#include "wire/json.h"
#include "wire/pointer.h"

/* A backend that answers nothing at once is not asked more often than this. */
#define PAUSE_MS 1000

struct longpoll_source {
    struct fetch fetch;  /* first */
    struct timer timer;  /* the next question, where it has to wait */
    struct items items;
    char *target;        /* by Link: the whole of the next one; or NULL */
    char *cursor;        /* what the next question says; NULL: nothing yet */
    char *new_target, *new_cursor; /* as the answer's head says; NULL: not */
    uint64_t asked_us, retry_after_ms;
};

static struct longpoll_source *of(struct fetch *f)
{
    return (struct longpoll_source *)f;
}

static const struct source_settings *settings_of(const struct longpoll_source *s)
{
    return source_settings(s->fetch.source);
}

/* ---- asking ------------------------------------------------------------------ */

static void write_target(const struct longpoll_source *s, struct buffer *out)
{
    struct str path = source_path(s->fetch.source);
    const char *cursor = s->cursor != NULL ? s->cursor : settings_of(s)->from;

    if (s->target != NULL) {
        buffer_append_str(out, str_of(s->target));
        return;
    }
    if (cursor == NULL)
        buffer_append_str(out, path);
    else
        target_write_param(out, path, settings_of(s)->param, cursor);
}

static int ask(struct longpoll_source *s)
{
    struct buffer target = {0}, fields = {0};
    uint64_t wait_ms = settings_of(s)->wait_ms;
    int rc = -1;

    write_target(s, &target);
    buffer_printf(&fields, "Accept: application/json\r\nCache-Control: no-store"
                           "\r\nPrefer: wait=%llu\r\n",
                  (unsigned long long)wait_ms / 1000);
    s->asked_us = clock_now_us();
    if (!target.failed && !fields.failed)
        rc = fetch_start(&s->fetch, s->fetch.source, s->fetch.ops,
                         buffer_str(&target), buffer_str(&fields), wait_ms);
    buffer_fini(&target);
    buffer_fini(&fields);
    return rc;
}

static void ask_or_fail(struct longpoll_source *s)
{
    if (ask(s) < 0)
        source_failed(s->fetch.source, "out of memory", 0);
}

static void on_timer(struct timer *t)
{
    ask_or_fail((struct longpoll_source *)((char *)t -
                                           offsetof(struct longpoll_source,
                                                    timer)));
}

/* ---- where to go on ---------------------------------------------------------- */

static void keep(char **at, struct str value)
{
    free(*at);
    *at = value.n == 0 ? NULL : strndup(value.p, value.n);
}

/* The path and query of a reference (RFC 3986 5.2): of the same server, or it
 * is none. */
static bool take_reference(struct longpoll_source *s, struct str reference)
{
    struct buffer target = {0};
    struct str path;

    if (str_starts(reference, STR("/")) && !str_starts(reference, STR("//"))) {
        keep(&s->new_target, reference);
        return true;
    }
    if (!str_starts(reference, STR("?")))
        return false;
    str_split(source_path(s->fetch.source), '?', &path);
    buffer_append_str(&target, path);
    buffer_append_str(&target, reference);
    keep(&s->new_target, buffer_str(&target));
    buffer_fini(&target);
    return true;
}

/* Link: <...>; rel="next" (RFC 8288 3). */
static void take_link(struct longpoll_source *s, const struct headers *h)
{
    struct str list, element, reference;
    unsigned at = 0;

    while (headers_next(h, "Link", &at, &list))
        while (str_list_next(&list, &element)) {
            struct str params = str_split(element, '>', &reference);

            if (!str_starts(reference, STR("<")) ||
                memmem(params.p, params.n, "next", 4) == NULL)
                continue;
            reference.p++, reference.n--;
            if (!take_reference(s, reference))
                s->fetch.fault = "the answer's Link leads to another server";
        }
}

static void on_head(struct fetch *f, const struct http_message *m)
{
    struct longpoll_source *s = of(f);
    const char *cursor = settings_of(s)->cursor;

    s->retry_after_ms = verdict_retry_ms(m);
    keep(&s->new_target, STR_NONE);
    keep(&s->new_cursor, STR_NONE);
    if (m->status >= 400)
        return;
    if (strcmp(cursor, "link") == 0)
        take_link(s, &m->headers);
    else if (*cursor != '/' && headers_get(&m->headers, cursor).n > 0)
        keep(&s->new_cursor, headers_get(&m->headers, cursor));
}

/* A member of the answer: a string, or a number as it is written. */
static void take_member(struct longpoll_source *s, struct str body)
{
    const char *cursor = settings_of(s)->cursor;
    struct buffer text = {0};
    struct str value;

    if (*cursor != '/' || !pointer_find(body, str_of(cursor), &value))
        return;
    pointer_text(value, &text);
    if (!text.failed)
        keep(&s->new_cursor, buffer_str(&text));
    buffer_fini(&text);
}

static void move(char **to, char **from)
{
    if (*from == NULL)
        return;
    free(*to);
    *to = *from;
    *from = NULL;
}

/* ---- answers --------------------------------------------------------------- */

/* What stands in an envelope: text, octets as base64, or JSON as it is. */
static void open_envelope(struct str envelope, struct str value,
                          struct buffer *data, struct message_parts *parts)
{
    struct buffer text = {0};
    struct str encoding;

    pointer_text(value, &text);
    if (!pointer_find(envelope, STR("/encoding"), &encoding)) {
        buffer_append_str(data, buffer_str(&text));
        if (value.p[0] != '"')
            parts->content_type = STR("application/json");
    } else {
        parts->content_type = STR("application/octet-stream");
        base64_decode(data, buffer_str(&text));
    }
    data->failed |= text.failed;
    buffer_fini(&text);
    parts->data = buffer_str(data);
}

/* What another penstock answers. */
static const char *emit_envelope(struct source *s, struct str envelope)
{
    struct message_parts parts = {.type = STR_NONE};
    struct buffer data = {0}, type = {0};
    struct str value;
    int rc = -1;

    if (!pointer_find(envelope, STR("/data"), &value))
        return "the answer has a message without data";
    open_envelope(envelope, value, &data, &parts);
    if (pointer_find(envelope, STR("/event"), &value))
        pointer_text(value, &type);
    parts.type = buffer_str(&type);
    if (!data.failed && !type.failed)
        rc = source_emit(s, &parts, STR_NONE);
    buffer_fini(&data);
    buffer_fini(&type);
    return rc < 0 ? "out of memory" : NULL;
}

static const char *emit_batch(struct source *s, struct str body)
{
    const char *why = NULL;
    struct str array, name, item, gap;
    size_t at = 0;

    if (!pointer_find(body, STR("/messages"), &array) || array.p[0] != '[')
        return "the answer has no \"messages\": say with \"select\" where they "
               "are";
    if (pointer_find(body, STR("/gap"), &gap) && str_eq(gap, STR("true")))
        log_warn("source.gap", "%s reason=\"the backend no longer has what was "
                 "asked for\"", source_label(s));
    while (why == NULL && pointer_next(array, &at, &name, &item))
        why = emit_envelope(s, item);
    return why;
}

static const char *emit_all(struct source *s, struct str array)
{
    const char *why = NULL;
    struct str name, item;
    size_t at = 0;

    if (array.p[0] != '[')
        return "the answer has no array where \"select\" points to";
    while (why == NULL && pointer_next(array, &at, &name, &item)) {
        const struct message_parts parts = {
            .data = item,
            .content_type = STR("application/json"),
        };

        if (source_emit(s, &parts, STR_NONE) < 0)
            why = "out of memory";
    }
    return why;
}

static const char *emit(struct longpoll_source *s, struct str body)
{
    struct source *source = s->fetch.source;
    const struct source_settings *settings = settings_of(s);
    struct str array;

    if (!json_valid(body))
        return "the answer is not JSON";
    if (settings->each != NULL)
        return items_emit(&s->items, source, body, STR_NONE);
    if (settings->select == NULL)
        return emit_batch(source, body);
    if (!pointer_find(body, str_of(settings->select), &array))
        return "the answer has nothing where \"select\" points to";
    return emit_all(source, array);
}

static void go_on(struct longpoll_source *s, bool had_some)
{
    uint64_t took_ms = (clock_now_us() - s->asked_us) / 1000;

    if (had_some || took_ms >= PAUSE_MS)
        ask_or_fail(s);
    else
        worker_timer_set(worker_self(), &s->timer, PAUSE_MS - took_ms);
}

/* The cursor moves once what came with it is had. */
static void on_answered(struct fetch *f, unsigned status, struct str body)
{
    struct longpoll_source *s = of(f);
    bool empty = status == 204 || status == 304;
    const char *why = empty           ? NULL
                      : status == 200 ? emit(s, body)
                                      : verdict_status(status);

    if (why != NULL) {
        log_info("source.refused", "%s status=%u", source_label(f->source),
                 status);
        source_failed(f->source, why, s->retry_after_ms);
        return;
    }
    if (!empty)
        take_member(s, body);
    move(&s->target, &s->new_target);
    move(&s->cursor, &s->new_cursor);
    source_answered(f->source);
    go_on(s, !empty);
}

static void on_failed(struct fetch *f, const char *why)
{
    source_failed(f->source, why, of(f)->retry_after_ms);
}

static const struct fetch_ops fetch_ops = {on_head, on_answered, on_failed};

/* ---- the source -------------------------------------------------------------- */

static int start(struct source *source)
{
    struct longpoll_source *s = source_state(source);

    s->fetch.source = source;
    s->fetch.ops = &fetch_ops;
    s->timer.fire = on_timer;
    s->retry_after_ms = 0;
    return ask(s);
}

static void stop(struct source *source)
{
    struct longpoll_source *s = source_state(source);

    worker_timer_clear(worker_self(), &s->timer);
    fetch_stop(&s->fetch);
}

static void fini(struct source *source)
{
    struct longpoll_source *s = source_state(source);

    fetch_fini(&s->fetch);
    items_fini(&s->items);
    free(s->target);
    free(s->cursor);
    free(s->new_target);
    free(s->new_cursor);
}

const struct source_type source_longpoll = {
    .name = "longpoll",
    .state_size = sizeof(struct longpoll_source),
    .start = start,
    .stop = stop,
    .fini = fini,
};
