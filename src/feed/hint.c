#include "feed/hint.h"

#include <stdio.h>

#include "feed/settings.h"
#include "hub/channel.h"

uint64_t hint_pack(enum tally_part part, uint64_t poll_ms)
{
    return (poll_ms << HINT_PART_BITS) | ((unsigned)part + 1);
}

static uint64_t poll_ms_of(uint64_t hint)
{
    return hint >> HINT_PART_BITS;
}

static const char *name_of(uint64_t hint)
{
    return tally_transports[hint_part(hint) - 1];
}

void hint_encode(struct buffer *out, uint64_t hint)
{
    buffer_printf(out, "{\"advice\":{\"transport\":\"%s\"", name_of(hint));
    if (poll_ms_of(hint) > 0)
        buffer_printf(out, ",\"every_ms\":%llu",
                      (unsigned long long)poll_ms_of(hint));
    buffer_append_str(out, STR("}}"));
}

void hint_add(struct answer_headers *a, const struct reader_settings *s,
              const struct channel *c, char text[HINT_TEXT_MAX])
{
    uint64_t hint = s->advised && c != NULL ? channel_hint(c) : 0;

    if (hint == 0)
        return;
    if (poll_ms_of(hint) > 0)
        snprintf(text, HINT_TEXT_MAX, "%s;every_ms=%llu", name_of(hint),
                 (unsigned long long)poll_ms_of(hint));
    else
        snprintf(text, HINT_TEXT_MAX, "%s", name_of(hint));
    answer_add(a, "Penstock-Advice", str_of(text));
}
