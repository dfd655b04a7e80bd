/* Which route serves a request, or a channel. */
#include "config/config_priv.h"

#include <errno.h>
#include <stdlib.h>

bool route_serves(const struct route *r, unsigned kind)
{
    for (unsigned i = 0; i < r->transport_count; i++)
        if (r->transports[i] == kind)
            return true;
    return false;
}

tally_id route_tally(const struct route *r, unsigned kind)
{
    _Static_assert((int)KIND_POLL == TALLY_POLL &&
                       (int)KIND_LONGPOLL == TALLY_LONGPOLL &&
                       (int)KIND_SSE == TALLY_SSE &&
                       (int)KIND_WEBSOCKET == TALLY_WEBSOCKET &&
                       (int)KIND_N == TALLY_OTHER,
                   "a transport has the same number in both");
    return r->tally == 0 ? 0 : (tally_id)(r->tally + kind);
}

bool route_takes_posts(const struct route *r)
{
    return r->reader.receive != RECEIVE_NOTHING &&
           r->reader.receive != RECEIVE_WEBSOCKET && !r->per_connection;
}

/* Order ------------------------------------------------------------------- */

/* A route as the search sees it: what rules most of them out stands side by
 * side, and no route's own memory is touched for that. */
struct route_entry {
    const struct route *route;
    size_t literal_n;   /* how much text its path begins with */
    uint64_t last;      /* the last eight octets of that, where it has eight:
                         * routes differ there rather than at "/api/v1/" */
};

static uint64_t eight(const char *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return word;
}

static struct route_entry entry_of(const struct route *r)
{
    struct route_entry e = {.route = r};

    if (r->pattern.part_count > 0) {
        struct str literal = r->pattern.parts[0].literal;

        e.literal_n = literal.n;
        if (literal.n >= sizeof(e.last))
            e.last = eight(literal.p + literal.n - sizeof(e.last));
    }
    return e;
}

/* Whether the route cannot match a path without escapes. */
static bool ruled_out(const struct route_entry *e, struct str path)
{
    return path.n < e->literal_n ||
           (e->literal_n >= sizeof(e->last) &&
            eight(path.p + e->literal_n - sizeof(e->last)) != e->last);
}

static int in_file(const struct route *a, const struct route *b)
{
    return a < b ? -1 : a > b;
}

static int by_path(const void *a, const void *b)
{
    const struct route *x = ((const struct route_entry *)a)->route;
    const struct route *y = ((const struct route_entry *)b)->route;
    int order = pattern_compare(&y->pattern, &x->pattern);

    if ((x->host == NULL) != (y->host == NULL))
        return x->host == NULL ? 1 : -1;
    return order != 0 ? order : in_file(x, y);
}

static int by_channel(const void *a, const void *b)
{
    const struct route *x = *(const struct route *const *)a;
    const struct route *y = *(const struct route *const *)b;
    int order = pattern_compare(&y->channel, &x->channel);

    return order != 0 ? order : in_file(x, y);
}

int config_index(struct config *c)
{
    c->by_path = calloc(c->route_count + 1, sizeof(*c->by_path));
    c->by_channel = calloc(c->route_count + 1, sizeof(*c->by_channel));
    if (c->by_path == NULL || c->by_channel == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < c->route_count; i++) {
        c->by_path[i] = entry_of(&c->routes[i]);
        if (c->routes[i].channel_text != NULL)
            c->by_channel[c->by_channel_count++] = &c->routes[i];
    }
    qsort(c->by_path, c->route_count, sizeof(*c->by_path), by_path);
    qsort(c->by_channel, c->by_channel_count, sizeof(*c->by_channel),
          by_channel);
    return 0;
}

/* Requests ---------------------------------------------------------------- */

/* The host of a Host field: no port, no trailing dot (RFC 9110 7.2). */
static struct str host_alone(struct str host)
{
    const char *end = NULL;

    if (host.n > 0 && host.p[0] == '[') {
        end = memchr(host.p, ']', host.n);
        if (end != NULL)
            end++;
    } else if (host.n > 0) {
        end = memchr(host.p, ':', host.n);
    }
    if (end != NULL)
        host.n = (size_t)(end - host.p);
    if (host.n > 0 && host.p[host.n - 1] == '.')
        host.n--;
    return host;
}

