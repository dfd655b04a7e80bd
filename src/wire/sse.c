#include "wire/sse.h"

#include <errno.h>

/* Memory that a parser keeps between events; a rare large one gives it back. */
#define KEEP_BYTES 65536

/* A line that is no data (an id, mostly) may follow data as large as the
 * limit.  So a line may go this far beyond it before the event is given up;
 * the data itself is held to the limit exactly, in take_data. */
#define LINE_SLACK_BYTES 1024

/* Text being cut into lines.  Where the next LF and the next CR lie is found
 * once each, so that a stream that uses only one of them is not searched for
 * the other line by line. */
struct lines {
    const char *at, *end, *lf, *cr;
};

static const char *find(const char *from, const char *end, char c)
{
    const char *at = memchr(from, c, (size_t)(end - from));

    return at == NULL ? end : at;
}

static void lines_init(struct lines *l, const char *text, size_t len)
{
    l->at = text;
    l->end = text + len;
    l->lf = find(text, l->end, '\n');
    l->cr = find(text, l->end, '\r');
}

/* The next CR or LF, or the end. */
static const char *lines_stop(struct lines *l)
{
    if (l->lf < l->at)
        l->lf = find(l->at, l->end, '\n');
    if (l->cr < l->at)
        l->cr = find(l->at, l->end, '\r');
    return l->lf < l->cr ? l->lf : l->cr;
}

/* Goes past the line end at stop.  True if that is a CR and the LF that may
 * belong to it is not here to be seen. */
static bool lines_pass(struct lines *l, const char *stop)
{
    l->at = stop + 1;
    if (*stop != '\r')
        return false;
    if (l->at == l->end)
        return true;
    if (*l->at == '\n')
        l->at++;
    return false;
}

void sse_parser_init(struct sse_parser *p, const struct sse_parser_ops *ops,
                     void *arg, size_t limit_bytes)
{
    *p =
        (struct sse_parser){.ops = ops, .arg = arg, .limit_bytes = limit_bytes};
}

void sse_parser_restart(struct sse_parser *p)
{
    buffer_fini(&p->line);
    buffer_fini(&p->data);
    buffer_fini(&p->type);
    buffer_fini(&p->next_id);
    p->has_next_id = false;
    p->after_cr = false;
    p->oversize = false;
    p->bom_seen = 0;
}

void sse_parser_fini(struct sse_parser *p)
{
    sse_parser_restart(p);
    buffer_fini(&p->last_id);
    p->has_last_id = false;
}

struct str sse_parser_last_id(const struct sse_parser *p)
{
    if (!p->has_last_id)
        return STR_NONE;
    return p->last_id.len == 0 ? STR("") : buffer_str(&p->last_id);
}

static void trim(struct buffer *b)
{
    if (b->cap > KEEP_BYTES)
        buffer_fini(b);
}

static void commit_id(struct sse_parser *p)
{
    struct buffer old = p->last_id;

    p->last_id = p->next_id;
    p->next_id = old;
    p->has_next_id = false;
    p->has_last_id = true;
}

/* s where it is UTF-8, or else what it is read as, in *out.  Framing does not
 * need this: CR, LF and colons are no part of any other character, and so what
 * is decoded late is decoded right. */
static struct str decode(struct str s, struct buffer *out)
{
    if (str_utf8_valid(s))
        return s;
    buffer_append_utf8(out, s);
    return buffer_str(out);
}

/* Hands out an event.  Each bad octet becomes three. */
static int emit(struct sse_parser *p, struct sse_event *event)
{
    struct buffer type = {0}, data = {0};
    int rc = 0;

    event->type = decode(event->type, &type);
    event->data = decode(event->data, &data);
    if (type.failed || data.failed)
        rc = -ENOMEM;
    else if (event->data.n <= p->limit_bytes)
        rc = p->ops->event(p->arg, event);
    else if (p->ops->oversize != NULL)
        p->ops->oversize(p->arg, event->data.n);
    buffer_fini(&type);
    buffer_fini(&data);
    return rc;
}

