/* fuzz_head.c - what is refused stays refused, and what is whole was not whole
 * before: a verdict holds for all that may follow. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "http/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int good)
{
    if (!good)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct head_fault fault = {0}, earlier = {0};
    enum head_side side;
    const char *bytes = (const char *)data + 1;
    ssize_t whole;

    if (size == 0)
        return 0;
    side = data[0] & 1 ? HEAD_RESPONSE : HEAD_REQUEST;
    size--;
    whole = head_check(side, bytes, size, NULL, &fault);
    expect(whole <= (ssize_t)size);
    for (size_t n = 0; n < size; n++) {
        ssize_t part = head_check(side, bytes, n, NULL, &earlier);

        if (whole >= 0)
            expect(part == (whole > 0 && (ssize_t)n >= whole ? whole : 0));
        else
            expect(part <= 0);
        if (part < 0)
            expect(earlier.status == fault.status &&
                   earlier.reason == fault.reason);
    }
    return 0;
}
