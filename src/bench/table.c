#include "bench/table.h"

#include <stdlib.h>

#include "bench/machine.h"
#include "bench/report.h"

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
                     "ok", table_ok(c));
}

static unsigned served(const struct comparison *c)
{
    unsigned n = 0;

    for (int k = 0; k < SUBSCRIBE_KINDS; k++)
        n += c->columns[k].missing == NULL;
    return n;
}

bool table_ok(const struct comparison *c)
{
    bool ok = served(c) > 0 && c->messages > 0 && !c->interrupted;

    for (int k = 0; k < SUBSCRIBE_KINDS; k++) {
        const struct column *t = &c->columns[k];

        ok = ok && t->lost == 0 && t->again == 0 && t->late == 0;
    }
    return ok;
}

/* ---- cells ------------------------------------------------------------------- */

struct cell {
    char text[24];
};

static struct cell count_cell(double n)
{
    struct cell cell;

    snprintf(cell.text, sizeof(cell.text), "%.*f",
             n < 100 && n != (double)(long)n ? 1 : 0, n);
    return cell;
}

static struct cell bytes_cell(double n)
{
    struct cell cell;

    if (n < 10000)
        snprintf(cell.text, sizeof(cell.text), "%.0f B", n);
    else if (n < 10e6)
        snprintf(cell.text, sizeof(cell.text), "%.1f kB", n / 1000);
    else
        snprintf(cell.text, sizeof(cell.text), "%.1f MB", n / 1e6);
    return cell;
}

static struct cell time_cell(const struct histogram *h, double p)
{
    double ms = (double)histogram_percentile(h, p) / 1000;
    struct cell cell;

    if (h->count == 0)
        return (struct cell){"-"};
    if (ms < 1)
        snprintf(cell.text, sizeof(cell.text), "%.2f ms", ms);
    else if (ms < 10)
        snprintf(cell.text, sizeof(cell.text), "%.1f ms", ms);
    else if (ms < 1000)
        snprintf(cell.text, sizeof(cell.text), "%.0f ms", ms);
    else
        snprintf(cell.text, sizeof(cell.text), "%.1f s", ms / 1000);
    return cell;
}

static struct cell per_client(const struct column *c, uint64_t n)
{
    return count_cell(per((double)n, c->clients));
}

static struct cell per_message(const struct column *c, uint64_t bytes)
{
    if (c->delivered == 0)
        return (struct cell){"-"};
    return bytes_cell(per((double)bytes, (double)c->delivered));
}

static struct cell got(const struct column *c)
{
    return per_client(c, c->delivered);
}
static struct cell merged(const struct column *c)
{
    return per_client(c, c->merged);
}
static struct cell faulty(const struct column *c)
{
    return per_client(c, c->lost + c->again + c->late);
}
static struct cell delay_half(const struct column *c)
{
    return time_cell(&c->delay_us, 50);
}
static struct cell delay_most(const struct column *c)
{
    return time_cell(&c->delay_us, 99);
}
static struct cell down(const struct column *c)
{
    return per_message(c, c->counts.bytes_in);
}
static struct cell up(const struct column *c)
{
    return per_message(c, c->counts.bytes_out);
}
static struct cell requests(const struct column *c)
{
    return per_client(c, c->counts.requests);
}
static struct cell empty(const struct column *c)
{
    return per_client(c, c->counts.empty);
}
static struct cell connects(const struct column *c)
{
    return per_client(c, c->counts.connects);
}

/* ---- the table ---------------------------------------------------------------- */

static const struct row {
    const char *label;
    struct cell (*cell)(const struct column *c);
} rows[] = {
    {"messages that a client got", got},
    {"  passed over for a newer one", merged},
    {"  lost, doubled or out of order", faulty},
    {"delay: half of them within", delay_half},
    {"  99 of 100 within", delay_most},
    {"bytes down the wire, a message", down},
    {"bytes up the wire, a message", up},
    {"requests that a client made", requests},
    {"  answered with nothing new", empty},
    {"connections that a client opened", connects},
};

static const char *const titles[SUBSCRIBE_KINDS] = {
    "poll",
    "long poll",
    "SSE",
    "WebSocket",
};

/* From what keeps a connection to what asks now and then. */
static const enum subscriber_kind order[SUBSCRIBE_KINDS] = {
    SUBSCRIBE_WEBSOCKET,
    SUBSCRIBE_SSE,
    SUBSCRIBE_LONGPOLL,
    SUBSCRIBE_POLL,
};

