/* src/base/amount.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/amount.h"

typedef bool reader(const char *text, double *out);

struct sample {
    reader *read;
    const char *text;
    double value;
};

static const struct sample good[] = {
    {amount_plain, "20", 20},         {amount_plain, "0", 0},
    {amount_plain, "0.5", 0.5},       {amount_rate, "2/min", 2.0 / 60},
    {amount_rate, "0.5/s", 0.5},      {amount_rate, "1/h", 1.0 / 3600},
    {amount_rate, "3/m", 0.05},       {amount_rate, "1/day", 1.0 / 86400},
    {amount_rate, "0/s", 0},          {amount_time, "200ms", 0.2},
    {amount_time, "1.5h", 5400},      {amount_time, "10min", 600},
    {amount_time, "10m", 600},        {amount_time, "0s", 0},
    {amount_time, "2d", 172800},      {amount_size, "5.2kB", 5200},
    {amount_size, "10KB", 10000},     {amount_size, "64KiB", 65536},
    {amount_size, "1GiB", 1073741824}, {amount_size, "0B", 0},
};

static const struct sample bad[] = {
    {amount_plain, "", 0},        {amount_plain, "5B", 0},
    {amount_plain, "-1", 0},      {amount_plain, "nan", 0},
    {amount_plain, "inf", 0},     {amount_rate, "", 0},
    {amount_rate, "/s", 0},       {amount_rate, "2", 0},
    {amount_rate, "2/", 0},       {amount_rate, "2/fortnight", 0},
    {amount_rate, "2s", 0},       {amount_rate, "-1/s", 0},
    {amount_rate, "nan/s", 0},    {amount_rate, "1e999/s", 0},
    {amount_time, "s", 0},        {amount_time, "5", 0},
    {amount_time, "5 s", 0},      {amount_time, "5ss", 0},
    {amount_size, "5", 0},        {amount_size, "5kb", 0},
    {amount_size, "5B ", 0},      {amount_size, "B", 0},
};

static void what_people_write_is_read(void **state)
{
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        double n = -1;

        if (!good[i].read(good[i].text, &n))
            fail_msg("\"%s\" is not read", good[i].text);
        if (fabs(n - good[i].value) > 1e-9 * good[i].value)
            fail_msg("\"%s\" is read as %g", good[i].text, n);
    }
}

static void what_is_none_is_not(void **state)
{
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        double n;

        if (bad[i].read(bad[i].text, &n))
            fail_msg("\"%s\" is read as %g", bad[i].text, n);
    }
}

/* Each start of one is read or refused, and nothing behind its end is looked at. */
static void one_that_is_cut_is_read_or_refused(void **state)
{
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        for (size_t n = 0; n <= strlen(good[i].text); n++) {
            char *cut = strndup(good[i].text, n);
            double out;

            if (good[i].read(cut, &out))
                assert_true(out >= 0);
            free(cut);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_people_write_is_read),
        cmocka_unit_test(what_is_none_is_not),
        cmocka_unit_test(one_that_is_cut_is_read_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
