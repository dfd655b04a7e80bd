#include "wire/json.h"

/* A scan over text: at moves on, and a step says how it ended. */
struct scan {
    const char *p;
    size_t n, at;
};

enum { BAD = -1, SHORT = 0, DONE = 1 }; /* SHORT: the text ends too early */

/* What an octet is inside a string (RFC 8259 7). */
enum { PLAIN, QUOTE, BACKSLASH, CONTROL, HIGH };

static const uint8_t string_class[256] = {
    [0x00 ... 0x1f] = CONTROL,
    ['"'] = QUOTE,
    ['\\'] = BACKSLASH,
    [0x80 ... 0xff] = HIGH,
};

#define ONES 0x0101010101010101u
#define TOPS (ONES * 0x80)

/* Whether any of eight octets is not PLAIN.  Octets that come after such a
 * one may be misjudged, which is why the table has the last word. */
static bool any_special(uint64_t x)
{
    uint64_t quote = x ^ ONES * '"', backslash = x ^ ONES * '\\';
    uint64_t found = (x - ONES * 0x20) | (quote - ONES) | (backslash - ONES);

    return ((found | x) & TOPS) != 0;
}

/* How many octets from at on are PLAIN. */
static size_t plain_run(const char *p, size_t n)
{
    size_t i = 0;
    uint64_t eight;

    for (; n - i >= sizeof(eight); i += sizeof(eight)) {
        memcpy(&eight, p + i, sizeof(eight));
        if (any_special(eight))
            break;
    }
    while (i < n && string_class[(unsigned char)p[i]] == PLAIN)
        i++;
    return i;
}

