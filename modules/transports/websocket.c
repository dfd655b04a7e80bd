/* websocket.c - the transport "websocket": a channel followed as frames (RFC
 * 6455).  Without a subprotocol a frame is a message's data; with penstock.v1
 * it is the envelope, which also carries ids and gap marks. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/meter.h"
#include "feed/follower.h"
#include "feed/handshake.h"
#include "feed/inbox.h"
#include "hub/encoding.h"
#include "modules.h"
#include "wire/command.h"
#include "wire/json.h"
#include "wire/websocket.h"

/* Octets of answers that may wait for a client whose socket is full; one that
 * sends pings and does not read is no use to anybody. */
#define CONTROL_MAX 16384

/* There only while a frame or a message is half read. */
struct inbound {
    struct ws_parser parser;
    enum ws_close_code leave_code; /* 0, or why this is the end */
    const char *leave_reason;
};

/* Why its own WebSocket to the backend is over. */
struct said {
    unsigned code;
    const char *reason;
};

/* What the client says: there while a frame is half read, and where the route
 * takes messages.  The many that only listen need no room for it. */
struct talk {
    struct inbound *inbound;
    struct channel *receive;  /* a reference: where its messages go, or NULL */
    struct inbox *inbox;      /* or the way to a backend, or NULL */
    const struct said *said;  /* while the backend's end is passed on */
    bool *gone;               /* set as it is freed; NULL: nobody asks */
    uint64_t rate_bucket;     /* of its messages */
    bool choked;              /* it reads too slowly what its backend says */
};

struct session {
    struct follower follower; /* first */
    struct talk *talk;        /* or NULL */
    uint32_t pinged_us;       /* when our ping went out; wraps */
    bool pong_due : 1;        /* and its pong has not come */
    bool pinged : 1;          /* nothing at all has come since then */
    bool enveloped : 1;
    bool deflate : 1;         /* permessage-deflate is agreed on */
    bool farewell : 1;        /* our close frame is queued or sent */
};

static struct session *of_follower(struct follower *f)
{
    return (struct session *)f;
}

/* ---- to the client --------------------------------------------------------- */

static void control(struct session *s, enum ws_opcode opcode,
                    struct str payload)
{
    struct buffer frame = {0};

    ws_encode(&frame, opcode, payload);
    s->follower.failed |= frame.failed;
    follower_control(&s->follower, frame.data, frame.len);
    buffer_fini(&frame);
}

static void say_close(struct session *s, enum ws_close_code code,
                      const char *reason)
{
    struct buffer frame = {0};

    s->farewell = true;
    ws_encode_close(&frame, code, reason);
    s->follower.failed |= frame.failed;
    follower_control(&s->follower, frame.data, frame.len);
    buffer_fini(&frame);
}

/* It is not read, as the backend is behind. */
static bool is_held(const struct session *s)
{
    const struct talk *t = s->talk;

    return t != NULL && t->inbox != NULL && inbox_full(t->inbox);
}

/* RFC 6455 5.5.2.  Whatever the peer sends counts as its answer. */
static bool heartbeat(struct follower *f)
{
    struct session *s = of_follower(f);

    if (s->pinged)
        return false;
    s->pinged = !is_held(s); /* its pong would not be read */
    s->pong_due = true;
    s->pinged_us = (uint32_t)clock_now_us();
    meter_add(METER_pings, 1);
    control(s, WS_PING, STR(""));
    return true;
}

/* Sends text, and frees it. */
static void say(struct session *s, struct buffer *text)
{
    s->follower.failed |= text->failed;
    control(s, WS_TEXT, buffer_str(text));
    buffer_fini(text);
}

static bool tell_gap(struct follower *f, const struct gap *gap)
{
    struct session *s = of_follower(f);
    struct buffer text = {0};

    if (!s->enveloped && !f->reader.selects)
        return false; /* a raw frame is data: it cannot tell */
    buffer_append_str(&text, STR("{\"gap\":"));
    follower_write_gap(f, gap, &text);
    buffer_append_byte(&text, '}');
    say(s, &text);
    return true;
}

/* Our own words to a peer that has closed (7.1.5), or is to be failed without
 * waiting for anything that it may still send (7.1.7). */
