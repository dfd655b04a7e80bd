/* costs.h - what things cost a machine's processor, from a file that says it. */
#ifndef PENSTOCK_SERVER_COSTS_H
#define PENSTOCK_SERVER_COSTS_H

#include "measure/model.h"

/* Reads a JSON object whose members are called as those of model_costs; those
 * by transport are objects with a member for each.  What is not in it stays as
 * it is.  False, and what is wrong on standard error. */
bool costs_read(struct model_costs *out, const char *file);

#endif
