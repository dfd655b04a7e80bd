#include "http/refusal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/conn.h"

/* Those that get the time to take our answer, per worker: they hold
 * descriptors that others may need. */
#define LINGERING_MAX 64
/* A handshake, and the request that is not read, may take this long. */
#define HANDSHAKE_MS 2000
#define ANSWER_MAX   512

struct refused {
    struct conn conn; /* first: see conn.h */
    unsigned retry_s;
    const char *detail;
};

static _Thread_local unsigned lingering;

/* Returns the length. */
static size_t write_answer(char out[ANSWER_MAX], unsigned retry_s,
                           const char *detail)
{
    char body[256];
    int n = snprintf(body, sizeof(body),
                     "{\"status\":503,\"title\":\"Service Unavailable\","
                     "\"detail\":\"%s\"}\n", detail);

    return (size_t)snprintf(
        out, ANSWER_MAX,
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: %u\r\n"
        "Connection: close\r\nCache-Control: no-store\r\n"
        "Content-Type: application/problem+json\r\n"
        "Content-Length: %d\r\n\r\n%s", retry_s, n, body);
}

static void tell(struct refused *r)
{
    char answer[ANSWER_MAX];

    conn_write(&r->conn, answer, write_answer(answer, r->retry_s, r->detail));
    conn_linger(&r->conn);
}

/* By TLS nothing can be said before the handshake, which the request is behind. */
static void on_data(struct conn *c, char *data, size_t len)
{
    tell((struct refused *)c);
}

static void on_drained(struct conn *c)
{
}

static void give_up(struct conn *c)
{
    conn_close(c, false);
}

static void on_broken(struct conn *c, int error)
{
    conn_close(c, false);
}

static void on_closed(struct conn *c)
{
    lingering--;
}

static const struct conn_ops refused_ops = {
    .data = on_data,
    .eof = give_up,
    .drained = on_drained,
    .timeout = give_up,
    .broken = on_broken,
    .closed = on_closed,
};

/* Closing with a request unread says RST, and the answer may be lost: this is
 * the most that can be done without waiting. */
static void tell_in_passing(int fd, unsigned retry_s, const char *detail)
{
    char answer[ANSWER_MAX];

    (void)!write(fd, answer, write_answer(answer, retry_s, detail));
    (void)!recv(fd, answer, sizeof(answer), 0);
}

void refusal_send(int fd, struct tls_context *tls, unsigned retry_s,
                  const char *detail)
{
    struct refused *r = lingering < LINGERING_MAX ? calloc(1, sizeof(*r))
                                                  : NULL;

    if (r == NULL) {
        if (tls == NULL)
            tell_in_passing(fd, retry_s, detail);
        close(fd);
        return;
    }
    lingering++;
    r->retry_s = retry_s;
    r->detail = detail;
    conn_open(&r->conn, fd, &refused_ops, true, false);
    if (tls == NULL)
        tell(r);
    else if (conn_secure(&r->conn, tls) < 0)
        conn_close(&r->conn, true);
    else
        conn_set_timer(&r->conn, HANDSHAKE_MS);
}
