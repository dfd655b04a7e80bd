#include "wire/unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#define PIECE_MAX 16384

#define WINDOW_BITS 15
#define GZIP_BITS   (WINDOW_BITS + 16)

struct unpack {
    z_stream z;
    bool gzip;
    bool begun;          /* zlib knows what it is */
    bool ended;          /* a member of it has ended, and no other begun */
    unsigned char first; /* of "deflate": its first octet, if has_first */
    bool has_first;
    uint64_t in, out;    /* octets so far */
};

static bool is_gzip(struct str coding)
{
    return str_eq_nocase(coding, STR("gzip")) ||
           str_eq_nocase(coding, STR("x-gzip")); /* RFC 9110 8.4.1.3 */
}

int unpack_new(struct unpack **out, struct str encoding)
{
    struct str coding = STR_NONE, element;
    struct unpack *u;

    *out = NULL;
    while (str_list_next(&encoding, &element)) {
        if (str_eq_nocase(element, STR("identity")))
            continue;
        if (coding.p != NULL)
            return -ENOTSUP;
        coding = element;
    }
    if (coding.p == NULL)
        return 0;
    if (!is_gzip(coding) && !str_eq_nocase(coding, STR("deflate")))
        return -ENOTSUP;
    u = calloc(1, sizeof(*u));
    if (u == NULL)
        return -ENOMEM;
    u->gzip = is_gzip(coding);
    *out = u;
    return 0;
}

void unpack_free(struct unpack **up)
{
    struct unpack *u = *up;

    *up = NULL;
    if (u == NULL)
        return;
    if (u->begun)
        inflateEnd(&u->z);
    free(u);
}

/* "deflate" is zlib's form (RFC 1950), but some leave that out and send bare
 * blocks (RFC 1951): the first two octets tell. */
static bool is_zlib(unsigned char first, unsigned char second)
{
    return (first & 0x0f) == Z_DEFLATED && (first * 256 + second) % 31 == 0;
}

/* Makes zlib ready for data, and gives it the octet that was held back.
 * 0, -ENOMEM, or 1 where another octet is needed to know. */
static int begin(struct unpack *u, struct str data)
{
    int bits = GZIP_BITS;

    if (!u->gzip && !u->has_first && data.n == 1) {
        u->first = (unsigned char)data.p[0];
        u->has_first = true;
        return 1;
    }
    if (!u->gzip) {
        const char *second = u->has_first ? data.p : data.p + 1;

        if (!u->has_first)
            u->first = (unsigned char)data.p[0];
        bits = is_zlib(u->first, (unsigned char)*second) ? WINDOW_BITS
                                                         : -WINDOW_BITS;
    }
    if (inflateInit2(&u->z, bits) != Z_OK)
        return -ENOMEM;
    u->begun = true;
    return 0;
}

static bool is_too_much(const struct unpack *u)
{
    return u->out > UNPACK_FREE_BYTES &&
           (u->out - UNPACK_FREE_BYTES) / UNPACK_RATIO > u->in;
}

/* What zlib has to say of a call.  1: it wants to be called again. */
static int judge(struct unpack *u, int rc, bool filled)
{
    if (rc == Z_MEM_ERROR)
        return -ENOMEM;
    if (rc != Z_OK && rc != Z_BUF_ERROR && rc != Z_STREAM_END)
        return -EPROTO;
    if (is_too_much(u))
        return -EMSGSIZE;
    u->ended = rc == Z_STREAM_END;
    if (!u->ended)
        return filled || u->z.avail_in > 0;
    if (u->z.avail_in == 0)
        return 0;
    /* Members may follow each other (RFC 1952 2.2), and nothing else. */
    if (!u->gzip || inflateReset(&u->z) != Z_OK)
        return -EPROTO;
    return 1;
}

static int inflate_all(struct unpack *u, struct str data, unpack_fn *put,
                       void *arg)
{
    char piece[PIECE_MAX];
    int rc, more;

    u->z.next_in = (Bytef *)data.p;
    u->z.avail_in = (uInt)data.n;
    do {
        size_t n, left = u->z.avail_in;

        u->z.next_out = (Bytef *)piece;
        u->z.avail_out = sizeof(piece);
        rc = inflate(&u->z, Z_SYNC_FLUSH);
        n = sizeof(piece) - u->z.avail_out;
        u->in += left - u->z.avail_in;
        u->out += n;
        more = judge(u, rc, n == sizeof(piece));
        rc = n > 0 ? put(arg, piece, n) : 0;
    } while (rc >= 0 && more > 0);
    return rc < 0 ? rc : more;
}

static int feed_first(struct unpack *u, unpack_fn *put, void *arg)
{
    struct str first = {(const char *)&u->first, 1};

    u->has_first = false;
    return inflate_all(u, first, put, arg);
}

int unpack_feed(struct unpack *u, struct str data, unpack_fn *put, void *arg)
{
    int rc;

    if (data.n == 0)
        return 0;
    if (u->ended) { /* zlib has not been told: it was not known to go on */
        if (!u->gzip || inflateReset(&u->z) != Z_OK)
            return -EPROTO;
        u->ended = false;
    }
    if (!u->begun) {
        rc = begin(u, data);
        if (rc != 0)
            return rc > 0 ? 0 : rc;
        rc = u->has_first ? feed_first(u, put, arg) : 0;
        if (rc < 0)
            return rc;
    }
    return inflate_all(u, data, put, arg);
}

bool unpack_complete(const struct unpack *u)
{
    return u->ended || (!u->begun && !u->has_first);
}
