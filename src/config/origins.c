/* Web origins: who may open a WebSocket, and read what from where. */
#include "config/config_priv.h"

/* scheme://host[:port] in lower case, as browsers send it (RFC 6454 6.2). */
static bool origin_valid(const char *text)
{
    const char *host = strstr(text, "://");

    if (host == NULL || host == text || host[3] == '\0')
        return false;
    for (const char *c = text; *c != '\0'; c++)
        if (*c <= ' ' || *c >= 0x7f || (*c >= 'A' && *c <= 'Z'))
            return false;
    return host[3 + strcspn(host + 3, "/?#@*")] == '\0';
}

static void add_origin(struct loading *l, const struct node *n,
                       char **origins, unsigned *count)
{
    const char *text = expect_text(l, n, "\"https://app.example.com\"");

    if (text == NULL)
        return;
    if (strcmp(text, "*") != 0 && !origin_valid(text)) {
        fault_at(l, n, "\"%.80s\" is not an origin; write it in lower case and "
                 "without a path, such as \"https://app.example.com\", or "
                 "\"*\" for all", text);
        return;
    }
    origins[(*count)++] = copy_text(l, text);
}

char **config_read_origins(struct loading *l, const struct node *n,
                           const char *empty)
{
    bool many = node_is(n, JSON_ARRAY);
    unsigned count = 0;
    char **origins;

    if (many && n->first == NULL)
        fault_at(l, n, "is empty; leave it out for %s", empty);
    origins = make_array(l, (many && n->last ? n->last->index + 1 : 1) + 1,
                         sizeof(*origins));
    if (origins == NULL)
        return NULL;
    for (const struct node *o = many ? n->first : n; o != NULL;
         o = many ? o->next : NULL)
        add_origin(l, o, origins, &count);
    return origins;
}

void read_origins(struct loading *l, const struct node *n, void *into)
{
    ((struct route *)into)->reader.origins =
        config_read_origins(l, n, "the requested host's own origin");
}
