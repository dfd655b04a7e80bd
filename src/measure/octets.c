#include "measure/octets.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/tally.h"
#include "feed/batch.h"
#include "http/answer_head.h"
#include "http/date.h"
#include "hub/encoding.h"
#include "wire/gzip.h"
#include "wire/sse.h"
#include "wire/websocket.h"

/* What is longer is measured at this length and half of it; what follows grows
 * as it did in between. */
#define SAMPLE_BYTES 65536

/* Of longer ones compression leaves of what is around the data about as much as
 * of the data; shorter ones are compressed and measured. */
#define PACKED_SAMPLE_MAX 4096

/* Ids of one length are alike, but not to compression: eight different characters,
 * as most have. */
#define EPOCH 0x53c1e9a27dull
#define WALL_MS 1800000000000

/* What penstock.js asks a long poll to wait. */
#define WAIT_TEXT "&wait=25"

static const struct str type_names[] = {
    [ENVELOPE_TEXT] = {"text/plain", 10},
    [ENVELOPE_JSON] = {"application/json", 16},
    [ENVELOPE_BINARY] = {"application/octet-stream", 24},
};

/* ---- messages ------------------------------------------------------------ */

/* As a route has it unless told. */
static const struct deflate_settings usual_compress = {
    .on = true, .level = 6, .min_bytes = 256};

static double deflated_length(struct str data)
{
    struct buffer b = {0};
    double n;

    deflate_append(&b, data, DEFLATE_BITS_MAX, usual_compress.level);
    n = b.failed ? NAN : (double)b.len - (double)DEFLATE_TAIL.n;
    buffer_fini(&b);
    return n;
}

/* So many characters that nobody could guess, and one again and again. */
static void mix_text(char *out, size_t size, size_t chance, uint64_t seed)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrst"
                              "uvwxyz0123456789-_";
    uint32_t state = (uint32_t)seed;

    for (size_t i = 0; i < size; i++) {
        state = state * 1664525 + 1013904223;
        out[i] = i < chance ? set[state >> 26] : 'x';
    }
}

/* Text of that length, of which compression leaves that share, or as near as
 * text comes to it. */
static void fill_packed(char *out, size_t size, double packed, uint64_t seed)
{
    size_t low = 0, high = size;

    while (low < high) {
        size_t chance = (low + high + 1) / 2;

        mix_text(out, size, chance, seed);
        if (deflated_length((struct str){out, size}) <= packed * (double)size)
            low = chance;
        else
            high = chance - 1;
    }
    mix_text(out, size, low, seed);
}

static bool is_packed_sample(const struct octets_terms *t)
{
    return t->packed < 1 && t->size_bytes <= PACKED_SAMPLE_MAX;
}

/* Digits are a JSON value as well as text. */
static void fill(char *out, const struct octets_terms *t, size_t size)
{
    bool json = t->kind == ENVELOPE_JSON;

    memset(out, t->kind == ENVELOPE_TEXT ? 'x' : '1', size);
    if (!is_packed_sample(t) || size < 3)
        return;
    fill_packed(out, size, t->packed, t->seq);
    if (json)
        out[0] = out[size - 1] = '"';
}

/* One of that length. */
static struct message *sample(const struct octets_terms *t, size_t size)
{
    struct message_parts parts = {.content_type = type_names[t->kind]};
    struct message *m;
    char *data = malloc(size + 1);

    if (data == NULL)
        return NULL;
    fill(data, t, size);
    parts.data = (struct str){data, size};
    m = message_new(&parts);
    free(data);
    if (m == NULL)
        return NULL;
    m->epoch = EPOCH;
    m->seq = t->seq;
    m->time_ms = WALL_MS;
    return m;
}

/* Octets of a message of that length; not a number when out of memory, and so
 * is all that is reckoned with it. */
static double length_at(const struct octets_terms *t, enum wire_format format,
                        size_t size, bool framed)
{
    struct message *m = sample(t, size);
    const struct wire *w = m == NULL ? NULL : message_wire(m, format);
    double length = w == NULL ? NAN : (double)wire_str(w, framed).n;

    message_unref(&m);
    return length;
}

static double length_of(const struct octets_terms *t, enum wire_format format,
                        bool framed)
{
    size_t size = t->size_bytes < SAMPLE_BYTES ? (size_t)(t->size_bytes + 0.5)
                                               : SAMPLE_BYTES;
    double whole = length_at(t, format, size, framed), half;

    if (t->size_bytes < SAMPLE_BYTES)
        return whole;
    half = length_at(t, format, SAMPLE_BYTES / 2, framed);
    return whole + (whole - half) / (SAMPLE_BYTES / 2) *
                       (t->size_bytes - SAMPLE_BYTES);
}

