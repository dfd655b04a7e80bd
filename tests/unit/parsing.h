/* parsing.h - how the tests of parsers feed them: whole, cut in two at every
 * offset, and one octet at a time; and with memory that runs out.
 *
 * Including this replaces realloc in the test program, which has to be linked
 * with -Wl,--wrap=realloc. */
#ifndef PENSTOCK_TESTS_PARSING_H
#define PENSTOCK_TESTS_PARSING_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/buffer.h"

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);

static unsigned long reallocs, realloc_fails_at; /* 0: never */

/* Fails the realloc_fails_at'th call and all that follow. */
void *__wrap_realloc(void *p, size_t n)
{
    reallocs++;
    if (realloc_fails_at != 0 && reallocs >= realloc_fails_at)
        return NULL;
    return __real_realloc(p, n);
}

/* Memory runs out at the nth growth of a buffer from here. */
static inline void memory_fails_at(unsigned long nth)
{
    reallocs = 0;
    realloc_fails_at = nth;
}

/* Feeds input to a new parser, the first octets at once and then step at a
 * time, and writes down what came out. */
typedef void run_fn(struct buffer *seen, struct str input, size_t first,
                    size_t step);

/* The next piece of a run_fn's input; false when there is none. */
static inline bool next_piece(struct str *rest, struct str *piece, size_t *size,
                              size_t step)
{
    if (rest->n == 0)
        return false;
    piece->p = rest->p;
    piece->n = *size < rest->n ? *size : rest->n;
    rest->p += piece->n;
    rest->n -= piece->n;
    *size = step;
    return true;
}

static inline void assert_seen(run_fn *run, struct str input, size_t first,
                               size_t step, const char *want)
{
    struct buffer seen = {0};

    run(&seen, input, first, step);
    buffer_append_byte(&seen, '\0');
    if (strcmp(seen.data, want) != 0)
        print_error("first %zu step %zu\n", first, step);
    assert_string_equal(seen.data, want);
    buffer_fini(&seen);
}

static inline void assert_parses(run_fn *run, struct str input,
                                 const char *want)
{
    assert_seen(run, input, input.n, 1, want);
    assert_seen(run, input, 1, 1, want);
    for (size_t first = 1; first < input.n; first++)
        assert_seen(run, input, first, input.n, want);
}

#endif
