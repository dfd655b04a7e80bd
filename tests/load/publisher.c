#include "publisher.h"

#include <stdio.h>
#include <string.h>

struct publisher {
    struct peer peer; /* first */
    struct octets in;
    bool open;
    unsigned long pending;
};

static struct publisher publishers[PUBLISHERS];
static uint16_t port;

static void on_connected(struct peer *p)
{
}

static void on_data(struct peer *p, const char *data, size_t len)
{
    struct publisher *publisher = (struct publisher *)p;
    struct octets *in = &publisher->in;
    struct answer a;
    size_t n, done = 0;

    octets_add(in, data, len);
    while (done < in->len) {
        const struct octets rest = {in->data + done, in->len - done, 0};

        n = answer_read(&rest, &a);
        if (n == 0)
            break;
        if (a.status != 201)
            die("a publish was answered: %.*s", (int)n, a.head);
        publisher->pending--;
        done += n;
    }
    octets_drop(in, done);
}

static void on_closed(struct peer *p, int error)
{
    struct publisher *publisher = (struct publisher *)p;

    if (publisher->pending > 0)
        die("a publisher's connection ended: %s", strerror(error));
    publisher->open = false; /* it was idle for long */
}

static const struct peer_ops publisher_ops = {on_connected, on_data,
                                              on_closed};

void publisher_init(uint16_t admin_port)
{
    port = admin_port;
}

static struct publisher *open_publisher(unsigned key)
{
    struct publisher *publisher = &publishers[key % PUBLISHERS];

    if (!publisher->open)
        peer_connect(&publisher->peer, &publisher_ops, port, 0);
    publisher->open = true;
    publisher->pending++;
    return publisher;
}

void publisher_post(unsigned key, const char *channel, const char *data,
                    size_t len)
{
    struct publisher *publisher = open_publisher(key);
    char head[256];
    int n = snprintf(head, sizeof(head),
                     "POST /channels/%s HTTP/1.1\r\nHost: localhost\r\n"
                     "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n",
                     channel, len);
    struct octets request = {0};

    octets_add(&request, head, (size_t)n);
    octets_add(&request, data, len);
    peer_send(&publisher->peer, request.data, request.len);
    octets_drop(&request, request.len);
}

unsigned long publisher_pending(void)
{
    unsigned long pending = 0;

    for (unsigned i = 0; i < PUBLISHERS; i++)
        pending += publishers[i].pending;
    return pending;
}
