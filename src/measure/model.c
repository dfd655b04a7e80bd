#include "measure/model.h"

#include <math.h>
#include <stddef.h>

#include "measure/octets.h"

/* More than this of all workers' time leaves no room for what comes unevenly. */
#define UTILIZATION_MAX 0.8
/* As cold as it gets; and how often it is to be for what costs are for. */
#define COLD_MAX 2.5
#define COLD_RATE 100
/* No client asks again sooner, however short the way is. */
#define POLL_MIN_S 0.01

/* As benchmarks/lib/prices.py measured them on machine A of
 * doc/measurements.md. */
const struct model_costs model_costs_usual = {
    .delivery_us = {4.2, 7, 4.1, 4.1},
    .empty_us = {3.7, 5.7, 0, 0},
    .cold = {0, 0.46, 1, 0.9},
    .lonely_us = {28, 10, 0},
    .message_us = 0.08,
    .merge_us = 0.15,
    .kib_us = 0.11,
    .send_us = {29, 29, 29, 16},
    .connect_us = 22,
    .memory_bytes = {300, 304, 385, 390},
    .socket_bytes = 3800,
};

void model_workload_init(struct workload *w)
{
    *w = (struct workload){
        .rate = 1,
        .burstiness = 1,
        .size_bytes = 300,
        .kind = ENVELOPE_JSON,
        .readers = 1000,
        .channels = 1,
        .age_s = 1,
        .send_bytes = 100,
        .packed = 1,
        .wait_s = 25,
        .heartbeat_s = 15,
        .rtt_s = 0.05,
        .stay_s = 3600,
        .idle_s = 75,
        .request_bytes = 450,
        .history = 1000,
        .messages = 10000,
        .workers = 1,
        .lapse = 1,
    };
}

/* ---- how updates come ---------------------------------------------------- */

/* Bursts of updates: rate of them a second, each of so many updates.  regular:
 * from 0, at random, to 1, like a clock; what lies between is taken for a mixture
 * of both. */
struct pace {
    double rate, burst, regular;
};

/* Where bursts come at random and hold b updates in the mean, geometrically
 * spread, the square of the burstiness is 2b - 1. */
static struct pace pace_of(const struct workload *w)
{
    double cv = w->burstiness;
    struct pace p = {w->rate, 1, cv < 1 ? 1 - cv : 0};

    if (cv > 1)
        p.burst = (cv * cv + 1) / 2;
    p.rate /= p.burst;
    return p;
}

static double mix(const struct pace *p, double regular, double random)
{
    return p->regular * regular + (1 - p->regular) * random;
}

/* How likely it is that some come within a time. */
static double any_within(const struct pace *p, double seconds)
{
    return mix(p, fmin(1, p->rate * seconds), -expm1(-p->rate * seconds));
}

/* How often a silence of so many seconds has passed since the last of those that
 * come at this rate, or since the last such silence. */
static double silences(const struct pace *p, double rate, double seconds)
{
    if (rate * seconds < 1e-9)
        return 1 / seconds;
    return mix(p, rate * floor((1 / rate - 1e-9) / seconds),
               rate / expm1(rate * seconds));
}

/* 99 of a hundred are no later, if a share of them wait for anything up to most,
 * all alike, and the rest not at all. */
static double p99_of(double share, double most)
{
    return share > 0.01 ? most * (1 - 0.01 / share) : 0;
}

/* ---- what is common ------------------------------------------------------ */

struct reckoning {
    const struct workload *w;
    const struct model_costs *costs;
    unsigned part;
    struct pace pace;
    struct octets o;
    double heat;  /* of costs: caches hold only so many readers */
    double fan_s; /* from the first reader of a channel to the last */
};

/* Of costs with 1000 readers; doc/scaling.md. */
static double heat_of(double readers)
{
    static const struct {
        double readers, heat;
    } known[] = {{1000, 1}, {5000, 1.38}, {18000, 2.43}};

    if (readers <= known[0].readers)
        return 1;
    for (int i = 1; i < 3; i++)
        if (readers <= known[i].readers) {
            double share = log(readers / known[i - 1].readers) /
                           log(known[i].readers / known[i - 1].readers);

            return known[i - 1].heat +
                   share * (known[i].heat - known[i - 1].heat);
        }
    return known[2].heat;
}

