/* TLS: how a backend's https servers are to be spoken to, and what clients are
 * shown. */
#include "config/config_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "net/tls.h"

#define PEM_BYTES_MAX (4 * MIB) /* every authority there is takes 0.3 MiB */

void read_tls_verify(struct loading *l, const struct node *n, void *into)
{
    ((struct backend *)into)->tls.verify = expect_boolean(l, n);
}

static void read_text(struct loading *l, const struct node *n,
                      const char *example, char **into)
{
    const char *text = expect_text(l, n, example);

    if (text != NULL && *text == '\0')
        fault_at(l, n, "is empty");
    else if (text != NULL)
        *into = copy_text(l, text);
}

void read_tls_ca(struct loading *l, const struct node *n, void *into)
{
    read_text(l, n, "\"authority.pem\"", &((struct backend *)into)->tls.ca);
}

void read_tls_name(struct loading *l, const struct node *n, void *into)
{
    struct backend *b = into;

    read_text(l, n, "\"app.example.com\"", &b->tls.name);
    if (b->tls.name != NULL && !config_host_valid(b->tls.name))
        fault_at(l, n, "\"%.80s\" is not a host", b->tls.name);
}

void read_tls_cert(struct loading *l, const struct node *n, void *into)
{
    read_text(l, n, "\"client.pem\"", &((struct backend *)into)->tls.cert);
}

void read_tls_key(struct loading *l, const struct node *n, void *into)
{
    read_text(l, n, "\"client.key\"", &((struct backend *)into)->tls.key);
}

/* Whether what stands there goes together. */
static bool check_keys(struct loading *l, const struct node *tls,
                       const struct backend *b)
{
    if (!b->tls.verify && b->tls.ca != NULL)
        fault_in(l, tls, "ca", "is of no use where \"verify\" is false");
    else if (b->tls.cert != NULL && b->tls.key == NULL)
        fault_in(l, tls, "key", "is missing; it goes with \"cert\"");
    else if (b->tls.cert == NULL && b->tls.key != NULL)
        fault_in(l, tls, "cert", "is missing; it goes with \"key\"");
    else
        return true;
    return false;
}

/* The file that a key names, in place of the key's absence. */
static bool read_pem(struct loading *l, const struct node *tls, const char *key,
                     const char *name, struct buffer *text, struct str *out)
{
    if (name == NULL)
        return true;
    if (!config_read_file(l, node_get(tls, key), name, PEM_BYTES_MAX, text))
        return false;
    *out = text->len > 0 ? buffer_str(text) : STR("");
    return true;
}

static void forget(struct buffer *key)
{
    if (key->len > 0)
        explicit_bzero(key->data, key->len);
    buffer_fini(key);
}

static void make_context(struct loading *l, const struct node *tls,
                         const struct tls_settings *s, struct tls_context **out)
{
    static const char *const keys[] = {
        [TLS_CA] = "ca", [TLS_CERT] = "cert", [TLS_KEY] = "key",
    };
    enum tls_setting which;
    const char *why;
    int rc = tls_context_new(out, s, &which, &why);

    if (rc == -ENOMEM)
        l->no_memory = true;
    else if (rc < 0)
        fault_at(l, node_get(tls, keys[which]), "\"%.200s\" %s",
                 node_text(node_get(tls, keys[which])), why);
}

static void make_servers(struct loading *l, struct backend *b)
{
    for (unsigned i = 0; i < b->server_count; i++) {
        struct backend_server *s = &b->servers[i];

        if (!s->https || s->host == NULL)
            continue;
        s->tls = tls_server_new(b->tls.context,
                                b->tls.name != NULL ? b->tls.name : s->host,
                                false);
        l->no_memory |= s->tls == NULL;
    }
}

static bool has_https(const struct backend *b)
{
    for (unsigned i = 0; i < b->server_count; i++)
        if (b->servers[i].https)
            return true;
    return false;
}

void finish_tls(struct loading *l, const struct node *n, struct backend *b)
{
    const struct node *tls = node_is(n, JSON_OBJECT) ? node_get(n, "tls")
                                                     : NULL;
    struct buffer ca = {0}, cert = {0}, key = {0};
    struct tls_settings s = {.verify = b->tls.verify};

    if (!has_https(b)) {
        if (tls != NULL && b->server_count > 0)
            fault_at(l, tls, "needs a server whose URL begins with https://");
        return;
    }
    if (check_keys(l, tls, b) &&
        read_pem(l, tls, "ca", b->tls.ca, &ca, &s.ca) &&
        read_pem(l, tls, "cert", b->tls.cert, &cert, &s.cert) &&
        read_pem(l, tls, "key", b->tls.key, &key, &s.key))
        make_context(l, tls, &s, &b->tls.context);
    if (b->tls.context != NULL)
        make_servers(l, b);
    buffer_fini(&ca);
    buffer_fini(&cert);
    forget(&key);
}

/* ---- listeners ------------------------------------------------------------- */

void read_listen_cert(struct loading *l, const struct node *n, void *into)
{
    read_text(l, n, "\"fullchain.pem\"", &((struct config_address *)into)->cert);
}

void read_listen_key(struct loading *l, const struct node *n, void *into)
{
    read_text(l, n, "\"privkey.pem\"", &((struct config_address *)into)->key);
}

void read_listen_tls(struct loading *l, const struct node *n, void *into)
{
    struct config_address *a = into;
    struct buffer cert = {0}, key = {0};
    struct tls_settings s = {.listens = true};

    keys_read(l, n, SCOPE_listen_tls, a);
    if (a->cert == NULL || a->key == NULL)
        return;
    if (read_pem(l, n, "cert", a->cert, &cert, &s.cert) &&
        read_pem(l, n, "key", a->key, &key, &s.key))
        make_context(l, n, &s, &a->tls);
    buffer_fini(&cert);
    forget(&key);
}

void read_admin_tls(struct loading *l, const struct node *n, void *into)
{
    struct config *c = into;

    if (c->admin != NULL)
        read_listen_tls(l, n, c->admin);
}
