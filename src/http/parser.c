#include "http/parser.h"

#include <assert.h>
#include <errno.h>
#include <llhttp.h>
#include <stdlib.h>

#include "http/chunks.h"

/* A connection that waits for its next message keeps no more than this. */
#define IDLE_HEAD_BYTES 4096

enum state {
    STATE_HEAD, /* collecting a head, or none has begun */
    STATE_BODY, /* the head was delivered */
    STATE_END,  /* the message is complete: parser_next() is due */
    STATE_DEAD, /* refused, or stopped by a callback */
};

struct parser {
    enum state state;
    int result; /* in STATE_DEAD: what feed answers from now on */
    enum head_side side;
    struct head_limits limits;
    const struct parser_ops *ops;
    void *arg;
    bool head_only, may_upgrade; /* what was asked for */

    llhttp_t http;
    bool in_body;  /* the head was delivered */
    bool complete; /* llhttp has seen the end of the message */
    struct chunks chunks;
    struct buffer head;     /* the message's slices point in here */
    struct str name, value; /* of the field that llhttp is in */
    struct http_message message;
    struct head_fault fault;
};

static int fail(struct parser *p, int result)
{
    p->state = STATE_DEAD;
    p->result = result;
    return result;
}

static int refuse(struct parser *p, int status, const char *reason)
{
    p->fault.status = p->side == HEAD_REQUEST ? status : 502;
    p->fault.reason = reason;
    return fail(p, -EBADMSG);
}

/* From llhttp's callbacks to the message ---------------------------------- */

/* llhttp may cut a value anywhere; as the head lies in one block, its pieces
 * lie side by side. */
static void extend(struct str *s, const char *at, size_t len)
{
    if (s->p == NULL)
        s->p = at;
    s->n = (size_t)(at + len - s->p);
}

static int on_url(llhttp_t *http, const char *at, size_t len)
{
    struct parser *p = http->data;

    extend(&p->message.target, at, len);
    return 0;
}

static int on_status(llhttp_t *http, const char *at, size_t len)
{
    struct parser *p = http->data;

    extend(&p->message.reason, at, len);
    return 0;
}

static int on_name(llhttp_t *http, const char *at, size_t len)
{
    struct parser *p = http->data;

    extend(&p->name, at, len);
    return 0;
}

static int on_value(llhttp_t *http, const char *at, size_t len)
{
    struct parser *p = http->data;

    extend(&p->value, at, len);
    return 0;
}

/* CGI and its descendants read "Content_Length" as "Content-Length": a backend
 * of that kind must not get what we let pass as an unknown field. */
static bool field_dropped(const struct parser *p)
{
    return p->side == HEAD_REQUEST && p->name.n > 0 &&
           memchr(p->name.p, '_', p->name.n) != NULL;
}

static int on_field_end(llhttp_t *http)
{
    struct parser *p = http->data;
    int rc = 0;

    if (!field_dropped(p))
        rc = headers_add(&p->message.headers, p->name, str_trim(p->value));
    p->name = p->value = STR_NONE;
    if (rc < 0)
        fail(p, rc);
    return rc < 0 ? -1 : 0;
}

/* Splits the target into authority, path and query (RFC 9112 3.2).  head.c has
 * judged it, so "://" ends a scheme. */
static void split_target(struct http_message *m)
{
    struct str rest = m->target;
    size_t n = 0;

    m->authority = headers_get(&m->headers, "Host");
    if (rest.p[0] != '/' && rest.p[0] != '*') {
        const char *start = memchr(rest.p, ':', rest.n);

        start += sizeof("://") - 1;
        rest = (struct str){start, (size_t)(rest.p + rest.n - start)};
        while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
            n++;
        m->authority = (struct str){rest.p, n};
        rest.p += n;
        rest.n -= n;
    }
    m->query = str_split(rest, '?', &m->path);
    if (m->path.n > 0)
        return;
    /* RFC 9112 3.2.4: what a client means by "OPTIONS http://a". */
    if (str_eq(m->method, STR("OPTIONS")) && m->query.p == NULL)
        m->path = STR("*");
    else
        m->path = STR("/");
}