/* How many times the costs of what a connection does so often a second. */
static double cold_of(const struct reckoning *r, double rate)
{
    double slope = r->costs->cold[r->part];

    rate *= r->w->lapse;
    if (rate >= COLD_RATE)
        return 1;
    return rate <= 0 ? COLD_MAX
                     : fmin(COLD_MAX, 1 + slope * log10(COLD_RATE / rate));
}

/* What each of so many polls of a reader a second takes more: a processor that
 * had nothing to do for a while, neither polls nor updates, has to come back to
 * it.  On a straight line over logarithms between what is known. */
static double lonely_of(const struct reckoning *r, double rate)
{
    const struct workload *w = r->w;
    const double *known = r->costs->lonely_us;
    double all = (rate * w->readers + w->rate * w->channels) / w->workers *
                 w->lapse;
    double at = all <= 100 ? 0 : fmin(log10(all / 100), 2);
    int i = at >= 1;

    return known[i] + (at - i) * (known[i + 1] - known[i]);
}

static int begin(struct reckoning *r, unsigned part, const struct workload *w,
                 const struct model_costs *costs, double cache_s)
{
    const struct octets_terms terms = {
        .kind = w->kind,
        .size_bytes = w->size_bytes,
        .seq = (uint64_t)w->messages,
        .packed = w->packed,
        .raw = w->raw,
        .newest = w->newest,
        .cache_s = (uint64_t)cache_s,
        .request_bytes = w->request_bytes,
        .send_bytes = w->send_bytes,
    };

    *r = (struct reckoning){.w = w, .costs = costs, .part = part};
    r->pace = pace_of(w);
    r->heat = heat_of(w->readers);
    r->fan_s = costs->delivery_us[part] * 1e-6 * r->heat *
               fmax(1, w->readers / w->channels) / w->workers;
    return octets_of(&r->o, part, &terms);
}

/* cpu_us is what the messages take, not yet heated. */
static void end(struct price *p, const struct reckoning *r)
{
    const struct workload *w = r->w;
    const struct model_costs *c = r->costs;

    p->bytes_in += w->sends * r->o.send_in + r->o.setup_in / w->stay_s;
    p->bytes_out += w->sends * r->o.send_out + r->o.setup_out / w->stay_s;
    p->served_in += w->sends * r->o.send_in + r->o.setup_in / w->stay_s;
    p->served_out += w->sends * r->o.send_out + r->o.setup_out / w->stay_s;
    p->requests += r->part == TALLY_WEBSOCKET ? 0 : w->sends;
    p->cpu_us += w->sends * c->send_us[r->part] + c->connect_us / w->stay_s;
    p->cpu_us *= r->heat;
    p->utilization = p->cpu_us * 1e-6 * w->readers / w->workers;
    if (p->utilization > UTILIZATION_MAX)
        p->why_not = "it takes more processor than there is";
    else if (p->age_p99_ms > w->age_s * 1000 * (1 + 1e-6))
        p->why_not = "updates arrive later than is acceptable";
    p->fits = p->why_not == NULL;
}

/* ---- followers ----------------------------------------------------------- */

/* How long after a delivery the next may be: so that what was held back is there
 * in time.  0: none is held back. */
static double hold_of(const struct reckoning *r)
{
    const struct workload *w = r->w;
    double hold = w->age_s - w->rtt_s / 2 - r->fan_s;

    if (w->max_rate > 0)
        return 1 / w->max_rate;
    return w->newest && hold > 0 && w->rate * hold > 1 ? hold : 0;
}

/* After a delivery what comes is held, and the newest of it sent then; or, if
 * nothing came, the next one at once. */
static void price_merging(struct price *p, const struct reckoning *r,
                          double hold)
{
    const struct pace *pace = &r->pace;
    double random = pace->rate <= 0 ? 0
                                    : 1 / (hold + exp(-pace->rate * hold) /
                                                      pace->rate);
    double writes = mix(pace, fmin(pace->rate, 1 / hold), random);
    double share = writes * hold; /* of the time */

    p->max_rate = 1 / hold;
    p->newest = true;
    p->delivered = writes;
    p->merged = r->w->rate - writes;
    p->requests = writes; /* for now: see price_follower() */
    p->age_mean_ms = 1000 * share * hold / 2;
    p->age_p99_ms = 1000 * p99_of(share, hold);
}

