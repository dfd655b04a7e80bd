#include "hub/cursor.h"

#include <openssl/rand.h>

#include "base/clock.h"

#define EPOCH_CHARS 8
#define EPOCH_BITS  (EPOCH_CHARS * 5)

static const char digits[] = "0123456789abcdefghijklmnopqrstuv";

uint64_t epoch_new(void)
{
    uint64_t e = 0;

    if (RAND_bytes((unsigned char *)&e, sizeof(e)) != 1)
        e = clock_now_us() ^ clock_wall_ms() << 20;
    e &= (UINT64_C(1) << EPOCH_BITS) - 1;
    return e != 0 ? e : 1;
}

size_t id_format(char out[ID_MAX], uint64_t epoch, uint64_t seq)
{
    size_t len;

    for (int i = 0; i < EPOCH_CHARS; i++)
        out[i] = digits[epoch >> (EPOCH_BITS - 5 * (i + 1)) & 31];
    out[EPOCH_CHARS] = '-';
    len = EPOCH_CHARS + 1 + str_format_u64(out + EPOCH_CHARS + 1, seq);
    out[len] = '\0';
    return len;
}

static bool parse_epoch(struct str s, uint64_t *out)
{
    uint64_t e = 0;

    if (s.n != EPOCH_CHARS)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        const char *at = memchr(digits, s.p[i], sizeof(digits) - 1);

        if (at == NULL)
            return false;
        e = e << 5 | (uint64_t)(at - digits);
    }
    *out = e;
    return true;
}

struct cursor cursor_parse(struct str s)
{
    struct cursor c = {.kind = CURSOR_ALIEN};
    struct str epoch, seq;

    if (s.n == 0)
        c.kind = CURSOR_NONE;
    else if (str_eq(s, STR("now")))
        c.kind = CURSOR_NOW;
    else if (str_eq(s, STR("oldest")))
        c.kind = CURSOR_OLDEST;
    else if (s.p[0] == '-' &&
             str_to_u64((struct str){s.p + 1, s.n - 1}, &c.seq))
        c.kind = CURSOR_LAST_N;
    else {
        seq = str_split(s, '-', &epoch);
        if (parse_epoch(epoch, &c.epoch) && str_to_u64(seq, &c.seq))
            c.kind = CURSOR_ID;
    }
    return c;
}

struct cursor cursor_parse_etags(struct str list)
{
    struct str e;

    while (str_list_next(&list, &e)) {
        struct cursor c;

        if (str_starts(e, STR("W/")))
            e.p += 2, e.n -= 2;
        if (e.n >= 2 && e.p[0] == '"' && e.p[e.n - 1] == '"')
            e.p++, e.n -= 2;
        c = cursor_parse(e);
        if (c.kind == CURSOR_ID)
            return c;
    }
    return (struct cursor){.kind = CURSOR_NONE};
}
