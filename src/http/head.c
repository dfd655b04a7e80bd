#include "http/head.h"

#include <arpa/inet.h>
#include <llhttp.h>

#include "http/octet.h"

/* 16 KiB and 100 fields are what large servers allow (nginx 32 KiB, Apache
 * 100 fields): a head is held in memory whole, for every client that is slow
 * to send it. */
const struct head_limits head_limits_default = {
    .head_bytes = 16 * 1024,
    .fields = 100,
    .target_bytes = 8 * 1024,
};

enum verdict { BAD = -1, MORE = 0, GOOD = 1, END = 2 };

/* One pass over a head.  Every step leaves p behind what it has judged; MORE
 * needs no care, since the next pass begins at the start again. */
struct scan {
    const char *p, *end;
    enum head_side side;
    const struct head_limits *limits;
    struct head_fault *fault;
    struct str method, target;
    unsigned status, fields;
    bool http10, has_host, has_length, has_coding;
};

static enum verdict bad(struct scan *s, int status, const char *reason)
{
    s->fault->status = s->side == HEAD_REQUEST ? status : 502;
    s->fault->reason = reason;
    return BAD;
}

static enum verdict scan_octet(struct scan *s, char want, const char *reason)
{
    if (s->p == s->end)
        return MORE;
    return *s->p++ == want ? GOOD : bad(s, 400, reason);
}

static enum verdict scan_line_end(struct scan *s, const char *reason)
{
    enum verdict v = scan_octet(s, '\r', reason);

    return v == GOOD ? scan_octet(s, '\n', "CR without LF") : v;
}

/* The start line ---------------------------------------------------------- */

/* "HTTP/1.0" or "HTTP/1.1".  Another version of HTTP is told so (505); what
 * is no HTTP at all, or no version, is just bad. */
static enum verdict scan_version(struct scan *s)
{
    static const char start[] = "HTTP/1.";

    for (size_t i = 0; i < sizeof(start) - 1; i++) {
        if (s->p == s->end)
            return MORE;
        if (*s->p == start[i])
            s->p++;
        else if (start[i] == '1' && *s->p >= '0' && *s->p <= '9')
            return bad(s, 505, "version of HTTP other than 1");
        else
            return bad(s, 400, "not HTTP");
    }
    if (s->p == s->end)
        return MORE;
    if (*s->p < '0' || *s->p > '9')
        return bad(s, 400, "malformed version");
    if (*s->p > '1')
        return bad(s, 505, "version other than 1.0 and 1.1");
    s->http10 = *s->p++ == '0';
    return GOOD;
}

static bool method_known(struct str method)
{
    static const struct str known[] = {
#define KNOWN(number, name, string) {#string, sizeof(#string) - 1},
        HTTP_METHOD_MAP(KNOWN)
#undef KNOWN
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (str_eq(method, known[i]))
            return true;
    return false;
}

static enum verdict scan_method(struct scan *s)
{
    const char *start = s->p;

    s->p = octet_skip(s->p, s->end, OCTET_TOKEN);
    if (s->p == s->end)
        return MORE;
    s->method = (struct str){start, (size_t)(s->p - start)};
    if (s->method.n == 0 || *s->p++ != ' ')
        return bad(s, 400, "malformed method");
    if (str_eq(s->method, STR("CONNECT")) || str_eq(s->method, STR("TRACE")))
        return bad(s, 405, "method not allowed through a reverse proxy");
    return GOOD;
}

static bool port_valid(struct str port)
{
    uint64_t number;

    return port.n == 0 || (str_to_u64(port, &number) && number <= 65535);
}

static bool ipv6_valid(struct str address)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr binary;

    if (address.n >= sizeof(text))
        return false;
    memcpy(text, address.p, address.n);
    text[address.n] = '\0';
    return inet_pton(AF_INET6, text, &binary) == 1;
}

/* host [ ":" port ] (RFC 9110 7.2).  Of the host less than RFC 3986 allows:
 * no sub-delims and no percent, which no name in use has and in which servers
 * differ. */
static bool authority_valid(struct str authority)
{
    const char *p = authority.p, *end, *host_end;

    if (authority.n == 0)
        return false;
    end = p + authority.n;
    if (*p == '[') {
        host_end = memchr(p, ']', authority.n);
        if (host_end == NULL ||
            !ipv6_valid((struct str){p + 1, (size_t)(host_end - p - 1)}))
            return false;
        host_end++;
    } else {
        host_end = octet_skip(p, end, OCTET_HOST);
        if (host_end == p)
            return false;
    }
    if (host_end == end)
        return true;
    return *host_end == ':' &&
           port_valid((struct str){host_end + 1, (size_t)(end - host_end - 1)});
}

/* The authority of an absolute-form target; absent where it has none. */
static struct str target_authority(struct str target)
{
    struct str rest = target;
    size_t n = 0;

