/* fuzz_location.c - wherever a Location leads, it is a request line and a Host
 * that nothing could be slipped into; and it leads there from anywhere, once it
 * is written out. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "http/location.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_octets(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f)
            abort();
}

/* The whole URL leads from elsewhere to the same place. */
static void check_again(const struct location *l, struct str host)
{
    struct location other = {.https = !l->https};
    struct buffer url = {0};

    buffer_printf(&url, "%s://%.*s", l->https ? "https" : "http",
                  STR_ARG(host));
    buffer_append_str(&url, buffer_str(&l->path));
    if (url.len <= LOCATION_BYTES_MAX &&
        (location_resolve(&other, buffer_str(&url)) != 0 ||
         !location_same_origin(l, &other)))
        abort();
    location_fini(&other);
    buffer_fini(&url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct location l = {0};
    struct buffer host = {0};

    if (location_resolve(&l, STR("http://a.example/b/c?d")) != 0)
        abort();
    if (location_resolve(&l, (struct str){(const char *)data, size}) == 0) {
        location_write_host(&l, &host);
        check_octets(buffer_str(&host));
        check_octets(buffer_str(&l.path));
        if (l.path.data[0] != '/' || l.port == 0)
            abort();
        check_again(&l, buffer_str(&host));
    }
    buffer_fini(&host);
    location_fini(&l);
    return 0;
}
