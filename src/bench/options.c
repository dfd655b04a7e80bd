#include "bench/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/amount.h"
#include "bench/letter.h"

/* ---- numbers -------------------------------------------------------------------- */

/* A number without a unit is one of the usual: a second, seconds, octets. */
static bool read_rate(const char *text, double *per_s)
{
    return (amount_plain(text, per_s) || amount_rate(text, per_s)) &&
           *per_s > 0 && *per_s <= 1e9;
}

static bool read_duration(const char *text, uint64_t *ms)
{
    double s;

    if (!(amount_plain(text, &s) || amount_time(text, &s)) || s > 1e9)
        return false;
    *ms = (uint64_t)(s * 1000 + .5);
    return true;
}

static bool read_size(const char *text, uint64_t *bytes)
{
    double n;

    if (!(amount_plain(text, &n) || amount_size(text, &n)) || n > 1e15)
        return false;
    *bytes = (uint64_t)n;
    return true;
}

static bool read_count(const char *text, unsigned least, unsigned most,
                       unsigned *out)
{
    uint64_t n;

    if (!str_to_u64(str_of(text), &n) || n < least || n > most)
        return false;
    *out = (unsigned)n;
    return true;
}

static bool read_name(const char *text, const char *const *names, int count,
                      int *out)
{
    for (*out = 0; *out < count; ++*out)
        if (strcmp(text, names[*out]) == 0)
            return true;
    return false;
}

/* "Name: value", nothing in it that would end a field. */
static bool add_field(struct buffer *fields, const char *text)
{
    const char *colon = strchr(text, ':');

    if (colon == NULL || colon == text || strpbrk(text, "\r\n") != NULL)
        return false;
    if (fields->len > 0)
        fields->len--; /* the end */
    header_write(fields, (struct str){text, (size_t)(colon - text)},
                 str_trim(str_of(colon + 1)));
    buffer_append_byte(fields, '\0');
    return !fields->failed;
}

static const char *fields_of(const struct buffer *fields)
{
    return fields->len == 0 ? NULL : fields->data;
}

/* ---- bench ---------------------------------------------------------------------- */

static const char bench_help[] =
    "usage: penstock bench [options] URL\n"
    "\n"
    "Opens connections that read URL, publishes numbered messages to another "
    "URL,\n"
    "checks that each reader gets each message once and in order, and prints "
    "how\n"
    "old they were, and what it cost.  {channel} in URLs is 0, 1, 2...\n"
    "\n"
    "  penstock bench --transport sse --connections 1000 --rate 100 --duration "
    "10s \\\n"
    "    --publish http://127.0.0.1:8081/channels/news "
    "http://127.0.0.1:8080/news\n"
    "\n"
    "Readers\n"
    "  --transport NAME      poll, longpoll, sse or websocket (websocket)\n"
    "  --connections N       how many (1)\n"
    "  --channels N          spread over so many channels (1)\n"
    "  --cursor NAME         how polls go on from where they were: etag, "
    "link,\n"
    "                        last-event-id, next (the answer's \"next\", sent "
    "as\n"
    "                        ?since= or in {cursor}) or none.  Default: a long "
    "poll\n"
    "                        link, so that it gets every message; a poll etag, "
    "so\n"
    "                        that it gets the newest\n"
    "  --every TIME          between two polls (1s)\n"
    "  --wait TIME           that a long poll asks for (25s)\n"
    "  --header 'NAME: VALUE'  sent with each request; may be repeated\n"
    "  --compress            accept gzip, or permessage-deflate\n"
    "  --envelope            WebSocket: speak penstock.v1\n"
    "  --close               polls: a connection for each request\n"
    "  --threads N           threads (1)\n"
    "  --opening N           connections being opened at a time, a thread "
    "(64)\n"
    "  --addresses N         of 127.0.0.0/8 to connect from (1 for each 20000\n"
    "                        connections to a loopback address)\n"
    "  --cut-after TIME      cut all connections once, and see them come back\n"
    "\n"
    "Messages\n"
    "  --publish URL         where they are posted to; without it there are "
    "none\n"
    "  --rate N[/s|/min|/h]  an open loop: so many, whatever the server does "
    "(1)\n"
    "  --window N            a closed loop: so many on their way at any time\n"
    "  --size N              octets of one (64)\n"
    "  --type TYPE           Content-Type (text/plain); of a JSON type the "
    "message\n"
    "                        is a JSON object\n"
    "  --template TEXT       what is posted; {message} and {channel} are "
    "filled in\n"
    "  --publish-header 'NAME: VALUE'\n"
    "  --publishers N        connections that they are posted on (1); one "
    "channel\n"
    "                        uses one\n"
    "  --messages N          no more than that\n"
    "\n"
    "The run\n"
    "  --duration TIME       of publishing, or of listening (10s)\n"
    "  --warmup TIME         at its start, whose ages do not count (0s)\n"
    "  --settle TIME         between the last connection and the first message "
    "(1s)\n"
    "  --grace TIME          without a delivery, until what is missing is lost "
    "(2s)\n"
    "  --connect-timeout TIME  for all of them (60s)\n"
    "  --pid PID             the server: its CPU and memory, with its "
    "children's;\n"
    "                        may be repeated\n"
    "  --label TEXT          put in the report\n"
    "  --ca FILE             whom to trust, as PEM (the system's authorities)\n"
    "  --insecure            take any certificate\n"
    "  --json                the report as JSON; penstock(1) tells its "
    "members\n"
    "\n"
    "Exit status: 0 all arrived, 1 something was lost, came twice or out of "
    "order,\n"
    "or did not connect, 2 it was called in a wrong way.\n";

