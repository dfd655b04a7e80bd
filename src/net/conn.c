#include "net/conn.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <linux/sockios.h>
#include <unistd.h>

#include "net/tls.h"
#include "net/worker.h"

#define LINGER_MS 2000 /* a peer that still sends gets this long to stop */
#define READS_MAX 4    /* of WORKER_SCRATCH, before it is others' turn */
#define FLUSH_MS 30000 /* one that takes none of our last words, this long */

struct conn_tls {
    struct tls *codec;
    uint64_t early_sent; /* in the handshake: counted with the first request */
    bool claimed;        /* conn_set_tally() was called */
};

/* Its turn comes once more, with what the socket is ready for then. */
static void look_again(struct conn *c)
{
    c->unread = false;
    poller_set(&worker_self()->poller, c->fd, &c->polled, POLLER_EDGES);
}

static void set_reading(struct conn *c, bool on)
{
    c->reading = on;
    if (on && c->unread)
        look_again(c);
}

/* Lingering: as long as the peer takes something, it gets its time. */
static void await_flush(struct conn *c)
{
    c->unacked_seen = (uint32_t)conn_unacked(c);
    conn_set_timer(c, FLUSH_MS);
}

static void on_timer(struct timer *t)
{
    struct conn *c = (struct conn *)((char *)t - offsetof(struct conn, timer));

    if (!c->lingering)
        c->ops->timeout(c);
    else if (conn_pending(c) > 0 && conn_unacked(c) < c->unacked_seen)
        await_flush(c);
    else
        conn_close(c, conn_pending(c) > 0); /* cut short: must not look whole */
}

static void on_events(struct polled *polled, uint32_t events);

void conn_open(struct conn *c, int fd, const struct conn_ops *ops,
               bool reading, bool connecting)
{
    struct worker *w = worker_self();
    int one = 1;

    assert(w != NULL);
    c->polled.run = on_events;
    c->fd = fd;
    c->ops = ops;
    c->connecting = connecting;
    c->timer.fire = on_timer;
    /* Merging is done by us, message by message, and never by waiting.  What was
     * accepted has it from its listener. */
    if (connecting)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    LIST_INSERT_HEAD(&w->conns, c, link);
    w->conn_count++;
    c->reading = reading && !connecting;
    c->writing = connecting;
    /* Where the kernel has no memory for it, its deadline is all it gets. */
    poller_add(&w->poller, fd, &c->polled, POLLER_EDGES);
}

static void free_output(struct conn *c)
{
    if (c->out != NULL)
        evbuffer_free(c->out);
    c->out = NULL;
}

static void free_tls(struct conn *c)
{
    tls_free(&c->tls->codec);
    free(c->tls);
    c->tls = NULL;
    c->secure = false;
}

/* What is kept is thrown away. */
static void drop_output(struct conn *c)
{
    if (c->secure)
        tls_sent(c->tls->codec, tls_output(c->tls->codec).n);
    else
        free_output(c);
}

/* Nothing is freed inside its own callback, but when the round is over. */
static void free_later(struct note *note)
{
    free((char *)note - offsetof(struct conn, free_note));
}

static void count_early(struct conn *c)
{
    if (c->lingering)
        return; /* there is none */
    tally_add(c->tally, TALLY_received_bytes, c->early_bytes);
    c->early_bytes = 0;
}

/* ---- TLS ----------------------------------------------------------------- */

/* A broken socket is told of by the loop, not from inside a write: whoever
 * writes need not expect to be freed. */
static void expect_break(struct conn *c)
{
    c->writing = true;
    look_again(c);
}

static void count_sent_secure(struct conn *c, uint64_t sent)
{
    if (c->tls->claimed)
        tally_add(c->tally, TALLY_sent_bytes, sent);
    else
        c->tls->early_sent += sent;
}

