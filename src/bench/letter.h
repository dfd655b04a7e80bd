/* letter.h - the messages that a load test sends: numbered, time-stamped, of a
 * given size, and to be told apart from any others in whatever a server wraps
 * them in.  Pure.
 *
 *   PSB1-rrrrrrrr-cccccc-ssssssss-tttttttttttttttt-padding…;
 *        run      channel number   microseconds, monotonic
 *
 * Hexadecimal and letters alone: nothing in it is ever escaped. */
#ifndef PENSTOCK_BENCH_LETTER_H
#define PENSTOCK_BENCH_LETTER_H

#include "base/buffer.h"

#define LETTER_MIN          48
#define LETTER_CHANNELS_MAX (1u << 24)

/* What all letters of a run are like.  Fixed once it is made. */
struct letter_form {
    char *text;      /* of one, all but its numbers; size octets */
    size_t size;     /* of the whole message */
    size_t at;       /* where the letter begins in it */
    size_t letter_n; /* its octets */
    uint32_t run;
};

struct letter {
    uint32_t channel, number;
    uint64_t time_us;
};

/* size octets, at least letter_size_min(); json: a JSON object of that size
 * with the letter in it.  0, -EINVAL (too small) or -ENOMEM. */
int letter_form_init(struct letter_form *form, size_t size, bool json,
                     uint32_t run);
void letter_form_fini(struct letter_form *form);
size_t letter_size_min(bool json);

/* Appends the whole message. */
void letter_write(const struct letter_form *form, const struct letter *letter,
                  struct buffer *out);

enum letter_found {
    LETTER_NONE, /* no more in it */
    LETTER_OURS,
    LETTER_FOREIGN, /* of another run: an old message */
    LETTER_CORRUPT, /* of this run, but not as it was sent */
};
/* Finds the first letter in *rest and drops all up to its end. */
enum letter_found letter_next(const struct letter_form *form, struct str *rest,
                              struct letter *out);

#endif
