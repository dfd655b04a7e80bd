/* memory.h - memory that runs out at a chosen allocation.
 *
 * Including this replaces malloc, calloc and realloc in the test program, which
 * has to be linked with -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc. */
#ifndef PENSTOCK_TESTS_MEMORY_H
#define PENSTOCK_TESTS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static _Atomic unsigned long allocations, allocation_fails_at; /* 0: never */

static bool memory_is_out(void)
{
    allocations++;
    return allocation_fails_at != 0 && allocations >= allocation_fails_at;
}

void *__wrap_malloc(size_t n)
{
    return memory_is_out() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return memory_is_out() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return memory_is_out() ? NULL : __real_realloc(p, n);
}

/* Fails the nth allocation from here and all that follow; 0: none. */
static inline void memory_fails_at(unsigned long nth)
{
    allocations = 0;
    allocation_fails_at = nth;
}

/* Whether the step that memory_fails_at() was set for has failed; there is
 * memory again.  False: it was made with less, so all steps have been tried. */
static inline bool memory_ran_out(void)
{
    bool out = allocation_fails_at != 0 && allocations >= allocation_fails_at;

    memory_fails_at(0);
    return out;
}

#endif
