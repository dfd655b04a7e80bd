#include "measure/advice.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "wire/json.h"

const struct advice_scales advice_scales_usual = {
    .cpu_us = 1e6,
    .bytes = 125e6,    /* 1 Gbit/s */
    .memory = 4294967296.0,
};

/* The model is not nearer the truth than that. */
#define COST_SAME 1.1
/* Below this either will do. */
#define MARGIN_SMALL 0.1
/* Fewer updates tell nothing of how often they come, unless any frequency that
 * is likely gives the same verdict. */
#define UPDATES_MIN 10
/* What a shorter time had might have been a burst. */
#define SECONDS_MIN 10

/* What a reader costs. */
static double cost_of(const struct price *p,
                      const struct advice_scales *scales)
{
    return 1e6 * (p->cpu_us / scales->cpu_us +
                  (p->served_in + p->served_out) / scales->bytes +
                  p->memory_bytes / scales->memory);
}

/* ---- the decision -------------------------------------------------------- */

static bool is_choice(const struct advice *a, int part)
{
    return a->prices[part].fits && (a->allowed >> part & 1) != 0;
}

/* The cheapest but for one; -1: there is none. */
static int cheapest(const struct advice *a, int but)
{
    int best = -1;

    for (int i = 0; i < MODEL_TRANSPORTS; i++)
        if (i != but && is_choice(a, i) &&
            (best < 0 || a->costs[i] < a->costs[best]))
            best = i;
    return best;
}

/* Where ages are about the same, who follows is soonest: a long poll is late for
 * what comes between two. */
static bool is_sooner(const struct advice *a, int part, int than)
{
    double age_ms = a->prices[part].age_p99_ms;
    double other_ms = a->prices[than].age_p99_ms;

    if (than < TALLY_SSE && part >= TALLY_SSE)
        return age_ms <= other_ms * 1.001;
    return age_ms < 0.9 * other_ms;
}

/* Of those that cost as good as no more than best, the one that brings updates
 * soonest; of two that follow, the cheaper one. */
static int soonest(const struct advice *a, int best)
{
    int chosen = best;

    for (int i = 0; best >= 0 && i < MODEL_TRANSPORTS; i++)
        if (is_choice(a, i) && a->costs[i] <= a->costs[best] * COST_SAME &&
            (is_sooner(a, i, chosen) ||
             (chosen >= TALLY_SSE && i >= TALLY_SSE &&
              a->costs[i] < a->costs[chosen])))
            chosen = i;
    return chosen;
}

int advice_choose(const struct advice *a, unsigned allowed)
{
    struct advice other = *a;

    other.allowed = allowed;
    return soonest(&other, cheapest(&other, -1));
}

static int decide(struct advice *a, const struct model_costs *costs,
                  const struct advice_scales *scales)
{
    for (unsigned i = 0; i < MODEL_TRANSPORTS; i++) {
        int rc = model_price(&a->prices[i], i, &a->workload, costs);

        if (rc < 0)
            return rc;
        a->costs[i] = cost_of(&a->prices[i], scales);
    }
    a->verdict = soonest(a, cheapest(a, -1));
    a->runner_up = a->verdict < 0 ? -1 : cheapest(a, a->verdict);
    a->margin = a->runner_up < 0
                    ? 0
                    : fmax(0, a->costs[a->runner_up] / a->costs[a->verdict] -
                                  1);
    return 0;
}

/* Whether the verdict would be the same at another frequency. */
static int verdict_at(const struct advice *a, double rate,
                      const struct model_costs *costs,
                      const struct advice_scales *scales, bool *same)
{
    struct advice other = *a;
    int rc;

    other.workload.rate = rate;
    rc = decide(&other, costs, scales);
    *same &= other.verdict == a->verdict;
    return rc;
}

/* Of so many updates that were counted the true number is, in 95 of 100 cases,
 * between about two square roots less and more; of none, at most three. */