static void say_own(struct session *s)
{
    const struct talk *t = s->talk;

    if (t != NULL && t->said != NULL) { /* to be answered, like any other */
        say_close(s, t->said->code, t->said->reason);
        return;
    }
    s->follower.awaiting = false;
    if (t == NULL || t->inbound == NULL)
        say_close(s, WS_INTERNAL_ERROR, "out of memory");
    else
        say_close(s, t->inbound->leave_code, t->inbound->leave_reason);
}

/* The same to one that is to come back, and when: all of a route may be sent
 * away together. */
static void send_away(struct session *s, enum ws_close_code code,
                      const char *reason)
{
    char text[124]; /* a control frame's, less the code (RFC 6455 5.5) */

    snprintf(text, sizeof(text), "%s (retry in %llu ms)", reason,
             (unsigned long long)follower_retry_ms(&s->follower));
    say_close(s, code, text);
}

/* Whoever says Close first waits for the other's, and then it is the server
 * that ends the connection (RFC 6455 7.1.1). */
static void goodbye(struct follower *f, enum farewell why)
{
    struct session *s = of_follower(f);

    f->awaiting = true;
    if (is_held(s))
        exchange_read(f->x, true);
    switch (why) {
    case FAREWELL_DRAIN:
        send_away(s, WS_GOING_AWAY, "the server is going away");
        break;
    case FAREWELL_ENDED:
        send_away(s, WS_GOING_AWAY, "the channel was deleted");
        break;
    case FAREWELL_OVER:
        say_close(s, WS_NORMAL, "the channel is over");
        break;
    case FAREWELL_CHANGED:
        send_away(s, WS_RESTART, "the route has changed");
        break;
    case FAREWELL_AGED:
        send_away(s, WS_RESTART, "max_age: resume from your last id");
        break;
    case FAREWELL_BEHIND:
        send_away(s, WS_TRY_LATER, "too slow: resume from your last id");
        break;
    case FAREWELL_OWN:
        say_own(s);
        break;
    }
}

static void drop_inbound(struct talk *t)
{
    if (t->inbound != NULL)
        ws_parser_fini(&t->inbound->parser);
    free(t->inbound);
    t->inbound = NULL;
}

static void drop_talk(struct session *s)
{
    struct talk *t = s->talk;

    if (t == NULL)
        return;
    if (t->gone != NULL)
        *t->gone = true;
    inbox_leave(t->inbox, t->inbound == NULL ? 0 : t->inbound->leave_code);
    drop_inbound(t);
    channel_unref(&t->receive);
    free(t);
    s->talk = NULL;
}

/* Its frame is read whole. */
static void fall_silent(struct session *s)
{
    if (s->talk->receive == NULL && s->talk->inbox == NULL)
        drop_talk(s);
    else
        drop_inbound(s->talk);
}

static void fini(struct follower *f)
{
    drop_talk(of_follower(f));
}

static void tell(struct follower *f, const char *what, struct str json)
{
    struct session *s = of_follower(f);

    if (s->enveloped || f->reader.selects)
        control(s, WS_TEXT, json);
}

static const struct follower_ops session_follower = {
    .name = "websocket",
    .heartbeat = heartbeat,
    .gap = tell_gap,
    .notice = tell,
    .goodbye = goodbye,
    .fini = fini,
};

/* ---- from the client ------------------------------------------------------- */

/* From inside the parser, which must outlive its call: on_raw() leaves. */
static int stop(struct session *s, enum ws_close_code code, const char *reason)
{
    s->talk->inbound->leave_code = code;
    s->talk->inbound->leave_reason = reason;
    return 1;
}

/* A client that goes on asking, and does not read the answers. */
static bool too_much(const struct session *s)
{
    const struct follower *f = &s->follower;

    return f->reader.blocked && f->control != NULL &&
           f->control->len > CONTROL_MAX;
}

static const char *why_not(int error)
{
    switch (error) {
    case -EEXIST:
        return "the channel is read already";
    case -E2BIG:
        return "no more channels may be read over one connection";
    case -ENOENT:
        return "this route has no such channel";
    case -ENAMETOOLONG:
        return "the channel's name is too long";
    case -ENOSPC:
        return "limits.channels is reached: try again later";
    case -ESTALE:
        return "the channel is being deleted: try again";
    default:
        return "out of memory: try again later";
    }
}

