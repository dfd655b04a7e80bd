#include "proxy/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <uthash.h>

#include "base/logging.h"
#include "http/client.h"
#include "net/tls.h"

#define KEY_MAX 400 /* longer than any host name, with a digest */

/* One connection that waits. */
struct idle {
    LIST_ENTRY(idle) link;
    struct pool *pool;
    struct client *client;
};

/* Those to one server.  The most recent is taken first: the others may then
 * grow old and go. */
struct pool {
    UT_hash_handle hh;
    LIST_HEAD(, idle) idle;
    unsigned count;
    char key[KEY_MAX]; /* host, the port's octets, how TLS is spoken there */
    char server[KEY_MAX + 8]; /* for the log */
};

/* Whose turn it is. */
struct turn {
    UT_hash_handle hh;
    unsigned next;
    char backend[]; /* its name */
};

static _Thread_local struct pool *pools;
static _Thread_local struct turn *turns;

/* ---- whose turn ---------------------------------------------------------- */

static struct turn *turn_of(const char *name)
{
    size_t len = strlen(name);
    struct turn *t;

    HASH_FIND(hh, turns, name, len, t);
    if (t != NULL)
        return t;
    t = calloc(1, sizeof(*t) + len + 1);
    if (t == NULL)
        return NULL;
    memcpy(t->backend, name, len + 1);
    HASH_ADD_KEYPTR(hh, turns, t->backend, len, t);
    return t;
}

const struct backend_server *backend_pick(const struct backend *b)
{
    struct turn *t = b->server_count > 1 ? turn_of(b->name) : NULL;

    /* With no memory for turns the first one has to do. */
    return &b->servers[t == NULL ? 0 : t->next++ % b->server_count];
}

void backend_write_host(const struct backend_server *s, struct buffer *out)
{
    bool v6 = strchr(s->host, ':') != NULL;

    buffer_printf(out, v6 ? "[%s]:%u" : "%s:%u", s->host, s->port);
}

struct client *backend_connect(const struct backend *b,
                               const struct backend_server *s,
                               const struct client_ops *ops, void *arg)
{
    return client_connect(s->host, s->port, s->tls, b->connect_ms, ops, arg);
}

/* ---- the pool ------------------------------------------------------------ */

static void drop_idle(struct idle *i)
{
    LIST_REMOVE(i, link);
    i->pool->count--;
    free(i);
}

/* Nothing is expected of an idle connection, so this is all that it can tell:
 * its end, its age, or octets that nobody asked for. */
static void on_failed(struct client *c, enum client_failure failure,
                      const char *why)
{
    struct idle *i = client_arg(c);

    log_debug("pool.close", "server=%s reason=%s", i->pool->server,
              client_failure_names[failure]);
    drop_idle(i);
}

static const struct client_ops idle_ops = {.failed = on_failed};

static struct pool *find_pool(const struct backend_server *s, char *key,
                              size_t cap, size_t *len)
{
    const char *tls = tls_server_id(s->tls);
    size_t n = strlen(s->host), tls_n = strlen(tls);
    struct pool *p;

    *len = n + sizeof(s->port) + tls_n;
    if (*len > cap)
        return NULL; /* no such host name */
    memcpy(key, s->host, n);
    memcpy(key + n, &s->port, sizeof(s->port));
    memcpy(key + n + sizeof(s->port), tls, tls_n);
    HASH_FIND(hh, pools, key, *len, p);
    return p;
}

static struct pool *pool_of(const struct backend_server *s)
{
    char key[KEY_MAX];
    size_t len;
    struct pool *p = find_pool(s, key, sizeof(key), &len);

    if (p != NULL || len > sizeof(key))
        return p;
    p = calloc(1, sizeof(*p));
    if (p == NULL)
        return NULL;
    memcpy(p->key, key, len);
    snprintf(p->server, sizeof(p->server), "%s:%u", s->host, s->port);
    HASH_ADD(hh, pools, key, len, p);
    return p;
}

struct client *backend_take(const struct backend_server *s, bool sure)
{
    char key[KEY_MAX];
    size_t len;
    struct pool *p = find_pool(s, key, sizeof(key), &len);
    struct idle *i;

    while (p != NULL && (i = LIST_FIRST(&p->idle)) != NULL) {
        struct client *c = i->client;

        drop_idle(i);
        if (client_idle(c, sure)) {
            client_set_timer(c, 0);
            return c;
        }
        client_close(c);
    }
    return NULL;
}

void backend_keep(const struct backend *b, const struct backend_server *s,
                  struct client *c)
{
    bool kept = b->pool > 0 && b->idle_ms > 0;
    struct pool *p = kept ? pool_of(s) : NULL;
    struct idle *i = NULL;

    if (p != NULL && p->count < b->pool)
        i = malloc(sizeof(*i));
    if (i == NULL) {
        client_close(c);
        return;
    }
    i->pool = p;
    i->client = c;
    LIST_INSERT_HEAD(&p->idle, i, link);
    p->count++;
    client_set_owner(c, &idle_ops, i);
    client_read(c, true);
    client_set_timer(c, b->idle_ms);
}

static void free_pool(struct pool *p)
{
    struct idle *i;

    while ((i = LIST_FIRST(&p->idle)) != NULL) {
        client_close(i->client);
        drop_idle(i);
    }
    free(p);
}

void backend_pool_close_all(void)
{
    struct pool *p, *next_pool;
    struct turn *t, *next_turn;

    HASH_ITER(hh, pools, p, next_pool) {
        HASH_DEL(pools, p);
        free_pool(p);
    }
    HASH_ITER(hh, turns, t, next_turn) {
        HASH_DEL(turns, t);
        free(t);
    }
}