    if (rest.n > 7 && str_eq_nocase((struct str){rest.p, 7}, STR("http://")))
        rest.p += 7, rest.n -= 7;
    else if (rest.n > 8 &&
             str_eq_nocase((struct str){rest.p, 8}, STR("https://")))
        rest.p += 8, rest.n -= 8;
    else
        return STR_NONE;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    return (struct str){rest.p, n};
}

/* The four forms of RFC 9112 3.2, less authority-form: CONNECT's. */
static enum verdict judge_target(struct scan *s)
{
    if (s->target.n > 0 && s->target.p[0] == '/')
        return GOOD;
    if (str_eq(s->target, STR("*")) && str_eq(s->method, STR("OPTIONS")))
        return GOOD;
    if (authority_valid(target_authority(s->target)))
        return GOOD;
    return bad(s, 400, "malformed target");
}

/* The first octet that may not be in a target.  Behind its '?' browsers send
 * six more that RFC 3986 would have encoded; no server takes them for the end
 * of anything there. */
static const char *target_end(const char *start, const char *end)
{
    const char *p = octet_skip(start, end, OCTET_TARGET);

    if (p < end && octet_is(*p, OCTET_QUERY) &&
        memchr(start, '?', (size_t)(p - start)) != NULL)
        p = octet_skip(p, end, OCTET_TARGET | OCTET_QUERY);
    return p;
}

static enum verdict scan_target(struct scan *s)
{
    const char *start = s->p;

    s->p = target_end(start, s->end);
    s->target = (struct str){start, (size_t)(s->p - start)};
    if (s->target.n > s->limits->target_bytes)
        return bad(s, 414, "target too long");
    if (s->p == s->end)
        return MORE;
    if (*s->p == '\r' || *s->p == '\n')
        return bad(s, 400, "no version");
    if (*s->p++ != ' ')
        return bad(s, 400, "octet not allowed in a target");
    return judge_target(s);
}

static enum verdict scan_request_line(struct scan *s)
{
    enum verdict v = scan_method(s);

    if (v == GOOD)
        v = scan_target(s);
    if (v == GOOD)
        v = scan_version(s);
    if (v == GOOD)
        v = scan_line_end(s, "malformed request line");
    /* Only now: RTSP's methods are unknown because of the protocol. */
    if (v == GOOD && !method_known(s->method))
        return bad(s, 501, "unknown method");
    return v;
}

/* Three digits, 100 to 599 (RFC 9110 15). */
static enum verdict scan_status(struct scan *s)
{
    for (int i = 0; i < 3; i++) {
        if (s->p == s->end)
            return MORE;
        if (*s->p < '0' || *s->p > '9' ||
            (i == 0 && (*s->p < '1' || *s->p > '5')))
            return bad(s, 502, "malformed status");
        s->status = s->status * 10 + (unsigned)(*s->p++ - '0');
    }
    return GOOD;
}

/* The SP before an empty reason may be missing: often seen, never misread. */
static enum verdict scan_reason(struct scan *s)
{
    if (s->p == s->end)
        return MORE;
    if (*s->p == ' ')
        s->p = octet_skip_text(s->p, s->end);
    return scan_line_end(s, "malformed status line");
}

static enum verdict scan_status_line(struct scan *s)
{
    enum verdict v = scan_version(s);

    if (v == GOOD)
        v = scan_octet(s, ' ', "malformed status line");
    if (v == GOOD)
        v = scan_status(s);
    if (v == GOOD)
        v = scan_reason(s);
    return v;
}

/* The fields -------------------------------------------------------------- */

static enum verdict judge_host(struct scan *s, struct str value)
{
    if (s->side == HEAD_RESPONSE)
        return GOOD;
    if (s->has_host)
        return bad(s, 400, "more than one Host");
    if (!authority_valid(value))
        return bad(s, 400, "malformed Host");
    s->has_host = true;
    return GOOD;
}

/* RFC 9110 10.1.1. */
static enum verdict judge_expect(struct scan *s, struct str value)
{
    if (s->side == HEAD_REQUEST && !str_eq_nocase(value, STR("100-continue")))
        return bad(s, 417, "unknown expectation");
    return GOOD;
}

static bool all_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

/* Nchan says that its 101 has no content, as it has none anyway. */
static bool is_idle(const struct scan *s, struct str length)
{
    return s->status == 101 && str_eq(length, STR("0"));
}

/* One line, digits only, and not beside Transfer-Encoding.  A list of equal
 * values would be legal (RFC 9112 6.3), but nobody honest sends one. */
static enum verdict judge_length(struct scan *s, struct str value)
{
    uint64_t length;

    if (s->has_coding)
        return bad(s, 400, "both Content-Length and Transfer-Encoding");
    if (s->has_length)
        return bad(s, 400, "more than one Content-Length");
    if (s->side == HEAD_RESPONSE && s->status < 200 && !is_idle(s, value))
        return bad(s, 502, "Content-Length on an interim answer");
    if (!all_digits(value))
        return bad(s, 400, "malformed Content-Length");
    if (!str_to_u64(value, &length) || length > INT64_MAX)
        return bad(s, 413, "absurd Content-Length");
    s->has_length = true;
    return GOOD;
}

