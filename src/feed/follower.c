#include "feed/follower.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/jitter.h"
#include "base/logging.h"
#include "base/meter.h"
#include "feed/hint.h"
#include "feed/presence.h"
#include "feed/visit.h"
#include "hub/encoding.h"
#include "wire/envelope.h"

/* How long a peer gets to read our goodbye, and to answer it. */
#define GOODBYE_MS 2000
/* How much later than we the kernel gives up a peer that takes nothing. */
#define WRITE_GRACE_MS 2000

static bool flush(struct follower *f);

static struct follower *of_reader(struct reader *r)
{
    return (struct follower *)r;
}

/* How long what has come is held back: to be sent together with more, or
 * because the last delivery was too short a time ago. */
static uint64_t hold_ms(const struct follower *f)
{
    const struct reader_settings *s = f->settings;
    uint64_t since_ms;

    if (s->interval_ms == 0)
        return s->batch_ms;
    since_ms = (clock_now_us() - f->active_us) / 1000;
    if (since_ms >= s->interval_ms)
        return s->batch_ms;
    return s->interval_ms - since_ms;
}

static void on_ready(struct reader *r)
{
    struct follower *f = of_reader(r);
    uint64_t ms;

    if (f->held)
        return; /* the timer is set */
    ms = hold_ms(f);
    if (ms == 0) {
        follower_pump(f);
        return;
    }
    f->held = true;
    exchange_set_timer(f->x, ms);
}

/* ---- the end --------------------------------------------------------------- */

/* The first reason is the one that counts. */
static void depart(struct follower *f, const char *reason)
{
    visit_end(f->visit, reason);
    f->visit = NULL;
    presence_leave(f->member, f->settings->presence.grace_ms);
    f->member = NULL;
}

/* Until now; active_us, which says since when, is about to be changed. */
static void count_blocked(struct follower *f)
{
    if (f->reader.blocked)
        tally_add(f->x->tally, TALLY_blocked_us,
                  clock_now_us() - f->active_us);
}

void follower_end(struct follower *f)
{
    depart(f, "gone");
    count_blocked(f);
    reader_leave(&f->reader);
    message_unref(&f->partial);
    if (f->control != NULL)
        buffer_fini(f->control);
    free(f->control);
    if (f->ops->fini != NULL)
        f->ops->fini(f);
    free(f);
}

uint64_t follower_retry_ms(const struct follower *f)
{
    uint64_t ms = f->settings->retry_ms;

    return jitter_between(ms * 3 / 4, ms + ms / 4);
}

/* All is said. */
static void finish(struct follower *f)
{
    struct exchange *x = f->x;

    follower_end(f);
    exchange_finish(x);
}

static void log_close(struct follower *f, const char *reason)
{
    char name[256], peer[64];
    const char *channel = reader_joined(&f->reader)
                              ? reader_channel_name(&f->reader)
                              : "";

    log_info("reader.close", "transport=%s channel=%s client=%s reason=%s",
             f->ops->name, log_quote(name, sizeof(name), channel,
                                     strlen(channel)),
             exchange_peer(f->x, peer, sizeof(peer)), reason);
    depart(f, reason);
}

/* It will not take our goodbye either: whatever is half sent stays so. */
static void cut(struct follower *f, const char *reason)
{
    struct exchange *x = f->x;

    log_close(f, reason);
    follower_end(f);
    exchange_fail(x);
}

void follower_leave(struct follower *f, enum farewell why)
{
    if (f->ended)
        return;
    /* What came before the end is not held back by it. */
    if (why != FAREWELL_BEHIND && !f->reader.blocked && !flush(f))
        return;
    f->ended = true;
    depart(f, why == FAREWELL_DRAIN ? "draining" : "closed");
    reader_leave(&f->reader);
    if (f->ops->goodbye != NULL)
        f->ops->goodbye(f, why);
    exchange_set_timer(f->x, GOODBYE_MS);
    follower_pump(f);
}

void follower_answered(struct follower *f)
{
    f->awaiting = false;
    follower_pump(f);
}

static void on_behind(struct reader *r)
{
    struct follower *f = of_reader(r);

    if (f->settings->lag != LAG_DISCONNECT)
        return; /* it goes on, or is told of the gap, when it reads again */
    meter_add(METER_readers_cut, 1);
    log_close(f, "too-slow");
    follower_leave(f, FAREWELL_BEHIND);
}

static void on_ended(struct reader *r)
{
    struct follower *f = of_reader(r);

    log_close(f, "channel-deleted");
    follower_leave(f, FAREWELL_ENDED);
}

