#include "bench/table.h"

#include <stdlib.h>
#include <string.h>

#include "bench/machine.h"
#include "bench/report.h"
#include "bench/summary.h"
#include "bench/words.h"

#define LABEL_WIDTH 34
#define CELL_WIDTH  12

static double per(double sum, double n)
{
    return n > 0 ? sum / n : 0;
}

/* ---- JSON ------------------------------------------------------------------- */

static json_t *column_json(const struct column *c)
{
    if (c->missing != NULL)
        return json_pack("{s:b,s:i,s:s}", "served", 0, "status", (int)c->status,
                         "why", c->missing);
    return json_pack(
        "{s:b,s:i,s:I,s:I,s:I,s:I,s:I,s:o,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:f}",
        "served", 1, "clients", (int)c->clients, "delivered",
        (json_int_t)c->delivered, "merged", (json_int_t)c->merged, "lost",
        (json_int_t)c->lost, "again", (json_int_t)c->again, "late",
        (json_int_t)c->late, "age_ms", report_spread(&c->age_us), "delay_ms",
        report_spread(&c->delay_us), "requests", (json_int_t)c->counts.requests,
        "empty", (json_int_t)c->counts.empty, "connects",
        (json_int_t)c->counts.connects, "cuts", (json_int_t)c->counts.cuts,
        "bytes_in", (json_int_t)c->counts.bytes_in, "bytes_out",
        (json_int_t)c->counts.bytes_out, "bytes_in_per_message",
        per((double)c->counts.bytes_in, (double)c->delivered),
        "bytes_out_per_message",
        per((double)c->counts.bytes_out, (double)c->delivered));
}

json_t *table_json(const struct comparison *c)
{
    json_t *transports = json_object();
    double s = (double)c->seconds_us / 1e6;

    for (int k = 0; k < SUBSCRIBE_KINDS; k++)
        json_object_set_new(transports, subscriber_kind_names[k],
                            column_json(&c->columns[k]));
    return json_pack("{s:o,s:s,s:f,s:f,s:i,s:I,s:f,s:f,s:o,s:b}", "machine",
                     machine_facts(), "url", c->options->url, "seconds", s,
                     "every_s", (double)c->options->every_ms / 1000, "clients",
                     (int)c->options->clients, "messages",
                     (json_int_t)c->messages, "per_s", per(c->messages, s),
                     "size_bytes", c->size_bytes, "transports", transports,
                     "ok", comparison_ok(c));
}

/* ---- cells ------------------------------------------------------------------- */

static struct words delay_words(const struct column *c, double p)
{
    if (c->delay_us.count == 0)
        return (struct words){"-"};
    return words_time((double)histogram_percentile(&c->delay_us, p));
}

static struct words per_client(const struct column *c, uint64_t n)
{
    return words_count(per((double)n, c->clients));
}

static struct words per_message(const struct column *c, uint64_t bytes)
{
    if (c->delivered == 0)
        return (struct words){"-"};
    return words_bytes(per((double)bytes, (double)c->delivered));
}

static struct words got(const struct column *c)
{
    return per_client(c, c->delivered);
}
static struct words merged(const struct column *c)
{
    return per_client(c, c->merged);
}
static struct words faulty(const struct column *c)
{
    return per_client(c, c->lost + c->again + c->late);
}
static struct words delay_half(const struct column *c)
{
    return delay_words(c, 50);
}
static struct words delay_most(const struct column *c)
{
    return delay_words(c, 99);
}
static struct words down(const struct column *c)
{
    return per_message(c, c->counts.bytes_in);
}
static struct words up(const struct column *c)
{
    return per_message(c, c->counts.bytes_out);
}
static struct words both_ways(const struct column *c)
{
    return words_bytes(column_bytes_a_minute(c));
}
static struct words requests(const struct column *c)
{
    return per_client(c, c->counts.requests);
}
static struct words empty(const struct column *c)
{
    return per_client(c, c->counts.empty);
}
static struct words connects(const struct column *c)
{
    return per_client(c, c->counts.connects);
}