static int try_bounds(struct advice *a, const struct model_costs *costs,
                      const struct advice_scales *scales)
{
    double n = a->sample.updates, off = 2 * sqrt(n + 1);
    double seconds = fmax(a->sample.seconds, 1e-3);
    bool same = true;
    int rc = verdict_at(a, fmax(0, n - off) / fmax(seconds, SECONDS_MIN), costs,
                        scales, &same);

    if (rc == 0)
        rc = verdict_at(a, (n + off + 1) / seconds, costs, scales, &same);
    a->sure = same;
    a->enough = same || (n >= UPDATES_MIN && seconds >= SECONDS_MIN);
    return rc;
}

int advice_make(struct advice *out, const struct workload *w,
                const struct advice_sample *sample, unsigned allowed,
                const struct model_costs *costs,
                const struct advice_scales *scales)
{
    int rc;

    *out = (struct advice){.workload = *w, .sample = *sample,
                           .allowed = allowed, .sure = true, .enough = true};
    rc = decide(out, costs, scales);
    if (rc == 0 && sample->measured)
        rc = try_bounds(out, costs, scales);
    if (!out->enough)
        out->verdict = out->runner_up = -1;
    return rc;
}

/* ---- in words ------------------------------------------------------------ */

struct telling {
    const struct advice *a;
    void (*say)(void *arg, struct str reason);
    void *arg;
};

static void tell(const struct telling *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void tell(const struct telling *t, const char *format, ...)
{
    char text[400];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n >= (int)sizeof(text))
        n = (int)sizeof(text) - 1;
    t->say(t->arg, (struct str){text, (size_t)n});
}

/* "250 ms", "1.5 s", "49 min", "2.5 h", "3 days" */
static const char *time_print(double s, char out[32])
{
    static const struct {
        double below, unit;
        const char *name;
    } units[] = {{1, 1e-3, "ms"}, {100, 1, "s"}, {6000, 60, "min"},
                 {172800, 3600, "h"}, {INFINITY, 86400, "days"}};
    int i = 0;

    while (s >= units[i].below)
        i++;
    snprintf(out, 32, "%.3g %s", s / units[i].unit, units[i].name);
    return out;
}

/* How many times as much, and of what, the runner-up takes: of what makes most
 * of the difference. */
static void tell_runner_up(const struct telling *t)
{
    const struct advice *a = t->a;
    const struct price *best = &a->prices[a->verdict];
    const struct price *next = &a->prices[a->runner_up];
    const struct advice_scales *s = &advice_scales_usual;
    double cpu = (next->cpu_us - best->cpu_us) / s->cpu_us;
    double bytes = (next->served_in + next->served_out - best->served_in -
                    best->served_out) / s->bytes;
    double memory = (next->memory_bytes - best->memory_bytes) / s->memory;
    const char *what = cpu >= bytes && cpu >= memory ? "processor time"
                       : bytes >= memory             ? "traffic"
                                                     : "memory";

    if (a->margin < MARGIN_SMALL)
        tell(t, "%s costs nearly the same, %.1f %% more: choose between the two "
             "by what else they differ in", tally_transports[a->runner_up],
             100 * a->margin);
    else if (a->margin < 2)
        tell(t, "%s is next: it costs %.0f %% more, most of it for %s",
             tally_transports[a->runner_up], 100 * a->margin, what);
    else
        tell(t, "%s is next: it costs %.3g times as much, most of it for %s",
             tally_transports[a->runner_up], 1 + a->margin, what);
}

static void tell_merging(const struct telling *t, int part)
{
    const struct price *p = &t->a->prices[part];
    double all = t->a->workload.rate;

    if (p->merged <= 0.005 * all)
        return;
    if (part == TALLY_POLL)
        tell(t, "polling passes over %.0f %% of the updates for newer ones: that "
             "is what makes it cheap", 100 * p->merged / all);
    else
        tell(t, "with \"max_rate\": %.3g a second, so that %.0f %% of the updates "
             "are passed over for newer ones", p->max_rate,
             100 * p->merged / all);
}

