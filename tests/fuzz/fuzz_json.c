/* fuzz_json.c - what jansson takes we take, what we take ends where we say,
 * and any octets can be written as a string. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>

#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* jansson refuses more: numbers out of range, NUL and lone surrogates in
 * escapes.  It nests deeper, but not in the few octets of a fuzzer's input;
 * and it overlooks a NUL after a number. */
static void compare(struct str s)
{
    json_t *value =
        json_loadb(s.p, s.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

    if (value != NULL && !json_valid(s))
        abort();
    json_decref(value);
}

/* A value's front is incomplete or a shorter value, never wrong. */
static void check_fronts(struct str s)
{
    ssize_t n = json_value_length(s);

    if (n > (ssize_t)s.n || n < -1)
        abort();
    if (n <= 0)
        return;
    if (!json_valid((struct str){s.p, (size_t)n}))
        abort();
    for (size_t i = 0; i < (size_t)n; i++)
        if (json_value_length((struct str){s.p, i}) < 0)
            abort();
}

static void write_string(struct str s)
{
    struct buffer out = {0};
    json_t *value;

    json_append_string(&out, s);
    if (!json_valid(buffer_str(&out)))
        abort();
    value =
        json_loadb(out.data, out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    if (value == NULL)
        abort();
    if (str_utf8_valid(s) &&
        !str_eq(s, (struct str){json_string_value(value),
                                json_string_length(value)}))
        abort();
    json_decref(value);
    buffer_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size); /* exact, for the sanitizer */
    struct str s = {copy, size};

    if (size > 0)
        memcpy(copy, data, size);
    if (size < 512) {
        if (size > 0 && memchr(copy, '\0', size) == NULL)
            compare(s);
        check_fronts(s);
    }
    write_string(s);
    free(copy);
    return 0;
}
