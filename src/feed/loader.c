#include "feed/loader.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buffer.h"
#include "feed/inbox.h"

#define MODULES_MAX 32
#define SYMBOL      "penstock_module"

/* Written by the main thread alone; the count is published last (release), and
 * loader_source() reads it first (acquire). */
static const struct module *loaded[MODULES_MAX];
static atomic_uint loaded_count;

const struct source_type *loader_find(const struct module *const *modules,
                                      unsigned n, const char *name)
{
    for (unsigned i = 0; i < n; i++)
        for (const struct source_type *const *t = modules[i]->sources;
             *t != NULL; t++)
            if (strcmp((*t)->name, name) == 0)
                return *t;
    return NULL;
}

const struct source_type *loader_source(const char *name)
{
    unsigned n = atomic_load_explicit(&loaded_count, memory_order_acquire);

    return loader_find(loaded, n, name);
}

const struct inbox_type *loader_inbox(const char *module)
{
    unsigned n = atomic_load_explicit(&loaded_count, memory_order_acquire);

    for (unsigned i = 0; i < n; i++)
        if (strcmp(loaded[i]->name, module) == 0)
            return loaded[i]->inbox;
    return NULL;
}

void loader_rest(void)
{
    unsigned n = atomic_load_explicit(&loaded_count, memory_order_acquire);

    for (unsigned i = 0; i < n; i++)
        if (loaded[i]->inbox != NULL && loaded[i]->inbox->rest != NULL)
            loaded[i]->inbox->rest();
}

/* Where an uninstalled program has its own, "" if that cannot be told. */
static void beside_program(const char *name, char out[PATH_MAX])
{
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    char *slash;

    exe[n < 0 ? 0 : n] = '\0';
    slash = strrchr(exe, '/');
    if (slash == NULL ||
        snprintf(out, PATH_MAX, "%.*s/modules/%s.so", (int)(slash - exe), exe,
                 name) >= PATH_MAX)
        out[0] = '\0';
}

/* False, and told, where there is no such file. */
static bool find(const char *name, char out[PATH_MAX], struct buffer *why)
{
    char beside[PATH_MAX];

    if (strchr(name, '/') != NULL) {
        if (snprintf(out, PATH_MAX, "%s", name) < PATH_MAX &&
            access(out, F_OK) == 0)
            return true;
        buffer_printf(why, "there is no file \"%s\"", name);
        return false;
    }
    beside_program(name, beside);
    snprintf(out, PATH_MAX, "%s", beside);
    if (access(out, F_OK) == 0)
        return true;
    if (snprintf(out, PATH_MAX, "%s/%s.so", MODULE_DIR, name) < PATH_MAX &&
        access(out, F_OK) == 0)
        return true;
    buffer_printf(why, "there is neither \"%s\" nor \"%s\"; install it, or "
                  "write the file's whole path", beside, out);
    return false;
}

static bool is_loaded(const struct module *m)
{
    for (unsigned i = 0; i < loaded_count; i++)
        if (loaded[i] == m)
            return true;
    return false;
}

/* What is wrong with m, told in why; true if nothing is. */
static bool judge(const struct module *m, const char *file, struct buffer *why)
{
    if (m->abi != PENSTOCK_ABI) {
        buffer_printf(why, "\"%s\" was made for another penstock (its ABI is "
                      "%u, ours %u); build it again with our headers", file,
                      m->abi, PENSTOCK_ABI);
        return false;
    }
    for (const struct source_type *const *t = m->sources; *t != NULL; t++)
        if (loader_source((*t)->name) != NULL) {
            buffer_printf(why, "\"%s\" brings a source \"%s\", and so does "
                          "another module", file, (*t)->name);
            return false;
        }
    if (loaded_count == MODULES_MAX)
        buffer_printf(why, "more than %d modules", MODULES_MAX);
    return loaded_count < MODULES_MAX;
}

const struct module *loader_load(const char *name, struct buffer *why)
{
    const struct module *m;
    char file[PATH_MAX];
    void *object;

    if (!find(name, file, why))
        return NULL;
    object = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (object == NULL) {
        buffer_printf(why, "cannot load it: %s", dlerror());
        return NULL;
    }
    m = dlsym(object, SYMBOL);
    if (m == NULL)
        buffer_printf(why, "\"%s\" is no module: it has no " SYMBOL, file);
    else if (is_loaded(m))
        return m;
    else if (judge(m, file, why)) {
        loaded[loaded_count] = m;
        atomic_fetch_add_explicit(&loaded_count, 1, memory_order_release);
        return m;
    }
    dlclose(object);
    return NULL;
}
