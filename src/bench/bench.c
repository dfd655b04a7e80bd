#include "bench/bench.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/jitter.h"
#include "bench/crowd.h"
#include "bench/options.h"
#include "bench/place.h"
#include "bench/process.h"
#include "bench/progress.h"
#include "bench/publisher.h"
#include "bench/report.h"
#include "net/tls.h"

#define EXIT_USAGE           2
#define ANSWERS_MS           60000 /* for what is published last */
#define LOOK_MS              20    /* how often we see how far they are */
#define LOOPBACK_CONNECTIONS 20000 /* from one address; there are 28000 ports */

struct bench {
    struct bench_options options;
    struct places places, publish_places;
    struct tls_server *tls, *publish_tls;
    struct letter_form form;
    struct crowd_settings crowd_settings;
    struct publisher_settings publisher_settings;
    struct crowd *crowd;
    struct publisher *publisher; /* NULL: nothing is published */
    struct process_set family;
    struct progress progress;
    struct findings findings;
};

static int give_up(const char *what, const char *why)
{
    fprintf(stderr, "penstock bench: %s: %s\n", what, why);
    return EXIT_FAILURE;
}

/* ---- before ------------------------------------------------------------------- */

static int prepare_place(struct places *p, struct tls_server **tls,
                         const char *url, const struct bench_options *o)
{
    const char *why = NULL;
    int rc = places_init(p, url, o->channels);

    if (rc == -EINVAL) {
        give_up(url, "no http, https, ws or wss URL");
        return EXIT_USAGE;
    }
    if (rc == 0)
        rc = place_trust(tls, &p->list[0], &o->trust, &why);
    return rc == 0 ? 0 : give_up(url, why == NULL ? strerror(-rc) : why);
}

static int prepare(struct bench *b)
{
    struct bench_options *o = &b->options;
    int rc = prepare_place(&b->places, &b->tls, o->url, o);

    if (rc == 0 && o->publish != NULL)
        rc = prepare_place(&b->publish_places, &b->publish_tls, o->publish, o);
    if (rc != 0)
        return rc;
    if (o->publish == NULL)
        o->size_bytes = LETTER_MIN * 2; /* none is sent */
    if (letter_form_init(&b->form, o->size_bytes, options_type_is_json(o->type),
                         (uint32_t)jitter_between(1, UINT32_MAX)) < 0)
        return give_up("a message", "out of memory");
    if (!process_family(&b->family, o->pids, o->pid_count))
        return give_up("--pid", "there is no such process");
    return 0;
}

/* Tens of thousands of connections to one place need more addresses of ours. */
static unsigned addresses_for(const struct bench *b)
{
    const struct bench_options *o = &b->options;
    const char *host = b->places.list[0].host;

    if (o->plan.addresses > 0)
        return o->plan.addresses;
    if (o->connections <= LOOPBACK_CONNECTIONS ||
        (strncmp(host, "127.", 4) != 0 && strcmp(host, "localhost") != 0))
        return 0;
    return (o->connections + LOOPBACK_CONNECTIONS - 1) / LOOPBACK_CONNECTIONS;
}

static void settle_crowd(struct bench *b)
{
    struct bench_options *o = &b->options;

    o->plan.tls = b->tls;
    o->plan.addresses = addresses_for(b);
    if (o->threads > o->connections)
        o->threads = o->connections;
    b->crowd_settings = (struct crowd_settings){
        .plan = o->plan,
        .channels = b->places.list,
        .channel_count = o->channels,
        .count = o->connections,
        .threads = o->threads,
        .opening = o->opening,
        .form = &b->form,
        .latest = o->latest,
    };
}

static void settle_publisher(struct bench *b)
{
    const struct bench_options *o = &b->options;
    unsigned publishers = o->publishers;

    if (publishers > o->channels)
        publishers = o->channels;
    b->publisher_settings = (struct publisher_settings){
        .channels = b->publish_places.list,
        .channel_count = o->channels,
        .fields = o->publish_fields.len == 0 ? NULL : o->publish_fields.data,
        .type = o->type,
        .template = o->template,
        .tls = b->publish_tls,
        .form = &b->form,
        .connections = publishers,
        .rate = o->rate,
        .window = o->window,
        .duration_us = o->duration_ms * 1000,
        .limit = o->messages,
        .crowd = b->crowd,
        .readers = o->connections,
    };
}

/* ---- the run ------------------------------------------------------------------- */

/* All that can be is connected, or time is up. */
static void await_readers(struct bench *b)
{
    const struct bench_options *o = &b->options;
    uint64_t end_us = clock_now_us() + o->connect_ms * 1000;

    while (!progress_interrupted() && clock_now_us() < end_us) {
        unsigned ready = crowd_ready(b->crowd);
        unsigned refused = crowd_refused(b->crowd);

        if (ready + refused >= o->connections)
            break;
        progress_say(&b->progress, "%u of %u readers connected", ready,
                     o->connections);
        progress_pause(LOOK_MS);
    }
}

static void say_how_far(struct bench *b, uint64_t began_us)
{
    uint64_t s = (clock_now_us() - began_us) / 1000000;

    progress_say(&b->progress, "%llu of %llu s: %llu published, %llu delivered",
                 (unsigned long long)s,
                 (unsigned long long)b->options.duration_ms / 1000,
                 b->publisher == NULL
                     ? 0
                     : (unsigned long long)publisher_accepted(b->publisher),
                 (unsigned long long)crowd_delivered(b->crowd));
}

/* Where messages are published all of them are answered first; within reason,
 * as each may wait long. */
static bool is_over(const struct bench *b, uint64_t began_us)
{
    uint64_t ms = (clock_now_us() - began_us) / 1000;

    if (crowd_refused(b->crowd) == b->options.connections)
        return true;
    if (b->publisher != NULL && publisher_done(b->publisher))
        return true;
    return ms >= b->options.duration_ms +
                     (b->publisher != NULL ? ANSWERS_MS : 0);
}

