/* The keys of a source that reads a Redis. */
#include "config/config_priv.h"

#include "feed/loader.h"

bool config_source_is_redis(const struct source_settings *s)
{
    return text_same(s->type, "redis");
}

/* NULL, and told, where it is none. */
static const struct backend *find_redis(struct loading *l, const struct node *n,
                                        const char *name)
{
    const struct backend *b = config_find_backend(l->config, name);

    if (loader_find(l->config->modules, l->config->module_count, "redis") ==
        NULL)
        fault_at(l, n, "needs a module; write \"modules\": [\"redis\"] at the "
                 "top");
    if (b == NULL)
        fault_backend(l, n, name);
    else if (!b->redis)
        fault_at(l, n, "\"%.80s\" is no Redis; a backend that is has a URL such "
                 "as \"redis://127.0.0.1:6379\"", name);
    return b;
}

void read_redis(struct loading *l, const struct node *n, void *into)
{
    const char *text = expect_text(l, n, "\"cache\"");
    struct route *r = into;

    if (text == NULL)
        return;
    r->source.type = "redis";
    r->source.backend = find_redis(l, n, text);
}

void read_receive_redis(struct loading *l, const struct node *n, void *into)
{
    const char *text = expect_text(l, n, "\"cache\"");
    struct route *r = into;

    if (text == NULL)
        return;
    if ((node_get(n->parent, "publish") == NULL) ==
        (node_get(n->parent, "stream") == NULL))
        fault_at(l, n, "needs one of \"publish\" and \"stream\" beside it");
    r->reader.receive = RECEIVE_REDIS;
    r->reader.inbox.backend = find_redis(l, n, text);
}

/* "publish" and "stream" of receive: the channel, or the key. */
void read_receive_name(struct loading *l, const struct node *n, void *into)
{
    const char *text = expect_text(l, n, "\"chat:{room}\"");
    struct route *r = into;

    if (text == NULL)
        return;
    if (node_get(n->parent, "redis") == NULL)
        fault_at(l, n, "goes with \"redis\" only");
    else if (*text == '\0')
        fault_at(l, n, "is an empty name");
    else if (r->receive.text == NULL)
        config_init_template(l, n, text, &r->receive);
    r->reader.inbox.stream = strcmp(n->key, "stream") == 0;
}

/* The channel, pattern or key. */
static void read_what(struct loading *l, const struct node *n,
                      struct route *r, enum redis_what what)
{
    const char *text = expect_text(l, n, "\"prices:{symbol}\"");

    if (text == NULL)
        return;
    if (node_get(n->parent, "redis") == NULL) {
        fault_at(l, n, "goes with \"redis\" only");
        return;
    }
    if (r->source.path != NULL) {
        fault_at(l, n, "is a second thing to read; keep one of subscribe, "
                 "psubscribe and stream");
        return;
    }
    r->source.redis = what;
    r->source.path = copy_text(l, text);
}

void config_read_redis_channel(struct loading *l, const struct node *n,
                               struct route *r)
{
    read_what(l, n, r, REDIS_SUBSCRIBE);
}

void read_psubscribe(struct loading *l, const struct node *n, void *into)
{
    read_what(l, n, into, REDIS_PSUBSCRIBE);
}

void read_stream(struct loading *l, const struct node *n, void *into)
{
    read_what(l, n, into, REDIS_STREAM);
}

void read_entry_field(struct loading *l, const struct node *n, void *into)
{
    const char *text = expect_text(l, n, "\"data\"");

    if (text != NULL && node_get(n->parent, "stream") == NULL)
        fault_at(l, n, "goes with \"stream\" only");
    else if (text != NULL)
        ((struct route *)into)->source.field = copy_text(l, text);
}

/* "1526919030474-55", or without its second half. */
void config_read_redis_id(struct loading *l, const struct node *n,
                          struct route *r)
{
    const char *text = expect_text(l, n, "\"0\"");
    struct str ms, seq;
    uint64_t value;

    if (text == NULL)
        return;
    seq = str_split(str_of(text), '-', &ms);
    if (str_to_u64(ms, &value) && (seq.p == NULL || str_to_u64(seq, &value)))
        r->source.from = copy_text(l, text);
    else
        fault_at(l, n, "\"%.80s\" is no entry of a stream; write \"0\" for all "
                 "of it, or such as \"1526919030474-55\"", text);
}

void config_check_redis(struct loading *l, const struct node *source,
                        struct route *r)
{
    if (r->source.path == NULL)
        fault_at(l, source, "needs one of \"subscribe\", \"psubscribe\" and "
                 "\"stream\" beside \"redis\"");
    else if (*r->source.path == '\0')
        fault_at(l, source, "has nothing to read: an empty name");
}
