/* alike.h - answers that many clients get alike, as those who waited for the
 * same message by long poll: put together once, head and all, and then sent.
 * A thread's own; it keeps the last few, for a second at most. */
#ifndef PENSTOCK_HTTP_ALIKE_H
#define PENSTOCK_HTTP_ALIKE_H

#include "http/exchange.h"

#define ALIKE_KEY_MAX 64

struct alike;

/* An answer that was given to key (len octets, all that it depends on) and may
 * be given to x as well; NULL: there is none. */
const struct alike *alike_find(const struct exchange *x, const void *key,
                               size_t len);
/* Answers with it, as exchange_respond() does. */
void alike_send(struct exchange *x, const struct alike *a);
/* As exchange_respond(), and it can be found again. */
void alike_respond(struct exchange *x, const void *key, size_t len,
                   unsigned status, const struct headers *headers,
                   struct str body);
/* Frees them: the thread ends. */
void alike_thread_end(void);

#endif
