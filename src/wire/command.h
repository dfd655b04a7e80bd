/* command.h - what a client of penstock.v1 says on a multiplexed route:
 *
 *   {"subscribe":"CHANNEL"}   {"subscribe":"CHANNEL","since":"ID"}
 *   {"unsubscribe":"CHANNEL"}
 *
 * and what it is told:
 *
 *   {"subscribed":"CHANNEL","id":"ID"}   {"unsubscribed":"CHANNEL"}
 *   {"error":{"channel":"CHANNEL","detail":"…"}} */
#ifndef PENSTOCK_WIRE_COMMAND_H
#define PENSTOCK_WIRE_COMMAND_H

#include "base/buffer.h"

enum command_kind { COMMAND_SUBSCRIBE, COMMAND_UNSUBSCRIBE };

struct command {
    enum command_kind kind;
    struct str channel;
    struct str since; /* absent: it was not given */
    void *document;   /* what they point into */
};

/* 0; -EINVAL: it is none, and *why a static text; -ENOMEM.  After 0, *out is to
 * be given to command_fini(). */
int command_parse(struct command *out, struct str text, const char **why);
void command_fini(struct command *c);

/* id: where the first message of the channel follows. */
void command_subscribed(struct buffer *out, struct str channel, struct str id);
void command_unsubscribed(struct buffer *out, struct str channel);
/* channel may be absent. */
void command_error(struct buffer *out, struct str channel, const char *detail);

#endif
