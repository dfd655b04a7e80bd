/* Where a route's messages come from. */
#include "config/config_priv.h"

#include <stdlib.h>

#include "feed/loader.h"
#include "wire/pointer.h"

static const char *const source_names[] = {"publish", "sse", "ndjson",
                                           "websocket", "poll", "longpoll",
                                           "redis"};
#define SOURCE_NAMES_N (sizeof(source_names) / sizeof(*source_names))

static const char *module_source(const struct config *c, const char *name)
{
    const struct source_type *t = loader_find(c->modules, c->module_count,
                                              name);

    return t == NULL ? NULL : t->name;
}

/* The name as text that outlives the file, or NULL: those built in, and those
 * of the modules that the file loads. */
static const char *source_name(const struct config *c, const char *name)
{
    for (size_t i = 0; i < SOURCE_NAMES_N; i++)
        if (strcmp(source_names[i], name) == 0)
            return source_names[i];
    return module_source(c, name);
}

static void read_source_name(struct loading *l, const struct node *n,
                             struct route *r)
{
    const char *text = node_text(n);

    if (strcmp(text, "publish") == 0)
        r->source.type = "publish";
    else if (strcmp(text, "redis") == 0)
        fault_at(l, n, "\"redis\" needs to be told what to read; write "
                 "{\"redis\": \"BACKEND\", \"subscribe\": \"CHANNEL\"}");
    else if (source_name(l->config, text) != NULL)
        fault_at(l, n, "\"%s\" needs to be told what to read; write "
                 "{\"%s\": \"BACKEND/PATH\"}", text, text);
    else
        fault_choice(l, n, "unknown source", text, "allowed", source_names,
                     SOURCE_NAMES_N);
}

void read_subscribe(struct loading *l, const struct node *n, void *into)
{
    const char *text;
    struct route *r = into;

    if (node_get(n->parent, "redis") != NULL) {
        config_read_redis_channel(l, n, r);
        return;
    }
    text = expect_text(l, n, "\"{\\\"op\\\": \\\"subscribe\\\"}\"");
    if (node_get(n->parent, "websocket") == NULL)
        fault_at(l, n, "goes with \"websocket\" and \"redis\" only");
    else if (text != NULL)
        r->source.subscribe = copy_text(l, text);
}

void read_source_compress(struct loading *l, const struct node *n, void *into)
{
    ((struct route *)into)->source.compress = expect_boolean(l, n);
}

/* Whether n stands beside a source of one of these types; told where not. */
static bool goes_with(struct loading *l, const struct node *n, const char *a,
                      const char *b)
{
    if (node_get(n->parent, a) != NULL || node_get(n->parent, b) != NULL)
        return true;
    fault_at(l, n, strcmp(a, b) == 0 ? "goes with \"%s\" only"
                                     : "goes with \"%s\" and \"%s\" only",
             a, b);
    return false;
}

/* A JSON Pointer; NULL after telling. */
static char *read_pointer(struct loading *l, const struct node *n)
{
    const char *text = expect_text(l, n, "\"/results\"");

    if (text == NULL)
        return NULL;
    if (pointer_valid(str_of(text)))
        return copy_text(l, text);
    fault_at(l, n, "\"%.80s\" is no JSON Pointer (RFC 6901), which is such as "
             "\"/a/0/b\"", text);
    return NULL;
}

void read_select(struct loading *l, const struct node *n, void *into)
{
    if (goes_with(l, n, "poll", "longpoll"))
        ((struct route *)into)->source.select = read_pointer(l, n);
}

void read_each(struct loading *l, const struct node *n, void *into)
{
    if (goes_with(l, n, "poll", "longpoll"))
        ((struct route *)into)->source.each = read_pointer(l, n);
}

