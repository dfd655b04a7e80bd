#include "http/client.h"

#include <assert.h>
#include <errno.h>
#include <event2/dns.h>
#include <event2/util.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/logging.h"
#include "net/conn.h"
#include "net/tls.h"
#include "net/worker.h"

const char *const client_failure_names[] = {
    "unresolved", "refused",    "slow-connect", "untrusted", "bad-tls",
    "timeout",    "bad-answer", "cut-off",      "closed",
};

/* One connection attempt, or a connection.  It outlives its sockets: each
 * address tried is one. */
struct link {
    struct conn conn; /* first: see conn.h */
    struct client *client; /* NULL once the client has let go of it */
};

struct client {
    const struct client_ops *ops;
    void *arg;
    struct worker *worker;
    struct link *link;              /* NULL between addresses */
    struct tls_server *tls_server;  /* a reference; NULL: plain */
    struct tls *tls;                /* of the link; NULL: plain, or not yet */
    struct evdns_getaddrinfo_request *resolving;
    struct timer resolve_timer;
    struct evutil_addrinfo *addresses, *next_address;
    struct parser *parser;
    struct buffer early;            /* to send once connected */
    struct buffer input;            /* read while the owner was not reading */
    struct note note;               /* a failure to tell of later, or the end */
    enum client_failure failure;
    const char *why;
    uint64_t connect_ms;
    uint64_t bytes_in, bytes_out;   /* at the socket */
    uint32_t from4;                 /* our own address; 0: any */
    unsigned status;                /* of the answer under way */
    bool keep_alive, ended;
    bool connected, expecting, answered, upgraded;
    bool paused, closed, note_posted, eof;
    bool cut;                       /* TLS: the end was not announced */
    bool consuming;                 /* consume() is on the stack */
    bool slow;                      /* the last address did not answer */
};

static void try_next_address(struct client *c);

/* A callback of the owner may close us: then the parser must stop. */
static int alive(const struct client *c)
{
    return c->closed || c->note_posted ? -ECONNABORTED : 0;
}

/* ---- the end -------------------------------------------------------------- */

/* What TLS has to say goes out. */
static void flush_tls(struct client *c)
{
    struct str out = tls_output(c->tls);

    c->bytes_out += out.n;
    conn_write(&c->link->conn, out.p, out.n);
    tls_sent(c->tls, out.n);
}

static void end_tls(struct client *c)
{
    if (c->tls == NULL)
        return;
    tls_end(c->tls);
    flush_tls(c);
}

/* The TLS session itself may still be on the stack. */
static void drop_link(struct client *c)
{
    struct link *l = c->link;

    if (l == NULL)
        return;
    end_tls(c);
    c->link = NULL;
    l->client = NULL;
    conn_close(&l->conn, false);
}

static void free_client(struct client *c)
{
    worker_timer_clear(c->worker, &c->resolve_timer);
    tls_free(&c->tls);
    tls_server_unref(&c->tls_server);
    parser_free(c->parser);
    buffer_fini(&c->early);
    buffer_fini(&c->input);
    if (c->addresses != NULL)
        evutil_freeaddrinfo(c->addresses);
    free(c);
}

/* Later, on its worker: tells of a failure, then frees. */
static void run_note(struct note *note)
{
    struct client *c =
        (struct client *)((char *)note - offsetof(struct client, note));

    c->note_posted = false;
    if (!c->closed) {
        c->closed = true;
        c->ops->failed(c, c->failure, c->why);
    }
    if (c->resolving == NULL)
        free_client(c);
}

static void post_note(struct client *c)
{
    if (c->note_posted)
        return;
    c->note_posted = true;
    worker_post(c->worker, &c->note);
}

/* The failure is told from the loop, never from inside the owner's call. */
static void fail(struct client *c, enum client_failure failure,
                 const char *why)
{
    if (c->closed || c->note_posted)
        return;
    c->failure = failure;
    c->why = why;
    drop_link(c);
    post_note(c);
}

void client_close(struct client *c)
{
    if (c->closed)
        return;
    c->closed = true;
    drop_link(c);
    if (c->resolving != NULL)
        evdns_getaddrinfo_cancel(c->resolving);
    post_note(c);
}

/* ---- leaving: the socket outlives its client ------------------------------ */

static void leaving_data(struct conn *conn, char *data, size_t len)
{
}

static void leaving_drained(struct conn *conn)
{
}

static void leaving_over(struct conn *conn)
{
    conn_close(conn, false);
}

