/* logging.h - one line a fact: time, level, what, then key=value.
 *
 *   log_info("listen", "address=%s workers=%u", address, n);
 *
 * error: someone must act.  warn: we coped.  info: lifecycle.  debug: moves.
 * Payloads and credentials are never logged.  Keeps errno.  Any thread; a
 * line is one write(2), so lines of threads do not mix. */
#ifndef PENSTOCK_BASE_LOGGING_H
#define PENSTOCK_BASE_LOGGING_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* What is written, and where.  fd is borrowed for ever; 2 until told. */
void log_setup(enum log_level level, int fd);
bool log_enabled(enum log_level level);

/* Quotes and escapes s for use as a value: `say "hi"` becomes
 * "say \"hi\"", control octets become \xNN.  Returns out (cap bytes,
 * at least 6, terminated; cut with "..." where s does not fit). */
const char *log_quote(char *out, size_t cap, const char *s, size_t len);

void log_line(enum log_level level, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                         \
    (log_enabled(LOG_LEVEL_DEBUG) ? log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)    \
                                  : (void)0)

/* At most one line a second from this place; the next one that passes says
 * how many were held back. */
#define log_warn_limited(...)                                                  \
    do {                                                                       \
        static struct log_limit limit_;                                        \
        if (log_limit_pass(&limit_))                                           \
            log_warn(__VA_ARGS__);                                             \
    } while (0)

struct log_limit {
    _Atomic unsigned long long next_us;
    _Atomic unsigned long held;
};
bool log_limit_pass(struct log_limit *limit);

#endif
