#include "server/metrics.h"

#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/meter.h"
#include "feed/source.h"
#include "measure/process.h"
#include "measure/usage.h"
#include "server/report.h"
#include "server/server.h"

/* ---- the format ------------------------------------------------------------------ */

static void write_family(struct buffer *out, const char *name,
                         const char *type, const char *help)
{
    buffer_printf(out, "# HELP penstock_%s %c%s.\n# TYPE penstock_%s %s\n",
                  name,
                  *help >= 'a' && *help <= 'z' ? *help - 'a' + 'A' : *help,
                  help + 1, name, type);
}

/* In a label's value a backslash and a quote are escaped; line's ends are in no
 * path. */
static void write_label(struct buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\' || *text == '"')
            buffer_append_byte(out, '\\');
        buffer_append_byte(out, *text);
    }
}

/* ---- routes and transports ------------------------------------------------------- */

/* One that has been used. */
struct series {
    const struct route *route;
    enum tally_part part;
    struct tally sum;
    struct series *next;
};

static void series_free(struct series *s)
{
    while (s != NULL) {
        struct series *next = s->next;

        free(s);
        s = next;
    }
}

/* Puts what a part of a route has done in front of *list.  False: no memory. */
static bool collect_part(struct series **list, const struct route *r, int part)
{
    struct series *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return false;
    if (r->tally == 0 || !tally_sum((tally_id)(r->tally + part), &s->sum)) {
        free(s);
        return true;
    }
    s->route = r;
    s->part = (enum tally_part)part;
    s->next = *list;
    *list = s;
    return true;
}

static struct series *collect(struct buffer *out, const struct config *config)
{
    struct series *list = NULL;

    for (unsigned i = config->route_count; i-- > 0;)
        for (int part = TALLY_PARTS; part-- > 0;)
            if (!collect_part(&list, &config->routes[i], part))
                out->failed = true;
    return list;
}

/* penstock_NAME{route="…" and what else the caller adds. */
static void write_route(struct buffer *out, const char *name,
                        const struct route *r)
{
    buffer_printf(out, "penstock_%s{route=\"", name);
    if (r->host != NULL)
        write_label(out, r->host);
    write_label(out, r->path);
    buffer_append_byte(out, '"');
}

/* The same with the transport. */
static void write_series(struct buffer *out, const char *name,
                         const struct series *s)
{
    write_route(out, name, s->route);
    buffer_printf(out, ",transport=\"%s\"",
                  report_part_name(s->route, s->part));
}

/* Bounds in microseconds, and as they are written. */
static const struct {
    uint64_t us;
    const char *s;
} bounds[] = {
    {100, "0.0001"},   {500, "0.0005"},   {1000, "0.001"},
    {5000, "0.005"},   {10000, "0.01"},   {50000, "0.05"},
    {100000, "0.1"},   {500000, "0.5"},   {1000000, "1"},
    {5000000, "5"},    {30000000, "30"},  {60000000, "60"},
    {300000000, "300"}, {3600000000, "3600"},
};

static void write_ages(struct buffer *out, const struct series *s)
{
    const struct histogram *h = &s->sum.age_us;
    unsigned long long all =
        (unsigned long long)histogram_count_to(h, UINT64_MAX);

    for (size_t i = 0; i < sizeof(bounds) / sizeof(*bounds); i++) {
        write_series(out, "message_age_seconds_bucket", s);
        buffer_printf(out, ",le=\"%s\"} %llu\n", bounds[i].s,
                      (unsigned long long)histogram_count_to(h, bounds[i].us));
    }
    write_series(out, "message_age_seconds_bucket", s);
    buffer_printf(out, ",le=\"+Inf\"} %llu\n", all);
    write_series(out, "message_age_seconds_sum", s);
    buffer_printf(out, "} %.6f\n", (double)h->sum / 1e6);
    write_series(out, "message_age_seconds_count", s);
    buffer_printf(out, "} %llu\n", all);
}

static void write_seconds(struct buffer *out, const struct series *list,
                          const char *name, const char *help,
                          enum tally_count us)
{
    write_family(out, name, "counter", help);
    for (const struct series *s = list; s != NULL; s = s->next) {
        write_series(out, name, s);
        buffer_printf(out, "} %.6f\n", (double)tally_get(&s->sum, us) / 1e6);
    }
}

static void write_counts(struct buffer *out, const struct series *list,
                          const char *name, const char *help,
                          enum tally_count c)
{
    write_family(out, name, "counter", help);
    for (const struct series *s = list; s != NULL; s = s->next) {
        write_series(out, name, s);
        buffer_printf(out, "} %llu\n",
                      (unsigned long long)tally_get(&s->sum, c));
    }
}