static void fill_request(struct parser *p)
{
    struct http_message *m = &p->message;

    m->method = str_of(llhttp_method_name(p->http.method));
    m->has_body = m->chunked || m->length > 0;
    m->upgrade = m->upgrade && !m->has_body;
    /* RFC 9110 10.1.1: from a client of HTTP/1.0 it means nothing. */
    m->expect_continue =
        m->minor == 1 && headers_get(&m->headers, "Expect").p != NULL;
    split_target(m);
}

/* RFC 9112 6.3. */
static void fill_response(struct parser *p)
{
    struct http_message *m = &p->message;
    bool none;

    m->status = p->http.status_code;
    none =
        p->head_only || m->status < 200 || m->status == 204 || m->status == 304;
    m->until_close = !none && !m->chunked && !m->has_length;
    m->has_body = !none && (m->chunked || m->until_close || m->length > 0);
    m->upgrade = m->upgrade && m->status == 101;
    m->keep_alive = m->keep_alive && !m->until_close;
}

static void fill_message(struct parser *p)
{
    struct http_message *m = &p->message;
    struct str length = headers_get(&m->headers, "Content-Length");
    bool closes = headers_list_has(&m->headers, "Connection", "close");

    m->minor = p->http.http_minor;
    m->chunked = headers_get(&m->headers, "Transfer-Encoding").p != NULL;
    m->has_length = str_to_u64(length, &m->length);
    m->keep_alive =
        !closes && (m->minor == 1 ||
                    headers_list_has(&m->headers, "Connection", "keep-alive"));
    m->upgrade = m->minor == 1 && headers_get(&m->headers, "Upgrade").n > 0 &&
                 headers_list_has(&m->headers, "Connection", "upgrade");
    if (p->side == HEAD_REQUEST)
        fill_request(p);
    else
        fill_response(p);
}

/* Two readers of one head that differ on where it ends are how requests are
 * smuggled: not even llhttp and we may. */
static bool framing_agrees(const struct parser *p)
{
    const struct http_message *m = &p->message;

    return m->chunked == ((p->http.flags & F_CHUNKED) != 0) &&
           m->has_length == ((p->http.flags & F_CONTENT_LENGTH) != 0) &&
           (!m->has_length || m->length == p->http.content_length);
}

/* 1 tells llhttp that no body follows, whatever the fields say. */
static int on_head_end(llhttp_t *http)
{
    struct parser *p = http->data;

    fill_message(p);
    if (!framing_agrees(p)) {
        refuse(p, 400, "ambiguous length");
        return -1;
    }
    if (p->message.status == 101 && !(p->may_upgrade && p->message.upgrade)) {
        refuse(p, 502, "upgrade that was not asked for");
        return -1;
    }
    if (p->message.chunked)
        chunks_init(&p->chunks);
    return p->message.has_body ? 0 : 1;
}

static int on_body(llhttp_t *http, const char *at, size_t len)
{
    struct parser *p = http->data;
    int rc = len > 0 ? p->ops->body(p->arg, at, len) : 0;

    if (rc < 0)
        fail(p, rc);
    return rc < 0 ? -1 : 0;
}

/* Stops llhttp: what follows is for another message and a fresh llhttp. */
static int on_message_end(llhttp_t *http)
{
    struct parser *p = http->data;

    p->complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_status = on_status,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_header_value_complete = on_field_end,
    .on_headers_complete = on_head_end,
    .on_body = on_body,
    .on_message_complete = on_message_end,
};

/* Life -------------------------------------------------------------------- */

