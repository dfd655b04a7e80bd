/* envelope.h - messages as JSON: the element of a batch (long poll, poll) and
 * the envelope of the WebSocket subprotocol penstock.v1 are the same object.
 *
 *   {"id":"…","event":"…","data":…,"time":"2026-01-02T03:04:05.678Z"}
 */
#ifndef PENSTOCK_WIRE_ENVELOPE_H
#define PENSTOCK_WIRE_ENVELOPE_H

#include "base/buffer.h"

/* How data stands in JSON and SSE. */
enum envelope_kind {
    ENVELOPE_TEXT,   /* valid UTF-8: a JSON string */
    ENVELOPE_JSON,   /* one valid JSON value: embedded byte for byte */
    ENVELOPE_BINARY, /* base64, and "encoding":"base64" */
};

/* type absent, empty or "message" is written as "message".  data of
 * ENVELOPE_JSON has to be valid JSON: it is not looked at again.  Where
 * channels share a connection each message names its own, in front:
 * {"channel":"…","id":…; absent otherwise. */
void envelope_encode(struct buffer *out, struct str channel, struct str id,
                     struct str type,
                     enum envelope_kind kind, struct str data,
                     uint64_t time_ms);

/* What stands behind "data":, and "encoding" where it is base64. */
void envelope_append_data(struct buffer *out, enum envelope_kind kind,
                          struct str data);

/* Wall time as in "time" above, quotes included (RFC 3339). */
void envelope_append_time(struct buffer *out, uint64_t time_ms);

/* {"from":"ID","to":"ID"}: what a reader is told of a gap.  from is the cursor
 * that was asked for, to the first id that follows; either is null if absent.
 * channels, if not absent, is a JSON array of names, and "channels" in it. */
void envelope_encode_gap(struct buffer *out, struct str from, struct str to,
                         struct str channels);

/* {"stale":true}, or {"stale":true,"channel":"NAME"} where channel is not absent:
 * its source is down, or (false) back.  One line. */
void envelope_encode_stale(struct buffer *out, struct str channel, bool stale);

/* The batch: head, elements separated by commas, tail.
 *   {"messages":[…],"next":"ID"}   or   {"gap":true,"messages":[…],"next":"ID"} */
void envelope_batch_head(struct buffer *out, bool gap);
void envelope_batch_tail(struct buffer *out, struct str next_id);

/* What kind data of this content type is: JSON media types (application/json,
 * +json, ndjson) and text that parses as an object or array are JSON if they
 * are valid JSON; other valid UTF-8 is text; the rest is binary.
 * application/octet-stream and image, audio, video types are always binary. */
enum envelope_kind envelope_kind_of(struct str content_type, struct str data);

/* Appends base64 (RFC 4648 4) of s. */
void base64_append(struct buffer *out, struct str s);
/* Appends what text is the base64 of.  False, and nothing: it is none. */
bool base64_decode(struct buffer *out, struct str text);

#endif
