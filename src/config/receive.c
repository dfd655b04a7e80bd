/* What a route does with its clients: "receive", "echo", hooks,
 * presence, and the name {connection} that a channel of one client alone has. */
#include "config/config_priv.h"

#include <stdlib.h>
#include <string.h>

#define CONNECTION STR("connection")

static void take_channel(struct loading *l, const struct node *n,
                         const char *text, struct route *r)
{
    if (config_init_channel(l, n, text, &r->receive))
        r->reader.receive = RECEIVE_OTHER;
}

void read_receive_channel(struct loading *l, const struct node *n, void *into)
{
    struct route *r = into;

    if (node_is(n, JSON_TRUE))
        r->reader.receive = RECEIVE_CHANNEL;
    else if (!node_is(n, JSON_STRING))
        fault_at(l, n, "must be true or a channel's name, not %s",
                 node_type_name(n));
    else
        take_channel(l, n, node_text(n), r);
}

/* "post" and "websocket". */
void read_receive_backend(struct loading *l, const struct node *n, void *into)
{
    struct route *r = into;
    const char *path = NULL;

    if (config_read_url(l, n, &r->reader.inbox.backend, &path) &&
        config_init_pattern(l, n, path, &r->receive))
        r->reader.receive = strcmp(n->key, "post") == 0 ? RECEIVE_POST
                                                        : RECEIVE_WEBSOCKET;
    free((char *)path);
}

/* Exactly one of these says where. */
static void read_receive_object(struct loading *l, const struct node *n,
                                struct route *r)
{
    static const char *const places[] = {"channel", "post", "websocket",
                                         "redis"};
    unsigned count = 0;

    for (int i = 0; i < 4; i++)
        count += node_get(n, places[i]) != NULL;
    if (count == 1)
        keys_read(l, n, SCOPE_receive, r);
    else if (count == 0)
        fault_at(l, n, "needs \"channel\", \"post\", \"websocket\" or "
                 "\"redis\"");
    else
        fault_at(l, n, "a message has one place to go to: \"channel\", "
                 "\"post\", \"websocket\" or \"redis\"");
}

void read_hook(struct loading *l, const struct node *n, void *into)
{
    struct route *r = into;
    int which = strcmp(n->key, "on_close") == 0;
    const char *path = NULL;

    if (config_read_url(l, n, &r->reader.hooks.backends[which], &path))
        config_init_pattern(l, n, path, &r->hooks[which]);
    free((char *)path);
}

void read_presence(struct loading *l, const struct node *n, void *into)
{
    struct route *r = into;

    r->reader.presence.on = !node_is(n, JSON_FALSE);
    if (node_is(n, JSON_OBJECT))
        keys_read(l, n, SCOPE_presence, r);
    else if (!node_is(n, JSON_TRUE) && !node_is(n, JSON_FALSE))
        fault_at(l, n, "must be true, false or an object such as "
                 "{\"grace\": \"30s\"}, not %s", node_type_name(n));
}

/* A field's name (RFC 9110 5.6.2). */
void read_identity(struct loading *l, const struct node *n, void *into)
{
    const char *text = expect_text(l, n, "\"X-User\"");
    struct route *r = into;

    if (text == NULL)
        return;
    if (*text == '\0' ||
        text[strspn(text, "abcdefghijklmnopqrstuvwxyz"
                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-")] != '\0')
        fault_at(l, n, "\"%.80s\" is no name of a request field", text);
    else
        r->reader.identity = copy_text(l, text);
}

void read_receive_json(struct loading *l, const struct node *n, void *into)
{
    ((struct route *)into)->reader.inbox.json = expect_boolean(l, n);
}

void read_receive(struct loading *l, const struct node *n, void *into)
{
    struct route *r = into;
    const char *text;

    if (node_is(n, JSON_OBJECT)) {
        read_receive_object(l, n, r);
        return;
    }
    text = expect_text(l, n, "\"channel\", or a channel's name");
    if (text == NULL)
        return;
    if (strcmp(text, "channel") == 0)
        r->reader.receive = RECEIVE_CHANNEL;
    else
        take_channel(l, n, text, r);
}

void read_echo(struct loading *l, const struct node *n, void *into)
{
    ((struct route *)into)->reader.no_echo = !expect_boolean(l, n);
}

/* Each request of a poll would make a channel of its own. */
static void check_transports(struct loading *l, const struct node *route,
                             const struct route *r)
{
    bool polled = false;

    for (unsigned i = 0; i < r->transport_count; i++)
        polled |= r->transports[i] == KIND_POLL ||
                  r->transports[i] == KIND_LONGPOLL;
    if (polled)
        fault_in(l, route, "channel",
                 "{connection} lasts as long as a connection; write "
                 "\"transports\": [\"websocket\", \"sse\"]");
}

static bool names_connection(const struct pattern *p)
{
    for (unsigned i = 0; i < p->part_count; i++)
        if (str_eq(p->parts[i].name, CONNECTION))
            return true;
    return false;
}

static void check_hooks(struct loading *l, const struct node *route,
                        const struct route *r)
{
    static const char *const keys[] = {"on_open", "on_close"};
    struct str missing;

    for (int i = 0; i < 2; i++)
        if (!pattern_covers(&r->pattern, &r->hooks[i], &missing) &&
            !str_eq(missing, CONNECTION))
            fault_in(l, route, keys[i], "{%.*s} is not in the path \"%.80s\"",
                     STR_ARG(missing), r->path);
}

void check_receive(struct loading *l, const struct node *route,
                   struct route *r)
{
    struct str missing;
    bool elsewhere;

    r->per_connection = names_connection(&r->channel);
    if (r->multiplex && r->per_connection)
        fault_in(l, route, "channel", "{connection} is one client's own: it "
                 "does not go with \"multiplex\"");
    else if (r->per_connection)
        check_transports(l, route, r);
    elsewhere = r->reader.receive != RECEIVE_NOTHING &&
                r->reader.receive != RECEIVE_CHANNEL;
    if (r->multiplex && elsewhere)
        fault_in(l, route, "receive", "a multiplexed route takes messages for "
                 "\"channel\" only, the one that is named with each");
    else if (elsewhere && !pattern_covers(&r->pattern, &r->receive, &missing) &&
             !str_eq(missing, CONNECTION))
        fault_in(l, route, "receive", "{%.*s} is not in the path \"%.80s\"",
                 STR_ARG(missing), r->path);
    if (r->reader.receive == RECEIVE_WEBSOCKET &&
        !route_serves(r, KIND_WEBSOCKET))
        fault_in(l, route, "receive", "\"websocket\" is for clients by "
                 "WebSocket, which \"transports\" does not list");
    check_hooks(l, route, r);
    if (r->multiplex && r->reader.presence.on)
        fault_in(l, route, "presence", "a multiplexed route tells nothing of "
                 "who reads; those of its channels do");
    if (r->reader.presence.on && (r->reader.lag == LAG_LATEST ||
                                  r->reader.interval_ms > 0))
        fault_in(l, route, "presence", "comings and goings are lost where only "
                 "the newest message counts (\"lag\", \"max_rate\")");
    if (r->reader.receive == RECEIVE_NOTHING && node_get(route, "echo") != NULL)
        fault_in(l, route, "echo", "needs \"receive\"");
}
