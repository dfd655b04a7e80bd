/* The keys of a route that are more than a number. */
#include "config/config_priv.h"
#include "config/units.h"

/* Host and proxy ----------------------------------------------------------- */

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
    if (r->proxy != NULL) {
        if (r->proxy->redis)
            fault_at(l, n, "\"%.80s\" is a Redis, which has no requests", text);
        return;
    }
    if (slash != NULL && strstr(text, "://") == NULL)
        fault_at(l, n, "a path after the backend is not supported yet; write "
                 "\"%.*s\"", (int)(slash - text), text);
    else
        fault_backend(l, n, text);
}

/* Transports --------------------------------------------------------------- */

static void add_transport(struct loading *l, const struct node *n,
                          struct route *r)
{
    const char *text = expect_text(l, n, "\"sse\"");
    uint8_t kind = 0;

    if (text == NULL)
        return;
    while (kind < KIND_N && strcmp(tally_transports[kind], text) != 0)
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
        r->reader.advised = node_is(n, JSON_STRING) &&
                            strcmp(node_text(n), "auto") == 0;
        if (r->reader.advised)
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

/* How readers are served --------------------------------------------------- */

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

void read_envelope(struct loading *l, const struct node *n, void *into)
{
    ((struct route *)into)->reader.envelope = expect_boolean(l, n);
}

void read_multiplex(struct loading *l, const struct node *n, void *into)
{
    ((struct route *)into)->multiplex = expect_boolean(l, n);
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

/* Whole routes ------------------------------------------------------------- */

static void default_channel(struct loading *l, const struct node *route,
                            struct route *r)
{
    const char *text = r->multiplex ? "{channel}" : r->path + 1;

    if (*text == '\0')
        fault_at(l, route, "path \"/\" leaves no name for the channel; name it "
                 "with \"channel\"");
    else if (strchr(text, '*') != NULL)
        fault_at(l, route, "path \"%.80s\" ends in *, which a channel's name "
                 "cannot have; name it with \"channel\"", r->path);
    else if (config_init_pattern(l, route, text, &r->channel))
        r->channel_text = copy_text(l, text);
}

static void check_channel_names(struct loading *l, const struct node *route,
                                struct route *r)
{
    struct str missing;

    if (r->path == NULL || r->multiplex || pattern_covers(&r->pattern, &r->channel, &missing))
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
        !(config_source_is_redis(&r->source)
              ? config_init_template(l, source, r->source.path,
                                     &r->source_path)
              : config_init_pattern(l, source, r->source.path,
                                    &r->source_path)))
        return;
    if (!pattern_covers(&r->channel, &r->source_path, &missing))
        fault_in(l, source, r->source.type, "%s%.*s%s is not in the channel "
                 "\"%.80s\"", missing.p[0] == '*' ? "" : "{", STR_ARG(missing),
                 missing.p[0] == '*' ? "" : "}", r->channel_text);
    /* So that there is something for the first one who asks. */
    if (text_same(r->source.type, "poll") && node_get(source, "when") == NULL &&
        !pattern_has_names(&r->channel) && !r->multiplex &&
        r->source.per == PER_CHANNEL)
        r->source.when = WHEN_ALWAYS;
    if (r->source.when == WHEN_ALWAYS && pattern_has_names(&r->channel))
        fault_in(l, source, "when", "\"always\" needs a channel without "
                 "{name}s, not \"%.80s\": nobody tells which to open",
                 r->channel_text);
}

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

static bool feeds_same(const struct route *a, const struct route *b)
{
    const struct source_settings *x = &a->source, *y = &b->source;

    return text_same(x->type, y->type) && x->backend == y->backend &&
           text_same(x->path, y->path) &&
           x->framing == y->framing &&
           text_same(x->subscribe, y->subscribe) &&
           text_same(x->select, y->select) && text_same(x->each, y->each) &&
           text_same(x->cursor, y->cursor) && text_same(x->param, y->param) &&
           text_same(x->from, y->from) && x->redis == y->redis &&
           text_same(x->field, y->field) && x->every_ms == y->every_ms &&
           x->wait_ms == y->wait_ms && x->stale_ms == y->stale_ms &&
           text_same(x->transform.event, y->transform.event) &&
           text_same(x->transform.id, y->transform.id) &&
           text_same(x->transform.data, y->transform.data) &&
           text_same(x->transform.text, y->transform.text) &&
           x->compress == y->compress && x->when == y->when &&
           text_same(x->fields, y->fields) && x->per == y->per &&
           texts_same(x->pass, y->pass) && x->redirects == y->redirects &&
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

/* Its clients name channels of other routes. */
static bool has_no_channels(const struct node *route, const struct route *r)
{
    return r->multiplex && node_get(route, "source") == NULL &&
           node_get(route, "channel") == NULL;
}

static void finish_feed(struct loading *l, const struct node *n,
                        struct route *r)
{
    const struct node *source = node_get(n, "source");

    if (has_no_channels(n, r)) {
        if (node_get(n, "transports") == NULL)
            all_transports(r);
        check_receive(l, n, r);
        return;
    }
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
        check_fields(l, source, r);
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
    keys_preset(SCOPE_receive, r);
    keys_preset(SCOPE_presence, r);
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
    if (proxy == NULL && source == NULL && node_get(n, "receive") == NULL &&
        !r->multiplex)
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
