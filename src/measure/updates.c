#include "measure/updates.h"

void updates_add(struct updates *u, const struct frequency *f,
                 uint64_t now_us)
{
    if (f->messages == 0)
        return;
    u->channels++;
    frequency_merge(&u->all, f);
    for (int w = 0; w < WINDOW_N; w++)
        u->per_s[w] += frequency_per_s(f, (enum frequency_window)w, now_us);
}

double updates_per_s(const struct updates *u, enum frequency_window w)
{
    return u->channels == 0 ? 0 : u->per_s[w] / u->channels;
}

static void write_sizes(struct buffer *out, const struct frequency *f)
{
    buffer_printf(out,
                  "\"bytes\":{\"mean\":%.1f,\"p50\":%zu,\"p99\":%zu,"
                  "\"max\":%zu}",
                  (double)f->bytes / (double)f->messages,
                  frequency_bytes(f, 50), frequency_bytes(f, 99),
                  f->bytes_max);
}

static void write_burstiness(struct buffer *out, const struct frequency *f)
{
    double b = frequency_burstiness(f);

    if (b < 0)
        buffer_append_str(out, STR(",\"burstiness\":null"));
    else
        buffer_printf(out, ",\"burstiness\":%.3f", b);
}

void updates_write(struct buffer *out, const struct updates *u,
                   uint64_t now_us)
{
    const struct frequency *f = &u->all;

    buffer_printf(out, "{\"channels\":%u,\"messages\":%llu", u->channels,
                  (unsigned long long)f->messages);
    if (f->messages > 0) {
        buffer_append_str(out, STR(",\"per_s\":{"));
        for (int w = 0; w < WINDOW_N; w++)
            buffer_printf(out, "%s\"%s\":%.6g", w > 0 ? "," : "",
                          frequency_windows[w],
                          updates_per_s(u, (enum frequency_window)w));
        buffer_append_str(out, STR("},"));
        write_sizes(out, f);
        buffer_printf(out, ",\"binary\":%llu", (unsigned long long)f->binary);
        write_burstiness(out, f);
        buffer_printf(out, ",\"seconds\":%.1f",
                      now_us > f->first_us
                          ? (double)(now_us - f->first_us) / 1e6
                          : 0);
    }
    buffer_append_byte(out, '}');
}
