/* sse.c - the transport "sse": a channel followed as text/event-stream (HTML
 * living standard, "Server-sent events"). */
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#include "feed/follower.h"
#include "modules.h"
#include "wire/sse.h"

/* Sends octets of the stream that are no message, in a chunk of their own
 * where the answer is chunked. */
static void control(struct follower *f, struct str s)
{
    char size[20];
    int n = snprintf(size, sizeof(size), "%zx\r\n", s.n);

    if (exchange_framed(f->x))
        follower_control(f, size, (size_t)n);
    follower_control(f, s.p, s.n);
    if (exchange_framed(f->x))
        follower_control(f, "\r\n", 2);
}

static bool heartbeat(struct follower *f)
{
    control(f, STR(":\n\n"));
    return true; /* TCP finds out whether anybody is there */
}

/* Its id is where the reader now stands, so that a reconnect right after it is
 * not told again. */
static bool tell_gap(struct follower *f, const struct gap *gap,
                     uint64_t position)
{
    char text[256], id[ID_MAX];
    int n;

    reader_position(&f->reader, id);
    n = snprintf(text, sizeof(text),
                 "id: %s\nevent: penstock.gap\n"
                 "data: {\"from\":\"%s\",\"to\":\"%s\"}\n\n",
                 id, gap->from, gap->to);
    control(f, (struct str){text, (size_t)n});
    return true;
}

static const struct follower_ops sse_follower = {
    .name = "sse",
    .heartbeat = heartbeat,
    .gap = tell_gap,
};

static const struct exchange_ops sse_exchange = {
    .drained = follower_on_drained,
    .timeout = follower_on_timeout,
    .drain = follower_on_drain,
    .gone = follower_on_gone,
};

static void start(struct exchange *x, bool gap)
{
    struct answer_headers a;

    answer_init(&a);
    answer_add(&a, "Content-Type", STR("text/event-stream"));
    answer_add(&a, "Cache-Control", STR("no-store, no-transform"));
    answer_add(&a, "X-Accel-Buffering", STR("no"));
    answer_add(&a, "Vary", STR("Accept"));
    if (gap)
        answer_add(&a, "Penstock-Gap", STR("1"));
    exchange_start(x, 200, &a.headers, BODY_STREAM, 0);
}

/* Clients that lose us all at once must not all come back at once: each is
 * told its own wait, a quarter more or less. */
static uint64_t with_jitter(uint64_t ms)
{
    uint16_t r = 0;

    RAND_bytes((unsigned char *)&r, sizeof(r));
    return ms * 3 / 4 + ms / 2 * r / UINT16_MAX;
}

/* The first octets, which also flush the head through what buffers.  The id
 * says where the stream begins: a client that loses it before the first
 * message resumes from there. */
static void greet(struct follower *f)
{
    char text[128], id[ID_MAX];
    int n;

    reader_position(&f->reader, id);
    n = snprintf(text, sizeof(text), ":\nretry: %llu\nid: %s\n\n",
                 (unsigned long long)with_jitter(f->settings->retry_ms), id);
    control(f, (struct str){text, (size_t)n});
}

static void open_sse(struct exchange *x, const struct feed *feed)
{
    struct follower *f;
    struct gap gap;
    int rc;

    if (x->is_head) {
        start(x, false);
        exchange_finish(x);
        return;
    }
    f = calloc(1, sizeof(*f));
    if (f == NULL) {
        feed_refuse(x, -ENOMEM);
        return;
    }
    follower_init(f, x, feed, &sse_follower, WIRE_SSE);
    rc = follower_join(f, feed, &gap);
    if (rc < 0) {
        follower_end(f);
        feed_refuse(x, rc);
        return;
    }
    x->ops = &sse_exchange;
    start(x, rc > 0);
    greet(f);
    if (rc > 0)
        tell_gap(f, &gap, 0);
    follower_run(f);
}

const struct transport transport_sse = {.name = "sse", .open = open_sse};
