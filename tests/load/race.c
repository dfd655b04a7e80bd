/* race.c - long polls that end at the very instant that a message comes.
 *
 *   race HTTP_PORT ADMIN_PORT CLIENTS MESSAGES PATIENCE_S
 *
 * Each client has a channel /r/N of its own, polls it, and polls again at once
 * with the cursor that it got.  As a poll ends the channel's next message is
 * posted: before the next poll is sent, or after it, or as the next poll's own
 * wait runs out.  Every client must get 1 to MESSAGES, each once, in order,
 * and none later than PATIENCE_S after it was posted, while a poll waits
 * LONG_WAIT_S: a wake-up that was lost would show.
 *
 * Prints one line of figures; exit status 1, and why, where that fails. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "publisher.h"

#define LONG_WAIT_S   60
#define SHORT_WAIT_MS 60
#define BURST_MAX     3  /* most of the time; and now and then a long one, that
                          * lasts until its first messages have been read */
#define LONG_BURST_MAX 16
#define ID_SIZE       65
#define CONNECTING_MAX 500 /* at a time: a listener's backlog is finite */

struct client {
    struct peer peer; /* first */
    struct octets in;
    unsigned index;
    unsigned posted, got; /* messages of its channel so far */
    bool polling;
    uint64_t due_us;      /* when the next message is to be posted; 0: no */
    uint64_t posted_us;   /* when the oldest that it lacks was posted */
    char cursor[ID_SIZE];
};

static struct {
    uint16_t port;
    unsigned clients, messages;
    uint64_t patience_us;
    struct client *all;
    unsigned connecting, ready, done;
    bool started;
    unsigned long polls, empty, batched;
    uint64_t slowest_us;
} race;

static void poll_again(struct client *c, unsigned wait_ms)
{
    char request[256];
    int n = snprintf(request, sizeof(request),
                     "GET /r/%u?since=%s&wait=%u.%03u HTTP/1.1\r\n"
                     "Host: localhost\r\n\r\n",
                     c->index, c->cursor, wait_ms / 1000, wait_ms % 1000);

    c->polling = true;
    race.polls++;
    peer_send(&c->peer, request, (size_t)n);
}

static void post(struct client *c)
{
    char channel[32], data[16];
    int n;

    if (c->posted == race.messages)
        return;
    if (c->posted++ == c->got)
        c->posted_us = now_us();
    snprintf(channel, sizeof(channel), "r/%u", c->index);
    n = snprintf(data, sizeof(data), "%u", c->posted);
    publisher_post(c->index, channel, data, (size_t)n);
}

static void post_some(struct client *c)
{
    int most = rand() % 4 == 0 ? LONG_BURST_MAX : BURST_MAX;

    for (int n = 1 + rand() % most; n > 0; n--)
        post(c);
}

/* A poll has ended: what comes next, and in which order, is what this program
 * is about. */
static void go_on(struct client *c)
{
    bool all_came = c->posted == c->got;

    if (c->got == race.messages) {
        race.done++;
        return;
    }
    switch (all_came && c->due_us == 0 ? rand() % 7 : -1) {
    case 0: case 1:
        post_some(c);
        poll_again(c, LONG_WAIT_S * 1000);
        break;
    case 2: case 3:
        poll_again(c, LONG_WAIT_S * 1000);
        post_some(c);
        break;
    case 4: case 5:
        post(c);
        poll_again(c, LONG_WAIT_S * 1000);
        post(c);
        break;
    case 6: /* the server's wheel turns every 20 ms, and is never early */
        poll_again(c, SHORT_WAIT_MS);
        c->due_us = now_us() + SHORT_WAIT_MS * 1000 + (uint64_t)(rand() % 25000);
        break;
    default:
        poll_again(c, c->due_us != 0 ? SHORT_WAIT_MS : LONG_WAIT_S * 1000);
    }
}

/* ---- answers ---------------------------------------------------------------- */

static void take_cursor(struct client *c, const struct answer *a)
{
    const char *etag = find(a->head, a->head_len, "ETag: \"");
    size_t n;

    if (etag == NULL)
        die("client %u: no ETag in %.*s", c->index, (int)a->head_len, a->head);
    n = strcspn(etag + 7, "\"");
    if (n >= ID_SIZE)
        die("client %u: an id of %zu octets", c->index, n);
    memcpy(c->cursor, etag + 7, n);
    c->cursor[n] = '\0';
}

