#include "server/reload.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/logging.h"
#include "feed/source.h"
#include "server/apply.h"
#include "server/server.h"

/* ---- readers --------------------------------------------------------------------- */

static bool pattern_same(const struct pattern *a, const struct pattern *b)
{
    if (a->part_count != b->part_count)
        return false;
    for (unsigned i = 0; i < a->part_count; i++)
        if (!str_eq(a->parts[i].literal, b->parts[i].literal) ||
            !str_eq(a->parts[i].name, b->parts[i].name))
            return false;
    return true;
}

/* Who may read; whoever got in under other rules has to ask again. */
static bool admission_same(const struct route *a, const struct route *b)
{
    return texts_same(a->reader.origins, b->reader.origins) &&
           texts_same(a->cors.origins, b->cors.origins) &&
           a->source.per == b->source.per &&
           texts_same(a->source.pass, b->source.pass) &&
           a->cors.credentials == b->cors.credentials;
}

static bool backend_same(const struct backend *a, const struct backend *b)
{
    return text_same(a == NULL ? NULL : a->name, b == NULL ? NULL : b->name);
}

static bool hooks_same(const struct route *a, const struct route *b)
{
    const struct hook_settings *x = &a->reader.hooks, *y = &b->reader.hooks;

    return backend_same(x->backends[0], y->backends[0]) &&
           backend_same(x->backends[1], y->backends[1]) &&
           pattern_same(&a->hooks[0], &b->hooks[0]) &&
           pattern_same(&a->hooks[1], &b->hooks[1]);
}

/* Whether a message has the same octets for both: one may be half sent. */
static bool forms_same(const struct reader_settings *a,
                       const struct reader_settings *b)
{
    return a->envelope == b->envelope && a->compress.on == b->compress.on &&
           a->compress.min_bytes == b->compress.min_bytes;
}

/* Whether a reader of a may go on as one of b, whose path and host are the
 * same. */
static bool may_stay(const struct route *a, const struct route *b,
                     unsigned kind)
{
    return b->proxy == NULL && text_same(a->channel_text, b->channel_text) &&
           a->multiplex == b->multiplex && route_serves(b, kind) &&
           admission_same(a, b) &&
           a->reader.receive == b->reader.receive &&
           hooks_same(a, b) &&
           a->reader.presence.on == b->reader.presence.on &&
           text_same(a->reader.identity, b->reader.identity) &&
           backend_same(a->reader.inbox.backend, b->reader.inbox.backend) &&
           a->reader.inbox.stream == b->reader.inbox.stream &&
           a->reader.no_echo == b->reader.no_echo &&
           forms_same(&a->reader, &b->reader) &&
           pattern_same(&a->receive, &b->receive);
}

static const struct route *find_same(const struct config *c,
                                     const struct route *r)
{
    for (unsigned i = 0; i < c->route_count; i++)
        if (text_same(c->routes[i].path, r->path) &&
            text_same(c->routes[i].host, r->host))
            return &c->routes[i];
    return NULL;
}

/* The readers of one route come one after another, as they came: what was
 * found for the last one most likely goes for this one. */
struct counterpart {
    const struct route *old, *new;
};

static void renew(struct server_worker *part, struct exchange *x,
                  struct counterpart *last)
{
    const struct route *old = x->about;

    if (last->old != old)
        *last = (struct counterpart){old, find_same(part->config, old)};
    if (last->new == NULL || !may_stay(old, last->new, x->kind)) {
        leaving_add(&part->leaving, x);
        return;
    }
    x->about = last->new;
    x->route = last->new->path;
    x->ops->renew(x, &last->new->reader);
    snapshot_unref(&x->snapshot); /* last: the old settings go with it */
    x->snapshot = snapshot_ref(&part->config->snapshot);
}

static void renew_readers(struct server_worker *part)
{
    struct counterpart last = {NULL, NULL};
    struct exchange *next;

    for (struct exchange *x = LIST_FIRST(&part->readers); x != NULL; x = next) {
        next = LIST_NEXT(x, link);
        renew(part, x, &last);
    }
    leaving_begin(&part->leaving, part->config->limits.spread_ms);
}

/* Whoever watches us was let in by the old token. */
static void renew_watchers(struct server_worker *part,
                           const struct config *old)
{
    struct exchange *x;

    if (text_same(old->admin_token, part->config->admin_token))
        return;
    while ((x = LIST_FIRST(&part->watchers)) != NULL)
        exchange_let_go(x);
}

/* ---- sources --------------------------------------------------------------------- */

static const struct source_settings *plan_source(void *arg, struct channel *c,
                                                 struct buffer *path)
{
    struct pattern_values values;
    const struct route *r = config_route_of_channel(arg, str_of(c->name),
                                                    &values);

    if (r == NULL || r->source.path == NULL ||
        config_source_path(r, &values, path) < 0)
        return NULL;
    return &r->source;
}

