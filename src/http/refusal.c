#include "http/refusal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/conn.h"

/* Those that get the time to take our answer, per worker: they hold
 * descriptors that others may need. */
#define LINGERING_MAX 64

static _Thread_local unsigned lingering;

static void on_closed(struct conn *c)
{
    lingering--;
}

static const struct conn_ops refused_ops = {.closed = on_closed};

void refusal_send(int fd, unsigned retry_s, const char *detail)
{
    char answer[512], body[256];
    struct conn *c = lingering < LINGERING_MAX ? calloc(1, sizeof(*c)) : NULL;
    int n = snprintf(body, sizeof(body),
                     "{\"status\":503,\"title\":\"Service Unavailable\","
                     "\"detail\":\"%s\"}\n", detail);

    n = snprintf(answer, sizeof(answer),
                 "HTTP/1.1 503 Service Unavailable\r\nRetry-After: %u\r\n"
                 "Connection: close\r\nCache-Control: no-store\r\n"
                 "Content-Type: application/problem+json\r\n"
                 "Content-Length: %d\r\n\r\n%s", retry_s, n, body);
    if (c == NULL) {
        /* Closing with a request unread says RST, and the answer may be
         * lost: this is the most that can be done without waiting. */
        (void)!write(fd, answer, (size_t)n);
        (void)!recv(fd, body, sizeof(body), 0);
        close(fd);
        return;
    }
    lingering++;
    conn_open(c, fd, &refused_ops, true, false);
    conn_write(c, answer, (size_t)n);
    conn_linger(c);
}
