#include "feed/socket.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "wire/extension.h"

void socket_offer(struct socket *s, bool deflate, struct buffer *out)
{
    uint8_t octets[16] = {0};

    RAND_bytes(octets, sizeof(octets));
    EVP_EncodeBlock((unsigned char *)s->key, octets, sizeof(octets));
    s->deflate = deflate;
    buffer_printf(out,
                  "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n"
                  "%s%s%s%s\r\n",
                  s->key,
                  s->protocol == NULL ? "" : "Sec-WebSocket-Protocol: ",
                  s->protocol == NULL ? "" : s->protocol,
                  s->protocol == NULL ? "" : "\r\n",
                  deflate ? "Sec-WebSocket-Extensions: " EXTENSION_OFFER "\r\n"
                          : "");
}

/* Whether what the backend chose was offered, and can be kept (RFC 7692 5). */
static bool take_extension(struct socket *s, const struct headers *headers)
{
    static const char name[] = "Sec-WebSocket-Extensions";
    struct deflate_terms terms = {0};
    bool offered = s->deflate;

    s->deflate = false;
    if (headers_get(headers, name).p == NULL)
        return true;
    if (!offered || headers_get_only(headers, name).p == NULL ||
        extension_accept(&terms, headers_get(headers, name)) < 0)
        return false;
    s->deflate = terms.agreed;
    return true;
}

/* A server may choose none of what was offered (RFC 6455 4.2.2). */
static bool protocol_offered(const struct socket *s,
                             const struct headers *headers)
{
    static const char name[] = "Sec-WebSocket-Protocol";
    struct str chosen = headers_get(headers, name);

    return chosen.p == NULL ||
           (s->protocol != NULL && str_eq(chosen, str_of(s->protocol)) &&
            headers_get_only(headers, name).p != NULL);
}

const char *socket_judge(struct socket *s, const struct http_message *m)
{
    struct str accept = headers_get_only(&m->headers, "Sec-WebSocket-Accept");
    struct str upgrade = headers_get_only(&m->headers, "Upgrade");
    char want[WS_ACCEPT_LEN + 1];

    if (m->status != 101)
        return "the backend refused the upgrade";
    if (!str_eq_nocase(upgrade, STR("websocket")) ||
        !headers_list_has(&m->headers, "Connection", "upgrade"))
        return "the backend did not upgrade to websocket";
    ws_accept(str_of(s->key), want);
    if (!str_eq(accept, str_of(want)))
        return "the backend's handshake has a wrong Sec-WebSocket-Accept";
    if (!take_extension(s, &m->headers) ||
        !protocol_offered(s, &m->headers))
        return "the backend chose what was not offered";
    return NULL;
}

void socket_frame(struct buffer *out, enum ws_opcode opcode,
                  struct str payload)
{
    uint8_t head[WS_HEAD_MAX], mask[4] = {0};
    size_t start = out->len, at;

    RAND_bytes(mask, sizeof(mask));
    buffer_append(out, head, ws_frame_head(head, opcode, payload.n, mask));
    at = out->len;
    buffer_append_str(out, payload);
    if (out->failed)
        out->len = start; /* half a frame would spoil all behind it */
    else
        ws_mask(out->data + at, payload.n, mask, 0);
}

int socket_send(struct client *c, enum ws_opcode opcode, struct str payload)
{
    struct buffer frame = {0};
    int rc = -ENOMEM;

    socket_frame(&frame, opcode, payload);
    if (!frame.failed) {
        client_send(c, frame.data, frame.len);
        rc = 0;
    }
    buffer_fini(&frame);
    return rc;
}

void socket_send_close(struct client *c, unsigned code)
{
    const char body[2] = {(char)(code >> 8), (char)code};

    socket_send(c, WS_CLOSE, code == WS_NO_CODE ? STR("")
                                                : (struct str){body, 2});
}
