#include "hub/hub.h"

#include <errno.h>

void hub_init(struct hub *hub, unsigned workers, unsigned channels_max,
              hub_post_fn *post, void *post_arg)
{
    *hub = (struct hub){
        .workers = workers,
        .channels_max = channels_max,
        .post = post,
        .post_arg = post_arg,
    };
    pthread_rwlock_init(&hub->lock, NULL);
    order_init(&hub->order);
}

void hub_fini(struct hub *hub)
{
    struct channel *c, *next;

    HASH_ITER(hh, hub->table, c, next)
    {
        HASH_DEL(hub->table, c);
        channel_unref(&c);
    }
    order_fini(&hub->order);
    pthread_rwlock_destroy(&hub->lock);
}

/* Under the lock, held for writing.  The table's reference is the caller's
 * now.  A channel that gets its name later knows that messages are gone. */
static void unlist(struct hub *hub, struct channel *c)
{
    order_forget(&hub->order, atomic_load(&c->newest_stamp));
    HASH_DEL(hub->table, c);
}

/* Under the lock.  With a reference, or NULL. */
static struct channel *find(struct hub *hub, struct str name)
{
    struct channel *c;

    HASH_FIND(hh, hub->table, name.p, name.n, c);
    return c == NULL ? NULL : channel_ref(c);
}

/* Under the lock, held for writing. */
static int find_or_add(struct hub *hub, struct str name,
                       const struct history_bounds *bounds,
                       struct channel **out)
{
    struct channel *c = find(hub, name); /* another thread was first */

    if (c == NULL) {
        if (HASH_COUNT(hub->table) >= hub->channels_max)
            return -ENOSPC;
        c = channel_new(hub, name, hub->workers, bounds);
        if (c == NULL)
            return -ENOMEM;
        HASH_ADD_KEYPTR(hh, hub->table, c->name, name.n, c);
        if (c->hh.tbl == NULL) {
            channel_unref(&c);
            return -ENOMEM;
        }
        channel_ref(c);
    }
    *out = c;
    return 0;
}

int hub_channel(struct hub *hub, struct str name,
                const struct history_bounds *bounds, struct channel **out)
{
    int rc;

    if (name.n == 0 || name.n > CHANNEL_NAME_MAX)
        return -ENAMETOOLONG;
    pthread_rwlock_rdlock(&hub->lock);
    *out = find(hub, name);
    pthread_rwlock_unlock(&hub->lock);
    if (*out != NULL)
        return 0;
    if (bounds == NULL)
        return -ENOENT;
    pthread_rwlock_wrlock(&hub->lock);
    rc = find_or_add(hub, name, bounds, out);
    pthread_rwlock_unlock(&hub->lock);
    return rc;
}

int hub_delete(struct hub *hub, struct str name)
{
    struct channel *c;

    pthread_rwlock_wrlock(&hub->lock);
    HASH_FIND(hh, hub->table, name.p, name.n, c);
    if (c != NULL)
        unlist(hub, c);
    pthread_rwlock_unlock(&hub->lock);
    if (c == NULL)
        return -ENOENT;
    channel_end(c);
    channel_unref(&c); /* the table's */
    return 0;
}

void hub_set_limit(struct hub *hub, unsigned channels_max)
{
    pthread_rwlock_wrlock(&hub->lock);
    hub->channels_max = channels_max;
    pthread_rwlock_unlock(&hub->lock);
}

void hub_each(struct hub *hub, void (*each)(struct channel *c, void *arg),
              void *arg)
{
    pthread_rwlock_rdlock(&hub->lock);
    for (struct channel *c = hub->table; c != NULL; c = c->hh.next)
        each(c, arg);
    pthread_rwlock_unlock(&hub->lock);
}

struct sweep {
    uint64_t now_us, idle_us;
    unsigned reapable;
};

/* Only the table refers to it, it holds nothing, and it has been so a while.
 * References are made under the hub's lock, so refs == 1 stays true there. */
static bool is_reapable(struct channel *c, const struct sweep *s)
{
    struct channel_status status;

    if (atomic_load(&c->refs) != 1 ||
        atomic_load(&c->used_us) + s->idle_us > s->now_us)
        return false;
    channel_status(c, &status);
    return status.messages == 0;
}

static void sweep_one(struct channel *c, void *arg)
{
    struct sweep *s = arg;

    channel_expire(c, s->now_us);
    s->reapable += is_reapable(c, s);
}

static void reap(struct hub *hub, const struct sweep *s)
{
    struct channel *c, *next;

    pthread_rwlock_wrlock(&hub->lock);
    HASH_ITER(hh, hub->table, c, next)
    {
        if (!is_reapable(c, s))
            continue;
        unlist(hub, c);
        channel_unref(&c);
    }
    pthread_rwlock_unlock(&hub->lock);
}

void hub_sweep(struct hub *hub, uint64_t now_us, uint64_t idle_us)
{
    struct sweep s = {.now_us = now_us, .idle_us = idle_us};

    hub_each(hub, sweep_one, &s);
    if (s.reapable > 0)
        reap(hub, &s);
}
