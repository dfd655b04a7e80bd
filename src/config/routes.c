/* The keys of a route that are more than a number. */
#include "config/config_priv.h"
#include "config/units.h"

#include <errno.h>
#include <stdlib.h>

static const char *const transport_names[KIND_N] = {
    [KIND_POLL] = "poll",
    [KIND_LONGPOLL] = "longpoll",
    [KIND_SSE] = "sse",
    [KIND_WEBSOCKET] = "websocket",
};

/* Path, host and proxy ---------------------------------------------------- */

/* What a path may hold as it is: RFC 3986 3.3's pchar, '/', and escapes. */
static bool is_path_octet(char c)
{
    return pattern_unreserved((unsigned char)c) ||
           (c != '\0' && strchr("/!$&'()*+,;=:@%{}", c));
}

/* Names are whole segments: what lies around them ends and begins with '/'. */
static bool whole_segments(const struct pattern *p)
{
    for (unsigned i = 0; i < p->part_count; i++) {
        struct str literal = p->parts[i].literal;

        if (i > 0 && literal.n > 0 && literal.p[0] != '/')
            return false;
        if (p->parts[i].name.n > 0 &&
            (literal.n == 0 || literal.p[literal.n - 1] != '/'))
            return false;
    }
    return true;
}

static bool has_dot_segment(const char *path)
{
    while ((path = strchr(path, '/')) != NULL) {
        size_t n = strcspn(++path, "/");

        if ((n == 1 && path[0] == '.') ||
            (n == 2 && path[0] == '.' && path[1] == '.'))
            return true;
    }
    return false;
}

/* Tells how text is written in normal form, with escapes for what cannot
 * stand in a path. */
static void fault_form(struct loading *l, const struct node *n,
                       const char *text)
{
    struct buffer escaped = {0}, normal = {0};

    for (const char *c = text; *c != '\0'; c++)
        if (is_path_octet(*c))
            buffer_append_byte(&escaped, *c);
        else
            buffer_printf(&escaped, "%%%02X", (unsigned char)*c);
    pattern_normalize(buffer_str(&escaped), &normal);
    l->no_memory |= escaped.failed || normal.failed;
    fault_at(l, n, "\"%.80s\" is not in the form in which it is compared; "
             "write \"%.*s\"", text, STR_ARG(buffer_str(&normal)));
    buffer_fini(&escaped);
    buffer_fini(&normal);
}

static bool is_normal(const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        int octet = pattern_escape(str_of(c));

        if (!is_path_octet(*c) || pattern_unreserved(octet))
            return false;
        if (octet >= 0 && ((c[1] >= 'a' && c[1] <= 'f') ||
                           (c[2] >= 'a' && c[2] <= 'f')))
            return false;
    }
    return true;
}

static bool check_escapes(struct loading *l, const struct node *n,
                          const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if (*c == '%' && pattern_escape(str_of(c)) < 0) {
            fault_at(l, n, "\"%.80s\" has a %% without two hexadecimal "
                     "digits", text);
            return false;
        }
    return true;
}

/* What no request would ever match, so that the route could not be reached. */
static bool check_path_form(struct loading *l, const struct node *n,
                            const char *text)
{
    size_t end = strcspn(text, "?#");

    if (text[end] != '\0') {
        fault_at(l, n, "a path ends before its query; leave \"%.80s\" out",
                 text + end);
        return false;
    }
    if (!check_escapes(l, n, text))
        return false;
    if (has_dot_segment(text) || strstr(text, "//") != NULL) {
        fault_at(l, n, "\"%.80s\" has a segment that is empty, . or ..; no "
                 "request is routed by those", text);
        return false;
    }
    if (!is_normal(text)) {
        fault_form(l, n, text);
        return false;
    }
    return true;
}

static bool init_pattern(struct loading *l, const struct node *n,
                         const char *text, struct pattern *out)
{
    struct pattern p;
    const char *why;
    int rc = pattern_init(&p, text, &why);

    if (rc == 0) {
        *out = p;
        return true;
    }
    pattern_fini(&p);
    if (rc == -ENOMEM)
        l->no_memory = true;
    else
        fault_at(l, n, "\"%.80s\" has %s", text, why);
    return false;
}

