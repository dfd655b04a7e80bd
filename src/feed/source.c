#include "feed/source.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/jitter.h"
#include "base/logging.h"
#include "base/meter.h"
#include "feed/loader.h"
#include "feed/transform.h"
#include "hub/channel.h"
#include "hub/message.h"
#include "net/tls.h"
#include "net/worker.h"
#include "proxy/backend.h"
#include "wire/json.h"

#define BATCH_MAX   64   /* messages gathered before they are appended */
#define REPEATS_MAX 1024 /* the last upstream messages, as hashes */
/* A closed source keeps its place upstream as long as the channel holds
 * messages, so that what is opened again goes on without a hole.  Looked at
 * this often. */
#define FORGET_MS   30000
/* A backend that asks to be left alone for longer is most likely wrong. */
#define RETRY_MAX_MS 3600000
#define FAULT_MAX    240 /* octets of what is told of a failure */

/* IDLE: not connected, nobody wants it; it keeps its place.  WAITING: to try again.  OPENING,
 * OPEN: the type is at work.  OVER: the backend has no more to say. */
#define SOURCE_STATES(X) X(IDLE) X(WAITING) X(OPENING) X(OPEN) X(OVER)
enum source_run {
#define X(name) SOURCE_##name,
    SOURCE_STATES(X)
#undef X
};
static const char *const run_names[] = {
#define X(name) #name,
    SOURCE_STATES(X)
#undef X
};

/* Keys: (i) fixed; (l) under source_lock; the rest is its worker's. */
struct source {
    const struct source_type *type;            /* (i) */
    const struct source_settings *settings;
    struct snapshot *snapshot;                 /* a reference: settings' */
    struct channel *channel;                   /* (i) a reference */
    struct worker *worker;                     /* (i) */
    struct source_request request;             /* (i) in bytes[] */
    const char *label;                         /* (i) */
    struct note note;                          /* "look at the readers" */
    bool note_posted;                          /* (l) */
    bool fresh_reader;                         /* (l) one has come since */
    bool retired;                              /* (l) to be freed by the note */
    struct source *next, **prev;               /* (l) of all_sources */
    struct timer retry, linger;
    struct timer stale;                        /* set while it is down */
    enum source_run run;                       /* written under (l) as well */
    unsigned failures;                         /* in a row */
    unsigned connections;                      /* opened so far */
    char last_fault[FAULT_MAX];                /* (l) empty: none */
    struct message *batch[BATCH_MAX];
    unsigned batch_count;
    uint64_t *repeats;                         /* ring of hashes, or NULL */
    unsigned repeat_at;
    unsigned repeat_checks;                    /* left after a reconnect */
    bool emitted;                              /* something, ever */
    bool gap;                                  /* to be told with the next one */
    _Alignas(16) char bytes[];                 /* state, request, label */
};

/* Guards channel->source, and which sources exist. */
static pthread_mutex_t source_lock = PTHREAD_MUTEX_INITIALIZER;
static const struct source_type *const *known_types;
static struct worker *const *known_workers;
static unsigned known_worker_count;
static struct source *all_sources; /* (l) */
static bool stopping;              /* (l) no source starts any more */

void source_setup(const struct source_type *const *types,
                  struct worker *const *workers, unsigned worker_count)
{
    known_types = types;
    known_workers = workers;
    known_worker_count = worker_count;
}

void *source_state(struct source *s)
{
    return s->bytes;
}

const struct source_settings *source_settings(const struct source *s)
{
    return s->settings;
}

struct str source_path(const struct source *s)
{
    return s->request.path;
}

struct str source_passed(const struct source *s)
{
    return s->request.passed;
}

const char *source_label(const struct source *s)
{
    return s->label;
}

const char *source_server(const struct source *s, uint16_t *port)
{
    const struct backend_server *at = backend_pick(s->settings->backend);

    *port = at->port;
    return at->host;
}

size_t source_message_max(const struct source *s)
{
    return s->settings->message_bytes;
}

struct event_base *source_event_base(void)
{
    return worker_self()->base;
}

/* ---- when it runs ---------------------------------------------------------- */

