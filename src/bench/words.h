/* words.h - numbers as a table for people has them.  Pure; any thread. */
#ifndef PENSTOCK_BENCH_WORDS_H
#define PENSTOCK_BENCH_WORDS_H

struct words {
    char text[24];
};

/* "3", "2.5", "1200" */
struct words words_count(double n);
/* "97 B", "12.3 kB" */
struct words words_bytes(double n);
/* "0.01 ms", "1.9 s" */
struct words words_time(double us);
/* Of what repeats: "6 a minute" */
struct words words_rate(double per_s);

#endif