/* ---- the table ---------------------------------------------------------------- */

static const struct row {
    const char *label;
    struct words (*cell)(const struct column *c);
    bool of_messages; /* is left out where none came */
} rows[] = {
    {"messages that a client got", got, true},
    {"  passed over for a newer one", merged, true},
    {"  lost, doubled or out of order", faulty, true},
    {"delay: half of them within", delay_half, true},
    {"  99 of 100 within", delay_most, true},
    {"bytes down the wire, a message", down, true},
    {"bytes up the wire, a message", up, true},
    {"bytes both ways, a minute", both_ways, false},
    {"requests that a client made", requests, false},
    {"  answered with nothing new", empty, false},
    {"connections that a client opened", connects, false},
};

static void print_head(const struct comparison *c, FILE *out)
{
    double s = (double)c->seconds_us / 1e6;
    unsigned n = c->options->clients;

    fprintf(out, "%s: ", c->options->url);
    if (c->messages == 0)
        fprintf(out, "nothing new in %.0f s.\n", s);
    else
        fprintf(out, "%u message%s in %.0f s, %s, %s each.\n", c->messages,
                c->messages == 1 ? "" : "s", s,
                words_rate(per(c->messages, s)).text,
                words_bytes(c->size_bytes).text);
    fprintf(out, "%u client%s of each transport read it side by side", n,
            n == 1 ? "" : "s");
    if (c->columns[SUBSCRIBE_POLL].missing == NULL)
        fprintf(out, "; a poll every %.3g s",
                (double)c->options->every_ms / 1000);
    fputs(".\n\n", out);
}

static void print_line(const struct comparison *c, const struct row *row,
                       FILE *out)
{
    fprintf(out, "%-*s", LABEL_WIDTH, row == NULL ? "" : row->label);
    for (int k = 0; k < SUBSCRIBE_KINDS; k++) {
        const struct column *column = &c->columns[comparison_order[k]];
        struct words cell;

        if (column->missing != NULL)
            continue;
        if (row == NULL)
            snprintf(cell.text, sizeof(cell.text), "%s",
                     comparison_titles[comparison_order[k]]);
        else
            cell = row->cell(column);
        fprintf(out, "%*s", CELL_WIDTH, cell.text);
    }
    fputc('\n', out);
}

/* ---- below it ------------------------------------------------------------------- */

/* What the server answered is none of what was asked for; of what else it is a
 * client would say itself. */
static void print_why(const struct column *t, FILE *out)
{
    if (t->status == 406 || t->status == 426)
        fprintf(out, "this route does not serve it (%u)", t->status);
    else if (t->status == 200)
        fprintf(out, "this route answers it like a poll (200)");
    else if (t->status != 0)
        fprintf(out, "%s (%u)", t->missing, t->status);
    else
        fputs(t->missing, out);
}

static void print_missing(const struct comparison *c, FILE *out)
{
    for (int k = 0; k < SUBSCRIBE_KINDS; k++) {
        const struct column *t = &c->columns[comparison_order[k]];

        if (t->missing == NULL)
            continue;
        fprintf(out, "  No %s: ", comparison_titles[t->kind]);
        print_why(t, out);
        fputs(".\n", out);
    }
}

static bool is_served(const struct comparison *c, enum subscriber_kind kind)
{
    return c->columns[kind].missing == NULL;
}

static void print_meanings(const struct comparison *c, FILE *out)
{
    fputs("\nWhat the rows mean\n", out);
    if (c->messages > 0)
        fputs("  delay: from when the first of all these clients had a message "
              "until a\n"
              "    client had it too, or a newer one: how far behind it was.\n",
              out);
    fputs(
        "  bytes: all that a client's connections carried, down to it and up "
        "from it:\n"
        "    headers, framing, answers with nothing new.  What they began with "
        "is not in it,\n"
        "    nor are the requests for that.\n",
        out);
    if (is_served(c, SUBSCRIBE_WEBSOCKET))
        fputs(
            "  WebSocket: with ids (penstock.v1), so that it can resume as the "
            "others can.\n",
            out);
    if (is_served(c, SUBSCRIBE_POLL))
        fputs("  poll: gets only the newest message; --every sets how often it "
              "asks.\n",
              out);
}

