/* penstock advise: what suits a workload that is stated, or those of the routes
 * of a running penstock. */
#include "bench/place.h"
#include "server/advise.h"

#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "measure/advice.h"
#include "measure/yardstick.h"
#include "server/ask.h"
#include "server/costs.h"

#define EXIT_USAGE 2
#define TOKEN_MAX 4096

static const char usage[] =
    "usage: penstock advise [--json] [--token-file FILE] [--ca FILE] URL\n"
    "       penstock advise [--json] --rate RATE [what else is known]\n"
    "\n"
    "Which transport suits, why, and what each costs: of the routes of a running\n"
    "penstock, whose admin listener is at URL, such as http://127.0.0.1:8081; or\n"
    "of what is stated.  Whom to trust where that is https://:\n"
    "  --ca FILE          as PEM (the system's authorities)\n"
    "  --insecure         take any certificate\n"
    "What may be stated:\n"
    "  --rate RATE        updates of a channel: 2/min, 10/s, 1/h\n"
    "  --burstiness B     0 they come like a clock, 1 at random (this unless\n"
    "                     told), more: in bursts\n"
    "  --size SIZE        of an update's data, in the mean: 300B, 5KiB\n"
    "  --binary, --text   it is no JSON\n"
    "  --clients N        who read: 1000 unless told\n"
    "  --channels N       over how many channels they are spread: 1\n"
    "  --age TIME         how late an update may be: 200ms, 1s (unless told), 1h\n"
    "  --latest           only the newest value matters; else every update does\n"
    "  --two-way          clients send, too: once a minute, or as --send says\n"
    "  --send RATE        messages that each client sends\n"
    "  --cacheable        it is public, and a shared cache stands in front\n"
    "  --compress SHARE   what compression leaves: 0.4\n"
    "  --raw              WebSocket without the subprotocol penstock.v1\n"
    "  --poll TIME        between two polls; as --age allows unless told\n"
    "  --wait TIME        of a long poll: 25s\n"
    "  --heartbeat TIME   15s\n"
    "  --batch TIME       for which updates are gathered: 0s\n"
    "  --max-rate RATE    of deliveries to one follower, by merging\n"
    "  --rtt TIME         from a client to here and back: 50ms\n"
    "  --stay TIME        how long a client reads: 1h\n"
    "  --request SIZE     of a client's request head: 450B\n"
    "  --messages N       that a channel has had: its ids' length\n"
    "  --cores N          1\n"
    "  --lapse N          the machine is as busy as if all came N times as fast\n"
    "  --calibrate        by the speed of the machine that this runs on\n"
    "  --costs FILE       what things cost this machine: see penstock(1)\n";

struct wishes {
    struct workload workload;
    struct model_costs costs;
    bool json, stated, rated, raw_stated;
    struct trust trust;
    const char *url;
    char token[TOKEN_MAX];
};

/* ---- the command line ---------------------------------------------------- */

static bool parse_number(const char *text, double *out, double low, double high)
{
    return amount_plain(text, out) && *out >= low && *out <= high;
}

/* Its first line. */
static bool read_token(const char *file, char token[TOKEN_MAX])
{
    FILE *f = fopen(file, "re");
    bool done = f != NULL && fgets(token, TOKEN_MAX, f) != NULL;

    if (f == NULL || ferror(f))
        perror(file);
    else if (!done)
        fprintf(stderr, "%s: is empty\n", file);
    else
        token[strcspn(token, "\r\n")] = '\0';
    if (f != NULL)
        fclose(f);
    return done;
}

enum option_name {
    OPTION_JSON = 256, OPTION_TOKEN_FILE, OPTION_CA, OPTION_INSECURE,
    OPTION_HELP, OPTION_RATE,
    OPTION_BURSTINESS, OPTION_SIZE, OPTION_BINARY, OPTION_TEXT, OPTION_CLIENTS,
    OPTION_CHANNELS, OPTION_AGE, OPTION_LATEST, OPTION_TWO_WAY, OPTION_SEND,
    OPTION_CACHEABLE, OPTION_COMPRESS, OPTION_RAW, OPTION_POLL, OPTION_WAIT,
    OPTION_HEARTBEAT, OPTION_BATCH, OPTION_MAX_RATE, OPTION_RTT, OPTION_STAY,
    OPTION_REQUEST, OPTION_MESSAGES, OPTION_CORES, OPTION_LAPSE,
    OPTION_COSTS, OPTION_CALIBRATE,
};

