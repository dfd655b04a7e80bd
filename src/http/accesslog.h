/* accesslog.h - one line a request, to standard output.  Lines are gathered
 * per thread and written together at the end of a round of events. */
#ifndef PENSTOCK_HTTP_ACCESSLOG_H
#define PENSTOCK_HTTP_ACCESSLOG_H

struct exchange;

enum access_log_form { ACCESS_LOG_OFF, ACCESS_LOG_TEXT, ACCESS_LOG_JSON };

void accesslog_setup(enum access_log_form form);
/* The exchange is over, or goes on as a follower. */
void accesslog_write(const struct exchange *x);
/* Writes out what this thread has gathered. */
void accesslog_flush(void);
/* The same, and frees what this thread had: it ends. */
void accesslog_thread_end(void);

#endif