static void take_messages(struct client *c, const struct answer *a)
{
    static const char mark[] = "\"data\":\"";
    const char *at = a->body, *end = a->body + a->body_len;
    unsigned before = c->got;

    if (find(a->body, a->body_len, "\"gap\":true") != NULL)
        die("client %u: a gap after message %u", c->index, c->got);
    while ((at = find(at, (size_t)(end - at), mark)) != NULL) {
        unsigned long n = strtoul(at + sizeof(mark) - 1, NULL, 10);

        if (n != c->got + 1)
            die("client %u: message %lu after %u", c->index, n, c->got);
        c->got++;
        at += sizeof(mark) - 1;
    }
    if (c->got == before)
        die("client %u: 200 without a message", c->index);
    race.batched += c->got > before + 1;
}

static void note_delay(struct client *c)
{
    uint64_t now = now_us();

    if (now - c->posted_us > race.slowest_us)
        race.slowest_us = now - c->posted_us;
    c->posted_us = now; /* of the rest: no earlier */
}

static void take_answer(struct client *c, const struct answer *a)
{
    c->polling = false;
    take_cursor(c, a);
    if (!race.started) {
        race.connecting--;
        race.ready++;
        return;
    }
    if (a->status == 200) {
        take_messages(c, a);
        note_delay(c);
    } else if (a->status == 204) {
        race.empty++;
    } else {
        die("client %u: %.*s", c->index, (int)a->head_len, a->head);
    }
    go_on(c);
}

static void on_connected(struct peer *p)
{
    poll_again((struct client *)p, 0);
}

static void on_data(struct peer *p, const char *data, size_t len)
{
    struct client *c = (struct client *)p;
    struct answer a;
    size_t n;

    octets_add(&c->in, data, len);
    while (c->in.len > 0 && (n = answer_read(&c->in, &a)) > 0) {
        if (!c->polling)
            die("client %u: an answer to no request", c->index);
        take_answer(c, &a);
        octets_drop(&c->in, n);
    }
}

static void on_closed(struct peer *p, int error)
{
    die("client %u: closed: %s", ((struct client *)p)->index, strerror(error));
}

static const struct peer_ops client_ops = {on_connected, on_data, on_closed};

/* ---- the whole -------------------------------------------------------------- */

static void connect_all(void)
{
    unsigned next = 0;

    race.all = calloc(race.clients, sizeof(*race.all));
    if (race.all == NULL)
        die("out of memory");
    while (race.ready < race.clients) {
        while (next < race.clients && race.connecting < CONNECTING_MAX) {
            struct client *c = &race.all[next];

            c->index = next++;
            snprintf(c->cursor, sizeof(c->cursor), "now");
            race.connecting++;
            peer_connect(&c->peer, &client_ops, race.port, c->index);
        }
        peers_run(1000);
    }
}

/* Posts what is due, and looks for what was lost. */
static void look_at(struct client *c, uint64_t now)
{
    if (c->due_us != 0 && now >= c->due_us) {
        c->due_us = 0;
        post(c);
    }
    if (c->posted > c->got && now > c->posted_us &&
        now - c->posted_us > race.patience_us)
        die("client %u: message %u of %u has not come in %llu ms, polling=%d",
            c->index, c->got + 1, c->posted,
            (unsigned long long)(now - c->posted_us) / 1000, c->polling);
}

static void run(void)
{
    uint64_t looked_us = 0;

    race.started = true;
    for (unsigned i = 0; i < race.clients; i++)
        go_on(&race.all[i]);
    while (race.done < race.clients || publisher_pending() > 0) {
        uint64_t now = now_us();

        peers_run(1);
        if (now < looked_us + 1000)
            continue;
        looked_us = now;
        for (unsigned i = 0; i < race.clients; i++)
            look_at(&race.all[i], now);
    }
}

int main(int argc, char **argv)
{
    uint64_t start_us;

    if (argc != 6)
        die("usage: race HTTP_PORT ADMIN_PORT CLIENTS MESSAGES PATIENCE_S");
    race.port = (uint16_t)atoi(argv[1]);
    race.clients = (unsigned)atoi(argv[3]);
    race.messages = (unsigned)atoi(argv[4]);
    race.patience_us = (uint64_t)atoi(argv[5]) * 1000000;
    peers_init();
    publisher_init((uint16_t)atoi(argv[2]));
    connect_all();
    start_us = now_us();
    run();
    printf("clients=%u messages=%u polls=%lu empty=%lu batched=%lu "
           "slowest_ms=%llu seconds=%.1f\n",
           race.clients, race.clients * race.messages, race.polls, race.empty,
           race.batched, (unsigned long long)race.slowest_us / 1000,
           (double)(now_us() - start_us) / 1e6);
    return 0;
}
