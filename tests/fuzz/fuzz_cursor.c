/* fuzz_cursor.c - cursors and If-None-Match lists: what parses as an id is
 * written as an id that parses to the same. */
#include <stdint.h>
#include <stdlib.h>

#include "hub/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct cursor c)
{
    struct cursor again;
    char id[ID_MAX];
    size_t n;

    if (c.kind != CURSOR_ID)
        return;
    n = id_format(id, c.epoch, c.seq);
    if (n >= ID_MAX || id[n] != '\0')
        abort();
    again = cursor_parse((struct str){id, n});
    if (again.kind != CURSOR_ID || again.epoch != c.epoch ||
        again.seq != c.seq)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = {(const char *)data, size};
    struct cursor c = cursor_parse(s), etag = cursor_parse_etags(s);

    if ((c.kind == CURSOR_NONE) != (size == 0))
        abort();
    if (etag.kind != CURSOR_NONE && etag.kind != CURSOR_ID)
        abort();
    check(c);
    check(etag);
    return 0;
}
