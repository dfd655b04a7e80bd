#include "base/amount.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *name;
    double factor;
};

static const struct unit none[] = {{"", 1}, {NULL, 0}};
static const struct unit times[] = {
    {"ms", 0.001},  {"s", 1},     {"sec", 1},     {"second", 1},
    {"m", 60},      {"min", 60},  {"minute", 60}, {"h", 3600},
    {"hour", 3600}, {"d", 86400}, {"day", 86400}, {NULL, 0},
};
static const struct unit sizes[] = {
    {"B", 1},    {"kB", 1e3},      {"KB", 1e3},      {"MB", 1e6},
    {"GB", 1e9}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
    {NULL, 0},
};

/* A number and, after sep, a unit: its factor is *factor. */
static bool read_amount(const char *text, const char *sep,
                        const struct unit *units, double *n, double *factor)
{
    char *end;

    *n = strtod(text, &end);
    if (end == text || !(*n >= 0) || !isfinite(*n) ||
        strncmp(end, sep, strlen(sep)) != 0)
        return false;
    end += strlen(sep);
    while (units->name != NULL && strcmp(units->name, end) != 0)
        units++;
    *factor = units->factor;
    return units->name != NULL;
}

bool amount_plain(const char *text, double *out)
{
    double one;

    return read_amount(text, "", none, out, &one);
}

bool amount_rate(const char *text, double *out)
{
    double n, seconds;

    if (!read_amount(text, "/", times, &n, &seconds))
        return false;
    *out = n / seconds;
    return true;
}

bool amount_time(const char *text, double *out)
{
    double n, seconds;

    if (!read_amount(text, "", times, &n, &seconds))
        return false;
    *out = n * seconds;
    return true;
}

bool amount_size(const char *text, double *out)
{
    double n, bytes;

    if (!read_amount(text, "", sizes, &n, &bytes))
        return false;
    *out = n * bytes;
    return true;
}
