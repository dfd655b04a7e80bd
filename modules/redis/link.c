#include "link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/logging.h"
#include "http/client.h"
#include "net/worker.h"

/* Beside a string that is not whole yet, what else of it may stand in the
 * reader's buffer: a read, and heads. */
#define SLACK (WORKER_SCRATCH + 4096)

struct link {
    const struct link_ops *ops;
    void *arg;
    struct client *client;
    redisReader *reader;
    struct timer silence;
    uint64_t ping_ms;
    size_t string_max;
    unsigned greetings; /* replies to AUTH and SELECT that are due */
    bool asked;         /* nothing came since something was asked for */
    bool feeding;       /* on_raw() is on the stack */
    bool closed;
};

static void free_link(struct link *l)
{
    redisReaderFree(l->reader);
    free(l);
}

void link_close(struct link *l)
{
    if (l->closed)
        return;
    l->closed = true;
    worker_timer_clear(worker_self(), &l->silence);
    if (l->client != NULL)
        client_close(l->client);
    if (!l->feeding)
        free_link(l);
}

static void give_up(struct link *l, const char *why)
{
    const struct link_ops *ops = l->ops;
    void *arg = l->arg;

    if (l->closed)
        return;
    link_close(l);
    ops->failed(arg, why);
}

/* ---- out ----------------------------------------------------------------- */

int link_command(struct link *l, const struct str *words, int n)
{
    struct buffer b = {0};
    int rc = 0;

    if (l->closed)
        return 0;
    buffer_printf(&b, "*%d\r\n", n);
    for (int i = 0; i < n; i++) {
        buffer_printf(&b, "$%zu\r\n", words[i].n);
        buffer_append_str(&b, words[i]);
        buffer_append_str(&b, STR("\r\n"));
    }
    /* Half a command would be the end of all that follow. */
    if (!b.failed) {
        client_send(l->client, b.data, b.len);
    } else {
        log_warn_limited("redis.dropped", "reason=\"out of memory\"");
        rc = -ENOMEM;
    }
    buffer_fini(&b);
    return rc;
}

/* ---- silence ------------------------------------------------------------- */

static void watch(struct link *l, bool asked)
{
    l->asked = asked;
    worker_timer_set(worker_self(), &l->silence, l->ping_ms);
}

/* That a PING could be sent proves nothing: only what comes does. */
static void on_silence(struct timer *t)
{
    struct link *l =
        (struct link *)((char *)t - offsetof(struct link, silence));

    if (l->asked) {
        give_up(l, "Redis does not answer");
        return;
    }
    link_command(l, &STR("PING"), 1);
    watch(l, true);
}

/* ---- in ------------------------------------------------------------------ */

const char *reply_error(const redisReply *r, char *out, size_t cap)
{
    return log_quote(out, cap, r->str, (size_t)r->len);
}

/* Inside a subscription a PONG is an array. */
static bool is_pong(const redisReply *r)
{
    if (r->type == REDIS_REPLY_STATUS)
        return str_eq(reply_str(r), STR("PONG"));
    return r->type == REDIS_REPLY_ARRAY && r->elements == 2 &&
           r->element[0]->type == REDIS_REPLY_STRING &&
           str_eq(reply_str(r->element[0]), STR("pong"));
}

static void greet(struct link *l, const redisReply *r)
{
    char text[200];

    l->greetings--;
    if (r->type != REDIS_REPLY_ERROR)
        return;
    log_warn_limited("redis.refused", "error=%s",
                     reply_error(r, text, sizeof(text)));
    give_up(l, "Redis refused the password or the database");
}

static void take(struct link *l, const redisReply *r)
{
    if (l->greetings > 0)
        greet(l, r);
    else if (!is_pong(r))
        l->ops->reply(l->arg, r);
}

/* NULL, or what is wrong. */
static const char *take_all(struct link *l)
{
    redisReply *r;

    do {
        void *reply = NULL;

        if (redisReaderGetReply(l->reader, &reply) != REDIS_OK)
            return "Redis sent what it should not, or there is no memory";
        r = reply;
        if (r != NULL)
            take(l, r);
        freeReplyObject(r);
    } while (r != NULL && !l->closed);
    if (!l->closed && l->reader->len - l->reader->pos > l->string_max + SLACK)
        return "Redis has announced more than \"message\" allows";
    return NULL;
}

static void on_raw(struct client *c, char *data, size_t len)
{
    struct link *l = client_arg(c);
    const char *why = "out of memory";

    l->feeding = true;
    watch(l, false);
    if (redisReaderFeed(l->reader, data, len) == REDIS_OK)
        why = take_all(l);
    if (!l->closed)
        l->ops->delivered(l->arg);
    if (why != NULL)
        give_up(l, why);
    l->feeding = false;
    if (l->closed)
        free_link(l);
}

/* ---- the connection ------------------------------------------------------ */

static void on_connected(struct client *c)
{
    watch(client_arg(c), true);
}

static void on_failed(struct client *c, enum client_failure failure,
                      const char *why)
{
    struct link *l = client_arg(c);

    l->client = NULL;
    give_up(l, why);
}

static void on_head(struct client *c, const struct http_message *m)
{
}

static void on_body(struct client *c, const char *data, size_t len)
{
}

static void on_end(struct client *c, bool reusable)
{
}

static const struct client_ops client_ops = {
    .connected = on_connected,
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .raw = on_raw,
    .failed = on_failed,
};

/* AUTH with a user is of Redis 6. */
static void log_in(struct link *l, struct str user, struct str password)
{
    const struct str words[] = {STR("AUTH"), user, password};
    const struct str plain[] = {STR("AUTH"), password};

    l->greetings++;
    if (user.n > 0)
        link_command(l, words, 3);
    else
        link_command(l, plain, 2);
}

static void select_database(struct link *l, unsigned db)
{
    char number[16];
    const struct str words[] = {
        STR("SELECT"),
        {number, (size_t)snprintf(number, sizeof(number), "%u", db)},
    };

    l->greetings++;
    link_command(l, words, 2);
}

struct link *link_open(const struct backend *backend,
                       const struct backend_server *server,
                       const struct link_ops *ops, void *arg)
{
    struct link *l = calloc(1, sizeof(*l));
    const char *password = backend->password != NULL ? backend->password
                                                     : server->password;

    if (l == NULL)
        return NULL;
    l->ops = ops;
    l->arg = arg;
    l->ping_ms = backend->ping_ms;
    l->silence.fire = on_silence;
    l->reader = redisReaderCreate();
    if (l->reader != NULL)
        l->client = backend_connect(backend, server, &client_ops, l);
    if (l->client == NULL) {
        free_link(l);
        return NULL;
    }
    client_expect_raw(l->client);
    if (password != NULL)
        log_in(l, str_of(server->user), str_of(password));
    if (server->db != 0)
        select_database(l, server->db);
    return l;
}

void link_allow(struct link *l, size_t bytes)
{
    if (bytes > l->string_max)
        l->string_max = bytes;
}

void link_key(struct buffer *out, const struct backend *b,
              const struct backend_server *at)
{
    buffer_printf(out, "%s\n%u\n%s\n%s\n%llu", at->host, at->port,
                  at->user == NULL ? "" : at->user,
                  b->password != NULL   ? b->password
                  : at->password != NULL ? at->password
                                         : "",
                  (unsigned long long)b->ping_ms);
}
