#include "bench/publisher.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/crowd.h"
#include "http/client.h"
#include "net/worker.h"

#define CONNECT_MS 10000
#define ANSWER_MS  30000

/* A letter to be sent: which, and when it was due. */
struct due {
    uint64_t index, at_us;
};

/* One connection, which carries some of the channels, so that those keep their
 * order. */
struct poster {
    struct publisher *publisher;
    struct client *client; /* NULL: none yet, or lost */
    struct due *queue;     /* a ring */
    size_t head, count, cap;
    struct due current; /* on its way, while busy */
    bool busy;
    unsigned status;
    uint64_t seen_in, seen_out;
};

struct publisher {
    const struct publisher_settings *settings;
    struct worker *worker;
    struct poster *posters;
    struct polled ticking; /* the timerfd */
    struct note note;      /* deliveries were made */
    struct note begin, stop;
    int timer_fd;
    uint64_t next;      /* letter to become due */
    uint32_t *accepted; /* by channel */
    uint64_t end_us;
    uint64_t on_way; /* posted, or waiting to be */
    struct publisher_sum sum;
    bool over; /* no more become due */
    _Atomic bool done;
    _Atomic uint64_t accepted_all;
};

/* ---- posting ------------------------------------------------------------------------ */

static void post_next(struct poster *p);

static void note_error(struct publisher *p, const char *why, unsigned status)
{
    if (p->sum.first_error[0] == '\0' && status != 0)
        snprintf(p->sum.first_error, sizeof(p->sum.first_error),
                 "a message was answered with %u", status);
    else if (p->sum.first_error[0] == '\0')
        snprintf(p->sum.first_error, sizeof(p->sum.first_error), "%s", why);
}

static void account(struct poster *p)
{
    uint64_t in, out;

    if (p->client == NULL)
        return;
    client_bytes(p->client, &in, &out);
    p->publisher->sum.bytes_in += in - p->seen_in;
    p->publisher->sum.bytes_out += out - p->seen_out;
    p->seen_in = in;
    p->seen_out = out;
}

static void forget_client(struct poster *p)
{
    account(p);
    p->client = NULL;
    p->seen_in = p->seen_out = 0;
}

static void look_whether_done(struct publisher *p)
{
    if (p->over && p->on_way == 0)
        p->done = true;
}

static void finish_current(struct poster *p, bool accepted)
{
    struct publisher *all = p->publisher;
    uint64_t now_us = clock_now_us();

    p->busy = false;
    all->on_way--;
    all->sum.accepted += accepted;
    all->sum.failed += !accepted;
    all->sum.ended_us = now_us;
    if (accepted) {
        all->accepted[p->current.index % all->settings->channel_count]++;
        all->accepted_all = all->sum.accepted;
        histogram_add(&all->sum.answer_us, now_us - p->current.at_us);
    }
    look_whether_done(all);
}

static void on_head(struct client *c, const struct http_message *m)
{
    struct poster *p = client_arg(c);

    if (m->status >= 200)
        p->status = m->status;
}

static void on_body(struct client *c, const char *data, size_t len)
{
}

static void on_end(struct client *c, bool reusable)
{
    struct poster *p = client_arg(c);
    bool good = p->status >= 200 && p->status < 300;

    if (p->status == 0)
        return; /* an interim answer */
    if (!good)
        note_error(p->publisher, NULL, p->status);
    if (!reusable) {
        forget_client(p);
        client_close(c);
    }
    finish_current(p, good);
    post_next(p);
}

static void on_raw(struct client *c, char *data, size_t len)
{
}

static void on_failed(struct client *c, enum client_failure failure,
                      const char *why)
{
    struct poster *p = client_arg(c);
    bool busy = p->busy;

    forget_client(p);
    if (!busy)
        return;
    note_error(p->publisher, why, 0);
    finish_current(p, false);
    post_next(p);
}

static const struct client_ops poster_ops = {
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .raw = on_raw,
    .failed = on_failed,
};

/* The template with its two names filled in. */
static void write_body(const struct publisher_settings *s,
                       const struct letter *letter, struct buffer *out)
{
    const char *t = s->template == NULL ? "{message}" : s->template;

    while (*t != '\0') {
        if (strncmp(t, "{message}", 9) == 0) {
            letter_write(s->form, letter, out);
            t += 9;
        } else if (strncmp(t, "{channel}", 9) == 0) {
            buffer_append_u64(out, letter->channel);
            t += 9;
        } else {
            buffer_append_byte(out, *t++);
        }
    }
}

