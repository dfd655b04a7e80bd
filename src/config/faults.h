/* faults.h - what is wrong with a file: every fault, told in the order of its
 * lines.  One owner, one thread. */
#ifndef PENSTOCK_CONFIG_FAULTS_H
#define PENSTOCK_CONFIG_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

#define FAULTS_MAX 1000 /* nobody reads further; keeps a hostile file small */

struct fault {
    unsigned line, column; /* from 1; 0: none to tell */
    unsigned order;        /* of discovery */
    char *text;
};

/* All zero is an empty list. */
struct faults {
    struct fault *list;
    size_t count, cap;
    size_t left_out; /* beyond FAULTS_MAX */
    bool failed;     /* out of memory */
};

/* Adds one.  path may be NULL or empty.  The text ends up on one line,
 * whatever the file put into it. */
void faults_add(struct faults *f, unsigned line, unsigned column,
                const char *path, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Appends "FILE:LINE:COLUMN: PATH: TEXT" for each, sorted by line. */
void faults_write(struct faults *f, const char *file, struct buffer *out);
void faults_fini(struct faults *f);

#endif