static void print_unseen(const struct comparison *c, FILE *out)
{
    fputs("\nNot seen here\n", out);
    print_missing(c, out);
    if (comparison_served(c) == 1 && c->columns[SUBSCRIBE_SSE].status == 200)
        fputs(
            "  It looks like a plain resource.  A route of penstock whose "
            "source polls it\n"
            "  (penstock.json(5), \"poll\") tells of its changes by the other "
            "transports, too.\n",
            out);
    fputs("  What it costs the server: penstock advise tells, of a penstock.\n"
          "  The way from where messages come from: it is the same for all.\n",
          out);
}

static void print_faults(const struct comparison *c, FILE *out)
{
    for (int k = 0; k < SUBSCRIBE_KINDS; k++) {
        const struct column *t = &c->columns[comparison_order[k]];

        if (t->lost + t->again + t->late > 0)
            fprintf(out,
                    "FAULT: by %s its %u clients lost %llu messages, had "
                    "%llu twice and %llu out of order.\n",
                    comparison_titles[t->kind], t->clients,
                    (unsigned long long)t->lost, (unsigned long long)t->again,
                    (unsigned long long)t->late);
    }
    if (c->interrupted)
        fputs("It was interrupted: these figures are of a shorter time.\n",
              out);
}

/* ---- nothing to compare ---------------------------------------------------------- */

/* All say the same. */
static bool are_alike(const struct comparison *c)
{
    const struct column *first = &c->columns[0];

    for (int k = 1; k < SUBSCRIBE_KINDS; k++)
        if (c->columns[k].status != first->status ||
            (first->status == 0 &&
             strcmp(c->columns[k].missing, first->missing) != 0))
            return false;
    return true;
}

static const char *advice_on(unsigned status, const char *why)
{
    if (strstr(why, "speaks no TLS") != NULL)
        return "It speaks http, not https?";
    if (strstr(why, "certificate") != NULL)
        return "--ca FILE says whose certificates are good; --insecure takes "
               "any.";
    switch (status) {
    case 0:
        return "Is the server running, and is that its address?";
    case 401:
    case 403:
        return "It wants to know who asks: --header 'Authorization: ...'";
    case 404:
        return "The server is there, but nothing at that path: is it spelt as "
               "the route's is?";
    case 429:
        return "That is too much for it at once: fewer --clients.";
    default:
        return status >= 500
                   ? "The server is there, but it cannot answer: its log may "
                     "tell why."
                   : NULL;
    }
}

static void print_hopeless(const struct comparison *c, FILE *out)
{
    const struct column *poll = &c->columns[SUBSCRIBE_POLL];
    const char *advice = advice_on(poll->status, poll->missing);

    fprintf(out, "%s cannot be read", c->options->url);
    if (!are_alike(c)) {
        fputs(".\n", out);
        print_missing(c, out);
    } else if (poll->status == 0) {
        fprintf(out, ": %s.\n", poll->missing);
    } else {
        fprintf(out, ": it answers %u to all.\n", poll->status);
    }
    if (advice != NULL)
        fprintf(out, "%s\n", advice);
}

void table_print(const struct comparison *c, FILE *out)
{
    if (comparison_served(c) == 0) {
        print_hopeless(c, out);
        return;
    }
    print_head(c, out);
    print_line(c, NULL, out);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (c->messages > 0 || !rows[i].of_messages)
            print_line(c, &rows[i], out);
    summary_print(c, out);
    print_meanings(c, out);
    print_unseen(c, out);
    print_faults(c, out);
}