static void become(struct source *s, enum source_run run)
{
    if (s->run == run)
        return;
    log_debug("source.state", "%s from=%s to=%s", s->label, run_names[s->run],
              run_names[run]);
    pthread_mutex_lock(&source_lock);
    s->run = run;
    pthread_mutex_unlock(&source_lock);
}

static bool is_wanted(const struct source *s)
{
    if (channel_ended(s->channel))
        return false; /* one of the same name has a source of its own */
    return s->settings->when == WHEN_ALWAYS ||
           atomic_load(&s->channel->readers) > 0;
}

static void set_fault(struct source *s, const char *why)
{
    pthread_mutex_lock(&source_lock);
    snprintf(s->last_fault, sizeof(s->last_fault), "%s", why);
    pthread_mutex_unlock(&source_lock);
}

/* Doubles with each failure.  What the backend asked for (retry:, Retry-After)
 * is the least, up to RETRY_MAX_MS. */
static uint64_t backoff_ms(const struct source *s, uint64_t retry_ms)
{
    uint64_t ms = s->settings->backoff_min_ms;

    for (unsigned i = 1; i < s->failures; i++)
        if (ms < s->settings->backoff_max_ms)
            ms *= 2;
    if (ms > s->settings->backoff_max_ms)
        ms = s->settings->backoff_max_ms;
    if (retry_ms > RETRY_MAX_MS)
        retry_ms = RETRY_MAX_MS;
    /* Never at once, never all together. */
    return jitter_between(ms / 2, ms) +
           (retry_ms > ms / 2 ? retry_ms - ms / 2 : 0);
}

static void begin(struct source *s)
{
    int rc;

    become(s, SOURCE_OPENING);
    channel_set_over(s->channel, false);
    meter_add(METER_source_connects, 1);
    rc = s->type->start(s);
    if (rc < 0)
        source_failed(s, "out of memory or descriptors", 0);
}

static void halt(struct source *s)
{
    if (s->run == SOURCE_OPENING || s->run == SOURCE_OPEN)
        s->type->stop(s);
    source_flush(s);
}

static void free_source(struct source *s)
{
    if (s->type->fini != NULL)
        s->type->fini(s);
    snapshot_unref(&s->snapshot);
    channel_unref(&s->channel);
    free(s->repeats);
    free(s);
}

/* Under the lock. */
static void unlist(struct source *s)
{
    s->channel->source = NULL;
    *s->prev = s->next;
    if (s->next != NULL)
        s->next->prev = s->prev;
}

/* Nobody reads, and nobody is about to: a reader joins before it asks for the
 * source, under the lock, so either we see it or it finds us gone. */
static bool detach(struct source *s)
{
    bool gone;

    pthread_mutex_lock(&source_lock);
    gone = !s->note_posted && !is_wanted(s);
    if (gone)
        unlist(s);
    pthread_mutex_unlock(&source_lock);
    return gone;
}

static void on_stale(struct timer *t)
{
    struct source *s =
        (struct source *)((char *)t - offsetof(struct source, stale));

    log_warn("source.stale", "%s", s->label);
    meter_add(METER_sources_stale, 1);
    channel_set_stale(s->channel, true);
}

/* The backend is lost: what readers have may be old, after a while. */
static void begin_to_age(struct source *s)
{
    uint64_t ms = s->settings->stale_ms;

    if (ms > 0 && !timer_is_set(&s->stale) && !channel_stale(s->channel))
        worker_timer_set(s->worker, &s->stale, ms);
}

static void be_fresh(struct source *s)
{
    worker_timer_clear(s->worker, &s->stale);
    if (channel_stale(s->channel))
        channel_set_stale(s->channel, false);
}

static void clear_timers(struct source *s)
{
    worker_timer_clear(s->worker, &s->retry);
    worker_timer_clear(s->worker, &s->linger);
    worker_timer_clear(s->worker, &s->stale);
}

static void close_idle(struct source *s)
{
    halt(s);
    worker_timer_clear(s->worker, &s->retry);
    be_fresh(s);
    become(s, SOURCE_IDLE);
    log_info("source.close", "%s reason=no-readers", s->label);
}