void read_path(struct loading *l, const struct node *n, void *into)
{
    const char *text = expect_text(l, n, "\"/quotes/{symbol}\"");
    struct route *r = into;
    struct pattern p;

    if (text == NULL)
        return;
    if (*text != '/') {
        fault_at(l, n, "must begin with /; write \"/%.80s\"", text);
        return;
    }
    if (!check_path_form(l, n, text) || !init_pattern(l, n, text, &p))
        return;
    if (!whole_segments(&p)) {
        fault_at(l, n, "\"%.80s\" has a {name} that is not a whole segment, as "
                 "in /a/{name}/b", text);
        pattern_fini(&p);
        return;
    }
    r->pattern = p;
    r->path = copy_text(l, text);
}

void read_host(struct loading *l, const struct node *n, void *into)
{
    const char *text = expect_text(l, n, "\"www.example.com\"");
    struct route *r = into;
    const char *port;

    if (text == NULL)
        return;
    port = strrchr(text, ':');
    if (*text == '*')
        fault_at(l, n, "a host with a * is not supported yet");
    else if (strstr(text, "://") != NULL)
        fault_at(l, n, "is a host alone, such as \"www.example.com\"");
    else if (port != NULL && *text != '[')
        fault_at(l, n, "is a host without its port; write \"%.*s\"",
                 (int)(port - text), text);
    else if (*text == '\0' ||
             text[strspn(text, "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789.-_[]:")] != '\0' ||
             text[strlen(text) - 1] == '.')
        fault_at(l, n, "\"%.80s\" is not a host", text);
    else
        r->host = copy_text(l, text);
}

void read_proxy(struct loading *l, const struct node *n, void *into)
{
    const char *text = expect_text(l, n, "\"app\", a name from \"backends\"");
    struct route *r = into;
    const char *slash;

    if (text == NULL)
        return;
    r->proxy = config_find_backend(l->config, text);
    slash = strchr(text, '/');
    if (r->proxy != NULL)
        return;
    if (slash != NULL && strstr(text, "://") == NULL)
        fault_at(l, n, "a path after the backend is not supported yet; write "
                 "\"%.*s\"", (int)(slash - text), text);
    else
        fault_backend(l, n, text);
}

/* Transports and origins -------------------------------------------------- */

static void add_transport(struct loading *l, const struct node *n,
                          struct route *r)
{
    const char *text = expect_text(l, n, "\"sse\"");
    uint8_t kind = 0;

    if (text == NULL)
        return;
    while (kind < KIND_N && strcmp(transport_names[kind], text) != 0)
        kind++;
    if (kind == KIND_N) {
        /* As the design lists them, the most preferred first. */
        static const char *const names[] = {"websocket", "sse", "longpoll",
                                            "poll"};

        if (strcmp(text, "auto") == 0)
            fault_at(l, n, "\"auto\" stands alone: \"transports\": \"auto\"");
        else
            fault_choice(l, n, "unknown transport", text, "allowed", names,
                         KIND_N);
        return;
    }
    for (unsigned i = 0; i < r->transport_count; i++)
        if (r->transports[i] == kind) {
            fault_at(l, n, "\"%s\" is listed twice", text);
            return;
        }
    r->transports[r->transport_count++] = kind;
}

static void all_transports(struct route *r)
{
    for (uint8_t kind = 0; kind < KIND_N; kind++)
        r->transports[kind] = kind;
    r->transport_count = KIND_N;
}

void read_transports(struct loading *l, const struct node *n, void *into)
{
    struct route *r = into;

    if (!node_is(n, JSON_ARRAY)) {
        if (node_is(n, JSON_STRING) && strcmp(node_text(n), "auto") == 0)
            all_transports(r);
        else
            add_transport(l, n, r);
        return;
    }
    if (n->first == NULL)
        fault_at(l, n, "is empty; allowed: websocket, sse, longpoll, poll, or "
                 "\"auto\" for all");
    for (const struct node *t = n->first; t != NULL; t = t->next)
        add_transport(l, t, r);
}

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

/* Compression ------------------------------------------------------------- */

