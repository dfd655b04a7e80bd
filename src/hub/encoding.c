#include "hub/encoding.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/meter.h"
#include "hub/cursor.h"
#include "hub/hub.h"
#include "wire/json.h"
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

/* before: frames that go out in front of it. */
static struct wire *frame_websocket(struct str before, unsigned first_octet,
                                    struct str body)
{
    struct buffer head = {0};
    uint8_t own[WS_HEAD_MAX];
    size_t n = ws_frame_head(own, WS_TEXT, body.n, NULL);
    struct wire *w = NULL;

    own[0] = (uint8_t)first_octet;
    if (before.n == 0)
        return new_wire((struct str){(char *)own, n}, body, STR(""));
    buffer_append_str(&head, before);
    buffer_append(&head, own, n);
    if (!head.failed)
        w = new_wire(buffer_str(&head), body, STR(""));
    buffer_fini(&head);
    return w;
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

static bool is_named(enum wire_format format)
{
    return format == WIRE_JSON_NAMED || format == WIRE_SSE_NAMED ||
           format == WIRE_WS_NAMED;
}

static void write_envelope(struct buffer *b, const struct message *m,
                           struct str channel, struct str id)
{
    envelope_encode(b, channel, id, m->type, m->kind, message_data(m),
                    m->time_ms);
}

/* One type for all, so that one handler sees them. */
static void write_enveloped_event(struct buffer *b, const struct message *m,
                                  struct str channel, struct str id)
{
    struct buffer text = {0};

    write_envelope(&text, m, channel, id);
    if (!text.failed)
        sse_encode(b, id, STR_NONE, buffer_str(&text));
    b->failed |= text.failed;
    buffer_fini(&text);
}

/* The id of m, or, by 1, that of the one before it. */
static size_t write_id(char out[ID_MAX], const struct message *m, bool named,
                       uint64_t by)
{
    return named ? id_format(out, m->home->hub->order.epoch, m->stamp - by)
                 : id_format(out, m->epoch, m->seq - by);
}

/* What readers of any kind are told before a message that has after_gap. */
static void write_gap(struct buffer *b, const struct message *m, bool named)
{
    char from[ID_MAX], to[ID_MAX];
    struct buffer channels = {0};

    write_id(from, m, named, 1);
    write_id(to, m, named, 0);
    if (named) {
        buffer_append_byte(&channels, '[');
        json_append_string(&channels, str_of(m->home->name));
        buffer_append_byte(&channels, ']');
    }
    envelope_encode_gap(b, str_of(from), str_of(to), buffer_str(&channels));
    b->failed |= channels.failed;
    buffer_fini(&channels);
}

static void write_gap_event(struct buffer *b, const struct message *m,
                            bool named)
{
    struct buffer data = {0};
    char id[ID_MAX];

    write_id(id, m, named, 1);
    write_gap(&data, m, named);
    sse_encode(b, str_of(id), STR("penstock.gap"), buffer_str(&data));
    b->failed |= data.failed;
    buffer_fini(&data);
}

/* Appends a frame of penstock.v1, if m has something to be told before it. */
static void write_gap_frame(struct buffer *b, const struct message *m,
                            enum wire_format plain)
{
    struct buffer text = {0};

    if (!m->after_gap || plain == WIRE_WS)
        return;
    buffer_append_str(&text, STR("{\"gap\":"));
    write_gap(&text, m, is_named(plain));
    buffer_append_byte(&text, '}');
    ws_encode(b, WS_TEXT, buffer_str(&text));
    b->failed |= text.failed;
    buffer_fini(&text);
}

static bool is_event(enum wire_format plain)
{
    return plain == WIRE_SSE || plain == WIRE_SSE_ENVELOPE ||
           plain == WIRE_SSE_NAMED;
}

/* Appends what is inside a format's frame, where that is not the data. */
static void write_body(struct buffer *b, const struct message *m,
                       enum wire_format format)
{
    bool named = is_named(format);
    struct str channel = named ? str_of(m->home->name) : STR_NONE;
    char text[ID_MAX];
    struct str id = {text, write_id(text, m, named, 0)};

    if (is_event(format) && m->after_gap)
        write_gap_event(b, m, named);
    if (format == WIRE_SSE)
        write_event(b, m, id);
    else if (is_event(format))
        write_enveloped_event(b, m, channel, id);
    else
        write_envelope(b, m, channel, id);
}

static unsigned first_octet(const struct message *m, enum wire_format format)
{
    bool binary = format == WIRE_WS && m->kind == ENVELOPE_BINARY;

    return WS_FIN | (binary ? WS_BINARY : WS_TEXT);
}

static struct wire *frame_message(const struct message *m,
                                  enum wire_format plain, unsigned first,
                                  struct str body)
{
    struct buffer before = {0};
    struct wire *w = NULL;

    write_gap_frame(&before, m, plain);
    if (!before.failed)
        w = frame_websocket(buffer_str(&before), first, body);
    buffer_fini(&before);
    return w;
}

static struct wire *frame(const struct message *m, enum wire_format format,
                          struct str body)
{
    if (is_event(format))
        return frame_chunk(body);
    if (format == WIRE_JSON || format == WIRE_JSON_NAMED)
        return new_wire(STR(""), body, STR(""));
    return frame_message(m, format, first_octet(m, format), body);
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

/* ---- kept with the message --------------------------------------------------- */

/* Most messages have one or two. */
static const struct wire *find(const struct message *m,
                               enum wire_format format)
{
    const struct wire *w =
        atomic_load_explicit(&m->wires, memory_order_acquire /* keep() */);

