/* crowd.h - many subscribers of one kind on a few threads, each of which checks
 * that it gets every letter of its channel once and in order, and how old that
 * is then.  Called by one thread, which is none of them. */
#ifndef PENSTOCK_BENCH_CROWD_H
#define PENSTOCK_BENCH_CROWD_H

#include "bench/letter.h"
#include "bench/subscriber.h"

struct note;
struct worker;

struct crowd_settings {
    struct subscriber_plan plan;
    const struct location *channels; /* one each: where it is read */
    unsigned channel_count;
    unsigned count, threads;
    unsigned opening; /* connections under way at a time, a thread */
    const struct letter_form *form;
    bool latest; /* only the newest matters: passing others over is
                               * no fault */
};

/* What they have had, over all. */
struct crowd_sum {
    struct subscriber_counts counts;   /* since the first connection */
    struct subscriber_counts measured; /* between the two crowd_mark() */
    uint64_t delivered, late, again;
    uint64_t messages; /* of any kind, between the marks: events, frames,
                        * bodies */
    uint64_t corrupt, misrouted, foreign;
    uint64_t last_us;        /* the last delivery */
    uint64_t cpu_us;         /* of the threads, between the marks */
    struct histogram age_us; /* of letters, since what they say */
};

struct crowd;

/* Starts the threads, and the connections, the settings being borrowed while
 * the crowd lives.  0 or -errno. */
int crowd_new(struct crowd **out, const struct crowd_settings *settings);
/* How many are ready; how many will never be; letters delivered so far. */
unsigned crowd_ready(const struct crowd *c);
unsigned crowd_refused(const struct crowd *c);
uint64_t crowd_delivered(const struct crowd *c);
/* Posts note to w, once, when that many letters have been delivered. */
void crowd_wake_at(struct crowd *c, uint64_t delivered, struct worker *w,
                   struct note *note);
/* The measured part begins (letters with a time before from_us are delivered but
 * their age does not count), and ends. */
void crowd_mark(struct crowd *c, uint64_t from_us);
void crowd_mark_end(struct crowd *c);
/* Cuts all connections at once; they come back.  crowd_ready() begins anew. */
void crowd_cut(struct crowd *c);
/* Ends them all, and the threads. */
void crowd_stop(struct crowd *c);
/* After crowd_stop(): adds it up; sum is zeroed by the caller.  accepted: how
 * many letters of each channel there are; lost gets how many of them were not
 * delivered to whom they were for. */
void crowd_sum(const struct crowd *c, const uint32_t *accepted,
               struct crowd_sum *sum, uint64_t *expected, uint64_t *lost);
void crowd_free(struct crowd **cp);

#endif