/* Three digits, without an exponent. */
static const char *number_print(double n, char out[32])
{
    snprintf(out, 32, n < 0.001 ? "%.4f" : n < 100 ? "%.3g" : "%.0f", n);
    return out;
}

static void tell_verdict(const struct telling *t)
{
    const struct advice *a = t->a;
    const struct price *p = &a->prices[a->verdict];
    char age[32], every[32], bytes[32], cpu[32];

    tell(t, "%s costs least of what brings updates within %s: %s bytes/s and "
         "%s us of processor time a second for each reader",
         tally_transports[a->verdict], time_print(a->workload.age_s, age),
         number_print(p->served_in + p->served_out, bytes),
         number_print(p->cpu_us, cpu));
    if (a->verdict == TALLY_POLL)
        tell(t, "clients poll every %s%s", time_print(p->poll_s, every),
             p->cache_s > 0 ? ", and the cache in front answers most of them"
                            : "");
    tell_merging(t, a->verdict);
    if (a->runner_up >= 0)
        tell_runner_up(t);
}

static void tell_misfits(const struct telling *t)
{
    const struct advice *a = t->a;

    for (int i = 0; i < MODEL_TRANSPORTS; i++)
        if ((a->allowed >> i & 1) == 0)
            tell(t, "%s is not served by this route", tally_transports[i]);
        else if (!a->prices[i].fits)
            tell(t, "%s does not fit: %s", tally_transports[i],
                 a->prices[i].why_not);
}

static void tell_workload(const struct telling *t)
{
    const struct workload *w = &t->a->workload;

    if (!w->age_stated)
        tell(t, "no acceptable age of the data is stated (by the route's "
             "acceptable_age, or --age): 1 s is taken");
    if (w->kind == ENVELOPE_BINARY)
        tell(t, "binary data goes as base64, a third more, but for a WebSocket "
             "without penstock.v1 and a poll of the newest");
    if (w->sends > 0)
        tell(t, "what clients say goes over the WebSocket, and by POST where "
             "there is none");
}

void advice_reasons(const struct advice *a,
                    void (*say)(void *arg, struct str reason), void *arg)
{
    const struct telling t = {a, say, arg};

    if (!a->enough)
        tell(&t, a->sample.updates == 0
                     ? "there has been no update"
                     : "%.0f updates in %.0f s do not tell how often they come",
             a->sample.updates, a->sample.seconds);
    else if (a->verdict < 0)
        tell(&t, "no transport brings updates in time with this machine");
    else
        tell_verdict(&t);
    if (a->enough && !a->sure)
        tell(&t, "the frequency is not yet known well: another one that is "
             "likely, too, would give another verdict");
    tell_misfits(&t);
    tell_workload(&t);
}

/* ---- as JSON ------------------------------------------------------------- */

static void write_name(struct buffer *out, const char *member, int part)
{
    if (part < 0)
        buffer_printf(out, ",\"%s\":null", member);
    else
        buffer_printf(out, ",\"%s\":\"%s\"", member, tally_transports[part]);
}

static void write_reason(void *arg, struct str reason)
{
    struct buffer *out = arg;

    if (out->len > 0 && out->data[out->len - 1] != '[')
        buffer_append_byte(out, ',');
    json_append_string(out, reason);
}

static void write_optional(struct buffer *out, const char *member, double value)
{
    if (value > 0)
        buffer_printf(out, ",\"%s\":%.6g", member, value);
}

