#include "wire/gzip.h"

#include <pthread.h>
#include <stdlib.h>
#include <zlib.h>

#include "wire/deflate.h"

static void append_u32(struct buffer *out, uint32_t v)
{
    char octets[4];

    for (int i = 0; i < 4; i++)
        octets[i] = (char)(v >> 8 * i);
    buffer_append(out, octets, sizeof(octets));
}

static void append_u16(struct buffer *out, unsigned v)
{
    buffer_append_byte(out, (char)(v & 0xff));
    buffer_append_byte(out, (char)(v >> 8));
}

struct gzip_part gzip_part_of(struct str text)
{
    return (struct gzip_part){
        .crc = (uint32_t)crc32_z(0, (const Bytef *)text.p, text.n),
        .size = (uint32_t)text.n,
        .shift = (uint32_t)crc32_combine_gen((z_off_t)text.n),
    };
}

/* RFC 1952 2.3: no name, no time, deflated, by a system that is not said. */
void gzip_begin(struct gzip *g, struct buffer *out)
{
    static const char head[] = "\x1f\x8b\x08\0\0\0\0\0\0\xff";

    *g = (struct gzip){0};
    buffer_append(out, head, sizeof(head) - 1);
}

#define STORED_MAX 65535

/* RFC 1951 3.2.4: blocks that are not the last, each 5 octets longer. */
void gzip_store(struct gzip *g, struct buffer *out, struct str text)
{
    g->crc = (uint32_t)crc32_z(g->crc, (const Bytef *)text.p, text.n);
    g->size += (uint32_t)text.n;
    while (text.n > 0) {
        size_t n = text.n < STORED_MAX ? text.n : STORED_MAX;

        buffer_append_byte(out, 0);
        append_u16(out, (unsigned)n);
        append_u16(out, ~(unsigned)n & 0xffff);
        buffer_append(out, text.p, n);
        text.p += n;
        text.n -= n;
    }
}

void gzip_add(struct gzip *g, const struct gzip_part *part)
{
    g->crc = (uint32_t)crc32_combine_op(g->crc, part->crc, part->shift);
    g->size += part->size;
}

/* The shortest last block is an empty one with the fixed codes. */
void gzip_end(const struct gzip *g, struct buffer *out)
{
    buffer_append_byte(out, 3);
    buffer_append_byte(out, 0);
    append_u32(out, g->crc);
    append_u32(out, g->size);
}

void gzip_append(struct buffer *out, struct str body, unsigned level)
{
    struct gzip g;

    gzip_begin(&g, out);
    deflate_append(out, body, DEFLATE_BITS_MAX, level);
    g.crc = (uint32_t)crc32_z(0, (const Bytef *)body.p, body.n);
    g.size = (uint32_t)body.n;
    gzip_end(&g, out);
}

/* ---- the last body of a thread --------------------------------------------- */

struct last {
    struct buffer body, packed;
    unsigned level;
};

static pthread_key_t last_key;
static pthread_once_t last_once = PTHREAD_ONCE_INIT;

static void forget(struct last *l)
{
    buffer_fini(&l->body);
    buffer_fini(&l->packed);
}

static void free_last(void *arg)
{
    forget(arg);
    free(arg);
}

static void make_key(void)
{
    if (pthread_key_create(&last_key, free_last) != 0)
        abort(); /* the first keys of a process: 1024 are there */
}

static struct last *my_last(void)
{
    struct last *l;

    pthread_once(&last_once, make_key);
    l = pthread_getspecific(last_key);
    if (l != NULL)
        return l;
    l = calloc(1, sizeof(*l));
    if (l != NULL && pthread_setspecific(last_key, l) != 0) {
        free(l);
        l = NULL;
    }
    return l;
}

struct str gzip_shared(struct str body, unsigned level)
{
    struct last *l = my_last();

    if (l == NULL)
        return STR_NONE;
    if (l->packed.len > 0 && l->level == level &&
        str_eq(buffer_str(&l->body), body))
        return buffer_str(&l->packed);
    forget(l);
    l->level = level;
    buffer_append_str(&l->body, body);
    gzip_append(&l->packed, body, level);
    if (!l->body.failed && !l->packed.failed)
        return buffer_str(&l->packed);
    forget(l);
    return STR_NONE;
}