static const struct option options[] = {
    {"json", no_argument, NULL, OPTION_JSON},
    {"token-file", required_argument, NULL, OPTION_TOKEN_FILE},
    {"ca", required_argument, NULL, OPTION_CA},
    {"insecure", no_argument, NULL, OPTION_INSECURE},
    {"help", no_argument, NULL, OPTION_HELP},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"burstiness", required_argument, NULL, OPTION_BURSTINESS},
    {"size", required_argument, NULL, OPTION_SIZE},
    {"binary", no_argument, NULL, OPTION_BINARY},
    {"text", no_argument, NULL, OPTION_TEXT},
    {"clients", required_argument, NULL, OPTION_CLIENTS},
    {"channels", required_argument, NULL, OPTION_CHANNELS},
    {"age", required_argument, NULL, OPTION_AGE},
    {"latest", no_argument, NULL, OPTION_LATEST},
    {"two-way", no_argument, NULL, OPTION_TWO_WAY},
    {"send", required_argument, NULL, OPTION_SEND},
    {"cacheable", no_argument, NULL, OPTION_CACHEABLE},
    {"compress", required_argument, NULL, OPTION_COMPRESS},
    {"raw", no_argument, NULL, OPTION_RAW},
    {"poll", required_argument, NULL, OPTION_POLL},
    {"wait", required_argument, NULL, OPTION_WAIT},
    {"heartbeat", required_argument, NULL, OPTION_HEARTBEAT},
    {"batch", required_argument, NULL, OPTION_BATCH},
    {"max-rate", required_argument, NULL, OPTION_MAX_RATE},
    {"rtt", required_argument, NULL, OPTION_RTT},
    {"stay", required_argument, NULL, OPTION_STAY},
    {"request", required_argument, NULL, OPTION_REQUEST},
    {"messages", required_argument, NULL, OPTION_MESSAGES},
    {"cores", required_argument, NULL, OPTION_CORES},
    {"lapse", required_argument, NULL, OPTION_LAPSE},
    {"costs", required_argument, NULL, OPTION_COSTS},
    {"calibrate", no_argument, NULL, OPTION_CALIBRATE},
    {NULL, 0, NULL, 0},
};

static void set_flag(struct wishes *o, int c)
{
    struct workload *w = &o->workload;

    if (c == OPTION_BINARY)
        w->kind = ENVELOPE_BINARY;
    else if (c == OPTION_TEXT)
        w->kind = ENVELOPE_TEXT;
    else if (c == OPTION_LATEST)
        w->newest = true;
    else if (c == OPTION_CACHEABLE)
        w->cacheable = true;
    else if (c == OPTION_RAW)
        w->raw = true;
    else if (c == OPTION_CALIBRATE)
        yardstick_apply(&o->costs, yardstick_times());
    else if (c == OPTION_TWO_WAY && w->sends == 0)
        w->sends = 1.0 / 60;
}

/* False: text is no such value. */
static bool set_value(struct wishes *o, int c, const char *text)
{
    struct workload *w = &o->workload;

    switch (c) {
    case OPTION_RATE:
        o->rated = true;
        return amount_rate(text, &w->rate);
    case OPTION_SEND:
        return amount_rate(text, &w->sends);
    case OPTION_MAX_RATE:
        return amount_rate(text, &w->max_rate);
    case OPTION_SIZE:
        return amount_size(text, &w->size_bytes);
    case OPTION_REQUEST:
        return amount_size(text, &w->request_bytes);
    case OPTION_AGE:
        w->age_stated = true;
        return amount_time(text, &w->age_s) && w->age_s > 0;
    case OPTION_POLL:
        return amount_time(text, &w->poll_s) && w->poll_s > 0;
    case OPTION_WAIT:
        return amount_time(text, &w->wait_s) && w->wait_s > 0;
    case OPTION_HEARTBEAT:
        return amount_time(text, &w->heartbeat_s) && w->heartbeat_s > 0;
    case OPTION_BATCH:
        return amount_time(text, &w->batch_s);
    case OPTION_RTT:
        return amount_time(text, &w->rtt_s);
    case OPTION_STAY:
        return amount_time(text, &w->stay_s) && w->stay_s > 0;
    case OPTION_BURSTINESS:
        return parse_number(text, &w->burstiness, 0, 1000);
    case OPTION_CLIENTS:
        return parse_number(text, &w->readers, 1, 1e12);
    case OPTION_CHANNELS:
        return parse_number(text, &w->channels, 1, 1e12);
    case OPTION_COMPRESS:
        return parse_number(text, &w->packed, 0.001, 1);
    case OPTION_MESSAGES:
        return parse_number(text, &w->messages, 0, 1e18);
    case OPTION_CORES:
        return parse_number(text, &w->workers, 1, 1e6);
    case OPTION_LAPSE:
        return parse_number(text, &w->lapse, 1, 1e6);
    case OPTION_COSTS:
        return costs_read(&o->costs, text);
    case OPTION_TOKEN_FILE:
        return read_token(text, o->token);
    case OPTION_CA:
        o->trust.ca = text;
        return true;
    default:
        return false;
    }
}