static void print_rate(double per_s, FILE *out)
{
    if (per_s >= 1)
        fprintf(out, ", %.3g a second", per_s);
    else if (per_s * 60 >= 1)
        fprintf(out, ", %.3g a minute", per_s * 60);
    else
        fprintf(out, ", %.3g an hour", per_s * 3600);
}

static void print_head(const struct comparison *c, FILE *out)
{
    double s = (double)c->seconds_us / 1e6;
    struct cell size = bytes_cell(c->size_bytes);

    fprintf(out, "%s: %u message%s in %.0f s", c->options->url, c->messages,
            c->messages == 1 ? "" : "s", s);
    if (c->messages > 0) {
        print_rate(per(c->messages, s), out);
        fprintf(out, ", %s each", size.text);
    }
    fprintf(out,
            ".\n%u client%s of each transport read it side by side; a poll "
            "every %.3g s.\n\n",
            c->options->clients, c->options->clients == 1 ? "" : "s",
            (double)c->options->every_ms / 1000);
}

static void print_line(const struct comparison *c, const struct row *row,
                       FILE *out)
{
    fprintf(out, "%-*s", LABEL_WIDTH, row == NULL ? "" : row->label);
    for (int k = 0; k < SUBSCRIBE_KINDS; k++) {
        const struct column *column = &c->columns[order[k]];
        struct cell cell;

        if (column->missing != NULL)
            continue;
        if (row == NULL)
            snprintf(cell.text, sizeof(cell.text), "%s", titles[order[k]]);
        else
            cell = row->cell(column);
        fprintf(out, "%*s", CELL_WIDTH, cell.text);
    }
    fputc('\n', out);
}

/* ---- below it ------------------------------------------------------------------- */

static void print_missing(const struct comparison *c, FILE *out)
{
    for (int k = 0; k < SUBSCRIBE_KINDS; k++) {
        const struct column *t = &c->columns[order[k]];

        if (t->missing == NULL)
            continue;
        if (t->status == 406 || t->status == 426)
            fprintf(out, "No %s: this route does not serve it (%u).\n",
                    titles[t->kind], t->status);
        else if (t->status != 0)
            fprintf(out, "No %s: %s (%u).\n", titles[t->kind], t->missing,
                    t->status);
        else
            fprintf(out, "No %s: %s.\n", titles[t->kind], t->missing);
    }
}

static void print_notes(const struct comparison *c, FILE *out)
{
    fputs("\n"
          "delay: from when the first of all these clients had a message until "
          "a\n"
          "  client had it too, or a newer one: how far behind it was.\n"
          "bytes: all that its connections carried, down to the client and up "
          "from\n"
          "  it: headers, framing, answers with nothing new.\n",
          out);
    if (c->columns[SUBSCRIBE_WEBSOCKET].missing == NULL)
        fputs("WebSocket: with ids (penstock.v1), so that it can resume as the "
              "others can.\n",
              out);
    if (c->columns[SUBSCRIBE_POLL].missing == NULL)
        fputs("poll: gets only the newest message; --every sets how often it "
              "asks.\n",
              out);
}

static void print_faults(const struct comparison *c, FILE *out)
{
    for (int k = 0; k < SUBSCRIBE_KINDS; k++) {
        const struct column *t = &c->columns[order[k]];

        if (t->lost + t->again + t->late > 0)
            fprintf(out,
                    "FAULT: by %s its %u clients lost %llu messages, had "
                    "%llu twice and %llu out of order.\n",
                    titles[t->kind], t->clients, (unsigned long long)t->lost,
                    (unsigned long long)t->again, (unsigned long long)t->late);
    }
    if (c->messages == 0)
        fputs(
            "Nothing new came in that time: listen longer (--for 5m), or have "
            "it say something.\n",
            out);
    if (c->interrupted)
        fputs("It was interrupted: these figures are of a shorter time.\n",
              out);
}

static void print_hopeless(const struct comparison *c, FILE *out)
{
    unsigned status = c->columns[SUBSCRIBE_POLL].status;

    fprintf(out, "%s cannot be read.\n", c->options->url);
    print_missing(c, out);
    if (status == 0)
        fputs("Is the server running, and is that its address?\n", out);
    else if (status == 404)
        fputs(
            "The server is there, but nothing at that path: is it spelt as the "
            "route's is?\n",
            out);
    else if (status == 401 || status == 403)
        fputs("It wants to know who asks: --header 'Authorization: ...'\n",
              out);
}

void table_print(const struct comparison *c, FILE *out)
{
    if (served(c) == 0) {
        print_hopeless(c, out);
        return;
    }
    print_head(c, out);
    print_line(c, NULL, out);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        print_line(c, &rows[i], out);
    print_notes(c, out);
    print_missing(c, out);
    print_faults(c, out);
}
