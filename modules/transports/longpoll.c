/* longpoll.c - the transport "longpoll": what lies after the cursor, as soon
 * as there is something (RFC 6202 2.1, RFC 7240 4.3). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "feed/batch.h"
#include "feed/hint.h"
#include "feed/presence.h"
#include "feed/stay.h"
#include "http/alike.h"
#include "modules.h"

struct waiter {
    struct reader reader; /* first: found from it */
    struct exchange *x;
    const struct reader_settings *settings;
    struct member *member; /* whom its channel hears of; or NULL */
    struct stay *stay;     /* what its backend hears of; or NULL */
    bool gap;
    bool conditional;  /* the cursor came from If-None-Match */
    bool prefers;      /* Prefer: wait was given, and is answered */
    bool packs;        /* gzip is allowed, and accepted */
    unsigned wait_s;   /* what was applied */
};

static void waiter_free(struct waiter *w)
{
    presence_leave(w->member, w->settings->presence.grace_ms);
    stay_leave(w->stay);
    reader_leave(&w->reader);
    free(w);
}

static void add_fields(struct answer_headers *a, const struct waiter *w,
                       char applied[32], char hint[HINT_TEXT_MAX])
{
    answer_add(a, "Cache-Control", STR("no-store"));
    feed_add_vary(a, w->settings);
    hint_add(a, w->settings,
             w->reader.selects ? NULL : audience_channel(&w->reader), hint);
    if (!w->prefers)
        return;
    snprintf(applied, 32, "wait=%u", w->wait_s);
    answer_add(a, "Preference-Applied", str_of(applied));
}

/* All that the answer to a waiter who gets messages depends on. */
struct likeness {
    uint64_t epoch, first_seq;
    size_t batch_bytes;
    unsigned batch_messages, count, wait_s;
    bool prefers, compress, advised;
};

/* False: he gets more than these messages. */
static bool is_alike(const struct waiter *w, const struct reading *reading,
                     struct likeness *out)
{
    const struct reader_settings *s = w->settings;

    if (reading->missed > 0 || reading->count == 0 ||
        reading->count == READING_MAX || reading->count > s->batch_messages)
        return false;
    memset(out, 0, sizeof(*out)); /* it is compared octet by octet */
    out->epoch = reading->messages[0]->epoch;
    out->first_seq = reading->messages[0]->seq;
    out->batch_bytes = s->batch_bytes;
    out->batch_messages = s->batch_messages;
    out->count = reading->count;
    out->wait_s = w->wait_s;
    out->prefers = w->prefers;
    out->compress = s->compress.on;
    out->advised = s->advised;
    return true;
}

/* Gives him the answer that another one got who waited at the same place; he
 * is freed then.  Returns how many messages it has; 0: there is none, and *like
 * says who else might get his; its count is 0 where that is nobody. */
static unsigned answer_alike(struct waiter *w, struct likeness *like)
{
    struct exchange *x = w->x;
    const struct alike *found = NULL;
    struct reading reading;

    like->count = 0;
    if (w->gap || w->packs || w->reader.selects)
        return 0; /* his answer is his own */
    reader_read(&w->reader, &reading);
    if (is_alike(w, &reading, like))
        found = alike_find(x, like, sizeof(*like));
    if (found != NULL)
        feed_delivered(x, reading.messages, reading.count, clock_now_us());
    w->gap |= reading.missed > 0; /* the cursor has been moved past it */
    tally_add(x->tally, TALLY_messages_skipped, reading.missed);
    reading_done(&reading);
    if (found == NULL)
        return 0;
    waiter_free(w);
    alike_send(x, found);
    return like->count;
}

