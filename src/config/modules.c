/* The shared objects that bring more sources. */
#include "config/config_priv.h"

#include <stdlib.h>

#include "feed/loader.h"

static bool is_name(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if (!pattern_unreserved((unsigned char)*c))
            return false;
    return *text != '\0' && *text != '.';
}

/* A source's name is a key beside others; those of redis stand in the table. */
static void check_names(struct loading *l, const struct node *n,
                        const struct module *m)
{
    for (const struct source_type *const *t = m->sources; *t != NULL; t++)
        for (size_t i = 0; i < config_key_count; i++)
            if (config_keys[i].scope == SCOPE_source &&
                strcmp(config_keys[i].name, (*t)->name) == 0 &&
                strcmp((*t)->name, "redis") != 0)
                fault_at(l, n, "brings a source \"%.80s\", which is a key "
                         "already", (*t)->name);
}

static void add_module(struct loading *l, const struct node *n)
{
    const char *text = expect_text(l, n, "\"redis\"");
    struct config *c = l->config;
    struct buffer why = {0};
    char *name;

    if (text == NULL)
        return;
    if (strchr(text, '/') == NULL && !is_name(text)) {
        fault_at(l, n, "\"%.80s\" is neither a module's name nor a file's "
                 "path", text);
        return;
    }
    name = strchr(text, '/') == NULL ? copy_text(l, text)
                                     : config_file_beside(l, text);
    if (name == NULL)
        return;
    c->modules[c->module_count] = loader_load(name, &why);
    if (c->modules[c->module_count] != NULL)
        check_names(l, n, c->modules[c->module_count++]);
    else
        fault_at(l, n, "%.*s", STR_ARG(buffer_str(&why)));
    buffer_fini(&why);
    free(name);
}

void read_modules(struct loading *l, const struct node *n, void *into)
{
    struct config *c = into;

    if (!expect(l, n, JSON_ARRAY, "[\"redis\"]"))
        return;
    c->modules = make_array(l, n->last == NULL ? 0 : n->last->index + 1,
                            sizeof(*c->modules));
    if (c->modules == NULL)
        return;
    for (const struct node *m = n->first; m != NULL; m = m->next)
        add_module(l, m);
}
