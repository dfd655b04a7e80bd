#include "base/logging.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static _Atomic int threshold = LOG_LEVEL_INFO;
static _Atomic int log_fd = 2;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void log_setup(enum log_level level, int fd)
{
    atomic_store_explicit(&threshold, level, memory_order_relaxed);
    atomic_store_explicit(&log_fd, fd, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return (int)level <=
           atomic_load_explicit(&threshold, memory_order_relaxed);
}

const char *log_quote(char *out, size_t cap, const char *s, size_t len)
{
    size_t n = 0;

    out[n++] = '"';
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if (n + 10 > cap) {
            n += (size_t)snprintf(out + n, cap - n, "...");
            break;
        }
        if (c == '"' || c == '\\')
            out[n++] = '\\', out[n++] = (char)c;
        else if (c < 0x20 || c == 0x7f)
            n += (size_t)snprintf(out + n, cap - n, "\\x%02x", c);
        else
            out[n++] = (char)c;
    }
    out[n++] = '"';
    out[n] = '\0';
    return out;
}

static size_t stamp(char *line, size_t cap)
{
    uint64_t ms = clock_wall_ms();
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    size_t n = strftime(line, cap, "%Y-%m-%dT%H:%M:%S", &tm);
    return n + (size_t)snprintf(line + n, cap - n, ".%03uZ",
                                (unsigned)(ms % 1000));
}

void log_line(enum log_level level, const char *what, const char *format, ...)
{
    char line[2048];
    int saved = errno;
    va_list args;
    size_t n;
    int m;

    if (!log_enabled(level))
        return;
    n = stamp(line, sizeof(line));
    n += (size_t)snprintf(line + n, sizeof(line) - n, " %s %s ",
                          level_names[level], what);
    errno = saved; /* for %m */
    va_start(args, format);
    m = vsnprintf(line + n, sizeof(line) - n - 1, format, args);
    va_end(args);
    if (m > 0)
        n += (size_t)m < sizeof(line) - n - 1 ? (size_t)m
                                              : sizeof(line) - n - 2;
    line[n++] = '\n';
    if (write(atomic_load_explicit(&log_fd, memory_order_relaxed), line, n) < 0)
        (void)0; /* nowhere left to say so */
    errno = saved;
}

bool log_limit_pass(struct log_limit *limit)
{
    unsigned long long now = clock_now_us();
    unsigned long long next = atomic_load(&limit->next_us);
    unsigned long held;

    if (now < next ||
        !atomic_compare_exchange_strong(&limit->next_us, &next,
                                        now + 1000000)) {
        atomic_fetch_add(&limit->held, 1);
        return false;
    }
    held = atomic_exchange(&limit->held, 0);
    if (held > 0)
        log_warn("log.held", "lines=%lu", held);
    return true;
}