static void leaving_broken(struct conn *conn, int error)
{
    conn_close(conn, false);
}

/* There, so that the server may cut it once its time to stop is over. */
static void leaving_drain(struct conn *conn)
{
}

static void leaving_closed(struct conn *conn)
{
}

static const struct conn_ops leaving_ops = {
    .data = leaving_data,
    .eof = leaving_over,
    .drained = leaving_drained,
    .timeout = leaving_over,
    .broken = leaving_broken,
    .drain = leaving_drain,
    .closed = leaving_closed,
};

void client_leave(struct client *c, uint64_t wait_ms)
{
    struct link *l = c->link;

    if (alive(c) == 0 && c->connected && l != NULL && !c->eof) {
        end_tls(c);
        c->link = NULL;
        l->client = NULL;
        l->conn.ops = &leaving_ops;
        conn_read(&l->conn, true);
        conn_set_timer(&l->conn, wait_ms);
    }
    client_close(c);
}

/* ---- answers --------------------------------------------------------------- */

static int on_head(void *arg, const struct http_message *m)
{
    struct client *c = arg;

    c->answered = true;
    c->ended = false;
    c->status = m->status;
    c->keep_alive = m->keep_alive && !m->until_close;
    c->upgraded = m->status == 101;
    c->ops->head(c, m);
    return alive(c);
}

static int on_body(void *arg, const char *data, size_t len)
{
    struct client *c = arg;

    c->ops->body(c, data, len);
    return alive(c);
}

/* Acted upon when the feed has returned: settle(). */
static int on_end(void *arg)
{
    ((struct client *)arg)->ended = true;
    return 0;
}

static const struct parser_ops answer_ops = {on_head, on_body, on_end};

/* An answer has ended, and with it, if it was no interim one, the request.
 * Octets beyond it were not asked for: such a connection is not used again. */
static void settle(struct client *c, bool more)
{
    bool interim = c->status >= 100 && c->status < 200;

    c->ended = false;
    parser_next(c->parser);
    if (interim)
        return;
    c->expecting = false;
    c->ops->end(c, c->keep_alive && !c->eof && !more);
}

/* Feeds what it can of data; returns how much was used. */
static size_t feed_parser(struct client *c, char *data, size_t len)
{
    size_t used = 0;

    while (used < len && alive(c) == 0 && !c->paused) {
        ssize_t n;

        if (c->upgraded) {
            c->ops->raw(c, data + used, len - used);
            return len;
        }
        if (!c->expecting) {
            fail(c, CLIENT_BAD_ANSWER, "octets that nobody asked for");
            return len;
        }
        n = parser_feed(c->parser, data + used, len - used);
        if (alive(c) < 0)
            return len;
        if (n < 0) {
            fail(c, CLIENT_BAD_ANSWER,
                 n == -EBADMSG ? parser_fault(c->parser)->reason
                               : "out of memory");
            return len;
        }
        used += (size_t)n;
        if (c->ended)
            settle(c, used < len);
    }
    return used;
}

static size_t consume(struct client *c, char *data, size_t len)
{
    size_t used;

    c->consuming = true;
    used = feed_parser(c, data, len);
    c->consuming = false;
    if (alive(c) == 0 && c->ops->delivered != NULL)
        c->ops->delivered(c);
    return used;
}

/* The server sends no more, and all that came has been used. */
static void finish_input(struct client *c)
{
    if (c->upgraded && c->ops->raw_end != NULL && !c->cut)
        c->ops->raw_end(c);
    else if (c->upgraded || !parser_busy(c->parser))
        fail(c, CLIENT_CLOSED, "the server closed the connection");
    else if (c->cut || parser_finish(c->parser) < 0)
        fail(c, CLIENT_CUT_OFF, "the server closed in mid-answer");
    else if (alive(c) == 0)
        settle(c, false);
}

/* ---- the socket ------------------------------------------------------------ */

static struct client *of_conn(struct conn *conn)
{
    return ((struct link *)conn)->client;
}

/* What the owner has no room for yet is kept: at most what was read. */
static void take(struct client *c, char *data, size_t len)
{
    size_t used = c->input.len == 0 ? consume(c, data, len) : 0;

    if (alive(c) < 0 || used == len)
        return;
    buffer_append(&c->input, data + used, len - used);
    if (c->input.failed)
        fail(c, CLIENT_BAD_ANSWER, "out of memory");
}

static void take_end(struct client *c)
{
    conn_read(&c->link->conn, false);
    c->eof = true;
    if (!c->paused)
        finish_input(c);
}

