#include "wire/pointer.h"

#include "wire/json.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static struct str trim(struct str s)
{
    while (s.n > 0 && is_space(s.p[0]))
        s.p++, s.n--;
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* Past white space, and one of these octets if it is there. */
static void skip(struct str s, size_t *at, const char *marks)
{
    while (*at < s.n && is_space(s.p[*at]))
        ++*at;
    if (*at < s.n && strchr(marks, s.p[*at]) != NULL)
        ++*at;
}

static bool take(struct str s, size_t *at, struct str *value)
{
    ssize_t n = json_value_length((struct str){s.p + *at, s.n - *at});

    if (n <= 0)
        return false;
    *value = trim((struct str){s.p + *at, (size_t)n});
    *at += (size_t)n;
    return true;
}

bool pointer_next(struct str value, size_t *at, struct str *name,
                  struct str *item)
{
    bool members;

    value = trim(value);
    members = value.n > 0 && value.p[0] == '{';
    if (!members && (value.n == 0 || value.p[0] != '['))
        return false;
    skip(value, at, *at == 0 ? "[{" : ",");
    skip(value, at, "");
    if (*at >= value.n || strchr("]}", value.p[*at]) != NULL)
        return false;
    *name = STR_NONE;
    if (members) {
        if (!take(value, at, name))
            return false;
        *name = (struct str){name->p + 1, name->n - 2};
        skip(value, at, ":");
    }
    return take(value, at, item);
}

/* ---- strings ----------------------------------------------------------------- */

static unsigned hex4(const char *p)
{
    unsigned v = 0;

    for (int i = 0; i < 4; i++) {
        unsigned c = (unsigned char)p[i];

        v = v << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return v;
}

/* RFC 3629 3. */
static void append_character(struct buffer *out, unsigned c)
{
    if (c < 0x80) {
        buffer_append_byte(out, (char)c);
    } else if (c < 0x800) {
        buffer_append_byte(out, (char)(0xc0 | c >> 6));
        buffer_append_byte(out, (char)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        buffer_append_byte(out, (char)(0xe0 | c >> 12));
        buffer_append_byte(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buffer_append_byte(out, (char)(0x80 | (c & 0x3f)));
    } else {
        buffer_append_byte(out, (char)(0xf0 | c >> 18));
        buffer_append_byte(out, (char)(0x80 | (c >> 12 & 0x3f)));
        buffer_append_byte(out, (char)(0x80 | (c >> 6 & 0x3f)));
        buffer_append_byte(out, (char)(0x80 | (c & 0x3f)));
    }
}

static bool is_high(unsigned c)
{
    return c >= 0xd800 && c < 0xdc00;
}

static bool is_low(unsigned c)
{
    return c >= 0xdc00 && c < 0xe000;
}

/* s begins with \u; returns how much was read. */
static size_t append_unicode(struct str s, struct buffer *out)
{
    unsigned c = hex4(s.p + 2), low;

    if (is_high(c) && s.n >= 12 && s.p[6] == '\\' && s.p[7] == 'u' &&
        is_low(low = hex4(s.p + 8))) {
        append_character(out,
                         0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00));
        return 12;
    }
    append_character(out, is_high(c) || is_low(c) ? 0xfffd : c);
    return 6;
}

/* s begins with a backslash. */
static size_t append_escape(struct str s, struct buffer *out)
{
    static const char from[] = "bfnrt\"\\/", to[] = "\b\f\n\r\t\"\\/";
    const char *at;

    if (s.p[1] == 'u')
        return append_unicode(s, out);
    at = strchr(from, s.p[1]);
    buffer_append_byte(out, to[at - from]);
    return 2;
}

/* What stands between the quotes. */
static void append_unescaped(struct str s, struct buffer *out)
{
    while (s.n > 0) {
        const char *slash = memchr(s.p, '\\', s.n);
        size_t n = slash == NULL ? s.n : (size_t)(slash - s.p);

        buffer_append(out, s.p, n);
        s.p += n, s.n -= n;
        if (s.n == 0)
            break;
        n = append_escape(s, out);
        s.p += n, s.n -= n;
    }
}

void pointer_text(struct str value, struct buffer *out)
{
    if (value.n >= 2 && value.p[0] == '"')
        append_unescaped((struct str){value.p + 1, value.n - 2}, out);
    else
        buffer_append_str(out, value);
}

/* ---- pointers ---------------------------------------------------------------- */

bool pointer_valid(struct str text)
{
    if (text.n > 0 && text.p[0] != '/')
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == '~' &&
            (i + 1 == text.n || (text.p[i + 1] != '0' && text.p[i + 1] != '1')))
            return false;
    return str_utf8_valid(text);
}

/* Whether a token, with ~1 for / and ~0 for ~, is this name. */
static bool token_is(struct str token, struct str name)
{
    size_t k = 0;

    for (size_t i = 0; i < token.n; i++, k++) {
        char c = token.p[i];

        if (c == '~')
            c = token.p[++i] == '1' ? '/' : '~';
        if (k >= name.n || name.p[k] != c)
            return false;
    }
    return k == name.n;
}

static bool member_is(struct str token, struct str written)
{
    struct buffer name = {0};
    bool is;

    if (memchr(written.p, '\\', written.n) == NULL)
        return token_is(token, written);
    append_unescaped(written, &name);
    is = !name.failed && token_is(token, buffer_str(&name));
    buffer_fini(&name);
    return is;
}

/* An index has no leading zeros (RFC 6901 4). */
static bool item_is(struct str token, uint64_t index)
{
    uint64_t n;

    return (token.n == 1 || (token.n > 1 && token.p[0] != '0')) &&
           str_to_u64(token, &n) && n == index;
}

static bool step(struct str value, struct str token, struct str *out)
{
    struct str name;
    size_t at = 0;

    for (uint64_t index = 0; pointer_next(value, &at, &name, out); index++)
        if (name.p == NULL ? item_is(token, index) : member_is(token, name))
            return true;
    return false;
}

bool pointer_find(struct str document, struct str pointer, struct str *value)
{
    struct str token;

    *value = trim(document);
    if (pointer.n == 0)
        return true;
    pointer = (struct str){pointer.p + 1, pointer.n - 1};
    while (pointer.p != NULL) {
        pointer = str_split(pointer, '/', &token);
        if (!step(*value, token, value))
            return false;
    }
    return true;
}
