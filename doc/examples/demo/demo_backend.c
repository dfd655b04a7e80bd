/* demo_backend.c - a small service that knows nothing of penstock: a REST
 * collection, a price ticker (SSE), sensor readings (NDJSON), the weather.
 *
 *   demo_backend PORT [PAGE]
 *
 * One thread, one event loop, everything in memory.  PAGE is served at "/". */
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TICKS_PER_SECOND 20
#define RING 1024                /* recent lines of a topic: about 50 s of one */
#define TOPICS_MAX 256           /* so that a crawler can't fill the memory */
#define OUTPUT_MAX (256 * 1024)  /* bytes queued for a slow reader, then it waits */
#define BODY_MAX (64 * 1024)

/* A topic is what several streams follow; a stream is one client of it. */
struct topic {
    LIST_ENTRY(topic) link;
    char name[24];
    bool sensor;        /* NDJSON without ids, else SSE with them */
    double value;
    uint64_t next;      /* number of the next line, from 1 */
    char line[RING][160];
};

struct stream {
    LIST_ENTRY(stream) link;
    struct evhttp_request *req;
    struct topic *topic;
    uint64_t next;      /* first line that it has not had */
};

static LIST_HEAD(, topic) topics = LIST_HEAD_INITIALIZER(topics);
static LIST_HEAD(, stream) streams = LIST_HEAD_INITIALIZER(streams);
static unsigned topic_count;
static json_t *items;            /* id as text -> object */
static json_int_t items_next = 1;
static const char *page;
static long started;             /* tells ids of this run from older ones */

static long long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* --- answers -------------------------------------------------------------- */

static void header(struct evhttp_request *req, const char *name,
                   const char *value)
{
    evhttp_add_header(evhttp_request_get_output_headers(req), name, value);
}

static const char *asked(struct evhttp_request *req, const char *name)
{
    return evhttp_find_header(evhttp_request_get_input_headers(req), name);
}

static void answer(struct evhttp_request *req, int status, const char *type,
                   const char *text)
{
    struct evbuffer *body = evbuffer_new();

    if (type != NULL)
        header(req, "Content-Type", type);
    evbuffer_add(body, text, strlen(text));
    evhttp_send_reply(req, status, NULL, body);
    evbuffer_free(body);
}

/* Takes json's reference. */
static void answer_json(struct evhttp_request *req, int status, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);

    answer(req, status, "application/json", text != NULL ? text : "null");
    free(text);
    json_decref(json);
}

static void answer_error(struct evhttp_request *req, int status,
                         const char *detail)
{
    answer_json(req, status, json_pack("{s:s}", "error", detail));
}

/* --- the collection ------------------------------------------------------- */

static json_t *body_json(struct evhttp_request *req)
{
    struct evbuffer *in = evhttp_request_get_input_buffer(req);
    size_t len = evbuffer_get_length(in);
    json_t *body = NULL;

    if (len > 0)
        body = json_loadb((char *)evbuffer_pullup(in, -1), len, 0, NULL);
    if (body != NULL && json_is_object(body))
        return body;
    json_decref(body);
    answer_error(req, 400, "the body is no JSON object");
    return NULL;
}

static void items_list(struct evhttp_request *req)
{
    json_t *list = json_array(), *item;
    const char *id;

    json_object_foreach(items, id, item)
        json_array_append(list, item);
    answer_json(req, 200, list);
}

static void items_create(struct evhttp_request *req)
{
    json_t *body = body_json(req);
    char id[32], place[64];

    if (body == NULL)
        return;
    snprintf(id, sizeof(id), "%lld", (long long)items_next);
    snprintf(place, sizeof(place), "/api/items/%s", id);
    json_object_set_new(body, "id", json_integer(items_next++));
    json_object_set(items, id, body);
    header(req, "Location", place);
    answer_json(req, 201, body);
}

static void item_replace(struct evhttp_request *req, const char *id)
{
    json_t *body = body_json(req);

    if (body == NULL)
        return;
    json_object_set_new(body, "id", json_integer(atoll(id)));
    json_object_set(items, id, body);
    answer_json(req, 200, body);
}

static void not_allowed(struct evhttp_request *req, const char *allow)
{
    header(req, "Allow", allow);
    answer_error(req, 405, "not here");
}

static void on_item(struct evhttp_request *req, const char *id)
{
    json_t *item = json_object_get(items, id);

    if (item == NULL) {
        answer_error(req, 404, "no such item");
        return;
    }
    switch (evhttp_request_get_command(req)) {
    case EVHTTP_REQ_GET:
    case EVHTTP_REQ_HEAD:
        answer_json(req, 200, json_incref(item));
        break;
    case EVHTTP_REQ_PUT:
        item_replace(req, id);
        break;
    case EVHTTP_REQ_DELETE:
        json_object_del(items, id);
        evhttp_send_reply(req, 204, NULL, NULL);
        break;
    default:
        not_allowed(req, "GET, HEAD, PUT, DELETE");
    }
}

