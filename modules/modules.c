#include "modules.h"

#include <string.h>

#define TRANSPORT(name) &transport_##name,
#define SOURCE(name)
const struct transport *const modules_transports[] = {
#include "modules.def"
    NULL,
};
#undef TRANSPORT
#undef SOURCE

#define TRANSPORT(name)
#define SOURCE(name) &source_##name,
const struct source_type *const modules_sources[] = {
#include "modules.def"
    NULL,
};
#undef TRANSPORT
#undef SOURCE

const struct transport *modules_transport(const char *name)
{
    for (const struct transport *const *t = modules_transports; *t != NULL; t++)
        if (strcmp((*t)->name, name) == 0)
            return *t;
    return NULL;
}
