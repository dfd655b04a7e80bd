#include "feed/target.h"

#include <errno.h>
#include <stdio.h>

#include "base/logging.h"
#include "feed/source.h"
#include "net/tls.h"
#include "proxy/backend.h"
#include "wire/unpack.h"

/* ---- which server --------------------------------------------------------- */

/* Looked up each time: a reload may have replaced them all. */
const struct backend_server *target_server(const struct target *t,
                                           const struct source *s)
{
    const struct backend *b = source_settings(s)->backend;

    for (unsigned i = 0; i < b->server_count; i++) {
        const struct backend_server *at = &b->servers[i];

        if (at->https == t->at.https && at->port == t->at.port &&
            str_eq_nocase(str_of(at->host), str_of(t->at.host)))
            return at;
    }
    return NULL;
}

static void set_tls(struct target *t, struct tls_server *tls)
{
    tls_server_unref(&t->tls);
    t->tls = tls;
}

int target_begin(struct target *t, const struct source *s, struct str path)
{
    const struct backend_server *at =
        backend_pick(source_settings(s)->backend);

    t->redirects = 0;
    t->foreign = false;
    t->at.https = at->https;
    t->at.port = at->port;
    snprintf(t->at.host, sizeof(t->at.host), "%s", at->host);
    t->at.path.len = 0;
    t->at.path.failed = false;
    buffer_append_str(&t->at.path, path);
    set_tls(t, at->tls == NULL ? NULL : tls_server_ref(at->tls));
    return t->at.path.failed ? -ENOMEM : 0;
}

void target_fini(struct target *t)
{
    set_tls(t, NULL);
    location_fini(&t->at);
}

/* ---- the request ---------------------------------------------------------- */

struct client *target_connect(const struct target *t, const struct source *s,
                              const struct client_ops *ops, void *arg)
{
    return client_connect(t->at.host, t->at.port, t->tls,
                          source_settings(s)->backend->connect_ms, ops, arg);
}

void target_write_request(const struct target *t, const struct source *s,
                          struct buffer *out)
{
    const struct source_settings *settings = source_settings(s);

    buffer_append_str(out, STR("GET "));
    buffer_append_str(out, buffer_str(&t->at.path));
    buffer_append_str(out, STR(" HTTP/1.1\r\nHost: "));
    location_write_host(&t->at, out);
    buffer_printf(out, "\r\nAccept-Encoding: %s\r\n",
                  settings->compress ? UNPACK_ACCEPT : "identity");
    if (t->foreign || !settings->has_agent)
        buffer_append_str(out, STR("User-Agent: penstock\r\n"));
    if (t->foreign)
        return;
    buffer_append_str(out, str_of(settings->fields));
    buffer_append_str(out, source_passed(s));
}

/* What a query's value cannot hold. */
static void append_value(struct buffer *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
            strchr("-._~", c) != NULL)
            buffer_append_byte(out, (char)c);
        else
            buffer_printf(out, "%%%02X", c);
    }
}

void target_write_param(struct buffer *out, struct str path, const char *name,
                        const char *value)
{
    buffer_append_str(out, path);
    buffer_append_byte(out, memchr(path.p, '?', path.n) != NULL ? '&' : '?');
    buffer_append_str(out, str_of(name));
    buffer_append_byte(out, '=');
    append_value(out, value);
}

/* ---- redirects ------------------------------------------------------------ */

bool target_is_redirect(const struct http_message *m, struct str *location)
{
    *location = headers_get_only(&m->headers, "Location");
    return m->status == 301 || m->status == 302 || m->status == 303 ||
           m->status == 307 || m->status == 308;
}

/* TLS with a server that is none of the backend's: its authorities, and not its
 * certificate. */
static const char *make_foreign_tls(const struct location *l,
                                    const struct backend *b,
                                    struct tls_server **out)
{
    *out = NULL;
    if (!l->https)
        return NULL;
    if (b->tls.context == NULL)
        return "the backend redirects to https, but has no https server";
    *out = tls_server_new(b->tls.context, l->host, true);
    return *out == NULL ? "out of memory" : NULL;
}

/* Takes up t->at, which is where an answer from https, or not, has led. */
static const char *move(struct target *t, const struct source *s,
                        bool was_https)
{
    const struct source_settings *settings = source_settings(s);
    const struct backend_server *known = target_server(t, s);
    struct tls_server *tls = NULL;
    const char *why;

    /* For good: the way back from a stranger is one that he has chosen. */
    t->foreign |= known == NULL;
    if (known != NULL) {
        set_tls(t, known->tls == NULL ? NULL : tls_server_ref(known->tls));
        return NULL;
    }
    if (settings->redirects != REDIRECTS_ANY)
        return "the backend redirects to a server that is none of its own";
    if (was_https && !t->at.https)
        return "the backend redirects from https to http";
    why = make_foreign_tls(&t->at, settings->backend, &tls);
    if (why == NULL)
        set_tls(t, tls);
    return why;
}

const char *target_follow(struct target *t, const struct source *s,
                          struct str location)
{
    bool was_https = t->at.https;
    char quoted[300];
    int rc;

    if (source_settings(s)->redirects == REDIRECTS_NONE)
        return "the backend redirects, and \"redirects\" is \"none\"";
    if (t->redirects++ == TARGET_REDIRECTS_MAX)
        return "the backend redirects more than 5 times";
    if (location.n == 0)
        return "the backend redirects without saying where";
    rc = location_resolve(&t->at, location);
    if (rc < 0)
        return rc == -ENOMEM ? "out of memory"
                             : "the backend redirects to what is no URL";
    log_debug("source.redirect", "%s host=%s port=%u", source_label(s),
              log_quote(quoted, sizeof(quoted), t->at.host,
                        strlen(t->at.host)),
              t->at.port);
    return move(t, s, was_https);
}
