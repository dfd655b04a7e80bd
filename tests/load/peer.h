/* peer.h - a crowd of client sockets in one thread: epoll and nothing else, so
 * that tens of thousands of clients cost little beside the server they test.
 *
 * Whoever owns a peer embeds it first in a struct of its own. */
#ifndef PENSTOCK_TESTS_LOAD_PEER_H
#define PENSTOCK_TESTS_LOAD_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer;

/* Octets in order; data is NULL when there are none. */
struct octets {
    char *data;
    size_t len, cap;
};
void octets_add(struct octets *o, const void *data, size_t len);
/* Takes off the first len. */
void octets_drop(struct octets *o, size_t len);

struct peer_ops {
    void (*connected)(struct peer *p);
    void (*data)(struct peer *p, const char *data, size_t len);
    /* It is over: error is an errno, 0 for a FIN.  The socket is closed. */
    void (*closed)(struct peer *p, int error);
};

struct peer {
    const struct peer_ops *ops;
    int fd;
    bool connecting, writing;
    struct octets out; /* what the socket would not take yet */
};

/* Makes the process's epoll, and its descriptor limit as high as it goes.
 * Anything that fails here or below ends the process. */
void peers_init(void);
/* Connects to 127.0.0.1:port from one of many loopback addresses, picked by
 * index, so that ports suffice. */
void peer_connect(struct peer *p, const struct peer_ops *ops, uint16_t port,
                  unsigned index);
void peer_send(struct peer *p, const void *data, size_t len);
/* Closes without a call of closed. */
void peer_close(struct peer *p);
/* Waits at most timeout_ms for something to happen, and has it handled. */
void peers_run(int timeout_ms);

/* Reports readability of another descriptor, once per peers_run(). */
void peers_watch(int fd, void (*readable)(int fd));

uint64_t now_us(void);
/* Prints to standard error, in printf's way, and exits with 1. */
void die(const char *format, ...)
    __attribute__((format(printf, 1, 2), noreturn));

/* An HTTP answer with a Content-Length or none, at the start of in. */
struct answer {
    unsigned status;
    const char *head, *body; /* not terminated */
    size_t head_len, body_len;
};
/* Its length in whole, or 0 while some of it is missing. */
size_t answer_read(const struct octets *in, struct answer *a);
/* The first needle in text, or NULL. */
const char *find(const char *text, size_t len, const char *needle);

#endif
