#include "base/strings.h"

#include <errno.h>
#include <strings.h>

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static unsigned char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : (unsigned char)c;
}

bool text_same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool texts_same(char *const *a, char *const *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0)
        a++, b++;
    return *a == NULL && *b == NULL;
}

size_t str_format_u64(char out[DECIMAL_MAX], uint64_t n)
{
    size_t len = 1, at;

    for (uint64_t rest = n; rest >= 10; rest /= 10)
        len++;
    for (at = len; at > 0; n /= 10)
        out[--at] = (char)('0' + n % 10);
    return len;
}

bool str_same_nocase(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i] && lower(a[i]) != lower(b[i]))
            return false;
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return prefix.n == 0 ||
           (s.n >= prefix.n && memcmp(s.p, prefix.p, prefix.n) == 0);
}

static bool is_ows(char c)
{
    return c == ' ' || c == '\t';
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && is_ows(s.p[0]))
        s.p++, s.n--;
    while (s.n > 0 && is_ows(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* The end of the element that s begins with: the first comma outside quotes,
 * or s.n.  *quoted: its last quoted string has no end. */
static size_t element_end(struct str s, bool *quoted)
{
    *quoted = false;
    for (size_t i = 0; i < s.n; i++) {
        if (*quoted && s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            *quoted = !*quoted;
        else if (s.p[i] == ',' && !*quoted)
            return i;
    }
    return s.n;
}

bool str_quotes_close(struct str list)
{
    bool quoted = false;

    while (list.n > 0) {
        size_t end = element_end(list, &quoted);

        if (end < list.n)
            end++;
        list.p += end;
        list.n -= end;
    }
    return !quoted;
}

bool str_list_next(struct str *rest, struct str *element)
{
    bool quoted;

    while (rest->n > 0) {
        size_t end = element_end(*rest, &quoted);
        struct str e = str_trim((struct str){rest->p, end});

        if (end < rest->n)
            end++;
        rest->p += end;
        rest->n -= end;
        if (e.n > 0) {
            *element = e;
            return true;
        }
    }
    return false;
}

bool str_list_has(struct str list, struct str token)
{
    struct str e;

    while (str_list_next(&list, &e))
        if (str_eq_nocase(e, token))
            return true;
    return false;
}

struct str str_split(struct str s, char c, struct str *head)
{
    const char *at = s.n > 0 ? memchr(s.p, c, s.n) : NULL;

    if (at == NULL) {
        *head = s;
        return STR_NONE;
    }
    *head = (struct str){s.p, (size_t)(at - s.p)};
    return (struct str){at + 1, s.n - head->n - 1};
}

bool str_to_u64(struct str s, uint64_t *out)
{
    uint64_t v = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int decode(struct str s, char *out, size_t cap, bool plus_is_space)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        int c = (unsigned char)s.p[i];

        if (c == '%') {
            if (i + 2 >= s.n)
                return -EINVAL;
            int hi = hex_value(s.p[i + 1]), lo = hex_value(s.p[i + 2]);
            if (hi < 0 || lo < 0)
                return -EINVAL;
            c = hi * 16 + lo;
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == 0 || n + 1 >= cap)
            return -EINVAL;
        out[n++] = (char)c;
    }
    if (cap == 0)
        return -EINVAL;
    out[n] = '\0';
    return (int)n;
}

int str_percent_decode(struct str s, char *out, size_t cap)
{
    return decode(s, out, cap, false);
}

bool str_query_next(struct str *query, struct str *name, struct str *value)
{
    struct str pair;

    if (query->n == 0)
        return false;
    *query = str_split(*query, '&', &pair);
    *value = str_split(pair, '=', name);
    return true;
}

int str_query_decode(struct str value, char *out, size_t cap)
{
    return decode(value, out, cap, true);
}

int str_query_get(struct str query, const char *name, char *out, size_t cap)
{
    struct str want = str_of(name), key, value;

    while (str_query_next(&query, &key, &value))
        if (str_eq(key, want))
            return str_query_decode(value, out, cap);
    return -ENOENT;
}

bool str_media_is(struct str content_type, const char *type)
{
    struct str media;

    str_split(content_type, ';', &media);
    return str_eq_nocase(str_trim(media), str_of(type));
}

/* Where a lead octet takes the check: the row of utf8_next that judges the
 * octet after it.  0: no character begins so (RFC 3629 4). */
static const uint8_t utf8_lead[256] = {
    [0xc2 ... 0xdf] = 1, [0xe0] = 4, [0xe1 ... 0xec] = 2, [0xed] = 5,
    [0xee ... 0xef] = 2, [0xf0] = 6, [0xf1 ... 0xf3] = 3, [0xf4] = 7,
};

/* Rows 1 to 3 have that many octets to come; 4 to 7 follow the four leads
 * whose next octet is confined: no long forms, no surrogates, no end past
 * U+10FFFF. */
static const struct {
    uint8_t low, high, state;
} utf8_next[8] = {
    {0, 0, 0},       {0x80, 0xbf, 0}, {0x80, 0xbf, 1}, {0x80, 0xbf, 2},
    {0xa0, 0xbf, 1}, {0x80, 0x9f, 1}, {0x90, 0xbf, 2}, {0x80, 0x8f, 2},
};

/* How many of n octets are ASCII, in steps of eight: most text is. */
static size_t ascii_run(const char *p, size_t n)
{
    size_t i = 0;
    uint64_t eight;

    for (; n - i >= sizeof(eight); i += sizeof(eight)) {
        memcpy(&eight, p + i, sizeof(eight));
        if ((eight & 0x8080808080808080) != 0)
            break;
    }
    return i;
}

size_t str_utf8_scan(uint8_t *state, struct str s)
{
    unsigned now = *state;
    size_t i = 0;

    while (i < s.n) {
        if (now == 0 && (i += ascii_run(s.p + i, s.n - i)) == s.n)
            break;
        unsigned char c = (unsigned char)s.p[i];

        if (now != 0) {
            if (c < utf8_next[now].low || c > utf8_next[now].high)
                break;
            now = utf8_next[now].state;
        } else if (c >= 0x80 && (now = utf8_lead[c]) == 0) {
            break;
        }
        i++;
    }
    *state = (uint8_t)now;
    return i;
}

bool str_utf8_valid(struct str s)
{
    uint8_t state = 0;

    return str_utf8_scan(&state, s) == s.n && state == 0;
}

/* Levenshtein distance of two short names, capped. */
static size_t distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b), row[65];

    if (la > 64 || lb > 64)
        return 64;
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t up = row[j], best = diagonal + (a[i - 1] != b[j - 1]);

            if (up + 1 < best)
                best = up + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = up;
            row[j] = best;
        }
    }
    return row[lb];
}

const char *str_nearest(const char *wrong, const char *const names[], size_t n)
{
    const char *best = NULL;
    size_t best_distance = strlen(wrong) / 3 + 2;

    for (size_t i = 0; i < n; i++) {
        size_t d = distance(wrong, names[i]);

        if (d < best_distance) {
            best_distance = d;
            best = names[i];
        }
    }
    return best;
}
