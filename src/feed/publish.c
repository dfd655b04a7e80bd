#include "feed/publish.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/meter.h"
#include "http/exchange.h"
#include "hub/channel.h"
#include "hub/cursor.h"
#include "hub/idempotency.h"
#include "wire/json.h"
#include "wire/ndjson.h"
#include "wire/sse.h"

#define BATCH_MAX 64 /* messages appended together */

enum publish_form { PUBLISH_ONE, PUBLISH_NDJSON, PUBLISH_SSE };

struct publisher {
    struct channel *channel; /* a reference */
    size_t limit_bytes;
    bool json;               /* nothing else is taken */
    enum publish_form form;
    struct buffer body;      /* PUBLISH_ONE */
    union {
        struct ndjson_parser ndjson;
        struct sse_parser sse;
    };
    struct message *batch[BATCH_MAX];
    unsigned batch_count;
    unsigned long published, refused;
    struct appended last;
    int error;
};

static void publisher_free(struct publisher *p)
{
    for (unsigned i = 0; i < p->batch_count; i++)
        message_unref(&p->batch[i]);
    if (p->form == PUBLISH_NDJSON)
        ndjson_parser_fini(&p->ndjson);
    if (p->form == PUBLISH_SSE)
        sse_parser_fini(&p->sse);
    buffer_fini(&p->body);
    channel_unref(&p->channel);
    free(p);
}

/* Ends with a problem; the rest of the body is not read. */
static void refuse(struct exchange *x, unsigned status, const char *detail)
{
    publisher_free(x->handler);
    x->handler = NULL;
    x->ops = NULL;
    exchange_problem(x, status, NULL, "%s", detail);
}

static void refuse_error(struct exchange *x, int error)
{
    if (error == -ESTALE)
        refuse(x, 409, "the channel was deleted meanwhile");
    else
        refuse(x, 503, "out of memory: try again later");
}

/* ---- a stream of messages -------------------------------------------------- */

static int flush(struct publisher *p)
{
    unsigned n = p->batch_count;
    int rc;

    if (n == 0)
        return 0;
    p->batch_count = 0;
    rc = channel_append(p->channel, p->batch, n, &p->last);
    if (rc == 0)
        p->published += n;
    return rc;
}

static int gather(struct publisher *p, const struct message_parts *parts)
{
    struct message *m = message_new(parts);

    if (m == NULL)
        return -ENOMEM;
    p->batch[p->batch_count++] = m;
    return p->batch_count == BATCH_MAX ? flush(p) : 0;
}

static int on_value(void *arg, struct str value)
{
    const struct message_parts parts = {
        .data = value,
        .content_type = STR("application/json"),
    };

    return gather(arg, &parts);
}

static void on_bad(void *arg, const char *why, struct str line)
{
    ((struct publisher *)arg)->refused++;
}

static int on_event(void *arg, const struct sse_event *event)
{
    const struct message_parts parts = {
        .data = event->data,
        .type = event->type,
    };
    struct publisher *p = arg;

    if (p->json && !json_valid(event->data)) {
        p->refused++;
        return 0;
    }
    return gather(p, &parts);
}

static void on_oversize(void *arg, size_t size_bytes)
{
    ((struct publisher *)arg)->refused++;
}

static const struct ndjson_parser_ops ndjson_ops = {
    .value = on_value,
    .bad = on_bad,
};
static const struct sse_parser_ops sse_ops = {
    .event = on_event,
    .oversize = on_oversize,
};

static void on_stream_body(struct exchange *x, const char *data, size_t len)
{
    struct publisher *p = x->handler;
    int rc = p->form == PUBLISH_SSE ? sse_parser_feed(&p->sse, data, len)
                                    : ndjson_parser_feed(&p->ndjson, data, len);

    if (rc == 0)
        rc = flush(p); /* what came together is appended together */
    if (rc < 0)
        refuse_error(x, rc);
}

static void on_stream_end(struct exchange *x)
{
    struct publisher *p = x->handler;
    struct buffer body = {0};
    struct answer_headers a;
    char id[ID_MAX] = "";
    int rc = p->form == PUBLISH_NDJSON ? ndjson_parser_end(&p->ndjson) : 0;

    if (rc == 0)
        rc = flush(p);
    if (rc < 0) {
        refuse_error(x, rc);
        return;
    }
    if (p->published > 0)
        id_format(id, p->last.epoch, p->last.seq);
    buffer_printf(&body,
                  "{\"id\":\"%s\",\"published\":%lu,\"refused\":%lu,"
                  "\"readers\":%u}\n",
                  id, p->published, p->refused,
                  atomic_load(&p->channel->readers));
    publisher_free(p);
    answer_init(&a);
    answer_add(&a, "Content-Type", STR("application/json"));
    exchange_respond(x, 201, &a.headers, body.data, body.len);
    buffer_fini(&body);
}

static void on_gone(struct exchange *x)
{
    struct publisher *p = x->handler;

    /* What was whole when it broke off has been appended already. */
    publisher_free(p);
}

