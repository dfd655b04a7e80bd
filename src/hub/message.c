#include "hub/message.h"

#include <stdlib.h>

#include "base/clock.h"

static struct str default_content_type(enum envelope_kind kind)
{
    switch (kind) {
    case ENVELOPE_JSON:
        return STR("application/json");
    case ENVELOPE_BINARY:
        return STR("application/octet-stream");
    case ENVELOPE_TEXT:
        break;
    }
    return STR("text/plain; charset=utf-8");
}

static struct str keep(char **at, struct str s)
{
    struct str kept = {*at, s.n};

    memcpy(*at, s.p, s.n);
    *at += s.n;
    return kept;
}

struct message *message_new(const struct message_parts *parts)
{
    enum envelope_kind kind =
        envelope_kind_of(parts->content_type, parts->data);
    struct str type = parts->type.n > 0 ? parts->type : STR("message");
    struct str content_type = parts->content_type.n > 0
                                  ? parts->content_type
                                  : default_content_type(kind);
    struct message *m = calloc(1, sizeof(*m) + parts->data.n + type.n +
                                      content_type.n);
    char *at;

    if (m == NULL)
        return NULL;
    atomic_init(&m->refs, 1);
    m->kind = kind;
    m->born_us = clock_now_us();
    m->time_ms = clock_wall_ms();
    m->len = parts->data.n;
    if (m->len > 0)
        memcpy(m->data, parts->data.p, m->len);
    at = m->data + m->len;
    m->type = keep(&at, type);
    m->content_type = keep(&at, content_type);
    return m;
}

struct message *message_ref(struct message *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

static void free_wires(struct wire *w)
{
    while (w != NULL) {
        struct wire *next = w->next;

        free(w);
        w = next;
    }
}

void message_unref(struct message **mp)
{
    struct message *m = *mp;

    *mp = NULL;
    if (m == NULL)
        return;
    /* Release what this thread did with it; the last one acquires it all. */
    if (atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
        return;
    free_wires(atomic_load_explicit(&m->wires, memory_order_relaxed));
    free(m);
}
