#include "feed/batch.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "hub/encoding.h"

/* What a batch has so far, and may have. */
struct filling {
    struct buffer *body;
    unsigned count;
    unsigned messages_max;
    size_t bytes_max;
    enum wire_format format;
    bool gap;
};

/* Appends messages while there is room; returns how many. */
static unsigned fill(struct filling *f, const struct reading *reading)
{
    unsigned n = 0;

    while (n < reading->count && f->count < f->messages_max) {
        const struct wire *w = message_wire(reading->messages[n], f->format);
        struct str element = w == NULL ? STR_NONE : wire_str(w, false);

        if (w == NULL)
            f->body->failed = true;
        if (f->count > 0 && f->body->len + element.n > f->bytes_max)
            break;
        if (f->count > 0)
            buffer_append_byte(f->body, ',');
        buffer_append_str(f->body, element);
        f->gap |= reading->messages[n]->after_gap;
        f->count++;
        n++;
    }
    return n;
}

void batch_take(struct batch *b, const struct exchange *x, struct reader *r,
                const struct reader_settings *settings, bool gap)
{
    struct buffer elements = {0};
    struct filling f = {&elements, 0, settings->batch_messages,
                        settings->batch_bytes,
                        r->selects ? WIRE_JSON_NAMED : WIRE_JSON, gap};
    uint64_t now_us = clock_now_us();
    bool more = true;

    *b = (struct batch){.count = 0};
    while (more) {
        struct reading reading;
        unsigned n;

        reader_read(r, &reading);
        f.gap |= reading.missed > 0;
        n = fill(&f, &reading);
        feed_delivered(x, reading.messages, n, now_us);
        tally_add(x->tally, TALLY_messages_skipped, reading.missed);
        reader_advance(r, &reading, n);
        b->full = n < reading.count;
        more = n > 0 && !b->full;
        reading_done(&reading);
    }
    b->count = f.count;
    b->gap = f.gap;
    reader_position(r, b->id);
    envelope_batch_head(&b->body, b->gap);
    buffer_append_str(&b->body, buffer_str(&elements));
    envelope_batch_tail(&b->body, str_of(b->id));
    b->body.failed |= elements.failed;
    buffer_fini(&elements);
    if (b->count == 0 || x->is_head)
        tally_add(x->tally, TALLY_empty_answers, 1);
    tally_add(x->tally, TALLY_gaps, b->gap);
}

void batch_fields(struct answer_headers *a, struct batch_fields *scratch,
                  const char *id, bool gap, bool packed)
{
    snprintf(scratch->etag, sizeof(scratch->etag), "%s\"%s\"",
             packed ? "W/" : "", id);
    snprintf(scratch->link, sizeof(scratch->link), "<?since=%s>; rel=\"next\"",
             id);
    answer_add(a, "ETag", str_of(scratch->etag));
    answer_add(a, "Link", str_of(scratch->link));
    if (gap)
        answer_add(a, "Penstock-Gap", STR("1"));
}

void batch_respond(struct exchange *x, struct answer_headers *a,
                   const struct batch *b,
                   const struct reader_settings *settings, bool accepts)
{
    bool packed = accepts && b->body.len >= settings->compress.min_bytes;
    struct str body = buffer_str(&b->body);
    struct batch_fields scratch;

    /* Those who wait at one place get the same batch: it is packed once. */
    if (packed)
        body = gzip_shared(body, settings->compress.level);
    if (body.p == NULL) {
        feed_refuse(x, -ENOMEM);
        return;
    }
    batch_fields(a, &scratch, b->id, b->gap, packed);
    answer_add(a, "Content-Type", STR("application/json"));
    if (packed)
        answer_add(a, "Content-Encoding", STR("gzip"));
    exchange_respond(x, 200, &a->headers, body.p, body.n);
}
