/* date.h - dates as HTTP writes them. */
#ifndef PENSTOCK_HTTP_DATE_H
#define PENSTOCK_HTTP_DATE_H

#include "base/strings.h"

#define HTTP_DATE_LEN 29

/* Writes an IMF-fixdate (RFC 9110 5.6.7) and its end. */
void http_date(char out[HTTP_DATE_LEN + 1], uint64_t wall_ms);
/* Reads one, and nothing else.  False: it is none. */
bool http_date_parse(struct str text, uint64_t *wall_ms);

#endif
