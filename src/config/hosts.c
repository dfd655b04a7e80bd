/* The keys that name hosts of ours, listen and admin; and what a host is. */
#include "config/config_priv.h"

#include <arpa/inet.h>
#include <stdlib.h>

/* The script -------------------------------------------------------------- */

void read_client(struct loading *l, const struct node *n, void *into)
{
    ((struct config *)into)->client = expect_boolean(l, n);
}

/* Hosts and ports --------------------------------------------------------- */

static bool is_name_octet(char c)
{
    return pattern_unreserved((unsigned char)c) && c != '~';
}

/* A name or an IPv4 address.  What is all digits and dots has to be the
 * latter: resolvers take "10.1" for 10.0.0.1. */
static bool name_valid(const char *host)
{
    struct in_addr v4;

    for (const char *c = host; *c != '\0'; c++)
        if (!is_name_octet(*c))
            return false;
    if (strspn(host, "0123456789.") == strlen(host))
        return inet_pton(AF_INET, host, &v4) == 1;
    return *host != '-' && *host != '.' && strlen(host) <= 253;
}

static bool v6_valid(const char *host)
{
    struct in6_addr v6;

    return inet_pton(AF_INET6, host, &v6) == 1;
}

bool config_host_valid(const char *host)
{
    return *host != '\0' && (name_valid(host) || v6_valid(host));
}

const char *config_split_host(char *text, char **host, char **port)
{
    char *colon;

    *host = text;
    if (*text == '[') {
        char *close = strchr(text, ']');

        if (close == NULL)
            return "has a [ that is not closed";
        *host = text + 1;
        *close = '\0';
        *port = close[1] == ':' ? close + 2 : NULL;
        if (close[1] != ':' && close[1] != '\0')
            return "has something else than :PORT after the ]";
        return v6_valid(*host) ? NULL : "has no IPv6 address in its brackets";
    }
    colon = strrchr(text, ':');
    if (colon != NULL && strchr(text, ':') != colon)
        return "has an IPv6 address without brackets; write [ADDRESS]:PORT";
    *port = colon == NULL ? NULL : colon + 1;
    if (colon != NULL)
        *colon = '\0';
    return NULL;
}

bool config_port_parse(struct loading *l, const struct node *n,
                       const char *text, unsigned low, uint16_t *out)
{
    uint64_t port = UINT64_MAX;

    if (*text == '\0' || text[strspn(text, "0123456789")] != '\0') {
        fault_at(l, n, "\"%.80s\" is not a port; allowed: from %u to 65535",
                 text, low);
        return false;
    }
    if (!str_to_u64(str_of(text), &port) || port < low || port > 65535) {
        fault_at(l, n, "port %.20s is out of range; allowed: from %u to 65535",
                 text, low);
        return false;
    }
    *out = (uint16_t)port;
    return true;
}

bool config_read_authority(struct loading *l, const struct node *n, char *copy,
                           uint16_t port_default, struct backend_server *out)
{
    const char *url = node_text(n), *why;
    char *host, *port = NULL;

    why = config_split_host(copy, &host, &port);
    if (why != NULL) {
        fault_at(l, n, "\"%.80s\" %s", url, why);
        return false;
    }
    if (!config_host_valid(host)) {
        fault_at(l, n, "\"%.80s\" is not a host", host);
        return false;
    }
    out->port = port_default;
    if (port != NULL && !config_port_parse(l, n, port, 1, &out->port))
        return false;
    out->host = copy_text(l, host);
    return true;
}

/* Addresses --------------------------------------------------------------- */

static bool is_any(const char *host)
{
    return *host == '\0' || strcmp(host, "*") == 0;
}

static bool address_fill(struct loading *l, const struct node *n, char *copy,
                         struct config_address *out)
{
    const char *text = node_text(n);
    char *host, *port, *why = (char *)config_split_host(copy, &host, &port);

    if (why != NULL) {
        fault_at(l, n, "\"%.80s\" %s", text, why);
        return false;
    }
    if (port == NULL) {
        if (text[strspn(text, "0123456789")] == '\0' && *text != '\0')
            fault_at(l, n, "\"%.20s\" has no host; write \":%.20s\" for every "
                     "interface, or \"127.0.0.1:%.20s\"", text, text, text);
        else
            fault_at(l, n, "\"%.80s\" has no port; write HOST:PORT", text);
        return false;
    }
    if (*copy != '[' && !is_any(host) && !name_valid(host)) {
        fault_at(l, n, "\"%.80s\" is not a host", host);
        return false;
    }
    if (!config_port_parse(l, n, port, 0, &out->port))
        return false;
    out->text = copy_text(l, text);
    out->host = is_any(host) ? NULL : copy_text(l, host);
    return true;
}

static bool read_address(struct loading *l, const struct node *n,
                         struct config_address *out)
{
    const char *text;
    bool ok;
    char *copy;

    if (json_is_integer(n->value)) {
        fault_at(l, n, "must be a string; write \":%" JSON_INTEGER_FORMAT "\" "
                 "for every interface, or \"127.0.0.1:%" JSON_INTEGER_FORMAT
                 "\"", json_integer_value(n->value),
                 json_integer_value(n->value));
        return false;
    }
    text = expect_text(l, n, "\"127.0.0.1:8080\"");
    if (text == NULL)
        return false;
    if (strncmp(text, "unix:", 5) == 0) {
        fault_at(l, n, "a Unix socket is not supported yet");
        return false;
    }
    copy = copy_text(l, text);
    if (copy == NULL)
        return false;
    ok = address_fill(l, n, copy, out);
    free(copy);
    return ok;
}