static enum wire_format packed_format(enum wire_format plain)
{
    return plain == WIRE_SSE ? wire_format_gzip(plain)
                             : wire_format_deflated(plain, DEFLATE_BITS_MAX);
}

/* A follower's message as it goes out. */
static double packed_length(const struct octets_terms *t,
                            enum wire_format format, bool framed)
{
    struct message *m;
    const struct wire *w;
    double length;

    if (!is_packed_sample(t))
        return length_of(t, format, framed) * t->packed;
    m = sample(t, (size_t)(t->size_bytes + 0.5));
    w = m == NULL ? NULL
                  : message_wire_packed(m, packed_format(format),
                                        &usual_compress);
    length = w == NULL ? NAN : (double)wire_str(w, framed).n;
    message_unref(&m);
    return length;
}

static struct str id_of(const struct octets_terms *t, char out[ID_MAX])
{
    return (struct str){out, id_format(out, EPOCH, t->seq)};
}

/* ---- heads --------------------------------------------------------------- */

static void add_etag(struct answer_headers *a, struct batch_fields *scratch,
                     const struct octets_terms *t)
{
    char id[ID_MAX];

    id_of(t, id);
    batch_fields(a, scratch, id, false, t->packed < 1);
}

static void add_vary(struct answer_headers *a, const struct octets_terms *t)
{
    struct reader_settings s = {.compress.on = t->packed < 1};

    feed_add_vary(a, &s);
}

static void add_content(struct answer_headers *a, const struct octets_terms *t,
                        struct str type)
{
    answer_add(a, "Content-Type", type);
    if (t->packed < 1)
        answer_add(a, "Content-Encoding", STR("gzip"));
}

/* A head and a body of length octets. */
static double answer_length(const struct answer_headers *a, unsigned status,
                            double length)
{
    struct exchange x = {.keep_alive = true};
    bool has_body = status == 200 || status == 201;
    struct buffer head = {0};
    double n;

    if (isnan(length))
        return NAN;
    answer_head_write(&head, &x, status, &a->headers,
                      has_body ? BODY_LENGTH : BODY_NONE, (uint64_t)length);
    n = head.failed ? NAN : (double)head.len + (has_body ? length : 0);
    buffer_fini(&head);
    return n;
}

static double stream_head_length(const struct answer_headers *a)
{
    struct exchange x = {.keep_alive = true};
    struct buffer head = {0};
    double n;

    answer_head_write(&head, &x, 200, &a->headers, BODY_STREAM, 0);
    n = head.failed ? NAN : (double)head.len;
    buffer_fini(&head);
    return n;
}

/* ---- polls --------------------------------------------------------------- */

static double request_length(const struct octets_terms *t, const char *fields,
                             bool cursor)
{
    char id[ID_MAX];

    return t->request_bytes + (double)strlen(fields) +
           (cursor ? (double)(strlen("?since=") + id_of(t, id).n) : 0);
}

/* {"messages":[…],"next":"ID"} with elements of that many octets in it. */
static double batch_length(const struct octets_terms *t, double elements)
{
    struct buffer b = {0};
    char id[ID_MAX];
    double n;

    envelope_batch_head(&b, false);
    envelope_batch_tail(&b, id_of(t, id));
    n = b.failed ? NAN : (double)b.len + elements;
    buffer_fini(&b);
    return n;
}

static double gzip_length(struct str body)
{
    struct buffer b = {0};
    double n;

    gzip_append(&b, body, usual_compress.level);
    n = b.failed ? NAN : (double)b.len;
    buffer_fini(&b);
    return n;
}

/* The same with so many messages, compressed; their data is as unlike as that
 * of strangers. */
static double packed_batch_length(const struct octets_terms *t, unsigned count)
{
    struct octets_terms alike = *t;
    struct buffer b = {0};
    char id[ID_MAX];
    double n = NAN;

    envelope_batch_head(&b, false);
    for (unsigned i = 0; i < count; i++) {
        struct message *m = sample(&alike, (size_t)(t->size_bytes + 0.5));
        const struct wire *w = m == NULL ? NULL : message_wire(m, WIRE_JSON);

        alike.seq++;
        if (i > 0)
            buffer_append_byte(&b, ',');
        if (w == NULL)
            b.failed = true;
        else
            buffer_append_str(&b, wire_str(w, false));
        message_unref(&m);
    }
    envelope_batch_tail(&b, id_of(t, id));
    if (!b.failed)
        n = b.len < usual_compress.min_bytes ? (double)b.len
                                             : gzip_length(buffer_str(&b));
    buffer_fini(&b);
    return n;
}

