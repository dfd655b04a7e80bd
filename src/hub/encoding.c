#include "hub/encoding.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/meter.h"
#include "hub/cursor.h"
#include "wire/sse.h"
#include "wire/websocket.h"

/* Room in front for the longest head: a WebSocket frame's, or a chunk's size
 * line (16 digits and CRLF). */
#define HEAD_ROOM 20
#define TAIL_ROOM 2

static struct wire *new_wire(struct str head, struct str body, struct str tail)
{
    struct wire *w = malloc(sizeof(*w) + head.n + body.n + tail.n);

    if (w == NULL)
        return NULL;
    *w = (struct wire){.len = head.n + body.n + tail.n};
    memcpy(w->bytes, head.p, head.n);
    if (body.n > 0)
        memcpy(w->bytes + head.n, body.p, body.n);
    memcpy(w->bytes + head.n + body.n, tail.p, tail.n);
    return w;
}

static struct wire *frame_chunk(struct str body)
{
    char size[HEAD_ROOM];
    unsigned n = (unsigned)snprintf(size, sizeof(size), "%zx\r\n", body.n);
    struct wire *w = new_wire((struct str){size, n}, body, STR("\r\n"));

    if (w != NULL) {
        w->head = (uint8_t)n;
        w->tail = TAIL_ROOM;
    }
    return w;
}

static struct wire *frame_websocket(unsigned first_octet, struct str body)
{
    uint8_t head[WS_HEAD_MAX];
    size_t n = ws_frame_head(head, WS_TEXT, body.n, NULL);

    head[0] = (uint8_t)first_octet;
    return new_wire((struct str){(char *)head, n}, body, STR(""));
}

/* ---- plain ----------------------------------------------------------------- */

static void write_event(struct buffer *b, const struct message *m,
                        struct str id)
{
    struct buffer text = {0};

    if (m->kind != ENVELOPE_BINARY) {
        sse_encode(b, id, m->type, message_data(m));
        return;
    }
    base64_append(&text, message_data(m));
    if (!text.failed)
        sse_encode(b, id, m->type, buffer_str(&text));
    b->failed |= text.failed;
    buffer_fini(&text);
}

/* Appends what is inside a format's frame, where that is not the data. */
static void write_body(struct buffer *b, const struct message *m,
                       enum wire_format format)
{
    char id_bytes[ID_MAX];
    struct str id = {id_bytes, id_format(id_bytes, m->epoch, m->seq)};

    if (format == WIRE_SSE)
        write_event(b, m, id);
    else
        envelope_encode(b, id, m->type, m->kind, message_data(m), m->time_ms);
}

static unsigned first_octet(const struct message *m, enum wire_format format)
{
    bool binary = format == WIRE_WS && m->kind == ENVELOPE_BINARY;

    return WS_FIN | (binary ? WS_BINARY : WS_TEXT);
}

static struct wire *frame(const struct message *m, enum wire_format format,
                          struct str body)
{
    switch (format) {
    case WIRE_JSON:
        return new_wire(STR(""), body, STR(""));
    case WIRE_SSE:
        return frame_chunk(body);
    case WIRE_WS:
    case WIRE_WS_ENVELOPE:
        return frame_websocket(first_octet(m, format), body);
    default:
        abort();
    }
}

static struct wire *encode(const struct message *m, enum wire_format format)
{
    struct buffer b = {0};
    struct wire *w = NULL;

    if (format == WIRE_WS)
        return frame(m, format, message_data(m));
    write_body(&b, m, format);
    if (!b.failed)
        w = frame(m, format, buffer_str(&b));
    buffer_fini(&b);
    return w;
}

static const struct wire *make_plain(struct message *m,
                                     enum wire_format format)
{
    struct wire *w = atomic_load_explicit(
        &m->wire[format], memory_order_acquire /* the exchange below */);
    struct wire *first = NULL;

    if (w != NULL)
        return w;
    w = encode(m, format);
    if (w == NULL)
        return NULL;
    /* Two workers may have made it at once: the second one's is dropped. */
    if (!atomic_compare_exchange_strong_explicit(
            &m->wire[format], &first, w,
            memory_order_acq_rel /* publishes the bytes */,
            memory_order_acquire)) {
        free(w);
        return first;
    }
    return w;
}

/* ---- compressed ------------------------------------------------------------ */

