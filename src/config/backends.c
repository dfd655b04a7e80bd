/* The servers that requests go to, in groups. */
#include "config/config_priv.h"

#include <stdlib.h>

#include "net/tls.h"

void backend_server_fini(struct backend_server *s)
{
    free(s->host);
    free(s->user);
    free(s->password);
    tls_server_unref(&s->tls);
    *s = (struct backend_server){0};
}

/* What follows "http://" or "https://" must be a host alone. */
static bool authority_only(struct loading *l, const struct node *n,
                           const char *authority)
{
    size_t end = strcspn(authority, "/?#");

    if (memchr(authority, '@', end) != NULL) {
        fault_at(l, n, "a user in a backend's URL is not supported");
        return false;
    }
    if (authority[end] != '\0' && strcmp(authority + end, "/") != 0) {
        fault_at(l, n, "a backend's URL has no path; write \"%.*s\" and put "
                 "\"%.80s\" into the route",
                 (int)(authority - node_text(n) + (end > 80 ? 80 : end)),
                 node_text(n), authority + end);
        return false;
    }
    return true;
}

static bool read_server(struct loading *l, const struct node *n,
                        struct backend_server *out)
{
    const char *url = expect_text(l, n, "\"http://127.0.0.1:9000\"");
    char *copy;
    bool ok;

    if (url == NULL)
        return false;
    if (strstr(url, "://") == NULL) {
        fault_at(l, n, "\"%.80s\" is not a URL; write \"http://%.80s\"", url,
                 url);
        return false;
    }
    if (config_is_redis_url(url))
        return config_read_redis_server(l, n, out);
    out->https = strncasecmp(url, "https://", 8) == 0;
    if (!out->https && strncasecmp(url, "http://", 7) != 0) {
        fault_at(l, n, "\"%.80s\" is no http:// or https:// URL", url);
        return false;
    }
    url += out->https ? 8 : 7;
    if (!authority_only(l, n, url))
        return false;
    copy = strndup(url, strcspn(url, "/"));
    if (copy == NULL) {
        l->no_memory = true;
        return false;
    }
    ok = config_read_authority(l, n, copy, out->https ? 443 : 80,
                               out); /* RFC 9110 4.2.1, 4.2.2 */
    free(copy);
    return ok;
}

void read_servers(struct loading *l, const struct node *n, void *into)
{
    struct backend *b = into;
    bool many = node_is(n, JSON_ARRAY);

    if (many && n->first == NULL)
        fault_at(l, n, "is empty; name one server at least");
    b->servers = make_array(l, many ? node_children(n) : 1, sizeof(*b->servers));
    if (b->servers == NULL)
        return;
    for (const struct node *s = many ? n->first : n; s != NULL;
         s = many ? s->next : NULL) {
        struct backend_server *server = &b->servers[b->server_count];

        bool ok = read_server(l, s, server);

        b->redis |= server->redis;
        if (ok)
            b->server_count++;
        else
            backend_server_fini(server);
        if (b->server_count > 1 && server->redis != b->servers[0].redis)
            fault_at(l, s, "is a server of another kind than the first one");
    }
}

/* "app/stream" in a route is split at its first slash. */
static bool backend_name_valid(const char *name)
{
    for (const char *c = name; *c != '\0'; c++)
        if (!pattern_unreserved((unsigned char)*c) || *c == '~')
            return false;
    return *name != '\0';
}

static void read_backend(struct loading *l, const struct node *n,
                         struct backend *b)
{
    b->name = copy_text(l, n->key);
    if (!backend_name_valid(n->key))
        fault_at(l, n, "a backend's name is made of letters, digits, -, . "
                 "and _");
    keys_preset(SCOPE_backend, b);
    b->tls.verify = true;
    if (node_is(n, JSON_OBJECT))
        keys_read(l, n, SCOPE_backend, b);
    else
        read_servers(l, n, b);
    finish_tls(l, n, b);
}

void read_backends(struct loading *l, const struct node *n, void *into)
{
    struct config *c = into;

    if (!expect(l, n, JSON_OBJECT, "{\"app\": \"http://127.0.0.1:9000\"}"))
        return;
    c->backends = make_array(l, node_children(n), sizeof(*c->backends));
    if (c->backends == NULL)
        return;
    for (const struct node *b = n->first; b != NULL; b = b->next)
        read_backend(l, b, &c->backends[c->backend_count++]);
}

const struct backend *config_find_backend(const struct config *c,
                                                 const char *name)
{
    for (unsigned i = 0; i < c->backend_count; i++)
        if (c->backends[i].name != NULL &&
            strcmp(c->backends[i].name, name) == 0)
            return &c->backends[i];
    return NULL;
}

void fault_backend(struct loading *l, const struct node *n, const char *wrong)
{
    const struct config *c = l->config;
    const char **names = make_array(l, c->backend_count, sizeof(*names));

    if (names == NULL)
        return;
    for (unsigned i = 0; i < c->backend_count; i++)
        names[i] = c->backends[i].name == NULL ? "" : c->backends[i].name;
    fault_choice(l, n, "unknown backend", wrong, "defined", names,
                 c->backend_count);
    free(names);
}