static void refuse_command(struct session *s, struct str channel,
                           const char *detail)
{
    struct buffer text = {0};

    command_error(&text, channel, 0, str_of(detail));
    say(s, &text);
}

static void subscribe(struct session *s, const struct command *c)
{
    struct follower *f = &s->follower;
    struct buffer text = {0};
    struct subscription sub;
    int rc = feed_subscribe(&f->reader, f->x, f->settings, c->channel,
                            cursor_parse(c->since), &sub);

    if (rc < 0) {
        refuse_command(s, c->channel, why_not(rc));
        return;
    }
    command_subscribed(&text, str_of(sub.name), str_of(sub.id));
    say(s, &text);
    if (rc > 0) {
        feed_gap(f->x, &sub.gap);
        tell_gap(f, &sub.gap);
    }
}

static void unsubscribe(struct session *s, const struct command *c)
{
    struct buffer text = {0};

    if (!selection_remove(s->follower.reader.selection, c->channel)) {
        refuse_command(s, c->channel, "the channel is not read");
        return;
    }
    command_unsubscribed(&text, c->channel);
    say(s, &text);
}

/* On a multiplexed route a client of penstock.v1 says what it reads. */
static int on_command(struct session *s, struct str text)
{
    struct command c;
    const char *why;
    int rc = command_parse(&c, text, &why);

    if (rc == -ENOMEM)
        return rc;
    if (rc < 0)
        refuse_command(s, STR_NONE, why);
    else if (c.kind == COMMAND_SUBSCRIBE)
        subscribe(s, &c);
    else
        unsubscribe(s, &c);
    if (rc == 0)
        command_fini(&c);
    return too_much(s) ? stop(s, WS_POLICY, "too many messages unread") : 0;
}

/* ---- what is said to a backend ------------------------------------------------ */

/* A raw frame is data: who speaks no penstock.v1 cannot be told. */
static void tell_error(struct session *s, unsigned status, struct str detail)
{
    struct buffer text = {0};

    if (!s->enveloped)
        return;
    command_error(&text, STR_NONE, status, detail);
    say(s, &text);
}

static void tell_reply(struct session *s, struct str data, struct str type)
{
    bool binary = envelope_kind_of(type, data) == ENVELOPE_BINARY;
    struct buffer text = {0};

    if (!s->enveloped) {
        control(s, binary ? WS_BINARY : WS_TEXT, data);
        return;
    }
    command_reply(&text, type, data);
    say(s, &text);
}

#define DETAIL_MAX 1024 /* octets of a backend's reason that are passed on */

/* Nor may a backend that says much fill our memory. */
static void choke(struct session *s)
{
    if (s->talk->choked || !too_much(s))
        return;
    s->talk->choked = true;
    inbox_read(s->talk->inbox, false);
}

static void on_answered(void *arg, unsigned status, struct str data,
                        struct str content_type)
{
    struct session *s = arg;
    bool told = data.n > 0 && data.n <= DETAIL_MAX && str_utf8_valid(data);

    if (s->farewell)
        return;
    if (status >= 300)
        tell_error(s, status, told ? data : STR("the backend refused it"));
    else if (data.p != NULL)
        tell_reply(s, data, content_type);
    choke(s);
    follower_pump(&s->follower);
}

static void on_failed(void *arg, unsigned status, const char *why)
{
    struct session *s = arg;

    if (s->farewell)
        return;
    tell_error(s, status, str_of(why));
    follower_pump(&s->follower);
}

static void on_closed(void *arg, unsigned code, const char *reason)
{
    const struct said said = {code, reason};
    struct session *s = arg;

    if (s->farewell)
        return;
    s->talk->said = &said;
    follower_leave(&s->follower, FAREWELL_OWN);
}

static void on_room(void *arg)
{
    exchange_read(((struct session *)arg)->follower.x, true);
}

static const struct inbox_ops session_inbox = {on_answered, on_failed,
                                               on_closed, on_room};

/* No more is read while there is no room: the client has to wait. */
static int post(struct session *s, const struct message_parts *parts)
{
    int rc = inbox_put(s->talk->inbox, parts);

    if (rc > 0)
        exchange_read(s->follower.x, false);
    return rc < 0 ? rc : 0;
}