enum {
    OPT_TRANSPORT = 256,
    OPT_CONNECTIONS,
    OPT_CHANNELS,
    OPT_CURSOR,
    OPT_EVERY,
    OPT_WAIT,
    OPT_HEADER,
    OPT_COMPRESS,
    OPT_ENVELOPE,
    OPT_CLOSE,
    OPT_THREADS,
    OPT_OPENING,
    OPT_ADDRESSES,
    OPT_CUT,
    OPT_PUBLISH,
    OPT_RATE,
    OPT_WINDOW,
    OPT_SIZE,
    OPT_TYPE,
    OPT_TEMPLATE,
    OPT_PUBLISH_HEADER,
    OPT_PUBLISHERS,
    OPT_MESSAGES,
    OPT_DURATION,
    OPT_WARMUP,
    OPT_SETTLE,
    OPT_GRACE,
    OPT_CONNECT_TIMEOUT,
    OPT_CA,
    OPT_PID,
    OPT_LABEL,
    OPT_INSECURE,
    OPT_JSON,
    OPT_HELP,
    OPT_FOR,
    OPT_CLIENTS,
};

static const struct option bench_long[] = {
    {"transport", required_argument, NULL, OPT_TRANSPORT},
    {"connections", required_argument, NULL, OPT_CONNECTIONS},
    {"channels", required_argument, NULL, OPT_CHANNELS},
    {"cursor", required_argument, NULL, OPT_CURSOR},
    {"every", required_argument, NULL, OPT_EVERY},
    {"wait", required_argument, NULL, OPT_WAIT},
    {"header", required_argument, NULL, OPT_HEADER},
    {"compress", no_argument, NULL, OPT_COMPRESS},
    {"envelope", no_argument, NULL, OPT_ENVELOPE},
    {"close", no_argument, NULL, OPT_CLOSE},
    {"threads", required_argument, NULL, OPT_THREADS},
    {"opening", required_argument, NULL, OPT_OPENING},
    {"addresses", required_argument, NULL, OPT_ADDRESSES},
    {"cut-after", required_argument, NULL, OPT_CUT},
    {"publish", required_argument, NULL, OPT_PUBLISH},
    {"rate", required_argument, NULL, OPT_RATE},
    {"window", required_argument, NULL, OPT_WINDOW},
    {"size", required_argument, NULL, OPT_SIZE},
    {"type", required_argument, NULL, OPT_TYPE},
    {"template", required_argument, NULL, OPT_TEMPLATE},
    {"publish-header", required_argument, NULL, OPT_PUBLISH_HEADER},
    {"publishers", required_argument, NULL, OPT_PUBLISHERS},
    {"messages", required_argument, NULL, OPT_MESSAGES},
    {"duration", required_argument, NULL, OPT_DURATION},
    {"warmup", required_argument, NULL, OPT_WARMUP},
    {"settle", required_argument, NULL, OPT_SETTLE},
    {"grace", required_argument, NULL, OPT_GRACE},
    {"connect-timeout", required_argument, NULL, OPT_CONNECT_TIMEOUT},
    {"pid", required_argument, NULL, OPT_PID},
    {"label", required_argument, NULL, OPT_LABEL},
    {"ca", required_argument, NULL, OPT_CA},
    {"insecure", no_argument, NULL, OPT_INSECURE},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static bool read_pid(struct bench_options *o, const char *text)
{
    unsigned pid;

    if (o->pid_count == OPTIONS_PIDS_MAX ||
        !read_count(text, 1, 1u << 22, &pid))
        return false;
    o->pids[o->pid_count++] = (pid_t)pid;
    return true;
}

static bool read_seconds(const char *text, uint64_t *s)
{
    uint64_t ms;

    if (!read_duration(text, &ms) || ms < 1000 || ms > 3600 * 1000)
        return false;
    *s = ms / 1000;
    return true;
}

/* Readers. */
static bool take_reader(struct bench_options *o, int option, const char *value)
{
    int n = 0;

    switch (option) {
    case OPT_TRANSPORT:
        if (!read_name(value, subscriber_kind_names, SUBSCRIBE_KINDS, &n))
            return false;
        o->plan.kind = (enum subscriber_kind)n;
        return true;
    case OPT_CURSOR:
        if (!read_name(value, resume_names, RESUME_KINDS, &n))
            return false;
        o->plan.resume = (enum resume)n;
        return true;
    case OPT_CONNECTIONS:
        return read_count(value, 1, 10000000, &o->connections);
    case OPT_CHANNELS:
        return read_count(value, 1, LETTER_CHANNELS_MAX, &o->channels);
    case OPT_EVERY:
        return read_duration(value, &o->plan.interval_ms) &&
               o->plan.interval_ms > 0;
    case OPT_WAIT:
        return read_seconds(value, &o->plan.wait_s);
    case OPT_HEADER:
        return add_field(&o->fields, value);
    case OPT_THREADS:
        return read_count(value, 1, 64, &o->threads);
    case OPT_OPENING:
        return read_count(value, 1, 100000, &o->opening);
    case OPT_ADDRESSES:
        return read_count(value, 1, 1u << 23, &o->plan.addresses);
    default:
        return read_duration(value, &o->cut_ms); /* OPT_CUT */
    }
}

/* Messages. */
static bool take_message(struct bench_options *o, int option, const char *value)
{
    uint64_t n;

    switch (option) {
    case OPT_PUBLISH:
        o->publish = value;
        return true;
    case OPT_RATE:
        return read_rate(value, &o->rate);
    case OPT_WINDOW:
        return read_count(value, 1, 1000000, &o->window);
    case OPT_SIZE:
        if (!read_size(value, &n) || n > 16u << 20)
            return false;
        o->size_bytes = (size_t)n;
        return true;
    case OPT_TYPE:
        o->type = value;
        return strpbrk(value, "\r\n") == NULL;
    case OPT_TEMPLATE:
        o->template = value;
        return strstr(value, "{message}") != NULL;
    case OPT_PUBLISH_HEADER:
        return add_field(&o->publish_fields, value);
    case OPT_PUBLISHERS:
        return read_count(value, 1, 1000, &o->publishers);
    default:
        return str_to_u64(str_of(value), &o->messages); /* OPT_MESSAGES */
    }
}

/* The run. */
static bool take_run(struct bench_options *o, int option, const char *value)
{
    switch (option) {
    case OPT_DURATION:
        return read_duration(value, &o->duration_ms);
    case OPT_WARMUP:
        return read_duration(value, &o->warmup_ms);
    case OPT_SETTLE:
        return read_duration(value, &o->settle_ms);
    case OPT_GRACE:
        return read_duration(value, &o->grace_ms);
    case OPT_CONNECT_TIMEOUT:
        return read_duration(value, &o->connect_ms);
    case OPT_PID:
        return read_pid(o, value);
    case OPT_CA:
        o->trust.ca = value;
        return true;
    case OPT_LABEL:
        o->label = value;
        return true;
    case OPT_COMPRESS:
        return o->plan.compress = true;
    case OPT_ENVELOPE:
        return o->plan.enveloped = true;
    case OPT_CLOSE:
        return o->plan.fresh = true;
    case OPT_INSECURE:
        return o->trust.insecure = true;
    default:
        return o->json = true; /* OPT_JSON */
    }
}

static bool take_option(struct bench_options *o, int option, const char *value)
{
    bool flag =
        option == OPT_COMPRESS || option == OPT_ENVELOPE || option == OPT_CLOSE;

    if (option >= OPT_PUBLISH && option <= OPT_MESSAGES)
        return take_message(o, option, value);
    return option < OPT_PUBLISH && !flag ? take_reader(o, option, value)
                                         : take_run(o, option, value);
}

/* What does not go together; NULL: all does. */
static const char *contradiction(const struct bench_options *o, bool rated)
{
    if (rated && o->window > 0)
        return "--rate is an open loop and --window a closed one: give one";
    if (o->window > 0 && o->latest)
        return "--window waits for every message, and a poll for the newest "
               "message skips some: try --cursor link";
    if (o->channels > o->connections)
        return "there are more channels than connections";
    return NULL;
}

bool options_type_is_json(const char *type)
{
    struct str essence;

    str_split(str_of(type), ';', &essence);
    essence = str_trim(essence);
    return str_media_is(essence, "application/json") ||
           (essence.n > 5 &&
            str_eq_nocase((struct str){essence.p + essence.n - 5, 5},
                          STR("+json")));
}

static bool fits(const struct bench_options *o)
{
    size_t least = letter_size_min(options_type_is_json(o->type));

    if (o->publish == NULL || o->size_bytes >= least)
        return true;
    fprintf(stderr,
            "penstock bench: a message of this type has %zu octets at "
            "least\n",
            least);
    return false;
}

static enum options_result settle_bench(struct bench_options *o, bool rated,
                                        bool chosen)
{
    const char *why;

    if (!chosen)
        o->plan.resume =
            o->plan.kind == SUBSCRIBE_POLL ? RESUME_ETAG : RESUME_LINK;
    o->latest = o->plan.kind == SUBSCRIBE_POLL && o->plan.resume <= RESUME_ETAG;
    if (o->window > 0)
        o->rate = 0;
    o->plan.fields = fields_of(&o->fields);
    why = contradiction(o, rated);
    if (why != NULL)
        fprintf(stderr, "penstock bench: %s\n", why);
    return why == NULL && fits(o) ? OPTIONS_GO : OPTIONS_WRONG;
}

static enum options_result wrong_value(const char *command, const char *option,
                                       const char *value)
{
    fprintf(stderr,
            "penstock %s: --%s does not take \"%s\"; try penstock %s --help\n",
            command, option, value == NULL ? "" : value, command);
    return OPTIONS_WRONG;
}

static enum options_result wrong_call(const char *command, const char *why)
{
    fprintf(stderr, "penstock %s: %s; try penstock %s --help\n", command, why,
            command);
    return OPTIONS_WRONG;
}

/* getopt_long() has just read it. */
static enum options_result wrong_option(const char *command, char **args)
{
    fprintf(stderr,
            "penstock %s: %s is none of its options, or lacks its value; try "
            "penstock %s --help\n",
            command, args[optind - 1], command);
    return OPTIONS_WRONG;
}

enum options_result bench_options_read(struct bench_options *o, int count,
                                       char **args)
{
    bool rated = false, chosen = false;
    int option, which = 0;

    *o = (struct bench_options){
        .plan = {.kind = SUBSCRIBE_WEBSOCKET,
                 .interval_ms = 1000,
                 .wait_s = 25,
                 .reconnect_ms = 200,
                 .connect_ms = 10000},
        .connections = 1,
        .channels = 1,
        .threads = 1,
        .opening = 64,
        .rate = 1,
        .duration_ms = 10000,
        .settle_ms = 1000,
        .grace_ms = 2000,
        .connect_ms = 60000,
        .size_bytes = 64,
        .type = "text/plain",
        .publishers = 1,
    };
    optind = 0;
    opterr = 0; /* wrong_call() says it */
    while ((option = getopt_long(count, args, "", bench_long, &which)) != -1) {
        if (option == OPT_HELP) {
            fputs(bench_help, stdout);
            return OPTIONS_HELPED;
        }
        if (option == '?')
            return wrong_option("bench", args);
        rated = rated || option == OPT_RATE;
        chosen = chosen || option == OPT_CURSOR;
        if (!take_option(o, option, optarg))
            return wrong_value("bench", bench_long[which].name, optarg);
    }
    if (optind + 1 != count)
        return wrong_call("bench",
                          optind == count ? "which URL?" : "one URL is enough");
    o->url = args[optind];
    return settle_bench(o, rated, chosen);
}

void bench_options_fini(struct bench_options *o)
{
    buffer_fini(&o->fields);
    buffer_fini(&o->publish_fields);
}

/* ---- compare --------------------------------------------------------------------- */

static const char compare_help[] =
    "usage: penstock compare [options] URL\n"
    "\n"
    "Reads a live route over all four transports at once, and prints what each "
    "of\n"
    "them cost and how old the messages were when they arrived.\n"
    "\n"
    "  penstock compare http://localhost:8080/quotes/ACME\n"
    "\n"
    "  --for TIME            how long (30s)\n"
    "  --clients N           of each transport (10)\n"
    "  --every TIME          between two polls of a client (5s)\n"
    "  --header 'NAME: VALUE'  sent with each request; may be repeated\n"
    "  --compress            accept compression\n"
    "  --ca FILE             whom to trust, as PEM (the system's authorities)\n"
    "  --insecure            take any certificate\n"
    "  --json                the same as JSON; penstock(1) tells its members\n"
    "\n"
    "It publishes nothing: what it sees is what your route has to say.\n"
    "Exit status: 0 fine, 1 nothing could be read, or something was lost, came\n"
    "twice or out of order, or it was interrupted, 2 it was called in a wrong "
    "way.\n";

static const struct option compare_long[] = {
    {"for", required_argument, NULL, OPT_FOR},
    {"clients", required_argument, NULL, OPT_CLIENTS},
    {"every", required_argument, NULL, OPT_EVERY},
    {"header", required_argument, NULL, OPT_HEADER},
    {"compress", no_argument, NULL, OPT_COMPRESS},
    {"ca", required_argument, NULL, OPT_CA},
    {"insecure", no_argument, NULL, OPT_INSECURE},
    {"json", no_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {NULL, 0, NULL, 0},
};

static bool take_compare_option(struct compare_options *o, int option,
                                const char *value)
{
    switch (option) {
    case OPT_FOR:
        return read_duration(value, &o->for_ms) && o->for_ms >= 100;
    case OPT_CLIENTS:
        return read_count(value, 1, 100000, &o->clients);
    case OPT_EVERY:
        return read_duration(value, &o->every_ms) && o->every_ms > 0;
    case OPT_HEADER:
        return add_field(&o->fields, value);
    case OPT_COMPRESS:
        return o->compress = true;
    case OPT_CA:
        o->trust.ca = value;
        return true;
    case OPT_INSECURE:
        return o->trust.insecure = true;
    default:
        return o->json = true; /* OPT_JSON */
    }
}

enum options_result compare_options_read(struct compare_options *o, int count,
                                         char **args)
{
    int option, which = 0;

    *o = (struct compare_options){
        .for_ms = 30000,
        .every_ms = 5000,
        .clients = 10,
    };
    optind = 0;
    opterr = 0;
    while ((option = getopt_long(count, args, "", compare_long, &which)) !=
           -1) {
        if (option == OPT_HELP) {
            fputs(compare_help, stdout);
            return OPTIONS_HELPED;
        }
        if (option == '?')
            return wrong_option("compare", args);
        if (!take_compare_option(o, option, optarg))
            return wrong_value("compare", compare_long[which].name, optarg);
    }
    if (optind + 1 != count)
        return wrong_call("compare",
                          optind == count ? "which URL?" : "one URL is enough");
    o->url = args[optind];
    return OPTIONS_GO;
}

void compare_options_fini(struct compare_options *o)
{
    buffer_fini(&o->fields);
}
