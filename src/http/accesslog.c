#include "http/accesslog.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/logging.h"
#include "http/date.h"
#include "wire/json.h"

static _Atomic int form = ACCESS_LOG_TEXT;
static _Thread_local struct buffer lines;

void accesslog_setup(enum access_log_form new_form)
{
    atomic_store(&form, new_form);
}

static void add_json_field(const char *name, struct str value)
{
    buffer_printf(&lines, ",\"%s\":", name);
    json_append_string(&lines, value);
}

/* A target may be 8 KiB; what helps is its beginning. */
static struct str shortened(struct str s)
{
    return (struct str){s.p, s.n > 512 ? 512 : s.n};
}

static void write_json(const struct access_line *l)
{
    uint64_t now = clock_wall_ms();

    buffer_printf(&lines, "{\"time\":%llu.%03u", (unsigned long long)now / 1000,
                  (unsigned)(now % 1000));
    add_json_field("client", str_of(l->client));
    add_json_field("method", l->method);
    add_json_field("target", shortened(l->target));
    buffer_printf(&lines, ",\"status\":%u,\"bytes\":%llu,\"ms\":%.3f",
                  l->status, (unsigned long long)l->sent_bytes, l->ms);
    if (l->route != NULL)
        add_json_field("route", str_of(l->route));
    buffer_printf(&lines, ",\"held\":%s}\n", l->held ? "true" : "false");
}

static void write_text(const struct access_line *l)
{
    struct str target = shortened(l->target);
    char date[HTTP_DATE_LEN + 1];

    http_date(date, clock_wall_ms());
    /* head.c let no quote, space or control octet into a target. */
    buffer_printf(&lines,
                  "[%s] client=%s method=%.*s target=\"%.*s\" status=%u "
                  "bytes=%llu ms=%.3f route=%s%s\n",
                  date, l->client, STR_ARG(l->method), STR_ARG(target),
                  l->status, (unsigned long long)l->sent_bytes, l->ms,
                  l->route != NULL ? l->route : "-", l->held ? " held" : "");
}

bool accesslog_enabled(void)
{
    return atomic_load_explicit(&form, memory_order_relaxed) !=
           ACCESS_LOG_OFF;
}

void accesslog_write(const struct access_line *line)
{
    if (atomic_load_explicit(&form, memory_order_relaxed) == ACCESS_LOG_JSON)
        write_json(line);
    else
        write_text(line);
    if (lines.len > 32768 || lines.failed)
        accesslog_flush();
}

void accesslog_flush(void)
{
    if (lines.len > 0 && write(STDOUT_FILENO, lines.data, lines.len) < 0)
        log_warn_limited("access.lost", "error=%m");
    if (lines.failed || lines.cap > 65536)
        buffer_fini(&lines);
    lines.len = 0;
}

void accesslog_thread_end(void)
{
    accesslog_flush();
    buffer_fini(&lines);
}