static void send_all(struct client *c, const struct iovec *iov, int n)
{
    if (c->tls == NULL) {
        for (int i = 0; i < n; i++)
            c->bytes_out += iov[i].iov_len;
        conn_write_all(&c->link->conn, iov, n);
        return;
    }
    if (tls_write(c->tls, iov, n) < 0)
        fail(c, CLIENT_CLOSED, "TLS takes no more");
    else
        flush_tls(c);
}

/* The connection stands, and TLS with it. */
static void become_connected(struct client *c)
{
    struct conn *conn = &c->link->conn;
    const struct iovec early = {c->early.data, c->early.len};

    c->connected = true;
    conn_set_timer(conn, 0);
    conn_read(conn, !c->paused);
    if (c->early.len > 0)
        send_all(c, &early, 1);
    buffer_fini(&c->early);
    if (alive(c) == 0 && c->ops->connected != NULL)
        c->ops->connected(c);
    if (alive(c) == 0 && c->ops->drained != NULL && conn_pending(conn) == 0)
        c->ops->drained(c);
}

/* What the session has come to, once it gives nothing more. */
static void look_at_tls(struct client *c)
{
    switch (tls_state(c->tls)) {
    case TLS_ENDED:
        take_end(c);
        break;
    case TLS_UNTRUSTED:
        fail(c, CLIENT_UNTRUSTED, tls_why(c->tls));
        break;
    case TLS_FAILED:
        fail(c, CLIENT_BAD_TLS, tls_why(c->tls));
        break;
    default:
        break;
    }
}

static void read_tls(struct client *c)
{
    char plain[16384]; /* a record */
    size_t n;

    do {
        n = tls_read(c->tls, plain, sizeof(plain));
        flush_tls(c);
        if (!c->connected && tls_state(c->tls) == TLS_OPEN)
            become_connected(c);
        if (n > 0 && alive(c) == 0)
            take(c, plain, n);
    } while (n > 0 && alive(c) == 0);
    if (alive(c) == 0)
        look_at_tls(c);
}

static void begin_tls(struct client *c)
{
    c->tls = tls_new(c->tls_server);
    if (c->tls == NULL) {
        fail(c, CLIENT_REFUSED, "out of memory");
        return;
    }
    flush_tls(c);
    conn_read(&c->link->conn, true);
}

static void on_data(struct conn *conn, char *data, size_t len)
{
    struct client *c = of_conn(conn);

    c->bytes_in += len;
    if (c->tls == NULL)
        take(c, data, len);
    else if (tls_feed(c->tls, data, len) < 0)
        fail(c, CLIENT_BAD_ANSWER, "out of memory");
    else
        read_tls(c);
}

static void on_eof(struct conn *conn)
{
    struct client *c = of_conn(conn);

    c->cut = c->tls != NULL;
    if (c->connected)
        take_end(c);
    else
        fail(c, CLIENT_BAD_TLS, "the server closed in the TLS handshake");
}

static void on_drained(struct conn *conn)
{
    struct client *c = of_conn(conn);

    if (!c->connected && c->tls_server == NULL)
        become_connected(c);
    else if (!c->connected && c->tls == NULL)
        begin_tls(c);
    else if (c->connected && c->ops->drained != NULL)
        c->ops->drained(c);
}

static void on_timeout(struct conn *conn)
{
    struct client *c = of_conn(conn);

    if (!c->connected && c->tls != NULL) {
        fail(c, CLIENT_SLOW_CONNECT, "no end of the TLS handshake in time");
        return;
    }
    if (!c->connected) {
        c->slow = true;
        drop_link(c);
        try_next_address(c);
        return;
    }
    fail(c, CLIENT_TIMEOUT, "the server took too long");
}

static void on_broken(struct conn *conn, int error)
{
    struct client *c = of_conn(conn);

    if (!c->connected && c->tls != NULL) {
        fail(c, CLIENT_BAD_TLS, "the server broke off the TLS handshake");
    } else if (!c->connected) {
        c->slow = false;
        drop_link(c);
        try_next_address(c);
    } else if ((c->answered && c->expecting) || parser_busy(c->parser)) {
        fail(c, CLIENT_CUT_OFF, "the server reset the connection");
    } else {
        fail(c, CLIENT_CLOSED, "the server reset the connection");
    }
}

static void on_closed(struct conn *conn)
{
    /* Only drop_link() closes, and it has let go already. */
    assert(of_conn(conn) == NULL);
}