/* Sends of what TLS has to say what the socket takes. */
static void push(struct conn *c)
{
    struct str out;
    ssize_t sent = 1;

    while (sent > 0 && (out = tls_output(c->tls->codec)).n > 0) {
        do
            sent = send(c->fd, out.p, out.n, MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        if (sent < 0) {
            c->error = errno == EAGAIN ? 0 : errno & 0x7f;
            return;
        }
        count_sent_secure(c, (uint64_t)sent);
        tls_sent(c->tls->codec, (size_t)sent);
    }
}

/* The same from outside of on_writable(). */
static void push_now(struct conn *c)
{
    if (c->writing || c->error != 0)
        return; /* it is waiting for its turn */
    push(c);
    if (c->error != 0)
        expect_break(c);
    else
        c->writing = tls_output(c->tls->codec).n > 0;
}

/* All of it would be kept for a peer that is slow: this is one record more than
 * the socket takes.  Apart, or those that speak plainly would save registers for
 * it. */
static __attribute__((noinline)) size_t
writev_secure(struct conn *c, const struct iovec *iov, int n)
{
    size_t taken = 0;
    ssize_t len;

    if (c->dead || c->writing || conn_pending(c) > 0 || c->error != 0)
        return 0;
    do {
        len = tls_write_record(c->tls->codec, iov, n, taken);
        taken += len > 0 ? (size_t)len : 0;
        push_now(c);
    } while (len > 0 && !c->writing && c->error == 0);
    if (len < 0)
        conn_break(c, EPROTO);
    return taken;
}

static void write_all_secure(struct conn *c, const struct iovec *iov, int n)
{
    if (c->dead || c->error != 0)
        return;
    if (tls_write(c->tls->codec, iov, n) < 0)
        conn_break(c, EPROTO);
    else
        push_now(c);
}

/* Announces that nothing follows, unless something is missing before it. */
static void take_leave(struct conn *c)
{
    if (c->error != 0 || conn_pending(c) > 0)
        return;
    tls_end(c->tls->codec);
    push(c);
}

int conn_secure(struct conn *c, struct tls_context *context)
{
    struct conn_tls *tls = calloc(1, sizeof(*tls));

    if (tls != NULL)
        tls->codec = tls_accept(context);
    if (tls == NULL || tls->codec == NULL) {
        free(tls);
        return -ENOMEM;
    }
    c->tls = tls;
    c->secure = true;
    return 0;
}

const char *conn_tls_why(const struct conn *c)
{
    return c->secure ? tls_why(c->tls->codec) : "";
}

bool conn_expose(struct conn *c)
{
    if (!c->secure || tls_state(c->tls->codec) != TLS_PLAIN)
        return false;
    free_tls(c);
    c->writing = false;
    return true;
}

bool conn_was_cut(const struct conn *c)
{
    return c->secure && tls_state(c->tls->codec) != TLS_ENDED;
}

/* ---- the end --------------------------------------------------------------- */

void conn_close(struct conn *c, bool reset)
{
    struct worker *w = worker_self();
    const struct linger rst = {1, 0};

    if (c->dead)
        return;
    c->dead = true;
    c->reading = c->writing = false;
    count_early(c);
    tally_move(c->tally, 0);
    worker_timer_clear(w, &c->timer);
    if (reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &rst, sizeof(rst));
    else if (c->secure)
        take_leave(c);
    close(c->fd);
    c->fd = -1;
    if (c->secure)
        free_tls(c);
    else
        free_output(c);
    LIST_REMOVE(c, link);
    w->conn_count--;
    c->free_note.run = free_later;
    worker_post_last(w, &c->free_note); /* behind what waits for it there */
    c->ops->closed(c);
}

static void half_close(struct conn *c)
{
    shutdown(c->fd, SHUT_WR);
    conn_set_timer(c, LINGER_MS);
    c->writing = false;
    if (c->eof)
        conn_close(c, false);
    else
        set_reading(c, true);
}

/* Behind what is kept. */
static void end_secure(struct conn *c)
{
    if (!c->secure)
        return;
    tls_end(c->tls->codec);
    push_now(c);
}

void conn_linger(struct conn *c)
{
    if (c->dead || c->lingering)
        return;
    count_early(c);
    c->lingering = true;
    end_secure(c);
    await_flush(c);
    if (conn_pending(c) == 0)
        half_close(c);
    else
        set_reading(c, !c->eof);
}

void conn_shutdown(struct conn *c)
{
    if (c->dead || c->shut)
        return;
    c->shut = true;
    end_secure(c);
    if (conn_pending(c) == 0)
        shutdown(c->fd, SHUT_WR);
}

size_t conn_pending(const struct conn *c)
{
    if (c->secure)
        return tls_output(c->tls->codec).n;
    return c->out == NULL ? 0 : evbuffer_get_length(c->out);
}

size_t conn_unacked(const struct conn *c)
{
    int sent = 0;

    if (!c->dead)
        ioctl(c->fd, SIOCOUTQ, &sent);
    return conn_pending(c) + (size_t)sent;
}

size_t conn_writev(struct conn *c, const struct iovec *iov, int n)
{
    const struct msghdr whole = {.msg_iov = (struct iovec *)iov,
                                 .msg_iovlen = (size_t)n};
    size_t total = 0;
    ssize_t sent;

    if (c->secure)
        return writev_secure(c, iov, n);
    if (c->dead || c->connecting || c->writing || conn_pending(c) > 0 ||
        c->error != 0)
        return 0;
    for (int i = 0; i < n; i++)
        total += iov[i].iov_len;
    do /* one piece, the usual case of a fan-out, has a shorter way */
        sent = n == 1 ? send(c->fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
                      : sendmsg(c->fd, &whole, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0) {
        /* The kernel tells of it once: SO_ERROR is clear after this. */
        c->error = errno == EAGAIN ? 0 : errno & 0x7f;
        sent = 0;
    }
    tally_add(c->tally, TALLY_sent_bytes, (uint64_t)sent);
    if (c->error != 0)
        expect_break(c);
    else if ((size_t)sent < total)
        c->writing = true;
    return (size_t)sent;
}

void conn_break(struct conn *c, int error)
{
    if (c->dead)
        return;
    c->error = error & 0x7f;
    shutdown(c->fd, SHUT_RDWR);
    expect_break(c);
}

static void keep(struct conn *c, const void *data, size_t len)
{
    if (c->out == NULL)
        c->out = evbuffer_new();
    /* Out of memory for one connection: it alone has to go. */
    if (c->out == NULL || evbuffer_add(c->out, data, len) < 0)
        conn_break(c, ENOMEM);
}

void conn_write_all(struct conn *c, const struct iovec *iov, int n)
{
    size_t sent;

    if (c->secure) {
        write_all_secure(c, iov, n);
        return;
    }
    sent = conn_writev(c, iov, n);
    for (int i = 0; i < n && !c->dead && c->error == 0; i++) {
        size_t done = sent < iov[i].iov_len ? sent : iov[i].iov_len;

        sent -= done;
        if (done < iov[i].iov_len)
            keep(c, (const char *)iov[i].iov_base + done,
                 iov[i].iov_len - done);
    }
}

void conn_write(struct conn *c, const void *data, size_t len)
{
    const struct iovec whole = {(void *)data, len};

    if (len > 0)
        conn_write_all(c, &whole, 1);
}

void conn_set_tally(struct conn *c, tally_id tally)
{
    if (c->dead)
        return;
    tally_move(c->tally, tally);
    c->tally = tally;
    count_early(c);
    if (c->secure && !c->tls->claimed) {
        c->tls->claimed = true;
        count_sent_secure(c, c->tls->early_sent);
    }
}

void conn_read(struct conn *c, bool on)
{
    if (!c->dead && !c->lingering)
        set_reading(c, on && !c->eof);
}

void conn_set_dead_after(struct conn *c, uint64_t ms)
{
    unsigned value = ms > INT32_MAX ? INT32_MAX : (unsigned)ms;

    if (!c->dead)
        setsockopt(c->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value,
                   sizeof(value));
}

void conn_set_unsent(struct conn *c, unsigned bytes)
{
    if (!c->dead)
        setsockopt(c->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes,
                   sizeof(bytes));
}

void conn_set_timer(struct conn *c, uint64_t delay_ms)
{
    if (c->dead)
        return;
    if (delay_ms == 0)
        worker_timer_clear(worker_self(), &c->timer);
    else
        worker_timer_set(worker_self(), &c->timer, delay_ms);
}

static void on_broken(struct conn *c, int error)
{
    if (c->lingering)
        conn_close(c, false);
    else
        c->ops->broken(c, error);
}

/* What the kernel has to say of it. */
static uint8_t take_error(struct conn *c)
{
    int error = 0;
    socklen_t len = sizeof(error);

    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
    return (uint8_t)error;
}

static void finish_connect(struct conn *c)
{
    int error = take_error(c);

    if (error != 0) {
        on_broken(c, error);
        return;
    }
    c->connecting = false;
    c->writing = conn_pending(c) > 0;
    if (c->writing)
        look_again(c);
    c->ops->drained(c);
}

/* Nothing more can be written; but a peer that broke off may have said why,
 * as with an early answer to a request that it did not want whole. */
static void break_off(struct conn *c)
{
    drop_output(c);
    c->writing = false;
    if (!c->reading)
        on_broken(c, c->error);
}

/* Sends of what is kept what can be sent. */
static void flush(struct conn *c)
{
    int sent;

    if (c->secure) {
        push(c);
        return;
    }
    do {
        sent = evbuffer_write(c->out, c->fd);
        if (sent > 0)
            tally_add(c->tally, TALLY_sent_bytes, (uint64_t)sent);
    } while (sent > 0 && conn_pending(c) > 0);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        c->error = errno & 0x7f;
}

static void on_writable(struct conn *c)
{
    if (conn_pending(c) > 0)
        flush(c);
    else if (c->error == 0)
        c->error = take_error(c);
    if (c->error != 0) {
        break_off(c);
        return;
    }
    if (conn_pending(c) > 0)
        return;
    drop_output(c);
    c->writing = false;
    if (c->shut)
        shutdown(c->fd, SHUT_WR);
    if (c->lingering)
        half_close(c);
    else
        c->ops->drained(c);
}

static void on_eof(struct conn *c)
{
    c->eof = true;
    c->reading = false;
    if (!c->lingering)
        c->ops->eof(c);
    else if (conn_pending(c) == 0)
        conn_close(c, false);
}

static void hand_over(struct conn *c, char *data, size_t len)
{
    c->ops->data(c, data, len);
    if (c->dead || c->ops->undecided == NULL || !c->ops->undecided(c))
        count_early(c);
}

/* Hands over what has come by TLS, as long as the owner wants more. */
static void read_secure(struct conn *c)
{
    char *scratch = worker_self()->scratch;
    size_t n;

    do {
        n = tls_read(c->tls->codec, scratch, WORKER_SCRATCH);
        push_now(c);
        if (n > 0)
            hand_over(c, scratch, n);
    } while (n > 0 && c->reading && !c->lingering);
    if (c->dead || c->lingering)
        return;
    if (n > 0)
        c->unread = true;
    else if (tls_state(c->tls->codec) == TLS_ENDED)
        on_eof(c);
    else if (tls_state(c->tls->codec) > TLS_ENDED)
        on_broken(c, EPROTO);
}

static void deliver(struct conn *c, char *data, size_t len)
{
    if (c->lingering) {
        tally_add(c->tally, TALLY_received_bytes, len);
        return;
    }
    c->early_bytes += (uint32_t)len;
    if (!c->secure)
        hand_over(c, data, len);
    else if (tls_feed(c->tls->codec, data, len) < 0)
        on_broken(c, ENOMEM);
    else
        read_secure(c);
}

/* One recv.  Whether it filled the scratch, or something else is sure to come:
 * then it is to be asked again. */
static bool read_some(struct conn *c, bool ending)
{
    char *scratch = worker_self()->scratch;
    ssize_t n = recv(c->fd, scratch, WORKER_SCRATCH, 0);

    if (n > 0) {
        deliver(c, scratch, (size_t)n);
        return n == WORKER_SCRATCH || ending;
    }
    if (n < 0 && errno == EINTR)
        return true;
    if (n == 0 && c->error == 0)
        on_eof(c);
    else if (n == 0)
        on_broken(c, c->error);
    else if (errno != EAGAIN)
        on_broken(c, errno);
    return false;
}

/* What the owner did not want when it came. */
static bool holds_more(const struct conn *c)
{
    return c->secure && !c->lingering && tls_holds(c->tls->codec);
}

/* Reads all there is, unless that is so much that others have to wait.  Less
 * than was asked for was all (epoll(7)), but behind it may stand the end. */
static void on_readable(struct conn *c, bool ending)
{
    bool more = true;

    if (holds_more(c))
        read_secure(c);
    for (int i = 0; i < READS_MAX && more && c->reading; i++)
        more = read_some(c, ending);
    if (!more || c->dead)
        return;
    c->unread = true;
    set_reading(c, c->reading);
}

static void on_events(struct polled *polled, uint32_t events)
{
    struct conn *c = (struct conn *)polled;
    bool ending = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);

    /* By another's callback in this round; it is freed at the end of that. */
    if (c->dead)
        return;
    if (c->writing && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))) {
        if (c->connecting)
            finish_connect(c);
        else
            on_writable(c);
    }
    /* The write may have closed it, or stopped it reading. */
    if (c->dead || !(ending || (events & EPOLLIN) || holds_more(c)))
        return;
    if (c->reading)
        on_readable(c, ending);
    else
        c->unread = true;
}

