/* status.h - what status codes are called (RFC 9110 15). */
#ifndef PENSTOCK_HTTP_STATUS_H
#define PENSTOCK_HTTP_STATUS_H

/* "Not Found" and the like; "Status" for what we never heard of. */
const char *status_reason(unsigned status);

#endif
