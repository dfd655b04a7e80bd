#include "server/cors.h"

#include <stdio.h>

#include "config/config.h"
#include "http/exchange.h"

/* What our transports tell by fields, and what scripts could not see. */
#define EXPOSED                                                                \
    "ETag, Last-Modified, Link, Penstock-Advice, Penstock-Event, "           \
    "Penstock-Gap, Preference-Applied, Retry-After"
/* What clients that are no EventSource send, and a script may not unasked. */
#define TAKEN                                                                  \
    "Accept, Authorization, Cache-Control, Content-Type, Idempotency-Key, "   \
    "If-Modified-Since, If-None-Match, Last-Event-ID, Penstock-Event, Prefer"

static bool is_any(const struct cors_settings *c)
{
    for (char **o = c->origins; *o != NULL; o++)
        if (strcmp(*o, "*") == 0)
            return true;
    return false;
}

static bool is_allowed(const struct cors_settings *c, struct str origin)
{
    for (char **o = c->origins; origin.p != NULL && *o != NULL; o++)
        if (str_eq_nocase(str_of(*o), origin))
            return true;
    return false;
}

static bool is_preflight(const struct exchange *x)
{
    const struct headers *h = &x->request->headers;

    return str_eq(x->request->method, STR("OPTIONS")) &&
           headers_get(h, "Origin").p != NULL &&
           headers_get(h, "Access-Control-Request-Method").p != NULL;
}

/* 0 or -ENOMEM. */
static int add_fields(struct exchange *x, const struct cors_settings *c,
                      struct str allowed)
{
    bool yes = c->credentials && allowed.p != NULL;
    const struct header fields[] = {
        {STR("Access-Control-Allow-Origin"), allowed},
        {STR("Access-Control-Allow-Credentials"),
         yes ? STR("true") : STR_NONE},
        {STR("Access-Control-Expose-Headers"),
         allowed.p == NULL ? STR_NONE : STR(EXPOSED)},
        /* The answer is another one for another origin: caches have to know. */
        {STR("Vary"), is_any(c) ? STR_NONE : STR("Origin")},
    };
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < sizeof(fields) / sizeof(*fields); i++)
        rc = exchange_add(x, fields[i].name, fields[i].value);
    return rc;
}

static const char *methods_of(const struct route *r)
{
    if (r->proxy != NULL)
        return "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
    return route_takes_posts(r)
               ? "GET, HEAD, POST, OPTIONS"
               : "GET, HEAD, OPTIONS";
}

static void answer_preflight(struct exchange *x, const struct route *r)
{
    const struct cors_settings *c = &r->cors;
    struct buffer taken = {0};
    struct answer_headers a;
    char age[24];

    answer_init(&a);
    buffer_printf(&taken, TAKEN "%s%s", c->headers != NULL ? ", " : "",
                  c->headers != NULL ? c->headers : "");
    snprintf(age, sizeof(age), "%llu", (unsigned long long)c->max_age_s);
    answer_add(&a, "Access-Control-Allow-Methods", str_of(methods_of(r)));
    answer_add(&a, "Access-Control-Allow-Headers", buffer_str(&taken));
    answer_add(&a, "Access-Control-Max-Age", str_of(age));
    if (taken.failed)
        exchange_problem(x, 503, NULL, "out of memory: try again later");
    else
        exchange_respond(x, 204, &a.headers, NULL, 0);
    buffer_fini(&taken);
}

bool cors_begin(struct exchange *x, const struct route *r)
{
    struct str origin = headers_get_only(&x->request->headers, "Origin");
    struct str allowed;
    int rc;

    if (r->cors.origins == NULL)
        return false;
    if (is_any(&r->cors))
        allowed = STR("*");
    else
        allowed = is_allowed(&r->cors, origin) ? origin : STR_NONE;
    rc = add_fields(x, &r->cors, allowed);
    if (rc == 0 && !is_preflight(x))
        return false;
    exchange_count(x, route_tally(r, KIND_N));
    if (rc < 0)
        exchange_problem(x, 503, NULL, "out of memory: try again later");
    else if (allowed.p == NULL)
        exchange_problem(x, 403, NULL,
                         "pages of this origin may not read here: name it in "
                         "the route's \"cors\"");
    else
        answer_preflight(x, r);
    return true;
}