/* 0; or the status to exit with, and 1 more. */
static int parse(struct wishes *o, int argc, char **argv)
{
    int c, index = 0;

    while ((c = getopt_long(argc, argv, "h", options, &index)) != -1) {
        if (c == OPTION_HELP || c == 'h') {
            fputs(usage, stdout);
            return EXIT_SUCCESS + 1;
        }
        if (c == '?')
            return EXIT_USAGE + 1;
        if (c == OPTION_JSON)
            o->json = true;
        else if (c == OPTION_INSECURE)
            o->trust.insecure = true;
        else if (optarg == NULL)
            set_flag(o, c);
        else if (!set_value(o, c, optarg)) {
            fprintf(stderr,
                    "penstock advise: --%s cannot be \"%s\": look at "
                    "--help\n",
                    options[index].name, optarg);
            return EXIT_USAGE + 1;
        }
        o->stated |= c != OPTION_JSON && c != OPTION_TOKEN_FILE &&
                     c != OPTION_CA && c != OPTION_INSECURE;
    }
    if (optind < argc)
        o->url = argv[optind++];
    if (optind < argc || (o->url == NULL) != o->rated ||
        (o->url != NULL && o->stated)) {
        fputs(usage, stderr);
        return EXIT_USAGE + 1;
    }
    return 0;
}

/* ---- for people ---------------------------------------------------------- */

