#include "server/listen.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/logging.h"
#include "net/listener.h"
#include "net/tls.h"
#include "server/server.h"

/* ---- which addresses ------------------------------------------------------------ */

/* All addresses of a config, those of clients first. */
static unsigned address_count(const struct config *c)
{
    return c->listen_count + (c->admin != NULL);
}

static const struct config_address *address_at(const struct config *c,
                                               unsigned i, bool *admin)
{
    *admin = i == c->listen_count;
    return *admin ? c->admin : &c->listen[i];
}

/* How often an address is among the first n of c: ":0" may be so twice. */
static unsigned count_same(const struct config *c, unsigned n, const char *text,
                           bool admin)
{
    unsigned count = 0;

    for (unsigned i = 0; i < n; i++) {
        bool is_admin;
        const struct config_address *a = address_at(c, i, &is_admin);

        count += is_admin == admin && strcmp(a->text, text) == 0;
    }
    return count;
}

static bool is_open(const struct config *old, const struct config *config,
                    unsigned i)
{
    bool admin;
    const struct config_address *a = address_at(config, i, &admin);

    return old != NULL &&
           count_same(config, i, a->text, admin) <
               count_same(old, address_count(old), a->text, admin);
}

static bool has_port(const struct config *old, uint16_t port)
{
    bool admin;

    for (unsigned i = 0; old != NULL && i < address_count(old); i++)
        if (address_at(old, i, &admin)->port == port)
            return true;
    return false;
}

static void log_failed(const struct config_address *a, int error)
{
    errno = error;
    log_error("listen.failed", "address=%s error=\"%m\"", a->text);
}

/* Whether nobody listens there already.  All are asked before any is taken:
 * ours may share a port. */
static bool are_free(const struct config *old, const struct config *config)
{
    for (unsigned i = 0; i < address_count(config); i++) {
        bool admin;
        const struct config_address *a = address_at(config, i, &admin);
        int rc;

        if (is_open(old, config, i) || has_port(old, a->port))
            continue; /* it is we who listen there */
        rc = listener_probe(a->host, a->port);
        if (rc < 0) {
            log_failed(a, -rc);
            return false;
        }
    }
    return true;
}

/* ---- opening --------------------------------------------------------------------- */

static void log_listen(const struct config_address *a, uint16_t port,
                       const char *kind)
{
    const char *host = a->host != NULL ? a->host : "*";
    bool v6 = strchr(host, ':') != NULL;

    log_info("listen", v6 ? "address=[%s]:%u kind=%s" : "address=%s:%u kind=%s",
             host, port, kind);
}

static int bind_all(struct server *s, const struct config_address *a,
                    struct opening *o)
{
    uint16_t port = a->port;

    for (unsigned k = 0; k < s->worker_count; k++)
        o->fds[k] = -1;
    for (unsigned k = 0; k < (o->admin ? 1 : s->worker_count); k++) {
        o->fds[k] = listener_bind(a->host, &port);
        if (o->fds[k] < 0) {
            log_failed(a, -o->fds[k]);
            return -1;
        }
    }
    log_listen(a, port,
               o->admin ? "admin" : a->tls != NULL ? "https" : "http");
    return 0;
}

static int prepare_one(struct server *s, const struct config *config,
                       unsigned i)
{
    struct opening *o = &s->openings.list[s->openings.count];
    const struct config_address *a = address_at(config, i, &o->admin);

    s->openings.count++;
    o->text = strdup(a->text);
    o->fds = calloc(s->worker_count, sizeof(*o->fds));
    if (o->text == NULL || o->fds == NULL) {
        log_failed(a, ENOMEM);
        free(o->fds);
        o->fds = NULL;
        return -1;
    }
    return bind_all(s, a, o);
}

int listen_prepare(struct server *s, const struct config *old,
                   const struct config *config)
{
    if (!are_free(old, config))
        return -1;
    for (unsigned i = 0; i < address_count(config); i++)
        if (!is_open(old, config, i) && prepare_one(s, config, i) < 0) {
            listen_done(s);
            return -1;
        }
    return 0;
}

