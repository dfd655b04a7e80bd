#include "server/script.h"

#include <string.h>

#include "server/asset.h"

#define SCRIPT_PATH "/penstock.js"

extern const struct asset script_assets[]; /* src/client/penstock.js */

bool script_wanted(const struct config *c, const struct http_message *m,
                   const struct route *r)
{
    return c->client && str_eq(m->path, STR(SCRIPT_PATH)) &&
           (r == NULL || strcmp(r->path, SCRIPT_PATH) != 0);
}

/* What changes with a new release is asked for anew every hour; pages of other
 * origins may load it, too: it holds nothing of anybody's. */
void script_serve(struct exchange *x)
{
    struct answer_headers a;

    x->route = SCRIPT_PATH;
    answer_init(&a);
    answer_add(&a, "Cache-Control", STR("public, max-age=3600"));
    answer_add(&a, "Access-Control-Allow-Origin", STR("*"));
    answer_add(&a, "Cross-Origin-Resource-Policy", STR("cross-origin"));
    asset_serve(x, script_assets, &a);
}
