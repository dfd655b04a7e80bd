#include "wire/envelope.h"

#include <limits.h>
#include <openssl/evp.h>

#include "wire/json.h"

/* EVP_EncodeBlock counts in int; a multiple of three needs no padding. */
#define BASE64_PIECE_BYTES (3 << 20)

void base64_append(struct buffer *out, struct str s)
{
    /* One octet more than is written: libcrypto terminates. */
    if (buffer_reserve(out, s.n / 3 * 4 + 5) < 0)
        return;
    while (s.n > 0) {
        size_t n = s.n < BASE64_PIECE_BYTES ? s.n : BASE64_PIECE_BYTES;

        out->len +=
            (size_t)EVP_EncodeBlock((unsigned char *)out->data + out->len,
                                    (const unsigned char *)s.p, (int)n);
        s.p += n;
        s.n -= n;
    }
}

bool base64_decode(struct buffer *out, struct str text)
{
    size_t padding = 0, begin = out->len;

    if (text.n % 4 != 0 || text.n > INT_MAX ||
        buffer_reserve(out, text.n / 4 * 3 + 1) < 0)
        return false;
    while (padding < 2 && padding < text.n &&
           text.p[text.n - 1 - padding] == '=')
        padding++;
    if (text.n > 0 &&
        EVP_DecodeBlock((unsigned char *)out->data + begin,
                        (const unsigned char *)text.p, (int)text.n) < 0)
        return false;
    out->len = begin + text.n / 4 * 3 - padding;
    return true;
}

/* Year, month and day of a day counted from 1970-01-01.  Years are taken to
 * begin in March, so that the leap day comes last; 400 of them are always
 * 146097 days.  (gmtime_r takes a lock that all threads share.) */
static void civil_date(uint64_t days, unsigned *year, unsigned *month,
                       unsigned *day)
{
    uint64_t since = days + 719468; /* from 0000-03-01 */
    unsigned era = (unsigned)(since / 146097), of_era = since % 146097;
    unsigned y =
        (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * y + y / 4 - y / 100);
    unsigned m = (5 * of_year + 2) / 153; /* 0 is March */

    *day = of_year - (153 * m + 2) / 5 + 1;
    *month = m < 10 ? m + 3 : m - 9;
    *year = era * 400 + y + (*month <= 2);
}

static char *put_digits(char *at, unsigned value, unsigned width)
{
    for (unsigned i = width; i-- > 0; value /= 10)
        at[i] = (char)('0' + value % 10);
    return at + width;
}

#define YEAR_10000_MS 253402300800000 /* RFC 3339 has four digits for a year */

/* RFC 3339 5.6, in UTC, with its quotes. */
void envelope_append_time(struct buffer *out, uint64_t time_ms)
{
    unsigned year, month, day, ms;
    char text[26] = "\"0000-00-00T00:00:00.000Z\"";

    if (time_ms >= YEAR_10000_MS)
        time_ms = YEAR_10000_MS - 1;
    civil_date(time_ms / 86400000, &year, &month, &day);
    ms = (unsigned)(time_ms % 86400000);
    put_digits(text + 1, year, 4);
    put_digits(text + 6, month, 2);
    put_digits(text + 9, day, 2);
    put_digits(text + 12, ms / 3600000, 2);
    put_digits(text + 15, ms / 60000 % 60, 2);
    put_digits(text + 18, ms / 1000 % 60, 2);
    put_digits(text + 21, ms % 1000, 3);
    buffer_append(out, text, sizeof(text));
}

void envelope_append_data(struct buffer *out, enum envelope_kind kind,
                          struct str data)
{
    switch (kind) {
    case ENVELOPE_JSON:
        buffer_append_str(out, data);
        break;
    case ENVELOPE_TEXT:
        json_append_string(out, data);
        break;
    case ENVELOPE_BINARY:
        buffer_append_byte(out, '"');
        base64_append(out, data);
        buffer_append_str(out, STR("\",\"encoding\":\"base64\""));
        break;
    }
}

static void append_member(struct buffer *out, const char *sign_and_name,
                          struct str value)
{
    buffer_append_str(out, str_of(sign_and_name));
    json_append_string(out, value);
}

void envelope_encode(struct buffer *out, struct str channel, struct str id,
                     struct str type, enum envelope_kind kind, struct str data,
                     uint64_t time_ms)
{
    if (buffer_reserve(out, channel.n + id.n + type.n + data.n + 112) < 0)
        return;
    if (channel.p != NULL)
        append_member(out, "{\"channel\":", channel);
    append_member(out, channel.p != NULL ? ",\"id\":" : "{\"id\":", id);
    append_member(out, ",\"event\":", type.n == 0 ? STR("message") : type);
    buffer_append_str(out, STR(",\"data\":"));
    envelope_append_data(out, kind, data);
    buffer_append_str(out, STR(",\"time\":"));
    envelope_append_time(out, time_ms);
    buffer_append_byte(out, '}');
}

static void append_id(struct buffer *out, struct str id)
{
    if (id.p == NULL)
        buffer_append_str(out, STR("null"));
    else
        json_append_string(out, id);
}

void envelope_encode_gap(struct buffer *out, struct str from, struct str to,
                         struct str channels)
{
    buffer_append_str(out, STR("{\"from\":"));
    append_id(out, from);
    buffer_append_str(out, STR(",\"to\":"));
    append_id(out, to);
    if (channels.p != NULL) {
        buffer_append_str(out, STR(",\"channels\":"));
        buffer_append_str(out, channels);
    }
    buffer_append_byte(out, '}');
}

void envelope_encode_stale(struct buffer *out, struct str channel, bool stale)
{
    buffer_append_str(out, stale ? STR("{\"stale\":true")
                                 : STR("{\"stale\":false"));
    if (channel.p != NULL)
        append_member(out, ",\"channel\":", channel);
    buffer_append_byte(out, '}');
}

void envelope_batch_head(struct buffer *out, bool gap)
{
    if (gap)
        buffer_append_str(out, STR("{\"gap\":true,\"messages\":["));
    else
        buffer_append_str(out, STR("{\"messages\":["));
}

void envelope_batch_tail(struct buffer *out, struct str next_id)
{
    buffer_append_str(out, STR("],\"next\":"));
    append_id(out, next_id);
    buffer_append_byte(out, '}');
}

static bool has_prefix(struct str s, struct str prefix)
{
    return s.n >= prefix.n &&
           str_eq_nocase((struct str){s.p, prefix.n}, prefix);
}

static bool has_suffix(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           str_eq_nocase((struct str){s.p + (s.n - suffix.n), suffix.n},
                         suffix);
}

static bool is_binary(struct str media)
{
    return str_eq_nocase(media, STR("application/octet-stream")) ||
           has_prefix(media, STR("image/")) ||
           has_prefix(media, STR("audio/")) || has_prefix(media, STR("video/"));
}

/* application/json, any +json (RFC 6839 3.1), and one value of NDJSON. */
static bool is_json(struct str media)
{
    return has_suffix(media, STR("/json")) || has_suffix(media, STR("+json")) ||
           has_suffix(media, STR("ndjson"));
}

enum envelope_kind envelope_kind_of(struct str content_type, struct str data)
{
    struct str media;
    bool json;

    str_split(content_type, ';', &media);
    media = str_trim(media);
    if (is_binary(media))
        return ENVELOPE_BINARY;
    json = is_json(media) ? json_valid(data) : json_is_container(data);
    if (json)
        return ENVELOPE_JSON;
    return str_utf8_valid(data) ? ENVELOPE_TEXT : ENVELOPE_BINARY;
}
