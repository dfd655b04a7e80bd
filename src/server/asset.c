#include "server/asset.h"

#include <string.h>

const struct asset *asset_find(const struct asset *list, struct str name)
{
    for (; list->name != NULL; list++)
        if (str_eq(name, str_of(list->name)))
            return list;
    return NULL;
}

/* RFC 9110 13.1.2: a list or "*", compared weakly, as caches between may have
 * weakened ours. */
static bool client_has_it(const struct headers *h, struct str etag)
{
    struct str list, element;
    unsigned at = 0;

    while (headers_next(h, "If-None-Match", &at, &list))
        while (str_list_next(&list, &element)) {
            if (str_starts(element, STR("W/")))
                element.p += 2, element.n -= 2;
            if (str_eq(element, STR("*")) || str_eq(element, etag))
                return true;
        }
    return false;
}

static struct str type_of(const struct asset *asset)
{
    const char *dot = strrchr(asset->name, '.');

    if (dot != NULL && strcmp(dot, ".html") == 0)
        return STR("text/html; charset=utf-8");
    if (dot != NULL && strcmp(dot, ".css") == 0)
        return STR("text/css; charset=utf-8");
    if (dot != NULL && strcmp(dot, ".svg") == 0)
        return STR("image/svg+xml");
    return STR("text/javascript; charset=utf-8");
}

void asset_serve(struct exchange *x, const struct asset *asset,
                 struct answer_headers *fields)
{
    const struct http_message *m = x->request;
    struct answer_headers allow;

    if (!str_eq(m->method, STR("GET")) && !x->is_head) {
        answer_init(&allow);
        answer_add(&allow, "Allow", STR("GET, HEAD"));
        exchange_problem(x, 405, &allow.headers, "this can only be read");
        return;
    }
    answer_add(fields, "ETag", str_of(asset->etag));
    answer_add(fields, "X-Content-Type-Options", STR("nosniff"));
    if (client_has_it(&m->headers, str_of(asset->etag))) {
        exchange_respond(x, 304, &fields->headers, NULL, 0);
        return;
    }
    answer_add(fields, "Content-Type", type_of(asset));
    exchange_respond(x, 200, &fields->headers, asset->octets, asset->bytes);
}
