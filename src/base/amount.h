/* amount.h - rates, times and sizes as people write them on a command line, in
 * many ways; the config file takes them in one (config/units.h).  Pure. */
#ifndef PENSTOCK_BASE_AMOUNT_H
#define PENSTOCK_BASE_AMOUNT_H

#include <stdbool.h>

/* Each is a number, not negative, with its unit; false: it is none, and *out is
 * not to be used. */

/* "20", to the end of text: without a unit. */
bool amount_plain(const char *text, double *out);
/* "2/min", "0.5/s": a second. */
bool amount_rate(const char *text, double *out);
/* "200ms", "10min", "1.5h": in seconds. */
bool amount_time(const char *text, double *out);
/* "5.2kB", "64KiB": in octets. */
bool amount_size(const char *text, double *out);

#endif
