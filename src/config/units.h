/* units.h - numbers as people write them in the config file: a whole number
 * and its unit, nothing between them.  Any thread; nothing here allocates. */
#ifndef PENSTOCK_CONFIG_UNITS_H
#define PENSTOCK_CONFIG_UNITS_H

#include "base/strings.h"

#define UNITS_TEXT_MAX 32

/* "200ms", "60s", "5m", "1h", "1d" to milliseconds.  0; -EINVAL where it is
 * no such thing; -ERANGE where it is too large for 64 bits. */
int duration_parse(struct str s, uint64_t *out_ms);
/* "512B", "10KB", "64KiB", "1MiB", "2GiB" to bytes; results as above. */
int size_parse(struct str s, uint64_t *out_bytes);
/* "10/s", "30/m", "100/h": count a period of *out_ms; results as above, and
 * -EINVAL for a count of 0. */
int rate_parse(struct str s, uint64_t *count, uint64_t *out_ms);

/* The shortest way to write it.  Returns out. */
const char *duration_print(uint64_t ms, char out[UNITS_TEXT_MAX]);
const char *size_print(uint64_t bytes, char out[UNITS_TEXT_MAX]);

#endif