/* A blank line ("dispatch the event").  An event without data is none, but
 * its id holds. */
static int dispatch(struct sse_parser *p)
{
    struct sse_event event;
    int rc;

    if (p->oversize) {
        p->oversize = false;
        return 0;
    }
    event.has_id = p->has_next_id;
    if (p->has_next_id)
        commit_id(p);
    event.id = sse_parser_last_id(p);
    event.type = p->type.len == 0 ? STR("message") : buffer_str(&p->type);
    event.data = buffer_str(&p->data);
    p->type.len = 0;
    p->data.len = 0;
    if (event.data.n == 0)
        return 0;
    event.data.n--; /* the LF of the last line */
    rc = emit(p, &event);
    if (rc != 0)
        return rc;
    trim(&p->data);
    trim(&p->line);
    return 0;
}

/* Gives up the event that is being read, its id too; what is left of it is
 * skipped.  size_bytes is what has been seen of it. */
static void drop(struct sse_parser *p, size_t size_bytes)
{
    p->oversize = true;
    p->has_next_id = false;
    p->type.len = 0;
    buffer_fini(&p->data);
    if (p->ops->oversize != NULL)
        p->ops->oversize(p->arg, size_bytes);
}

static int take_data(struct sse_parser *p, struct str value)
{
    if (p->data.len + value.n > p->limit_bytes) {
        drop(p, p->data.len + value.n);
        return 0;
    }
    if (buffer_reserve(&p->data, value.n + 1) < 0)
        return -ENOMEM;
    buffer_append_str(&p->data, value);
    buffer_append_byte(&p->data, '\n');
    return 0;
}

static int set(struct buffer *b, struct str value)
{
    b->len = 0;
    buffer_append_str(b, value);
    return b->failed ? -ENOMEM : 0;
}

static int take_id(struct sse_parser *p, struct str value)
{
    if (value.n > 0 && memchr(value.p, '\0', value.n) != NULL)
        return 0;
    p->has_next_id = true;
    return set(&p->next_id, value);
}

static bool is(struct str name, const char *field)
{
    return memcmp(name.p, field, name.n) == 0;
}

/* "Process the field".  Names are compared by their case; those that are not
 * known are ignored. */
static int take_field(struct sse_parser *p, struct str name, struct str value)
{
    uint64_t ms;

    if (name.n == 4 && is(name, "data"))
        return take_data(p, value);
    if (name.n == 2 && is(name, "id"))
        return take_id(p, value);
    if (name.n == 5 && is(name, "event"))
        return set(&p->type, value);
    if (name.n == 5 && is(name, "retry") && str_to_u64(value, &ms))
        p->retry_ms = ms;
    return 0;
}

/* Whether a line of this length is more than an event may have. */
static bool too_long(const struct sse_parser *p, size_t line_bytes)
{
    size_t size = p->data.len + line_bytes;

    return size > LINE_SLACK_BYTES && size - LINE_SLACK_BYTES > p->limit_bytes;
}

/* One line, whole, without its end ("interpreting an event stream"). */
static int take_line(struct sse_parser *p, struct str line)
{
    struct str name, value;

    if (line.n == 0)
        return dispatch(p);
    if (line.p[0] == ':') {
        if (p->ops->comment != NULL)
            p->ops->comment(p->arg);
        return 0;
    }
    if (p->oversize)
        return 0;
    if (too_long(p, line.n)) {
        drop(p, p->data.len + line.n);
        return 0;
    }
    value = str_split(line, ':', &name);
    if (value.n > 0 && value.p[0] == ' ')
        value.p++, value.n--;
    return take_field(p, name, value);
}

/* Keeps the piece of a line whose end has not come.  Of what will be ignored
 * only the first octet is kept: it tells a comment, and no line is blank that
 * has one. */
