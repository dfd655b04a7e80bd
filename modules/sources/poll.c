/* poll.c - the source "poll": a REST resource that knows nothing of streams is
 * asked now and then, and each change is a message (RFC 9110 13.1). */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/jitter.h"
#include "base/logging.h"
#include "feed/fetch.h"
#include "feed/items.h"
#include "feed/verdict.h"
#include "modules.h"
#include "net/worker.h"

/* Questions of one worker on their way before a next one has to wait a little:
 * so that a thousand resources are not all asked as the first readers come. */
#define ASKING_MAX 16
#define SPREAD_MS  1000

/* Where neither the config nor the backend says how often. */
#define USUAL_MS    10000
#define SOONEST_MS  1000
#define LATEST_MS   3600000

struct poll_source {
    struct fetch fetch; /* first */
    struct timer timer; /* the next question */
    struct items items;
    char *etag, *modified;          /* of the last answer; NULL: none */
    char *type;
    uint64_t fresh_ms;              /* how long its answer holds; 0: unknown */
    uint64_t retry_after_ms;
    uint64_t answered_us;           /* when the last answer came; 0: never */
    bool counted;                   /* among those on their way */
};

static _Thread_local unsigned asking;

static struct poll_source *of(struct fetch *f)
{
    return (struct poll_source *)f;
}

static void set_asking(struct poll_source *s, bool on)
{
    if (s->counted == on)
        return;
    s->counted = on;
    asking += on ? 1 : -1u;
}

/* ---- asking ------------------------------------------------------------------ */

static void add_field(struct buffer *b, const char *name, const char *value)
{
    if (value != NULL)
        header_write(b, str_of(name), str_of(value));
}

static int ask(struct poll_source *s)
{
    struct source *source = s->fetch.source;
    struct buffer fields = {0};
    int rc;

    add_field(&fields, "Accept", "application/json, */*;q=0.8");
    add_field(&fields, "If-None-Match", s->etag);
    add_field(&fields, "If-Modified-Since", s->modified);
    rc = fields.failed ? -1
                       : fetch_start(&s->fetch, source, s->fetch.ops,
                                     source_path(source), buffer_str(&fields),
                                     0);
    buffer_fini(&fields);
    set_asking(s, rc == 0);
    return rc;
}

static void on_timer(struct timer *t)
{
    struct poll_source *s =
        (struct poll_source *)((char *)t - offsetof(struct poll_source, timer));

    if (asking >= ASKING_MAX)
        worker_timer_set(worker_self(), t, jitter_between(20, SPREAD_MS));
    else if (ask(s) < 0)
        source_failed(s->fetch.source, "out of memory", 0);
}

static uint64_t interval_ms(const struct poll_source *s)
{
    uint64_t every_ms = source_settings(s->fetch.source)->every_ms;

    if (every_ms > 0)
        return every_ms;
    if (s->fresh_ms == 0)
        return USUAL_MS;
    return s->fresh_ms < SOONEST_MS  ? SOONEST_MS
           : s->fresh_ms > LATEST_MS ? LATEST_MS
                                     : s->fresh_ms;
}

/* Counted from the end of this answer; a little sooner each, so that those who
 * began together do not stay so, and a change is seen in time. */
static void plan_next(struct poll_source *s)
{
    uint64_t ms = interval_ms(s);
    uint64_t due_us = s->answered_us + jitter_between(ms - ms / 10, ms) * 1000;
    uint64_t now_us = clock_now_us();

    worker_timer_set(worker_self(), &s->timer,
                     due_us > now_us ? (due_us - now_us) / 1000 : 0);
}

/* ---- answers --------------------------------------------------------------- */

static void keep(char **at, struct str value)
{
    free(*at);
    *at = value.n == 0 ? NULL : strndup(value.p, value.n);
}

/* How long the answer holds by its own word (RFC 9111 4.2). */
static uint64_t fresh_ms(const struct http_message *m)
{
    struct str list, element, name, value;
    uint64_t seconds, age = 0;
    unsigned at = 0;

    str_to_u64(headers_get(&m->headers, "Age"), &age);
    while (headers_next(&m->headers, "Cache-Control", &at, &list))
        while (str_list_next(&list, &element)) {
            value = str_split(element, '=', &name);
            if (str_eq_nocase(name, STR("max-age")) &&
                str_to_u64(value, &seconds))
                return seconds > age ? (seconds - age) * 1000 : 0;
        }
    return 0;
}

static void on_head(struct fetch *f, const struct http_message *m)
{
    struct poll_source *s = of(f);

    s->retry_after_ms = verdict_retry_ms(m);
    s->fresh_ms = fresh_ms(m);
    if (m->status != 200)
        return;
    if (s->type != NULL && !str_media_is(str_of(s->type), "text/html") &&
        str_media_is(headers_get(&m->headers, "Content-Type"), "text/html")) {
        f->fault = "the answer is a page (text/html), and was none before";
        return;
    }
    keep(&s->etag, headers_get(&m->headers, "ETag"));
    keep(&s->modified, headers_get(&m->headers, "Last-Modified"));
    keep(&s->type, headers_get(&m->headers, "Content-Type"));
}

/* What was not taken has to come again. */
static void fail(struct poll_source *s, const char *why, uint64_t retry_ms)
{
    set_asking(s, false);
    keep(&s->etag, STR_NONE);
    keep(&s->modified, STR_NONE);
    source_failed(s->fetch.source, why, retry_ms);
}

static void on_answered(struct fetch *f, unsigned status, struct str body)
{
    struct poll_source *s = of(f);
    const char *why = NULL;

    set_asking(s, false);
    if (status == 200)
        why = items_emit(&s->items, f->source, body, str_of(s->type));
    else if (status != 304 && status != 204)
        why = verdict_status(status);
    if (why != NULL) {
        log_info("source.refused", "%s status=%u", source_label(f->source),
                 status);
        fail(s, why, s->retry_after_ms);
        return;
    }
    source_answered(f->source);
    s->answered_us = clock_now_us();
    plan_next(s);
}

static void on_failed(struct fetch *f, const char *why)
{
    fail(of(f), why, of(f)->retry_after_ms);
}

static const struct fetch_ops fetch_ops = {on_head, on_answered, on_failed};

/* ---- the source -------------------------------------------------------------- */

/* One that begins again soon after an answer does not ask sooner for it. */
static int start(struct source *source)
{
    struct poll_source *s = source_state(source);

    s->fetch.source = source;
    s->fetch.ops = &fetch_ops;
    s->timer.fire = on_timer;
    s->retry_after_ms = 0;
    if (s->answered_us == 0)
        worker_timer_set(worker_self(), &s->timer, 0);
    else
        plan_next(s);
    return 0;
}

static void stop(struct source *source)
{
    struct poll_source *s = source_state(source);

    set_asking(s, false);
    worker_timer_clear(worker_self(), &s->timer);
    fetch_stop(&s->fetch);
}

static void fini(struct source *source)
{
    struct poll_source *s = source_state(source);

    fetch_fini(&s->fetch);
    items_fini(&s->items);
    free(s->etag);
    free(s->modified);
    free(s->type);
}

const struct source_type source_poll = {
    .name = "poll",
    .state_size = sizeof(struct poll_source),
    .start = start,
    .stop = stop,
    .fini = fini,
};
