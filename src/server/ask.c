#include "server/ask.h"

#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench/place.h"
#include "net/tls.h"

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
    bool https;
    char host[LOCATION_HOST_MAX + 1], port[DECIMAL_MAX + 1];
};

static bool parse_port(struct place *p, struct str rest)
{
    uint64_t port = p->https ? 443 : 80;

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
    p->https = str_starts(s, STR("https://"));
    if (p->https)
        s.p += 8, s.n -= 8;
    else if (str_starts(s, STR("http://")))
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

/* A connection; tls is NULL where it is plain. */
struct line {
    int fd;
    struct tls *tls;
};

static bool send_octets(int fd, struct str s)
{
    while (s.n > 0) {
        ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        s.p += n, s.n -= (size_t)n;
    }
    return true;
}

/* What TLS has to say goes out. */
static bool flush(const struct line *l)
{
    struct str out = tls_output(l->tls);
    bool done = send_octets(l->fd, out);

    tls_sent(l->tls, out.n);
    return done;
}

/* Hands TLS what comes next.  False: nothing does, or it is no TLS. */
static bool feed(const struct line *l)
{
    char octets[16384];
    ssize_t n;

    do
        n = recv(l->fd, octets, sizeof(octets), 0);
    while (n < 0 && errno == EINTR);
    return n > 0 && tls_feed(l->tls, octets, (size_t)n) == 0;
}

static bool shake_hands(const struct line *l)
{
    while (tls_state(l->tls) == TLS_HANDSHAKE) {
        if (!flush(l) || !feed(l))
            return false;
        tls_read(l->tls, NULL, 0);
    }
    return flush(l) && tls_state(l->tls) == TLS_OPEN;
}

static bool send_all(const struct line *l, struct str s)
{
    const struct iovec whole = {(void *)s.p, s.n};

    return l->tls == NULL ? send_octets(l->fd, s)
                          : tls_write(l->tls, &whole, 1) == 0 && flush(l);
}

/* The next octets, as recv() tells of them: 0 is an end, and not a cut. */
static ssize_t receive(const struct line *l, char *out, size_t cap)
{
    size_t n;

    if (l->tls == NULL)
        return recv(l->fd, out, cap, 0);
    for (;;) {
        n = tls_read(l->tls, out, cap);
        if (n > 0 || tls_state(l->tls) == TLS_ENDED)
            return (ssize_t)n;
        if (tls_state(l->tls) != TLS_OPEN || !flush(l) || !feed(l))
            return -1;
    }
}

static bool receive_all(const struct line *l, struct buffer *in)
{
    for (;;) {
        ssize_t n;

        if (in->len > ANSWER_MAX || buffer_reserve(in, 65536) < 0)
            return false;
        n = receive(l, in->data + in->len, in->cap - in->len);
        if (n < 0 && l->tls == NULL && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        in->len += (size_t)n;
    }
}

/* HTTP/1.0, so that an answer is what comes until the end. */
static bool converse(const struct line *l, const struct place *p,
                     const char *token, struct buffer *in)
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
    done = !request.failed && send_all(l, buffer_str(&request)) &&
           receive_all(l, in);
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

/* Makes l speak TLS.  0; or -1, and why not in out. */
static int secure(struct line *l, const struct place *p, const char *url,
                  const struct trust *trust, struct buffer *out)
{
    struct location at = {.https = true};
    struct tls_server *server = NULL;
    const char *why = NULL;
    int rc;

    snprintf(at.host, sizeof(at.host), "%s", p->host);
    rc = place_trust(&server, &at, trust, &why);
    if (rc < 0)
        return fail(out, "%s: %s", trust->ca != NULL ? trust->ca : url,
                    why != NULL ? why : strerror(-rc));
    l->tls = tls_new(server);
    tls_server_unref(&server);
    if (l->tls == NULL)
        return fail(out, "out of memory");
    if (shake_hands(l))
        return 0;
    return fail(out, "%s: %s", url, *tls_why(l->tls) != '\0'
                                        ? tls_why(l->tls)
                                        : "it broke off the TLS handshake");
}

static int ask_there(struct line *l, const struct place *p, const char *url,
                     const char *token, struct buffer *out)
{
    errno = 0;
    if (converse(l, p, token, out))
        return unwrap(out, url);
    return errno == EAGAIN
               ? fail(out, "%s: no answer within %d s", url, TIMEOUT_S)
               : fail(out, "%s: it broke off", url);
}

int ask(const char *url, const char *path, const char *token,
        const struct trust *trust, struct buffer *out)
{
    struct line l = {.fd = -1};
    struct place p;
    int rc = 0;

    if (!parse(&p, url, path))
        return fail(out, "%s: no URL such as http://127.0.0.1:8081", url);
    l.fd = dial(&p, out);
    if (l.fd < 0)
        return -1;
    if (p.https)
        rc = secure(&l, &p, url, trust, out);
    if (rc == 0)
        rc = ask_there(&l, &p, url, token, out);
    tls_free(&l.tls);
    close(l.fd);
    return rc;
}
