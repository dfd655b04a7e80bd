#include "http/location.h"

#include <arpa/inet.h>
#include <errno.h>

/* ---- the authority -------------------------------------------------------- */

static bool is_name_octet(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

static bool is_v6(const char *host)
{
    struct in6_addr v6;

    return inet_pton(AF_INET6, host, &v6) == 1;
}

/* A name, an IPv4 address, or an IPv6 address without its brackets. */
static bool take_host(struct location *l, struct str host, bool brackets)
{
    bool name = host.n > 0;

    if (host.n > LOCATION_HOST_MAX)
        return false;
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];

        l->host[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        name = name && is_name_octet(l->host[i]);
    }
    l->host[host.n] = '\0';
    if (brackets)
        return strlen(l->host) == host.n && is_v6(l->host);
    return name && l->host[0] != '-' && l->host[0] != '.';
}

static bool take_port(struct location *l, struct str port)
{
    uint64_t number = l->https ? 443 : 80;

    if (port.n > 0 && (!str_to_u64(port, &number) || number == 0 ||
                       number > 65535))
        return false;
    l->port = (uint16_t)number;
    return true;
}

/* A user would be a secret that somebody else chose for us: none is taken. */
static bool take_authority(struct location *l, struct str text)
{
    struct str host, port;

    if (text.n == 0 || text.p[0] != '[') {
        port = str_split(text, ':', &host);
        return take_host(l, host, false) && take_port(l, port);
    }
    text.p++;
    text.n--;
    port = str_split(text, ']', &host);
    if (port.p == NULL || (port.n > 0 && port.p[0] != ':'))
        return false;
    if (port.n > 0)
        port = (struct str){port.p + 1, port.n - 1};
    return take_host(l, host, true) && take_port(l, port);
}

/* ---- the path ------------------------------------------------------------- */

static struct str until(struct str s, const char *ends)
{
    size_t n = 0;

    while (n < s.n && strchr(ends, s.p[n]) == NULL)
        n++;
    return (struct str){s.p, n};
}

static struct str after(struct str s, size_t n)
{
    return (struct str){s.p == NULL ? NULL : s.p + n, s.n - n};
}

/* RFC 3986 5.2.4, of what begins with '/'; out is where the path begins. */
static void append_without_dots(struct buffer *out, struct str path)
{
    size_t start = out->len;

    while (path.n > 0) {
        struct str segment = until(after(path, 1), "/");
        bool last = 1 + segment.n == path.n;

        path = after(path, 1 + segment.n);
        if (str_eq(segment, STR("..")))
            while (out->len > start && out->data[--out->len] != '/')
                ;
        else if (!str_eq(segment, STR("."))) {
            buffer_append_byte(out, '/');
            buffer_append_str(out, segment);
            continue;
        }
        if (last)
            buffer_append_byte(out, '/');
    }
    if (out->len == start)
        buffer_append_byte(out, '/');
}

/* The base's path up to its last slash, and rest (RFC 3986 5.2.3). */
static void append_merged(struct buffer *out, struct str base, struct str rest)
{
    struct buffer merged = {0};

    while (base.n > 0 && base.p[base.n - 1] != '/')
        base.n--;
    buffer_append_str(&merged, base);
    buffer_append_str(&merged, rest);
    append_without_dots(out, buffer_str(&merged));
    out->failed |= merged.failed;
    buffer_fini(&merged);
}

/* RFC 3986 5.2.2, once the authority is known; same: it is the base's. */
static void append_path(struct buffer *out, const struct location *base,
                        struct str rest, bool same)
{
    struct str path = until(rest, "?"), query = after(rest, path.n);
    struct str from = until(buffer_str(&base->path), "?");

    if (path.n > 0 && path.p[0] == '/')
        append_without_dots(out, path);
    else if (!same)
        buffer_append_byte(out, '/');
    else if (path.n > 0)
        append_merged(out, from, path);
    else if (query.n > 0)
        buffer_append_str(out, from);
    else
        buffer_append_str(out, buffer_str(&base->path));
    buffer_append_str(out, query);
}

/* ---- the whole ------------------------------------------------------------ */

/* Nothing that could end a request's line, or a field. */
static bool is_printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f)
            return false;
    return s.n <= LOCATION_BYTES_MAX;
}

/* Takes a scheme off the front.  False for one that is not ours. */
static bool take_scheme(struct location *l, struct str *rest)
{
    struct str scheme = until(*rest, ":/?#");

    if (scheme.n == rest->n || rest->p[scheme.n] != ':')
        return true; /* there is none */
    *rest = after(*rest, scheme.n + 1);
    l->https = str_eq_nocase(scheme, STR("https"));
    return (l->https || str_eq_nocase(scheme, STR("http"))) &&
           str_starts(*rest, STR("//"));
}

int location_resolve(struct location *l, struct str reference)
{
    struct location to = *l;
    struct str rest = until(reference, "#"), authority;
    bool same;

    to.path = (struct buffer){0};
    if (!is_printable(reference) || !take_scheme(&to, &rest))
        return -EINVAL;
    same = !str_starts(rest, STR("//"));
    if (!same) {
        authority = until(after(rest, 2), "/?");
        rest = after(rest, 2 + authority.n);
        if (!take_authority(&to, authority))
            return -EINVAL;
    }
    append_path(&to.path, l, rest, same);
    if (to.path.failed) {
        buffer_fini(&to.path);
        return -ENOMEM;
    }
    buffer_fini(&l->path);
    *l = to;
    return 0;
}

bool location_same_origin(const struct location *a, const struct location *b)
{
    return a->https == b->https && a->port == b->port &&
           str_eq_nocase(str_of(a->host), str_of(b->host));
}

void location_write_host(const struct location *l, struct buffer *out)
{
    bool v6 = strchr(l->host, ':') != NULL;

    buffer_printf(out, v6 ? "[%s]" : "%s", l->host);
    if (l->port != (l->https ? 443 : 80))
        buffer_printf(out, ":%u", l->port);
}

void location_fini(struct location *l)
{
    buffer_fini(&l->path);
}