static void write_workload(struct buffer *out, const struct workload *w)
{
    static const char *const kinds[] = {"text", "json", "binary"};

    buffer_printf(out,
                  ",\"workload\":{\"per_s\":%.6g,\"burstiness\":%.3g,"
                  "\"bytes\":%.6g,\"kind\":\"%s\",\"readers\":%.6g,"
                  "\"channels\":%.6g,\"age_ms\":%.6g,\"age_stated\":%s,"
                  "\"delivery\":\"%s\",\"cacheable\":%s,\"sends_per_s\":%.6g,"
                  "\"rtt_ms\":%.6g,\"workers\":%.6g}",
                  w->rate, w->burstiness, w->size_bytes, kinds[w->kind],
                  w->readers, w->channels, w->age_s * 1000,
                  w->age_stated ? "true" : "false",
                  w->newest ? "latest" : "every",
                  w->cacheable ? "true" : "false", w->sends, w->rtt_s * 1000,
                  w->workers);
}

static void write_price(struct buffer *out, const struct advice *a, int i)
{
    const struct price *p = &a->prices[i];

    buffer_printf(out,
                  "%s\"%s\":{\"cost\":%.6g,\"bytes_per_s\":%.6g,"
                  "\"bytes_in_per_s\":%.6g,\"bytes_out_per_s\":%.6g,"
                  "\"served_bytes_per_s\":%.6g,\"requests_per_s\":%.6g,"
                  "\"empty_per_s\":%.6g,\"delivered_per_s\":%.6g,"
                  "\"merged_per_s\":%.6g,\"cpu_us_per_s\":%.6g,"
                  "\"memory_bytes\":%.6g,\"utilization\":%.4g,"
                  "\"age_ms\":{\"mean\":%.6g,\"p99\":%.6g},\"delivers\":\"%s\"",
                  i > 0 ? "," : "", tally_transports[i], a->costs[i],
                  p->bytes_in + p->bytes_out, p->bytes_in, p->bytes_out,
                  p->served_in + p->served_out, p->requests, p->empty,
                  p->delivered, p->merged, p->cpu_us, p->memory_bytes,
                  p->utilization, p->age_mean_ms, p->age_p99_ms,
                  p->newest ? "latest" : "every");
    write_optional(out, "poll_ms", p->poll_s * 1000);
    write_optional(out, "cache_s", p->cache_s);
    write_optional(out, "max_rate_per_s", p->max_rate);
    buffer_printf(out, ",\"served\":%s,\"fits\":%s",
                  (a->allowed >> i & 1) != 0 ? "true" : "false",
                  p->fits ? "true" : "false");
    if (p->why_not != NULL)
        buffer_printf(out, ",\"why_not\":\"%s\"", p->why_not);
    buffer_append_byte(out, '}');
}

void advice_write_json(const struct advice *a, struct buffer *out)
{
    struct buffer why = {0};

    buffer_printf(out, "\"verdict\":%s%s%s", a->verdict < 0 ? "null" : "\"",
                  a->verdict < 0 ? "" : tally_transports[a->verdict],
                  a->verdict < 0 ? "" : "\"");
    buffer_append_byte(&why, '[');
    advice_reasons(a, write_reason, &why);
    buffer_append_byte(&why, ']');
    buffer_append_str(out, STR(",\"why\":"));
    buffer_append_str(out, buffer_str(&why));
    out->failed |= why.failed;
    buffer_fini(&why);
    buffer_printf(out, ",\"confidence\":\"%s\"",
                  !a->sample.measured ? "stated"
                  : !a->enough        ? "none"
                  : a->sure           ? "high"
                                      : "low");
    write_name(out, "runner_up", a->runner_up);
    if (a->runner_up < 0)
        buffer_append_str(out, STR(",\"margin\":null"));
    else
        buffer_printf(out, ",\"margin\":%.4g", a->margin);
    buffer_printf(out, ",\"not_enough_data\":%s", a->enough ? "false" : "true");
    write_workload(out, &a->workload);
    buffer_append_str(out, STR(",\"prices\":{"));
    for (int i = 0; i < MODEL_TRANSPORTS; i++)
        write_price(out, a, i);
    buffer_append_byte(out, '}');
}