/* inet_ntop() prints with printf(), and this is done for each request that is
 * passed on. */
static void format_v4(const uint8_t octets[4], char *out)
{
    for (int i = 0; i < 4; i++) {
        unsigned n = octets[i];

        if (n >= 100)
            *out++ = (char)('0' + n / 100);
        if (n >= 10)
            *out++ = (char)('0' + n / 10 % 10);
        *out++ = (char)('0' + n % 10);
        *out++ = i < 3 ? '.' : '\0';
    }
}

static const char *format_address(const struct sockaddr_storage *a,
                                  bool with_port, char *out, size_t cap)
{
    const struct sockaddr_in *v4 = (const void *)a;
    const struct sockaddr_in6 *v6 = (const void *)a;
    char host[INET6_ADDRSTRLEN] = "";

    if (a->ss_family == AF_INET && !with_port && cap >= INET_ADDRSTRLEN) {
        format_v4((const uint8_t *)&v4->sin_addr, out);
    } else if (a->ss_family == AF_INET) {
        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
        snprintf(out, cap, "%s:%u", host, ntohs(v4->sin_port));
    } else if (a->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
        snprintf(out, cap, with_port ? "[%s]:%u" : "%s", host,
                 ntohs(v6->sin6_port));
    } else {
        snprintf(out, cap, "unknown");
    }
    return out;
}

static void ask_peer(const struct conn *c, struct sockaddr_storage *a)
{
    socklen_t len = sizeof(*a);

    if (getpeername(c->fd, (struct sockaddr *)a, &len) < 0)
        a->ss_family = AF_UNSPEC;
}

const char *conn_peer(const struct conn *c, char *out, size_t cap)
{
    struct sockaddr_storage a = {0};

    ask_peer(c, &a);
    return format_address(&a, true, out, cap);
}

/* Each request of a connection that is kept alive may ask for it. */
const char *conn_peer_host(struct conn *c, char *out, size_t cap)
{
    struct sockaddr_storage a = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a;

    if (c->peer4 == 0) {
        ask_peer(c, &a);
        if (a.ss_family == AF_INET)
            c->peer4 = v4->sin_addr.s_addr;
    } else {
        v4->sin_family = AF_INET;
        v4->sin_addr.s_addr = c->peer4;
    }
    return format_address(&a, false, out, cap);
}
