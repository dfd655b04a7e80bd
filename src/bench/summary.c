#include "bench/summary.h"

#include "bench/words.h"

/* Nobody notices that one is so much behind another. */
#define SAME_TIME_US 20000
/* Traffic that is as good as the same. */
#define SAME_TRAFFIC 1.1

/* Those that are served, from the least of what is asked about. */
struct ranking {
    const struct column *columns[SUBSCRIBE_KINDS];
    unsigned count;
};

static struct ranking rank(const struct comparison *c,
                           double (*of)(const struct column *))
{
    struct ranking r = {.count = 0};

    for (int k = 0; k < SUBSCRIBE_KINDS; k++) {
        const struct column *t = &c->columns[comparison_order[k]];
        unsigned i = r.count;

        if (t->missing != NULL)
            continue;
        for (; i > 0 && of(t) < of(r.columns[i - 1]); i--)
            r.columns[i] = r.columns[i - 1];
        r.columns[i] = t;
        r.count++;
    }
    return r;
}

static double lateness_us(const struct column *c)
{
    return (double)histogram_percentile(&c->delay_us, 99);
}

static const char *title(const struct column *c)
{
    return comparison_titles[c->kind];
}

/* "SSE, WebSocket and long poll" */
static void print_titles(const struct ranking *r, unsigned n, FILE *out)
{
    for (unsigned i = 0; i < n; i++)
        fprintf(out, "%s%s",
                i == 0       ? ""
                : i + 1 == n ? " and "
                             : ", ",
                title(r->columns[i]));
}

/* How many of them are as good as the first. */
static unsigned first_of(const struct ranking *r,
                         double (*of)(const struct column *), double most)
{
    unsigned n = 1;

    while (n < r->count && of(r->columns[n]) <= most)
        n++;
    return n;
}

static void print_soonest(const struct comparison *c, FILE *out)
{
    const struct ranking r = rank(c, lateness_us);
    unsigned n =
        first_of(&r, lateness_us, lateness_us(r.columns[0]) + SAME_TIME_US);

    fputs("  Soonest: ", out);
    print_titles(&r, n, out);
    fprintf(out, ", 99 of 100 messages within %s",
            words_time(lateness_us(r.columns[n - 1])).text);
    for (unsigned i = n; i < r.count; i++)
        fprintf(out, "%s%s within %s", i == n ? ";\n    " : ", ",
                title(r.columns[i]),
                words_time(lateness_us(r.columns[i])).text);
    fputs(".\n", out);
}

static void print_traffic(const struct comparison *c, FILE *out)
{
    const struct ranking r = rank(c, column_bytes_a_minute);
    double least = column_bytes_a_minute(r.columns[0]);
    unsigned n = first_of(&r, column_bytes_a_minute, least * SAME_TRAFFIC);

    fputs("  Least traffic: ", out);
    print_titles(&r, n, out);
    fprintf(out, ", %s a minute for each client", words_bytes(least).text);
    for (unsigned i = n; i < r.count; i++) {
        double bytes = column_bytes_a_minute(r.columns[i]);

        fprintf(out, "%s%s ", i == n ? ";\n    " : ", ", title(r.columns[i]));
        if (least > 0)
            fprintf(out, "%.*f times as much", bytes < 9.95 * least ? 1 : 0,
                    bytes / least);
        else
            fputs(words_bytes(bytes).text, out);
    }
    fputs(".\n", out);
}

/* The one other than polls that takes least; NULL: there is none. */
static const struct column *best_stream(const struct ranking *r)
{
    for (unsigned i = 0; i < r->count; i++)
        if (r->columns[i]->kind != SUBSCRIBE_POLL)
            return r->columns[i];
    return NULL;
}

static void print_choice(const struct comparison *c, FILE *out)
{
    const struct ranking r = rank(c, column_bytes_a_minute);
    const struct column *poll = &c->columns[SUBSCRIBE_POLL];
    const struct column *stream = best_stream(&r);
    bool cheap = r.columns[0]->kind == SUBSCRIBE_POLL;

    if (stream == NULL)
        return;
    fputs("  So: ", out);
    if (poll->missing == NULL && cheap)
        fprintf(out, "poll, if news may be %s late%s; if not, %s.\n",
                words_time(lateness_us(poll)).text,
                poll->merged > 0 ? " and only the newest counts" : "",
                title(stream));
    else if (poll->missing == NULL)
        fprintf(out, "%s, which is sooner than polling and takes less.\n",
                title(stream));
    else
        fprintf(out, "%s takes least; what the others have is in the table.\n",
                title(stream));
}

static void print_passed_over(const struct comparison *c, FILE *out)
{
    const struct column *poll = &c->columns[SUBSCRIBE_POLL];
    uint64_t due = poll->delivered + poll->merged;

    if (poll->missing == NULL && poll->merged > 0 && due > 0)
        fprintf(out,
                "  Polls saw %.0f %% of the messages: that is what makes them "
                "cheap.\n",
                100 * (double)poll->delivered / (double)due);
}

void summary_print(const struct comparison *c, FILE *out)
{
    unsigned n = rank(c, lateness_us).count;

    fputs(c->messages == 0 ? "\nIn short, while there is no news\n"
                           : "\nIn short\n",
          out);
    if (c->messages > 0)
        print_soonest(c, out);
    print_traffic(c, out);
    print_passed_over(c, out);
    if (c->messages > 0 && n > 1)
        print_choice(c, out);
    if (c->messages == 0)
        fputs(
            "  How soon news comes is not seen yet: listen until there is "
            "some (--for 5m; for\n"
            "  what changes by the hour --for 2h, and Ctrl-C prints what there "
            "is by then).\n",
            out);
}