static int keep(struct sse_parser *p, struct str piece)
{
    size_t size = p->line.len + piece.n;
    char first;

    if (piece.n == 0)
        return 0;
    first = p->line.len > 0 ? p->line.data[0] : piece.p[0];
    if (first != ':' && !p->oversize && too_long(p, size)) {
        buffer_fini(&p->line);
        drop(p, p->data.len + size);
    }
    if (first != ':' && !p->oversize)
        buffer_append_str(&p->line, piece);
    else if (p->line.len == 0)
        buffer_append_byte(&p->line, first);
    return p->line.failed ? -ENOMEM : 0;
}

static int end_line(struct sse_parser *p, struct str piece)
{
    int rc;

    if (p->line.len == 0)
        return take_line(p, piece);
    rc = keep(p, piece);
    if (rc < 0)
        return rc;
    piece = buffer_str(&p->line);
    p->line.len = 0;
    return take_line(p, piece);
}

#define BOM     "\xef\xbb\xbf"
#define DECIDED 0xff

/* How many octets of a leading byte order mark stand at the front of data.
 * What turns out to be no mark was the beginning of the first line. */
static size_t skip_bom(struct sse_parser *p, const char *data, size_t len)
{
    size_t n = 0;

    while (n < len && p->bom_seen < 3 && data[n] == BOM[p->bom_seen])
        n++, p->bom_seen++;
    if (n == len && p->bom_seen < 3)
        return n;
    if (p->bom_seen < 3)
        buffer_append(&p->line, BOM, p->bom_seen);
    p->bom_seen = DECIDED;
    return n;
}

/* Once part of a line or event is lost, what follows would be misread. */
static bool out_of_memory(const struct sse_parser *p)
{
    return p->line.failed || p->data.failed || p->type.failed ||
           p->next_id.failed;
}

int sse_parser_feed(struct sse_parser *p, const char *data, size_t len)
{
    struct lines l;
    size_t skip = 0;
    int rc;

    if (out_of_memory(p))
        return -ENOMEM;
    if (len == 0)
        return 0;
    if (p->bom_seen != DECIDED)
        skip = skip_bom(p, data, len);
    if (p->after_cr && data[0] == '\n')
        skip = 1;
    p->after_cr = false;
    lines_init(&l, data + skip, len - skip);
    while (l.at < l.end) {
        const char *stop = lines_stop(&l);
        struct str piece = {l.at, (size_t)(stop - l.at)};

        if (stop == l.end)
            return keep(p, piece);
        p->after_cr = lines_pass(&l, stop);
        rc = end_line(p, piece);
        if (rc != 0)
            return rc;
    }
    return out_of_memory(p) ? -ENOMEM : 0;
}

bool sse_field_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == '\0')
            return false;
    return true;
}

static void encode_field(struct buffer *out, struct str name, struct str value)
{
    buffer_append_str(out, name);
    buffer_append_str(out, value);
    buffer_append_byte(out, '\n');
}

/* "data: " with its space, always: a payload may begin with one of its own,
 * and a reader drops exactly one. */
static void encode_data(struct buffer *out, struct str data)
{
    struct lines l;
    const char *stop;

    lines_init(&l, data.n == 0 ? "" : data.p, data.n);
    while ((stop = lines_stop(&l)) < l.end) {
        encode_field(out, STR("data: "),
                     (struct str){l.at, (size_t)(stop - l.at)});
        lines_pass(&l, stop);
    }
    encode_field(out, STR("data: "),
                 (struct str){l.at, (size_t)(l.end - l.at)});
}

void sse_encode(struct buffer *out, struct str id, struct str type,
                struct str data)
{
    if (buffer_reserve(out, id.n + type.n + data.n + 32) < 0)
        return;
    if (id.p != NULL && sse_field_ok(id))
        encode_field(out, STR("id: "), id);
    if (type.n > 0 && !str_eq(type, STR("message")) && sse_field_ok(type))
        encode_field(out, STR("event: "), type);
    encode_data(out, data);
    buffer_append_byte(out, '\n');
}
