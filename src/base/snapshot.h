/* snapshot.h - something that never changes once it is made, shared by threads
 * and swapped whole for a newer one: the configuration.  Whoever still uses the
 * old one holds a reference. */
#ifndef PENSTOCK_BASE_SNAPSHOT_H
#define PENSTOCK_BASE_SNAPSHOT_H

#include <stdatomic.h>
#include <stddef.h>

/* Embedded first. */
struct snapshot {
    atomic_uint refs;
    void (*free)(struct snapshot *s);
};

static inline struct snapshot *snapshot_ref(struct snapshot *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

/* Drops *sp's reference and sets *sp to NULL; *sp may already be NULL. */
static inline void snapshot_unref(struct snapshot **sp)
{
    struct snapshot *s = *sp;

    *sp = NULL;
    /* Release: what this thread did with s comes before another's free. */
    if (s != NULL &&
        atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        s->free(s);
}

#endif