void read_compress(struct loading *l, const struct node *n, void *into)
{
    struct deflate_settings *compress = &((struct route *)into)->reader.compress;

    compress->on = !node_is(n, JSON_FALSE);
    if (node_is(n, JSON_TRUE) || node_is(n, JSON_FALSE))
        return;
    if (node_is(n, JSON_OBJECT))
        keys_read(l, n, SCOPE_compress, into);
    else
        fault_at(l, n, "must be true, false or an object such as "
                 "{\"min\": \"256B\"}, not %s", node_type_name(n));
}

/* Source ------------------------------------------------------------------ */

static const char *const source_names[] = {"publish", "sse", "ndjson",
                                           "websocket"};
static const char *const later_sources[] = {"poll", "longpoll", "redis"};

static bool is_source_name(const char *name)
{
    for (size_t i = 0; i < sizeof(source_names) / sizeof(*source_names); i++)
        if (strcmp(source_names[i], name) == 0)
            return true;
    return false;
}

static bool is_later_source(const char *name)
{
    for (size_t i = 0; i < sizeof(later_sources) / sizeof(*later_sources); i++)
        if (strcmp(later_sources[i], name) == 0)
            return true;
    return false;
}

static void read_source_name(struct loading *l, const struct node *n,
                             struct route *r)
{
    const char *text = node_text(n);

    if (strcmp(text, "publish") == 0)
        r->source.type = "publish";
    else if (is_later_source(text))
        fault_at(l, n, "source \"%s\" is not supported yet", text);
    else if (strcmp(text, "sse") == 0 || strcmp(text, "ndjson") == 0)
        fault_at(l, n, "\"%s\" needs to be told what to read; write "
                 "{\"%s\": \"BACKEND/PATH\"}", text, text);
    else
        fault_choice(l, n, "unknown source", text, "allowed", source_names,
                     sizeof(source_names) / sizeof(*source_names));
}

/* The key as text that outlives the file. */
static const char *source_type_name(const char *key)
{
    for (size_t i = 0; i < sizeof(source_names) / sizeof(*source_names); i++)
        if (strcmp(source_names[i], key) == 0)
            return source_names[i];
    return NULL;
}

void read_heartbeat_event(struct loading *l, const struct node *n, void *into)
{
    const char *text = expect_text(l, n, "\"heartbeat\"");
    struct route *r = into;

    if (text == NULL)
        return;
    if (*text == '\0' || strlen(text) > HEARTBEAT_EVENT_MAX ||
        strpbrk(text, "\r\n") != NULL)
        fault_at(l, n, "must be one line of 1 to %d octets",
                 HEARTBEAT_EVENT_MAX);
    else
        r->reader.heartbeat_event = copy_text(l, text);
}

void read_cache(struct loading *l, const struct node *n, void *into)
{
    const char *text = expect_text(l, n, "\"5s\", or \"auto\"");
    struct route *r = into;
    uint64_t ms;

    if (text == NULL)
        return;
    r->reader.cache_auto = strcmp(text, "auto") == 0;
    if (r->reader.cache_auto)
        return;
    if (duration_parse(str_of(text), &ms) < 0 || ms % SECOND != 0)
        fault_at(l, n, "\"%.80s\" is neither \"auto\" nor a whole number of "
                 "seconds; write such as \"5s\"", text);
    else
        r->reader.cache_s = ms / SECOND;
}

void read_subscribe(struct loading *l, const struct node *n, void *into)
{
    const char *text = expect_text(l, n, "\"{\\\"op\\\": \\\"subscribe\\\"}\"");
    struct route *r = into;

    if (node_get(n->parent, "websocket") == NULL)
        fault_at(l, n, "goes with \"websocket\" only");
    else if (text != NULL)
        r->source.subscribe = copy_text(l, text);
}

void read_source_compress(struct loading *l, const struct node *n, void *into)
{
    if (node_get(n->parent, "websocket") == NULL)
        fault_at(l, n, "goes with \"websocket\" only");
    else
        ((struct route *)into)->source.compress = expect_boolean(l, n);
}

void read_source_publish(struct loading *l, const struct node *n, void *into)
{
    if (expect(l, n, JSON_TRUE, ""))
        ((struct route *)into)->source.type = "publish";
}

