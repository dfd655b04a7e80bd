/* fuzz_config.c - whatever a config file holds, it is taken or each fault is
 * told on a line of its own; and whatever a client asks of the first, it gets
 * one answer. */
#include <stdint.h>
#include <stdlib.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_errors(struct buffer *errors)
{
    struct str rest = buffer_str(errors), line;

    if (rest.n == 0 || rest.p[rest.n - 1] != '\n')
        abort();
    while (rest.n > 0) {
        rest = str_split(rest, '\n', &line);
        if (!str_starts(line, STR("f.json:")))
            abort();
    }
}

/* Each route's own path, as a request, and as its channel. */
static void ask(const struct config *c)
{
    for (unsigned i = 0; i < c->route_count; i++) {
        struct str path = str_of(c->routes[i].path);
        struct str host = str_of(c->routes[i].host);
        struct pattern_values values;

        config_route(c, host, path, &values);
        config_route_ambiguous(c, host, path);
        config_route_of_channel(c, path, &values);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer text = {0}, errors = {0};
    struct config *c = NULL;
    int rc;

    buffer_append(&text, data, size);
    rc = config_parse(&c, "f.json", text.data, text.len, &errors);
    if (rc == 0) {
        if (errors.len > 0)
            abort();
        ask(c);
    } else {
        check_errors(&errors);
    }
    config_unref(&c);
    buffer_fini(&text);
    buffer_fini(&errors);
    return 0;
}
