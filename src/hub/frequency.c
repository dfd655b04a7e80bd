#include "hub/frequency.h"

#include <math.h>

#include "base/tally.h"
#include "hub/message.h"

#define GAPS_LEAST 8 /* before anything is said of how regular it is */
/* Shorter than this, what has been seen says nothing of a rate. */
#define SEEN_LEAST_US UINT64_C(1000000)

const char *const frequency_windows[WINDOW_N] = {"minute", "hour", "day"};

static const uint64_t lengths_us[WINDOW_N] = {
    UINT64_C(60) * 1000000,
    UINT64_C(3600) * 1000000,
    UINT64_C(86400) * 1000000,
};

/* Two buckets from each power of two to the next. */
static unsigned size_bucket(size_t bytes)
{
    unsigned top, half, bucket;

    if (bytes == 0)
        return 0;
    top = 63 - (unsigned)__builtin_clzll(bytes);
    /* Whether it is over the square root of two times that power. */
    half = (double)bytes > 1.41421356 * (double)(UINT64_C(1) << top);
    bucket = 2 * top + half + 1;
    return bucket < FREQUENCY_SIZES ? bucket : FREQUENCY_SIZES - 1;
}

/* The middle of a bucket. */
static size_t bucket_bytes(unsigned bucket)
{
    return bucket == 0 ? 0 : (size_t)lround(pow(2, (bucket - 1) / 2.0 + 0.25));
}

/* How the window stands at now_us, of which it may not have heard. */
static void turn(struct frequency *f, enum frequency_window w,
                 uint64_t number)
{
    if (f->windows[w].number == number)
        return;
    f->windows[w].before =
        f->windows[w].number + 1 == number ? f->windows[w].now : 0;
    f->windows[w].now = 0;
    f->windows[w].number = number;
}

static void note_gap(struct frequency *f, uint64_t us)
{
    double s = (double)us / 1e6;

    f->gaps++;
    f->gap_s += s;
    f->gap_s2 += s * s;
}

void frequency_note(struct frequency *f, const struct message *m)
{
    /* Threads that publish at once append in another order than they were
     * given their messages. */
    uint64_t now_us = m->born_us > f->last_us ? m->born_us : f->last_us;

    if (m->aside || !TALLY_ON)
        return;
    if (f->messages == 0)
        f->first_us = now_us;
    else
        note_gap(f, now_us - f->last_us);
    f->last_us = now_us;
    f->messages++;
    f->binary += m->kind == ENVELOPE_BINARY;
    f->bytes += m->len;
    if (m->len > f->bytes_max)
        f->bytes_max = m->len;
    f->sizes[size_bucket(m->len)]++;
    for (int w = 0; w < WINDOW_N; w++) {
        turn(f, (enum frequency_window)w, now_us / lengths_us[w]);
        f->windows[w].now++;
    }
}

double frequency_per_s(const struct frequency *f, enum frequency_window w,
                       uint64_t now_us)
{
    struct frequency at = *f;
    uint64_t length = lengths_us[w], since, known;
    double n;

    if (now_us < f->last_us) /* it was taken before that one came */
        now_us = f->last_us;
    since = now_us % length;
    if (f->messages == 0 || now_us <= f->first_us)
        return 0;
    turn(&at, w, now_us / length);
    known = now_us - f->first_us;
    n = (double)at.windows[w].now +
        (double)at.windows[w].before * (double)(length - since) /
            (double)length;
    /* All there has been, if the window began before that; but the first one,
     * which the watch began with, says nothing of how often they come. */
    if (known <= length)
        n = (double)(at.windows[w].now + at.windows[w].before) - 1;
    if (known < SEEN_LEAST_US)
        known = SEEN_LEAST_US;
    return n * 1e6 / (double)(known < length ? known : length);
}

size_t frequency_bytes(const struct frequency *f, double p)
{
    double seen = 0, wanted = p / 100 * (double)f->messages;

    for (unsigned i = 0; i < FREQUENCY_SIZES; i++) {
        seen += (double)f->sizes[i];
        if (seen > 0 && seen >= wanted)
            return bucket_bytes(i) < f->bytes_max ? bucket_bytes(i)
                                                  : f->bytes_max;
    }
    return f->bytes_max;
}

double frequency_burstiness(const struct frequency *f)
{
    double n = (double)f->gaps, mean, variance;

    if (f->gaps < GAPS_LEAST || f->gap_s <= 0)
        return -1;
    mean = f->gap_s / n;
    variance = f->gap_s2 / n - mean * mean;
    return variance <= 0 ? 0 : sqrt(variance) / mean;
}

void frequency_merge(struct frequency *into, const struct frequency *from)
{
    if (from->messages == 0)
        return;
    if (into->messages == 0 || from->first_us < into->first_us)
        into->first_us = from->first_us;
    if (from->last_us > into->last_us)
        into->last_us = from->last_us;
    into->messages += from->messages;
    into->binary += from->binary;
    into->bytes += from->bytes;
    if (from->bytes_max > into->bytes_max)
        into->bytes_max = from->bytes_max;
    into->gaps += from->gaps;
    into->gap_s += from->gap_s;
    into->gap_s2 += from->gap_s2;
    for (unsigned i = 0; i < FREQUENCY_SIZES; i++)
        into->sizes[i] += from->sizes[i];
}
