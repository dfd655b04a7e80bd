/* wire_parse.c - how many messages a second one core takes through each
 * codec.  Prints CSV:
 *
 *   codec,payload_bytes,messages_per_s_min,messages_per_s_median,
 *   messages_per_s_max,mb_per_s_median
 *
 * of five runs each; MB are of wire bytes.  Reads are of 64 KiB, as from a
 * socket. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "wire/envelope.h"
#include "wire/json.h"
#include "wire/ndjson.h"
#include "wire/sse.h"
#include "wire/websocket.h"

#define RUNS         5
#define STREAM_BYTES ((size_t)8 << 20)
#define READ_BYTES   ((size_t)65536)

static size_t delivered; /* messages of the current run */

static int on_sse(void *arg, const struct sse_event *e)
{
    delivered++;
    return 0;
}

static int on_ndjson(void *arg, struct str value)
{
    delivered++;
    return 0;
}

static void on_bad(void *arg, const char *why, struct str line)
{
    fprintf(stderr, "bad NDJSON: %s\n", why);
    exit(1);
}

static int on_frame(void *arg, enum ws_opcode opcode, struct str data)
{
    delivered++;
    return 0;
}

static const struct sse_parser_ops sse_ops = {.event = on_sse};
static const struct ndjson_parser_ops ndjson_ops = {on_ndjson, on_bad, NULL};
static const struct ws_parser_ops ws_ops = {on_frame, on_frame};

/* A codec's input for one payload, and the work on a whole stream of it. */
struct codec {
    const char *name;
    void (*fill)(struct buffer *out, struct str payload);
    void (*work)(struct buffer *stream, struct str payload);
};

static void fill_sse(struct buffer *out, struct str payload)
{
    sse_encode(out, STR("1a2b3c4d-1234567"), STR("trade"), payload);
}

static void fill_sse_crlf(struct buffer *out, struct str payload)
{
    buffer_printf(out, "id:1a2b3c4d-1234567\r\nevent:trade\r\ndata:");
    buffer_append_str(out, payload);
    buffer_append_str(out, STR("\r\n\r\n"));
}

static void fill_ndjson(struct buffer *out, struct str payload)
{
    buffer_append_str(out, payload);
    buffer_append_byte(out, '\n');
}

static void fill_ws(struct buffer *out, struct str payload)
{
    static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    uint8_t head[WS_HEAD_MAX];
    size_t n = ws_frame_head(head, WS_TEXT, payload.n, mask);

    buffer_append(out, head, n);
    buffer_append_str(out, payload);
    ws_mask(out->data + out->len - payload.n, payload.n, mask, 0);
}

static size_t piece(const struct buffer *b, size_t at)
{
    return b->len - at < READ_BYTES ? b->len - at : READ_BYTES;
}

static void parse_sse(struct buffer *b, struct str payload)
{
    struct sse_parser p;

    sse_parser_init(&p, &sse_ops, NULL, 1 << 20);
    for (size_t at = 0; at < b->len; at += READ_BYTES)
        sse_parser_feed(&p, b->data + at, piece(b, at));
    sse_parser_fini(&p);
}

static void parse_ndjson(struct buffer *b, struct str payload)
{
    struct ndjson_parser p;

    ndjson_parser_init(&p, &ndjson_ops, NULL, 1 << 20);
    for (size_t at = 0; at < b->len; at += READ_BYTES)
        ndjson_parser_feed(&p, b->data + at, piece(b, at));
    ndjson_parser_fini(&p);
}

/* Unmasks in place: the stream is copied first, as a read would. */
static void parse_ws(struct buffer *b, struct str payload)
{
    static char read[READ_BYTES];
    struct ws_parser p;

    ws_parser_init(&p, &ws_ops, NULL, WS_SERVER, 1 << 20);
    for (size_t at = 0; at < b->len; at += READ_BYTES) {
        memcpy(read, b->data + at, piece(b, at));
        ws_parser_feed(&p, read, piece(b, at));
    }
    if (p.fail_code != 0)
        exit(1);
    ws_parser_fini(&p);
}

static void encode_sse(struct buffer *b, struct str payload)
{
    size_t len = b->len;

    for (b->len = 0; b->len < len; delivered++)
        fill_sse(b, payload);
}

static void encode_envelope(struct buffer *b, struct str payload)
{
    size_t len = b->len;

    for (b->len = 0; b->len < len; delivered++)
        envelope_encode(b, STR_NONE, STR("1a2b3c4d-1234567"), STR("trade"),
                        envelope_kind_of(STR("application/json"), payload),
                        payload, 1767323045678);
}

static void encode_string(struct buffer *b, struct str payload)
{
    size_t len = b->len;

    for (b->len = 0; b->len < len; delivered++)
        json_append_string(b, payload);
}

static void encode_ws(struct buffer *b, struct str payload)
{
    size_t len = b->len;

    for (b->len = 0; b->len < len; delivered++)
        ws_encode(b, WS_TEXT, payload);
}

static const struct codec codecs[] = {
    {"sse_parse", fill_sse, parse_sse},
    {"sse_parse_crlf", fill_sse_crlf, parse_sse},
    {"ndjson_parse", fill_ndjson, parse_ndjson},
    {"websocket_parse", fill_ws, parse_ws},
    {"sse_encode", fill_sse, encode_sse},
    {"envelope_encode", fill_ndjson, encode_envelope},
    {"json_string_encode", fill_ndjson, encode_string},
    {"websocket_encode", fill_ndjson, encode_ws},
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure(const struct codec *codec, struct str payload)
{
    double per_s[RUNS], mb_per_message = 0;
    struct buffer stream = {0};

    while (stream.len < STREAM_BYTES)
        codec->fill(&stream, payload);
    for (int run = 0; run < RUNS; run++) {
        uint64_t start_us = clock_now_us();

        delivered = 0;
        codec->work(&stream, payload);
        per_s[run] =
            (double)delivered * 1e6 / (double)(clock_now_us() - start_us);
        mb_per_message = (double)stream.len / 1e6 / (double)delivered;
    }
    if (stream.failed)
        exit(1);
    qsort(per_s, RUNS, sizeof(*per_s), by_value);
    printf("%s,%zu,%.0f,%.0f,%.0f,%.0f\n", codec->name, payload.n, per_s[0],
           per_s[RUNS / 2], per_s[RUNS - 1], per_s[RUNS / 2] * mb_per_message);
    buffer_fini(&stream);
}

/* A quote as an exchange sends it, with a text of n octets. */
static void make_payload(struct buffer *out, size_t n)
{
    buffer_append_str(out, STR("{\"e\":\"trade\",\"t\":4611686018427387905,"
                               "\"p\":\"0.00120000\",\"m\":true,\"x\":\""));
    for (size_t i = 0; i < n; i++)
        buffer_append_byte(out, (char)('a' + i % 26));
    buffer_append_str(out, STR("\"}"));
}

int main(void)
{
    static const size_t sizes[] = {36, 936, 16296};

    puts("codec,payload_bytes,messages_per_s_min,messages_per_s_median,"
         "messages_per_s_max,mb_per_s_median");
    for (size_t i = 0; i < sizeof(codecs) / sizeof(*codecs); i++)
        for (size_t j = 0; j < sizeof(sizes) / sizeof(*sizes); j++) {
            struct buffer payload = {0};

            make_payload(&payload, sizes[j]);
            measure(&codecs[i], buffer_str(&payload));
            buffer_fini(&payload);
        }
    return 0;
}