/* The exchange, and the connection around it. */
static void on_soon(const struct reader *r)
{
    const struct follower *f = (const struct follower *)r;

    __builtin_prefetch((const char *)f + 64);
    exchange_prefetch(f->x);
}

static const struct reader_ops follower_reader = {on_ready, on_behind,
                                                  on_ended, on_soon};

/* ---- the beginning --------------------------------------------------------- */

/* Never 0, and no two alike while both live. */
static uint64_t new_number(void)
{
    static _Atomic uint64_t last;

    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

void follower_init(struct follower *f, struct exchange *x,
                   const struct feed *feed, const struct follower_ops *ops,
                   enum wire_format format)
{
    f->x = x;
    f->ops = ops;
    f->settings = feed->reader;
    f->format = (uint8_t)format;
    if (feed->reader->no_echo)
        f->number = new_number();
    x->handler = f;
}

int follower_join(struct follower *f, const struct feed *feed,
                  struct gap *gap)
{
    int rc = feed_join(&f->reader, &follower_reader, feed, feed->cursor,
                       feed_start(feed->reader), gap);

    if (rc > 0)
        feed_gap(f->x, gap);
    if (rc < 0)
        return rc;
    f->visit = visit_begin(f->x, feed, f->ops->name);
    f->member = presence_enter(f->x, feed, true);
    return rc;
}

/* Those who came together must not all go together. */
static void begin_life(struct follower *f)
{
    uint64_t ms = f->settings->life_ms;

    f->end_ds = 0;
    if (ms > 0)
        f->end_ds = (uint32_t)((clock_now_us() / 1000 +
                                jitter_between(ms / 5 * 4, ms)) / 100);
}

static uint64_t life_left_ms(const struct follower *f)
{
    uint64_t end_ms = (uint64_t)f->end_ds * 100;
    uint64_t now_ms = clock_now_us() / 1000;

    if (end_ms == 0)
        return UINT64_MAX;
    return end_ms > now_ms ? end_ms - now_ms : 0;
}

/* Looks again after ms, or when its life is over. */
static void set_timer(struct follower *f, uint64_t ms)
{
    uint64_t left_ms = life_left_ms(f);

    exchange_set_timer(f->x, left_ms < ms ? left_ms + 1 : ms);
}

void follower_run(struct follower *f)
{
    /* A peer that does not even acknowledge is gone after two heartbeats. */
    exchange_follow(f->x, 2 * f->settings->heartbeat_ms);
    if (f->settings->lag == LAG_LATEST)
        exchange_set_prompt(f->x); /* so that the latest is the latest */
    begin_life(f);
    follower_touch(f);
    set_timer(f, f->settings->heartbeat_ms);
    follower_pump(f);
}

void follower_touch(struct follower *f)
{
    count_blocked(f);
    f->active_us = clock_now_us();
}

/* ---- sending --------------------------------------------------------------- */

void follower_control(struct follower *f, const void *data, size_t len)
{
    if (f->control == NULL)
        f->control = calloc(1, sizeof(*f->control));
    if (f->control != NULL)
        buffer_append(f->control, data, len);
    f->failed |= f->control == NULL || f->control->failed;
}

void follower_write_gap(struct follower *f, const struct gap *gap,
                        struct buffer *out)
{
    struct buffer lost = {0};

    if (f->reader.selects)
        selection_write_lost(f->reader.selection, &lost);
    envelope_encode_gap(out,
                        gap->from[0] == '\0' ? STR_NONE : str_of(gap->from),
                        str_of(gap->to), buffer_str(&lost));
    out->failed |= lost.failed;
    buffer_fini(&lost);
}

/* What one writev carries: the rest of a half sent message, what goes between
 * messages, messages. */
struct parcel {
    struct iovec iov[READING_MAX + 2];
    int count;
    size_t total;
    bool failed; /* no memory for some of it: the stream would have a hole */
};

static void parcel_add(struct parcel *p, struct str s)
{
    if (s.n == 0)
        return;
    p->iov[p->count++] = (struct iovec){(void *)s.p, s.n};
    p->total += s.n;
}

/* What the reader is not to get. */
static bool is_own_word(const struct follower *f, const struct message *m)
{
    return f->number != 0 && m->sender == f->number;
}

/* Empty for its own words. */
static struct str wire_of(const struct follower *f, struct message *m)
{
    const struct wire *w;

    if (is_own_word(f, m))
        return STR("");
    w = message_wire_packed(m, f->format, &f->settings->compress);
    return w == NULL ? STR_NONE : wire_str(w, exchange_framed(f->x));
}

/* Takes off what was sent of a part of len octets; true if all of it was. */
static bool consume(size_t *sent, size_t len)
{
    if (*sent < len)
        return false;
    *sent -= len;
    return true;
}

static void drop_control(struct follower *f)
{
    if (f->control == NULL)
        return;
    buffer_fini(f->control);
    free(f->control);
    f->control = NULL;
}

/* Counts messages off for as long as the octets that were sent reach.  At most
 * one is left half sent, and kept by a reference.  Returns how many have begun
 * to go out. */
static unsigned account_messages(struct follower *f,
                                 const struct reading *reading, size_t sent)
{
    unsigned n = 0;

    while (n < reading->count) {
        size_t len = wire_of(f, reading->messages[n]).n;

        if (len > 0 && sent == 0)
            break;
        if (len > 0 && f->ops->began != NULL)
            f->ops->began(f, reading->messages[n]);
        if (!consume(&sent, len)) {
            f->partial = message_ref(reading->messages[n]);
            f->partial_sent = (uint32_t)sent;
            sent = 0;
        }
        n++;
    }
    return n;
}

/* Moves on past the octets that were sent; returns as account_messages(). */
static unsigned account(struct follower *f, const struct reading *reading,
                        size_t sent)
{
    if (f->partial != NULL) {
        size_t left = wire_of(f, f->partial).n - f->partial_sent;

        if (!consume(&sent, left)) {
            f->partial_sent += (uint32_t)sent;
            return 0;
        }
        message_unref(&f->partial);
    }
    if (f->control != NULL) {
        if (!consume(&sent, f->control->len)) {
            buffer_drop(f->control, sent);
            return 0;
        }
        drop_control(f);
    }
    return account_messages(f, reading, sent);
}

/* Where all of it was sent nobody need look at each message, unless the
 * transport wants to. */
static unsigned account_all(struct follower *f, const struct reading *reading,
                            size_t sent)
{
    if (f->ops->began != NULL)
        return account(f, reading, sent);
    message_unref(&f->partial);
    drop_control(f);
    return reading->count;
}

/* Counts those of the first n messages that are a delivery; how many these are. */
static unsigned count_delivered(const struct follower *f,
                                const struct reading *reading, unsigned n)
{
    unsigned first = 0, own = 0;

    for (unsigned i = 0; f->number != 0 && i < n; i++) {
        if (!is_own_word(f, reading->messages[i]))
            continue;
        feed_delivered(f->x, reading->messages + first, i - first,
                       f->active_us);
        first = i + 1;
        own++;
    }
    feed_delivered(f->x, reading->messages + first, n - first, f->active_us);
    return n - own;
}

/* Moves the cursor; returns how many messages it delivered. */
static unsigned move_on(struct follower *f, const struct reading *reading,
                        size_t sent, size_t total)
{
    unsigned n = sent == total ? account_all(f, reading, sent)
                               : account(f, reading, sent);

    reader_advance(&f->reader, reading, n);
    return count_delivered(f, reading, n);
}

/* Most readers get what is new in the same octets: those who have had all that
 * came before it, and hear their own words as well. */
static struct str shared_octets(const struct follower *f,
                                const struct reading *reading)
{
    if (reading->bundles == NULL || f->number != 0 ||
        wire_format_is_packed(f->format))
        return STR_NONE;
    return bundle_of(reading->bundles, reading->messages, reading->count,
                     f->format, exchange_framed(f->x));
}

static void pack_messages(const struct follower *f,
                          const struct reading *reading, struct parcel *p)
{
    for (unsigned i = 0; i < reading->count; i++) {
        struct str s = wire_of(f, reading->messages[i]);

        p->failed |= s.p == NULL;
        parcel_add(p, s);
    }
}

static void pack(const struct follower *f, const struct reading *reading,
                 struct parcel *p)
{
    struct str shared = shared_octets(f, reading);

    p->count = 0;
    p->total = 0;
    p->failed = f->failed;
    if (f->partial != NULL) {
        struct str whole = wire_of(f, f->partial);

        parcel_add(p, (struct str){whole.p + f->partial_sent,
                                   whole.n - f->partial_sent});
    }
    if (f->control != NULL)
        parcel_add(p, buffer_str(f->control));
    if (shared.n > 0)
        parcel_add(p, shared);
    else
        pack_messages(f, reading, p);
}

static bool is_merging(const struct follower *f)
{
    return f->settings->lag == LAG_LATEST || f->settings->interval_ms > 0;
}

/* The history has moved past the cursor while the reader was not looking.
 * False: it was cut. */
static bool tell_gap(struct follower *f, const struct gap *gap)
{
    if (f->settings->lag == LAG_SKIP && f->ops->gap(f, gap)) {
        feed_gap(f->x, gap);
        return true;
    }
    meter_add(METER_readers_cut, 1);
    log_close(f, "too-slow");
    follower_leave(f, FAREWELL_BEHIND);
    return false;
}

/* Where only the newest counts, the others are passed over. */
static void merge(struct follower *f)
{
    if (is_merging(f))
        tally_add(f->x->tally, TALLY_messages_merged,
                  reader_skip_to_newest(&f->reader));
}

/* Looks at what there is.  False: messages are missing, and the follower was
 * cut. */
static bool look(struct follower *f, struct reading *reading)
{
    merge(f);
    reader_read(&f->reader, reading);
    if (reading->missed == 0)
        return true;
    if (is_merging(f)) {
        tally_add(f->x->tally, TALLY_messages_merged, reading->missed);
        return true;
    }
    return tell_gap(f, &reading->gap);
}

/* When the follower is looked at next: a full socket in time for write_timeout,
 * where that is before a heartbeat. */
static uint64_t look_ms(const struct follower *f)
{
    const struct reader_settings *s = f->settings;

    return f->reader.blocked && s->write_ms < s->heartbeat_ms ? s->write_ms
                                                              : s->heartbeat_ms;
}

static void set_blocked(struct follower *f, bool blocked)
{
    bool changed = blocked && !f->reader.blocked;

    f->reader.blocked = blocked;
    if (blocked)
        f->unacked_seen = UINT32_MAX;
    if (changed && !f->ended && look_ms(f) < f->settings->heartbeat_ms)
        set_timer(f, look_ms(f));
}

enum sending { SENT_MORE, SENT_ENOUGH, SENT_LAST };

/* One writev.  SENT_MORE: the socket may take more, and there may be more;
 * SENT_LAST: the follower is gone. */
static enum sending send_some(struct follower *f)
{
    struct reading reading;
    struct parcel parcel;
    uint64_t began_us = tally_begin();
    size_t sent;

    reading.count = 0;
    reading.messages = reading.held;
    reading.bundles = NULL;
    reading.owned = false;
    if (!f->ended && !look(f, &reading)) {
        reading_done(&reading);
        return SENT_LAST;
    }
    pack(f, &reading, &parcel);
    if (parcel.failed) {
        reading_done(&reading);
        cut(f, "out-of-memory");
        return SENT_LAST;
    }
    if (parcel.total == 0 && f->ended) {
        if (f->awaiting)
            return SENT_ENOUGH;
        finish(f);
        return SENT_LAST;
    }
    sent = parcel.total == 0
               ? 0
               : exchange_writev(f->x, parcel.iov, parcel.count);
    if (sent > 0)
        follower_touch(f);
    tally_end(f->x->tally, TALLY_delivery_us, began_us,
              move_on(f, &reading, sent, parcel.total));
    reading_done(&reading);
    set_blocked(f, sent < parcel.total);
    if (f->reader.blocked || (parcel.total == 0 && reading.count == 0))
        return SENT_ENOUGH;
    return SENT_MORE;
}

/* Nothing is left that could be sent now.  A pass holds all that is new; a
 * second look costs a lock, so only those take it that had more to catch up
 * with. */
static bool is_done(const struct follower *f)
{
    return !f->ended && f->partial == NULL && f->control == NULL &&
           reader_dry(&f->reader);
}

/* False: the follower is gone. */
static bool flush(struct follower *f)
{
    for (;;) {
        enum sending s = send_some(f);

        if (s == SENT_LAST)
            return false;
        if (s == SENT_ENOUGH || is_done(f))
            return true;
    }
}

/* channel: the name of one of several; else NULL. */
static void say_stale(struct follower *f, const char *channel, bool stale)
{
    struct buffer notice = {0};

    envelope_encode_stale(&notice, channel == NULL ? STR_NONE : str_of(channel),
                          stale);
    f->failed |= notice.failed;
    f->ops->notice(f, "stale", buffer_str(&notice));
    buffer_fini(&notice);
}

/* Whether anything was to be told. */
static bool tell_stale(struct follower *f)
{
    const char *channel;
    bool stale, any = false;

    if (!f->reader.selects) {
        any = (reader_stale(&f->reader) != NULL) != f->stale;
        f->stale ^= any;
        if (any)
            say_stale(f, NULL, f->stale);
        return any;
    }
    while ((channel = selection_next_turn(f->reader.selection, &stale)) !=
           NULL) {
        say_stale(f, channel, stale);
        any = true;
    }
    return any;
}

/* The same.  Who sees only messages is not told, and stays. */
static bool tell_hint(struct follower *f)
{
    uint64_t hint = f->settings->advised ? reader_hint(&f->reader) : 0;
    struct buffer notice = {0};

    if (hint == 0 || hint_part(hint) == f->advised)
        return false;
    f->advised = hint_part(hint) & 7;
    hint_encode(&notice, hint);
    f->failed |= notice.failed;
    f->ops->notice(f, "advice", buffer_str(&notice));
    buffer_fini(&notice);
    return true;
}

/* What the channel says beside its messages.  True: something is to go out. */
static bool tell_state(struct follower *f)
{
    if (reader_over(&f->reader)) {
        log_close(f, "channel-over");
        follower_leave(f, FAREWELL_OVER);
        return false;
    }
    return tell_stale(f) | tell_hint(f);
}

void follower_pump(struct follower *f)
{
    if (flush(f) && !f->ended && !f->reader.blocked && tell_state(f))
        flush(f);
}

/* ---- what the exchange tells ----------------------------------------------- */

void follower_on_drained(struct exchange *x)
{
    struct follower *f = x->handler;

    count_blocked(f);
    f->reader.blocked = false;
    if (f->ended || f->partial != NULL || f->control != NULL)
        follower_pump(f);
    else
        on_ready(&f->reader);
}

/* TCP does not tell a peer that is gone from one that reads nothing; and the
 * second is ours to find, log and count, at two looks after write_timeout at
 * the latest. */
static void leave_time(struct follower *f)
{
    exchange_set_dead_after(f->x, f->settings->write_ms + 2 * look_ms(f) +
                                      WRITE_GRACE_MS);
}

/* A slow peer takes octets long before its socket takes more of ours. */
static bool is_moving(struct follower *f)
{
    size_t unacked = exchange_unacked(f->x);
    bool moving = unacked < f->unacked_seen;

    if (f->unacked_seen == UINT32_MAX)
        leave_time(f);
    f->unacked_seen = (uint32_t)unacked;
    if (!moving)
        return false;
    follower_touch(f);
    set_timer(f, look_ms(f));
    return true;
}

/* The peer has had its time for our goodbye: to take it, or to answer. */
static void say_no_more(struct follower *f)
{
    struct exchange *x = f->x;

    if (f->partial == NULL && f->control == NULL) {
        finish(f);
        return;
    }
    follower_end(f);
    exchange_fail(x);
}

void follower_on_timeout(struct exchange *x)
{
    struct follower *f = x->handler;
    uint64_t silent_ms = (clock_now_us() - f->active_us) / 1000;
    uint64_t limit_ms = look_ms(f);

    if (f->ended) {
        say_no_more(f);
        return;
    }
    if (life_left_ms(f) == 0) {
        log_close(f, "max-age");
        follower_leave(f, FAREWELL_AGED);
        return;
    }
    if (f->held) {
        f->held = false;
        set_timer(f, limit_ms);
        if (!f->reader.blocked)
            follower_pump(f);
        return;
    }
    if (f->reader.blocked && is_moving(f))
        return;
    if (f->reader.blocked && silent_ms >= f->settings->write_ms) {
        meter_add(METER_readers_cut, 1);
        cut(f, "write-timeout");
        return;
    }
    if (silent_ms < limit_ms) {
        set_timer(f, limit_ms - silent_ms);
        return;
    }
    set_timer(f, limit_ms);
    if (f->reader.blocked)
        return;
    if (!f->ops->heartbeat(f)) {
        meter_add(METER_readers_dead, 1);
        cut(f, "no-pong");
        return;
    }
    follower_pump(f);
}

void follower_on_drain(struct exchange *x)
{
    struct follower *f = x->handler;

    if (x->service->draining) {
        follower_leave(f, FAREWELL_DRAIN);
        return;
    }
    if (!f->ended)
        log_close(f, "route-changed");
    follower_leave(f, FAREWELL_CHANGED);
}

void follower_on_renew(struct exchange *x, const void *settings)
{
    struct follower *f = x->handler;
    uint64_t life_ms = f->settings->life_ms;

    f->settings = settings;
    if (f->ended)
        return;
    if (f->settings->life_ms != life_ms)
        begin_life(f);
    if (!f->held)
        set_timer(f, look_ms(f));
}

void follower_on_gone(struct exchange *x)
{
    follower_end(x->handler);
}
