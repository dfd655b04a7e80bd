/* What a route says of pages of other origins: "cors". */
#include "config/config_priv.h"

#include <stdlib.h>

void read_cors_origins(struct loading *l, const struct node *n, void *into)
{
    ((struct route *)into)->cors.origins =
        config_read_origins(l, n, "pages of the route's own origin only");
}

void read_cors_credentials(struct loading *l, const struct node *n, void *into)
{
    ((struct route *)into)->cors.credentials = expect_boolean(l, n);
}

/* RFC 9110 5.6.2. */
static bool is_token(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if (!((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
              (*c >= 'A' && *c <= 'Z') || strchr("!#$%&'*+-.^_`|~", *c)))
            return false;
    return *text != '\0';
}

static void add_header(struct loading *l, const struct node *n,
                       struct buffer *list)
{
    const char *text = expect_text(l, n, "\"X-Requested-With\"");

    if (text == NULL)
        return;
    if (!is_token(text))
        fault_at(l, n, "\"%.80s\" is not the name of a header", text);
    buffer_printf(list, "%s%s", list->len > 0 ? ", " : "", text);
}

void read_cors_headers(struct loading *l, const struct node *n, void *into)
{
    struct route *r = into;
    struct buffer list = {0};

    if (!expect(l, n, JSON_ARRAY, ""))
        return;
    for (const struct node *h = n->first; h != NULL; h = h->next)
        add_header(l, h, &list);
    buffer_append_byte(&list, '\0');
    if (list.failed)
        l->no_memory = true;
    else if (list.len > 1)
        r->cors.headers = copy_text(l, list.data);
    buffer_fini(&list);
}

void read_cors(struct loading *l, const struct node *n, void *into)
{
    if (node_is(n, JSON_OBJECT))
        keys_read(l, n, SCOPE_cors, into);
    else if (node_is(n, JSON_ARRAY) || node_is(n, JSON_STRING))
        read_cors_origins(l, n, into);
    else
        expect(l, n, JSON_STRING, "\"https://app.example.com\", an array of "
               "them, or an object");
}

static bool has_star(const struct cors_settings *c)
{
    for (char **o = c->origins; o != NULL && *o != NULL; o++)
        if (strcmp(*o, "*") == 0)
            return true;
    return false;
}

void check_cors(struct loading *l, const struct node *route, struct route *r)
{
    const struct node *n = node_get(route, "cors");

    if (n == NULL)
        return;
    if (r->cors.credentials && has_star(&r->cors))
        fault_in(l, n, "credentials", "does not go with the origin \"*\": any "
                 "page could read what only its visitor may; name the origins");
    if (r->cors.credentials && r->cors.headers != NULL &&
        strcmp(r->cors.headers, "*") == 0)
        fault_in(l, n, "headers", "\"*\" does not go with credentials; name the "
                 "headers");
    if (node_get(route, "origins") == NULL)
        r->reader.origins = r->cors.origins;
}
