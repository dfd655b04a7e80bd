#include "server/ask.h"

#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define TIMEOUT_S 10
#define ANSWER_MAX (64u << 20) /* octets; no advice is longer */

static int fail(struct buffer *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int fail(struct buffer *out, const char *format, ...)
{
    char text[512];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    out->len = 0;
    buffer_append(out, text, (size_t)n < sizeof(text) ? (size_t)n
                                                      : sizeof(text) - 1);
    return -1;
}

/* Where to ask, as slices of a URL. */
struct place {
    struct str authority, path;
    char host[256], port[DECIMAL_MAX + 1];
};

static bool parse_port(struct place *p, struct str rest)
{
    uint64_t port = 80;

    if (rest.p != NULL && (!str_to_u64(rest, &port) || port == 0 ||
                           port > 65535))
        return false;
    p->port[str_format_u64(p->port, port)] = '\0';
    return true;
}

/* "[::1]:8081" or "localhost:8081" */
static bool parse_authority(struct place *p)
{
    struct str a = p->authority, host, rest;

    if (a.n > 0 && a.p[0] == '[') {
        rest = str_split((struct str){a.p + 1, a.n - 1}, ']', &host);
        if (rest.p == NULL || (rest.n > 0 && rest.p[0] != ':'))
            return false;
        rest = rest.n == 0 ? STR_NONE : (struct str){rest.p + 1, rest.n - 1};
    } else {
        rest = str_split(a, ':', &host);
    }
    if (host.n == 0 || host.n >= sizeof(p->host))
        return false;
    memcpy(p->host, host.p, host.n);
    p->host[host.n] = '\0';
    return parse_port(p, rest);
}

static bool parse(struct place *p, const char *url, const char *path)
{
    struct str s = str_of(url);

    *p = (struct place){.path = str_of(path)};
    if (str_starts(s, STR("http://")))
        s.p += 7, s.n -= 7;
    p->authority = s;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '/') {
            p->authority.n = i;
            if (s.n > i + 1)
                p->path = (struct str){s.p + i, s.n - i};
            break;
        }
    return parse_authority(p);
}

static int dial(const struct place *p, struct buffer *out)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    const struct timeval limit = {.tv_sec = TIMEOUT_S};
    struct addrinfo *all;
    int rc = getaddrinfo(p->host, p->port, &hints, &all), fd = -1;

    if (rc != 0)
        return fail(out, "%s: %s", p->host, gai_strerror(rc));
    for (struct addrinfo *a = all; a != NULL && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
        if (fd < 0) {
            rc = errno;
            continue;
        }
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
        if (connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
            rc = errno;
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(all);
    return fd >= 0 ? fd
                   : fail(out, "%s port %s: %s", p->host, p->port,
                          strerror(rc));
}

static bool send_all(int fd, struct str s)
{
    while (s.n > 0) {
        ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        s.p += n, s.n -= (size_t)n;
    }
    return true;
}

static bool receive_all(int fd, struct buffer *in)
{
    for (;;) {
        ssize_t n;

        if (in->len > ANSWER_MAX || buffer_reserve(in, 65536) < 0)
            return false;
        n = recv(fd, in->data + in->len, in->cap - in->len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        in->len += (size_t)n;
    }
}

/* HTTP/1.0, so that an answer is what comes until the end. */
static bool converse(int fd, const struct place *p, const char *token,
                     struct buffer *in)
{
    struct buffer request = {0};
    bool done;

    buffer_printf(&request,
                  "GET %.*s HTTP/1.0\r\nHost: %.*s\r\n"
                  "Accept: application/json\r\n", STR_ARG(p->path),
                  STR_ARG(p->authority));
    if (token != NULL)
        buffer_printf(&request, "Authorization: Bearer %s\r\n", token);
    buffer_append_str(&request, STR("\r\n"));
    done = !request.failed && send_all(fd, buffer_str(&request)) &&
           receive_all(fd, in);
    buffer_fini(&request);
    return done;
}

/* Takes the head off. */
static int unwrap(struct buffer *in, const char *url)
{
    const char *end = in->len == 0 ? NULL
                                   : memmem(in->data, in->len, "\r\n\r\n", 4);
    struct str line, code;

    if (end == NULL || in->len < 12 || memcmp(in->data, "HTTP/1.", 7) != 0)
        return fail(in, "%s: no answer of HTTP", url);
    str_split(buffer_str(in), '\r', &line);
    code = (struct str){line.p + 9, line.n > 12 ? 3 : 0};
    if (str_eq(code, STR("401")))
        return fail(in, "%s: it wants its bearer token: --token-file FILE",
                    url);
    if (str_eq(code, STR("404")))
        return fail(in, "%s: there is nothing of the kind (404): is it the "
                    "admin listener, without a path?", url);
    if (!str_eq(code, STR("200"))) {
        char text[128];
        size_t n = line.n < sizeof(text) ? line.n : sizeof(text) - 1;

        memcpy(text, line.p, n);
        text[n] = '\0';
        return fail(in, "%s: it answers %s", url, text);
    }
    buffer_drop(in, (size_t)(end - in->data) + 4);
    return 0;
}

int ask(const char *url, const char *path, const char *token,
        struct buffer *out)
{
    struct place p;
    int fd;
    bool done, late;

    if (strncmp(url, "https://", 8) == 0)
        return fail(out, "%s: only http:// can be asked", url);
    if (!parse(&p, url, path))
        return fail(out, "%s: no URL such as http://127.0.0.1:8081", url);
    fd = dial(&p, out);
    if (fd < 0)
        return -1;
    done = converse(fd, &p, token, out);
    late = !done && errno == EAGAIN;
    close(fd);
    if (late)
        return fail(out, "%s: no answer within %d s", url, TIMEOUT_S);
    return done ? unwrap(out, url) : fail(out, "%s: it broke off", url);
}
