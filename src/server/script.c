#include "server/script.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <string.h>

#define SCRIPT_PATH "/penstock.js"

/* Enough of the hash that no two scripts share it. */
#define ETAG_BYTES 16

/* Made from src/client/penstock.js when the program is built. */
extern const unsigned char script_text[];
extern const size_t script_bytes;

static char etag[2 + 2 * ETAG_BYTES + 1]; /* "hash", with its quotes */
static pthread_once_t etag_once = PTHREAD_ONCE_INIT;

static void make_etag(void)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char hash[SHA256_DIGEST_LENGTH];
    char *at = etag;

    SHA256(script_text, script_bytes, hash);
    *at++ = '"';
    for (int i = 0; i < ETAG_BYTES; i++) {
        *at++ = digits[hash[i] >> 4];
        *at++ = digits[hash[i] & 15];
    }
    *at = '"';
}

/* RFC 9110 13.1.2: a list or "*", compared weakly, as caches between may have
 * weakened ours. */
static bool client_has_it(const struct headers *h)
{
    struct str list, element;
    unsigned at = 0;

    while (headers_next(h, "If-None-Match", &at, &list))
        while (str_list_next(&list, &element)) {
            if (str_starts(element, STR("W/")))
                element.p += 2, element.n -= 2;
            if (str_eq(element, STR("*")) || str_eq(element, str_of(etag)))
                return true;
        }
    return false;
}

bool script_wanted(const struct config *c, const struct http_message *m,
                   const struct route *r)
{
    return c->client && str_eq(m->path, STR(SCRIPT_PATH)) &&
           (r == NULL || strcmp(r->path, SCRIPT_PATH) != 0);
}

/* What changes with a new release is asked for anew every hour; pages of other
 * origins may load it, too: it holds nothing of anybody's. */
static void add_fields(struct answer_headers *a)
{
    answer_init(a);
    answer_add(a, "ETag", str_of(etag));
    answer_add(a, "Cache-Control", STR("public, max-age=3600"));
    answer_add(a, "Access-Control-Allow-Origin", STR("*"));
    answer_add(a, "Cross-Origin-Resource-Policy", STR("cross-origin"));
    answer_add(a, "X-Content-Type-Options", STR("nosniff"));
}

void script_serve(struct exchange *x)
{
    const struct http_message *m = x->request;
    struct answer_headers a;

    x->route = SCRIPT_PATH;
    if (!str_eq(m->method, STR("GET")) && !x->is_head) {
        answer_init(&a);
        answer_add(&a, "Allow", STR("GET, HEAD"));
        exchange_problem(x, 405, &a.headers, "the script can only be read");
        return;
    }
    pthread_once(&etag_once, make_etag);
    add_fields(&a);
    if (client_has_it(&m->headers)) {
        exchange_respond(x, 304, &a.headers, NULL, 0);
        return;
    }
    answer_add(&a, "Content-Type", STR("text/javascript; charset=utf-8"));
    exchange_respond(x, 200, &a.headers, script_text, script_bytes);
}
