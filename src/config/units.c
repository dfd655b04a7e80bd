#include "config/units.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first, as printing tries them. */
static const struct unit durations[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000},
    {"s", 1000},     {"ms", 1},      {NULL, 0},
};
static const struct unit sizes[] = {
    {"GiB", 1ull << 30}, {"GB", 1000000000}, {"MiB", 1ull << 20},
    {"MB", 1000000},     {"KiB", 1ull << 10}, {"KB", 1000},
    {"kB", 1000},        {"B", 1},            {NULL, 0},
};

static const struct unit *find(const struct unit *units, struct str name)
{
    for (; units->name != NULL; units++)
        if (str_eq(name, str_of(units->name)))
            return units;
    return NULL;
}

static int parse(const struct unit *units, struct str s, uint64_t *out)
{
    const struct unit *unit;
    size_t digits = 0;
    uint64_t n;

    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    unit = find(units, (struct str){s.p + digits, s.n - digits});
    if (digits == 0 || unit == NULL)
        return -EINVAL;
    if (!str_to_u64((struct str){s.p, digits}, &n) ||
        __builtin_mul_overflow(n, unit->factor, &n))
        return -ERANGE;
    *out = n;
    return 0;
}

int duration_parse(struct str s, uint64_t *out_ms)
{
    return parse(durations, s, out_ms);
}

int size_parse(struct str s, uint64_t *out_bytes)
{
    return parse(sizes, s, out_bytes);
}

int rate_parse(struct str s, uint64_t *count, uint64_t *out_ms)
{
    struct str number, period = str_split(s, '/', &number);
    const struct unit *unit = find(durations, period);

    if (unit == NULL || unit->factor == 1)
        return -EINVAL;
    for (size_t i = 0; i < number.n; i++)
        if (number.p[i] < '0' || number.p[i] > '9')
            return -EINVAL;
    if (number.n == 0)
        return -EINVAL;
    if (!str_to_u64(number, count))
        return -ERANGE;
    *out_ms = unit->factor;
    return *count == 0 ? -EINVAL : 0;
}

static const char *print(const struct unit *units, const char *zero,
                         uint64_t n, char out[UNITS_TEXT_MAX])
{
    while (n == 0 || n % units->factor != 0) {
        if (n == 0)
            return strcpy(out, zero);
        units++;
    }
    snprintf(out, UNITS_TEXT_MAX, "%" PRIu64 "%s", n / units->factor,
             units->name);
    return out;
}

const char *duration_print(uint64_t ms, char out[UNITS_TEXT_MAX])
{
    return print(durations, "0s", ms, out);
}

const char *size_print(uint64_t bytes, char out[UNITS_TEXT_MAX])
{
    return print(sizes, "0B", bytes, out);
}