static void begin(struct parser *p)
{
    struct headers headers = p->message.headers;

    headers.count = 0; /* the list is used again */
    if (p->head.cap > IDLE_HEAD_BYTES)
        buffer_fini(&p->head);
    p->message = (struct http_message){.headers = headers};
    p->head.len = 0;
    p->name = p->value = STR_NONE;
    p->state = STATE_HEAD;
    p->in_body = p->complete = false;
    llhttp_init(&p->http,
                p->side == HEAD_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE,
                &settings);
    p->http.data = p;
}

struct parser *parser_new(enum head_side side, const struct parser_ops *ops,
                          void *arg, const struct head_limits *limits)
{
    struct parser *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return NULL;
    p->side = side;
    p->ops = ops;
    p->arg = arg;
    p->limits = limits != NULL ? *limits : head_limits_default;
    begin(p);
    return p;
}

void parser_lend(struct parser *p, const struct parser_ops *ops, void *arg,
                 const struct head_limits *limits)
{
    p->ops = ops;
    p->arg = arg;
    p->limits = *limits;
    p->head_only = p->may_upgrade = false;
    begin(p);
}

void parser_free(struct parser *p)
{
    if (p == NULL)
        return;
    headers_fini(&p->message.headers);
    buffer_fini(&p->head);
    free(p);
}

void parser_expect_no_body(struct parser *p)
{
    assert(p->side == HEAD_RESPONSE);
    p->head_only = true;
}

void parser_expect_upgrade(struct parser *p)
{
    assert(p->side == HEAD_RESPONSE);
    p->may_upgrade = true;
}

void parser_next(struct parser *p)
{
    if (p->state != STATE_END)
        return;
    /* After an interim answer the one that was asked for is still to come. */
    if (p->message.status >= 200 || p->message.status == 101)
        p->head_only = p->may_upgrade = false;
    begin(p);
}

/* Whether the head's first octets are there; one blank line is no head. */
static bool head_begun(const struct parser *p)
{
    if (p->side == HEAD_REQUEST && p->head.len <= 2)
        return p->head.len > 0 && p->head.data[0] != '\r';
    return p->head.len > 0;
}

bool parser_busy(const struct parser *p)
{
    return p->state == STATE_BODY || (p->state == STATE_HEAD && head_begun(p));
}

bool parser_holds(const struct parser *p)
{
    return p->state == STATE_BODY ||
           (p->state == STATE_HEAD && p->head.len > 0);
}

bool parser_in_body(const struct parser *p)
{
    return p->in_body;
}

const struct head_fault *parser_fault(const struct parser *p)
{
    return &p->fault;
}

/* Feeding ----------------------------------------------------------------- */

/* Gives judged bytes to llhttp.  0, or -errno: what it or a callback refused.
 * After a message's end it has taken less than len; see taken(). */
static int execute(struct parser *p, const char *data, size_t len)
{
    llhttp_errno_t error = llhttp_execute(&p->http, data, len);

    if (p->state == STATE_DEAD)
        return p->result;
    if (error == HPE_OK || p->complete)
        return 0;
    return refuse(p, 400, llhttp_get_error_reason(&p->http));
}

/* How many of the len bytes that execute() had belong to the message. */
static size_t taken(struct parser *p, const char *data, size_t len)
{
    return p->complete ? (size_t)(llhttp_get_error_pos(&p->http) - data) : len;
}

/* 0, or what the callback answered. */
static int end_message(struct parser *p)
{
    int rc;

    p->state = STATE_END;
    rc = p->ops->end(p->arg);
    return rc < 0 ? fail(p, rc) : 0;
}

/* Parses the head, which lies whole in p->head, and delivers it. */
static void parse_head(struct parser *p)
{
    int rc = execute(p, p->head.data, p->head.len);

    if (rc < 0)
        return;
    /* llhttp sees a body where we see none, or none where we see one. */
    if (p->complete == p->message.has_body) {
        refuse(p, 400, "ambiguous length");
        return;
    }
    p->state = STATE_BODY;
    p->in_body = true;
    rc = p->ops->head(p->arg, &p->message);
    if (rc < 0)
        fail(p, rc);
    else if (p->complete)
        end_message(p);
}

