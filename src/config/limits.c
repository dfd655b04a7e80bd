/* Rates: of a route's requests, and of connections. */
#include "config/config_priv.h"

#include <errno.h>

#include "config/units.h"

#define COUNT_MAX 1000000 /* in a second: a microsecond between two */

/* "10/s".  0 where there was something to tell, or else how many come in
 * *period_us. */
static uint64_t read_count_of(struct loading *l, const struct node *n,
                              uint64_t *period_us)
{
    uint64_t count, period_ms;
    const char *text;
    int rc;

    if (json_is_integer(n->value)) {
        fault_at(l, n, "%" JSON_INTEGER_FORMAT " has no period; write "
                 "\"%" JSON_INTEGER_FORMAT "/s\"", json_integer_value(n->value),
                 json_integer_value(n->value));
        return 0;
    }
    text = expect_text(l, n, "\"10/s\"");
    if (text == NULL)
        return 0;
    rc = rate_parse(str_of(text), &count, &period_ms);
    *period_us = rc == 0 ? period_ms * 1000 : 0;
    if (rc == -EINVAL)
        fault_at(l, n, "\"%.80s\" is not a rate; write a whole number and a "
                 "period, such as \"10/s\", \"30/m\" or \"100/h\"", text);
    else if (rc < 0 || count > *period_us / 1000000 * COUNT_MAX)
        fault_at(l, n, "\"%.80s\" is out of range; allowed: up to "
                 "\"1000000/s\"", text);
    else
        return count;
    return 0;
}

static void read_bucket(struct loading *l, const struct node *n,
                        struct rate *rate)
{
    uint64_t period_us, count = read_count_of(l, n, &period_us);

    if (count == 0)
        return;
    rate->interval_us = period_us / count;
    rate->slack_us = (count - 1) * rate->interval_us;
}

void read_rate(struct loading *l, const struct node *n, void *into)
{
    read_bucket(l, n, &((struct route *)into)->rate);
}

void read_receive_rate(struct loading *l, const struct node *n, void *into)
{
    read_bucket(l, n, &((struct route *)into)->reader.inbox.rate);
}

void finish_rate(struct route *r)
{
    if (r->burst > 0)
        r->rate.slack_us = (r->burst - 1) * r->rate.interval_us;
}

void read_accept_rate(struct loading *l, const struct node *n, void *into)
{
    struct config *c = into;
    uint64_t period_us, count = read_count_of(l, n, &period_us);

    if (count > 0)
        c->limits.accept.interval_us = period_us / count;
}

void read_max_rate(struct loading *l, const struct node *n, void *into)
{
    struct route *r = into;
    uint64_t period_us, count = read_count_of(l, n, &period_us);

    if (count > 0) /* timers count milliseconds: more often is no limit */
        r->reader.interval_ms = period_us / count / 1000;
}
