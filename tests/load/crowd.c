/* crowd.c - many followers of one channel, over SSE and WebSocket.
 *
 *   crowd HTTP_PORT ADMIN_PORT PATH CHANNEL
 *
 * Takes commands on standard input, one a line, and answers each with a line:
 *
 *   connect sse|websocket N      connected N
 *   publish N RATE BYTES         published N ... (figures, see publish())
 *   status                       following N closed N pings N comments N
 *
 * A message is its number, the time when it was posted and filling; followers
 * check that they get every one once and in order, and the delay of each is
 * counted.  RATE is messages a second. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "publisher.h"

#define CONNECTING_MAX 500 /* at a time: a listener's backlog is finite */
#define LINE_KEPT      64  /* octets of a line or frame that are looked at */
#define BYTES_MAX      65536
#define DELAY_STEP_US  10
#define DELAY_STEPS    1000000 /* 10 s; longer ones count as that */
#define PATIENCE_US    20000000

enum kind { SSE, WEBSOCKET };

struct follower {
    struct peer peer; /* first */
    enum kind kind;
    bool following;      /* the head of its answer has come */
    unsigned index;
    unsigned char kept;  /* octets of line */
    char line[LINE_KEPT];
    unsigned char head_len, head_need, head[10]; /* WebSocket: of a frame */
    uint64_t payload_left;
    unsigned long last;  /* the message that came last */
};

static struct {
    uint16_t port;
    const char *path, *channel;
    struct follower **all;
    unsigned count, connecting, following, closed;
    unsigned long posted, delivered, misplaced, pings, comments;
    unsigned *delays;    /* how many of DELAY_STEP_US times the index */
} crowd;

/* ---- messages --------------------------------------------------------------- */

static void note_delay(uint64_t posted_us)
{
    uint64_t step = (now_us() - posted_us) / DELAY_STEP_US;

    crowd.delays[step < DELAY_STEPS ? step : DELAY_STEPS - 1]++;
}

/* text is a message's beginning, terminated. */
static void take_message(struct follower *f, const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (n != f->last + 1) {
        if (crowd.misplaced++ == 0)
            fprintf(stderr, "follower %u: message %lu after %lu\n", f->index,
                    n, f->last);
    }
    f->last = n;
    crowd.delivered++;
    note_delay(strtoull(end, NULL, 10));
}

static void keep(struct follower *f, const char *data, size_t len)
{
    size_t room = LINE_KEPT - 1 - f->kept;

    memcpy(f->line + f->kept, data, len < room ? len : room);
    f->kept += (unsigned char)(len < room ? len : room);
}

/* ---- SSE -------------------------------------------------------------------- */

/* Sizes of chunks are lines as well, and no field's. */
static void take_line(struct follower *f)
{
    f->line[f->kept] = '\0';
    if (strncmp(f->line, "data: ", 6) == 0)
        take_message(f, f->line + 6);
    else if (f->line[0] == ':')
        crowd.comments++;
    f->kept = 0;
}

static void take_lines(struct follower *f, const char *data, size_t len)
{
    while (len > 0) {
        const char *end = memchr(data, '\n', len);
        size_t n = end == NULL ? len : (size_t)(end - data);

        keep(f, data, n);
        if (end == NULL)
            return;
        take_line(f);
        data += n + 1;
        len -= n + 1;
    }
}

/* ---- WebSocket (RFC 6455 5.2) ----------------------------------------------- */

static unsigned head_size(unsigned char second)
{
    unsigned length = second & 127;

    return length == 127 ? 10 : length == 126 ? 4 : 2;
}

static uint64_t payload_size(const struct follower *f)
{
    uint64_t n = 0;

    if (f->head_need == 2)
        return f->head[1] & 127;
    for (unsigned i = 2; i < f->head_need; i++)
        n = n << 8 | f->head[i];
    return n;
}

static bool has_head(const struct follower *f)
{
    return f->head_len >= 2 && f->head_len == f->head_need;
}

