#include "wire/websocket.h"

#include <errno.h>
#include <openssl/evp.h>

#include "wire/deflate.h"

/* The first two octets of a frame (RFC 6455 5.2). */
enum {
    FIN = WS_FIN,
    RSV = 0x70,
    OPCODE = 0x0f,
    MASKED = 0x80,
    LENGTH = 0x7f,
    LENGTH_16 = 126,
    LENGTH_64 = 127,
    CONTROL = 0x08, /* in an opcode */
    CONTROL_MAX = 125,
};

static size_t least(uint64_t a, size_t b)
{
    return a < b ? (size_t)a : b;
}

void ws_parser_init(struct ws_parser *p, const struct ws_parser_ops *ops,
                    void *arg, enum ws_role role, size_t limit_bytes)
{
    *p = (struct ws_parser){
        .ops = ops,
        .arg = arg,
        .role = role,
        .limit_bytes = limit_bytes,
        .fragment_limit = WS_FRAGMENTS_MAX,
    };
}

void ws_parser_fini(struct ws_parser *p)
{
    buffer_fini(&p->message);
    inflater_free(&p->inflater);
}

bool ws_parser_idle(const struct ws_parser *p)
{
    return !p->in_frame && p->head_len == 0 && p->message_opcode == 0;
}

static int fail(struct ws_parser *p, enum ws_close_code code,
                const char *reason)
{
    p->fail_code = (uint16_t)code;
    p->fail_reason = reason;
    ws_parser_fini(p);
    return -EPROTO;
}

static int wrong(struct ws_parser *p, const char *reason)
{
    return fail(p, WS_PROTOCOL_ERROR, reason);
}

/* RFC 7692 6: RSV1 says of a whole message that it is deflated. */
static unsigned reserved_bits(const struct ws_parser *p)
{
    unsigned opcode = p->head[0] & OPCODE;

    if (p->deflate && (opcode == WS_TEXT || opcode == WS_BINARY))
        return RSV & ~WS_RSV1;
    return RSV;
}

/* FIN, RSV and opcode. */
static int check_first(struct ws_parser *p)
{
    bool fin = (p->head[0] & FIN) != 0;
    unsigned opcode = p->head[0] & OPCODE;

    if ((p->head[0] & reserved_bits(p)) != 0)
        return wrong(p, "reserved bit set");
    if (opcode > WS_PONG || (opcode > WS_BINARY && opcode < WS_CLOSE))
        return wrong(p, "reserved opcode");
    if ((opcode & CONTROL) != 0)
        return fin ? 0 : wrong(p, "fragmented control frame");
    if (opcode == WS_CONTINUATION && p->message_opcode == 0)
        return wrong(p, "continuation of nothing");
    if (opcode != WS_CONTINUATION && p->message_opcode != 0)
        return wrong(p, "new message inside a message");
    if (p->fragments >= p->fragment_limit)
        return fail(p, WS_POLICY, "too many fragments");
    return 0;
}

/* MASK and the short length. */
static int check_second(struct ws_parser *p)
{
    bool masked = (p->head[1] & MASKED) != 0;

    if (masked != (p->role == WS_SERVER))
        return wrong(p, masked ? "masked frame from the server"
                               : "frame without a mask");
    if ((p->head[0] & CONTROL) != 0 && (p->head[1] & LENGTH) > CONTROL_MAX)
        return wrong(p, "control frame over 125 octets");
    return 0;
}

static size_t length_width(uint8_t second)
{
    unsigned length = second & LENGTH;

    return length == LENGTH_16 ? 2 : length == LENGTH_64 ? 8 : 0;
}

/* What the next frame of a message may hold.  Deflated, none that is honest
 * grows by more than an eighth, and one without end that inflates to nothing
 * is not wanted either. */
static uint64_t length_left(const struct ws_parser *p)
{
    bool first = (p->head[0] & OPCODE) != WS_CONTINUATION;
    uint64_t limit = p->limit_bytes, used = first ? 0 : p->message.len;

    if (first ? (p->head[0] & WS_RSV1) != 0 : p->deflated) {
        limit += limit / 8 + 1024;
        used = first ? 0 : p->deflated_bytes;
    }
    return used < limit ? limit - used : 0;
}