void read_transform(struct loading *l, const struct node *n, void *into)
{
    struct transform_settings *t = &((struct route *)into)->source.transform;
    const char **field = strcmp(n->key, "event") == 0 ? &t->event
                         : strcmp(n->key, "id") == 0  ? &t->id
                         : strcmp(n->key, "data") == 0 ? &t->data
                                                       : &t->text;

    *field = read_pointer(l, n);
    if (t->data != NULL && t->text != NULL)
        fault_at(l, n, "does not go with \"data\"");
}

/* What goes with those that have a place in the URL: one word of it. */
static char *read_word(struct loading *l, const struct node *n,
                       const char *example)
{
    const char *text = expect_text(l, n, example);

    if (text == NULL || !goes_with(l, n, "longpoll", "ndjson"))
        return NULL;
    for (const char *c = text; *c != '\0'; c++)
        if (*c <= ' ' || *c >= 0x7f || strchr("#&=:\"<>", *c) != NULL) {
            fault_at(l, n, "\"%.80s\" has what cannot stand in a name", text);
            return NULL;
        }
    return copy_text(l, text);
}

void read_cursor_place(struct loading *l, const struct node *n, void *into)
{
    char *text = read_word(l, n, "\"/last_seq\"");

    if (text != NULL && *text == '/' && !pointer_valid(str_of(text)))
        fault_at(l, n, "\"%.80s\" is no JSON Pointer (RFC 6901), which is such "
                 "as \"/a/0/b\"", text);
    else if (text != NULL && *text == '\0')
        fault_at(l, n, "is empty");
    ((struct route *)into)->source.cursor = text;
}

void read_param(struct loading *l, const struct node *n, void *into)
{
    ((struct route *)into)->source.param = read_word(l, n, "\"since\"");
}

void read_from(struct loading *l, const struct node *n, void *into)
{
    if (node_get(n->parent, "stream") != NULL) {
        config_read_redis_id(l, n, into);
        return;
    }
    ((struct route *)into)->source.from = read_word(l, n, "\"now\"");
}

void read_source_publish(struct loading *l, const struct node *n, void *into)
{
    if (expect(l, n, JSON_TRUE, ""))
        ((struct route *)into)->source.type = "publish";
}

/* The URL's path and query.  That it is a pattern is found out here; what
 * names it has, once the channel is known. */
static bool take_path(struct loading *l, const struct node *n,
                      const char *path, const char **out)
{
    struct pattern p;

    for (const char *c = path; *c != '\0'; c++)
        if (*c <= ' ' || *c >= 0x7f || strchr("#\"<>\\^`|", *c)) {
            fault_at(l, n, "\"%.1s\" cannot stand in a URL; write it as an "
                     "escape such as %%20", (unsigned char)*c < 0x80 ? c : "?");
            return false;
        }
    if (!config_check_escapes(l, n, path) || !config_init_pattern(l, n, path, &p))
        return false;
    pattern_fini(&p);
    free((char *)*out); /* of a second one: told elsewhere */
    *out = copy_text(l, path);
    return true;
}

bool config_read_url(struct loading *l, const struct node *n,
                     const struct backend **backend, const char **path)
{
    const char *text = expect_text(l, n, "\"app/stream\"");
    char *name;

    if (text == NULL)
        return false;
    if (*text == '/' || *text == '\0' || strstr(text, "://") != NULL) {
        fault_at(l, n, "\"%.80s\" names no backend; write \"BACKEND/PATH\" "
                 "with a name from \"backends\"", text);
        return false;
    }
    name = strndup(text, strcspn(text, "/?"));
    if (name == NULL) {
        l->no_memory = true;
        return false;
    }
    text += strlen(name);
    *backend = config_find_backend(l->config, name);
    if (*backend == NULL)
        fault_backend(l, n, name);
    else if ((*backend)->redis)
        fault_at(l, n, "\"%s\" is a Redis, which is read by \"redis\"", name);
    if (*text == '?')
        fault_at(l, n, "has no path before its query; write \"%.80s/%.80s\"",
                 *backend == NULL ? "BACKEND" : (*backend)->name, text);
    free(name);
    return *text != '?' && take_path(l, n, *text == '\0' ? "/" : text, path);
}

