/* publisher.h - sends letters to a server by POST, at a rate that does not wait
 * for the answers (an open loop: each letter bears the time when it was due, so
 * what waits for a slow server counts as waiting), or as many at a time as are
 * on their way (a closed one).  On a thread of its own. */
#ifndef PENSTOCK_BENCH_PUBLISHER_H
#define PENSTOCK_BENCH_PUBLISHER_H

#include "base/histogram.h"
#include "bench/letter.h"
#include "http/location.h"

struct crowd;
struct tls_server;

struct publisher_settings {
    const struct location *channels; /* one each: where it is posted to */
    unsigned channel_count;
    const char *fields;   /* more of them, each with its CRLF; or NULL */
    const char *type;     /* Content-Type */
    const char *template; /* of the body: {message}, {channel}; NULL: alone */
    struct tls_server *tls;
    const struct letter_form *form;
    unsigned connections;
    double rate;     /* letters a second; or, where it is 0: */
    unsigned window; /* letters that are not delivered to all */
    uint64_t duration_us;
    uint64_t limit; /* of letters; 0: none */
    struct crowd *crowd;
    unsigned readers; /* of the crowd */
};

struct publisher_sum {
    uint64_t due; /* letters that were to be sent */
    uint64_t accepted, failed;
    uint64_t began_us, ended_us; /* the first was due, the last answered */
    uint64_t bytes_in, bytes_out;
    struct histogram answer_us; /* from when it was due to the answer */
    uint64_t cpu_us;
    char first_error[160];
};

struct publisher;

/* Begins; settings are borrowed.  0 or -errno. */
int publisher_new(struct publisher **out,
                  const struct publisher_settings *settings);
/* Whether all is sent and answered; how many are accepted so far. */
bool publisher_done(const struct publisher *p);
uint64_t publisher_accepted(const struct publisher *p);
/* Sends no more, waits for no answer, and ends the thread. */
void publisher_stop(struct publisher *p);
/* After that. */
const struct publisher_sum *publisher_sum(const struct publisher *p);
/* Letters accepted, by channel.  Once it is done or stopped. */
const uint32_t *publisher_channels(const struct publisher *p);
void publisher_free(struct publisher **pp);

#endif