/* ---- messages ---------------------------------------------------------------- */

static int publish(struct session *s, const struct message_parts *parts)
{
    struct message *m = message_new(parts);
    int rc;

    if (m == NULL)
        return -ENOMEM;
    m->sender = s->follower.number;
    rc = channel_append(s->talk->receive, &m, 1, NULL);
    if (rc == -ESTALE) /* who comes back gets the one that has its name now */
        return stop(s, WS_GOING_AWAY, "the channel was deleted");
    return rc;
}

/* 0; or what came is not to be taken, and that is dealt with: *rc. */
static bool refuse_message(struct session *s, struct str data, int *rc)
{
    const struct inbox_settings *settings = &s->follower.settings->inbox;
    uint64_t *bucket = &s->talk->rate_bucket, now_us = clock_now_us();

    *rc = 0;
    if (rate_wait_us(&settings->rate, *bucket, now_us) > 0) {
        meter_add(METER_requests_over_rate, 1);
        if (s->enveloped)
            tell_error(s, 429, STR("more messages than the route allows"));
        else
            *rc = stop(s, WS_POLICY, "more messages than the route allows");
        return true;
    }
    *bucket = rate_take(&settings->rate, *bucket, now_us);
    if (settings->json && !json_valid(data))
        *rc = stop(s, WS_BAD_DATA, "the message is not valid JSON");
    return *rc != 0;
}

static int on_message(void *arg, enum ws_opcode opcode, struct str data)
{
    const struct message_parts parts = {
        .data = data,
        .content_type = opcode == WS_BINARY ? STR("application/octet-stream")
                                            : STR_NONE,
    };
    struct session *s = arg;
    const struct talk *t = s->talk;
    int rc;

    if (s->farewell)
        return 0; /* it was on its way when we said Close */
    if (s->enveloped && s->follower.reader.selects)
        return on_command(s, data);
    if (t->receive == NULL && t->inbox == NULL)
        return stop(s, WS_POLICY, "this route takes no messages");
    if (refuse_message(s, data, &rc))
        return rc;
    tally_add(s->follower.x->tally, TALLY_messages_taken, 1);
    return t->inbox != NULL ? post(s, &parts) : publish(s, &parts);
}

static int on_ping(struct session *s, struct str data)
{
    if (s->farewell)
        return 0; /* nothing follows our Close (5.5.1) */
    if (s->talk->choked)
        return 0; /* it has what its backend says to read first */
    control(s, WS_PONG, data);
    if (too_much(s))
        return stop(s, WS_POLICY, "too many pings");
    return 0;
}

/* A pong that nobody asked for means nothing (5.5.3). */
static void on_pong(struct session *s)
{
    if (!s->pong_due)
        return;
    meter_add(METER_pongs, 1);
    meter_add(METER_pong_wait_us, (uint32_t)clock_now_us() - s->pinged_us);
    s->pong_due = false;
}

static int on_control(void *arg, enum ws_opcode opcode, struct str data)
{
    struct session *s = arg;
    unsigned code = ws_close_body_code(data);

    if (opcode == WS_PING)
        return on_ping(s, data);
    if (opcode == WS_PONG) {
        on_pong(s);
        return 0;
    }
    return stop(s, code == WS_NO_CODE ? WS_NORMAL : (enum ws_close_code)code,
                "");
}

static const struct ws_parser_ops parser_ops = {on_message, on_control};

/* NULL when out of memory. */
static struct talk *talk_of(struct session *s)
{
    if (s->talk == NULL)
        s->talk = calloc(1, sizeof(*s->talk));
    return s->talk;
}

/* The same. */
static struct inbound *inbound_of(struct session *s)
{
    struct talk *t = talk_of(s);

    if (t == NULL || t->inbound != NULL)
        return t == NULL ? NULL : t->inbound;
    t->inbound = calloc(1, sizeof(*t->inbound));
    if (t->inbound == NULL)
        return NULL;
    ws_parser_init(&t->inbound->parser, &parser_ops, s, WS_SERVER,
                   s->follower.settings->message_bytes);
    t->inbound->parser.deflate = s->deflate;
    return t->inbound;
}

/* The peer is to be left, for the reason in its inbound: after our own Close,
 * that is all that was waited for. */
