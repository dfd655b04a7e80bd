/* command.h - what a client of penstock.v1 says on a multiplexed route:
 *
 *   {"subscribe":"CHANNEL"}   {"subscribe":"CHANNEL","since":"ID"}
 *   {"unsubscribe":"CHANNEL"}
 *
 * and what it is told:
 *
 *   {"subscribed":"CHANNEL","id":"ID"}   {"unsubscribed":"CHANNEL"}
 *   {"error":{"channel":"CHANNEL","detail":"…"}}
 *
 * and, of its messages to a backend:
 *
 *   {"error":{"status":503,"detail":"…"}}
 *   {"event":"message","data":…,"reply":true} */
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
/* Why something was not done.  channel absent: of no one; status 0: it is none
 * of HTTP's. */
void command_error(struct buffer *out, struct str channel, unsigned status,
                   struct str detail);
/* {"event":"message","data":…,"reply":true}: what the backend says to one client
 * alone; data stands as it does in an envelope. */
void command_reply(struct buffer *out, struct str content_type,
                   struct str data);

#endif