/* What each is made of, and the window it needs; 0: it is plain. */
static const struct {
    enum wire_format plain;
    uint8_t window_bits;
} forms[WIRE_N] = {
    [WIRE_SSE_GZIP] = {WIRE_SSE, 15},
    [WIRE_GZIP] = {WIRE_WS, 15},
    [WIRE_WS_15] = {WIRE_WS, 15},
    [WIRE_WS_12] = {WIRE_WS, 12},
    [WIRE_WS_9] = {WIRE_WS, 9},
    [WIRE_WS_ENVELOPE_15] = {WIRE_WS_ENVELOPE, 15},
    [WIRE_WS_ENVELOPE_12] = {WIRE_WS_ENVELOPE, 12},
    [WIRE_WS_ENVELOPE_9] = {WIRE_WS_ENVELOPE, 9},
};

enum wire_format wire_format_deflated(bool enveloped, unsigned window_bits)
{
    enum wire_format format = enveloped ? WIRE_WS_ENVELOPE_15 : WIRE_WS_15;

    while (forms[format].window_bits > window_bits)
        format++;
    return format;
}

/* An upper bound of what is inside the frame: JSON writes an octet as six at
 * the most, and some 100 around it. */
static size_t body_bound(const struct message *m, enum wire_format plain)
{
    return plain == WIRE_WS ? m->len : 6 * (m->len + m->type.n) + 200;
}

/* What is no longer than a small window cannot refer beyond it, so that it is
 * the same for all. */
static enum wire_format widen(const struct message *m, enum wire_format format)
{
    enum wire_format plain = forms[format].plain;

    if (body_bound(m, plain) > (size_t)1 << forms[format].window_bits)
        return format;
    return wire_format_deflated(plain == WIRE_WS_ENVELOPE, 15);
}

static struct wire *frame_deflated(const struct message *m,
                                   enum wire_format plain, struct str body,
                                   struct str deflated)
{
    unsigned first = first_octet(m, plain);

    deflated.n -= DEFLATE_TAIL.n;
    if (deflated.n < body.n)
        return frame_websocket(first | WS_RSV1, deflated);
    return frame_websocket(first, body);
}

static struct wire *pack(const struct message *m, enum wire_format format,
                         struct str body, unsigned level)
{
    struct buffer b = {0};
    struct wire *w = NULL;

    if (format == WIRE_GZIP)
        gzip_append(&b, body, level);
    else
        deflate_append(&b, body, forms[format].window_bits, level);
    if (b.failed)
        goto done;
    if (format == WIRE_GZIP)
        w = new_wire(STR(""), buffer_str(&b), STR(""));
    else if (format == WIRE_SSE_GZIP)
        w = frame_chunk(buffer_str(&b));
    else
        w = frame_deflated(m, forms[format].plain, body, buffer_str(&b));
    if (w != NULL && format == WIRE_SSE_GZIP)
        w->part = gzip_part_of(body);
done:
    buffer_fini(&b);
    return w;
}

static struct wire *encode_packed(const struct message *m,
                                  enum wire_format format, unsigned level)
{
    struct buffer body = {0};
    struct wire *w = NULL;

    meter_add(METER_messages_deflated, 1);
    if (forms[format].plain == WIRE_WS)
        return pack(m, format, message_data(m), level);
    write_body(&body, m, forms[format].plain);
    if (!body.failed)
        w = pack(m, format, buffer_str(&body), level);
    buffer_fini(&body);
    return w;
}

/* Deflating is dear: whoever wants the same waits for the one who does it.
 * Messages share the locks by their address. */
#define MAKERS 64
static pthread_mutex_t making[MAKERS] = {
    [0 ... MAKERS - 1] = PTHREAD_MUTEX_INITIALIZER};

static const struct wire *make_packed(struct message *m,
                                      enum wire_format format, unsigned level)
{
    pthread_mutex_t *lock = &making[(uintptr_t)m / 64 % MAKERS];
    struct wire *w;

    pthread_mutex_lock(lock);
    w = atomic_load_explicit(&m->wire[format], memory_order_relaxed);
    if (w == NULL) {
        w = encode_packed(m, format, level);
        atomic_store_explicit(&m->wire[format], w,
                              memory_order_release /* the load below */);
    }
    pthread_mutex_unlock(lock);
    return w;
}

const struct wire *message_wire_packed(struct message *m,
                                       enum wire_format format,
                                       const struct deflate_settings *how)
{
    const struct wire *w;

    if (forms[format].window_bits == 0)
        return make_plain(m, format);
    if (format >= WIRE_WS_15) {
        if (m->len < how->min_bytes)
            return make_plain(m, forms[format].plain);
        format = widen(m, format);
    }
    w = atomic_load_explicit(&m->wire[format],
                             memory_order_acquire /* the store above */);
    return w != NULL ? w : make_packed(m, format, how->level);
}

const struct wire *message_wire(struct message *m, enum wire_format format)
{
    static const struct deflate_settings usual = {.on = true, .level = 6};

    return message_wire_packed(m, format, &usual);
}