/* The URL's path and query.  That it is a pattern is found out here; what
 * names it has, once the channel is known. */
static void take_source_path(struct loading *l, const struct node *n,
                             const char *path, struct route *r)
{
    struct pattern p;

    for (const char *c = path; *c != '\0'; c++)
        if (*c <= ' ' || *c >= 0x7f || strchr("#\"<>\\^`|", *c)) {
            fault_at(l, n, "\"%.1s\" cannot stand in a URL; write it as an "
                     "escape such as %%20", (unsigned char)*c < 0x80 ? c : "?");
            return;
        }
    if (!check_escapes(l, n, path) || !init_pattern(l, n, path, &p))
        return;
    pattern_fini(&p);
    free((char *)r->source.path); /* of a second source: told elsewhere */
    r->source.path = copy_text(l, path);
}

void read_source_url(struct loading *l, const struct node *n, void *into)
{
    const char *text = expect_text(l, n, "\"app/stream\"");
    struct route *r = into;
    const struct backend *backend;
    char *name;

    if (text == NULL)
        return;
    r->source.type = source_type_name(n->key);
    if (*text == '/' || *text == '\0' || strstr(text, "://") != NULL) {
        fault_at(l, n, "\"%.80s\" names no backend; write \"BACKEND/PATH\" "
                 "with a name from \"backends\"", text);
        return;
    }
    name = strndup(text, strcspn(text, "/?"));
    if (name == NULL) {
        l->no_memory = true;
        return;
    }
    text += strlen(name);
    backend = config_find_backend(l->config, name);
    if (backend == NULL)
        fault_backend(l, n, name);
    else
        r->source.backend = backend;
    free(name);
    if (*text == '?')
        fault_at(l, n, "has no path before its query; write \"%.80s/%.80s\"",
                 backend == NULL ? "BACKEND" : backend->name, text);
    else
        take_source_path(l, n, *text == '\0' ? "/" : text, r);
}

static void check_source_keys(struct loading *l, const struct node *n)
{
    const struct node *kind = NULL;

    for (size_t i = 0; i < sizeof(source_names) / sizeof(*source_names); i++) {
        const struct node *k = node_get(n, source_names[i]);

        if (k != NULL && kind != NULL)
            fault_at(l, k, "is a second source; \"%s\" is there already",
                     kind->key);
        kind = kind == NULL ? k : kind;
    }
    for (size_t i = 0; i < sizeof(later_sources) / sizeof(*later_sources); i++)
        if (node_get(n, later_sources[i]) != NULL)
            return; /* told already */
    if (kind == NULL)
        fault_at(l, n, "needs one of \"sse\", \"ndjson\", \"websocket\" or "
                 "\"publish\"");
    else if (strcmp(kind->key, "publish") == 0)
        for (const struct node *k = n->first; k != NULL; k = k->next)
            if (k != kind && !is_source_name(k->key))
                fault_at(l, k, "does not go with \"publish\"");
}

void read_source(struct loading *l, const struct node *n, void *into)
{
    struct route *r = into;

    if (node_is(n, JSON_STRING)) {
        read_source_name(l, n, r);
        return;
    }
    if (!expect(l, n, JSON_OBJECT, "{\"sse\": \"app/stream\"}, or the string "
                "\"publish\""))
        return;
    keys_read(l, n, SCOPE_source, r);
    check_source_keys(l, n);
    if (r->source.backoff_min_ms > r->source.backoff_max_ms)
        fault_in(l, n, "backoff", "min is longer than max");
}

/* Channel ----------------------------------------------------------------- */

/* What stands in a URL's path, as in /channels/NAME. */
static bool check_channel_text(struct loading *l, const struct node *n,
                               const char *text)
{
    if (*text == '/')
        fault_at(l, n, "does not begin with /; write \"%.80s\"", text + 1);
    else if (*text == '\0')
        fault_at(l, n, "is empty");
    else if (strchr(text, '*') != NULL)
        fault_at(l, n, "\"%.80s\" has a *, which a channel's name cannot have",
                 text);
    else if (check_escapes(l, n, text) && is_normal(text))
        return true;
    else if (!is_normal(text))
        fault_form(l, n, text);
    return false;
}

