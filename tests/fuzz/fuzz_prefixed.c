/* fuzz_prefixed.c - a stream gives the same records however it is cut, each
 * within the limit. */
#include <stdint.h>
#include <stdlib.h>

#include "wire/prefixed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT 48

static int on_record(void *arg, struct str record)
{
    if (record.n == 0 || record.n > LIMIT)
        abort();
    buffer_append_str(arg, record);
    buffer_append_byte(arg, 1);
    return 0;
}

static void on_bad(void *arg, const char *why)
{
    buffer_append_byte(arg, 2);
}

static const struct prefixed_parser_ops ops = {on_record, on_bad};

/* step 0: all at once. */
static struct buffer run(struct str input, size_t step, enum prefix prefix)
{
    struct buffer seen = {0};
    struct prefixed_parser p;
    int rc = 0;

    prefixed_parser_init(&p, prefix, &ops, &seen, LIMIT);
    while (rc == 0 && input.n > 0) {
        size_t n = step == 0 || step > input.n ? input.n : step;
        char *piece = malloc(n); /* exact, for the sanitizer */

        memcpy(piece, input.p, n);
        rc = prefixed_parser_feed(&p, piece, n);
        if (p.record.len > LIMIT)
            abort();
        free(piece);
        input.p += n;
        input.n -= n;
    }
    if (rc == 0)
        prefixed_parser_end(&p);
    buffer_printf(&seen, "%d", rc);
    prefixed_parser_fini(&p);
    return seen;
}

static void check(struct str input, enum prefix prefix)
{
    struct buffer whole = run(input, 0, prefix);

    for (size_t step = 1; step < 4; step++) {
        struct buffer cut = run(input, step, prefix);

        if (!str_eq(buffer_str(&whole), buffer_str(&cut)))
            abort();
        buffer_fini(&cut);
    }
    buffer_fini(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size};

    check(input, PREFIX_DECIMAL);
    check(input, PREFIX_UINT32);
    return 0;
}
