/* entry.h - an entry of a Redis stream, as a message. */
#ifndef PENSTOCK_REDIS_ENTRY_H
#define PENSTOCK_REDIS_ENTRY_H

#include <hiredis/hiredis.h>

#include "base/buffer.h"
#include "penstock/message.h"

/* An entry's id, "MS-SEQ"; all zero is what comes before the first. */
struct entry_id {
    uint64_t ms, seq;
};

/* False where s is none.  "MS" alone is "MS-0". */
bool entry_id_parse(struct entry_id *id, struct str s);
/* < 0, 0 or > 0, as a comes before b, is b, or comes after it. */
int entry_id_compare(struct entry_id a, struct entry_id b);

/* What fields (names and values in turn) are as a message.  field names the one
 * that is the data; NULL: "data", or where there is none all of them, as a JSON
 * object written to json.  False: there is no such field, or fields is nothing
 * of the kind. */
bool entry_parts(struct message_parts *out, const redisReply *fields,
                 const char *field, struct buffer *json);

#endif