static void write_by_route(struct buffer *out, const struct series *list)
{
    char name[64];

    for (int c = 0; c < TALLY_N; c++)
        if (tally_helps[c] != NULL) {
            snprintf(name, sizeof(name), "%s_total", tally_names[c]);
            write_counts(out, list, name, tally_helps[c], (enum tally_count)c);
        }
    write_seconds(out, list, "blocked_seconds_total",
                  "time that readers have waited for full sockets",
                  TALLY_blocked_us);
    write_seconds(out, list, "sampled_delivery_seconds_total",
                  "time that sampled deliveries took", TALLY_delivery_us);
    write_counts(out, list, "sampled_deliveries_total",
                  "messages of sampled deliveries", TALLY_delivery_samples);
    write_seconds(out, list, "sampled_request_seconds_total",
                  "time that sampled requests took", TALLY_request_us);
    write_counts(out, list, "sampled_requests_total", "requests sampled",
                  TALLY_request_samples);
    write_family(out, "readers", "gauge",
                 "connections whose last request it was");
    for (const struct series *s = list; s != NULL; s = s->next) {
        write_series(out, "readers", s);
        buffer_printf(out, "} %llu\n",
                      (unsigned long long)usage_readers(&s->sum));
    }
    write_family(out, "message_age_seconds", "histogram",
                 "how old messages were when they went out");
    for (const struct series *s = list; s != NULL; s = s->next)
        if (s->part != TALLY_OTHER)
            write_ages(out, s);
}

/* ---- updates --------------------------------------------------------------------- */

static void write_frequencies(struct buffer *out, const struct config *config,
                              const struct updates *updates)
{
    write_family(out, "updates_per_second", "gauge",
                 "messages a second of a route's channels together, over the "
                 "last minute, hour and day");
    for (unsigned i = 0; i < config->route_count; i++)
        for (int w = 0; updates[i].channels > 0 && w < WINDOW_N; w++) {
            write_route(out, "updates_per_second", &config->routes[i]);
            buffer_printf(out, ",window=\"%s\"} %.6g\n", frequency_windows[w],
                          updates[i].per_s[w]);
        }
    write_family(out, "channels", "gauge",
                 "channels of a route that have had a message");
    for (unsigned i = 0; i < config->route_count; i++)
        if (config->routes[i].channel_text != NULL) {
            write_route(out, "channels", &config->routes[i]);
            buffer_printf(out, "} %u\n", updates[i].channels);
        }
}

static void write_updates(struct buffer *out, struct server *s,
                          const struct config *config)
{
    struct updates *updates = report_updates(s, config);

    if (updates != NULL)
        write_frequencies(out, config, updates);
    else
        out->failed = true;
    free(updates);
}

/* ---- the whole ------------------------------------------------------------------- */

/* What is counted in microseconds is told in seconds. */
static void write_meter(struct buffer *out, enum meter m)
{
    const char *name = meter_names[m];
    size_t n = strlen(name);
    bool is_us = n > 3 && strcmp(name + n - 3, "_us") == 0;
    char full[64];

    snprintf(full, sizeof(full), "%.*s%s_total", (int)(is_us ? n - 3 : n),
             name, is_us ? "_seconds" : "");
    write_family(out, full, "counter", meter_helps[m]);
    if (is_us)
        buffer_printf(out, "penstock_%s %.6f\n", full,
                      (double)meter_sum(m) / 1e6);
    else
        buffer_printf(out, "penstock_%s %llu\n", full,
                      (unsigned long long)meter_sum(m));
}

/* The names that Prometheus's own client libraries give to these. */
static void write_process(struct buffer *out, const struct server *s)
{
    double uptime_s = (double)(clock_now_us() - s->started_us) / 1e6;

    write_family(out, "build_info", "gauge", "always 1");
    buffer_printf(out, "penstock_build_info{version=\"%s\"} 1\n",
                  PACKAGE_VERSION);
    write_family(out, "uptime_seconds", "gauge", "since the start");
    buffer_printf(out, "penstock_uptime_seconds %.3f\n", uptime_s);
    buffer_printf(out,
                  "# HELP process_cpu_seconds_total Processor time used.\n"
                  "# TYPE process_cpu_seconds_total counter\n"
                  "process_cpu_seconds_total %.3f\n"
                  "# HELP process_resident_memory_bytes Resident memory.\n"
                  "# TYPE process_resident_memory_bytes gauge\n"
                  "process_resident_memory_bytes %llu\n"
                  "# HELP process_start_time_seconds When it was started.\n"
                  "# TYPE process_start_time_seconds gauge\n"
                  "process_start_time_seconds %.3f\n",
                  process_cpu_s(), (unsigned long long)process_memory_bytes(),
                  (double)clock_wall_ms() / 1e3 - uptime_s);
}

void metrics_write(struct buffer *out, struct server *s,
                   const struct config *config)
{
    struct series *list = collect(out, config);

    for (int m = 0; m < METER_N; m++)
        write_meter(out, (enum meter)m);
    write_by_route(out, list);
    series_free(list);
    write_updates(out, s, config);
    write_family(out, "clients", "gauge", "connections of clients");
    buffer_printf(out, "penstock_clients %u\n", atomic_load(&s->clients));
    write_process(out, s);
    source_metrics(out);
}
