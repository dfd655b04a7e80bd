#include "server/apply.h"

#include <unistd.h>

#include "http/accesslog.h"
#include "server/server.h"

/* Descriptors that are not clients': listeners, logs, event loops, backends. */
#define DESCRIPTORS_KEPT 128

struct history_bounds apply_bounds(const struct route *r)
{
    return (struct history_bounds){
        .messages = r->history.messages,
        .bytes = r->history.bytes,
        .age_us = r->history.age_ms * 1000,
    };
}

static void set_limits(struct service *s, const struct config *c)
{
    s->head = (struct head_limits){
        .head_bytes = c->limits.head_bytes,
        .fields = c->limits.fields,
        .target_bytes = c->limits.target_bytes,
    };
    s->head_ms = c->limits.head_ms;
    s->idle_ms = c->limits.idle_ms;
    s->body_ms = c->limits.write_ms;
    s->write_ms = c->limits.write_ms;
}

/* Connections spread over the workers, and so does the rate.  A tenth of a
 * second's worth may come at once. */
static void set_accept_rate(struct server_worker *part)
{
    part->accept_rate = (struct rate){
        .interval_us = part->config->limits.accept.interval_us *
                       part->server->worker_count,
        .slack_us = 100000,
    };
}

void apply_config_part(struct server_worker *part)
{
    set_limits(&part->http, part->config);
    set_limits(&part->admin, part->config);
    set_accept_rate(part);
}

static unsigned clients_max(const struct config *c, unsigned descriptors)
{
    unsigned most = descriptors > 2 * DESCRIPTORS_KEPT
                        ? descriptors - DESCRIPTORS_KEPT
                        : descriptors / 2;

    return c->limits.connections == 0 || c->limits.connections > most
               ? most
               : c->limits.connections;
}

static void apply_logging(const struct config *c)
{
    log_setup(c->log.level, STDERR_FILENO);
    accesslog_setup((enum access_log_form)c->log.access);
}

/* A route that was taken away keeps its number, so there may be none left. */
static void number_tallies(struct config *config)
{
    unsigned without = 0;

    for (unsigned i = 0; i < config->route_count; i++) {
        struct route *r = &config->routes[i];

        r->tally = tally_route(r->host, r->path);
        without += r->tally == 0;
    }
    if (without > 0)
        log_warn("meters", "routes=%u reason=\"not counted: there have been %d "
                           "others since the start\"",
                 without, TALLY_ROUTES_MAX);
}

void apply_config(struct server *s, struct config *config)
{
    apply_logging(config);
    number_tallies(config);
    atomic_store(&s->clients_max, clients_max(config, s->descriptors));
    hub_set_limit(&s->hub, config->limits.channels);
}