/* Of that many messages. */
static double batch_body(const struct octets_terms *t, unsigned count)
{
    double element;

    if (is_packed_sample(t))
        return packed_batch_length(t, count);
    element = length_of(t, WIRE_JSON, false) * t->packed;
    return batch_length(t, count * element + (count > 1 ? count - 1 : 0));
}

static double batch_answer(const struct octets_terms *t, unsigned count)
{
    double body = batch_body(t, count), plain = body;
    struct answer_headers a;
    struct batch_fields scratch;
    struct octets_terms as_it_is = *t;

    if (is_packed_sample(t)) { /* too small: as it is */
        as_it_is.packed = 1;
        plain = batch_body(&as_it_is, count);
    }
    answer_init(&a);
    answer_add(&a, "Cache-Control", STR("no-store"));
    add_vary(&a, t);
    add_etag(&a, &scratch, t);
    add_content(&a, plain == body ? &as_it_is : t, STR("application/json"));
    return answer_length(&a, 200, body);
}

static double empty_answer(const struct octets_terms *t)
{
    struct answer_headers a;
    struct batch_fields scratch;

    answer_init(&a);
    answer_add(&a, "Cache-Control", STR("no-store"));
    add_vary(&a, t);
    add_etag(&a, &scratch, t);
    return answer_length(&a, 204, 0);
}

static void of_longpoll(struct octets *o, const struct octets_terms *t)
{
    o->request = request_length(t, "Accept: application/json\r\n" WAIT_TEXT,
                                true);
    o->answer = batch_answer(t, 1);
    o->more = batch_body(t, 2) - batch_body(t, 1);
    o->empty = empty_answer(t);
}

static void of_poll_after(struct octets *o, const struct octets_terms *t)
{
    of_longpoll(o, t);
    o->request -= (double)strlen(WAIT_TEXT);
    o->empty = batch_answer(t, 0);
}

/* Its data alone, compressed. */
static double packed_data_length(const struct octets_terms *t)
{
    struct message *m;
    double n;

    if (!is_packed_sample(t))
        return t->size_bytes * t->packed;
    m = sample(t, (size_t)(t->size_bytes + 0.5));
    n = m == NULL ? NAN : gzip_length(message_data(m));
    message_unref(&m);
    return n;
}

static double newest_answer(const struct octets_terms *t, unsigned status)
{
    char modified[HTTP_DATE_LEN + 1], cache[32] = "no-cache";
    struct octets_terms as_it_is = *t;
    bool packed = t->packed < 1 &&
                  t->size_bytes >= (double)usual_compress.min_bytes;
    struct answer_headers a;
    struct batch_fields scratch;

    as_it_is.packed = 1;
    http_date(modified, WALL_MS);
    if (t->cache_s > 0)
        snprintf(cache, sizeof(cache), "max-age=%llu",
                 (unsigned long long)t->cache_s);
    answer_init(&a);
    add_etag(&a, &scratch, t);
    answer_add(&a, "Last-Modified", str_of(modified));
    answer_add(&a, "Cache-Control", str_of(cache));
    add_vary(&a, t);
    if (status == 200)
        add_content(&a, packed ? t : &as_it_is, type_names[t->kind]);
    return answer_length(&a, status, packed ? packed_data_length(t)
                                            : t->size_bytes);
}

static void of_poll_newest(struct octets *o, const struct octets_terms *t)
{
    char id[ID_MAX];

    o->request = request_length(t, "Accept: */*\r\nIf-None-Match: \"\"\r\n",
                                false) +
                 (double)id_of(t, id).n;
    o->answer = newest_answer(t, 200);
    o->more = 0; /* passed over */
    o->empty = newest_answer(t, 304);
}

static void of_poll(struct octets *o, const struct octets_terms *t)
{
    if (t->newest)
        of_poll_newest(o, t);
    else
        of_poll_after(o, t);
}

/* ---- streams ------------------------------------------------------------- */

/* In a chunk of its own. */
static double chunk_length(double n)
{
    char size[32];

    return snprintf(size, sizeof(size), "%zx\r\n", (size_t)n) + n + 2;
}