static void price_every(struct price *p, const struct reckoning *r)
{
    const struct pace *pace = &r->pace;
    double batch = r->w->batch_s, with = pace->rate * batch;
    double regular = fmin(pace->rate, batch > 0 ? 1 / batch : pace->rate);

    p->delivered = r->w->rate;
    p->requests = mix(pace, regular, pace->rate / (1 + with));
    p->age_mean_ms = 1000 * batch * (1 + with / 2) / (1 + with);
    p->age_p99_ms = 1000 * batch;
}

static void price_follower(struct price *p, const struct reckoning *r)
{
    const struct workload *w = r->w;
    const struct model_costs *c = r->costs;
    double hold = hold_of(r), writes, beats;

    if (hold > 0)
        price_merging(p, r, hold);
    else
        price_every(p, r);
    writes = p->requests;
    p->requests = 1 / w->stay_s;
    beats = silences(&r->pace, writes, w->heartbeat_s);
    p->bytes_out = p->delivered * r->o.message + beats * r->o.beat_out;
    p->bytes_in = beats * r->o.beat_in;
    p->served_in = p->bytes_in;
    p->served_out = p->bytes_out;
    p->age_mean_ms += 1000 * (w->rtt_s + r->fan_s) / 2;
    p->age_p99_ms += 1000 * (w->rtt_s / 2 + r->fan_s);
    p->cpu_us = (writes + beats) * c->delivery_us[r->part] *
                    cold_of(r, writes + beats) +
                fmax(0, p->delivered - writes) * c->message_us +
                p->merged * c->merge_us +
                p->delivered * w->size_bytes / 1024 * c->kib_us;
    p->memory_bytes = c->memory_bytes[r->part] + c->socket_bytes;
}

/* ---- long polls ---------------------------------------------------------- */

/* Answers and, of these, empty ones a second, where after each there is a gap
 * until the next question, which then waits. */
struct turns {
    double all, empty;
};

static struct turns random_turns(double rate, double gap, double wait)
{
    double waited = rate * wait < 1e-9 ? wait : -expm1(-rate * wait) / rate;
    double cycle = gap + exp(-rate * gap) * waited;

    return (struct turns){1 / cycle, exp(-rate * (gap + wait)) / cycle};
}

static struct turns regular_turns(double rate, double gap, double wait)
{
    double empties;

    if (rate <= 0)
        return (struct turns){1 / (gap + wait), 1 / (gap + wait)};
    if (rate * gap >= 1)
        return (struct turns){1 / gap, 0};
    empties = floor((1 / rate - gap) / (gap + wait));
    return (struct turns){rate * (1 + empties), rate * empties};
}

static void price_longpoll(struct price *p, const struct reckoning *r)
{
    const struct workload *w = r->w;
    const struct model_costs *c = r->costs;
    double gap = fmax(w->rtt_s + r->fan_s, 1e-4), late, full;
    bool behind = r->pace.rate * gap >= 1; /* even if they come like a clock */
    struct turns regular = regular_turns(r->pace.rate, gap, w->wait_s);
    struct turns random = random_turns(r->pace.rate, gap, w->wait_s);

    p->requests = mix(&r->pace, regular.all, random.all);
    p->empty = mix(&r->pace, regular.empty, random.empty);
    full = p->requests - p->empty;
    p->delivered = w->rate;
    p->bytes_in = p->requests * r->o.request;
    p->bytes_out = full * r->o.answer + p->empty * r->o.empty +
                   fmax(0, w->rate - full) * r->o.more;
    p->served_in = p->bytes_in;
    p->served_out = p->bytes_out;
    late = mix(&r->pace, behind ? 1 : regular.empty * gap,
               fmin(1, random.all * gap)); /* come while nobody waits */
    p->age_mean_ms = 1000 * (late * gap / 2 + (w->rtt_s + r->fan_s) / 2);
    p->age_p99_ms = 1000 * (p99_of(late, gap) + w->rtt_s / 2 + r->fan_s);
    p->cpu_us = (full * c->delivery_us[r->part] +
                 p->empty * c->empty_us[r->part]) *
                    cold_of(r, p->requests) +
                fmax(0, w->rate - full) * c->message_us +
                w->rate * w->size_bytes / 1024 * c->kib_us;
    p->memory_bytes = c->memory_bytes[r->part] + c->socket_bytes;
}

