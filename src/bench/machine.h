/* machine.h - where a measurement was made: without it a number means little. */
#ifndef PENSTOCK_BENCH_MACHINE_H
#define PENSTOCK_BENCH_MACHINE_H

#include <jansson.h>

/* {"penstock","cpu","cores","memory_bytes","kernel","time"}; the caller's.
 * NULL when out of memory. */
json_t *machine_facts(void);
/* The same as a line for people; valid until facts is freed or the next call. */
const char *machine_line(const json_t *facts);

#endif
