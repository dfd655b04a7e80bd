/* frequency.h - how often a channel has something new, how large that is and
 * how regular.  No lock of its own: noted under the channel's, like the append
 * that it is about. */
#ifndef PENSTOCK_HUB_FREQUENCY_H
#define PENSTOCK_HUB_FREQUENCY_H

#include <stddef.h>
#include <stdint.h>

struct message;

enum frequency_window { WINDOW_MINUTE, WINDOW_HOUR, WINDOW_DAY, WINDOW_N };
extern const char *const frequency_windows[WINDOW_N];

/* Sizes share a bucket from one power of the square root of two to the next. */
#define FREQUENCY_SIZES 48

/* All zero is a channel that has had nothing. */
struct frequency {
    uint64_t first_us, last_us;   /* arrival of the first and the newest one */
    uint64_t messages, binary;
    uint64_t bytes;
    size_t bytes_max;
    uint64_t gaps;                /* times between two messages */
    double gap_s, gap_s2;         /* those and their squares, summed */
    struct {
        uint64_t number;          /* of the one that runs: now / its length */
        uint64_t before, now;     /* messages in the last one, in this one */
    } windows[WINDOW_N];
    uint64_t sizes[FREQUENCY_SIZES];
};

/* m has been appended. */
void frequency_note(struct frequency *f, const struct message *m);
/* Messages a second over the last minute, hour or day, or since the first one
 * if that is less, but over a second at the least: the part of the window before that lies in it, as if spread
 * evenly, and the one that runs. */
double frequency_per_s(const struct frequency *f, enum frequency_window w,
                       uint64_t now_us);
/* The size, within a fifth, that p (0 to 100) of a hundred messages do not
 * exceed; 0 without messages. */
size_t frequency_bytes(const struct frequency *f, double p);
/* The coefficient of variation of the time between two messages: 0 for a clock,
 * 1 for chance (Poisson), more for bursts.  Negative: there were too few. */
double frequency_burstiness(const struct frequency *f);
/* Adds from, another channel's, to a sum of several; windows are added by
 * frequency_per_s() of each instead. */
void frequency_merge(struct frequency *into, const struct frequency *from);

#endif
