/* ticker.c - the smallest module: a source "ticker", whose path says how many
 * messages there are, one each 10 ms.  Made against the installed headers. */
#include <errno.h>
#include <event2/event.h>
#include <penstock/module.h>
#include <stdio.h>
#include <stdlib.h>

struct ticker {
    struct event *timer;
    int said;
};

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct source *s = arg;
    struct ticker *t = source_state(s);
    char text[16];
    int n = snprintf(text, sizeof(text), "%d", ++t->said);
    const struct message_parts parts = {.data = {text, (size_t)n},
                                        .type = STR("tick")};

    source_emit(s, &parts, STR_NONE);
    source_flush(s);
    if (t->said == atoi(source_path(s).p + 1)) /* "/COUNT" */
        source_over(s, "that was all");
}

static int start(struct source *s)
{
    static const struct timeval every = {0, 10000};
    struct ticker *t = source_state(s);

    t->timer = event_new(source_event_base(), -1, EV_PERSIST, on_tick, s);
    if (t->timer == NULL || event_add(t->timer, &every) < 0)
        return -ENOMEM;
    source_opened(s, true);
    return 0;
}

static void stop(struct source *s)
{
    struct ticker *t = source_state(s);

    event_free(t->timer);
    t->timer = NULL;
}

static const struct source_type ticker = {
    .name = "ticker",
    .state_size = sizeof(struct ticker),
    .start = start,
    .stop = stop,
};
static const struct source_type *const sources[] = {&ticker, NULL};

const struct module penstock_module = {
    .abi = PENSTOCK_ABI,
    .name = "ticker",
    .sources = sources,
};