static const struct exchange_ops stream_exchange = {
    .body = on_stream_body,
    .body_end = on_stream_end,
    .gone = on_gone,
};

/* ---- one message ----------------------------------------------------------- */

static void on_body(struct exchange *x, const char *data, size_t len)
{
    struct publisher *p = x->handler;

    if (p->body.len + len > p->limit_bytes) {
        refuse(x, 413, "the message is larger than limits.message");
        return;
    }
    buffer_append(&p->body, data, len);
    if (p->body.failed)
        refuse_error(x, -ENOMEM);
}

/* NULL, or what is wrong with the fields that describe the message. */
static const char *judge(struct str type, struct str key)
{
    if (type.n > MESSAGE_TYPE_MAX || !str_utf8_valid(type) ||
        !sse_field_ok(type))
        return "Penstock-Event is at most 255 octets of UTF-8";
    if (key.n > IDEMPOTENCY_KEY_MAX)
        return "Idempotency-Key is at most 255 octets";
    return NULL;
}

static int append(struct publisher *p, const struct http_message *request,
                  struct appended *out)
{
    struct str key = headers_get(&request->headers, "Idempotency-Key");
    const struct message_parts parts = {
        .data = buffer_str(&p->body),
        .type = headers_get(&request->headers, "Penstock-Event"),
        .content_type = headers_get(&request->headers, "Content-Type"),
    };
    struct message *m = message_new(&parts);

    if (m == NULL)
        return -ENOMEM;
    if (key.n > 0)
        return channel_append_once(p->channel, key, m, out);
    return channel_append(p->channel, &m, 1, out);
}

static void write_answer(struct buffer *out, const struct appended *where,
                         unsigned readers)
{
    char id[ID_MAX];
    size_t n = id_format(id, where->epoch, where->seq);

    out->len = 0;
    buffer_append_str(out, STR("{\"id\":\""));
    buffer_append(out, id, n);
    buffer_append_str(out, STR("\",\"readers\":"));
    buffer_append_u64(out, readers);
    buffer_append_str(out, STR("}\n"));
}

static void on_body_end(struct exchange *x)
{
    struct publisher *p = x->handler;
    struct appended where;
    struct answer_headers a;
    struct buffer body;
    int rc;

    if (p->json && !json_valid(buffer_str(&p->body))) {
        refuse(x, 400, "the message is not valid JSON");
        return;
    }
    rc = append(p, x->request, &where);
    if (rc < 0) {
        refuse_error(x, rc);
        return;
    }
    body = p->body; /* the message has been copied: its memory serves again */
    p->body = (struct buffer){0};
    write_answer(&body, &where, atomic_load(&p->channel->readers));
    publisher_free(p);
    answer_init(&a);
    answer_add(&a, "Content-Type", STR("application/json"));
    exchange_respond(x, 201, &a.headers, body.data, body.len);
    buffer_fini(&body);
}

static const struct exchange_ops one_exchange = {
    .body = on_body,
    .body_end = on_body_end,
    .gone = on_gone,
};

/* ---- the beginning --------------------------------------------------------- */

static const char json_seq[] = "application/json-seq";

static enum publish_form form_of(struct str content_type)
{
    if (str_media_is(content_type, "application/x-ndjson") ||
        str_media_is(content_type, "application/ndjson") ||
        str_media_is(content_type, json_seq))
        return PUBLISH_NDJSON;
    if (str_media_is(content_type, "text/event-stream"))
        return PUBLISH_SSE;
    return PUBLISH_ONE;
}

void publish_open(struct exchange *x, struct channel *channel,
                  size_t limit_bytes, bool json)
{
    const struct http_message *m = x->request;
    const char *wrong = judge(headers_get(&m->headers, "Penstock-Event"),
                              headers_get(&m->headers, "Idempotency-Key"));
    struct str type = headers_get(&m->headers, "Content-Type");
    struct publisher *p;

    if (wrong != NULL) {
        exchange_problem(x, 400, NULL, "%s", wrong);
        return;
    }
    p = calloc(1, sizeof(*p));
    if (p == NULL) {
        exchange_problem(x, 503, NULL, "out of memory: try again later");
        return;
    }
    p->channel = channel_ref(channel);
    p->limit_bytes = limit_bytes;
    p->json = json;
    p->form = form_of(type);
    x->handler = p;
    x->ops = p->form == PUBLISH_ONE ? &one_exchange : &stream_exchange;
    x->patient = p->form != PUBLISH_ONE;
    if (p->form == PUBLISH_NDJSON) {
        ndjson_parser_init(&p->ndjson, &ndjson_ops, p, limit_bytes);
        p->ndjson.sequence = str_media_is(type, json_seq);
    }
    if (p->form == PUBLISH_SSE)
        sse_parser_init(&p->sse, &sse_ops, p, limit_bytes);
    if (p->form == PUBLISH_ONE && m->length > limit_bytes)
        refuse(x, 413, "the message is larger than limits.message");
    else
        exchange_proceed(x);
}