static void take_head_octet(struct follower *f, char octet)
{
    f->head[f->head_len++] = (unsigned char)octet;
    if (f->head_len == 2)
        f->head_need = (unsigned char)head_size(f->head[1]);
    if (has_head(f))
        f->payload_left = payload_size(f);
}

static void take_frame(struct follower *f)
{
    /* Masked by 0, which will do. */
    static const unsigned char pong[6] = {0x8a, 0x80}, bye[6] = {0x88, 0x80};

    f->line[f->kept] = '\0';
    f->kept = 0;
    f->head_len = 0;
    switch (f->head[0]) {
    case 0x81:
        take_message(f, f->line);
        break;
    case 0x89:
        crowd.pings++;
        peer_send(&f->peer, pong, sizeof(pong));
        break;
    case 0x88:
        peer_send(&f->peer, bye, sizeof(bye));
        break; /* the end of the connection follows */
    default:
        die("follower %u: a frame that begins with %#x", f->index, f->head[0]);
    }
}

static void take_frames(struct follower *f, const char *data, size_t len)
{
    while (len > 0) {
        size_t n = 1;

        if (!has_head(f)) {
            take_head_octet(f, *data);
        } else {
            n = len < f->payload_left ? len : f->payload_left;
            keep(f, data, n);
            f->payload_left -= n;
        }
        data += n;
        len -= n;
        if (has_head(f) && f->payload_left == 0)
            take_frame(f);
    }
}

/* ---- a follower ------------------------------------------------------------- */

