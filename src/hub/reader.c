#include "hub/reader.h"

#include "base/meter.h"

int reader_join(struct reader *r, const struct reader_ops *ops,
                struct channel *c, unsigned worker, struct cursor cursor,
                struct cursor fallback, struct gap *gap)
{
    int rc = audience_join(r, ops, c, worker, cursor, fallback, gap);

    meter_add(METER_readers_opened, rc >= 0);
    return rc;
}

int reader_select(struct reader *r, const struct reader_ops *ops,
                  struct order *order, const struct choice *choices,
                  unsigned count, unsigned worker, struct cursor fallback,
                  struct gap *gap)
{
    int rc = selection_join(r, ops, order, choices, count, worker, fallback,
                            gap);

    meter_add(METER_readers_opened, rc >= 0);
    return rc;
}

void reader_leave(struct reader *r)
{
    if (!reader_joined(r))
        return;
    if (r->selects)
        selection_leave(r);
    else
        audience_leave(r);
}

const char *reader_channel_name(const struct reader *r)
{
    return r->selects ? selection_first_name(r->selection)
                      : audience_channel(r)->name;
}

void reading_done(struct reading *reading)
{
    if (!reading->owned)
        return;
    for (unsigned i = 0; i < reading->count; i++)
        message_unref(&reading->held[i]);
}
