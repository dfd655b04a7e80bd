#include "bench/report.h"

#include <stdarg.h>
#include <stdlib.h>

#include "bench/machine.h"

static double per(double sum, double n)
{
    return n > 0 ? sum / n : 0;
}

static double in_ms(uint64_t us)
{
    return (double)us / 1000;
}

json_t *report_spread(const struct histogram *us)
{
    return json_pack("{s:I,s:f,s:f,s:f,s:f,s:f,s:f}", "count",
                     (json_int_t)us->count, "mean", histogram_mean(us) / 1000,
                     "p50", in_ms(histogram_percentile(us, 50)), "p90",
                     in_ms(histogram_percentile(us, 90)), "p99",
                     in_ms(histogram_percentile(us, 99)), "p999",
                     in_ms(histogram_percentile(us, 99.9)), "max",
                     in_ms(us->max));
}

/* ---- faults ----------------------------------------------------------------- */

static void fault(json_t *faults, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void fault(json_t *faults, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    json_array_append_new(faults, json_string(text));
}

static void fault_count(json_t *faults, uint64_t n, const char *what)
{
    if (n > 0)
        fault(faults, "%llu %s", (unsigned long long)n, what);
}

static const char *because(const char *why)
{
    return why[0] == '\0' ? "no answer" : why;
}

static void add_reader_faults(json_t *faults, const struct findings *f)
{
    const struct crowd_sum *c = &f->crowd;
    unsigned missing = f->options->connections - f->ready;

    if (missing > 0)
        fault(faults, "%u of %u readers got nowhere: %s", missing,
              f->options->connections, because(c->counts.first_error));
    else if (c->counts.errors > 0)
        fault(faults, "%llu answers were none to what was asked: %s",
              (unsigned long long)c->counts.errors,
              because(c->counts.first_error));
    if (!f->options->latest) {
        fault_count(faults, f->lost, "deliveries were lost");
        fault_count(faults, c->again, "messages came twice");
    }
    fault_count(faults, c->late, "messages came out of order");
    fault_count(faults, c->corrupt, "messages were not as they were sent");
    fault_count(faults, c->misrouted, "messages were another channel's");
}

static json_t *faults_of(const struct findings *f)
{
    const struct publisher_sum *p = f->published;
    json_t *faults = json_array();

    add_reader_faults(faults, f);
    if (p != NULL && p->failed > 0)
        fault(faults, "%llu messages were not accepted: %s",
              (unsigned long long)p->failed, because(p->first_error));
    if (p != NULL && p->accepted > 0 && f->crowd.delivered == 0)
        fault(faults, "nothing arrived: do --publish and URL belong together?");
    if (f->interrupted)
        fault(faults, "it was interrupted");
    return faults;
}

/* ---- the parts --------------------------------------------------------------- */

static json_t *run_of(const struct bench_options *o)
{
    json_t *run =
        json_pack("{s:s,s:s?,s:s,s:s,s:i,s:i,s:i,s:f}", "url", o->url,
                  "publish", o->publish, "transport",
                  subscriber_kind_names[o->plan.kind], "cursor",
                  resume_names[o->plan.resume], "connections",
                  (int)o->connections, "channels", (int)o->channels, "threads",
                  (int)o->threads, "duration_s", (double)o->duration_ms / 1000);

    if (o->plan.kind == SUBSCRIBE_POLL)
        json_object_set_new(run, "every_s",
                            json_real((double)o->plan.interval_ms / 1000));
    if (o->publish != NULL && o->window > 0)
        json_object_set_new(run, "window", json_integer(o->window));
    else if (o->publish != NULL)
        json_object_set_new(run, "rate_per_s", json_real(o->rate));
    if (o->publish != NULL)
        json_object_set_new(run, "size_bytes",
                            json_integer((json_int_t)o->size_bytes));
    if (o->label != NULL)
        json_object_set_new(run, "label", json_string(o->label));
    return run;
}

static json_t *readers_of(const struct findings *f)
{
    const struct subscriber_counts *all = &f->crowd.counts;

    return json_pack("{s:i,s:i,s:I,s:I,s:I,s:I,s:o}", "ready", (int)f->ready,
                     "refused", (int)f->refused, "connects",
                     (json_int_t)all->connects, "connect_failures",
                     (json_int_t)all->connect_failures, "cuts",
                     (json_int_t)all->cuts, "errors", (json_int_t)all->errors,
                     "connect_ms", report_spread(&all->connect_us));
}

static json_t *published_of(const struct publisher_sum *p)
{
    double s = (double)(p->ended_us - p->began_us) / 1e6;

    return json_pack("{s:I,s:I,s:I,s:f,s:I,s:I,s:o}", "due", (json_int_t)p->due,
                     "accepted", (json_int_t)p->accepted, "failed",
                     (json_int_t)p->failed, "per_s",
                     p->ended_us > p->began_us ? (double)p->accepted / s : 0,
                     "bytes_in", (json_int_t)p->bytes_in, "bytes_out",
                     (json_int_t)p->bytes_out, "answer_ms",
                     report_spread(&p->answer_us));
}

static json_t *deliveries_of(const struct findings *f)
{
    const struct crowd_sum *c = &f->crowd;
    uint64_t began_us = f->published->began_us;
    double s =
        c->last_us > began_us ? (double)(c->last_us - began_us) / 1e6 : 0;
    bool latest = f->options->latest;

    return json_pack(
        "{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:o}", "expected",
        (json_int_t)f->expected, "delivered", (json_int_t)c->delivered, "lost",
        (json_int_t)(latest ? 0 : f->lost), "merged",
        (json_int_t)(latest ? f->lost : 0), "again", (json_int_t)c->again,
        "late", (json_int_t)c->late, "corrupt", (json_int_t)c->corrupt,
        "misrouted", (json_int_t)c->misrouted, "foreign",
        (json_int_t)c->foreign, "per_s", per((double)c->delivered, s), "age_ms",
        report_spread(&c->age_us));
}

static json_t *traffic_of(const struct findings *f)
{
    const struct subscriber_counts *m = &f->crowd.measured;
    double n = f->published != NULL ? (double)f->crowd.delivered
                                    : (double)f->crowd.messages;

    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:f,s:f}", "messages",
                     (json_int_t)f->crowd.messages, "requests",
                     (json_int_t)m->requests, "empty", (json_int_t)m->empty,
                     "connects", (json_int_t)m->connects, "bytes_in",
                     (json_int_t)m->bytes_in, "bytes_out",
                     (json_int_t)m->bytes_out, "bytes_in_per_message",
                     per((double)m->bytes_in, n), "bytes_out_per_message",
                     per((double)m->bytes_out, n), "seconds",
                     (double)f->measured_us / 1e6);
}

