#include "server/race.h"

#include <errno.h>

#include "modules.h"
#include "server/multiplex.h"
#include "server/server.h"

/* Everybody races under the same rules: each message, at once, as it is. */
static const struct reader_settings spectator = {
    .start = START_NOW,
    .lag = LAG_SKIP,
    .heartbeat_ms = 15000,
    .write_ms = 30000,
    .wait_ms = 60000,
    .batch_messages = 1000,
    .batch_bytes = 1 << 20,
    .retry_ms = 1000,
};

static const struct transport *find_transport(struct str name)
{
    for (int k = 0; k < KIND_N; k++)
        if (str_eq(name, str_of(tally_transports[k])))
            return modules_transport(tally_transports[k]);
    return NULL;
}

static void refuse(struct exchange *x, int error)
{
    if (error == -ENOENT)
        exchange_problem(x, 404, NULL,
                         "there are /race/TRANSPORT/CHANNEL, of the channels "
                         "that are not one client's own");
    else
        exchange_problem(x, error == -ENAMETOOLONG ? 414 : 503, NULL,
                         error == -ENAMETOOLONG ? "the name is too long"
                         : error == -ENOSPC     ? "limits.channels is reached"
                                                : "out of memory");
}

static void open_reader(struct exchange *x, const struct transport *t,
                        const struct feed_channel *c)
{
    struct feed feed = {
        .channel = c->channel,
        .snapshot = x->snapshot,
        .reader = &spectator,
        .source = c->source,
        .request = {.path = buffer_str(&c->source_path)},
    };

    serve_read(x->request, &feed);
    t->open(x, &feed);
}

void race_serve(struct exchange *x, struct str rest)
{
    struct str name, channel = str_split(rest, '/', &name);
    const struct transport *t = find_transport(name);
    struct feed_channel found;
    int rc = -ENOENT;

    x->route = "/race";
    x->snapshot = snapshot_ref(&server_part(x)->config->snapshot);
    if (t != NULL && channel.n > 0)
        rc = multiplex_find_any(x, channel, &found);
    if (rc < 0) {
        refuse(x, rc);
        return;
    }
    open_reader(x, t, &found);
    feed_channel_fini(&found);
}
