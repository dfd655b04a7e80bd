#include "server/dashboard.h"

#include "server/asset.h"

#define FOLDER "/dashboard/"

/* What the page may load and speak to: itself.  'self' includes WebSockets
 * (Content Security Policy 3, 6.7.2.8). */
#define POLICY                                                                 \
    "default-src 'none'; script-src 'self'; style-src 'self'; "               \
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; "             \
    "form-action 'none'; frame-ancestors 'none'"

extern const struct asset dashboard_assets[]; /* src/dashboard, and what it
                                               * loads */

const struct asset *dashboard_file(struct str path)
{
    const struct str folder = STR(FOLDER);

    if (str_eq(path, STR("/")))
        return asset_find(dashboard_assets, STR("index.html"));
    if (!str_starts(path, folder))
        return NULL;
    return asset_find(dashboard_assets,
                      (struct str){path.p + folder.n, path.n - folder.n});
}

/* The files change together, with a new release: each is asked for anew. */
void dashboard_serve(struct exchange *x, const struct asset *file)
{
    struct answer_headers a;

    answer_init(&a);
    answer_add(&a, "Cache-Control", STR("no-cache"));
    answer_add(&a, "Content-Security-Policy", STR(POLICY));
    answer_add(&a, "Cross-Origin-Resource-Policy", STR("same-origin"));
    answer_add(&a, "Cross-Origin-Opener-Policy", STR("same-origin"));
    answer_add(&a, "Referrer-Policy", STR("no-referrer"));
    asset_serve(x, file, &a);
}