static double share(uint64_t cpu_us, uint64_t of_us)
{
    return per((double)cpu_us, (double)of_us);
}

/* CPU shares are of one core. */
static json_t *cost_of(const struct findings *f)
{
    uint64_t client_us =
        f->crowd.cpu_us + (f->published == NULL ? 0 : f->published->cpu_us);
    json_t *cost = json_pack("{s:f}", "client_cpu_share",
                             share(client_us, f->measured_us));

    if (f->options->pid_count == 0)
        return cost;
    json_object_set_new(cost, "server_cpu_share",
                        json_real(share(f->server_us, f->measured_us)));
    json_object_set_new(cost, "machine_cpu_share",
                        json_real(share(f->machine_us, f->measured_us)));
    json_object_set_new(
        cost, "server_cpu_us_per_delivery",
        json_real(per((double)f->server_us, (double)f->crowd.delivered)));
    json_object_set_new(cost, "server_memory_bytes",
                        json_integer((json_int_t)f->after.pss_bytes));
    json_object_set_new(
        cost, "server_memory_bytes_per_reader",
        json_real(per((double)f->idle.pss_bytes - (double)f->before.pss_bytes,
                      f->ready)));
    return cost;
}

json_t *report_new(const struct findings *f)
{
    json_t *faults = faults_of(f);
    bool ok = json_array_size(faults) == 0;
    json_t *report =
        json_pack("{s:o,s:o,s:o,s:o,s:o}", "machine", machine_facts(), "run",
                  run_of(f->options), "readers", readers_of(f), "traffic",
                  traffic_of(f), "cost", cost_of(f));

    if (f->published != NULL) {
        json_object_set_new(report, "published", published_of(f->published));
        json_object_set_new(report, "deliveries", deliveries_of(f));
    }
    json_object_set_new(report, "faults", faults);
    json_object_set_new(report, "ok", json_boolean(ok));
    return report;
}

