#include "server/drain.h"

#include "base/clock.h"
#include "base/logging.h"
#include "feed/inbox.h"
#include "feed/loader.h"
#include "feed/source.h"
#include "feed/stay.h"
#include "feed/visit.h"
#include "net/conn.h"
#include "proxy/backend.h"
#include "server/server.h"

#define LOOK_MS 20

void drain_prepare(struct server *s)
{
    atomic_store(&s->parts_with_readers, s->worker_count);
}

static struct conn *first_client(struct worker *w)
{
    struct conn *c;

    LIST_FOREACH(c, &w->conns, link)
        if (c->ops->drain != NULL)
            return c;
    return NULL;
}

/* Cuts clients; connections to backends are closed by those that they were
 * for. */
static void cut(struct worker *w)
{
    struct conn *c = first_client(w);
    unsigned before = w->conn_count;

    for (; c != NULL; c = first_client(w))
        conn_close(c, true);
    if (before > 0)
        log_warn("drain.cut", "worker=%u connections=%u", w->index, before);
}

/* Readers get what comes until they are let go, and a source feeds those of all
 * workers: so none stops before the last reader. */
static void stop_sources(struct server_worker *part, bool over)
{
    if (!part->drained && leaving_is_done(&part->leaving)) {
        part->drained = true;
        stay_end_here();
        atomic_fetch_sub(&part->server->parts_with_readers, 1);
    }
    if (part->sources_stopped ||
        (!over && atomic_load(&part->server->parts_with_readers) > 0))
        return;
    part->sources_stopped = true;
    source_stop_here();
}

static void look(struct timer *t)
{
    struct server_worker *part =
        (struct server_worker *)((char *)t -
                                 offsetof(struct server_worker, drain_timer));
    struct worker *w = part->worker;
    bool over = clock_now_us() >= part->drain_until_us;

    stop_sources(part, over);
    if (over) {
        cut(w);
        inbox_end_all();
        stay_end_here();
        visit_end_all();
    }
    loader_rest();
    backend_pool_close_all();
    if (over || (w->conn_count == 0 && part->sources_stopped &&
                 visit_all_told()))
        worker_stop(w);
    else
        worker_timer_set(w, &part->drain_timer, LOOK_MS);
}

/* Followers are told to come back, and waiting polls are answered. */
static void let_readers_go(struct server_worker *part)
{
    const struct config *c = part->config;
    uint64_t half_ms = c->limits.drain_ms / 2;
    struct exchange *x;

    while ((x = LIST_FIRST(&part->readers)) != NULL)
        leaving_add(&part->leaving, x);
    while ((x = LIST_FIRST(&part->watchers)) != NULL)
        leaving_add(&part->leaving, x);
    leaving_begin(&part->leaving, c->limits.spread_ms < half_ms
                                      ? c->limits.spread_ms
                                      : half_ms);
}

void drain_part(struct server_worker *part)
{
    struct worker *w = part->worker;
    struct conn *c, *next;

    part->http.draining = part->admin.draining = true;
    part->drain_until_us =
        clock_now_us() + part->config->limits.drain_ms * 1000;
    for (c = LIST_FIRST(&w->conns); c != NULL; c = next) {
        next = LIST_NEXT(c, link);
        if (c->ops->drain != NULL && !c->lingering)
            c->ops->drain(c);
    }
    let_readers_go(part);
    part->drain_timer.fire = look;
    worker_timer_set(w, &part->drain_timer, 0);
}