void read_source_url(struct loading *l, const struct node *n, void *into)
{
    struct source_settings *source = &((struct route *)into)->source;

    source->type = source_name(l->config, n->key);
    config_read_url(l, n, &source->backend, &source->path);
}

/* The keys of a module's source: table-less, as only its URL is its own. */
static void read_module_sources(struct loading *l, const struct node *n,
                                struct route *r)
{
    for (const struct node *k = n->first; k != NULL; k = k->next)
        if (strcmp(k->key, "redis") != 0 &&
            module_source(l->config, k->key) != NULL)
            read_source_url(l, k, r);
}

/* What is said of HTTP has no meaning for what is read otherwise. */
static void check_no_http(struct loading *l, const struct node *n,
                          const struct node *kind)
{
    static const char *const keys[] = {"headers", "pass", "per", "redirects",
                                       "compress", "idle_timeout"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        if (node_get(n, keys[i]) != NULL)
            fault_in(l, n, keys[i], "does not go with \"%s\"", kind->key);
}

static void check_source_keys(struct loading *l, const struct node *n)
{
    const struct node *kind = NULL;

    for (const struct node *k = n->first; k != NULL; k = k->next) {
        if (source_name(l->config, k->key) == NULL)
            continue;
        if (kind != NULL)
            fault_at(l, k, "is a second source; \"%s\" is there already",
                     kind->key);
        kind = kind == NULL ? k : kind;
    }
    if (kind == NULL)
        fault_at(l, n, "needs one of \"sse\", \"ndjson\", \"websocket\", "
                 "\"poll\", \"longpoll\", \"redis\" or \"publish\"");
    else if (strcmp(kind->key, "publish") == 0)
        for (const struct node *k = n->first; k != NULL; k = k->next)
            if (source_name(l->config, k->key) == NULL)
                fault_at(l, k, "does not go with \"publish\"");
    if (kind != NULL && module_source(l->config, kind->key) != NULL)
        check_no_http(l, n, kind);
}

void read_lost(struct loading *l, const struct node *n, void *into)
{
    if (goes_with(l, n, "ndjson", "ndjson"))
        ((struct route *)into)->source.lost = read_pointer(l, n);
}

/* A stream has its places in its values, if it has any. */
static void check_places(struct loading *l, const struct node *n,
                         const struct route *r)
{
    static const char *const keys[] = {"param", "from", "lost"};

    if (r->source.cursor != NULL && *r->source.cursor != '/')
        fault_in(l, n, "cursor", "is a JSON Pointer with \"ndjson\", such as "
                 "\"/seq\"");
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        if (r->source.cursor == NULL && node_get(n, keys[i]) != NULL)
            fault_in(l, n, keys[i], "needs \"cursor\", which says where the "
                     "values have their places");
}

static void preset_places(struct loading *l, const struct node *n,
                          struct route *r)
{
    bool polled = node_get(n, "longpoll") != NULL;

    if (polled && r->source.cursor == NULL)
        r->source.cursor = copy_text(l, "/next");
    if (node_get(n, "ndjson") != NULL)
        check_places(l, n, r);
    if (r->source.cursor != NULL && r->source.param == NULL)
        r->source.param = copy_text(l, "since");
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
    read_module_sources(l, n, r);
    check_source_keys(l, n);
    if (config_source_is_redis(&r->source))
        config_check_redis(l, n, r);
    preset_places(l, n, r);
    if (node_get(n, "framing") != NULL && node_get(n, "ndjson") == NULL)
        fault_in(l, n, "framing", "goes with \"ndjson\" only");
    if (r->source.backoff_min_ms > r->source.backoff_max_ms)
        fault_in(l, n, "backoff", "min is longer than max");
}
