/* reload.h - another configuration, without a restart: checked whole, then
 * handed to each worker, and only when all have it are sources looked at, so
 * that none is made from the old one behind our back. */
#ifndef PENSTOCK_SERVER_RELOAD_H
#define PENSTOCK_SERVER_RELOAD_H

struct server;
struct server_worker;

/* The main thread: reads the file again.  One that comes while another is
 * under way begins after it. */
void reload_begin(struct server *s);
/* The main thread, once s->reload_fd can be read: all workers are done. */
void reload_end(struct server *s);
/* Before the workers run. */
void reload_init_part(struct server_worker *part);
/* Starts the sources that always run, on part 0's worker. */
void reload_start_sources(struct server_worker *part);

#endif