static void on_connected(struct peer *p)
{
    static const char *const fields[] = {
        [SSE] = "Accept: text/event-stream\r\n",
        [WEBSOCKET] = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                      "Sec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    };
    struct follower *f = (struct follower *)p;
    char request[512];
    int n = snprintf(request, sizeof(request),
                     "GET %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n",
                     crowd.path, fields[f->kind]);

    peer_send(p, request, (size_t)n);
}

/* The head is small and comes in one piece, or the beginning of what follows
 * with it; returns its length. */
static size_t take_head(struct follower *f, const char *data, size_t len)
{
    static const char *const starts[] = {
        [SSE] = "HTTP/1.1 200 ", [WEBSOCKET] = "HTTP/1.1 101 "};
    const char *end = find(data, len, "\r\n\r\n");

    if (end == NULL || strncmp(data, starts[f->kind], 13) != 0)
        die("follower %u: %.*s", f->index, (int)len, data);
    f->following = true;
    f->last = crowd.posted;
    crowd.connecting--;
    crowd.following++;
    return (size_t)(end + 4 - data);
}

static void on_data(struct peer *p, const char *data, size_t len)
{
    struct follower *f = (struct follower *)p;
    size_t head = f->following ? 0 : take_head(f, data, len);

    if (f->kind == SSE)
        take_lines(f, data + head, len - head);
    else
        take_frames(f, data + head, len - head);
}

static void on_closed(struct peer *p, int error)
{
    struct follower *f = (struct follower *)p;

    if (!f->following)
        die("follower %u: %s before its answer", f->index,
            error == 0 ? "closed" : strerror(error));
    crowd.following--;
    crowd.closed++;
}

static const struct peer_ops follower_ops = {on_connected, on_data, on_closed};

static void connect_one(enum kind kind)
{
    struct follower *f = calloc(1, sizeof(*f));

    if (f == NULL)
        die("out of memory");
    f->kind = kind;
    f->index = crowd.count;
    crowd.all[crowd.count++] = f;
    crowd.connecting++;
    peer_connect(&f->peer, &follower_ops, crowd.port, f->index);
}

static void connect_crowd(enum kind kind, unsigned n)
{
    unsigned begun = 0;

    crowd.all = realloc(crowd.all, (crowd.count + n) * sizeof(*crowd.all));
    if (crowd.all == NULL)
        die("out of memory");
    while (begun < n || crowd.connecting > 0) {
        while (begun < n && crowd.connecting < CONNECTING_MAX) {
            connect_one(kind);
            begun++;
        }
        peers_run(1000);
    }
    printf("connected %u\n", n);
}

/* ---- publishing ------------------------------------------------------------- */

static void post(size_t bytes)
{
    static char data[BYTES_MAX];
    int n = snprintf(data, sizeof(data), "%lu %llu ", ++crowd.posted,
                     (unsigned long long)now_us());

    if ((size_t)n < bytes)
        memset(data + n, 'x', bytes - (size_t)n);
    publisher_post(0, crowd.channel, data,
                   (size_t)n < bytes ? bytes : (size_t)n);
}

/* The delay, in milliseconds, that share of all deliveries did not exceed. */
static double delay_ms(double share)
{
    unsigned long left =
        (unsigned long)((double)(crowd.delivered - 1) * share);
    unsigned step = 0;

    while (step < DELAY_STEPS - 1 && left >= crowd.delays[step])
        left -= crowd.delays[step++];
    return (step + 1) * (DELAY_STEP_US / 1000.0);
}

static bool all_came(void)
{
    for (unsigned i = 0; i < crowd.count; i++)
        if (crowd.all[i]->peer.fd >= 0 && crowd.all[i]->last < crowd.posted)
            return false;
    return publisher_pending() == 0;
}

static void report(unsigned n, uint64_t posting_us)
{
    printf("published %u delivered %lu misplaced %lu seconds %.3f p50_ms %.2f "
           "p99_ms %.2f max_ms %.2f\n",
           n, crowd.delivered, crowd.misplaced, (double)posting_us / 1e6,
           delay_ms(0.5), delay_ms(0.99), delay_ms(1));
}

/* Ends when every follower that is there has the last message. */
static void publish(unsigned n, unsigned rate, size_t bytes)
{
    uint64_t start_us = now_us(), posting_us, step_us = 1000000 / rate;

    crowd.delivered = crowd.misplaced = 0;
    memset(crowd.delays, 0, DELAY_STEPS * sizeof(*crowd.delays));
    for (unsigned i = 0; i < n;) {
        uint64_t now = now_us(), due = start_us + i * step_us;

        if (now < due) {
            peers_run((int)((due - now + 999) / 1000));
            continue;
        }
        post(bytes);
        i++;
        peers_run(0);
    }
    posting_us = now_us() - start_us;
    while (!all_came()) {
        if (now_us() > start_us + posting_us + PATIENCE_US)
            die("not all have come: %lu of %lu", crowd.delivered,
                (unsigned long)n * crowd.following);
        peers_run(10);
    }
    report(n, posting_us);
}

/* ---- commands --------------------------------------------------------------- */

static void obey(const char *line)
{
    unsigned n, rate, bytes;
    char kind[16];

    if (sscanf(line, "connect %15s %u", kind, &n) == 2)
        connect_crowd(kind[0] == 's' ? SSE : WEBSOCKET, n);
    else if (sscanf(line, "publish %u %u %u", &n, &rate, &bytes) == 3 &&
             rate > 0 && bytes < BYTES_MAX)
        publish(n, rate, bytes);
    else if (strncmp(line, "status", 6) == 0)
        printf("following %u closed %u pings %lu comments %lu\n",
               crowd.following, crowd.closed, crowd.pings, crowd.comments);
    else
        die("no such command: %s", line);
    fflush(stdout);
}

/* Whoever commands waits for the answer, so a line comes alone. */
static void on_command(int fd)
{
    char line[256];
    ssize_t n = read(fd, line, sizeof(line) - 1);

    if (n <= 0)
        exit(0);
    line[n] = '\0';
    obey(line);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        die("usage: crowd HTTP_PORT ADMIN_PORT PATH CHANNEL");
    crowd.port = (uint16_t)atoi(argv[1]);
    crowd.path = argv[3];
    crowd.channel = argv[4];
    crowd.delays = calloc(DELAY_STEPS, sizeof(*crowd.delays));
    if (crowd.delays == NULL)
        die("out of memory");
    peers_init();
    publisher_init((uint16_t)atoi(argv[2]));
    peers_watch(STDIN_FILENO, on_command);
    for (;;)
        peers_run(1000);
}
