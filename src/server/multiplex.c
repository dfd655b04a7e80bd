#include "server/multiplex.h"

#include <errno.h>
#include <stdlib.h>

#include "server/apply.h"
#include "server/server.h"

/* ---- names ------------------------------------------------------------------- */

/* What may stand in a path, and so in a channel's name, as it is (RFC 3986
 * 3.3); an escape stands for itself. */
static bool is_plain(unsigned char c)
{
    return pattern_unreserved(c) || (c != '\0' && strchr("/%!$&'()*+,;=:@", c));
}

/* Appends the name that a path would have made of these octets. */
static void append_name(struct buffer *out, struct str octets)
{
    struct buffer escaped = {0};

    for (size_t i = 0; i < octets.n; i++) {
        unsigned char c = (unsigned char)octets.p[i];

        if (is_plain(c))
            buffer_append_byte(&escaped, (char)c);
        else
            buffer_printf(&escaped, "%%%02X", c);
    }
    pattern_normalize(buffer_str(&escaped), out);
    out->failed |= escaped.failed;
    buffer_fini(&escaped);
}

/* The route whose channel that is: r, or, where r is none or has no channels of
 * its own, another one of the file. */
static const struct route *find_home(const struct config *config,
                                     const struct route *r, struct str name,
                                     struct pattern_values *values)
{
    const struct route *home;

    if (r != NULL && r->channel_text != NULL)
        return pattern_match(&r->channel, name, values) ? r : NULL;
    home = config_route_of_channel(config, name, values);
    return home == NULL || home->per_connection ||
                   home->source.per == PER_CLIENT
               ? NULL
               : home;
}

static int open_channel(struct exchange *x, const struct route *home,
                        struct str name, const struct pattern_values *values,
                        struct feed_channel *out)
{
    struct history_bounds bounds = apply_bounds(home);
    int rc = config_source_path(home, values, &out->source_path);

    if (rc == 0)
        rc = hub_channel(&server_part(x)->server->hub, name, &bounds,
                         &out->channel);
    out->source = &home->source;
    return rc;
}

/* Of route r, or, with NULL, of any. */
static int find(struct exchange *x, const struct route *r, struct str name,
                struct feed_channel *out)
{
    const struct config *config = (const struct config *)x->snapshot;
    struct pattern_values values;
    struct buffer text = {0};
    const struct route *home;
    int rc = -ENOENT;

    *out = (struct feed_channel){.channel = NULL};
    append_name(&text, name);
    if (text.failed)
        rc = -ENOMEM;
    else if ((home = find_home(config, r, buffer_str(&text), &values)) != NULL)
        rc = open_channel(x, home, buffer_str(&text), &values, out);
    if (rc < 0)
        feed_channel_fini(out);
    buffer_fini(&text);
    return rc;
}

int multiplex_find(struct exchange *x, struct str name,
                   struct feed_channel *out)
{
    return find(x, x->about, name, out);
}

int multiplex_find_any(struct exchange *x, struct str name,
                       struct feed_channel *out)
{
    return find(x, NULL, name, out);
}

/* ---- the request ----------------------------------------------------------- */

static bool has(const struct feed *feed, const struct channel *c)
{
    for (unsigned i = 0; i < feed->channel_count; i++)
        if (feed->channels[i].channel == c)
            return true;
    return false;
}

/* 0 or -errno; named twice is named once. */
static int add(struct exchange *x, struct feed *feed, struct str name)
{
    struct feed_channel *c = &feed->channels[feed->channel_count];
    int rc;

    if (feed->channel_count == FEED_CHANNELS_MAX)
        return -E2BIG;
    rc = multiplex_find(x, name, c);
    if (rc < 0)
        return rc;
    if (has(feed, c->channel))
        feed_channel_fini(c);
    else
        feed->channel_count++;
    return 0;
}

/* ?channel=, and ?since= of the channel before it. */
static int read_pair(struct exchange *x, struct feed *feed, struct str key,
                     struct str value, struct buffer *wrong)
{
    char text[3 * CHANNEL_NAME_MAX + 1];
    bool names = str_eq(key, STR("channel"));
    struct str decoded;
    int n, rc;

    if (!names && (!str_eq(key, STR("since")) || feed->channel_count == 0))
        return 0;
    n = str_query_decode(value, text, sizeof(text));
    decoded = (struct str){text, n < 0 ? 0 : (size_t)n};
    if (!names) {
        feed->channels[feed->channel_count - 1].cursor = cursor_parse(decoded);
        return 0;
    }
    rc = n <= 0 ? -ENOENT : add(x, feed, decoded);
    if (rc < 0)
        buffer_append_str(wrong, decoded);
    return rc;
}

/* A client that resumes has read on from where its URL says. */
static void advance_cursors(struct feed *feed)
{
    for (unsigned i = 0; i < feed->channel_count; i++) {
        struct cursor *own = &feed->channels[i].cursor;

        if (feed->cursor.kind != CURSOR_NONE && !feed->in_url &&
            (own->kind != CURSOR_ID || own->epoch != feed->cursor.epoch ||
             own->seq < feed->cursor.seq))
            own->kind = CURSOR_NONE;
    }
}

int multiplex_read(struct exchange *x, struct feed *feed,
                   struct buffer *wrong)
{
    struct str query = x->request->query, key, value;
    int rc = 0;

    feed->order = &server_part(x)->server->hub.order;
    feed->channels = calloc(FEED_CHANNELS_MAX, sizeof(*feed->channels));
    if (feed->channels == NULL)
        return -ENOMEM;
    while (rc == 0 && str_query_next(&query, &key, &value))
        rc = read_pair(x, feed, key, value, wrong);
    advance_cursors(feed);
    return rc;
}

void multiplex_fini(struct feed *feed)
{
    for (unsigned i = 0; i < feed->channel_count; i++)
        feed_channel_fini(&feed->channels[i]);
    free(feed->channels);
}
