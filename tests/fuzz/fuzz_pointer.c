/* fuzz_pointer.c - what jansson finds by its tree we find by scanning: each
 * member and item of any valid text, and each string. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>

#include "wire/json.h"
#include "wire/pointer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct str value)
{
    json_t *s = json_loadb(value.p, value.n, JSON_DECODE_ANY, NULL);
    struct buffer text = {0};

    pointer_text(value, &text);
    if (json_is_string(s) &&
        !str_eq(buffer_str(&text),
                (struct str){json_string_value(s), json_string_length(s)}) &&
        json_string_length(s) > 0)
        abort();
    json_decref(s);
    buffer_fini(&text);
}

/* Every value is valid by itself, and walks end. */
static void walk(struct str value, unsigned depth)
{
    struct str name, item;
    size_t at = 0;

    check_text(value);
    while (depth > 0 && pointer_next(value, &at, &name, &item)) {
        if (!json_valid(item) || at > value.n)
            abort();
        walk(item, depth - 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = {(const char *)data, size}, pointer, document, value;

    document = str_split(all, '\n', &pointer);
    if (document.p == NULL || !json_valid(document))
        return 0;
    if (!pointer_find(document, STR(""), &value))
        abort();
    walk(value, 8);
    if (pointer_valid(pointer) && pointer_find(document, pointer, &value) &&
        (value.p < document.p || !json_valid(value)))
        abort();
    return 0;
}
