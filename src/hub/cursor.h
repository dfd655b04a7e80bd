/* cursor.h - a place in a history, as ids and clients write it.
 *
 * An id is EPOCH-SEQ: eight characters of [0-9a-v] and a decimal number. */
#ifndef PENSTOCK_HUB_CURSOR_H
#define PENSTOCK_HUB_CURSOR_H

#include "base/strings.h"

#define ID_MAX 32 /* 8 + 1 + 20 and the end */

enum cursor_kind {
    CURSOR_NONE,    /* none was given, or it was empty */
    CURSOR_ALIEN,   /* given, but not one of ours */
    CURSOR_NOW,
    CURSOR_OLDEST,
    CURSOR_LAST_N,  /* the last seq messages */
    CURSOR_ID,
    CURSOR_STAMP,   /* after the message that has stamp seq, of any channel */
};

struct cursor {
    enum cursor_kind kind;
    uint64_t epoch;
    uint64_t seq;
};

/* A new epoch: never 0, not repeated in practice. */
uint64_t epoch_new(void);
/* Writes an id, terminated; returns its length. */
size_t id_format(char out[ID_MAX], uint64_t epoch, uint64_t seq);

/* "now", "oldest", "-N" or an id; what is none of them is alien. */
struct cursor cursor_parse(struct str s);
/* The first id of ours in an If-None-Match list (weak, quoted and list forms,
 * RFC 9110 13.1.2); CURSOR_NONE where there is none. */
struct cursor cursor_parse_etags(struct str list);

#endif
