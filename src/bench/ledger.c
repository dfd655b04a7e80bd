#include "bench/ledger.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool make_room(struct ledger *l)
{
    unsigned cap = l->cap == 0 ? 4 : 2 * l->cap;
    struct ledger_range *more;

    if (l->count < l->cap)
        return true;
    more = realloc(l->missing, cap * sizeof(*more));
    if (more == NULL)
        return false;
    l->missing = more;
    l->cap = cap;
    return true;
}

static void insert(struct ledger *l, unsigned at, struct ledger_range r)
{
    if (!make_room(l))
        return;
    memmove(l->missing + at + 1, l->missing + at,
            (l->count - at) * sizeof(*l->missing));
    l->missing[at] = r;
    l->count++;
}

/* The range that number is in, or count. */
static unsigned find(const struct ledger *l, uint32_t number)
{
    unsigned low = 0, high = l->count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (number >= l->missing[middle].to)
            low = middle + 1;
        else
            high = middle;
    }
    return low < l->count && number >= l->missing[low].from ? low : l->count;
}

/* Takes number out of the range at. */
static void strike(struct ledger *l, unsigned at, uint32_t number)
{
    struct ledger_range *r = &l->missing[at];
    const struct ledger_range behind = {number + 1, r->to};

    r->to = number;
    if (r->from == r->to && behind.from == behind.to) {
        l->count--;
        memmove(r, r + 1, (l->count - at) * sizeof(*r));
    } else if (r->from == r->to) {
        *r = behind;
    } else if (behind.from < behind.to) {
        insert(l, at + 1, behind);
    }
}

static enum ledger_entry note_old(struct ledger *l, uint32_t number)
{
    unsigned at = find(l, number);

    if (at == l->count)
        return LEDGER_AGAIN;
    strike(l, at, number);
    l->had++;
    return LEDGER_LATE;
}

enum ledger_entry ledger_note(struct ledger *l, uint32_t number)
{
    const struct ledger_range passed = {l->next, number};

    if (number < l->next)
        return note_old(l, number);
    l->next = number + 1;
    l->had++;
    if (passed.from == passed.to)
        return LEDGER_NEXT;
    insert(l, l->count, passed);
    return LEDGER_AHEAD;
}

void ledger_fini(struct ledger *l)
{
    free(l->missing);
    *l = (struct ledger){0};
}
