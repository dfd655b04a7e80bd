/* modules.h - the list of what is built in, made from modules.def. */
#ifndef PENSTOCK_MODULES_H
#define PENSTOCK_MODULES_H

#include "feed/source.h"
#include "feed/transport.h"

#define TRANSPORT(name) extern const struct transport transport_##name;
#define SOURCE(name)    extern const struct source_type source_##name;
#include "modules.def"
#undef TRANSPORT
#undef SOURCE

/* Both NULL-ended. */
extern const struct transport *const modules_transports[];
extern const struct source_type *const modules_sources[];

/* NULL where there is none of that name. */
const struct transport *modules_transport(const char *name);

#endif