static bool holds_nothing(struct source *s)
{
    struct channel_status status;

    channel_status(s->channel, &status);
    return status.messages == 0;
}

static void on_retry(struct timer *t)
{
    begin((struct source *)((char *)t - offsetof(struct source, retry)));
}

static void on_linger(struct timer *t)
{
    struct source *s =
        (struct source *)((char *)t - offsetof(struct source, linger));

    if (is_wanted(s))
        return;
    if (s->run != SOURCE_IDLE)
        close_idle(s);
    else if (holds_nothing(s) && detach(s)) {
        free_source(s);
        return;
    }
    worker_timer_set(s->worker, &s->linger, FORGET_MS);
}

/* Readers came (and have perhaps gone again, as polls do), or the last one
 * went. */
static void look(struct source *s, bool fresh_reader)
{
    bool wanted = is_wanted(s);

    if (wanted || fresh_reader) {
        worker_timer_clear(s->worker, &s->linger);
        if (s->run == SOURCE_IDLE || (s->run == SOURCE_OVER && fresh_reader))
            begin(s);
    }
    if (!wanted && !timer_is_set(&s->linger))
        worker_timer_set(s->worker, &s->linger, s->settings->linger_ms);
}

static void run_note(struct note *note)
{
    struct source *s =
        (struct source *)((char *)note - offsetof(struct source, note));
    bool fresh, stopped, retired;

    pthread_mutex_lock(&source_lock);
    s->note_posted = false;
    retired = s->retired;
    fresh = s->fresh_reader;
    s->fresh_reader = false;
    stopped = stopping;
    pthread_mutex_unlock(&source_lock);
    if (retired)
        free_source(s);
    else if (!stopped)
        look(s, fresh);
}

/* Under the lock. */
static void poke(struct source *s)
{
    if (s->note_posted)
        return;
    s->note_posted = true;
    worker_post(s->worker, &s->note);
}

static void on_readers(struct channel *channel, void *arg)
{
    pthread_mutex_lock(&source_lock);
    if (channel->source != NULL)
        poke(channel->source);
    pthread_mutex_unlock(&source_lock);
}

static const struct source_type *find_type(const char *name)
{
    for (const struct source_type *const *t = known_types; *t != NULL; t++)
        if (strcmp((*t)->name, name) == 0)
            return *t;
    return loader_source(name);
}

