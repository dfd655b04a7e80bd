/* loader.h - modules that are shared objects: found, checked, and kept for
 * good, as what they brought may be at work anywhere. */
#ifndef PENSTOCK_FEED_LOADER_H
#define PENSTOCK_FEED_LOADER_H

#include "penstock/module.h"

struct buffer;

/* Loads the module of that name, NAME.so in modules/ beside the program or in
 * the directory where it was installed; or, with a '/' in it, that file.  One
 * that is there already is not loaded twice.  NULL, and what is wrong (no line
 * end) in why.  Main thread. */
const struct module *loader_load(const char *name, struct buffer *why);

/* The source type of that name in modules[0..n), or NULL. */
const struct source_type *loader_find(const struct module *const *modules,
                                      unsigned n, const char *name);
/* The same in what was loaded.  Any thread. */
const struct source_type *loader_source(const char *name);
/* What the loaded module of that name has for "receive", or NULL.  Any thread. */
const struct inbox_type *loader_inbox(const char *module);
/* What was loaded ends what it keeps for later.  On each worker, once it takes
 * no more requests. */
void loader_rest(void);

#endif
