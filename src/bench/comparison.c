#include "bench/comparison.h"

const char *const comparison_titles[SUBSCRIBE_KINDS] = {
    "poll",
    "long poll",
    "SSE",
    "WebSocket",
};

const enum subscriber_kind comparison_order[SUBSCRIBE_KINDS] = {
    SUBSCRIBE_WEBSOCKET,
    SUBSCRIBE_SSE,
    SUBSCRIBE_LONGPOLL,
    SUBSCRIBE_POLL,
};

double column_bytes_a_minute(const struct column *c)
{
    double minutes = c->clients * (double)c->seconds_us / 60e6;

    return minutes > 0
               ? (double)(c->counts.bytes_in + c->counts.bytes_out) / minutes
               : 0;
}

unsigned comparison_served(const struct comparison *c)
{
    unsigned n = 0;

    for (int k = 0; k < SUBSCRIBE_KINDS; k++)
        n += c->columns[k].missing == NULL;
    return n;
}

bool comparison_ok(const struct comparison *c)
{
    bool ok = comparison_served(c) > 0 && c->messages > 0 && !c->interrupted;

    for (int k = 0; k < SUBSCRIBE_KINDS; k++) {
        const struct column *t = &c->columns[k];

        ok = ok && t->lost == 0 && t->again == 0 && t->late == 0;
    }
    return ok;
}
