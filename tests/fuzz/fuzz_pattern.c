/* fuzz_pattern.c - of a pattern (the first line) and a path (the rest): a path
 * that matches is made again from its values, and in its normal form it
 * matches too. */
#include <stdint.h>
#include <stdlib.h>

#include "config/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_normal(struct str s)
{
    struct buffer normal = {0};
    bool same;

    pattern_normalize(s, &normal);
    same = str_eq(s, buffer_str(&normal));
    buffer_fini(&normal);
    return same;
}

static void check_match(const struct pattern *p, struct str path)
{
    struct buffer normal = {0}, made = {0};
    struct pattern_values values;

    pattern_normalize(path, &normal);
    if (!is_normal(buffer_str(&normal)))
        abort();
    if (pattern_match(p, path, &values) && is_normal(str_of(p->text))) {
        if (pattern_expand(p, &values, &made) < 0 ||
            !str_eq(buffer_str(&made), buffer_str(&normal)))
            abort();
        if (!pattern_match(p, buffer_str(&normal), NULL))
            abort();
        made.len = 0;
        if (pattern_expand_url(p, &values, &made) < 0)
            abort();
    }
    buffer_fini(&normal);
    buffer_fini(&made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str path, line;
    struct buffer text = {0};
    struct pattern p;
    const char *why;

    path = str_split((struct str){(const char *)data, size}, '\n', &line);
    buffer_append_str(&text, line);
    buffer_append_byte(&text, '\0');
    if (pattern_init(&p, text.data, &why) == 0 && path.p != NULL)
        check_match(&p, path);
    pattern_fini(&p);
    buffer_fini(&text);
    return 0;
}