static void on_items(struct evhttp_request *req)
{
    switch (evhttp_request_get_command(req)) {
    case EVHTTP_REQ_GET:
    case EVHTTP_REQ_HEAD:
        items_list(req);
        break;
    case EVHTTP_REQ_POST:
        items_create(req);
        break;
    default:
        not_allowed(req, "GET, HEAD, POST");
    }
}

/* --- streams -------------------------------------------------------------- */

static struct topic *topic_get(const char *name, bool sensor)
{
    struct topic *t;

    LIST_FOREACH(t, &topics, link)
        if (t->sensor == sensor && strcmp(t->name, name) == 0)
            return t;
    if (topic_count == TOPICS_MAX || (t = calloc(1, sizeof(*t))) == NULL)
        return NULL;
    topic_count++;
    snprintf(t->name, sizeof(t->name), "%s", name);
    t->sensor = sensor;
    t->value = sensor ? 20 : 100;
    t->next = 1;
    LIST_INSERT_HEAD(&topics, t, link);
    return t;
}

static void topic_tick(struct topic *t)
{
    char *line = t->line[t->next % RING];

    t->value *= 1 + (drand48() - 0.5) / 500;
    if (t->sensor)
        snprintf(line, sizeof(t->line[0]),
                 "{\"sensor\":\"hall-%u\",\"celsius\":%.2f,\"time\":%lld}\n",
                 (unsigned)(t->next % 3), t->value, now_ms());
    else
        snprintf(line, sizeof(t->line[0]),
                 "id: %ld-%llu\ndata: {\"symbol\":\"%s\",\"price\":%.2f,"
                 "\"time\":%lld}\n\n",
                 started, (unsigned long long)t->next, t->name, t->value,
                 now_ms());
    t->next++;
}

/* Writes what s has not had, as long as its client keeps up. */
static void stream_pump(struct stream *s)
{
    struct evhttp_connection *conn = evhttp_request_get_connection(s->req);
    struct bufferevent *io = evhttp_connection_get_bufferevent(conn);
    struct evbuffer *out = evbuffer_new();

    if (s->next + RING <= s->topic->next)
        s->next = s->topic->next - RING + 1;
    while (s->next < s->topic->next &&
           evbuffer_get_length(bufferevent_get_output(io)) +
                   evbuffer_get_length(out) < OUTPUT_MAX) {
        const char *line = s->topic->line[s->next++ % RING];

        evbuffer_add(out, line, strlen(line));
    }
    if (evbuffer_get_length(out) > 0)
        evhttp_send_reply_chunk(s->req, out);
    evbuffer_free(out);
}

static void on_stream_closed(struct evhttp_connection *conn, void *arg)
{
    struct stream *s = arg;

    (void)conn;
    LIST_REMOVE(s, link);
    /* A request whose client left has been taken off its connection and is
     * ours to end; otherwise it goes with the connection. */
    if (evhttp_request_get_connection(s->req) == NULL)
        evhttp_send_reply_end(s->req);
    free(s);
}

static uint64_t resume_at(const struct topic *t, const char *last_id)
{
    unsigned long long seq;
    long run;

    if (last_id == NULL || sscanf(last_id, "%ld-%llu", &run, &seq) != 2 ||
        run != started || seq >= t->next)
        return t->next;
    return seq + 1;
}

static void stream_open(struct evhttp_request *req, const char *name,
                        bool sensor)
{
    struct evhttp_connection *conn = evhttp_request_get_connection(req);
    struct topic *t = topic_get(name, sensor);
    struct stream *s = t != NULL ? calloc(1, sizeof(*s)) : NULL;

    if (s == NULL) {
        answer_error(req, 503, "too many topics");
        return;
    }
    header(req, "Content-Type",
           sensor ? "application/x-ndjson" : "text/event-stream");
    header(req, "Cache-Control", "no-store");
    if (evhttp_request_get_command(req) == EVHTTP_REQ_HEAD) {
        evhttp_send_reply(req, 200, NULL, NULL);
        free(s);
        return;
    }
    *s = (struct stream){.req = req, .topic = t};
    s->next = resume_at(t, asked(req, "Last-Event-ID"));
    LIST_INSERT_HEAD(&streams, s, link);
    evhttp_connection_set_timeout(conn, 7 * 86400); /* the client is silent */
    evhttp_connection_set_closecb(conn, on_stream_closed, s);
    evhttp_send_reply_start(req, 200, "OK");
    stream_pump(s);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    static unsigned ticks;
    struct stream *s, *next;
    struct topic *t;

    (void)fd, (void)what, (void)arg;
    ticks++;
    LIST_FOREACH(t, &topics, link)
        if (!t->sensor || ticks % 4 == 0)
            topic_tick(t);
    for (s = LIST_FIRST(&streams); s != NULL; s = next) {
        next = LIST_NEXT(s, link);
        stream_pump(s);
    }
}

