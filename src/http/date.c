#include "http/date.h"

#include <stdio.h>
#include <time.h>

void http_date(char out[HTTP_DATE_LEN + 1], uint64_t wall_ms)
{
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed",
                                       "Thu", "Fri", "Sat"};
    static const char *const months[] = {"Jan", "Feb", "Mar", "Apr",
                                         "May", "Jun", "Jul", "Aug",
                                         "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    snprintf(out, HTTP_DATE_LEN + 1, "%s, %02u %s %04u %02u:%02u:%02u GMT",
             days[tm.tm_wday], (unsigned)tm.tm_mday % 100,
             months[tm.tm_mon], (unsigned)(tm.tm_year + 1900) % 10000,
             (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
             (unsigned)tm.tm_sec % 100);
}

bool http_date_parse(struct str text, uint64_t *wall_ms)
{
    char copy[HTTP_DATE_LEN + 1];
    struct tm tm = {0};
    const char *end;

    if (text.n != HTTP_DATE_LEN)
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    end = strptime(copy, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    if (end == NULL || *end != '\0' || tm.tm_year < 70)
        return false;
    *wall_ms = (uint64_t)timegm(&tm) * 1000;
    return true;
}