static void leave(struct session *s)
{
    if (s->farewell)
        follower_answered(&s->follower);
    else
        follower_leave(&s->follower, FAREWELL_OWN);
}

/* 0, or what is wrong: then its inbound, if there is one, says why. */
static int feed_parser(struct session *s, char *data, size_t len)
{
    struct inbound *in = inbound_of(s);
    int rc;

    if (in == NULL)
        return -ENOMEM;
    rc = ws_parser_feed(&in->parser, data, len);
    if (rc == -EPROTO)
        stop(s, in->parser.fail_code, in->parser.fail_reason);
    else if (rc < 0)
        stop(s, WS_INTERNAL_ERROR, "out of memory");
    return rc;
}

static void on_raw(struct exchange *x, char *data, size_t len)
{
    struct session *s = x->handler;

    s->pinged = false;
    if (s->farewell && !s->follower.awaiting)
        return; /* only the end is still awaited */
    if (feed_parser(s, data, len) != 0) {
        leave(s);
        return;
    }
    if (ws_parser_idle(&s->talk->inbound->parser))
        fall_silent(s);
    follower_pump(&s->follower); /* pongs */
}

static void on_drained(struct exchange *x)
{
    struct session *s = x->handler;
    struct talk *t = s->talk;
    bool gone = false;

    if (t == NULL || !t->choked) {
        follower_on_drained(x);
        return;
    }
    t->gone = &gone;
    follower_on_drained(x);
    if (gone)
        return;
    t->gone = NULL;
    if (too_much(s))
        return;
    t->choked = false;
    inbox_read(t->inbox, true);
}

static const struct exchange_ops session_exchange = {
    .raw = on_raw,
    .drained = on_drained,
    .timeout = follower_on_timeout,
    .drain = follower_on_drain,
    .renew = follower_on_renew,
    .gone = follower_on_gone,
};

/* ---- the beginning --------------------------------------------------------- */

/* With several channels each message has to name its own. */
static enum wire_format format_of(const struct feed *feed,
                                  const struct session *s,
                                  const struct deflate_terms *terms)
{
    enum wire_format plain = feed->channel == NULL ? WIRE_WS_NAMED
                             : s->enveloped        ? WIRE_WS_ENVELOPE
                                                   : WIRE_WS;

    return terms->agreed ? wire_format_deflated(plain, terms->window_bits)
                         : plain;
}

static void follow(struct exchange *x, const struct feed *feed,
                   struct session *s, const struct handshake *h)
{
    struct follower *f = &s->follower;
    struct gap gap;
    int rc;

    follower_init(f, x, feed, &session_follower,
                  format_of(feed, s, &h->terms));
    rc = follower_join(f, feed, &gap);
    if (rc < 0) {
        follower_end(f);
        feed_refuse(x, rc);
        return;
    }
    x->ops = &session_exchange;
    handshake_accept(h, x, rc > 0);
    if (rc > 0)
        tell_gap(f, &gap);
    follower_run(f);
}

/* Where what the client says goes.  False: out of memory. */
static bool take_receiver(struct exchange *x, const struct feed *feed,
                          struct session *s)
{
    if (feed->receive == NULL && feed->inbox_target.n == 0)
        return true;
    if (talk_of(s) == NULL)
        return false;
    if (feed->receive != NULL)
        s->talk->receive = channel_ref(feed->receive);
    if (feed->inbox_target.n == 0)
        return true;
    s->talk->inbox = inbox_new(x, feed, &session_inbox, s);
    return s->talk->inbox != NULL;
}

static void open_websocket(struct exchange *x, const struct feed *feed)
{
    struct handshake h;
    struct session *s;

    if (!handshake_read(&h, x, feed->reader))
        return;
    s = calloc(1, sizeof(*s));
    if (s == NULL) {
        feed_refuse(x, -ENOMEM);
        return;
    }
    s->enveloped = h.enveloped;
    s->deflate = h.terms.agreed;
    if (!take_receiver(x, feed, s)) {
        drop_talk(s);
        free(s);
        feed_refuse(x, -ENOMEM);
        return;
    }
    follow(x, feed, s, &h);
}

const struct transport transport_websocket = {
    .name = "websocket",
    .open = open_websocket,
};
