/* options.h - the command lines of bench and compare, read and checked. */
#ifndef PENSTOCK_BENCH_OPTIONS_H
#define PENSTOCK_BENCH_OPTIONS_H

#include <sys/types.h>

#include "bench/place.h"
#include "bench/subscriber.h"

#define OPTIONS_PIDS_MAX 32

struct bench_options {
    const char *url, *publish; /* publish may be NULL */
    struct subscriber_plan plan;
    bool latest; /* follows from plan */
    unsigned connections, channels, threads, opening;
    double rate;     /* 0: closed */
    unsigned window; /* 0: open */
    uint64_t duration_ms, warmup_ms, settle_ms, grace_ms, connect_ms;
    uint64_t cut_ms;   /* after that all connections are cut; 0: never */
    uint64_t messages; /* at the most; 0: as many as come */
    size_t size_bytes;
    const char *type, *template;
    struct buffer fields, publish_fields; /* terminated */
    unsigned publishers;
    pid_t pids[OPTIONS_PIDS_MAX];
    unsigned pid_count;
    struct trust trust;
    bool json;
    const char *label; /* NULL: none */
};

struct compare_options {
    const char *url;
    uint64_t for_ms, every_ms;
    unsigned clients;
    struct buffer fields; /* terminated */
    struct trust trust;
    bool json, compress;
};

/* What to do after the command line was read. */
enum options_result { OPTIONS_GO, OPTIONS_HELPED, OPTIONS_WRONG };

/* args[0] is the command.  Says on standard error what is wrong, and prints help
 * on standard output where it is asked for. */
enum options_result bench_options_read(struct bench_options *o, int count,
                                       char **args);
void bench_options_fini(struct bench_options *o);
enum options_result compare_options_read(struct compare_options *o, int count,
                                         char **args);
void compare_options_fini(struct compare_options *o);

/* Whether data of this Content-Type is JSON. */
bool options_type_is_json(const char *type);

#endif
