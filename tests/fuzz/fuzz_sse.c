/* fuzz_sse.c - a stream gives the same events however it is cut, and an event
 * that is written is read back. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT 64

static int on_event(void *arg, const struct sse_event *e)
{
    buffer_append_str(arg, e->type);
    buffer_append_byte(arg, e->id.p == NULL ? 1 : 2);
    buffer_append_str(arg, e->id);
    buffer_append_byte(arg, 3);
    buffer_append_str(arg, e->data);
    buffer_append_byte(arg, 4);
    if (e->data.n > LIMIT)
        abort();
    if (!str_utf8_valid(e->data) || !str_utf8_valid(e->type))
        abort();
    return 0;
}

static void on_oversize(void *arg, size_t size_bytes)
{
    if (size_bytes <= LIMIT)
        abort();
    buffer_append_byte(arg, 5);
}

static void on_comment(void *arg)
{
    buffer_append_byte(arg, 6);
}

static const struct sse_parser_ops ops = {on_event, on_oversize, on_comment};

/* step 0: all at once. */
static struct buffer run(struct str input, size_t step)
{
    struct buffer seen = {0};
    struct sse_parser p;

    sse_parser_init(&p, &ops, &seen, LIMIT);
    while (input.n > 0) {
        size_t n = step == 0 || step > input.n ? input.n : step;
        char *piece = malloc(n); /* exact, for the sanitizer */

        memcpy(piece, input.p, n);
        if (sse_parser_feed(&p, piece, n) != 0)
            abort();
        free(piece);
        input.p += n;
        input.n -= n;
    }
    sse_parser_fini(&p);
    return seen;
}

/* Lines end in LF only once written; everything else comes back, as it was if
 * it was UTF-8. */
static int on_returned(void *arg, const struct sse_event *e)
{
    struct str *want = arg;
    size_t at = 0;

    if (!str_utf8_valid(*want)) {
        want->p = NULL;
        return 0;
    }
    for (size_t i = 0; i < want->n; i++, at++) {
        char c = want->p[i];

        if (c == '\r' && i + 1 < want->n && want->p[i + 1] == '\n')
            i++;
        if (at >= e->data.n || e->data.p[at] != (c == '\r' ? '\n' : c))
            abort();
    }
    if (at != e->data.n)
        abort();
    want->p = NULL;
    return 0;
}

static void write_and_read(struct str data)
{
    static const struct sse_parser_ops returned = {.event = on_returned};
    struct str want = {data.n == 0 ? "" : data.p, data.n};
    struct buffer out = {0};
    struct sse_parser p;

    sse_encode(&out, data, data, data);
    sse_parser_init(&p, &returned, &want, SIZE_MAX);
    if (sse_parser_feed(&p, out.data, out.len) != 0 || want.p != NULL)
        abort();
    sse_parser_fini(&p);
    buffer_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size};
    struct buffer whole = run(input, 0);

    for (size_t step = 1; step < 4; step++) {
        struct buffer cut = run(input, step);

        if (!str_eq(buffer_str(&whole), buffer_str(&cut)))
            abort();
        buffer_fini(&cut);
    }
    buffer_fini(&whole);
    write_and_read(input);
    return 0;
}
