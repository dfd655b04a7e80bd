/* accesslog.h - one line a request, to standard output.  Lines are gathered
 * per thread and written together at the end of a round of events. */
#ifndef PENSTOCK_HTTP_ACCESSLOG_H
#define PENSTOCK_HTTP_ACCESSLOG_H

#include <stdbool.h>

#include "base/strings.h"

enum access_log_form { ACCESS_LOG_OFF, ACCESS_LOG_TEXT, ACCESS_LOG_JSON };

void accesslog_setup(enum access_log_form form);
/* Whether lines are wanted: making one costs something. */
bool accesslog_enabled(void);

/* A request that is over, or goes on as a follower (held). */
struct access_line {
    const char *client; /* address */
    struct str method, target;
    const char *route;  /* its path as configured; NULL: none */
    unsigned status;    /* 0: gone before an answer */
    uint64_t sent_bytes;
    double ms;
    bool held;
};
void accesslog_write(const struct access_line *line);
/* Writes out what this thread has gathered. */
void accesslog_flush(void);
/* The same, and frees what this thread had: it ends. */
void accesslog_thread_end(void);

#endif
