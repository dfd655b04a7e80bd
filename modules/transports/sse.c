/* sse.c - the transport "sse": a channel followed as text/event-stream (HTML
 * living standard, "Server-sent events"). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "feed/follower.h"
#include "hub/encoding.h"
#include "modules.h"
#include "wire/sse.h"

struct stream {
    struct follower follower; /* first */
    struct gzip gzip;         /* what has gone in, where it is packed */
};

static struct stream *of_follower(struct follower *f)
{
    return (struct stream *)f;
}

static bool is_packed(const struct follower *f)
{
    return wire_format_is_gzip((enum wire_format)f->format);
}

/* Sends octets, in a chunk of their own where the answer is chunked.  None,
 * when out of memory, would be the last chunk. */
static void send_chunk(struct follower *f, struct str s)
{
    char size[20];
    int n = snprintf(size, sizeof(size), "%zx\r\n", s.n);

    if (s.n == 0)
        return;
    if (exchange_framed(f->x))
        follower_control(f, size, (size_t)n);
    follower_control(f, s.p, s.n);
    if (exchange_framed(f->x))
        follower_control(f, "\r\n", 2);
}

/* Sends text of the stream that is no message.  It is short, and each reader's
 * own: so it is stored, which takes five octets and no work. */
static void control(struct follower *f, struct str text)
{
    struct buffer block = {0};

    if (!is_packed(f)) {
        send_chunk(f, text);
        return;
    }
    gzip_store(&of_follower(f)->gzip, &block, text);
    send_chunk(f, buffer_str(&block));
    buffer_fini(&block);
}

static bool heartbeat(struct follower *f)
{
    const char *type = f->settings->heartbeat_event;
    char text[HEARTBEAT_EVENT_MAX + 32];
    int n = type == NULL ? snprintf(text, sizeof(text), ":\n\n")
                         : snprintf(text, sizeof(text),
                                    "event: %s\ndata: {}\n\n", type);

    control(f, (struct str){text, (size_t)n});
    return true; /* TCP finds out whether anybody is there */
}

/* Its id is where the reader now stands, so that a reconnect right after it is
 * not told again. */
static bool tell_gap(struct follower *f, const struct gap *gap)
{
    struct buffer data = {0}, event = {0};
    char id[ID_MAX];

    reader_position(&f->reader, id);
    follower_write_gap(f, gap, &data);
    sse_encode(&event, str_of(id), STR("penstock.gap"), buffer_str(&data));
    f->failed |= data.failed || event.failed;
    control(f, buffer_str(&event));
    buffer_fini(&event);
    buffer_fini(&data);
    return true;
}

/* Its wire is there: it has been sent. */
static void began(struct follower *f, struct message *m)
{
    gzip_add(&of_follower(f)->gzip,
             &message_wire_packed(m, f->format, &f->settings->compress)->part);
}

static void goodbye(struct follower *f, enum farewell why)
{
    struct buffer end = {0};

    gzip_end(&of_follower(f)->gzip, &end);
    send_chunk(f, buffer_str(&end));
    buffer_fini(&end);
}

/* It is no message: the cursor stays where it is. */
static void tell(struct follower *f, const char *what, struct str json)
{
    struct buffer event = {0};

    buffer_printf(&event, "event: penstock.%s\ndata: ", what);
    buffer_append_str(&event, json); /* it is one line */
    buffer_append_str(&event, STR("\n\n"));
    f->failed |= event.failed;
    control(f, buffer_str(&event));
    buffer_fini(&event);
}

static const struct follower_ops sse_follower = {
    .name = "sse",
    .heartbeat = heartbeat,
    .gap = tell_gap,
    .notice = tell,
};

static const struct follower_ops packed_follower = {
    .name = "sse",
    .heartbeat = heartbeat,
    .gap = tell_gap,
    .notice = tell,
    .began = began,
    .goodbye = goodbye,
};

static const struct exchange_ops sse_exchange = {
    .drained = follower_on_drained,
    .timeout = follower_on_timeout,
    .drain = follower_on_drain,
    .renew = follower_on_renew,
    .gone = follower_on_gone,
};

/* no-transform is for those between us and the client. */
static void start(struct exchange *x, const struct reader_settings *settings,
                  bool packed, bool gap)
{
    struct answer_headers a;

    answer_init(&a);
    answer_add(&a, "Content-Type", STR("text/event-stream"));
    answer_add(&a, "Cache-Control", STR("no-store, no-transform"));
    answer_add(&a, "X-Accel-Buffering", STR("no"));
    answer_add(&a, "Incremental", STR("?1")); /* draft-ietf-httpbis-incremental */
    answer_add(&a, "Vary", settings->compress.on ? STR("Accept, Accept-Encoding")
                                                 : STR("Accept"));
    if (packed)
        answer_add(&a, "Content-Encoding", STR("gzip"));
    if (gap)
        answer_add(&a, "Penstock-Gap", STR("1"));
    exchange_start(x, 200, &a.headers, BODY_STREAM, 0);
}

/* The first octets, which also flush the head through what buffers.  The id
 * says where the stream begins: a client that loses it before the first
 * message resumes from there. */
static void greet(struct follower *f)
{
    struct buffer head = {0};
    char text[128], id[ID_MAX];
    int n;

    if (is_packed(f)) {
        gzip_begin(&of_follower(f)->gzip, &head);
        send_chunk(f, buffer_str(&head));
        buffer_fini(&head);
    }
    reader_position(&f->reader, id);
    n = snprintf(text, sizeof(text), ":\nretry: %llu\nid: %s\n\n",
                 (unsigned long long)follower_retry_ms(f), id);
    control(f, (struct str){text, (size_t)n});
}

/* 204 is what tells an EventSource not to come back (HTML, "Server-sent
 * events", 9.2.3). */
static bool refuse_over(struct exchange *x, const struct feed *feed)
{
    struct answer_headers a;

    if (!feed_is_over(feed))
        return false;
    answer_init(&a);
    answer_add(&a, "Cache-Control", STR("no-store"));
    exchange_respond(x, 204, &a.headers, NULL, 0);
    return true;
}

static void open_sse(struct exchange *x, const struct feed *feed)
{
    bool packed = feed_packs(x, feed->reader);
    enum wire_format plain;
    struct follower *f;
    struct gap gap;
    int rc;

    if (refuse_over(x, feed))
        return;
    if (x->is_head) {
        start(x, feed->reader, packed, false);
        exchange_finish(x);
        return;
    }
    f = calloc(1, packed ? sizeof(struct stream) : sizeof(*f));
    if (f == NULL) {
        feed_refuse(x, -ENOMEM);
        return;
    }
    plain = feed->channel == NULL      ? WIRE_SSE_NAMED
            : feed->reader->envelope ? WIRE_SSE_ENVELOPE
                                     : WIRE_SSE;
    follower_init(f, x, feed, packed ? &packed_follower : &sse_follower,
                  packed ? wire_format_gzip(plain) : plain);
    rc = follower_join(f, feed, &gap);
    if (rc < 0) {
        follower_end(f);
        feed_refuse(x, rc);
        return;
    }
    x->ops = &sse_exchange;
    start(x, feed->reader, packed, rc > 0);
    greet(f);
    if (rc > 0)
        tell_gap(f, &gap);
    follower_run(f);
}

const struct transport transport_sse = {.name = "sse", .open = open_sse};