const struct route *config_route(const struct config *c, struct str host,
                                 struct str path, struct pattern_values *values)
{
    bool escapes = path.n > 0 && memchr(path.p, '%', path.n) != NULL;

    host = host_alone(host);
    for (unsigned i = 0; i < c->route_count; i++) {
        const struct route *r;

        if (!escapes && ruled_out(&c->by_path[i], path))
            continue;
        r = c->by_path[i].route;
        if (r->host != NULL && !str_eq_nocase(str_of(r->host), host))
            continue;
        if (pattern_match(&r->pattern, path, values))
            return r;
    }
    return NULL;
}

struct str config_base_name(struct str name)
{
    const size_t end = CONFIG_CLIENT_DIGITS + 1;

    if (name.n <= end || name.p[name.n - end] != CONFIG_CLIENT_MARK)
        return STR_NONE;
    for (size_t i = name.n - end + 1; i < name.n; i++)
        if (strchr("0123456789abcdef", name.p[i]) == NULL)
            return STR_NONE;
    return (struct str){name.p, name.n - end};
}

const struct route *config_route_of_channel(const struct config *c,
                                            struct str name,
                                            struct pattern_values *values)
{
    struct str base = config_base_name(name);

    for (unsigned i = 0; i < c->by_channel_count; i++) {
        const struct route *r = c->by_channel[i];
        bool own = r->source.per == PER_CLIENT;

        if ((!own || base.p != NULL) &&
            pattern_match(&r->channel, own ? base : name, values))
            return r;
    }
    return NULL;
}

/* The other reading of a path --------------------------------------------- */

/* Whether there is anything that readers of a path could differ about. */
static bool is_plain(struct str path)
{
    char before = '\0';

    for (size_t i = 0; i < path.n; i++) {
        char c = path.p[i];

        if (c == '%' || c == '\\' || (before == '/' && (c == '/' || c == '.')))
            return false;
        before = c;
    }
    return true;
}

/* One octet of path at *i as it would be after decoding: '/', or what stands
 * there, or -1 for an escape that is to stay one. */
static int decoded(struct str path, size_t i)
{
    struct str rest = {path.p + i, path.n - i};
    int c = pattern_escape(rest);

    if (c < 0)
        c = (unsigned char)path.p[i];
    else if (!pattern_unreserved(c) && c != '/' && c != '\\')
        return -1;
    return c == '\\' ? '/' : c;
}

/* Writes path with slashes and unreserved characters decoded, which never
 * makes it longer. */
static size_t decode(struct str path, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < path.n;) {
        struct str rest = {path.p + i, path.n - i};
        size_t used = pattern_escape(rest) < 0 ? 1 : 3;
        int c = decoded(path, i);

        if (c >= 0) {
            out[n++] = (char)c;
        } else {
            memcpy(out + n, rest.p, used);
            n += used;
        }
        i += used;
    }
    return n;
}

/* Removes dot segments and empty ones in place; a last one of these leaves a
 * slash (RFC 3986 5.2.4). */
static size_t squeeze(char *path, size_t n)
{
    struct str rest = {path, n}, segment = STR_NONE;
    size_t out = 0;

    while (rest.p != NULL) {
        rest = str_split(rest, '/', &segment);
        if (str_eq(segment, STR(".."))) {
            while (out > 0 && path[--out] != '/')
                ;
        } else if (segment.n > 0 && !str_eq(segment, STR("."))) {
            path[out++] = '/';
            memmove(path + out, segment.p, segment.n);
            out += segment.n;
            continue;
        }
        if (rest.p == NULL)
            path[out++] = '/';
    }
    return out;
}

bool config_route_ambiguous(const struct config *c, struct str host,
                            struct str path)
{
    char other[CONFIG_TARGET_MAX];
    size_t n;

    if (is_plain(path))
        return false;
    if (path.n > sizeof(other))
        return true;
    n = squeeze(other, decode(path, other));
    return config_route(c, host, path, NULL) !=
           config_route(c, host, (struct str){other, n}, NULL);
}

int config_source_path(const struct route *r,
                       const struct pattern_values *values, struct buffer *out)
{
    if (config_source_is_redis(&r->source))
        return pattern_expand_text(&r->source_path, values,
                                   r->source.redis == REDIS_PSUBSCRIBE, out);
    return pattern_expand_url(&r->source_path, values, out);
}
