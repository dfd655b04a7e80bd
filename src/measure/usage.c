#include "measure/usage.h"

#include "measure/lately.h"

uint64_t usage_readers(const struct tally *t)
{
    uint64_t opened = tally_get(t, TALLY_route_connections);
    uint64_t closed = tally_get(t, TALLY_route_connections_closed);

    /* Sums of several threads, read one after the other. */
    return opened > closed ? opened - closed : 0;
}

double usage_reader_s(const struct tally *t, uint64_t now_us)
{
    /* Modulo 2^64 until here, and small again after it. */
    uint64_t us = usage_readers(t) * now_us +
                  tally_get(t, TALLY_connection_closed_us) -
                  tally_get(t, TALLY_connection_opened_us);

    return us >> 63 ? 0 : (double)us / 1e6;
}

static void write_count(struct buffer *out, const char *name,
                        const struct tally *t, enum tally_count c)
{
    buffer_printf(out, ",\"%s\":%llu", name,
                  (unsigned long long)tally_get(t, c));
}

static void write_ms(struct buffer *out, const char *name, double us)
{
    buffer_printf(out, ",\"%s\":%.3f", name, us / 1000);
}

static void write_lately(struct buffer *out, const struct lately_ages *l)
{
    buffer_printf(out, ",\"lately\":{\"seconds\":%.1f,\"count\":%llu",
                  l->seconds, (unsigned long long)l->count);
    if (l->count > 0) {
        write_ms(out, "p50", (double)l->p50_us);
        write_ms(out, "p99", (double)l->p99_us);
    }
    buffer_append_byte(out, '}');
}

static void write_ages(struct buffer *out, const struct histogram *h,
                       const struct lately_ages *lately)
{
    buffer_printf(out, ",\"age_ms\":{\"count\":%llu",
                  (unsigned long long)h->count);
    if (h->count > 0) {
        write_ms(out, "mean", histogram_mean(h));
        write_ms(out, "p50", (double)histogram_percentile(h, 50));
        write_ms(out, "p90", (double)histogram_percentile(h, 90));
        write_ms(out, "p99", (double)histogram_percentile(h, 99));
        write_ms(out, "max", (double)h->max);
    }
    if (lately != NULL)
        write_lately(out, lately);
    buffer_append_byte(out, '}');
}

/* The mean of the samples, if there are any. */
static void write_cost(struct buffer *out, const char *name, uint64_t us,
                       uint64_t samples)
{
    if (samples == 0)
        buffer_printf(out, "\"%s\":null", name);
    else
        buffer_printf(out, "\"%s\":%.2f", name, (double)us / (double)samples);
}

void usage_write(struct buffer *out, const struct tally *t,
                 const struct lately_ages *lately, uint64_t now_us)
{
    buffer_printf(out, "{\"readers\":%llu,\"reader_s\":%.3f",
                  (unsigned long long)usage_readers(t),
                  usage_reader_s(t, now_us));
    write_count(out, "requests", t, TALLY_route_requests);
    write_count(out, "connects", t, TALLY_route_connections);
    write_count(out, "empty", t, TALLY_empty_answers);
    write_count(out, "delivered", t, TALLY_messages_delivered);
    write_count(out, "merged", t, TALLY_messages_merged);
    write_count(out, "skipped", t, TALLY_messages_skipped);
    write_count(out, "gaps", t, TALLY_gaps);
    write_count(out, "taken", t, TALLY_messages_taken);
    write_count(out, "bytes_in", t, TALLY_received_bytes);
    write_count(out, "bytes_out", t, TALLY_sent_bytes);
    write_ages(out, &t->age_us, lately);
    buffer_printf(out, ",\"blocked_s\":%.3f,\"cpu_us\":{",
                  (double)tally_get(t, TALLY_blocked_us) / 1e6);
    write_cost(out, "delivery", tally_get(t, TALLY_delivery_us),
               tally_get(t, TALLY_delivery_samples));
    buffer_append_byte(out, ',');
    write_cost(out, "request", tally_get(t, TALLY_request_us),
               tally_get(t, TALLY_request_samples));
    buffer_append_str(out, STR("}}"));
}