/* The long length, as far as it is there: each octet is judged as soon as it
 * can be.  Sets payload_left when it is whole. */
static int check_length(struct ws_parser *p)
{
    size_t width = length_width(p->head[1]);
    size_t have = least(p->head_len - 2u, width);
    uint64_t length = width == 0 ? p->head[1] & LENGTH : 0;

    for (size_t i = 0; i < have; i++)
        length = length << 8 | p->head[2 + i];
    if (width == 8 && have > 0 && (p->head[2] & 0x80) != 0)
        return wrong(p, "length with its top bit set");
    if (width == 8 && have >= 6 && length >> 8 * (have - 6) == 0)
        return wrong(p, "length not in its shortest form");
    if (width == 2 && have == 2 && length < LENGTH_16)
        return wrong(p, "length not in its shortest form");
    if (have < width)
        return 0;
    if ((p->head[0] & CONTROL) == 0 && length > length_left(p))
        return fail(p, WS_TOO_BIG, "message over the limit");
    p->payload_left = length;
    return 0;
}

static int check_head(struct ws_parser *p)
{
    int rc = check_first(p);

    if (rc == 0 && p->head_len >= 2)
        rc = check_second(p);
    if (rc == 0 && p->head_len >= 2)
        rc = check_length(p);
    return rc;
}

static size_t head_size(const struct ws_parser *p)
{
    if (p->head_len < 2)
        return 2;
    return 2 + length_width(p->head[1]) + ((p->head[1] & MASKED) != 0 ? 4 : 0);
}

/* The head is whole. */
static void begin_frame(struct ws_parser *p)
{
    p->fin = (p->head[0] & FIN) != 0;
    p->opcode = p->head[0] & OPCODE;
    if ((p->head[1] & MASKED) != 0)
        memcpy(p->mask, p->head + p->head_len - 4, 4);
    p->mask_at = 0;
    p->head_len = 0;
    p->in_frame = true;
    if ((p->opcode & CONTROL) != 0) {
        p->control_len = 0;
        return;
    }
    p->fragments++;
    if (p->opcode != WS_CONTINUATION) {
        p->message_opcode = p->opcode;
        p->utf8_state = 0;
        p->deflated = (p->head[0] & WS_RSV1) != 0;
        p->deflated_bytes = 0;
    }
    p->deflated_bytes += p->payload_left;
}

static int take_head(struct ws_parser *p, const char *data, size_t len,
                     size_t *at)
{
    size_t size;

    while (p->head_len < (size = head_size(p))) {
        size_t n = least(size - p->head_len, len - *at);
        int rc;

        if (n == 0)
            return 0;
        memcpy(p->head + p->head_len, data + *at, n);
        p->head_len = (uint8_t)(p->head_len + n);
        *at += n;
        rc = check_head(p);
        if (rc < 0)
            return rc;
    }
    begin_frame(p);
    return 0;
}

/* Close may hold a code and a reason (5.5.1); nothing counts after it. */
static int check_close(struct ws_parser *p, struct str body)
{
    if (body.n == 1)
        return wrong(p, "close body of one octet");
    if (body.n >= 2) {
        if (!ws_close_code_ok(ws_close_body_code(body)))
            return wrong(p, "close code that is not to be sent");
        if (!str_utf8_valid((struct str){body.p + 2, body.n - 2}))
            return fail(p, WS_BAD_DATA, "close reason is not UTF-8");
    }
    p->closed = true;
    p->message_opcode = 0;
    ws_parser_fini(p);
    return 0;
}

/* piece is unmasked, and payload_left already less by it. */
static int take_control(struct ws_parser *p, struct str piece)
{
    struct str body = piece;

    if (p->control_len > 0 || p->payload_left > 0) {
        memcpy(p->control + p->control_len, piece.p, piece.n);
        p->control_len = (uint8_t)(p->control_len + piece.n);
        body = (struct str){(char *)p->control, p->control_len};
    }
    if (p->payload_left > 0)
        return 0;
    p->in_frame = false;
    if (p->opcode == WS_CLOSE) {
        int rc = check_close(p, body);

        if (rc < 0)
            return rc;
    }
    return p->ops->control(p->arg, p->opcode, body);
}

/* The parser is ready for the next message before the callback, and is not
 * needed after it. */
