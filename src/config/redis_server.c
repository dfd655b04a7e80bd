/* What a backend says of a Redis. */
#include "config/config_priv.h"

#include <stdlib.h>

#define REDIS_PORT   6379
#define DATABASE_MAX 1000000

bool config_is_redis_url(const char *url)
{
    return strncasecmp(url, "redis://", 8) == 0 ||
           strncasecmp(url, "redis+unix://", 13) == 0;
}

static char *decode(struct loading *l, const struct node *n, struct str s)
{
    char *out = make_array(l, s.n + 1, 1);

    if (out != NULL && str_percent_decode(s, out, s.n + 1) < 0) {
        fault_at(l, n, "has a bad %%-escape in its user or password");
        free(out);
        return NULL;
    }
    return out;
}

/* "user:password", "user" or ":password" before the '@'; what it holds is not
 * told.  Returns what follows. */
static const char *read_user(struct loading *l, const struct node *n,
                             const char *text, struct backend_server *out)
{
    const char *at = memchr(text, '@', strcspn(text, "/?"));
    struct str user, password;

    if (at == NULL)
        return text;
    password = str_split((struct str){text, (size_t)(at - text)}, ':', &user);
    if (user.n > 0)
        out->user = decode(l, n, user);
    if (password.n > 0)
        out->password = decode(l, n, password);
    return at + 1;
}

static bool read_database(struct loading *l, const struct node *n,
                          const char *text, struct backend_server *out)
{
    uint64_t db = 0;

    if (*text != '\0' &&
        (!str_to_u64(str_of(text), &db) || db > DATABASE_MAX)) {
        fault_at(l, n, "\"%.80s\" is not a database's number", text);
        return false;
    }
    out->db = (unsigned)db;
    return true;
}

static bool read_socket(struct loading *l, const struct node *n,
                        const char *text, struct backend_server *out)
{
    size_t len = strcspn(text, "?");

    if (*text != '/' || len > 107) { /* sockaddr_un */
        fault_at(l, n, "needs the whole path of a socket, 107 octets at most; "
                 "write \"redis+unix:///run/redis/redis.sock\"");
        return false;
    }
    if (text[len] == '?' && strncmp(text + len, "?db=", 4) != 0) {
        fault_at(l, n, "\"%.80s\" is not known; allowed: ?db=N", text + len);
        return false;
    }
    out->host = strndup(text, len);
    l->no_memory |= out->host == NULL;
    return read_database(l, n, text + len + (text[len] == '?' ? 4 : 0), out);
}

static bool read_server_at(struct loading *l, const struct node *n,
                           const char *text, struct backend_server *out)
{
    size_t len = strcspn(text, "/?#");
    char *authority = strndup(text, len);
    bool ok;

    if (authority == NULL) {
        l->no_memory = true;
        return false;
    }
    ok = config_read_authority(l, n, authority, REDIS_PORT, out) &&
         read_database(l, n, text + len + (text[len] == '/'), out);
    free(authority);
    return ok;
}

bool config_read_redis_server(struct loading *l, const struct node *n,
                              struct backend_server *out)
{
    const char *url = node_text(n), *rest = strstr(url, "://") + 3;

    out->redis = true;
    rest = read_user(l, n, rest, out);
    return url[5] == '+' ? read_socket(l, n, rest, out)
                         : read_server_at(l, n, rest, out);
}

void read_password_file(struct loading *l, const struct node *n, void *into)
{
    ((struct backend *)into)->password = config_read_secret(l, n);
}