static unsigned pick_worker(const char *name)
{
    unsigned h = 2166136261u; /* FNV-1a: spreads names, nothing more */

    for (; *name != '\0'; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h % known_worker_count;
}

/* Under the lock. */
static void list(struct source *s)
{
    s->channel->source = s;
    s->next = all_sources;
    if (s->next != NULL)
        s->next->prev = &s->next;
    s->prev = &all_sources;
    all_sources = s;
}

/* Copies s to *at, and moves that behind it. */
static struct str put(char **at, struct str s)
{
    const char *p = *at;

    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return (struct str){p, s.n};
}

static struct source *new_source(const struct source_type *type,
                                 struct channel *channel,
                                 struct snapshot *snapshot,
                                 const struct source_settings *settings,
                                 struct source_request request)
{
    size_t label_size = strlen(channel->name) * 4 + 64;
    struct source *s = calloc(1, sizeof(*s) + type->state_size +
                                     request.path.n + request.passed.n +
                                     label_size);
    char *at, quoted[CHANNEL_NAME_MAX * 4 + 16];

    if (s == NULL)
        return NULL;
    s->type = type;
    s->settings = settings;
    s->snapshot = snapshot_ref(snapshot);
    s->channel = channel_ref(channel);
    s->worker = known_workers[pick_worker(channel->name)];
    s->note.run = run_note;
    s->retry.fire = on_retry;
    s->linger.fire = on_linger;
    s->stale.fire = on_stale;
    at = s->bytes + type->state_size;
    s->request.path = put(&at, request.path);
    s->request.passed = put(&at, request.passed);
    s->label = at;
    log_quote(quoted, sizeof(quoted), channel->name, strlen(channel->name));
    snprintf(at, label_size, "channel=%.*s source=%s",
             (int)(label_size - 48), quoted, type->name);
    return s;
}

void source_ensure(struct channel *channel, struct snapshot *snapshot,
                   const struct source_settings *settings,
                   struct source_request request)
{
    const struct source_type *type = find_type(settings->type);
    struct source *s;

    if (type == NULL || type->start == NULL)
        return; /* publish: the backend comes to us */
    pthread_mutex_lock(&source_lock);
    s = channel->source;
    if (s == NULL && !stopping && !channel_ended(channel)) {
        s = new_source(type, channel, snapshot, settings, request);
        if (s != NULL)
            list(s);
    }
    if (s != NULL) {
        if (s->run != SOURCE_OPEN || atomic_load(&channel->readers) <= 1) {
            s->fresh_reader = true;
            poke(s);
        }
    }
    pthread_mutex_unlock(&source_lock);
    if (s != NULL)
        channel_set_watch(channel, on_readers, NULL);
}

/* The next source of this worker, from s (included) on. */
static struct source *next_here(struct source *s)
{
    while (s != NULL && s->worker != worker_self())
        s = s->next;
    return s;
}

bool source_exists(struct channel *channel)
{
    bool exists;

    pthread_mutex_lock(&source_lock);
    exists = channel->source != NULL;
    pthread_mutex_unlock(&source_lock);
    return exists;
}

/* Sources stay listed until source_fini(), so the list may be walked with the
 * lock let go in between. */
void source_stop_here(void)
{
    struct source *s;

    pthread_mutex_lock(&source_lock);
    stopping = true;
    s = next_here(all_sources);
    pthread_mutex_unlock(&source_lock);
    while (s != NULL) {
        clear_timers(s);
        halt(s);
        become(s, SOURCE_IDLE);
        pthread_mutex_lock(&source_lock);
        s = next_here(s->next);
        pthread_mutex_unlock(&source_lock);
    }
}

/* ---- another configuration ------------------------------------------------ */

static bool servers_same(const struct backend *a, const struct backend *b)
{
    if (a->server_count != b->server_count)
        return false;
    for (unsigned i = 0; i < a->server_count; i++)
        if (a->servers[i].port != b->servers[i].port ||
            strcmp(a->servers[i].host, b->servers[i].host) != 0 ||
            !text_same(a->servers[i].user, b->servers[i].user) ||
            !text_same(a->servers[i].password, b->servers[i].password) ||
            a->servers[i].db != b->servers[i].db ||
            strcmp(tls_server_id(a->servers[i].tls),
                   tls_server_id(b->servers[i].tls)) != 0)
            return false;
    return text_same(a->password, b->password);
}

/* The same stream, wherever its servers are now: what was had of it counts. */
static bool is_same_stream(const struct source *s,
                           const struct source_settings *settings,
                           struct str path)
{
    return strcmp(settings->type, s->type->name) == 0 &&
           strcmp(settings->backend->name, s->settings->backend->name) == 0 &&
           str_eq(path, s->request.path);
}

/* Whether a connection that began with a is none that b would have made.  What
 * else there is to set is looked at as it is needed. */
static bool needs_restart(const struct source_settings *a,
                          const struct source_settings *b)
{
    return !servers_same(a->backend, b->backend) ||
           a->framing != b->framing ||
           !text_same(a->subscribe, b->subscribe) ||
           !text_same(a->select, b->select) || !text_same(a->each, b->each) ||
           !text_same(a->cursor, b->cursor) ||
           !text_same(a->param, b->param) || a->every_ms != b->every_ms ||
           a->redis != b->redis || !text_same(a->field, b->field) ||
           !text_same(a->fields, b->fields) ||
           a->message_bytes != b->message_bytes;
}

static void restart(struct source *s)
{
    halt(s);
    worker_timer_clear(s->worker, &s->retry);
    s->failures = 0;
    become(s, SOURCE_IDLE);
    log_info("source.close", "%s reason=reload", s->label);
}

static void adopt(struct source *s, struct snapshot *snapshot,
                  const struct source_settings *settings)
{
    if (s->run != SOURCE_IDLE && s->run != SOURCE_OVER &&
        needs_restart(s->settings, settings))
        restart(s);
    s->settings = settings;
    snapshot_unref(&s->snapshot);
    s->snapshot = snapshot_ref(snapshot);
    look(s, false);
}

/* Its channel goes on without it.  A note may be on its way to it still. */
static void retire(struct source *s)
{
    bool posted;

    halt(s);
    clear_timers(s);
    be_fresh(s);
    become(s, SOURCE_IDLE);
    log_info("source.close", "%s reason=reload", s->label);
    pthread_mutex_lock(&source_lock);
    unlist(s);
    posted = s->note_posted;
    s->retired = true;
    pthread_mutex_unlock(&source_lock);
    if (!posted)
        free_source(s);
}

/* Readers of a client's own source would have been let go, if other fields were
 * to be passed now. */
static void replace(struct source *s, struct snapshot *snapshot,
                    const struct source_settings *settings, struct str path)
{
    struct channel *c = channel_ref(s->channel);
    struct buffer passed = {0};

    if (settings != NULL && settings->per == PER_CLIENT)
        buffer_append_str(&passed, s->request.passed);
    retire(s);
    if (settings != NULL &&
        (settings->when == WHEN_ALWAYS || atomic_load(&c->readers) > 0))
        source_ensure(c, snapshot, settings,
                      (struct source_request){path, buffer_str(&passed)});
    buffer_fini(&passed);
    channel_unref(&c);
}

void source_revise_here(struct snapshot *snapshot, source_plan_fn *plan,
                        void *arg)
{
    struct source *s, *next;

    pthread_mutex_lock(&source_lock);
    s = stopping ? NULL : next_here(all_sources);
    pthread_mutex_unlock(&source_lock);
    for (; s != NULL; s = next) {
        struct buffer path = {0};
        const struct source_settings *settings = plan(arg, s->channel, &path);

        pthread_mutex_lock(&source_lock);
        next = next_here(s->next);
        pthread_mutex_unlock(&source_lock);
        if (settings != NULL &&
            is_same_stream(s, settings, buffer_str(&path)))
            adopt(s, snapshot, settings);
        else
            replace(s, snapshot, settings, buffer_str(&path));
        buffer_fini(&path);
    }
}

void source_fini(void)
{
    while (all_sources != NULL) {
        struct source *s = all_sources;

        unlist(s);
        free_source(s);
    }
    stopping = false;
}

/* ---- what it brings -------------------------------------------------------- */

/* Only a reconnect repeats; and only with an id can a repeat be told from the
 * same thing happening twice. */
static bool is_repeat(struct source *s, const struct message_parts *parts,
                      struct str id)
{
    uint64_t h = UINT64_C(14695981039346656037);
    const struct str all[] = {id, parts->type, parts->data};

    if (id.n == 0)
        return false;
    if (s->repeats == NULL)
        s->repeats = calloc(REPEATS_MAX, sizeof(*s->repeats));
    if (s->repeats == NULL)
        return false;
    for (int i = 0; i < 3; i++) {
        for (size_t k = 0; k < all[i].n; k++)
            h = (h ^ (unsigned char)all[i].p[k]) * UINT64_C(1099511628211);
        h = (h ^ 0x1ff) * UINT64_C(1099511628211); /* between the parts */
    }
    for (unsigned i = 0; s->repeat_checks > 0 && i < REPEATS_MAX; i++)
        if (s->repeats[i] == h)
            return true;
    if (s->repeat_checks > 0)
        s->repeat_checks--;
    s->repeats[s->repeat_at++ % REPEATS_MAX] = h;
    return false;
}

static void mark_gap(struct source *s, struct message *m)
{
    s->emitted = true;
    if (!s->gap)
        return;
    s->gap = false;
    m->after_gap = true;
    meter_add(METER_source_gaps, 1);
    log_info("source.gap", "%s reason=\"the backend could not be told from "
             "where to go on\"", s->label);
}

static int emit(struct source *s, const struct message_parts *parts,
                struct str upstream_id)
{
    struct message *m;

    if (is_repeat(s, parts, upstream_id)) {
        meter_add(METER_source_repeats, 1);
        return 0;
    }
    m = message_new(parts);
    if (m == NULL)
        return -ENOMEM;
    mark_gap(s, m);
    s->batch[s->batch_count++] = m;
    if (s->batch_count == BATCH_MAX)
        source_flush(s);
    return 0;
}

int source_emit(struct source *s, const struct message_parts *parts,
                struct str upstream_id)
{
    struct transform t;
    int rc;

    s->failures = 0;
    transform_init(&t, &s->settings->transform, parts, upstream_id);
    meter_add(METER_source_untransformed, t.missed);
    rc = emit(s, &t.parts, t.id);
    transform_fini(&t);
    return rc;
}

void source_flush(struct source *s)
{
    if (s->batch_count == 0)
        return;
    if (channel_append(s->channel, s->batch, s->batch_count, NULL) < 0)
        log_warn_limited("source.dropped", "%s reason=\"out of memory, or the "
                         "channel was deleted\"", s->label);
    s->batch_count = 0;
}

void source_opened(struct source *s, bool resumes)
{
    if (s->connections++ > 0) {
        s->repeat_checks = REPEATS_MAX;
        s->gap |= !resumes && s->emitted;
    }
    become(s, SOURCE_OPEN);
    be_fresh(s);
    set_fault(s, "");
    log_info("source.open", "%s connection=%u", s->label, s->connections);
}

void source_answered(struct source *s)
{
    s->failures = 0;
    if (s->run != SOURCE_OPEN)
        source_opened(s, true);
    source_flush(s);
}

void source_failed(struct source *s, const char *why, uint64_t retry_ms)
{
    uint64_t delay_ms;

    s->failures++;
    halt(s);
    delay_ms = backoff_ms(s, retry_ms);
    meter_add(METER_source_failures, 1);
    set_fault(s, why);
    log_warn("source.failed", "%s reason=\"%s\" failures=%u retry_ms=%llu",
             s->label, why, s->failures, (unsigned long long)delay_ms);
    become(s, SOURCE_WAITING);
    begin_to_age(s);
    worker_timer_set(s->worker, &s->retry, delay_ms);
}

void source_over(struct source *s, const char *why)
{
    halt(s);
    be_fresh(s);
    become(s, SOURCE_OVER);
    set_fault(s, why);
    log_info("source.over", "%s reason=\"%s\"", s->label, why);
    channel_set_over(s->channel, true);
}

void source_describe(struct channel *channel, struct buffer *out)
{
    pthread_mutex_lock(&source_lock);
    if (channel->source != NULL) {
        const struct source *s = channel->source;

        buffer_printf(out, ",\"source\":{\"type\":\"%s\",\"state\":\"%s\"",
                      s->type->name, run_names[s->run]);
        if (s->last_fault[0] != '\0') {
            buffer_append_str(out, STR(",\"fault\":"));
            json_append_string(out, str_of(s->last_fault));
        }
        if (channel_stale(channel))
            buffer_append_str(out, STR(",\"stale\":true"));
        buffer_append_byte(out, '}');
    }
    pthread_mutex_unlock(&source_lock);
}

void source_metrics(struct buffer *out)
{
    unsigned count[sizeof(run_names) / sizeof(*run_names)] = {0}, stale = 0;

    pthread_mutex_lock(&source_lock);
    for (const struct source *s = all_sources; s != NULL; s = s->next) {
        count[s->run]++;
        stale += channel_stale(s->channel);
    }
    pthread_mutex_unlock(&source_lock);
    buffer_append_str(out, STR("# HELP penstock_sources Sources by state.\n"
                               "# TYPE penstock_sources gauge\n"));
    for (size_t i = 0; i < sizeof(count) / sizeof(*count); i++)
        buffer_printf(out, "penstock_sources{state=\"%s\"} %u\n",
                      run_names[i], count[i]);
    buffer_printf(out,
                  "# HELP penstock_sources_stale Sources that have been lost "
                  "for longer than their stale.\n"
                  "# TYPE penstock_sources_stale gauge\n"
                  "penstock_sources_stale %u\n", stale);
}
