/* Whatever request we let in, what we send for it is read by our own parser as
 * the same message: one head, framed alike, and no field of the client's
 * connection in it. */
#include <stdlib.h>

#include "proxy/fields.h"
#include "proxy/tunnel.h"
#include "../lib/http_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_sent(const struct http_message *m, struct str sent)
{
    const struct head_limits wide = {1 << 20, 1000, 1 << 20};
    static const struct parser_ops ops = {keep_message, ignore_body,
                                          ignore_end};
    const struct http_message *seen = NULL;
    struct parser *p = parser_new(HEAD_REQUEST, &ops, &seen, &wide);
    struct str value;
    unsigned at = 0;

    check(parser_feed(p, sent.p, sent.n) == (ssize_t)sent.n);
    check(seen != NULL && seen->minor == 1);
    check(str_eq(seen->method, m->method) && str_eq(seen->path, m->path));
    check(str_eq(seen->query, m->query));
    check(seen->chunked == m->chunked && seen->has_length == m->has_length);
    check(seen->length == m->length);
    check(m->authority.p == NULL || str_eq(seen->authority, m->authority));
    check(headers_get(&seen->headers, "TE").p == NULL);
    check(headers_next(&seen->headers, "X-Forwarded-For", &at, &value) &&
          !headers_next(&seen->headers, "X-Forwarded-For", &at, &value));
    parser_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct http_message *m;
    struct parser *p = parse_message(
        HEAD_REQUEST, (struct str){(const char *)data, size}, &m);
    struct buffer sent = {0};
    const char *why;

    if (m != NULL && tunnel_refusal(m, &why) == 0) {
        const struct fields_context context = {
            .peer = STR("10.1.2.3"),
            .scheme = STR("http"),
            .server = STR("b:9000"),
            .upgrade = tunnel_protocol(m),
            .expect = m->expect_continue,
        };

        fields_write_request(&sent, m, &context);
        check_sent(m, buffer_str(&sent));
    }
    buffer_fini(&sent);
    parser_free(p);
    return 0;
}