bool config_init_channel(struct loading *l, const struct node *n,
                         const char *text, struct pattern *out)
{
    return check_channel_text(l, n, text) && init_pattern(l, n, text, out);
}

void read_channel(struct loading *l, const struct node *n, void *into)
{
    const char *text = expect_text(l, n, "\"quotes/{symbol}\"");
    struct route *r = into;

    if (text != NULL && config_init_channel(l, n, text, &r->channel))
        r->channel_text = copy_text(l, text);
}

static void default_channel(struct loading *l, const struct node *route,
                            struct route *r)
{
    const char *text = r->path + 1;

    if (*text == '\0')
        fault_at(l, route, "path \"/\" leaves no name for the channel; name it "
                 "with \"channel\"");
    else if (strchr(text, '*') != NULL)
        fault_at(l, route, "path \"%.80s\" ends in *, which a channel's name "
                 "cannot have; name it with \"channel\"", r->path);
    else if (init_pattern(l, route, text, &r->channel))
        r->channel_text = copy_text(l, text);
}

static void check_channel_names(struct loading *l, const struct node *route,
                                struct route *r)
{
    struct str missing;

    if (r->path == NULL || pattern_covers(&r->pattern, &r->channel, &missing))
        return;
    if (!str_eq(missing, STR("connection"))) /* each client's own */
        fault_in(l, route, "channel", "{%.*s} is not in the path \"%.80s\"",
                 STR_ARG(missing), r->path);
}

/* One upstream serves a whole channel, so its URL can depend on nothing that
 * the channel's name does not tell. */
static void check_source_names(struct loading *l, const struct node *source,
                               struct route *r)
{
    struct str missing;

    if (r->source.path == NULL ||
        !init_pattern(l, source, r->source.path, &r->source_path))
        return;
    if (!pattern_covers(&r->channel, &r->source_path, &missing))
        fault_in(l, source, r->source.type, "%s%.*s%s is not in the channel "
                 "\"%.80s\"", missing.p[0] == '*' ? "" : "{", STR_ARG(missing),
                 missing.p[0] == '*' ? "" : "}", r->channel_text);
    if (r->source.when == WHEN_ALWAYS && pattern_has_names(&r->channel))
        fault_in(l, source, "when", "\"always\" needs a channel without "
                 "{name}s, not \"%.80s\": nobody tells which to open",
                 r->channel_text);
}

/* Whole routes ------------------------------------------------------------ */

/* Notes key in the table.  The index that had it before, or -1. */
static int seen_before(struct loading *l, json_t *table, struct buffer *key,
                       unsigned index)
{
    json_t *first;

    buffer_append_byte(key, '\0');
    if (key->failed) {
        l->no_memory = true;
        return -1;
    }
    first = json_object_get(table, key->data);
    if (first != NULL)
        return (int)json_integer_value(first);
    if (json_object_set_new(table, key->data, json_integer(index)) < 0)
        l->no_memory = true;
    return -1;
}

static void check_duplicate(struct loading *l, const struct node *n,
                            struct route *r)
{
    struct buffer key = {0};
    int first;

    for (const char *c = r->host; c != NULL && *c != '\0'; c++)
        buffer_append_byte(&key, *c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c);
    pattern_key(&r->pattern, &key);
    first = seen_before(l, l->seen_routes, &key, n->index);
    if (first >= 0)
        fault_in(l, n, "path", "\"%.80s\" matches the same requests as "
                 "routes[%d] (\"%.80s\", line %u)", r->path, first,
                 l->config->routes[first].path, l->config->routes[first].line);
    buffer_fini(&key);
}

static bool text_same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool feeds_same(const struct route *a, const struct route *b)
{
    const struct source_settings *x = &a->source, *y = &b->source;

    return text_same(x->type, y->type) && x->backend == y->backend &&
           text_same(x->path, y->path) &&
           text_same(x->subscribe, y->subscribe) &&
           x->compress == y->compress && x->when == y->when &&
           x->linger_ms == y->linger_ms && x->idle_ms == y->idle_ms &&
           x->backoff_min_ms == y->backoff_min_ms &&
           x->backoff_max_ms == y->backoff_max_ms &&
           x->message_bytes == y->message_bytes &&
           a->history.messages == b->history.messages &&
           a->history.bytes == b->history.bytes &&
           a->history.age_ms == b->history.age_ms;
}