static void write_head(const struct publisher_settings *s,
                       const struct location *at, size_t body_len,
                       struct buffer *out)
{
    buffer_append_str(out, STR("POST "));
    buffer_append_str(out, buffer_str(&at->path));
    buffer_append_str(out, STR(" HTTP/1.1\r\nHost: "));
    location_write_host(at, out);
    buffer_printf(out, "\r\nContent-Type: %s\r\nContent-Length: %zu\r\n",
                  s->type, body_len);
    if (s->fields != NULL)
        buffer_append_str(out, str_of(s->fields));
    buffer_append_str(out, STR("\r\n"));
}

static void send_letter(struct poster *p, struct due due)
{
    const struct publisher_settings *s = p->publisher->settings;
    const struct letter letter = {
        .channel = (uint32_t)(due.index % s->channel_count),
        .number = (uint32_t)(due.index / s->channel_count),
        .time_us = due.at_us,
    };
    struct buffer head = {0}, body = {0};
    struct iovec iov[2];

    write_body(s, &letter, &body);
    write_head(s, &s->channels[letter.channel], body.len, &head);
    iov[0] = (struct iovec){head.data, head.len};
    iov[1] = (struct iovec){body.data, body.len};
    p->busy = true;
    p->current = due;
    p->status = 0;
    client_expect(p->client, false, false);
    client_send_all(p->client, iov, 2);
    client_set_timer(p->client, ANSWER_MS);
    buffer_fini(&head);
    buffer_fini(&body);
}

static bool connect_poster(struct poster *p)
{
    const struct publisher_settings *s = p->publisher->settings;

    if (p->client == NULL)
        p->client = client_connect(s->channels[0].host, s->channels[0].port,
                                   s->tls, CONNECT_MS, &poster_ops, p);
    return p->client != NULL;
}

static void post_next(struct poster *p)
{
    struct due due;

    if (p->busy || p->count == 0 || !connect_poster(p))
        return;
    due = p->queue[p->head];
    p->head = (p->head + 1) % p->cap;
    p->count--;
    send_letter(p, due);
}

/* Makes the ring larger, and straight. */
static bool grow(struct poster *p)
{
    size_t cap = p->cap == 0 ? 64 : 2 * p->cap;
    struct due *more = malloc(cap * sizeof(*more));

    if (more == NULL)
        return false;
    for (size_t i = 0; i < p->count; i++)
        more[i] = p->queue[(p->head + i) % p->cap];
    free(p->queue);
    p->queue = more;
    p->head = 0;
    p->cap = cap;
    return true;
}

static void enqueue(struct publisher *p, struct due due)
{
    unsigned channel = (unsigned)(due.index % p->settings->channel_count);
    struct poster *to = &p->posters[channel % p->settings->connections];

    p->sum.due++;
    if (to->count == to->cap && !grow(to)) {
        p->sum.failed++;
        return;
    }
    to->queue[(to->head + to->count++) % to->cap] = due;
    p->on_way++;
    post_next(to);
}

/* ---- when ---------------------------------------------------------------------------- */

static bool is_last(struct publisher *p, uint64_t at_us)
{
    const struct publisher_settings *s = p->settings;

    p->over =
        p->over || at_us >= p->end_us || (s->limit > 0 && p->next >= s->limit);
    return p->over;
}

static uint64_t due_us(const struct publisher *p, uint64_t index)
{
    return p->sum.began_us +
           (uint64_t)((double)index * 1e6 / p->settings->rate);
}