static int deliver(struct ws_parser *p, struct str data)
{
    struct buffer held = p->message;
    enum ws_opcode opcode = p->message_opcode;
    int rc;

    p->message = (struct buffer){0};
    p->message_opcode = 0;
    p->fragments = 0;
    rc = p->ops->message(p->arg, opcode, data);
    buffer_fini(&held);
    return rc;
}

static int fail_memory(struct ws_parser *p)
{
    fail(p, WS_INTERNAL_ERROR, "out of memory");
    return -ENOMEM;
}

/* What has come of a text message is text, so far. */
static int check_text(struct ws_parser *p, struct str piece, bool last)
{
    if (p->message_opcode != WS_TEXT)
        return 0;
    if (str_utf8_scan(&p->utf8_state, piece) < piece.n)
        return fail(p, WS_BAD_DATA, "text is not UTF-8");
    if (last && p->utf8_state != 0)
        return fail(p, WS_BAD_DATA, "text ends inside a character");
    return 0;
}

/* The inflater is there no longer than it is needed: most of the time a
 * connection has none. */
static int inflate_piece(struct ws_parser *p, struct str piece, bool last)
{
    int rc;

    if (p->inflater == NULL)
        p->inflater = inflater_new();
    if (p->inflater == NULL)
        return -ENOMEM;
    rc = inflater_feed(p->inflater, piece, &p->message, p->limit_bytes);
    if (rc == 0 && last) {
        rc = inflater_finish(p->inflater, &p->message, p->limit_bytes);
        inflater_free(&p->inflater);
    }
    return rc;
}

static struct str behind(struct str s, size_t n)
{
    return s.n == n ? STR("") : (struct str){s.p + n, s.n - n};
}

/* What inflated before an error is text, or that was the first error: so it
 * does not matter how the octets were cut. */
static int take_deflated(struct ws_parser *p, struct str piece, bool last)
{
    size_t before = p->message.len;
    int rc = inflate_piece(p, piece, last);
    int text;

    if (rc == -ENOMEM)
        return fail_memory(p);
    text = check_text(p, behind(buffer_str(&p->message), before),
                      rc == 0 && last);
    if (text < 0)
        return text;
    if (rc == -EMSGSIZE)
        return fail(p, WS_TOO_BIG, "message inflates beyond the limit");
    if (rc < 0)
        return fail(p, WS_BAD_DATA, "message cannot be inflated");
    return last ? deliver(p, buffer_str(&p->message)) : 0;
}

/* As above, for text, binary and their continuations.  A message that lies
 * whole in one piece is delivered from there. */
static int take_data(struct ws_parser *p, struct str piece)
{
    bool last = p->payload_left == 0 && p->fin;
    int rc;

    p->in_frame = p->payload_left > 0;
    if (p->deflated)
        return take_deflated(p, piece, last);
    rc = check_text(p, piece, last);
    if (rc < 0)
        return rc;
    if (last && p->message.len == 0)
        return deliver(p, piece);
    buffer_append_str(&p->message, piece);
    if (p->message.failed)
        return fail_memory(p);
    return last ? deliver(p, buffer_str(&p->message)) : 0;
}

static int take_payload(struct ws_parser *p, char *data, size_t len, size_t *at)
{
    struct str piece = {data + *at, least(p->payload_left, len - *at)};

    if (p->role == WS_SERVER) {
        ws_mask(data + *at, piece.n, p->mask, p->mask_at);
        p->mask_at = (uint8_t)((p->mask_at + piece.n) & 3);
    }
    *at += piece.n;
    p->payload_left -= piece.n;
    if ((p->opcode & CONTROL) != 0)
        return take_control(p, piece);
    return take_data(p, piece);
}

int ws_parser_feed(struct ws_parser *p, char *data, size_t len)
{
    size_t at = 0;

    if (p->fail_code != 0)
        return p->fail_code == WS_INTERNAL_ERROR ? -ENOMEM : -EPROTO;
    while (at < len && !p->closed) {
        int rc = 0;

        if (!p->in_frame)
            rc = take_head(p, data, len, &at);
        if (rc == 0 && p->in_frame)
            rc = take_payload(p, data, len, &at);
        if (rc != 0)
            return rc;
    }
    return 0;
}

