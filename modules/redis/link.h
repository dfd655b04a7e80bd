/* link.h - a connection to a Redis (RESP2): commands go out, replies come in.
 * Logging in, picking the database and finding out that the other end is dead
 * are done here.  Lives on the worker that opened it. */
#ifndef PENSTOCK_REDIS_LINK_H
#define PENSTOCK_REDIS_LINK_H

#include <hiredis/hiredis.h>

#include "penstock/message.h"
#include "proxy/backend.h"

struct buffer;
struct link;

struct link_ops {
    /* A reply, or what a subscription brings; borrowed.  It may close the
     * link. */
    void (*reply)(void *arg, const redisReply *reply);
    /* All that came together has been told. */
    void (*delivered)(void *arg);
    /* Over: the link is gone.  why is static. */
    void (*failed)(void *arg, const char *why);
};

/* Begins to connect; commands may follow at once.  backend and server are
 * borrowed.  failed() is never called from inside.  NULL when out of memory. */
struct link *link_open(const struct backend *backend,
                       const struct backend_server *server,
                       const struct link_ops *ops, void *arg);
/* Closes without a word to ops. */
void link_close(struct link *l);

/* The largest string that is waited for: who announces more is cut off.  It
 * only grows. */
void link_allow(struct link *l, size_t bytes);

/* Sends a command of n words.  0; -ENOMEM: it was not sent, which is logged. */
int link_command(struct link *l, const struct str *words, int n);

/* Appends all that makes a connection one that others may share. */
void link_key(struct buffer *out, const struct backend *b,
              const struct backend_server *at);

static inline struct str reply_str(const redisReply *r)
{
    return (struct str){r->str, r->str == NULL ? 0 : (size_t)r->len};
}

/* For people: what an error says, quoted in out (cap octets). */
const char *reply_error(const redisReply *r, char *out, size_t cap);

#endif
