/* process.h - what this process has used of the machine. */
#ifndef PENSTOCK_MEASURE_PROCESS_H
#define PENSTOCK_MEASURE_PROCESS_H

#include <stdint.h>

/* Processor time of all its threads, in seconds. */
double process_cpu_s(void);
/* Resident memory; 0 where the system does not tell. */
uint64_t process_memory_bytes(void);

#endif
