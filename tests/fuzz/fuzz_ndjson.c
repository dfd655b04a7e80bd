/* fuzz_ndjson.c - a stream, of lines or a sequence, gives the same values however
 * it is cut, and each of them is valid JSON within the limit. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/json.h"
#include "wire/ndjson.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT 48

static int on_value(void *arg, struct str value)
{
    if (value.n > LIMIT || !json_valid(value))
        abort();
    buffer_append_str(arg, value);
    buffer_append_byte(arg, 1);
    return 0;
}

static void on_bad(void *arg, const char *why, struct str line)
{
    if (line.n == 0 || line.n > NDJSON_BAD_BYTES)
        abort();
    buffer_append_byte(arg, 2);
}

static void on_keepalive(void *arg)
{
    buffer_append_byte(arg, 3);
}

static const struct ndjson_parser_ops ops = {on_value, on_bad, on_keepalive};

/* step 0: all at once. */
static struct buffer run(struct str input, size_t step, bool sequence)
{
    struct buffer seen = {0};
    struct ndjson_parser p;

    ndjson_parser_init(&p, &ops, &seen, LIMIT);
    p.sequence = sequence;
    while (input.n > 0) {
        size_t n = step == 0 || step > input.n ? input.n : step;
        char *piece = malloc(n); /* exact, for the sanitizer */

        memcpy(piece, input.p, n);
        if (ndjson_parser_feed(&p, piece, n) != 0 || p.line.len > LIMIT)
            abort();
        free(piece);
        input.p += n;
        input.n -= n;
    }
    if (ndjson_parser_end(&p) != 0)
        abort();
    ndjson_parser_fini(&p);
    return seen;
}

static void check(struct str input, bool sequence)
{
    struct buffer whole = run(input, 0, sequence);

    for (size_t step = 1; step < 4; step++) {
        struct buffer cut = run(input, step, sequence);

        if (!str_eq(buffer_str(&whole), buffer_str(&cut)))
            abort();
        buffer_fini(&cut);
    }
    buffer_fini(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size};

    check(input, false);
    check(input, true);
    return 0;
}
