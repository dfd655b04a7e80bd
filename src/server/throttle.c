#include "server/throttle.h"

#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "net/address.h"

/* 8 buckets of 16 octets are two cache lines; 65536 buckets in all. */
#define WAYS  8
#define SETS  8192
#define LOCKS 64

struct bucket {
    uint64_t key;     /* 0: never used */
    uint64_t full_us; /* when it is full; once it is, it says nothing */
};

struct throttle {
    uint64_t seed; /* so that nobody can choose whose bucket he is in */
    pthread_mutex_t locks[LOCKS];
    struct bucket sets[SETS][WAYS];
};

struct throttle *throttle_new(void)
{
    struct throttle *t = calloc(1, sizeof(*t)); /* pages come as touched */

    if (t == NULL)
        return NULL;
    RAND_bytes((unsigned char *)&t->seed, sizeof(t->seed));
    for (int i = 0; i < LOCKS; i++)
        pthread_mutex_init(&t->locks[i], NULL);
    return t;
}

void throttle_free(struct throttle *t)
{
    for (int i = 0; t != NULL && i < LOCKS; i++)
        pthread_mutex_destroy(&t->locks[i]);
    free(t);
}

/* Every bit of the input in every bit of the output. */
static uint64_t mix(uint64_t h)
{
    h = (h ^ (h >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    h = (h ^ (h >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    return h ^ (h >> 32);
}

static uint64_t key_of(const struct throttle *t, uint64_t what,
                       const struct address *who)
{
    uint64_t halves[2], h = mix(t->seed ^ what);

    memcpy(halves, who->octets, sizeof(halves));
    for (int i = 0; i < 2; i++)
        h = mix(h ^ halves[i]) + t->seed;
    return h == 0 ? 1 : h;
}

/* Its bucket; or else the one that is full first, which loses the least. */
static struct bucket *find(struct bucket set[WAYS], uint64_t key)
{
    struct bucket *least = &set[0];

    for (int i = 0; i < WAYS; i++) {
        if (set[i].key == key)
            return &set[i];
        if (set[i].full_us < least->full_us)
            least = &set[i];
    }
    *least = (struct bucket){.key = key};
    return least;
}

uint64_t throttle_take(struct throttle *t, const struct rate *rate,
                       uint64_t what, const struct address *who,
                       uint64_t now_us)
{
    uint64_t key = key_of(t, what, who), wait_us;
    unsigned at = key % SETS;
    pthread_mutex_t *lock = &t->locks[at % LOCKS];
    struct bucket *b;

    pthread_mutex_lock(lock);
    b = find(t->sets[at], key);
    wait_us = rate_wait_us(rate, b->full_us, now_us);
    if (wait_us == 0)
        b->full_us = rate_take(rate, b->full_us, now_us);
    pthread_mutex_unlock(lock);
    return wait_us;
}
