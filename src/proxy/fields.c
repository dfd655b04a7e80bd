#include "proxy/fields.h"

#include <errno.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* What a request takes as a rule, so that its buffer need not grow. */
#define REQUEST_BYTES 400
#define NAME(literal) {literal, sizeof(literal) - 1}

static bool is_one_of(struct str name, const struct str list[], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq_nocase(name, list[i]))
            return true;
    return false;
}

/* RFC 9110 7.6.1.  Trailer too, since trailers are dropped. */
static bool is_of_connection(struct str name)
{
    static const struct str names[] = {
        NAME("Connection"), NAME("Keep-Alive"), NAME("Proxy-Connection"),
        NAME("TE"),         NAME("Trailer"),    NAME("Transfer-Encoding"),
        NAME("Upgrade"),    NAME("HTTP2-Settings"),
    };

    return is_one_of(name, names, COUNT(names));
}

/* We write these ourselves, from what came and what we know. */
static bool is_ours(struct str name)
{
    static const struct str names[] = {
        NAME("Forwarded"),
        NAME("X-Forwarded-For"),
        NAME("X-Forwarded-Host"),
        NAME("X-Forwarded-Proto"),
    };

    return is_one_of(name, names, COUNT(names));
}

/* Who lists one of these in Connection means to have us hide it. */
static bool is_protected(struct str name)
{
    static const struct str names[] = {
        NAME("Host"),   NAME("Content-Length"), NAME("Date"),
        NAME("Expect"), NAME("Max-Forwards"),   NAME("Via"),
    };

    return is_one_of(name, names, COUNT(names)) || is_ours(name);
}

static bool is_named_by_connection(const struct headers *headers,
                                   struct str name)
{
    struct str list;
    unsigned at = 0;

    while (headers_next(headers, "Connection", &at, &list))
        if (str_list_has(list, name))
            return !is_protected(name);
    return false;
}

static bool goes_on(const struct headers *headers, struct str name)
{
    return !is_of_connection(name) && !is_named_by_connection(headers, name);
}

static struct str via(const struct http_message *m)
{
    return m->minor == 0 ? STR("1.0 penstock") : STR("1.1 penstock");
}

/* ---- requests ------------------------------------------------------------ */

bool fields_max_forwards(const struct http_message *request, uint64_t *hops)
{
    return str_eq(request->method, STR("OPTIONS")) &&
           str_to_u64(headers_get(&request->headers, "Max-Forwards"), hops);
}

static void write_request_line(struct buffer *out, const struct http_message *m)
{
    buffer_append_str(out, m->method);
    buffer_append_byte(out, ' ');
    if (m->target.n > 0 && m->target.p[0] == '/') {
        buffer_append_str(out, m->target);
    } else {
        buffer_append_str(out, m->path);
        if (m->query.p != NULL) {
            buffer_append_byte(out, '?');
            buffer_append_str(out, m->query);
        }
    }
    buffer_append_str(out, STR(" HTTP/1.1\r\n"));
}

/* RFC 9112 3.2.2: the authority of an absolute target wins over Host. */
static void write_host(struct buffer *out, const struct http_message *m,
                       const struct fields_context *context)
{
    header_write(out, STR("Host"),
                 m->authority.p != NULL ? m->authority : context->server);
}

static void write_field(struct buffer *out, const struct http_message *m,
                        const struct header *field,
                        const struct fields_context *context)
{
    uint64_t hops;

    if (str_eq_nocase(field->name, STR("Host")))
        write_host(out, m, context);
    else if (str_eq_nocase(field->name, STR("Max-Forwards")) &&
             fields_max_forwards(m, &hops) && hops > 0)
        buffer_printf(out, "Max-Forwards: %llu\r\n",
                      (unsigned long long)hops - 1);
    else if (context->expect || !str_eq_nocase(field->name, STR("Expect")))
        header_write(out, field->name, field->value);
}

/* "Name: " and the values that came, on one line, a comma after each.  A
 * quoted string left open would swallow what is appended. */
static void begin_list(struct buffer *out, const struct headers *headers,
                       const char *name)
{
    struct str value;
    unsigned at = 0;

    buffer_append_str(out, str_of(name));
    buffer_append_str(out, STR(": "));
    while (headers_next(headers, name, &at, &value)) {
        if (value.n == 0 || !str_quotes_close(value))
            continue;
        buffer_append_str(out, value);
        buffer_append_str(out, STR(", "));
    }
}

/* RFC 7239 4: an address of version 6 stands in brackets and quotes, and so
 * does the colon before a port. */
static void write_forwarded(struct buffer *out, const struct http_message *m,
                            const struct fields_context *context)
{
    struct str peer = context->peer;
    bool v6 = memchr(peer.p, ':', peer.n) != NULL;

    begin_list(out, &m->headers, "Forwarded");
    buffer_append_str(out, v6 ? STR("for=\"[") : STR("for="));
    buffer_append_str(out, peer);
    buffer_append_str(out, v6 ? STR("]\"") : STR(""));
    if (m->authority.p != NULL) {
        buffer_append_str(out, STR(";host=\""));
        buffer_append_str(out, m->authority);
        buffer_append_byte(out, '"');
    }
    buffer_append_str(out, STR(";proto="));
    buffer_append_str(out, context->scheme);
    buffer_append_str(out, STR("\r\n"));
}

static void write_origin(struct buffer *out, const struct http_message *m,
                         const struct fields_context *context)
{
    begin_list(out, &m->headers, "X-Forwarded-For");
    buffer_append_str(out, context->peer);
    buffer_append_str(out, STR("\r\n"));
    if (m->authority.p != NULL)
        header_write(out, STR("X-Forwarded-Host"), m->authority);
    header_write(out, STR("X-Forwarded-Proto"), context->scheme);
    write_forwarded(out, m, context);
    header_write(out, STR("Via"), via(m));
}

void fields_write_request(struct buffer *out, const struct http_message *m,
                          const struct fields_context *context)
{
    const struct headers *headers = &m->headers;

    buffer_reserve(out, m->target.n + REQUEST_BYTES);
    write_request_line(out, m);
    if (headers_get(headers, "Host").p == NULL)
        write_host(out, m, context);
    for (unsigned i = 0; i < headers->count; i++) {
        const struct header *field = &headers->list[i];

        if (goes_on(headers, field->name) && !is_ours(field->name))
            write_field(out, m, field, context);
    }
    if (m->chunked)
        buffer_append_str(out, STR("Transfer-Encoding: chunked\r\n"));
    if (context->upgrade.p != NULL) {
        buffer_append_str(out, STR("Connection: Upgrade\r\n"));
        header_write(out, STR("Upgrade"), context->upgrade);
    }
    write_origin(out, m, context);
    buffer_append_str(out, STR("\r\n"));
}

/* ---- answers ------------------------------------------------------------- */

/* Upgrade is the connection's, but in these answers it is what they say; and
 * their length is told by whoever frames them for the client. */
static bool answer_goes_on(const struct http_message *m, struct str name)
{
    if (str_eq_nocase(name, STR("Upgrade")))
        return m->status == 101 || m->status == 426;
    return goes_on(&m->headers, name) &&
           !str_eq_nocase(name, STR("Content-Length"));
}

int fields_pick_answer(struct headers *out, const struct http_message *m)
{
    for (unsigned i = 0; i < m->headers.count; i++) {
        const struct header *field = &m->headers.list[i];

        if (answer_goes_on(m, field->name) &&
            headers_add(out, field->name, field->value) < 0)
            return -ENOMEM;
    }
    return headers_add(out, STR("Via"), via(m));
}