static unsigned answer_batch(struct waiter *w, const struct likeness *like)
{
    struct exchange *x = w->x;
    struct answer_headers a;
    struct batch_fields scratch;
    struct batch b;
    char applied[32], age[24], hint[HINT_TEXT_MAX];
    const struct reader_settings *settings = w->settings;
    unsigned empty = w->conditional ? 304 : 204;
    bool packs = w->packs;

    batch_take(&b, x, &w->reader, w->settings, w->gap);
    answer_init(&a);
    add_fields(&a, w, applied, hint);
    if (b.count == 0)
        feed_add_stale(&a, reader_stale(&w->reader), age);
    waiter_free(w);
    if (b.body.failed) {
        feed_refuse(x, -ENOMEM);
    } else if (b.count > 0 && b.count == like->count && !b.gap) {
        batch_fields(&a, &scratch, b.id, false, false);
        answer_add(&a, "Content-Type", STR("application/json"));
        alike_respond(x, like, sizeof(*like), 200, &a.headers,
                      buffer_str(&b.body));
    } else if (b.count > 0 || b.gap) {
        batch_respond(x, &a, &b, settings, packs);
    } else {
        batch_fields(&a, &scratch, b.id, false, false);
        exchange_respond(x, empty, &a.headers, NULL, 0);
    }
    buffer_fini(&b.body);
    return b.count;
}

/* Answers with what there is; ends the waiter.  Returns how many messages that
 * is. */
static unsigned answer(struct waiter *w)
{
    struct likeness like;
    unsigned n = answer_alike(w, &like);

    return n > 0 ? n : answer_batch(w, &like);
}

static struct waiter *of_reader(struct reader *r)
{
    return (struct waiter *)r;
}

static void on_ready(struct reader *r)
{
    uint64_t began_us = tally_begin();
    tally_id tally = of_reader(r)->x->tally;

    if (reader_dry(r))
        return;
    tally_end(tally, TALLY_delivery_us, began_us, answer(of_reader(r)));
}

static void on_ended(struct reader *r)
{
    answer(of_reader(r));
}

/* It is never blocked, so it never falls behind. */
static const struct reader_ops waiter_reader = {on_ready, on_ready, on_ended, NULL};

static void on_timeout(struct exchange *x)
{
    answer(x->handler);
}

static void on_renew(struct exchange *x, const void *settings)
{
    ((struct waiter *)x->handler)->settings = settings;
}

static void on_gone(struct exchange *x)
{
    waiter_free(x->handler);
}

static const struct exchange_ops waiter_exchange = {
    .timeout = on_timeout,
    .drain = on_timeout,
    .renew = on_renew,
    .gone = on_gone,
};

static struct waiter *waiter_new(struct exchange *x, const struct feed *feed,
                                 uint64_t wait_ms)
{
    struct waiter *w = calloc(1, sizeof(*w));

    if (w == NULL)
        return NULL;
    w->x = x;
    w->settings = feed->reader;
    w->prefers = feed->prefers;
    w->packs = feed_packs(x, feed->reader);
    w->wait_s = (unsigned)(wait_ms / 1000);
    w->member = presence_enter(x, feed, false); /* before it is "now" */
    w->stay = stay_enter(x, feed, "longpoll");
    return w;
}

static void wait_for_it(struct exchange *x, uint64_t wait_ms)
{
    exchange_stay(x);
    exchange_park(x);
    exchange_set_timer(x, wait_ms);
}

static void open_longpoll(struct exchange *x, const struct feed *feed)
{
    const struct cursor now = {.kind = CURSOR_NOW};
    /* What the client would wait is a wish; the route's wait is the cap. */
    uint64_t wait_ms = feed->waits && feed->wait_ms < feed->reader->wait_ms
                           ? feed->wait_ms
                           : feed->reader->wait_ms;
    struct waiter *w = waiter_new(x, feed, wait_ms);
    struct cursor cursor = feed->cursor;
    struct gap gap;
    int rc;

    if (w == NULL) {
        feed_refuse(x, -ENOMEM);
        return;
    }
    if (cursor.kind == CURSOR_NONE) {
        cursor = feed->etag;
        w->conditional = cursor.kind == CURSOR_ID;
    }
    rc = feed_join(&w->reader, &waiter_reader, feed, cursor, now, &gap);
    if (rc < 0) {
        waiter_free(w);
        feed_refuse(x, rc);
        return;
    }
    x->handler = w;
    x->ops = &waiter_exchange;
    w->gap = rc > 0;
    if (w->gap)
        tally_add(x->tally, TALLY_messages_skipped, gap.missed);
    if (w->gap || wait_ms == 0 || x->is_head || !reader_dry(&w->reader))
        answer(w);
    else
        wait_for_it(x, wait_ms);
}

const struct transport transport_longpoll = {
    .name = "longpoll",
    .open = open_longpoll,
};