void listen_done(struct server *s)
{
    for (unsigned i = 0; i < s->openings.count; i++) {
        struct opening *o = &s->openings.list[i];

        for (unsigned k = 0; o->fds != NULL && k < s->worker_count; k++)
            if (o->fds[k] >= 0)
                close(o->fds[k]);
        free(o->fds);
        free(o->text);
    }
    s->openings.count = 0;
}

/* ---- a part's sockets ------------------------------------------------------------ */

static void free_door(struct door *d)
{
    listener_free(d->listener);
    tls_context_unref(&d->tls);
    free(d->text);
    free(d);
}

/* Takes fd. */
static struct door *make_door(struct server_worker *part, int fd,
                              const struct opening *o)
{
    struct door *d = calloc(1, sizeof(*d));

    if (d != NULL) {
        d->part = part;
        d->admin = o->admin;
        d->text = strdup(o->text);
        d->listener = listener_new(part->worker, fd,
                                   o->admin ? server_accept_admin
                                            : server_accept_client,
                                   server_starved, d);
    }
    if (d == NULL || d->listener == NULL)
        close(fd);
    if (d == NULL || (d->listener != NULL && d->text != NULL))
        return d;
    free_door(d);
    return NULL;
}

static void open_door(struct server_worker *part, struct opening *o)
{
    unsigned index = part->worker->index;
    int fd = o->fds[index];
    struct door *d;

    if (fd < 0)
        return;
    o->fds[index] = -1;
    d = make_door(part, fd, o);
    if (d == NULL) {
        log_error("listen.failed", "address=%s worker=%u error=\"out of "
                  "memory\"", o->text, index);
        return;
    }
    if (!o->admin)
        listener_set_rate(d->listener, &part->accept_rate,
                          &part->accept_bucket);
    part->doors[part->door_count++] = d;
}

static void close_door(struct server_worker *part, unsigned i)
{
    free_door(part->doors[i]);
    part->doors[i] = part->doors[--part->door_count];
}

/* How many of the doors before this one have its address. */
static unsigned doors_alike(const struct server_worker *part, unsigned i)
{
    const struct door *d = part->doors[i];
    unsigned count = 0;

    for (unsigned k = 0; k < i; k++)
        count += part->doors[k]->admin == d->admin &&
                 strcmp(part->doors[k]->text, d->text) == 0;
    return count;
}

/* The address of a door: of those that are written alike, the one in its turn. */
static const struct config_address *address_of(const struct server_worker *part,
                                               unsigned i)
{
    const struct config *c = part->config;
    const struct door *d = part->doors[i];
    unsigned before = doors_alike(part, i);

    for (unsigned k = 0; k < address_count(c); k++) {
        bool admin;
        const struct config_address *a = address_at(c, k, &admin);

        if (admin == d->admin && strcmp(a->text, d->text) == 0 && before-- == 0)
            return a;
    }
    return NULL;
}

/* The same certificate goes on as it was, and the tickets that clients have for
 * their next handshakes are good. */
static void renew_tls(struct server_worker *part, unsigned i)
{
    struct door *d = part->doors[i];
    const struct config_address *a = address_of(part, i);
    struct tls_context *tls = a == NULL ? NULL : a->tls;

    if (tls_context_same(d->tls, tls))
        return;
    tls_context_unref(&d->tls);
    d->tls = tls == NULL ? NULL : tls_context_ref(tls);
}

void listen_apply(struct server_worker *part)
{
    const struct config *c = part->config;
    struct openings *o = &part->server->openings;

    for (unsigned i = part->door_count; i-- > 0;) {
        const struct door *d = part->doors[i];

        if (doors_alike(part, i) <
            count_same(c, address_count(c), d->text, d->admin))
            continue;
        listener_empty(d->listener);
        close_door(part, i);
    }
    for (unsigned i = 0; i < o->count; i++)
        open_door(part, &o->list[i]);
    for (unsigned i = 0; i < part->door_count; i++)
        renew_tls(part, i);
}

void listen_close(struct server_worker *part)
{
    while (part->door_count > 0)
        close_door(part, part->door_count - 1);
}