static double number(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

static const char *text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* "0.033", "12", "3.4k", "5.6M", "2e+18": at most three digits. */
static const char *short_number(double n, char out[16])
{
    static const char *const marks[] = {"", "k", "M", "G", "T"};
    int i = 0;

    while (n >= 999.5 && i < 4)
        n /= 1000, i++;
    snprintf(out, 16, n < 0.0005     ? "%.0f%s"
                      : n < 0.9995   ? "%.3f%s"
                      : n < 9.95     ? "%.1f%s"
                      : n < 1e4      ? "%.0f%s"
                                     : "%.0e%s", n, marks[i]);
    return out;
}

/* "2.0/min" where it is rare */
static const char *short_rate(double per_s, char out[16])
{
    static const struct {
        double seconds;
        const char *name;
    } units[] = {{1, ""}, {60, "/min"}, {3600, "/h"}, {86400, "/day"}};
    int i = 0;
    char n[16];

    while (per_s > 0 && i < 3 && per_s * units[i].seconds < 0.95)
        i++;
    snprintf(out, 16, "%.8s%s", short_number(per_s * units[i].seconds, n),
             units[i].name);
    return out;
}

static const char *short_time(double ms, char out[16])
{
    if (ms < 10000)
        snprintf(out, 16, "%.0f ms", ms);
    else if (ms < 120e3)
        snprintf(out, 16, "%.1f s", ms / 1000);
    else if (ms < 7200e3)
        snprintf(out, 16, "%.0f min", ms / 60e3);
    else
        snprintf(out, 16, "%.1f h", ms / 3600e3);
    return out;
}

/* Beside the best of those that fit. */
static const char *times_print(const json_t *p, double least, char out[16])
{
    double times = least > 0 ? number(p, "cost") / least : 0;

    if (times == 0)
        snprintf(out, 16, "-");
    else
        snprintf(out, 16, times < 9.95   ? "%.2fx"
                          : times < 9999 ? "%.0fx"
                                         : "%.0ex", times);
    return out;
}

static void print_price(const char *name, const json_t *p, double readers,
                        double least, char mark)
{
    const json_t *age = json_object_get(p, "age_ms");
    bool newest = strcmp(text(p, "delivers"), "latest") == 0;
    char bytes[16], requests[16], updates[16], mean[16], p99[16], all[16],
        cores[16], memory[16], times[16];

    printf("%c %-9s %6s %9s %9s %-6s %8s %8s %8s %6s %7s %7s\n", mark, name,
           short_number(number(p, "bytes_per_s"), bytes),
           short_rate(number(p, "requests_per_s"), requests),
           short_rate(number(p, "delivered_per_s"), updates),
           newest ? "newest" : "all",
           short_time(number(age, "mean"), mean),
           short_time(number(age, "p99"), p99),
           short_number(readers * number(p, "served_bytes_per_s"), all),
           short_number(readers * number(p, "cpu_us_per_s") * 1e-6, cores),
           short_number(readers * number(p, "memory_bytes"), memory),
           times_print(p, least, times));
}

static void print_prices(const json_t *a)
{
    const json_t *prices = json_object_get(a, "prices");
    double readers = number(json_object_get(a, "workload"), "readers");
    const char *verdict = text(a, "verdict"), *next = text(a, "runner_up");
    double least = verdict == NULL
                       ? 0
                       : number(json_object_get(prices, verdict), "cost");

    printf("\n  %-9s %-33s %17s  %s\n", "", "each reader, a second",
           "updates arrive in", "all readers together");
    printf("  %-9s %6s %9s %9s %-6s %8s %8s %8s %6s %7s %7s\n", "", "bytes",
           "requests", "updates", "which", "mean", "99 %", "bytes/s", "cores", "memory",
           "cost");
    for (int i = MODEL_TRANSPORTS; i-- > 0;) {
        const char *name = tally_transports[i];
        const json_t *p = json_object_get(prices, name);
        bool fits = json_is_true(json_object_get(p, "fits")) &&
                    json_is_true(json_object_get(p, "served"));

        print_price(name, p, readers, least,
                    verdict != NULL && strcmp(name, verdict) == 0 ? '*'
                    : next != NULL && strcmp(name, next) == 0     ? '+'
                    : fits                                        ? ' '
                                                                  : '-');
    }
    puts("  * the advice   + the next best   - does not fit, or is not served\n"
         "  which: all updates arrive, or the newest alone; 99 %: of a hundred "
         "updates 99\n"
         "  are no later; cost: processor, traffic and memory together, beside "
         "the advice's");
}

/* Broken before what would go beyond the line. */
static void print_reason(const char *reason)
{
    unsigned column = 0;

    fputs("  -", stdout);
    while (*reason != '\0') {
        size_t n = strcspn(reason, " ");

        if (column + n + 1 > 75) {
            fputs("\n   ", stdout);
            column = 0;
        }
        printf(" %.*s", (int)n, reason);
        column += (unsigned)n + 1;
        reason += n + (reason[n] == ' ');
    }
    putchar('\n');
}

static void print_advice(const json_t *a, const char *path)
{
    const char *verdict = text(a, "verdict");
    const json_t *reason;
    size_t i;

    if (path != NULL)
        printf("%s: ", path);
    if (verdict != NULL)
        printf("%s\n", verdict);
    else if (json_is_true(json_object_get(a, "not_enough_data")))
        puts("not enough data");
    else
        puts("none fits");
    json_array_foreach(json_object_get(a, "why"), i, reason)
        print_reason(json_string_value(reason));
    if (json_object_get(a, "prices") != NULL)
        print_prices(a);
}

/* Of one workload, or of all routes. */
static void print_all(const json_t *root)
{
    const json_t *routes = json_object_get(root, "routes"), *route;
    size_t i;

    if (routes == NULL)
        print_advice(root, NULL);
    else if (json_array_size(routes) == 0)
        puts("No route to advise on: those without a source, such as proxied "
             "ones, are as\ntheir backends are.");
    json_array_foreach(routes, i, route) {
        if (i > 0)
            putchar('\n');
        print_advice(route, text(route, "path"));
    }
}

static int print(const struct wishes *o, struct str doc)
{
    json_t *root = json_loadb(doc.p, doc.n, 0, NULL);
    bool is_advice =
        json_is_array(json_object_get(root, "routes")) ||
        json_is_object(json_object_get(root, "prices"));

    if (!is_advice)
        fprintf(stderr,
                "penstock advise: %s: it answers, but not with advice: is it "
                "penstock's admin listener?\n",
                o->url);
    else if (o->json)
        fwrite(doc.p, 1, doc.n, stdout);
    else
        print_all(root);
    json_decref(root);
    return is_advice ? 0 : -1;
}

/* ---- the two ways -------------------------------------------------------- */

static int make(const struct wishes *o, struct buffer *out)
{
    const struct advice_sample stated = {.measured = false};
    struct workload w = o->workload;
    struct advice a;
    int rc;

    rc = advice_make(&a, &w, &stated, (1u << MODEL_TRANSPORTS) - 1,
                     &o->costs, &advice_scales_usual);
    if (rc == 0) {
        buffer_append_byte(out, '{');
        advice_write_json(&a, out);
        buffer_append_str(out, STR("}\n"));
    }
    if (rc == 0 && !out->failed)
        return 0;
    out->len = 0;
    buffer_append_str(out, STR("out of memory"));
    return -1;
}

int advise_main(int argc, char **argv)
{
    struct wishes o = {.json = false};
    struct buffer doc = {0};
    int rc;

    model_workload_init(&o.workload);
    o.costs = model_costs_usual;
    rc = parse(&o, argc, argv);
    if (rc > 0)
        return rc - 1;
    rc = o.url == NULL ? make(&o, &doc)
                       : ask(o.url, "/advice",
                             o.token[0] == '\0' ? NULL : o.token, &o.trust,
                             &doc);
    if (rc < 0)
        fprintf(stderr, "penstock advise: %.*s\n", STR_ARG(buffer_str(&doc)));
    else
        rc = print(&o, buffer_str(&doc));
    buffer_fini(&doc);
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