/* ---- for people ---------------------------------------------------------------- */

static const json_t *at(const json_t *o, const char *part)
{
    return json_object_get(o, part);
}

static double number(const json_t *o, const char *name)
{
    return json_number_value(json_object_get(o, name));
}

static long long whole(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));

    return s == NULL ? "" : s;
}

static void print_spread(const char *name, const json_t *s, FILE *out)
{
    fprintf(out,
            "%-11s p50 %.2f ms, p90 %.2f, p99 %.2f, p99.9 %.2f, max %.2f, "
            "mean %.2f\n",
            name, number(s, "p50"), number(s, "p90"), number(s, "p99"),
            number(s, "p999"), number(s, "max"), number(s, "mean"));
}

static void print_run(const json_t *report, FILE *out)
{
    const json_t *run = at(report, "run"), *readers = at(report, "readers");

    fprintf(out,
            "%s, %lld readers by %s, %lld connects (%lld failed, %lld cut)\n",
            text(run, "url"), whole(readers, "ready"), text(run, "transport"),
            whole(readers, "connects"), whole(readers, "connect_failures"),
            whole(readers, "cuts"));
    if (whole(at(readers, "connect_ms"), "count") > 0)
        print_spread("connecting", at(readers, "connect_ms"), out);
}

static void print_deliveries(const json_t *report, FILE *out)
{
    const json_t *p = at(report, "published"), *d = at(report, "deliveries");

    fprintf(out,
            "%-11s %lld messages of %lld octets, %.1f a second (%lld not "
            "accepted)\n",
            "published", whole(p, "accepted"),
            whole(at(report, "run"), "size_bytes"), number(p, "per_s"),
            whole(p, "failed"));
    print_spread("answered", at(p, "answer_ms"), out);
    fprintf(out, "%-11s %lld of %lld, %.0f a second", "delivered",
            whole(d, "delivered"), whole(d, "expected"), number(d, "per_s"));
    fprintf(out,
            "; %lld lost, %lld passed over for newer ones, %lld twice, "
            "%lld out of order\n",
            whole(d, "lost"), whole(d, "merged"), whole(d, "again"),
            whole(d, "late"));
    if (whole(at(d, "age_ms"), "count") > 0)
        print_spread("age", at(d, "age_ms"), out);
}

static void print_cost(const json_t *report, FILE *out)
{
    const json_t *t = at(report, "traffic"), *c = at(report, "cost");

    fprintf(out,
            "%-11s %lld requests (%lld answers empty), %lld connects in "
            "%.1f s; %.1f octets in and %.1f out a message\n",
            "traffic", whole(t, "requests"), whole(t, "empty"),
            whole(t, "connects"), number(t, "seconds"),
            number(t, "bytes_in_per_message"),
            number(t, "bytes_out_per_message"));
    fprintf(out, "%-11s %.0f %% of a core here", "cpu",
            100 * number(c, "client_cpu_share"));
    if (at(c, "server_cpu_share") != NULL)
        fprintf(out,
                ", %.0f %% by the server: %.2f us a delivery; %.0f octets of "
                "memory a reader",
                100 * number(c, "server_cpu_share"),
                number(c, "server_cpu_us_per_delivery"),
                number(c, "server_memory_bytes_per_reader"));
    fputc('\n', out);
}

void report_print(const json_t *report, FILE *out)
{
    const json_t *faults = at(report, "faults"), *each;
    size_t i;

    print_run(report, out);
    if (at(report, "deliveries") != NULL)
        print_deliveries(report, out);
    print_cost(report, out);
    fprintf(out, "%-11s %s\n", "machine", machine_line(at(report, "machine")));
    json_array_foreach((json_t *)faults, i, each)
        fprintf(out, "%-11s %s\n", "FAULT", json_string_value(each));
    if (json_array_size(faults) == 0)
        fprintf(out, "%-11s all is as it should be\n", "ok");
}