static bool address_same(const struct config_address *a,
                         const struct config_address *b)
{
    if (a->port != b->port || a->port == 0)
        return false;
    if (a->host == NULL || b->host == NULL)
        return a->host == b->host;
    return str_eq_nocase(str_of(a->host), str_of(b->host));
}

void read_listen_address(struct loading *l, const struct node *n, void *into)
{
    read_address(l, n, into);
}

static void add_listen(struct loading *l, const struct node *n)
{
    struct config *c = l->config;
    struct config_address *a = &c->listen[c->listen_count];

    if (node_is(n, JSON_OBJECT))
        keys_read(l, n, SCOPE_listen, a);
    else
        read_address(l, n, a);
    for (unsigned i = 0; i < c->listen_count; i++)
        if (address_same(a, &c->listen[i])) {
            fault_at(l, n, "\"%s\" is listed twice", a->text);
            break;
        }
    c->listen_count++;
}

void read_listen(struct loading *l, const struct node *n, void *into)
{
    struct config *c = into;

    if (!node_is(n, JSON_ARRAY)) {
        c->listen = make_array(l, 1, sizeof(*c->listen));
        if (c->listen != NULL)
            add_listen(l, n);
        return;
    }
    if (n->first == NULL)
        fault_at(l, n, "is empty; name one address at least");
    if (node_children(n) > CONFIG_LISTEN_MAX) {
        fault_at(l, n, "has %zu addresses; %d at most", node_children(n),
                 CONFIG_LISTEN_MAX);
        return;
    }
    c->listen = make_array(l, node_children(n), sizeof(*c->listen));
    if (c->listen == NULL)
        return;
    for (const struct node *a = n->first; a != NULL; a = a->next)
        add_listen(l, a);
}

/* Admin ------------------------------------------------------------------- */

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (host == NULL)
        return false;
    if (str_eq_nocase(str_of(host), STR("localhost")))
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

void read_admin_listen(struct loading *l, const struct node *n, void *into)
{
    struct config *c = into;
    struct config_address *a = make_array(l, 1, sizeof(*a));

    if (a == NULL)
        return;
    if (!read_address(l, n, a)) {
        free(a);
        return;
    }
    c->admin = a;
    for (unsigned i = 0; i < c->listen_count; i++)
        if (address_same(a, &c->listen[i]))
            fault_at(l, n, "\"%s\" is one of \"listen\" too; clients must not "
                     "reach the admin listener", a->text);
}

/* A token goes into a header field, and what a field cannot hold would be cut
 * off or, worse, start another.  The token itself is not told. */
static void take_token(struct loading *l, const struct node *n, char *token)
{
    bool ok = *token != '\0';

    for (const char *c = token; *c != '\0'; c++)
        ok = ok && *c > ' ' && *c < 0x7f;
    if (ok && l->config->admin_token == NULL) {
        l->config->admin_token = token;
        return;
    }
    if (*token == '\0')
        fault_at(l, n, "holds no token");
    else if (!ok)
        fault_at(l, n, "holds a line end, a space or something else that a "
                 "token cannot have; allowed: visible ASCII");
    free(token);
}

void read_token(struct loading *l, const struct node *n, void *into)
{
    const char *text = expect_text(l, n, "");
    char *token = text == NULL ? NULL : copy_text(l, text);

    if (token != NULL)
        take_token(l, n, token);
}

char *config_read_secret(struct loading *l, const struct node *n)
{
    const char *name = expect_text(l, n, "\"/etc/penstock/token\"");
    struct buffer text = {0};
    struct str line;
    char *secret = NULL;

    if (name == NULL ||
        !config_read_file(l, n, name, SECRET_BYTES_MAX, &text)) {
        buffer_fini(&text);
        return NULL;
    }
    line = config_one_line(&text);
    if (line.n > 0 && memchr(line.p, '\0', line.n) != NULL) {
        fault_at(l, n, "holds a NUL, which a token cannot have");
    } else {
        secret = strndup(line.n > 0 ? line.p : "", line.n);
        l->no_memory |= secret == NULL;
    }
    buffer_fini(&text);
    return secret;
}

void read_token_file(struct loading *l, const struct node *n, void *into)
{
    char *token = config_read_secret(l, n);

    if (token != NULL)
        take_token(l, n, token);
}

/* The keys and defaults of "admin" belong to the whole config: the short form
 * is an object's listen. */
void read_admin(struct loading *l, const struct node *n, void *into)
{
    struct config *c = into;
    bool tells_token = false;

    if (node_is(n, JSON_OBJECT)) {
        keys_read(l, n, SCOPE_admin, into);
        tells_token = node_get(n, "token") || node_get(n, "token_file");
        if (node_get(n, "token") && node_get(n, "token_file"))
            fault_at(l, n, "has both token and token_file; keep one");
    } else {
        read_admin_listen(l, n, into);
    }
    if (c->admin != NULL && !is_loopback(c->admin->host) && !tells_token)
        fault_at(l, n, "\"%s\" is not on loopback, so anybody who reaches it "
                 "could publish; write {\"listen\": \"%s\", \"token_file\": "
                 "\"FILE\"}", c->admin->text, c->admin->text);
}