static const struct conn_ops link_ops = {
    .data = on_data,
    .eof = on_eof,
    .drained = on_drained,
    .timeout = on_timeout,
    .broken = on_broken,
    .closed = on_closed,
};

/* ---- connecting ------------------------------------------------------------ */

/* A stream may be silent for as long as it likes; the system asks now and then
 * whether the other end is still there, and gives up after about a minute. */
static void keep_alive(int fd)
{
    const int on = 1, idle_s = 30, interval_s = 10, probes = 3;

    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s,
               sizeof(interval_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

/* The port is chosen when it is known where to: else there is but one range of
 * them for all destinations. */
static bool bind_from(int fd, uint32_t from4, int family)
{
    const struct sockaddr_in from = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = from4,
    };
    const int on = 1;

    if (from4 == 0 || family != AF_INET)
        return true;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    return bind(fd, (const struct sockaddr *)&from, sizeof(from)) == 0;
}

static bool try_address(struct client *c, const struct sockaddr *address,
                        socklen_t len)
{
    int fd = socket(address->sa_family,
                    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct link *l;

    if (fd < 0)
        return false;
    l = calloc(1, sizeof(*l));
    if (l == NULL || !bind_from(fd, c->from4, address->sa_family) ||
        (connect(fd, address, len) < 0 && errno != EINPROGRESS)) {
        free(l);
        close(fd);
        return false;
    }
    keep_alive(fd);
    l->client = c;
    c->link = l;
    conn_open(&l->conn, fd, &link_ops, false, true);
    conn_set_timer(&l->conn, c->connect_ms);
    return true;
}

static void try_next_address(struct client *c)
{
    while (c->next_address != NULL) {
        const struct evutil_addrinfo *a = c->next_address;

        c->next_address = a->ai_next;
        if (try_address(c, a->ai_addr, a->ai_addrlen))
            return;
        c->slow = false;
    }
    if (c->slow)
        fail(c, CLIENT_SLOW_CONNECT, "the server did not accept in time");
    else
        fail(c, CLIENT_REFUSED, "no connection to the server");
}

static void on_resolved(int error, struct evutil_addrinfo *list, void *arg)
{
    struct client *c = arg;

    c->resolving = NULL;
    worker_timer_clear(c->worker, &c->resolve_timer);
    if (alive(c) < 0) { /* cancelled: the note frees, or has waited for us */
        if (list != NULL)
            evutil_freeaddrinfo(list);
        if (!c->note_posted)
            free_client(c);
        return;
    }
    c->addresses = c->next_address = list;
    if (error != 0)
        fail(c, CLIENT_UNRESOLVED, "the server's name has no address");
    else
        try_next_address(c);
}

/* A resolver may try for much longer than anybody waits. */
static void on_resolve_timeout(struct timer *t)
{
    struct client *c =
        (struct client *)((char *)t - offsetof(struct client, resolve_timer));

    fail(c, CLIENT_UNRESOLVED, "the resolver did not answer in time");
    evdns_getaddrinfo_cancel(c->resolving);
}

/* "localhost" is the loopback of both kinds, whatever a resolver makes of it
 * (RFC 6761 6.3): a server may listen on one of them alone. */
static bool is_localhost(const char *host)
{
    return str_eq_nocase(str_of(host), STR("localhost"));
}

static void try_path(struct client *c, const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    if (strlen(path) < sizeof(at.sun_path)) {
        strcpy(at.sun_path, path);
        if (try_address(c, (struct sockaddr *)&at, sizeof(at)))
            return;
    }
    fail(c, CLIENT_REFUSED, "no connection to the server");
}

static void resolve(struct client *c, const char *host, const char *port)
{
    struct evutil_addrinfo hints = {
        .ai_flags = EVUTIL_AI_NUMERICHOST | EVUTIL_AI_NUMERICSERV,
        .ai_socktype = SOCK_STREAM,
        .ai_protocol = IPPROTO_TCP,
    };
    struct evdns_base *dns;
    struct evdns_getaddrinfo_request *request;

    if (*host == '/') {
        try_path(c, host);
        return;
    }
    if (evutil_getaddrinfo(is_localhost(host) ? NULL : host, port, &hints,
                           &c->addresses) == 0) {
        c->next_address = c->addresses;
        try_next_address(c);
        return;
    }
    hints.ai_flags = EVUTIL_AI_NUMERICSERV;
    dns = worker_dns(c->worker);
    if (dns == NULL) {
        fail(c, CLIENT_UNRESOLVED, "no resolver");
        return;
    }
    /* What /etc/hosts has is answered from inside, and request is NULL. */
    request = evdns_getaddrinfo(dns, host, port, &hints, on_resolved, c);
    if (request == NULL)
        return;
    c->resolving = request;
    worker_timer_set(c->worker, &c->resolve_timer, c->connect_ms);
}

struct client *client_connect(const char *host, uint16_t port,
                              struct tls_server *tls, uint64_t connect_ms,
                              const struct client_ops *ops, void *arg)
{
    return client_connect_from(0, host, port, tls, connect_ms, ops, arg);
}

struct client *client_connect_from(uint32_t from4, const char *host,
                                   uint16_t port, struct tls_server *tls,
                                   uint64_t connect_ms,
                                   const struct client_ops *ops, void *arg)
{
    struct client *c = calloc(1, sizeof(*c));
    char service[8];

    if (c == NULL)
        return NULL;
    c->parser = parser_new(HEAD_RESPONSE, &answer_ops, c,
                           &head_limits_default);
    if (c->parser == NULL) {
        free(c);
        return NULL;
    }
    c->ops = ops;
    c->arg = arg;
    c->worker = worker_self();
    c->tls_server = tls == NULL ? NULL : tls_server_ref(tls);
    c->connect_ms = connect_ms;
    c->from4 = from4;
    c->note.run = run_note;
    c->resolve_timer.fire = on_resolve_timeout;
    snprintf(service, sizeof(service), "%u", port);
    resolve(c, host, service);
    return c;
}

/* ---- the owner's calls ----------------------------------------------------- */

void client_set_owner(struct client *c, const struct client_ops *ops,
                      void *arg)
{
    c->ops = ops;
    c->arg = arg;
}

void *client_arg(const struct client *c)
{
    return c->arg;
}

void client_expect(struct client *c, bool is_head, bool upgrade)
{
    c->expecting = true;
    c->answered = false;
    if (is_head)
        parser_expect_no_body(c->parser);
    if (upgrade)
        parser_expect_upgrade(c->parser);
}

void client_expect_raw(struct client *c)
{
    c->upgraded = true;
}

void client_send(struct client *c, const void *data, size_t len)
{
    const struct iovec whole = {(void *)data, len};

    client_send_all(c, &whole, 1);
}

void client_send_all(struct client *c, const struct iovec *iov, int n)
{
    if (alive(c) < 0)
        return;
    if (c->connected) {
        send_all(c, iov, n);
        return;
    }
    for (int i = 0; i < n; i++)
        buffer_append(&c->early, iov[i].iov_base, iov[i].iov_len);
    if (c->early.failed)
        fail(c, CLIENT_REFUSED, "out of memory");
}

void client_shutdown(struct client *c)
{
    if (alive(c) < 0 || !c->connected)
        return;
    end_tls(c);
    conn_shutdown(&c->link->conn);
}

size_t client_pending(const struct client *c)
{
    if (!c->connected)
        return c->early.len;
    return c->link == NULL ? 0 : conn_pending(&c->link->conn);
}

size_t client_unacked(const struct client *c)
{
    if (!c->connected)
        return c->early.len;
    return c->link == NULL ? 0 : conn_unacked(&c->link->conn);
}

void client_read(struct client *c, bool on)
{
    if (alive(c) < 0 || c->paused == !on)
        return;
    c->paused = !on;
    if (c->link != NULL && c->connected)
        conn_read(&c->link->conn, on);
    if (!on || c->consuming) /* whoever feeds goes on */
        return;
    buffer_drop(&c->input, consume(c, c->input.data, c->input.len));
    if (alive(c) == 0 && c->eof && !c->paused && c->input.len == 0)
        finish_input(c);
}

void client_set_timer(struct client *c, uint64_t delay_ms)
{
    if (c->connected && c->link != NULL)
        conn_set_timer(&c->link->conn, delay_ms);
}

bool client_idle(const struct client *c, bool sure)
{
    char octet;

    if (alive(c) < 0 || !c->connected || c->eof)
        return false;
    return !sure || (recv(c->link->conn.fd, &octet, 1,
                          MSG_PEEK | MSG_DONTWAIT) < 0 &&
                     errno == EAGAIN);
}

bool client_answered(const struct client *c)
{
    return c->answered;
}

void client_bytes(const struct client *c, uint64_t *in, uint64_t *out)
{
    *in = c->bytes_in;
    *out = c->bytes_out;
}