static void set_alarm(struct publisher *p, uint64_t at_us)
{
    const struct itimerspec when = {
        .it_value = {(time_t)(at_us / 1000000), (long)(at_us % 1000000) * 1000},
    };

    timerfd_settime(p->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* All that is due by now, however late we are. */
static void send_due(struct publisher *p)
{
    uint64_t now_us = clock_now_us(), at_us = due_us(p, p->next);

    while (at_us <= now_us && !is_last(p, at_us)) {
        enqueue(p, (struct due){p->next++, at_us});
        at_us = due_us(p, p->next);
    }
    if (!is_last(p, at_us))
        set_alarm(p, at_us);
    look_whether_done(p);
}

static void on_tick(struct polled *polled, uint32_t events)
{
    struct publisher *p =
        (struct publisher *)((char *)polled -
                             offsetof(struct publisher, ticking));
    uint64_t times;

    if (read(p->timer_fd, &times, sizeof(times)) > 0)
        send_due(p);
}

/* How many deliveries there are when the first n letters have all arrived. */
static uint64_t deliveries_of(const struct publisher *p, uint64_t n)
{
    const struct publisher_settings *s = p->settings;
    uint64_t whole = n / s->channel_count, rest = n % s->channel_count;
    uint64_t uneven = s->readers % s->channel_count;

    return whole * s->readers + rest * (s->readers / s->channel_count) +
           (rest < uneven ? rest : uneven);
}

/* Keeps the window full; its oldest letter's last delivery wakes us again. */
static void fill_window(struct publisher *p)
{
    uint64_t had = crowd_delivered(p->settings->crowd), now_us = clock_now_us();
    unsigned window = p->settings->window;

    while (!is_last(p, now_us) &&
           (p->next < window || deliveries_of(p, p->next + 1 - window) <= had))
        enqueue(p, (struct due){p->next++, now_us});
    if (!p->over)
        crowd_wake_at(p->settings->crowd,
                      deliveries_of(p, p->next + 1 - window), p->worker,
                      &p->note);
    else
        look_whether_done(p);
}

static void on_deliveries(struct note *note)
{
    struct publisher *p =
        (struct publisher *)((char *)note - offsetof(struct publisher, note));

    if (!p->over)
        fill_window(p);
}

/* A window that stands still, as messages were lost, must end all the same. */
static void on_window_end(struct polled *polled, uint32_t events)
{
    struct publisher *p =
        (struct publisher *)((char *)polled -
                             offsetof(struct publisher, ticking));

    p->over = true;
    look_whether_done(p);
}

static void run_begin(struct note *note)
{
    struct publisher *p =
        (struct publisher *)((char *)note - offsetof(struct publisher, begin));
    bool open = p->settings->rate > 0;

    p->ticking.run = open ? on_tick : on_window_end;
    poller_add(&p->worker->poller, p->timer_fd, &p->ticking, EPOLLIN | EPOLLET);
    p->sum.began_us = clock_now_us();
    p->end_us = p->sum.began_us + p->settings->duration_us;
    if (open) {
        send_due(p);
        return;
    }
    set_alarm(p, p->end_us);
    fill_window(p);
}

static void run_stop(struct note *note)
{
    struct publisher *p =
        (struct publisher *)((char *)note - offsetof(struct publisher, stop));
    struct timespec t = {0, 0};

    p->over = true;
    p->sum.failed += p->on_way;
    if (p->on_way > 0)
        note_error(p, "there was no answer when it ended", 0);
    for (unsigned i = 0; i < p->settings->connections; i++) {
        struct poster *to = &p->posters[i];
        struct client *c = to->client;

        forget_client(to);
        if (c != NULL)
            client_close(c);
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    p->sum.cpu_us = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
    worker_stop(p->worker);
}

/* ---- the whole ------------------------------------------------------------------------ */

static int prepare(struct publisher *p)
{
    const struct publisher_settings *s = p->settings;

    p->posters = calloc(s->connections, sizeof(*p->posters));
    p->accepted = calloc(s->channel_count, sizeof(*p->accepted));
    p->worker = worker_new(0, p);
    p->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (p->posters == NULL || p->accepted == NULL || p->worker == NULL ||
        p->timer_fd < 0)
        return -ENOMEM;
    for (unsigned i = 0; i < s->connections; i++)
        p->posters[i].publisher = p;
    p->note.run = on_deliveries;
    p->begin.run = run_begin;
    p->stop.run = run_stop;
    return worker_start(p->worker);
}

int publisher_new(struct publisher **out,
                  const struct publisher_settings *settings)
{
    struct publisher *p = calloc(1, sizeof(*p));
    int rc;

    *out = p;
    if (p == NULL)
        return -ENOMEM;
    p->settings = settings;
    rc = prepare(p);
    if (rc == 0)
        worker_post(p->worker, &p->begin);
    return rc;
}

bool publisher_done(const struct publisher *p)
{
    return p->done;
}

uint64_t publisher_accepted(const struct publisher *p)
{
    return p->accepted_all;
}

void publisher_stop(struct publisher *p)
{
    worker_post(p->worker, &p->stop);
    worker_join(p->worker);
}

const struct publisher_sum *publisher_sum(const struct publisher *p)
{
    return &p->sum;
}

const uint32_t *publisher_channels(const struct publisher *p)
{
    return p->accepted;
}

void publisher_free(struct publisher **pp)
{
    struct publisher *p = *pp;

    *pp = NULL;
    if (p == NULL)
        return;
    for (unsigned i = 0; p->posters != NULL && i < p->settings->connections;
         i++)
        free(p->posters[i].queue);
    free(p->posters);
    free(p->accepted);
    if (p->timer_fd >= 0)
        close(p->timer_fd);
    if (p->worker != NULL)
        worker_free(p->worker);
    free(p);
}
