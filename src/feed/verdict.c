#include "feed/verdict.h"

#include <errno.h>

#include "base/clock.h"
#include "http/date.h"
#include "wire/unpack.h"

const char *verdict_failure(enum client_failure failure, bool streaming,
                            const char *why)
{
    if (failure != CLIENT_TIMEOUT)
        return why;
    return streaming ? "silence for longer than idle_timeout"
                     : "no answer within response_timeout";
}

const char *verdict_status(unsigned status)
{
    if (status >= 500)
        return "the backend answered with an error (5xx)";
    if (status == 429)
        return "the backend is asked too often (429)";
    if (status == 401 || status == 403)
        return "the backend does not let us read this (401 or 403)";
    if (status >= 400)
        return "the backend refused (4xx)";
    return "the backend answered with another status than 200";
}

uint64_t verdict_retry_ms(const struct http_message *m)
{
    struct str value = headers_get(&m->headers, "Retry-After");
    uint64_t seconds, at_ms, now_ms = clock_wall_ms();

    if (str_to_u64(value, &seconds))
        return seconds > 86400 ? 0 : seconds * 1000;
    if (!http_date_parse(value, &at_ms) || at_ms <= now_ms)
        return 0;
    return at_ms - now_ms;
}

const char *verdict_coding(struct unpack **unpack,
                           const struct http_message *m)
{
    struct buffer codings = {0};
    struct str value;
    unsigned at = 0;
    int rc;

    while (headers_next(&m->headers, "Content-Encoding", &at, &value)) {
        buffer_append_str(&codings, value);
        buffer_append_byte(&codings, ',');
    }
    unpack_free(unpack);
    rc = codings.failed ? -ENOMEM : unpack_new(unpack, buffer_str(&codings));
    buffer_fini(&codings);
    if (rc == 0)
        return NULL;
    return rc == -ENOMEM ? "out of memory"
                         : "the answer has a Content-Encoding that is neither "
                           "gzip nor deflate";
}

const char *verdict_unpack(int rc)
{
    switch (rc) {
    case -EPROTO:
        return "what comes is not compressed as the backend says";
    case -EMSGSIZE:
        return "what comes unpacks to far too much";
    default:
        return "out of memory";
    }
}