/* ---- polls --------------------------------------------------------------- */

/* What a cache gives out may be older by what it keeps it: the 99th of a hundred
 * sums of two such waits. */
static double p99_of_sum(double a, double b)
{
    return a * b == 0 ? 0.99 * (a + b)
                      : fmax(a + b - sqrt(0.02 * a * b),
                             0.99 * fmax(a, b));
}

/* Whole seconds are what Cache-Control can say.  What lies after a cursor is not
 * for caches. */
static double cache_of(const struct workload *w)
{
    if (!w->cacheable || !w->newest)
        return 0;
    if (w->cache_s > 0)
        return floor(w->cache_s);
    return floor(w->poll_s > 0 ? w->poll_s : w->age_s / 4);
}

/* The longest time between two polls that still lets updates arrive in time. */
static double interval_of(const struct workload *w, double cache_s)
{
    double room = w->age_s - w->rtt_s / 2, interval = room / 0.99;

    if (w->poll_s > 0)
        return w->poll_s;
    if (cache_s > 0 && room > cache_s) {
        interval = room - cache_s;
        for (int i = 0; i < 8; i++)
            interval = room - cache_s + sqrt(0.02 * cache_s * interval);
    }
    /* The history must still have what came meanwhile. */
    if (!w->newest && w->rate * interval > w->history / 2)
        interval = w->history / 2 / w->rate;
    return fmax(interval, fmax(POLL_MIN_S, w->rtt_s));
}

/* Octets out of an answer to whoever asks this often. */
static double answer_of(const struct reckoning *r, double interval)
{
    double some = any_within(&r->pace, interval);

    return some * r->o.answer + (1 - some) * r->o.empty +
           fmax(0, r->w->rate * interval - some) * r->o.more;
}

static void price_poll(struct price *p, const struct reckoning *r,
                       double interval, double cache_s)
{
    const struct workload *w = r->w;
    const struct model_costs *c = r->costs;
    double some = any_within(&r->pace, interval), asked = 1 / interval;
    double apart = interval; /* between two requests for the same */
    bool cached = cache_s > 0 && w->channels / cache_s < w->readers * asked;

    p->poll_s = interval;
    p->cache_s = cached ? cache_s : 0;
    p->newest = w->newest;
    p->requests = 1 / interval;
    p->empty = (1 - some) / interval;
    p->delivered = w->newest ? some / interval : w->rate;
    p->merged = w->rate - p->delivered;
    p->bytes_in = asked * r->o.request;
    p->bytes_out = asked * answer_of(r, interval);
    if (cached) {
        asked = w->channels / cache_s / w->readers;
        apart = cache_s;
    }
    some = any_within(&r->pace, apart);
    p->served_in = asked * r->o.request;
    p->served_out = asked * answer_of(r, apart);
    p->age_mean_ms = 1000 * ((interval + p->cache_s + w->rtt_s) / 2);
    p->age_p99_ms = 1000 * (p99_of_sum(interval, p->cache_s) + w->rtt_s / 2);
    p->cpu_us = asked * (some * c->delivery_us[r->part] +
                         (1 - some) * c->empty_us[r->part]) *
                    cold_of(r, asked) +
                asked * lonely_of(r, asked) +
                asked * some * w->size_bytes / 1024 * c->kib_us;
    if (!w->newest)
        p->cpu_us += fmax(0, w->rate - some * asked) * c->message_us;
    if (cached)
        return; /* the cache holds the connections */
    if (interval < w->idle_s)
        p->memory_bytes = c->memory_bytes[r->part] + c->socket_bytes;
    else
        p->cpu_us += c->connect_us / interval;
}

int model_price(struct price *out, unsigned part, const struct workload *w,
                const struct model_costs *costs)
{
    double cache_s = part == TALLY_POLL ? cache_of(w) : 0;
    struct reckoning r;
    int rc = begin(&r, part, w, costs, cache_s);

    *out = (struct price){.bytes_in = 0};
    if (rc < 0)
        return rc;
    if (part == TALLY_POLL)
        price_poll(out, &r, interval_of(w, cache_s), cache_s);
    else if (part == TALLY_LONGPOLL)
        price_longpoll(out, &r);
    else
        price_follower(out, &r);
    end(out, &r);
    return 0;
}
