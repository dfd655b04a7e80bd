/* http_parse.c - how many request heads does one core parse in a second?
 *
 *   benchmarks/http_parse [seconds per run, 1 by default]
 *
 * One line of CSV per head: requests/s, the least, the median and the most of
 * five runs, for the whole parser and for head_check() alone. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "http/parser.h"

#define RUNS 5

struct head {
    const char *name, *bytes;
};

static const struct head heads[] = {
    {"curl", "GET /weather HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
             "User-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n"},
    {"browser",
     "GET /quotes/ACME?since=1f-42 HTTP/1.1\r\n"
     "Host: quotes.example.com\r\nConnection: keep-alive\r\n"
     "Cache-Control: no-cache\r\nsec-ch-ua-platform: \"Linux\"\r\n"
     "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"
     " (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36\r\n"
     "sec-ch-ua: \"Chromium\";v=\"124\", \"Not-A.Brand\";v=\"99\"\r\n"
     "sec-ch-ua-mobile: ?0\r\nAccept: text/event-stream\r\n"
     "Origin: https://example.com\r\nSec-Fetch-Site: same-site\r\n"
     "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\n"
     "Referer: https://example.com/market\r\n"
     "Accept-Encoding: gzip, deflate, br, zstd\r\n"
     "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
     "Last-Event-ID: 1f-42\r\n"
     "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark"
     "\r\n\r\n"},
};

static int on_head(void *arg, const struct http_message *message)
{
    *(uint64_t *)arg += message->headers.count;
    return 0;
}

static int on_body(void *arg, const char *data, size_t len)
{
    return 0;
}

static int on_end(void *arg)
{
    return 0;
}

static const struct parser_ops ops = {on_head, on_body, on_end};

static void parse_once(struct parser *p, struct str bytes)
{
    if (parser_feed(p, bytes.p, bytes.n) != (ssize_t)bytes.n)
        abort();
    parser_next(p);
}

static void check_once(struct parser *p, struct str bytes)
{
    struct head_fault fault;

    if (head_check(HEAD_REQUEST, bytes.p, bytes.n, NULL, &fault) <= 0)
        abort();
}

static double run(void (*once)(struct parser *, struct str), struct str bytes,
                  double seconds)
{
    uint64_t fields = 0, start = clock_now_us(), now = start, n = 0;
    struct parser *p = parser_new(HEAD_REQUEST, &ops, &fields, NULL);

    if (p == NULL)
        abort();
    while (now - start < (uint64_t)(seconds * 1e6)) {
        for (int i = 0; i < 1000; i++)
            once(p, bytes);
        n += 1000;
        now = clock_now_us();
    }
    parser_free(p);
    return (double)n * 1e6 / (double)(now - start);
}

static int by_rate(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void measure(const char *what, void (*once)(struct parser *, struct str),
                    const struct head *head, double seconds)
{
    struct str bytes = str_of(head->bytes);
    double rates[RUNS];

    for (int i = 0; i < RUNS; i++)
        rates[i] = run(once, bytes, seconds);
    qsort(rates, RUNS, sizeof(rates[0]), by_rate);
    printf("%s,%s,%zu,%.0f,%.0f,%.0f\n", what, head->name, bytes.n, rates[0],
           rates[RUNS / 2], rates[RUNS - 1]);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1;

    printf("what,head,bytes,min_per_s,median_per_s,max_per_s\n");
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        measure("parser", parse_once, &heads[i], seconds);
        measure("head_check", check_once, &heads[i], seconds);
    }
    return 0;
}
