/* yardstick.h - how fast this machine is: what it takes to write a few hundred
 * octets to a TCP connection and to read them, which is most of what a delivery
 * is. */
#ifndef PENSTOCK_MEASURE_YARDSTICK_H
#define PENSTOCK_MEASURE_YARDSTICK_H

#include "measure/model.h"

/* How many times the processor's time that machine A of doc/measurements.md takes
 * for it this one does; 1 where it cannot be measured.  It blocks for some 5 ms. */
double yardstick_times(void);
/* Multiplies all of costs that is processor's time. */
void yardstick_apply(struct model_costs *costs, double times);

#endif
