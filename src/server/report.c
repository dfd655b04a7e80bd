#include "server/report.h"

#include <config.h>

#include <stdlib.h>

#include "base/clock.h"
#include "measure/lately.h"
#include "measure/process.h"
#include "measure/usage.h"
#include "server/server.h"
#include "wire/envelope.h"
#include "wire/json.h"

/* ---- channels, by route --------------------------------------------------------- */

struct gathering {
    const struct config *config;
    struct updates *updates; /* as many as routes */
    uint64_t now_us;
};

static void gather(struct channel *c, void *arg)
{
    struct gathering *g = arg;
    const struct route *r =
        config_route_of_channel(g->config, str_of(c->name), NULL);
    struct frequency f;

    if (r == NULL)
        return;
    channel_frequency(c, &f);
    updates_add(&g->updates[r - g->config->routes], &f, g->now_us);
}

/* Of the routes that have these channels, the one that they were counted for. */
static const struct updates *find_counted(const struct gathering *g,
                                          const struct route *r)
{
    for (unsigned i = 0; i < g->config->route_count; i++)
        if (g->updates[i].channels > 0 &&
            text_same(g->config->routes[i].channel_text, r->channel_text))
            return &g->updates[i];
    return NULL;
}

struct updates *report_updates(struct server *s, const struct config *config)
{
    struct gathering g = {config,
                          calloc(config->route_count, sizeof(struct updates)),
                          clock_now_us()};

    if (g.updates == NULL)
        return NULL;
    hub_each(&s->hub, gather, &g);
    for (unsigned i = 0; i < config->route_count; i++) {
        const struct route *r = &config->routes[i];
        const struct updates *counted =
            r->channel_text == NULL ? NULL : find_counted(&g, r);

        if (counted != NULL && counted != &g.updates[i])
            g.updates[i] = *counted;
    }
    return g.updates;
}

/* ---- the process ----------------------------------------------------------------- */

static double uptime_s(const struct server *s)
{
    return (double)(clock_now_us() - s->started_us) / 1e6;
}

/* ---- JSON ------------------------------------------------------------------------ */

static void write_text(struct buffer *out, const char *name, const char *text)
{
    if (text == NULL)
        return;
    buffer_printf(out, ",\"%s\":", name);
    json_append_string(out, str_of(text));
}

const char *report_part_name(const struct route *r, enum tally_part part)
{
    if (part < TALLY_OTHER)
        return tally_transports[part];
    return r->proxy == NULL ? "other" : "proxy";
}

static void write_part(struct buffer *out, struct server *s, tally_id id,
                       const struct tally *sum)
{
    uint64_t now_us = clock_now_us();
    struct lately_ages ages;
    bool lately = sum->age_us.count > 0 &&
                  lately_take(s->lately, id, &sum->age_us, now_us, &ages);

    usage_write(out, sum, lately ? &ages : NULL, now_us);
}

static void write_measured(struct buffer *out, struct server *s,
                           const struct route *r)
{
    bool first = true;

    buffer_append_str(out, STR(",\"measured\":{"));
    for (int part = 0; r->tally != 0 && part < TALLY_PARTS; part++) {
        tally_id id = (tally_id)(r->tally + part);
        struct tally sum = {.counts = {0}};

        if (!tally_sum(id, &sum))
            continue;
        buffer_printf(out, "%s\"%s\":", first ? "" : ",",
                      report_part_name(r, (enum tally_part)part));
        write_part(out, s, id, &sum);
        first = false;
    }
    buffer_append_byte(out, '}');
}

static void write_receive(struct buffer *out, const struct route *r)
{
    static const char *const names[] = {[RECEIVE_CHANNEL] = "channel",
                                        [RECEIVE_OTHER] = "channel",
                                        [RECEIVE_POST] = "post",
                                        [RECEIVE_WEBSOCKET] = "websocket",
                                        [RECEIVE_REDIS] = "redis"};

    write_text(out, "receive", names[r->reader.receive]);
}

static void write_feed(struct buffer *out, const struct route *r,
                       const struct updates *u)
{
    write_text(out, "channel", r->channel_text);
    write_text(out, "source", r->source.type);
    if (r->multiplex)
        buffer_append_str(out, STR(",\"multiplex\":true"));
    buffer_append_str(out, STR(",\"transports\":["));
    for (unsigned k = 0; k < r->transport_count; k++)
        buffer_printf(out, "%s\"%s\"", k > 0 ? "," : "",
                      tally_transports[r->transports[k]]);
    buffer_append_byte(out, ']');
    write_receive(out, r);
    buffer_printf(out, ",\"cacheable\":%s",
                  r->reader.cache_auto || r->reader.cache_s > 0 ? "true"
                                                                : "false");
    if (u == NULL)
        return;
    buffer_append_str(out, STR(",\"updates\":"));
    updates_write(out, u, clock_now_us());
}

static void write_route(struct buffer *out, struct server *s,
                        const struct route *r, const struct updates *u)
{
    buffer_append_str(out, STR("{\"path\":"));
    json_append_string(out, str_of(r->path));
    write_text(out, "host", r->host);
    if (r->proxy != NULL)
        write_text(out, "proxy", r->proxy->name);
    else
        write_feed(out, r, u);
    write_measured(out, s, r);
    buffer_append_byte(out, '}');
}

static void write_process(struct buffer *out, struct server *s)
{
    buffer_append_str(out, STR("{\"now\":"));
    envelope_append_time(out, clock_wall_ms());
    buffer_printf(out,
                  ",\"uptime_s\":%.1f,\"version\":\"%s\",\"workers\":%u,"
                  "\"clients\":%u,\"memory_bytes\":%llu,\"cpu_s\":%.3f",
                  uptime_s(s), PACKAGE_VERSION, s->worker_count,
                  atomic_load(&s->clients),
                  (unsigned long long)process_memory_bytes(), process_cpu_s());
}

void report_routes(struct buffer *out, struct server *s,
                   const struct config *config)
{
    struct updates *updates = report_updates(s, config);

    write_process(out, s);
    buffer_append_str(out, STR(",\"routes\":["));
    for (unsigned i = 0; i < config->route_count; i++) {
        buffer_append_str(out, i > 0 ? STR(",") : STR(""));
        write_route(out, s, &config->routes[i],
                    updates == NULL ? NULL : &updates[i]);
    }
    buffer_append_str(out, STR("]}"));
    free(updates);
}
