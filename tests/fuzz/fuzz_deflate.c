/* fuzz_deflate.c - what comes in is inflated the same however it is cut, and
 * never beyond the limit; what goes out comes back; and the fields of a
 * handshake are read without harm. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "wire/deflate.h"
#include "wire/extension.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LIMIT 5000

/* step 0: all at once.  How it ended belongs to what was seen. */
static struct buffer run(struct str input, size_t step)
{
    struct inflater *i = inflater_new();
    struct buffer out = {0};
    int rc = 0;

    while (rc == 0 && input.n > 0) {
        size_t n = step == 0 || step > input.n ? input.n : step;
        char *piece = malloc(n); /* exact, for the sanitizer */

        memcpy(piece, input.p, n);
        rc = inflater_feed(i, (struct str){piece, n}, &out, LIMIT);
        free(piece);
        input.p += n;
        input.n -= n;
    }
    if (rc == 0)
        rc = inflater_finish(i, &out, LIMIT);
    if (out.len > LIMIT || (rc == -EMSGSIZE && out.len != LIMIT))
        abort();
    if (rc != 0 && rc != -EMSGSIZE && rc != -EPROTO)
        abort();
    buffer_printf(&out, "%d", rc);
    inflater_free(&i);
    return out;
}

static void inflate_cut(struct str input)
{
    struct buffer whole = run(input, 0);

    for (size_t step = 1; step < 4; step++) {
        struct buffer cut = run(input, step);

        if (!str_eq(buffer_str(&whole), buffer_str(&cut)))
            abort();
        buffer_fini(&cut);
    }
    buffer_fini(&whole);
}

static void there_and_back(struct str input, unsigned bits, unsigned level)
{
    struct buffer packed = {0}, back;

    deflate_append(&packed, input, bits, level);
    packed.len -= DEFLATE_TAIL.n;
    back = run(buffer_str(&packed), 0);
    if (input.n <= LIMIT && (back.len != input.n + 1 ||
                             memcmp(back.data, input.p, input.n) != 0))
        abort();
    buffer_fini(&packed);
    buffer_fini(&back);
}

static void negotiate(struct str input)
{
    struct deflate_terms terms = {0};
    char answer[EXTENSION_ANSWER_MAX];

    if (extension_choose(&terms, input) == 0 && terms.agreed &&
        (terms.window_bits < DEFLATE_BITS_MIN ||
         terms.window_bits > DEFLATE_BITS_MAX ||
         extension_answer(&terms, answer) >= sizeof(answer)))
        abort();
    if (extension_accept(&terms, input) < 0 && terms.agreed)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size};

    inflate_cut(input);
    negotiate(input);
    if (size > 1)
        there_and_back((struct str){input.p + 1, size - 1},
                       DEFLATE_BITS_MIN + data[0] % 7, 1 + data[0] / 7 % 9);
    return 0;
}
