#include "wire/deflate.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <zlib.h>

/* zlib counts its input in unsigned ints. */
#define PIECE_MAX ((size_t)1 << 30)

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* ---- deflating ------------------------------------------------------------- */

/* One state a window size, kept: making one costs more than deflating a small
 * message with it. */
struct states {
    z_stream streams[DEFLATE_BITS_MAX + 1];
    bool made[DEFLATE_BITS_MAX + 1];
    unsigned level[DEFLATE_BITS_MAX + 1];
};

static pthread_key_t states_key;
static pthread_once_t states_once = PTHREAD_ONCE_INIT;

static void free_states(void *arg)
{
    struct states *s = arg;

    for (int bits = 0; bits <= DEFLATE_BITS_MAX; bits++)
        if (s->made[bits])
            deflateEnd(&s->streams[bits]);
    free(s);
}

static void make_key(void)
{
    if (pthread_key_create(&states_key, free_states) != 0)
        abort(); /* the first keys of a process: 1024 are there */
}

static struct states *my_states(void)
{
    struct states *s;

    pthread_once(&states_once, make_key);
    s = pthread_getspecific(states_key);
    if (s != NULL)
        return s;
    s = calloc(1, sizeof(*s));
    if (s != NULL && pthread_setspecific(states_key, s) != 0) {
        free(s);
        s = NULL;
    }
    return s;
}

#define MEMORY 8 /* zlib's own choice */

/* A state that remembers nothing; NULL when out of memory. */
static z_stream *fresh_stream(unsigned bits, unsigned level)
{
    struct states *s = my_states();
    z_stream *z;

    if (s == NULL)
        return NULL;
    z = &s->streams[bits];
    if (!s->made[bits]) {
        if (deflateInit2(z, (int)level, Z_DEFLATED, -(int)bits, MEMORY,
                         Z_DEFAULT_STRATEGY) != Z_OK)
            return NULL;
        s->made[bits] = true;
        s->level[bits] = level;
        return z;
    }
    deflateReset(z);
    if (s->level[bits] != level)
        deflateParams(z, (int)level, Z_DEFAULT_STRATEGY);
    s->level[bits] = level;
    return z;
}

static void deflate_piece(z_stream *z, struct buffer *out, struct str piece,
                          int flush)
{
    z->next_in = (Bytef *)piece.p;
    z->avail_in = (uInt)piece.n;
    do {
        size_t room = least(deflateBound(z, z->avail_in) + 16, PIECE_MAX);

        if (buffer_reserve(out, room) < 0)
            return;
        z->next_out = (Bytef *)out->data + out->len;
        z->avail_out = (uInt)room;
        deflate(z, flush);
        out->len += room - z->avail_out;
    } while (z->avail_out == 0);
}

void deflate_append(struct buffer *out, struct str data, unsigned window_bits,
                    unsigned level)
{
    z_stream *z = fresh_stream(window_bits, level);

    if (z == NULL) {
        out->failed = true;
        return;
    }
    while (data.n > PIECE_MAX && !out->failed) {
        deflate_piece(z, out, (struct str){data.p, PIECE_MAX}, Z_NO_FLUSH);
        data.p += PIECE_MAX;
        data.n -= PIECE_MAX;
    }
    if (!out->failed)
        deflate_piece(z, out, data, Z_SYNC_FLUSH);
}

/* ---- inflating ------------------------------------------------------------- */

#define WINDOW ((size_t)1 << DEFLATE_BITS_MAX)

/* How many last blocks a message may have.  RFC 7692 7.2.3.4 allows them; each
 * costs a window's copy, so millions of empty ones are an attack. */
#define LAST_BLOCKS_MAX 1024

struct inflater {
    z_stream z;
    unsigned last_blocks;
    bool at_end; /* nothing has come, or nothing since a last block */
};

struct inflater *inflater_new(void)
{
    struct inflater *i = calloc(1, sizeof(*i));

