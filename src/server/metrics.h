/* metrics.h - what Prometheus reads: GET /metrics of the admin listener. */
#ifndef PENSTOCK_SERVER_METRICS_H
#define PENSTOCK_SERVER_METRICS_H

#include "base/buffer.h"

struct config;
struct server;

/* The text format, version 0.0.4: counters of the process, those of each route
 * and transport, and gauges.  What it takes does not grow with readers.  Any
 * thread that holds config. */
void metrics_write(struct buffer *out, struct server *s,
                   const struct config *config);

#endif
