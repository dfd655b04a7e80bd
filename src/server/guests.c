#include "server/guests.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "net/address.h"

struct guest {
    UT_hash_handle hh;
    struct address address;
    unsigned connections;
};

void guests_init(struct guests *g)
{
    g->table = NULL;
    pthread_mutex_init(&g->lock, NULL);
}

void guests_fini(struct guests *g)
{
    assert(g->table == NULL);
    pthread_mutex_destroy(&g->lock);
}

/* Under the lock. */
static struct guest *find_or_add(struct guests *g, const struct address *who)
{
    struct guest *guest;

    HASH_FIND(hh, g->table, who, sizeof(*who), guest);
    if (guest != NULL)
        return guest;
    guest = calloc(1, sizeof(*guest));
    if (guest == NULL)
        return NULL;
    guest->address = *who;
    HASH_ADD(hh, g->table, address, sizeof(guest->address), guest);
    if (guest->hh.tbl != NULL)
        return guest;
    free(guest);
    return NULL;
}

int guests_enter(struct guests *g, const struct address *who, unsigned max,
                 struct guest **out)
{
    struct guest *guest;
    int rc = 0;

    pthread_mutex_lock(&g->lock);
    guest = find_or_add(g, who);
    if (guest == NULL)
        rc = -ENOMEM;
    else if (guest->connections >= max)
        rc = -EBUSY;
    else
        guest->connections++;
    pthread_mutex_unlock(&g->lock);
    *out = rc == 0 ? guest : NULL;
    return rc;
}

void guests_leave(struct guests *g, struct guest *guest)
{
    if (guest == NULL)
        return;
    pthread_mutex_lock(&g->lock);
    if (--guest->connections == 0) {
        HASH_DEL(g->table, guest);
        free(guest);
    }
    pthread_mutex_unlock(&g->lock);
}