/* Two routes may serve one channel, but then it has one source and one
 * history: what the second one says would be ignored. */
static void check_shared(struct loading *l, const struct node *n,
                         struct route *r)
{
    struct buffer key = {0};
    const struct route *other;
    int first;

    pattern_key(&r->channel, &key);
    first = seen_before(l, l->seen_channels, &key, n->index);
    buffer_fini(&key);
    if (first < 0)
        return;
    other = &l->config->routes[first];
    if (!text_same(other->channel_text, r->channel_text))
        fault_in(l, n, "channel", "\"%.80s\" and that of routes[%d], \"%.80s\" "
                 "(line %u), are one and differ in names; write them alike",
                 r->channel_text, first, other->channel_text, other->line);
    else if (!feeds_same(other, r))
        fault_in(l, n, "channel", "\"%.80s\" is also that of routes[%d] (line "
                 "%u), which has another \"source\" or \"history\"; write them "
                 "alike", r->channel_text, first, other->line);
}

/* A key that only a route with a source takes. */
static void check_proxied(struct loading *l, const struct node *n)
{
    for (const struct node *k = n->first; k != NULL; k = k->next)
        if (key_is_feed(k->key))
            fault_at(l, k, "does not go with \"proxy\"; a proxied route passes "
                     "requests on as they are");
}

static void finish_feed(struct loading *l, const struct node *n,
                        struct route *r)
{
    const struct node *source = node_get(n, "source");

    if (source == NULL)
        r->source.type = "publish"; /* its clients publish */
    if (node_get(n, "transports") == NULL)
        all_transports(r);
    if (node_get(n, "channel") == NULL && r->path != NULL)
        default_channel(l, n, r);
    if (r->channel_text != NULL) {
        check_channel_names(l, n, r);
        check_receive(l, n, r);
        check_source_names(l, source, r);
        if (r->source.type != NULL)
            check_shared(l, n, r);
    }
    if (source != NULL && text_same(r->source.type, "publish") &&
        l->config->admin == NULL &&
        node_get(n->parent->parent, "admin") == NULL)
        fault_at(l, source, "\"publish\" needs an admin listener to publish "
                 "to; add \"admin\": \"127.0.0.1:8081\" at the top");
}

static void read_route(struct loading *l, const struct node *n,
                       struct route *r)
{
    const struct node *proxy, *source;

    r->line = n->line;
    keys_preset(SCOPE_route, r);
    keys_preset(SCOPE_source, r);
    keys_preset(SCOPE_cors, r);
    keys_preset(SCOPE_compress, r);
    keys_read(l, n, SCOPE_route, r);
    r->reader.write_ms = l->config->limits.write_ms;
    if (!node_is(n, JSON_OBJECT))
        return;
    if (r->path != NULL)
        check_duplicate(l, n, r);
    check_cors(l, n, r);
    finish_rate(r);
    proxy = node_get(n, "proxy");
    source = node_get(n, "source");
    if (proxy == NULL && source == NULL && node_get(n, "receive") == NULL)
        fault_at(l, n, "needs \"proxy\" or \"source\"");
    else if (proxy != NULL)
        check_proxied(l, n);
    else
        finish_feed(l, n, r);
}

void read_routes(struct loading *l, const struct node *n, void *into)
{
    struct config *c = into;

    if (!expect(l, n, JSON_ARRAY, ""))
        return;
    if (n->first == NULL) {
        fault_at(l, n, "is empty; add one route at least, such as {\"path\": "
                 "\"/*\", \"proxy\": \"app\"}");
        return;
    }
    c->routes = make_array(l, n->last->index + 1, sizeof(*c->routes));
    if (c->routes == NULL)
        return;
    for (const struct node *r = n->first; r != NULL; r = r->next)
        read_route(l, r, &c->routes[c->route_count++]);
}
