#include "base/jitter.h"

#include <openssl/rand.h>

uint64_t jitter_between(uint64_t low, uint64_t high)
{
    uint64_t r = 0;

    if (high <= low)
        return low;
    /* Without randomness everybody gets the least, which is right but once. */
    RAND_bytes((unsigned char *)&r, sizeof(r));
    return high - low == UINT64_MAX ? r : low + r % (high - low + 1);
}
