#include "bench/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/tls.h"

/* ws and wss are http and https by another name. */
static bool begin_url(const char *url, struct buffer *out)
{
    static const char *const schemes[][2] = {
        {"http://", "http://"},
        {"https://", "https://"},
        {"ws://", "http://"},
        {"wss://", "https://"},
    };

    for (int i = 0; i < 4; i++) {
        size_t n = strlen(schemes[i][0]);

        if (strncmp(url, schemes[i][0], n) == 0) {
            buffer_append_str(out, str_of(schemes[i][1]));
            buffer_append_str(out, str_of(url + n));
            return true;
        }
    }
    return false;
}

static int place_init(struct location *at, struct str url, unsigned channel)
{
    struct buffer text = {0};
    int rc;

    while (url.n > 0) {
        if (str_starts(url, STR("{channel}"))) {
            buffer_append_u64(&text, channel);
            url = (struct str){url.p + 9, url.n - 9};
        } else {
            buffer_append_byte(&text, *url.p);
            url = (struct str){url.p + 1, url.n - 1};
        }
    }
    rc = text.failed ? -ENOMEM : location_resolve(at, buffer_str(&text));
    buffer_fini(&text);
    return rc;
}

int places_init(struct places *p, const char *url, unsigned count)
{
    struct buffer text = {0};
    int rc = begin_url(url, &text) ? 0 : -EINVAL;

    *p = (struct places){calloc(count, sizeof(*p->list)), count};
    if (p->list == NULL || text.failed)
        rc = -ENOMEM;
    for (unsigned i = 0; rc == 0 && i < count; i++)
        rc = place_init(&p->list[i], buffer_str(&text), i);
    buffer_fini(&text);
    return rc;
}

void places_fini(struct places *p)
{
    for (unsigned i = 0; p->list != NULL && i < p->count; i++)
        location_fini(&p->list[i]);
    free(p->list);
    p->list = NULL;
}

static int read_file(const char *name, struct buffer *out)
{
    FILE *f = fopen(name, "re");
    char part[4096];
    size_t n;
    int rc = f == NULL ? -errno : 0;

    while (rc == 0 && (n = fread(part, 1, sizeof(part), f)) > 0)
        buffer_append(out, part, n);
    if (rc == 0 && ferror(f))
        rc = -EIO;
    if (f != NULL)
        fclose(f);
    return out->failed ? -ENOMEM : rc;
}

int place_trust(struct tls_server **out, const struct location *at,
                const struct trust *trust, const char **why)
{
    struct tls_settings settings = {.verify = !trust->insecure};
    struct tls_context *context = NULL;
    struct buffer ca = {0};
    enum tls_setting which;
    int rc = 0;

    *out = NULL;
    if (!at->https)
        return 0;
    if (trust->ca != NULL)
        rc = read_file(trust->ca, &ca);
    settings.ca = buffer_str(&ca);
    if (rc == 0)
        rc = tls_context_new(&context, &settings, &which, why);
    buffer_fini(&ca);
    if (rc < 0)
        return rc;
    *out = tls_server_new(context, at->host, false);
    tls_context_unref(&context);
    return *out == NULL ? -ENOMEM : 0;
}