/* 501 for a list that names a coding which we don't know, 400 for what is no
 * list, or not one that ends in one "chunked" (RFC 9112 6.1). */
static int coding_status(struct str list)
{
    int status = 400;

    while (list.p != NULL) {
        struct str element, name;

        list = str_split(list, ',', &element);
        str_split(element, ';', &name);
        name = str_trim(name);
        if (name.n == 0 ||
            octet_skip(name.p, name.p + name.n, OCTET_TOKEN) != name.p + name.n)
            return 400;
        if (!str_eq_nocase(name, STR("chunked")) &&
            !str_eq_nocase(name, STR("identity")))
            status = 501;
    }
    return status;
}

static enum verdict judge_coding(struct scan *s, struct str value)
{
    if (s->has_length)
        return bad(s, 400, "both Content-Length and Transfer-Encoding");
    if (s->has_coding)
        return bad(s, 400, "more than one Transfer-Encoding");
    if (s->http10)
        return bad(s, 400, "Transfer-Encoding in HTTP/1.0");
    if (s->side == HEAD_RESPONSE && (s->status < 200 || s->status == 204))
        return bad(s, 502, "Transfer-Encoding on an answer without a body");
    if (!str_eq_nocase(value, STR("chunked")))
        return bad(s, coding_status(value), "Transfer-Encoding not chunked");
    s->has_coding = true;
    return GOOD;
}

static enum verdict judge_field(struct scan *s, struct str name,
                                struct str value)
{
    switch (name.n) {
    case sizeof("Host") - 1:
        if (str_eq_nocase(name, STR("Host")))
            return judge_host(s, value);
        break;
    case sizeof("Expect") - 1:
        if (str_eq_nocase(name, STR("Expect")))
            return judge_expect(s, value);
        break;
    case sizeof("Content-Length") - 1:
        if (str_eq_nocase(name, STR("Content-Length")))
            return judge_length(s, value);
        break;
    case sizeof("Transfer-Encoding") - 1:
        if (str_eq_nocase(name, STR("Transfer-Encoding")))
            return judge_coding(s, value);
        break;
    }
    return GOOD;
}

static enum verdict scan_name(struct scan *s, struct str *name)
{
    const char *start = s->p;

    s->p = octet_skip(s->p, s->end, OCTET_TOKEN);
    if (s->p == s->end)
        return MORE;
    *name = (struct str){start, (size_t)(s->p - start)};
    if (name->n == 0 && (*s->p == ' ' || *s->p == '\t'))
        return bad(s, 400, "folded line");
    if (*s->p == ' ' || *s->p == '\t')
        return bad(s, 400, "space before a colon");
    if (name->n == 0 || *s->p++ != ':')
        return bad(s, 400, "malformed field name");
    return GOOD;
}

/* One field line, or the blank line: END. */
static enum verdict scan_field(struct scan *s)
{
    struct str name, value;
    enum verdict v;

    if (s->p < s->end && *s->p == '\r') {
        v = scan_line_end(s, "CR without LF");
        return v == GOOD ? END : v;
    }
    if (s->p < s->end && ++s->fields > s->limits->fields)
        return bad(s, 431, "too many fields");
    v = scan_name(s, &name);
    if (v != GOOD)
        return v;
    value.p = s->p;
    s->p = octet_skip_text(s->p, s->end);
    value.n = (size_t)(s->p - value.p);
    v = scan_line_end(s, "octet not allowed in a field value");
    return v == GOOD ? judge_field(s, name, str_trim(value)) : v;
}

/* One CRLF before a request line is forgiven (RFC 9112 2.2): old clients send
 * it after a body. */
static enum verdict scan_blank(struct scan *s)
{
    if (s->side == HEAD_RESPONSE || s->p == s->end || *s->p != '\r')
        return GOOD;
    return scan_line_end(s, "CR without LF");
}

static enum verdict scan_head(struct scan *s)
{
    enum verdict v =
        s->side == HEAD_REQUEST ? scan_request_line(s) : scan_status_line(s);

    while (v == GOOD)
        v = scan_field(s);
    if (v == END && s->side == HEAD_REQUEST && !s->http10 && !s->has_host)
        return bad(s, 400, "no Host");
    return v;
}

ssize_t head_check(enum head_side side, const char *data, size_t len,
                   const struct head_limits *limits, struct head_fault *fault)
{
    struct scan s = {
        .p = data,
        .end = data + len,
        .side = side,
        .fault = fault,
        .limits = limits != NULL ? limits : &head_limits_default,
    };
    enum verdict v = scan_blank(&s);
    bool cut;

    if (v != GOOD)
        return v;
    cut = (size_t)(s.end - s.p) >= s.limits->head_bytes;
    if (cut)
        s.end = s.p + s.limits->head_bytes;
    v = scan_head(&s);
    if (v == MORE && cut)
        v = bad(&s, 431, "head too long");
    return v == END ? s.p - data : v;
}
