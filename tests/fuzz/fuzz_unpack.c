/* fuzz_unpack.c - a body is unpacked the same however it is cut, and to no more
 * than it may be. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "wire/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int take(void *arg, const char *data, size_t len)
{
    if (len == 0)
        abort();
    buffer_append(arg, data, len);
    return 0;
}

/* step 0: all at once.  How it ended belongs to what was seen. */
static struct buffer run(const char *coding, struct str input, size_t step)
{
    struct buffer seen = {0};
    struct unpack *u;
    int rc = unpack_new(&u, str_of(coding));

    if (rc != 0)
        abort();
    while (rc == 0 && input.n > 0) {
        size_t n = step == 0 || step > input.n ? input.n : step;
        char *piece = malloc(n); /* exact, for the sanitizer */

        memcpy(piece, input.p, n);
        rc = unpack_feed(u, (struct str){piece, n}, take, &seen);
        free(piece);
        input.p += n;
        input.n -= n;
    }
    if (rc != 0 && rc != -EPROTO && rc != -EMSGSIZE)
        abort();
    buffer_printf(&seen, "%d %d", rc, rc == 0 && unpack_complete(u));
    unpack_free(&u);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data + 1, size - 1};
    const char *coding;
    struct buffer whole;

    if (size < 2)
        return 0;
    coding = data[0] & 1 ? "gzip" : "deflate";
    whole = run(coding, input, 0);
    for (size_t step = 1; step < 4; step++) {
        struct buffer cut = run(coding, input, step);

        if (!str_eq(buffer_str(&whole), buffer_str(&cut)))
            abort();
        buffer_fini(&cut);
    }
    buffer_fini(&whole);
    return 0;
}