/* Judges a head of which nothing came before where it lies, and keeps what
 * there is of it.  As head_check() answers. */
static ssize_t begin_head(struct parser *p, const char *data, size_t len)
{
    ssize_t n = head_check(p->side, data, len, &p->limits, &p->fault);

    if (n >= 0)
        buffer_append(&p->head, data, n > 0 ? (size_t)n : len);
    return n;
}

/* Puts a head together from pieces.  Room for the longest, and a blank line
 * before it, is enough for a verdict. */
static ssize_t continue_head(struct parser *p, const char *data, size_t len)
{
    size_t room = p->limits.head_bytes + 2 - p->head.len;
    ssize_t n;

    buffer_append(&p->head, data, len < room ? len : room);
    n = head_check(p->side, p->head.data, p->head.len, &p->limits, &p->fault);
    if (n > 0)
        p->head.len = (size_t)n;
    return n;
}

/* Returns how many of the len bytes belong to the head, which was delivered if
 * the state is no longer STATE_HEAD. */
static ssize_t feed_head(struct parser *p, const char *data, size_t len)
{
    size_t before = p->head.len;
    ssize_t n =
        before == 0 ? begin_head(p, data, len) : continue_head(p, data, len);

    if (p->head.failed)
        return fail(p, -ENOMEM);
    if (n < 0)
        return fail(p, -EBADMSG);
    if (n == 0)
        return (ssize_t)len;
    parse_head(p);
    return n - (ssize_t)before;
}

/* llhttp does not get to see extensions (8.1 refuses good ones) or trailers (it
 * would report them as if they were the head's), only the blank line that ends
 * the body.  What is good is delivered before the rest is refused, so that it
 * makes no difference where the network cuts. */
static ssize_t feed_chunks(struct parser *p, const char *data, size_t len)
{
    bool kept;
    size_t n = chunks_judge(&p->chunks, data, len, &kept);
    bool end = p->chunks.state == CHUNKS_END;
    int rc = 0;

    if (kept)
        rc = execute(p, data, n);
    else if (end)
        rc = execute(p, "\r\n", 2);
    if (rc < 0)
        return rc;
    if (p->chunks.state == CHUNKS_BAD)
        return refuse(p, p->chunks.fault.status, p->chunks.fault.reason);
    if (p->complete != end)
        return refuse(p, 400, "ambiguous end of chunks");
    return (ssize_t)n;
}

static ssize_t feed_plain(struct parser *p, const char *data, size_t len)
{
    int rc = execute(p, data, len);

    return rc < 0 ? rc : (ssize_t)taken(p, data, len);
}

/* Returns how many bytes were taken; nothing that counts in STATE_DEAD. */
static ssize_t feed_body(struct parser *p, const char *data, size_t len)
{
    size_t at = 0;

    while (at < len && p->state == STATE_BODY) {
        ssize_t n;

        if (p->message.chunked)
            n = feed_chunks(p, data + at, len - at);
        else
            n = feed_plain(p, data + at, len - at);
        if (n < 0)
            return n;
        at += (size_t)n;
        if (p->complete)
            end_message(p);
    }
    return (ssize_t)at;
}

ssize_t parser_feed(struct parser *p, const char *data, size_t len)
{
    ssize_t used = 0;

    if (p->state == STATE_HEAD && len > 0)
        used = feed_head(p, data, len);
    if (p->state == STATE_BODY)
        used += feed_body(p, data + used, len - (size_t)used);
    return p->state == STATE_DEAD ? p->result : used;
}

int parser_finish(struct parser *p)
{
    if (p->state == STATE_DEAD)
        return p->result;
    if (p->state == STATE_BODY && p->message.until_close) {
        llhttp_finish(&p->http);
        return p->complete ? end_message(p) : refuse(p, 400, "message cut off");
    }
    if (parser_busy(p))
        return refuse(p, 400,
                      parser_in_body(p) ? "body cut off" : "head cut off");
    return 0;
}
