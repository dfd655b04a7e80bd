/* sse.h - text/event-stream, both ways (HTML living standard, "Server-sent
 * events": "Parsing an event stream", "Interpreting an event stream").
 * Works on bytes: framing is never confused by where reads are cut.  No I/O, no
 * threads of its own. */
#ifndef PENSTOCK_WIRE_SSE_H
#define PENSTOCK_WIRE_SSE_H

#include "base/buffer.h"

/* One event as it is dispatched.  Slices are borrowed for the callback.  A
 * stream is UTF-8, and what in it is not is read as U+FFFD; but an id is kept
 * as it is, since it only goes back to where it came from. */
struct sse_event {
    struct str id;   /* the last event id in force; absent if none so far */
    struct str type; /* "message" where the stream named none */
    struct str data; /* lines joined by LF, without the final LF */
    bool has_id;     /* the id is this event's own, not an earlier one's */
};

struct sse_parser_ops {
    /* Non-zero stops the feed and becomes its result; what comes after the
     * event in that feed is then lost, and the parser is not touched again, so
     * the callback may have freed it. */
    int (*event)(void *arg, const struct sse_event *event);
    /* An event larger than the limit was dropped, whole; the stream goes on.
     * size_bytes is how much was read of it so far.  May be NULL. */
    void (*oversize)(void *arg, size_t size_bytes);
    /* A comment line: a sign of life.  May be NULL. */
    void (*comment)(void *arg);
};

struct sse_parser {
    const struct sse_parser_ops *ops;
    void *arg;
    /* Of one event's data, its lines joined and decoded.  It bounds an
     * unfinished line too, so that a parser holds no more than a few times
     * this. */
    size_t limit_bytes;
    uint64_t retry_ms;  /* the last valid retry field; 0 if none */
    struct buffer line; /* bytes of an unfinished line */
    struct buffer data; /* data lines so far, each with its LF */
    struct buffer type;
    struct buffer next_id; /* from this event's id line */
    struct buffer last_id; /* committed at dispatch */
    bool has_next_id;      /* an id line came since the last dispatch */
    bool has_last_id;
    bool after_cr;    /* swallow one LF */
    bool oversize;    /* skip to the next blank line */
    uint8_t bom_seen; /* how many of the BOM's 3 octets; 0xff: decided */
};

void sse_parser_init(struct sse_parser *p, const struct sse_parser_ops *ops,
                     void *arg, size_t limit_bytes);
/* Takes all of data.  0, what ops->event returned, or -ENOMEM (the parser
 * goes on after sse_parser_restart). */
int sse_parser_feed(struct sse_parser *p, const char *data, size_t len);
/* A new connection begins: a half-read event is discarded, a BOM may come
 * again; the committed id and retry stay. */
void sse_parser_restart(struct sse_parser *p);
/* The id to send as Last-Event-ID: absent if none was dispatched, empty if the
 * stream took it back.  Borrowed until the next feed. */
struct str sse_parser_last_id(const struct sse_parser *p);
void sse_parser_fini(struct sse_parser *p);

/* Appends one event.  type absent, empty or "message" is left out; id absent
 * is left out.  Data is cut at CR, LF and CRLF, each line its own "data: "; an
 * id or a type that holds CR, LF or NUL is left out (callers refuse it
 * earlier: sse_field_ok).  Ends with the blank line. */
void sse_encode(struct buffer *out, struct str id, struct str type,
                struct str data);
/* Whether s may stand in an id or event field: no CR, LF or NUL. */
bool sse_field_ok(struct str s);

#endif