static void await_end(struct bench *b)
{
    uint64_t began_us = clock_now_us();
    uint64_t cut_us = b->options.cut_ms * 1000;

    while (!progress_interrupted() && !is_over(b, began_us)) {
        if (cut_us > 0 && clock_now_us() - began_us >= cut_us) {
            crowd_cut(b->crowd);
            cut_us = 0;
        }
        say_how_far(b, began_us);
        progress_pause(LOOK_MS);
    }
}

/* How many deliveries there are when nothing is missing. */
static uint64_t deliveries_due(const struct bench *b)
{
    const uint32_t *accepted = publisher_channels(b->publisher);
    unsigned readers = b->options.connections, channels = b->options.channels;
    uint64_t n = 0;

    for (unsigned i = 0; i < channels; i++)
        n += (uint64_t)accepted[i] *
             (readers / channels + (i < readers % channels));
    return n;
}

/* What is on its way still may arrive.  Who asks now and then has until it has
 * asked once more. */
static void await_stragglers(struct bench *b)
{
    const struct bench_options *o = &b->options;
    uint64_t due = deliveries_due(b), had = 0, changed_us = clock_now_us();
    uint64_t grace_us = o->grace_ms * 1000;

    if (o->plan.kind == SUBSCRIBE_POLL)
        grace_us += o->plan.interval_ms * 1000;
    while (!progress_interrupted() && crowd_delivered(b->crowd) < due &&
           clock_now_us() - changed_us < grace_us) {
        if (crowd_delivered(b->crowd) > had) {
            had = crowd_delivered(b->crowd);
            changed_us = clock_now_us();
        }
        progress_say(&b->progress, "waiting for %llu of %llu deliveries",
                     (unsigned long long)(due - had), (unsigned long long)due);
        progress_pause(LOOK_MS);
    }
}

/* From the first message to the last delivery. */
static int measure(struct bench *b)
{
    const struct bench_options *o = &b->options;
    struct findings *f = &b->findings;
    uint64_t began_us = clock_now_us(), machine_us = process_machine_busy_us();
    int rc = 0;

    f->idle = process_cost(&b->family);
    crowd_mark(b->crowd, began_us + o->warmup_ms * 1000);
    if (o->publish != NULL)
        rc = publisher_new(&b->publisher, &b->publisher_settings);
    if (rc < 0)
        return rc;
    await_end(b);
    if (b->publisher != NULL && publisher_done(b->publisher))
        await_stragglers(b);
    crowd_mark_end(b->crowd);
    f->measured_us = clock_now_us() - began_us;
    f->after = process_cost(&b->family);
    /* One that has ended counts nothing any more. */
    f->server_us = f->after.cpu_us > f->idle.cpu_us
                       ? f->after.cpu_us - f->idle.cpu_us
                       : 0;
    f->machine_us = process_machine_busy_us() - machine_us;
    return 0;
}

static void sum_up(struct bench *b)
{
    struct findings *f = &b->findings;
    uint32_t *none = NULL;

    f->ready = crowd_ready(b->crowd);
    f->refused = crowd_refused(b->crowd);
    if (b->publisher != NULL) {
        publisher_stop(b->publisher);
        f->published = publisher_sum(b->publisher);
    } else {
        none = calloc(b->options.channels, sizeof(*none));
    }
    crowd_stop(b->crowd);
    if (b->publisher != NULL || none != NULL)
        crowd_sum(b->crowd,
                  b->publisher != NULL ? publisher_channels(b->publisher)
                                       : none,
                  &f->crowd, &f->expected, &f->lost);
    f->interrupted = progress_interrupted();
    free(none);
}

static int print_report(struct bench *b)
{
    json_t *report = report_new(&b->findings);
    bool ok = json_is_true(json_object_get(report, "ok"));

    progress_fini(&b->progress);
    if (report == NULL)
        return give_up("the report", "out of memory");
    if (b->options.json) {
        json_dumpf(report, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
        putchar('\n');
    } else {
        report_print(report, stdout);
    }
    json_decref(report);
    return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int run(struct bench *b)
{
    int rc;

    b->findings.options = &b->options;
    b->findings.before = process_cost(&b->family);
    settle_crowd(b);
    rc = crowd_new(&b->crowd, &b->crowd_settings);
    if (rc < 0)
        return give_up("the readers", strerror(-rc));
    settle_publisher(b);
    await_readers(b);
    if (crowd_ready(b->crowd) > 0) {
        progress_pause(b->options.settle_ms);
        rc = measure(b);
    }
    if (rc < 0)
        return give_up("the publisher", strerror(-rc));
    sum_up(b);
    return print_report(b);
}

int bench_main(int count, char **args)
{
    struct bench *b = calloc(1, sizeof(*b));
    int rc;

    if (b == NULL)
        return give_up("memory", "there is none");
    signal(SIGPIPE, SIG_IGN);
    switch (bench_options_read(&b->options, count, args)) {
    case OPTIONS_HELPED:
        rc = EXIT_SUCCESS;
        break;
    case OPTIONS_WRONG:
        rc = EXIT_USAGE;
        break;
    default:
        progress_init(&b->progress, "penstock bench");
        rc = prepare(b);
        if (rc == 0)
            rc = run(b);
    }
    crowd_free(&b->crowd);
    publisher_free(&b->publisher);
    letter_form_fini(&b->form);
    tls_server_unref(&b->tls);
    tls_server_unref(&b->publish_tls);
    places_fini(&b->places);
    places_fini(&b->publish_places);
    bench_options_fini(&b->options);
    free(b);
    return rc;
}
