#include "feed/handshake.h"

#include "http/exchange.h"
#include "wire/websocket.h"

#define SUBPROTOCOL "penstock.v1"

static bool refuse_handshake(struct exchange *x)
{
    const struct http_message *m = x->request;
    struct str version = headers_get_only(&m->headers,
                                          "Sec-WebSocket-Version");
    struct str key = headers_get_only(&m->headers, "Sec-WebSocket-Key");
    struct answer_headers a;

    answer_init(&a);
    answer_add(&a, "Sec-WebSocket-Version", STR("13"));
    if (!str_eq(m->method, STR("GET")) || m->minor < 1 || !m->upgrade) {
        answer_add(&a, "Upgrade", STR("websocket"));
        exchange_problem(x, 400, &a.headers,
                         "a WebSocket handshake is a GET over HTTP/1.1 with "
                         "Connection: Upgrade");
    } else if (!str_eq(version, STR("13"))) {
        answer_add(&a, "Upgrade", STR("websocket"));
        exchange_problem(x, 426, &a.headers,
                         "this server speaks WebSocket version 13 only");
    } else if (!ws_key_ok(key)) {
        exchange_problem(x, 400, NULL,
                         "a WebSocket handshake needs one Sec-WebSocket-Key of "
                         "16 octets in base64");
    } else {
        return false;
    }
    return true;
}

/* Browsers let any page open a WebSocket anywhere, cookies and all (10.2): so
 * only pages of the same host may, unless the route names others. */
static bool origin_allowed(const struct exchange *x, char *const *allowed)
{
    const struct headers *headers = &x->request->headers;
    struct str origin = headers_get_only(headers, "Origin"), scheme, host;

    if (origin.p == NULL) /* no browser, or nobody honest */
        return headers_get(headers, "Origin").p == NULL;
    for (; allowed != NULL && *allowed != NULL; allowed++)
        if (str_eq(str_of(*allowed), STR("*")) ||
            str_eq_nocase(str_of(*allowed), origin))
            return true;
    host = str_split(origin, ':', &scheme);
    if (host.n < 2 || !str_starts(host, STR("//")))
        return false; /* "null" among others */
    return str_eq_nocase((struct str){host.p + 2, host.n - 2},
                         x->request->authority);
}

/* False: the handshake is refused (RFC 6455 9.1). */
static bool choose_extension(struct exchange *x, bool compress,
                             struct deflate_terms *terms)
{
    struct str offers;
    unsigned at = 0;

    while (headers_next(&x->request->headers, "Sec-WebSocket-Extensions", &at,
                        &offers))
        if (extension_choose(terms, offers) < 0) {
            exchange_problem(x, 400, NULL,
                             "Sec-WebSocket-Extensions is not a list of "
                             "extensions");
            return false;
        }
    terms->agreed &= compress;
    return true;
}

bool handshake_read(struct handshake *h, struct exchange *x,
                    const struct reader_settings *settings)
{
    *h = (struct handshake){.terms = {0}};
    if (refuse_handshake(x) ||
        !choose_extension(x, settings->compress.on, &h->terms))
        return false;
    if (!origin_allowed(x, settings->origins)) {
        exchange_problem(x, 403, NULL,
                         "this Origin may not open a WebSocket here: name it "
                         "in the route's \"origins\"");
        return false;
    }
    h->enveloped = headers_list_has(&x->request->headers,
                                    "Sec-WebSocket-Protocol", SUBPROTOCOL);
    return true;
}

void handshake_accept(const struct handshake *h, struct exchange *x, bool gap)
{
    struct answer_headers a;
    char accept[WS_ACCEPT_LEN + 1], extension[EXTENSION_ANSWER_MAX];

    ws_accept(headers_get(&x->request->headers, "Sec-WebSocket-Key"), accept);
    answer_init(&a);
    answer_add(&a, "Upgrade", STR("websocket"));
    answer_add(&a, "Sec-WebSocket-Accept", str_of(accept));
    if (h->enveloped)
        answer_add(&a, "Sec-WebSocket-Protocol", STR(SUBPROTOCOL));
    if (h->terms.agreed)
        answer_add(&a, "Sec-WebSocket-Extensions",
                   (struct str){extension,
                                extension_answer(&h->terms, extension)});
    if (gap)
        answer_add(&a, "Penstock-Gap", STR("1"));
    exchange_upgrade(x, &a.headers);
}