    if (i == NULL)
        return NULL;
    i->at_end = true;
    if (inflateInit2(&i->z, -DEFLATE_BITS_MAX) != Z_OK) {
        free(i);
        return NULL;
    }
    return i;
}

void inflater_free(struct inflater **ip)
{
    struct inflater *i = *ip;

    *ip = NULL;
    if (i == NULL)
        return;
    inflateEnd(&i->z);
    free(i);
}

/* Blocks may follow a last one, and refer to what lies before it. */
static int begin_again(struct inflater *i, const struct buffer *out)
{
    size_t n = least(out->len, WINDOW);

    i->at_end = true;
    if (++i->last_blocks > LAST_BLOCKS_MAX ||
        inflateReset(&i->z) != Z_OK)
        return -EPROTO;
    if (n > 0 &&
        inflateSetDictionary(&i->z, (Bytef *)out->data + out->len - n,
                             (uInt)n) != Z_OK)
        return -ENOMEM;
    return 0;
}

/* Where the next octets go: into out, or, when that is full, into one octet
 * that must stay empty.  Returns the room, 0 when out of memory. */
static size_t make_room(z_stream *z, struct buffer *out, size_t limit_bytes,
                        char *spare)
{
    size_t room = least(limit_bytes - out->len,
                        least(4 * (size_t)z->avail_in + 256, 65536));

    if (room == 0) {
        z->next_out = (Bytef *)spare;
        z->avail_out = 1;
        return 1;
    }
    if (buffer_reserve(out, room) < 0)
        return 0;
    z->next_out = (Bytef *)out->data + out->len;
    z->avail_out = (uInt)room;
    return room;
}

/* One call of zlib.  1: there may be more. */
static int inflate_some(struct inflater *i, struct buffer *out,
                        size_t limit_bytes)
{
    bool full = out->len == limit_bytes;
    z_stream *z = &i->z;
    char spare;
    size_t room = make_room(z, out, limit_bytes, &spare);
    int rc;

    if (room == 0)
        return -ENOMEM;
    rc = inflate(z, Z_SYNC_FLUSH);
    if (full && z->avail_out == 0)
        return -EMSGSIZE;
    if (!full)
        out->len += room - z->avail_out;
    if (rc == Z_MEM_ERROR)
        return -ENOMEM;
    if (rc != Z_OK && rc != Z_BUF_ERROR && rc != Z_STREAM_END)
        return -EPROTO;
    if (rc == Z_STREAM_END) {
        rc = begin_again(i, out);
        return rc < 0 ? rc : z->avail_in > 0;
    }
    return z->avail_in > 0 || z->avail_out == 0;
}

static int inflate_piece(struct inflater *i, struct str piece,
                         struct buffer *out, size_t limit_bytes)
{
    int rc;

    i->z.next_in = (Bytef *)piece.p;
    i->z.avail_in = (uInt)piece.n;
    do {
        i->at_end = false;
        rc = inflate_some(i, out, limit_bytes);
    } while (rc > 0);
    return rc;
}

int inflater_feed(struct inflater *i, struct str data, struct buffer *out,
                  size_t limit_bytes)
{
    while (data.n > 0) {
        struct str piece = {data.p, least(data.n, PIECE_MAX)};
        int rc = inflate_piece(i, piece, out, limit_bytes);

        if (rc < 0)
            return rc;
        data.p += piece.n;
        data.n -= piece.n;
    }
    return 0;
}

int inflater_finish(struct inflater *i, struct buffer *out,
                    size_t limit_bytes)
{
    int rc;

    /* Some send nothing for nothing, and some end with a last block. */
    if (i->at_end)
        return 0;
    rc = inflater_feed(i, DEFLATE_TAIL, out, limit_bytes);
    if (rc < 0)
        return rc;
    /* zlib says 128 where a block may begin, and adds the bits left over. */
    return i->z.data_type == 128 ? 0 : -EPROTO;
}