/* --- the rest ------------------------------------------------------------- */

static void on_weather(struct evhttp_request *req)
{
    static const char *const sky[] = {"clear", "cloudy", "rain", "wind", "fog"};
    long minute = (long)(time(NULL) / 60);
    const char *known = asked(req, "If-None-Match");
    char etag[32];

    snprintf(etag, sizeof(etag), "\"%ld\"", minute);
    header(req, "ETag", etag);
    header(req, "Cache-Control", "no-cache");
    if (known != NULL && strcmp(known, etag) == 0) {
        evhttp_send_reply(req, 304, NULL, NULL);
        return;
    }
    answer_json(req, 200,
                json_pack("{s:s, s:i, s:I}", "sky", sky[minute % 5], "celsius",
                          (int)(minute * 7 % 23), "minute",
                          (json_int_t)minute));
}

static void on_page(struct evhttp_request *req)
{
    int fd = page != NULL ? open(page, O_RDONLY | O_CLOEXEC) : -1;
    struct evbuffer *body = evbuffer_new();
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0 ||
        evbuffer_add_file(body, fd, 0, st.st_size) < 0) {
        evbuffer_free(body);
        answer_error(req, 404, "no page: demo_backend PORT PAGE");
        return;
    }
    header(req, "Content-Type", "text/html; charset=utf-8");
    header(req, "Cache-Control", "no-cache");
    evhttp_send_reply(req, 200, NULL, body);
    evbuffer_free(body);
}

static bool symbol_ok(const char *s)
{
    size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "abcdefghijklmnopqrstuvwxyz0123456789.");

    return n > 0 && n < 13 && s[n] == '\0';
}

static void on_request(struct evhttp_request *req, void *arg)
{
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
    const char *path = evhttp_uri_get_path(uri);

    (void)arg;
    if (path == NULL || strcmp(path, "/") == 0)
        on_page(req);
    else if (strcmp(path, "/api/items") == 0)
        on_items(req);
    else if (strncmp(path, "/api/items/", 11) == 0)
        on_item(req, path + 11);
    else if (strncmp(path, "/stream/", 8) == 0 && symbol_ok(path + 8))
        stream_open(req, path + 8, false);
    else if (strcmp(path, "/sensors") == 0)
        stream_open(req, "sensors", true);
    else if (strcmp(path, "/weather") == 0)
        on_weather(req);
    else
        answer_error(req, 404, "nothing here");
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    event_base_loopbreak(arg);
}

static struct evhttp *serve(struct event_base *base, int port)
{
    struct evhttp *http = evhttp_new(base);

    evhttp_set_allowed_methods(http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD |
                                         EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
                                         EVHTTP_REQ_DELETE);
    evhttp_set_max_body_size(http, BODY_MAX);
    evhttp_set_max_headers_size(http, 16 * 1024);
    evhttp_set_gencb(http, on_request, NULL);
    if (evhttp_bind_socket(http, "127.0.0.1", (ev_uint16_t)port) == 0)
        return http;
    fprintf(stderr, "demo_backend: 127.0.0.1:%d: %s\n", port, strerror(errno));
    evhttp_free(http);
    return NULL;
}

static void forget_all(void)
{
    struct topic *t;

    while ((t = LIST_FIRST(&topics)) != NULL) {
        LIST_REMOVE(t, link);
        free(t);
    }
    json_decref(items);
}

static int run(int port)
{
    const struct timeval period = {0, 1000000 / TICKS_PER_SECOND};
    struct event_base *base = event_base_new();
    struct event *tick = event_new(base, -1, EV_PERSIST, on_tick, NULL);
    struct event *quit[] = {evsignal_new(base, SIGINT, on_signal, base),
                            evsignal_new(base, SIGTERM, on_signal, base)};
    struct evhttp *http = serve(base, port);

    event_add(quit[0], NULL);
    event_add(quit[1], NULL);
    event_add(tick, &period);
    if (http != NULL) {
        event_base_dispatch(base);
        evhttp_free(http); /* closes every stream */
    }
    event_free(quit[0]);
    event_free(quit[1]);
    event_free(tick);
    event_base_free(base);
    return http != NULL ? 0 : 1;
}

int main(int argc, char **argv)
{
    int rc, port = argc > 1 ? atoi(argv[1]) : 0;

    if (port < 1 || port > 65535 || argc > 3) {
        fprintf(stderr, "usage: demo_backend PORT [PAGE]\n");
        return 2;
    }
    page = argv[2];
    signal(SIGPIPE, SIG_IGN);
    started = (long)time(NULL);
    srand48(started);
    items = json_object();
    json_object_set_new(items, "1",
                        json_pack("{s:i, s:s}", "id", (int)items_next++,
                                  "name", "first item"));
    rc = run(port);
    forget_all();
    return rc;
}