/* Its head, and the greeting behind it. */
static double sse_greeting(const struct octets_terms *t)
{
    bool packed = t->packed < 1;
    struct answer_headers a;
    char id[ID_MAX], text[128];
    int n;

    answer_init(&a);
    answer_add(&a, "Content-Type", STR("text/event-stream"));
    answer_add(&a, "Cache-Control", STR("no-store, no-transform"));
    answer_add(&a, "X-Accel-Buffering", STR("no"));
    answer_add(&a, "Incremental", STR("?1"));
    answer_add(&a, "Vary", packed ? STR("Accept, Accept-Encoding")
                                  : STR("Accept"));
    if (packed)
        answer_add(&a, "Content-Encoding", STR("gzip"));
    id_of(t, id);
    n = snprintf(text, sizeof(text), ":\nretry: 2000\nid: %s\n\n", id);
    return stream_head_length(&a) + chunk_length(n);
}

static void of_sse(struct octets *o, const struct octets_terms *t)
{
    o->setup_in = request_length(t, "Accept: text/event-stream\r\n", true);
    o->setup_out = sse_greeting(t);
    o->message = packed_length(t, WIRE_SSE, true);
    o->beat_out = chunk_length(3 + (t->packed < 1 ? 5 : 0));
}

static double upgrade_length(const struct octets_terms *t)
{
    struct exchange x = {.keep_alive = true};
    char accept[WS_ACCEPT_LEN + 1];
    struct answer_headers a;
    struct buffer head = {0};
    double n;

    ws_accept(STR("AAAAAAAAAAAAAAAAAAAAAA=="), accept);
    answer_init(&a);
    answer_add(&a, "Upgrade", STR("websocket"));
    answer_add(&a, "Sec-WebSocket-Accept", str_of(accept));
    if (!t->raw)
        answer_add(&a, "Sec-WebSocket-Protocol", STR("penstock.v1"));
    answer_head_write_upgrade(&head, &x, &a.headers);
    n = head.failed ? NAN : (double)head.len;
    buffer_fini(&head);
    return n;
}

#define WS_FIELDS                                                              \
    "Connection: Upgrade\r\nUpgrade: websocket\r\n"                            \
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"                          \
    "Sec-WebSocket-Version: 13\r\n"

static double frame_length(double n, bool masked)
{
    static const uint8_t mask[4];
    uint8_t head[WS_HEAD_MAX];

    return (double)ws_frame_head(head, WS_TEXT, (uint64_t)n,
                                 masked ? mask : NULL) + n;
}

static void of_websocket(struct octets *o, const struct octets_terms *t)
{
    o->setup_in = request_length(t,
                                 t->raw ? WS_FIELDS
                                        : WS_FIELDS "Sec-WebSocket-Protocol: "
                                                    "penstock.v1\r\n", true);
    o->setup_out = upgrade_length(t);
    o->message = packed_length(t, t->raw ? WIRE_WS : WIRE_WS_ENVELOPE, false);
    o->beat_out = frame_length(0, false);
    o->beat_in = frame_length(0, true);
    o->send_in = frame_length(t->send_bytes, true);
}

/* ---- what clients say ---------------------------------------------------- */

/* By POST, where the transport is one-way; its answer is a receipt. */
static void of_post(struct octets *o, const struct octets_terms *t)
{
    char id[ID_MAX], text[96];
    struct answer_headers a;
    int n;

    id_of(t, id);
    n = snprintf(text, sizeof(text), "{\"id\":\"%s\",\"readers\":100}\n", id);
    answer_init(&a);
    answer_add(&a, "Content-Type", STR("application/json"));
    o->send_in = t->request_bytes + t->send_bytes +
                 (double)strlen("Content-Length: 100\r\n"
                                "Content-Type: application/json\r\n");
    o->send_out = answer_length(&a, 201, n);
}

static bool is_whole(const struct octets *o)
{
    return isfinite(o->setup_out + o->message + o->answer + o->more +
                    o->empty + o->send_out);
}

int octets_of(struct octets *out, unsigned part,
              const struct octets_terms *terms)
{
    *out = (struct octets){0};
    of_post(out, terms);
    switch (part) {
    case TALLY_POLL:
        of_poll(out, terms);
        break;
    case TALLY_LONGPOLL:
        of_longpoll(out, terms);
        break;
    case TALLY_SSE:
        of_sse(out, terms);
        break;
    default:
        out->send_out = 0;
        of_websocket(out, terms);
        break;
    }
    return is_whole(out) ? 0 : -ENOMEM;
}