static size_t high_run(const char *p, size_t n)
{
    size_t i = 0;

    while (i < n && ((unsigned char)p[i] & 0x80) != 0)
        i++;
    return i;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* To the next octet that is no white space; false at the end. */
static bool skip_space(struct scan *s)
{
    while (s->at < s->n && is_space(s->p[s->at]))
        s->at++;
    return s->at < s->n;
}

/* at stands on the backslash.  A lone surrogate passes: RFC 8259 8.2 allows
 * it, and we carry what we do not have to understand. */
static int scan_escape(struct scan *s)
{
    char c;

    if (++s->at == s->n)
        return SHORT;
    c = s->p[s->at++];
    if (c != 'u')
        return c != '\0' && strchr("\"\\/bfnrt", c) != NULL ? DONE : BAD;
    for (int i = 0; i < 4; i++) {
        if (s->at == s->n)
            return SHORT;
        if (!is_hex(s->p[s->at++]))
            return BAD;
    }
    return DONE;
}

/* A character of several octets has none below 0x80, so a run of high octets
 * has to be well-formed on its own. */
static int scan_high(struct scan *s)
{
    struct str run = {s->p + s->at, 0};
    uint8_t state = 0;

    run.n = high_run(run.p, s->n - s->at);
    if (str_utf8_scan(&state, run) < run.n)
        return BAD;
    s->at += run.n;
    if (state != 0)
        return s->at == s->n ? SHORT : BAD;
    return DONE;
}

/* at stands after the opening quote. */
static int scan_string(struct scan *s)
{
    for (;;) {
        int rc;

        s->at += plain_run(s->p + s->at, s->n - s->at);
        if (s->at == s->n)
            return SHORT;
        switch (string_class[(unsigned char)s->p[s->at]]) {
        case QUOTE:
            s->at++;
            return DONE;
        case BACKSLASH:
            rc = scan_escape(s);
            break;
        case HIGH:
            rc = scan_high(s);
            break;
        default:
            return BAD;
        }
        if (rc != DONE)
            return rc;
    }
}

/* One digit or more. */
static int scan_digits(struct scan *s)
{
    if (s->at == s->n)
        return SHORT;
    if (!is_digit(s->p[s->at]))
        return BAD;
    while (s->at < s->n && is_digit(s->p[s->at]))
        s->at++;
    return DONE;
}

static bool next_is(const struct scan *s, char a, char b)
{
    return s->at < s->n && (s->p[s->at] == a || s->p[s->at] == b);
}

/* RFC 8259 6, of any size: nobody here computes with it. */
static int scan_number(struct scan *s)
{
    int rc;

    if (next_is(s, '-', '-'))
        s->at++;
    if (next_is(s, '0', '0')) {
        s->at++;
        rc = DONE;
    } else {
        rc = scan_digits(s);
    }
    if (rc == DONE && next_is(s, '.', '.')) {
        s->at++;
        rc = scan_digits(s);
    }
    if (rc == DONE && next_is(s, 'e', 'E')) {
        s->at++;
        if (next_is(s, '+', '-'))
            s->at++;
        rc = scan_digits(s);
    }
    return rc;
}

static int scan_word(struct scan *s, const char *word)
{
    for (; *word != '\0'; word++, s->at++) {
        if (s->at == s->n)
            return SHORT;
        if (s->p[s->at] != *word)
            return BAD;
    }
    return DONE;
}

/* Whether c right after a number or a word makes it another word: 01 is not
 * two numbers that were glued together. */
static bool goes_on(char c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
           c == '.' || c == '+' || c == '-' || c == '_' || (c & 0x80) != 0;
}

static int scan_scalar(struct scan *s)
{
    int rc;

    switch (s->p[s->at]) {
    case '"':
        s->at++;
        return scan_string(s);
    case 't':
        rc = scan_word(s, "true");
        break;
    case 'f':
        rc = scan_word(s, "false");
        break;
    case 'n':
        rc = scan_word(s, "null");
        break;
    default:
        rc = scan_number(s);
    }
    if (rc == DONE && s->at < s->n && goes_on(s->p[s->at]))
        return BAD;
    return rc;
}

/* A member's name and its colon. */
static int scan_name(struct scan *s)
{
    int rc;

    if (!skip_space(s))
        return SHORT;
    if (s->p[s->at] != '"')
        return BAD;
    s->at++;
    rc = scan_string(s);
    if (rc != DONE)
        return rc;
    if (!skip_space(s))
        return SHORT;
    return s->p[s->at++] == ':' ? DONE : BAD;
}

/* The containers that are open, a bit each: set for an object. */
struct nest {
    uint64_t objects[JSON_DEPTH_MAX / 64];
    unsigned depth;
};

static void nest_open(struct nest *nest, bool object)
{
    uint64_t bit = (uint64_t)1 << nest->depth % 64;
    uint64_t *word = &nest->objects[nest->depth / 64];

    *word = object ? *word | bit : *word & ~bit;
    nest->depth++;
}

static bool nest_in_object(const struct nest *nest)
{
    unsigned top = nest->depth - 1;

    return (nest->objects[top / 64] >> top % 64 & 1) != 0;
}

/* at stands on { or [.  *empty says that it was closed at once; if not, its
 * first value is due. */
static int scan_open(struct scan *s, struct nest *nest, bool *empty)
{
    bool object = s->p[s->at++] == '{';

    if (nest->depth == JSON_DEPTH_MAX)
        return BAD;
    if (!skip_space(s))
        return SHORT;
    *empty = s->p[s->at] == (object ? '}' : ']');
    if (*empty) {
        s->at++;
        return DONE;
    }
    nest_open(nest, object);
    return object ? scan_name(s) : DONE;
}

/* A value has ended: closes the containers that end with it, up to a comma
 * (then the next value is due) or until none is open. */
static int scan_after(struct scan *s, struct nest *nest)
{
    while (nest->depth > 0) {
        bool object = nest_in_object(nest);
        char c;

        if (!skip_space(s))
            return SHORT;
        c = s->p[s->at++];
        if (c == ',')
            return object ? scan_name(s) : DONE;
        if (c != (object ? '}' : ']'))
            return BAD;
        nest->depth--;
    }
    return DONE;
}

static int scan_value(struct scan *s)
{
    struct nest nest = {.depth = 0};
    int rc;

    do {
        bool whole = true;

        if (!skip_space(s))
            return SHORT;
        if (s->p[s->at] == '{' || s->p[s->at] == '[')
            rc = scan_open(s, &nest, &whole);
        else
            rc = scan_scalar(s);
        if (rc == DONE && whole)
            rc = scan_after(s, &nest);
    } while (rc == DONE && nest.depth > 0);
    return rc;
}

ssize_t json_value_length(struct str text)
{
    struct scan s = {text.p, text.n, 0};
    int rc = scan_value(&s);

    return rc == DONE ? (ssize_t)s.at : rc;
}

bool json_valid(struct str text)
{
    struct scan s = {text.p, text.n, 0};

    return scan_value(&s) == DONE && !skip_space(&s);
}

bool json_is_container(struct str text)
{
    struct scan s = {text.p, text.n, 0};

    return skip_space(&s) && (s.p[s.at] == '{' || s.p[s.at] == '[') &&
           json_valid(text);
}

static void append_escape(struct buffer *out, char c)
{
    static const char hex[] = "0123456789abcdef";
    const char *known = "\bb\ff\nn\rr\tt\"\"\\\\";

    for (; *known != '\0'; known += 2) {
        if (*known == c) {
            buffer_append(out, (char[]){'\\', known[1]}, 2);
            return;
        }
    }
    buffer_append(out,
                  (char[]){'\\', 'u', '0', '0', hex[(unsigned char)c >> 4],
                           hex[(unsigned char)c & 15]},
                  6);
}

/* The octets at p that are one character, or that one U+FFFD stands for: as
 * many as could have begun a character (Unicode 3.9, "maximal subpart"). */
static size_t character(const char *p, size_t n, bool *good)
{
    uint8_t state = 0;
    size_t i = 0;

    do {
        if (str_utf8_scan(&state, (struct str){p + i, 1}) == 0)
            break;
        i++;
    } while (state != 0 && i < n);
    *good = i > 0 && state == 0;
    return i > 0 ? i : 1;
}

/* A run of high octets: as it is where it is UTF-8, mended where not. */
static void append_high(struct buffer *out, struct str run)
{
    if (str_utf8_valid(run)) {
        buffer_append_str(out, run);
        return;
    }
    for (size_t i = 0, n; i < run.n; i += n) {
        bool good;

        n = character(run.p + i, run.n - i, &good);
        if (good)
            buffer_append(out, run.p + i, n);
        else
            buffer_append(out, "\xef\xbf\xbd", 3);
    }
}

void json_append_string(struct buffer *out, struct str s)
{
    size_t i = 0;

    if (buffer_reserve(out, s.n + 2) < 0)
        return;
    buffer_append_byte(out, '"');
    while (i < s.n) {
        size_t n = plain_run(s.p + i, s.n - i);

        buffer_append(out, s.p + i, n);
        i += n;
        n = high_run(s.p + i, s.n - i);
        if (n > 0)
            append_high(out, (struct str){s.p + i, n});
        else if (i < s.n)
            append_escape(out, s.p[i++]);
        i += n;
    }
    buffer_append_byte(out, '"');
}