unsigned ws_close_body_code(struct str body)
{
    if (body.n < 2)
        return WS_NO_CODE;
    return (unsigned)(unsigned char)body.p[0] << 8 | (unsigned char)body.p[1];
}

bool ws_close_code_ok(unsigned code)
{
    if (code >= 3000)
        return code <= 4999;
    if (code >= WS_BAD_DATA)
        return code <= WS_BAD_GATEWAY;
    return code >= WS_NORMAL && code <= WS_UNSUPPORTED;
}

size_t ws_frame_head(uint8_t out[WS_HEAD_MAX], enum ws_opcode opcode,
                     uint64_t payload_len, const uint8_t mask[4])
{
    size_t width = payload_len > 0xffff ? 8 : payload_len >= LENGTH_16 ? 2 : 0;
    size_t n = 2;

    out[0] = (uint8_t)(FIN | opcode);
    out[1] = (uint8_t)(width == 8   ? LENGTH_64
                       : width == 2 ? LENGTH_16
                                    : payload_len);
    for (size_t i = width; i-- > 0;)
        out[n++] = (uint8_t)(payload_len >> 8 * i);
    if (mask == NULL)
        return n;
    out[1] |= MASKED;
    memcpy(out + n, mask, 4);
    return n + 4;
}

void ws_mask(char *data, size_t len, const uint8_t mask[4], size_t at)
{
    uint8_t turned[8];
    uint64_t key, eight;
    size_t i = 0;

    for (; i < 8; i++)
        turned[i] = mask[(at + i) & 3];
    memcpy(&key, turned, 8);
    for (i = 0; len - i >= 8; i += 8) {
        memcpy(&eight, data + i, 8);
        eight ^= key;
        memcpy(data + i, &eight, 8);
    }
    for (; i < len; i++)
        data[i] = (char)(data[i] ^ turned[i & 7]);
}

void ws_encode(struct buffer *out, enum ws_opcode opcode, struct str payload)
{
    uint8_t head[WS_HEAD_MAX];
    size_t n = ws_frame_head(head, opcode, payload.n, NULL);

    if (buffer_reserve(out, n + payload.n) < 0)
        return;
    buffer_append(out, head, n);
    buffer_append_str(out, payload);
}

/* The front of s that is at most max octets and ends between characters. */
static struct str cut(struct str s, size_t max)
{
    if (s.n <= max)
        return s;
    s.n = max;
    while (s.n > 0 && ((unsigned char)s.p[s.n] & 0xc0) == 0x80)
        s.n--;
    return s;
}

void ws_encode_close(struct buffer *out, enum ws_close_code code,
                     const char *reason)
{
    struct str text = cut(str_of(reason), CONTROL_MAX - 2);
    char body[CONTROL_MAX] = {(char)(code >> 8), (char)(code & 0xff)};

    if (code == WS_NO_CODE) {
        ws_encode(out, WS_CLOSE, STR_NONE);
        return;
    }
    if (text.n > 0)
        memcpy(body + 2, text.p, text.n);
    ws_encode(out, WS_CLOSE, (struct str){body, text.n + 2});
}

#define KEY_LEN 24 /* base64 of 16 octets */

void ws_accept(struct str key, char out[WS_ACCEPT_LEN + 1])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char joined[KEY_LEN + sizeof(guid)], digest[EVP_MAX_MD_SIZE];
    unsigned digest_len;

    out[0] = '\0';
    if (key.n > KEY_LEN)
        return;
    if (key.n > 0)
        memcpy(joined, key.p, key.n);
    memcpy(joined + key.n, guid, sizeof(guid));
    if (EVP_Digest(joined, key.n + sizeof(guid) - 1, digest, &digest_len,
                   EVP_sha1(), NULL) != 1)
        return;
    EVP_EncodeBlock((unsigned char *)out, digest, (int)digest_len);
}

static bool is_base64(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z') || c == '+' || c == '/';
}

bool ws_key_ok(struct str key)
{
    if (key.n != KEY_LEN || memcmp(key.p + KEY_LEN - 2, "==", 2) != 0)
        return false;
    for (size_t i = 0; i < KEY_LEN - 2; i++)
        if (!is_base64(key.p[i]))
            return false;
    return true;
}
