/* Loading the config file, and letting it go. */
#include "config/config_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/tls.h"

void read_nothing(struct loading *l, const struct node *n, void *into)
{
}

/* Letting go -------------------------------------------------------------- */

static void address_fini(struct config_address *a)
{
    free(a->text);
    free(a->host);
    free(a->cert);
    free(a->key);
    tls_context_unref(&a->tls);
}

static void backend_fini(struct backend *b)
{
    for (unsigned i = 0; i < b->server_count; i++)
        backend_server_fini(&b->servers[i]);
    free(b->password);
    free(b->servers);
    free(b->tls.ca);
    free(b->tls.name);
    free(b->tls.cert);
    free(b->tls.key);
    tls_context_unref(&b->tls.context);
    free(b->name);
}

static void texts_free(char **texts)
{
    for (char **t = texts; t != NULL && *t != NULL; t++)
        free(*t);
    free(texts);
}

static void route_fini(struct route *r)
{
    if (r->reader.origins != r->cors.origins)
        texts_free(r->reader.origins);
    texts_free(r->cors.origins);
    free(r->cors.headers);
    free((char *)r->reader.heartbeat_event);
    free((char *)r->reader.identity);
    free((char *)r->source.path);
    free((char *)r->source.subscribe);
    free((char *)r->source.transform.event);
    free((char *)r->source.transform.id);
    free((char *)r->source.transform.data);
    free((char *)r->source.transform.text);
    free((char *)r->source.select);
    free((char *)r->source.each);
    free((char *)r->source.cursor);
    free((char *)r->source.param);
    free((char *)r->source.from);
    free((char *)r->source.lost);
    if (r->source.fields != NULL)
        explicit_bzero((char *)r->source.fields, strlen(r->source.fields));
    free((char *)r->source.fields);
    texts_free(r->source.pass);
    free((char *)r->source.field);
    pattern_fini(&r->pattern);
    pattern_fini(&r->channel);
    pattern_fini(&r->source_path);
    pattern_fini(&r->receive);
    pattern_fini(&r->hooks[0]);
    pattern_fini(&r->hooks[1]);
    free(r->channel_text);
    free(r->path);
    free(r->host);
}

static void config_free(struct snapshot *s)
{
    struct config *c = (struct config *)s; /* its first member */

    for (unsigned i = 0; i < c->listen_count; i++)
        address_fini(&c->listen[i]);
    for (unsigned i = 0; i < c->backend_count; i++)
        backend_fini(&c->backends[i]);
    for (unsigned i = 0; i < c->route_count; i++)
        route_fini(&c->routes[i]);
    if (c->admin != NULL)
        address_fini(c->admin);
    free(c->admin);
    free(c->admin_token);
    free(c->listen);
    free(c->backends);
    free(c->routes);
    free(c->modules);
    free(c->by_path);
    free(c->by_channel);
    free(c->file);
    free(c);
}

struct config *config_ref(struct config *c)
{
    snapshot_ref(&c->snapshot);
    return c;
}

void config_unref(struct config **cp)
{
    struct snapshot *s = (struct snapshot *)*cp; /* its first member */

    *cp = NULL;
    snapshot_unref(&s);
}

/* Reading ----------------------------------------------------------------- */

static int config_new(struct config **out, const char *file)
{
    struct config *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return -ENOMEM;
    atomic_init(&c->snapshot.refs, 1);
    c->snapshot.free = config_free;
    c->file = strdup(file);
    if (c->file == NULL) {
        free(c);
        return -ENOMEM;
    }
    keys_preset(SCOPE_top, c);
    *out = c;
    return 0;
}

static int read_document(struct loading *l, const struct document *d)
{
    struct config *c = l->config;

    l->seen_routes = json_object();
    l->seen_channels = json_object();
    if (l->seen_routes == NULL || l->seen_channels == NULL)
        l->no_memory = true;
    else
        keys_read(l, d->root, SCOPE_top, c);
    json_decref(l->seen_routes);
    json_decref(l->seen_channels);
    if (l->no_memory || l->faults->failed)
        return -ENOMEM;
    return l->faults->count > 0 ? -EINVAL : config_index(c);
}

static int parse(struct config **out, const char *file, char *text, size_t len,
                 struct faults *faults)
{
    struct loading l = {.faults = faults, .file = file};
    struct document document = {0};
    int rc = config_new(&l.config, file);

    if (rc == 0)
        rc = document_parse(&document, text, len, faults);
    if (rc == 0)
        rc = read_document(&l, &document);
    document_fini(&document);
    if (rc == 0)
        *out = l.config;
    else
        config_unref(&l.config);
    return rc;
}

int config_parse(struct config **out, const char *file, char *text, size_t len,
                 struct buffer *errors)
{
    struct faults faults = {0};
    int rc = parse(out, file, text, len, &faults);

    faults_write(&faults, file, errors);
    if (rc == -ENOMEM)
        buffer_printf(errors, "%s: out of memory\n", file);
    faults_fini(&faults);
    return rc;
}

/* Whatever can be read to an end, a pipe too.  One octet more than allowed is
 * enough to know. */
static int read_all(int fd, struct buffer *text)
{
    for (;;) {
        ssize_t n;

        if (text->len > CONFIG_BYTES_MAX)
            return -EFBIG;
        if (buffer_reserve(text, 65536) < 0)
            return -ENOMEM;
        n = read(fd, text->data + text->len, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        text->len += (size_t)n;
    }
}

static int read_file(const char *file, struct buffer *text)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC), rc;

    if (fd < 0)
        return -errno;
    rc = read_all(fd, text);
    close(fd);
    return rc;
}

int config_load(struct config **out, const char *file, struct buffer *errors)
{
    struct buffer text = {0};
    int rc = read_file(file, &text);

    if (rc == -EFBIG)
        buffer_printf(errors, "%s: larger than %u MiB, which no config file "
                      "is\n", file, CONFIG_BYTES_MAX >> 20);
    else if (rc < 0)
        buffer_printf(errors, "%s: cannot read it: %s\n", file, strerror(-rc));
    else
        rc = config_parse(out, file, text.data, text.len, errors);
    buffer_fini(&text);
    return rc;
}
