/* mailbox.h - notes from any thread to one reader, in order.  Notes are
 * embedded in what they are about, so posting allocates nothing. */
#ifndef PENSTOCK_BASE_MAILBOX_H
#define PENSTOCK_BASE_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct note;
typedef void note_fn(struct note *note);

/* A note is in at most one mailbox, once.  run is called by the reader, and
 * may post or free the note. */
struct note {
    struct note *next;
    note_fn *run;
};

/* All zero is an empty mailbox. */
struct mailbox {
    _Atomic(struct note *) top; /* newest first */
};

/* Any thread.  True if the mailbox was empty, so its reader has to be woken:
 * one wake-up for however many notes come until it looks. */
static inline bool mailbox_put(struct mailbox *box, struct note *note)
{
    struct note *top = atomic_load_explicit(&box->top, memory_order_relaxed);

    do
        note->next = top;
    while (!atomic_compare_exchange_weak_explicit(
        &box->top, &top, note,
        memory_order_release /* pairs with mailbox_take */,
        memory_order_relaxed));
    return top == NULL;
}

/* The reader: takes all, oldest first, linked by next. */
static inline struct note *mailbox_take(struct mailbox *box)
{
    struct note *in_order = NULL, *note = atomic_exchange_explicit(
        &box->top, NULL, memory_order_acquire /* pairs with mailbox_put */);

    while (note != NULL) {
        struct note *next = note->next;

        note->next = in_order;
        in_order = note;
        note = next;
    }
    return in_order;
}

#endif
