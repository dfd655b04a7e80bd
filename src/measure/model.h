/* model.h - what it costs to serve a workload by each transport, reckoned from
 * what our messages, answers and frames weigh (octets.h) and from what a
 * processor takes for each.  Pure; any thread.
 *
 * Readers are clients that stay connected, or come back, as long as each other;
 * bytes are octets at the socket, above TCP and TLS.  How it is reckoned, and how
 * far from measurements it is, stands in doc/advice.md. */
#ifndef PENSTOCK_MEASURE_MODEL_H
#define PENSTOCK_MEASURE_MODEL_H

#include <stdbool.h>

#include "base/tally.h"
#include "wire/envelope.h"

#define MODEL_TRANSPORTS TALLY_OTHER /* enum tally_part below it */

/* What is to be served.  model_workload_init() fills in the usual. */
struct workload {
    double rate;         /* updates/s of a channel */
    double burstiness;   /* standard deviation of the time between two, by its
                          * mean: 0 regular, 1 random, more: bursts */
    double size_bytes;   /* mean, of the data */
    enum envelope_kind kind;
    double readers;      /* all of them */
    double channels;     /* that they are spread over */
    double age_s;        /* acceptable: how long an update may take to arrive */
    bool age_stated;
    bool newest;         /* only the newest value matters: updates may be passed
                          * over for a newer one */
    bool cacheable;      /* a shared cache stands in front, and may keep polls'
                          * answers */
    double sends;        /* messages/s that each client sends */
    double send_bytes;
    bool raw;            /* WebSocket without penstock.v1: data alone */
    double packed;       /* what compression leaves of the octets; 1: none */
    double poll_s;       /* between two polls; 0: as long as age_s allows */
    double cache_s;      /* how long a cache keeps an answer; 0: as poll_s */
    double wait_s;       /* of a long poll */
    double heartbeat_s;
    double batch_s;      /* how long messages are gathered for one write */
    double max_rate;     /* to one follower, by merging; 0: as age_s allows, where
                          * only the newest value matters */
    double rtt_s;        /* between a client and us */
    double stay_s;       /* how long a client reads */
    double idle_s;       /* a connection without a request is closed after */
    double request_bytes; /* of a client's request head, before what a transport
                          * adds */
    double history;      /* messages kept */
    double messages;     /* that a channel has had: ids tell it */
    double workers;      /* cores */
    double lapse;        /* the machine is as busy as if all came so many times
                          * as fast: others use it, too */
};

/* What one of each takes of a processor, in us, with up to 1000 readers and a
 * hundred of it a second and connection; and of memory, in octets. */
struct model_costs {
    double delivery_us[MODEL_TRANSPORTS]; /* a write to a follower; an answer to
                                           * a poll that has something */
    double empty_us[MODEL_TRANSPORTS];    /* an answer without a message */
    double cold[MODEL_TRANSPORTS]; /* what of these a tenth as many cost more
                                    * each, in parts of 1: what has been quiet
                                    * is in no cache */
    double lonely_us[3]; /* what a poll takes more, as it comes by itself, where
                          * 100, 1000 and 10000 polls and updates come to a core
                          * a second */
    double message_us; /* each further message in the same write or answer */
    double merge_us;   /* each that a follower is not sent */
    double kib_us;     /* each KiB of data */
    double send_us[MODEL_TRANSPORTS];     /* a message from a client, who sends
                                           * now and then */
    double connect_us;
    double memory_bytes[MODEL_TRANSPORTS]; /* of a reader who waits, ours */
    double socket_bytes;                   /* and the kernel's */
};
extern const struct model_costs model_costs_usual;

/* What a reader costs: all but utilization is for one of them. */
struct price {
    double bytes_in, bytes_out; /* per s, of the client's own wire */
    double served_in, served_out; /* the same of ours: less where a cache answers */
    double requests;  /* per s */
    double empty;     /* of these: without a message */
    double delivered; /* messages/s */
    double merged;    /* messages/s passed over for a newer one */
    double age_mean_ms, age_p99_ms; /* until an update, or a newer one, is there */
    double cpu_us;    /* per s; ours */
    double memory_bytes; /* ours and the kernel's for us */
    double utilization;  /* of all our workers, by all readers; 1 is all */
    double poll_s;       /* polls: what was reckoned with */
    double max_rate;     /* followers: the same; 0: none */
    double cache_s;
    bool newest;         /* merges */
    bool fits;           /* arrives within age_s, and can be served */
    const char *why_not; /* static; NULL if it fits */
};

void model_workload_init(struct workload *w);
/* 0 or -ENOMEM. */
int model_price(struct price *out, unsigned part, const struct workload *w,
                const struct model_costs *costs);

#endif
