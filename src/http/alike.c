#include "http/alike.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"

#define SLOTS 16
/* A longer body costs more to send than its head to write. */
#define BODY_MAX (16 * 1024)

struct alike {
    unsigned char key[ALIKE_KEY_MAX];
    size_t key_len;         /* 0: there is none */
    uint64_t made_s;        /* the Date in it */
    unsigned status;
    size_t body_bytes;
    struct buffer octets;
};

static _Thread_local struct alike slots[SLOTS];

static struct alike *slot_of(const unsigned char *key, size_t len)
{
    uint64_t h = len;

    for (size_t i = 0; i < len; i++)
        h = (h ^ key[i]) * UINT64_C(0x100000001b3);
    return &slots[(h >> 32) % SLOTS];
}

/* Nothing in its head is x's own. */
static bool is_plain(const struct exchange *x)
{
    return x->protocol->render != NULL && x->keep_alive && x->request_done &&
           !x->http10 && !x->is_head && x->extra == NULL &&
           !x->service->draining;
}

const struct alike *alike_find(const struct exchange *x, const void *key,
                               size_t len)
{
    const struct alike *a = slot_of(key, len);

    if (a->key_len != len || memcmp(a->key, key, len) != 0 || !is_plain(x) ||
        a->made_s != clock_wall_ms() / 1000)
        return NULL;
    return a;
}

void alike_send(struct exchange *x, const struct alike *a)
{
    exchange_send_whole(x, a->status, buffer_str(&a->octets), a->body_bytes);
}

/* False: it cannot be kept. */
static bool make(struct alike *a, struct exchange *x, unsigned status,
                 const struct headers *headers, struct str body)
{
    a->key_len = 0;
    a->octets.len = 0;
    if (body.n > BODY_MAX || !is_plain(x))
        return false;
    x->protocol->render(x, &a->octets, status, headers, body.n);
    buffer_append_str(&a->octets, body);
    if (!a->octets.failed)
        return true;
    buffer_fini(&a->octets);
    return false;
}

void alike_respond(struct exchange *x, const void *key, size_t len,
                   unsigned status, const struct headers *headers,
                   struct str body)
{
    struct alike *a = slot_of(key, len);

    assert(len > 0 && len <= ALIKE_KEY_MAX);
    if (!make(a, x, status, headers, body)) {
        exchange_respond(x, status, headers, body.p, body.n);
        return;
    }
    memcpy(a->key, key, len);
    a->key_len = len;
    a->made_s = clock_wall_ms() / 1000;
    a->status = status;
    a->body_bytes = body.n;
    alike_send(x, a);
}

void alike_thread_end(void)
{
    for (int i = 0; i < SLOTS; i++) {
        buffer_fini(&slots[i].octets);
        slots[i].key_len = 0;
    }
}