/* Readers of a channel whose route has a source only now. */
static void start_missing(struct channel *c, void *arg)
{
    struct server_worker *part = arg;
    const struct source_settings *settings;
    struct source_request request = {STR_NONE, STR_NONE};
    struct buffer path = {0};

    if (atomic_load(&c->readers) == 0 || source_exists(c))
        return;
    settings = plan_source(part->config, c, &path);
    request.path = buffer_str(&path);
    /* Readers of a client's own channel are about to be let go. */
    if (settings != NULL && settings->per == PER_CHANNEL)
        source_ensure(c, &part->config->snapshot, settings, request);
    buffer_fini(&path);
}

/* A channel with a source that always runs needs no reader. */
static void start_always(struct server_worker *part, const struct route *r)
{
    struct history_bounds bounds = apply_bounds(r);
    const struct source_request request = {str_of(r->source.path), STR_NONE};
    struct channel *c;

    if (r->channel_text == NULL || r->source.when != WHEN_ALWAYS)
        return;
    if (hub_channel(&part->server->hub, str_of(r->channel_text), &bounds,
                    &c) < 0) {
        log_error("source.failed", "channel=%s reason=\"no room\"",
                  r->channel_text);
        return;
    }
    if (!source_exists(c))
        source_ensure(c, &part->config->snapshot, &r->source, request);
    channel_unref(&c);
}

void reload_start_sources(struct server_worker *part)
{
    for (unsigned i = 0; i < part->config->route_count; i++)
        start_always(part, &part->config->routes[i]);
}

/* ---- the workers ----------------------------------------------------------------- */

/* Whether the calling worker is the last one of all. */
static bool is_last(struct server *s)
{
    return atomic_fetch_sub(&s->reload_left, 1) == 1;
}

static void post_to_all(struct server *s, size_t note_offset)
{
    atomic_store(&s->reload_left, s->worker_count);
    for (unsigned i = 0; i < s->worker_count; i++)
        worker_post(s->workers[i],
                    (struct note *)((char *)&s->parts[i] + note_offset));
}

/* Second: no worker knows the old configuration any more. */
static void run_sources_note(struct note *n)
{
    struct server_worker *part =
        (struct server_worker *)((char *)n -
                                 offsetof(struct server_worker, sources_note));
    struct server *s = part->server;
    const uint64_t one = 1;

    source_revise_here(&part->config->snapshot, plan_source, part->config);
    if (part == s->parts) {
        reload_start_sources(part);
        hub_each(&s->hub, start_missing, part);
    }
    if (is_last(s) && write(s->reload_fd, &one, sizeof(one)) < 0)
        log_error("reload", "error=\"%m\"");
}

/* First. */
static void run_reload_note(struct note *n)
{
    struct server_worker *part =
        (struct server_worker *)((char *)n -
                                 offsetof(struct server_worker, reload_note));
    struct server *s = part->server;
    struct config *old = part->config;

    part->config = config_ref(s->next);
    apply_config_part(part);
    if (!part->http.draining) {
        listen_apply(part);
        renew_readers(part);
        renew_watchers(part, old);
    }
    config_unref(&old);
    if (is_last(s))
        post_to_all(s, offsetof(struct server_worker, sources_note));
}

void reload_init_part(struct server_worker *part)
{
    part->reload_note.run = run_reload_note;
    part->sources_note.run = run_sources_note;
}

/* ---- the main thread ------------------------------------------------------------- */

static void set_bounds(struct channel *c, void *arg)
{
    const struct route *r = config_route_of_channel(arg, str_of(c->name), NULL);
    struct history_bounds bounds;

    if (r == NULL)
        return;
    bounds = apply_bounds(r);
    channel_set_bounds(c, &bounds);
}

/* The file's new content, or NULL, and the log says why. */
static struct config *load(struct server *s)
{
    struct buffer errors = {0};
    struct config *next = NULL;

    if (config_load(&next, s->config->file, &errors) < 0 ||
        listen_prepare(s, s->config, next) < 0) {
        log_error("reload.failed", "file=%s config=unchanged", s->config->file);
        if (errors.len > 0 && write(STDERR_FILENO, errors.data, errors.len) < 0)
            log_debug("reload.failed", "error=\"%m\"");
        config_unref(&next);
    }
    buffer_fini(&errors);
    return next;
}

void reload_begin(struct server *s)
{
    struct config *next;

    if (s->next != NULL) {
        s->reload_again = true;
        return;
    }
    next = load(s);
    if (next == NULL)
        return;
    if (s->config->workers != next->workers)
        log_warn("reload", "workers=kept reason=\"their number changes with a "
                           "restart only\"");
    s->next = next;
    apply_config(s, next);
    hub_each(&s->hub, set_bounds, next);
    post_to_all(s, offsetof(struct server_worker, reload_note));
}

void reload_end(struct server *s)
{
    uint64_t n;

    if (read(s->reload_fd, &n, sizeof(n)) < 0)
        return;
    listen_done(s);
    config_unref(&s->config);
    s->config = s->next;
    s->next = NULL;
    log_info("reload", "file=%s routes=%u", s->config->file,
             s->config->route_count);
    if (s->reload_again) {
        s->reload_again = false;
        reload_begin(s);
    }
}