    while (w != NULL && w->format != format)
        w = w->next;
    return w;
}

/* Two workers may have made it at once: then the second one's is dropped. */
static const struct wire *keep(struct message *m, enum wire_format format,
                               struct wire *w)
{
    const struct wire *first;
    bool done;

    w->format = (uint8_t)format;
    w->next = atomic_load_explicit(&m->wires, memory_order_acquire);
    do {
        first = find(m, format);
        if (first != NULL) {
            free(w);
            return first;
        }
        done = atomic_compare_exchange_weak_explicit(
            &m->wires, &w->next, w,
            memory_order_acq_rel /* publishes the bytes */,
            memory_order_acquire);
    } while (!done);
    return w;
}

static const struct wire *make_plain(struct message *m,
                                     enum wire_format format)
{
    const struct wire *known = find(m, format);
    struct wire *w;

    if (known != NULL)
        return known;
    w = encode(m, format);
    return w == NULL ? NULL : keep(m, format, w);
}

/* ---- compressed ------------------------------------------------------------ */

/* What each is made of, and the window it needs; 0: it is plain. */
static const struct {
    enum wire_format plain;
    uint8_t window_bits;
} forms[WIRE_N] = {
    [WIRE_GZIP] = {WIRE_WS, 15},
    [WIRE_SSE_GZIP] = {WIRE_SSE, 15},
    [WIRE_SSE_ENVELOPE_GZIP] = {WIRE_SSE_ENVELOPE, 15},
    [WIRE_SSE_NAMED_GZIP] = {WIRE_SSE_NAMED, 15},
    [WIRE_WS_15] = {WIRE_WS, 15},
    [WIRE_WS_12] = {WIRE_WS, 12},
    [WIRE_WS_9] = {WIRE_WS, 9},
    [WIRE_WS_ENVELOPE_15] = {WIRE_WS_ENVELOPE, 15},
    [WIRE_WS_ENVELOPE_12] = {WIRE_WS_ENVELOPE, 12},
    [WIRE_WS_ENVELOPE_9] = {WIRE_WS_ENVELOPE, 9},
    [WIRE_WS_NAMED_15] = {WIRE_WS_NAMED, 15},
    [WIRE_WS_NAMED_12] = {WIRE_WS_NAMED, 12},
    [WIRE_WS_NAMED_9] = {WIRE_WS_NAMED, 9},
};

/* The first form of plain, from the one at from on, whose window is no larger. */
static enum wire_format find_form(enum wire_format from, enum wire_format plain,
                                  unsigned window_bits)
{
    enum wire_format format = from;

    while (forms[format].plain != plain ||
           forms[format].window_bits > window_bits)
        format++;
    return format;
}

enum wire_format wire_format_deflated(enum wire_format plain,
                                      unsigned window_bits)
{
    return find_form(WIRE_WS_15, plain, window_bits);
}

enum wire_format wire_format_gzip(enum wire_format plain)
{
    return find_form(WIRE_SSE_GZIP, plain, 15);
}

bool wire_format_is_gzip(enum wire_format format)
{
    return format >= WIRE_SSE_GZIP && format < WIRE_WS_15;
}

/* An upper bound of what is inside the frame: JSON writes an octet as six at
 * the most, and some 100 around it. */
static size_t body_bound(const struct message *m, enum wire_format plain)
{
    size_t name = plain == WIRE_WS_NAMED ? CHANNEL_NAME_MAX : 0;

    return plain == WIRE_WS ? m->len : 6 * (m->len + m->type.n + name) + 200;
}

/* What is no longer than a small window cannot refer beyond it, so that it is
 * the same for all. */
static enum wire_format widen(const struct message *m, enum wire_format format)
{
    enum wire_format plain = forms[format].plain;

    if (body_bound(m, plain) > (size_t)1 << forms[format].window_bits)
        return format;
    return wire_format_deflated(plain, 15);
}

static struct wire *frame_deflated(const struct message *m,
                                   enum wire_format plain, struct str body,
                                   struct str deflated)
{
    unsigned first = first_octet(m, plain);

    deflated.n -= DEFLATE_TAIL.n;
    if (deflated.n < body.n)
        return frame_message(m, plain, first | WS_RSV1, deflated);
    return frame_message(m, plain, first, body);
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
    else if (wire_format_is_gzip(format))
        w = frame_chunk(buffer_str(&b));
    else
        w = frame_deflated(m, forms[format].plain, body, buffer_str(&b));
    if (w != NULL && wire_format_is_gzip(format))
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
    const struct wire *w;
    struct wire *made;

    pthread_mutex_lock(lock);
    w = find(m, format);
    if (w == NULL) {
        made = encode_packed(m, format, level);
        w = made == NULL ? NULL : keep(m, format, made);
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
    w = find(m, format);
    return w != NULL ? w : make_packed(m, format, how->level);
}

const struct wire *message_wire(struct message *m, enum wire_format format)
{
    static const struct deflate_settings usual = {.on = true, .level = 6};

    return message_wire_packed(m, format, &usual);
}
