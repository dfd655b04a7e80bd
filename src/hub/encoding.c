#include "hub/encoding.h"

#include <stdio.h>
#include <stdlib.h>

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
    w->len = head.n + body.n + tail.n;
    w->head = 0;
    w->tail = 0;
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
        w->head = n;
        w->tail = TAIL_ROOM;
    }
    return w;
}

static struct wire *frame_websocket(enum ws_opcode opcode, struct str body)
{
    uint8_t head[WS_HEAD_MAX];
    size_t n = ws_frame_head(head, opcode, body.n, NULL);

    return new_wire((struct str){(char *)head, n}, body, STR(""));
}

static struct wire *encode(const struct message *m, enum wire_format format)
{
    struct buffer b = {0};
    struct wire *w = NULL;
    char id_bytes[ID_MAX];
    struct str id = {id_bytes, id_format(id_bytes, m->epoch, m->seq)};
    struct str data = message_data(m);

    switch (format) {
    case WIRE_WS:
        return frame_websocket(
            m->kind == ENVELOPE_BINARY ? WS_BINARY : WS_TEXT, data);
    case WIRE_SSE:
        if (m->kind == ENVELOPE_BINARY) {
            struct buffer text = {0};

            base64_append(&text, data);
            if (!text.failed)
                sse_encode(&b, id, m->type, buffer_str(&text));
            b.failed |= text.failed;
            buffer_fini(&text);
        } else {
            sse_encode(&b, id, m->type, data);
        }
        break;
    case WIRE_JSON:
    case WIRE_WS_ENVELOPE:
        envelope_encode(&b, id, m->type, m->kind, data, m->time_ms);
        break;
    case WIRE_N:
        abort();
    }
    if (!b.failed)
        w = format == WIRE_SSE           ? frame_chunk(buffer_str(&b))
            : format == WIRE_WS_ENVELOPE ? frame_websocket(WS_TEXT,
                                                           buffer_str(&b))
                                         : new_wire(STR(""), buffer_str(&b),
                                                    STR(""));
    buffer_fini(&b);
    return w;
}

const struct wire *message_wire(struct message *m, enum wire_format format)
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
