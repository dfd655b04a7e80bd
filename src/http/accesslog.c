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
#define TARGET_MAX 512

static struct str shortened(struct str s)
{
    return (struct str){s.p, s.n > TARGET_MAX ? TARGET_MAX : s.n};
}

/* head.c let no quote, space or control octet into a target; a backslash would
 * hide the quote behind it. */
static void add_quoted(struct str target)
{
    char quoted[2 * TARGET_MAX + 16];

    if (memchr(target.p, '\\', target.n) == NULL)
        buffer_printf(&lines, "\"%.*s\"", STR_ARG(target));
    else
        buffer_append_str(&lines, str_of(log_quote(quoted, sizeof(quoted),
                                                   target.p, target.n)));
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
    char date[HTTP_DATE_LEN + 1];

    http_date(date, clock_wall_ms());
    buffer_printf(&lines, "[%s] client=%s method=%.*s target=", date, l->client,
                  STR_ARG(l->method));
    add_quoted(shortened(l->target));
    buffer_printf(&lines, " status=%u bytes=%llu ms=%.3f route=%s%s\n",
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
