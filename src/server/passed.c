#include "server/passed.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>

#include "config/config.h"

static unsigned char key[32];
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

/* Without it names would tell who sends what. */
static void make_key(void)
{
    if (RAND_bytes(key, sizeof(key)) != 1)
        abort();
}

void passed_collect(struct buffer *out, const struct headers *h,
                    char *const *names)
{
    struct str value;

    for (; *names != NULL; names++) {
        unsigned at = 0;

        while (headers_next(h, *names, &at, &value))
            header_write(out, str_of(*names), value);
    }
}

void passed_name(struct buffer *name, struct str passed)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    const unsigned char *data =
        (const unsigned char *)(passed.n > 0 ? passed.p : "");

    pthread_once(&key_once, make_key);
    if (HMAC(EVP_sha256(), key, sizeof(key), data, passed.n, digest, NULL) ==
        NULL) {
        name->failed = true;
        return;
    }
    buffer_append_byte(name, CONFIG_CLIENT_MARK);
    for (int i = 0; i < CONFIG_CLIENT_DIGITS / 2; i++)
        buffer_printf(name, "%02x", digest[i]);
}
