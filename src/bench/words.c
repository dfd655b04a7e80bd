#include "bench/words.h"

#include <stdio.h>

struct words words_count(double n)
{
    struct words w;

    snprintf(w.text, sizeof(w.text), "%.*f",
             n < 100 && n != (double)(long)n ? 1 : 0, n);
    return w;
}

struct words words_bytes(double n)
{
    struct words w;

    if (n < 10000)
        snprintf(w.text, sizeof(w.text), "%.0f B", n);
    else if (n < 10e6)
        snprintf(w.text, sizeof(w.text), "%.1f kB", n / 1000);
    else
        snprintf(w.text, sizeof(w.text), "%.1f MB", n / 1e6);
    return w;
}

struct words words_time(double us)
{
    double ms = us / 1000;
    struct words w;

    if (ms < 1)
        snprintf(w.text, sizeof(w.text), "%.2f ms", ms);
    else if (ms < 10)
        snprintf(w.text, sizeof(w.text), "%.1f ms", ms);
    else if (ms < 1000)
        snprintf(w.text, sizeof(w.text), "%.0f ms", ms);
    else
        snprintf(w.text, sizeof(w.text), "%.1f s", ms / 1000);
    return w;
}

struct words words_rate(double per_s)
{
    struct words w;

    if (per_s >= 1)
        snprintf(w.text, sizeof(w.text), "%.3g a second", per_s);
    else if (per_s * 60 >= 1)
        snprintf(w.text, sizeof(w.text), "%.3g a minute", per_s * 60);
    else
        snprintf(w.text, sizeof(w.text), "%.3g an hour", per_s * 3600);
    return w;
}
