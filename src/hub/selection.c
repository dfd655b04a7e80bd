#include "hub/selection.h"

#include <errno.h>
#include <stdlib.h>

#include "hub/hub.h"
#include "wire/json.h"

#define NOTHING UINT64_MAX /* no message that could be read now */

/* Its seat in one channel's audience. */
struct member {
    struct reader reader;  /* first: found from it */
    struct selection *of;
    uint64_t read_to;      /* nothing up to this stamp is left to be read */
    uint64_t take_seq;     /* while reading: the message that it takes next, */
    uint64_t next_stamp;   /* and its stamp, or NOTHING */
    bool lost;             /* a gap was found, and is not told yet */
    bool stale;            /* that its source is down was told */
};

struct selection {
    struct reader *reader; /* whose it is */
    struct order *order;
    uint64_t position;     /* every message up to this stamp has been read */
    uint64_t looked;       /* what it was when it last read everything */
    bool drained;          /* nothing that an audience has seen is left */
    unsigned count, cap;
    struct member **members;
};

/* ---- what the audiences tell ------------------------------------------------- */

static struct member *of_reader(struct reader *r)
{
    return (struct member *)r;
}

/* Members are never blocked: whose selection it is may be. */
static void member_ready(struct reader *r)
{
    struct selection *s = of_reader(r)->of;
    struct reader *whole = s->reader;

    s->drained &= audience_dry(r);
    if (!whole->blocked)
        whole->ops->ready(whole);
    else if (audience_left_behind(r))
        whole->ops->behind(whole);
}

static void member_ended(struct reader *r)
{
    struct reader *whole = of_reader(r)->of->reader;

    whole->ops->ended(whole);
}

static const struct reader_ops member_ops = {member_ready, member_ready,
                                             member_ended, NULL};

/* ---- looking --------------------------------------------------------------- */

/* Whether it may have messages up to this stamp: without the lock, as the
 * order has moved on only after the channel has said so. */
static bool has_news(const struct member *m)
{
    const struct channel *c = audience_channel(&m->reader);

    return atomic_load_explicit(&c->newest_stamp, memory_order_relaxed) >
           m->read_to;
}

/* Under the channel's lock: moves past messages that are gone. */
static void pass_gap(struct member *m, struct reading *reading)
{
    uint64_t first = history_first_seq(&audience_channel(&m->reader)->history);

    if (m->take_seq >= first)
        return;
    m->lost = true;
    reading->missed += first - m->take_seq;
    m->take_seq = first;
}

/* Under the channel's lock.  The stamp of what m would take next. */
static uint64_t stamp_ahead(const struct member *m)
{
    const struct history *h = &audience_channel(&m->reader)->history;

    return m->take_seq < h->next_seq ? history_at(h, m->take_seq)->stamp
                                     : NOTHING;
}

static void set_next(struct member *m, uint64_t stamp, uint64_t to)
{
    m->next_stamp = stamp > to ? NOTHING : stamp;
    if (m->next_stamp == NOTHING)
        m->read_to = to;
}

static void peek(struct member *m, uint64_t to, struct reading *reading)
{
    struct channel *c = audience_channel(&m->reader);
    uint64_t stamp;

    m->take_seq = m->reader.next_seq;
    pthread_mutex_lock(&c->lock);
    pass_gap(m, reading);
    stamp = stamp_ahead(m);
    pthread_mutex_unlock(&c->lock);
    m->reader.next_seq = m->take_seq;
    set_next(m, stamp, to);
}

/* Takes messages of m, which is members[from], while their stamps are below
 * this one: those of the others come then. */
static void take_run(struct member *m, unsigned from, uint64_t below,
                     uint64_t to, struct reading *reading)
{
    struct channel *c = audience_channel(&m->reader);
    uint64_t stamp;

    pthread_mutex_lock(&c->lock);
    pass_gap(m, reading);
    for (stamp = stamp_ahead(m);
         stamp < below && stamp <= to && reading->count < READING_MAX;
         stamp = stamp_ahead(m)) {
        reading->held[reading->count] =
            message_ref(history_at(&c->history, m->take_seq++));
        reading->from[reading->count++] = (uint16_t)from;
    }
    pthread_mutex_unlock(&c->lock);
    set_next(m, stamp, to);
}

/* The member whose next message is the oldest, and the stamp of the one after
 * it among the others; count if there is none. */
static unsigned find_earliest(const struct selection *s, uint64_t *below)
{
    unsigned earliest = s->count;
    uint64_t least = NOTHING;

    *below = NOTHING;
    for (unsigned i = 0; i < s->count; i++) {
        uint64_t stamp = s->members[i]->next_stamp;

        if (stamp < least) {
            *below = least;
            least = stamp;
            earliest = i;
        } else if (stamp < *below) {
            *below = stamp;
        }
    }
    return earliest;
}

/* What has to be merged. */
static void merge(struct selection *s, uint64_t to, struct reading *reading)
{
    unsigned at;
    uint64_t below;

    reading->messages = reading->held;
    reading->owned = true;
    while (reading->count < READING_MAX &&
           (at = find_earliest(s, &below)) < s->count)
        take_run(s->members[at], at, below, to, reading);
    s->drained = find_earliest(s, &below) == s->count;
}

/* Those of one channel: in a pass of its audience they are at hand. */
static void read_one(struct selection *s, unsigned at, uint64_t to,
                     struct reading *reading)
{
    struct member *m = s->members[at];
    unsigned seen;

    audience_read(&m->reader, reading);
    m->lost |= reading->missed > 0;
    seen = reading->count;
    while (reading->count > 0 &&
           reading->messages[reading->count - 1]->stamp > to)
        reading->count--;
    if (reading->count < seen)
        reading->bundles = NULL;
    if (reading->owned)
        for (unsigned i = reading->count; i < seen; i++)
            message_unref(&reading->held[i]);
    for (unsigned i = 0; i < reading->count; i++)
        reading->from[i] = (uint16_t)at;
    if (reading->count > 0)
        s->looked = reading->messages[reading->count - 1]->stamp;
    else
        m->read_to = to;
}

/* The members that may have something, while they look; returns how many, and
 * *at is the last of them. */
static unsigned find_news(const struct selection *s, unsigned *at)
{
    unsigned n = 0;

    for (unsigned i = 0; i < s->count; i++) {
        s->members[i]->next_stamp = NOTHING;
        if (!has_news(s->members[i]))
            continue;
        n++;
        *at = i;
    }
    return n;
}


static void move_on(struct selection *s, uint64_t stamp)
{
    if (s->position < stamp) /* what was added later may be behind it */
        s->position = stamp;
}

/* Where it was, and what it goes on with: it is right before that now. */
static void name_gap(struct selection *s, struct reading *reading)
{
    uint64_t to = reading->count > 0 ? reading->messages[0]->stamp
                                     : s->looked + 1;

    id_format(reading->gap.from, s->order->epoch, s->position);
    id_format(reading->gap.to, s->order->epoch, to);
    reading->gap.missed = reading->missed;
    move_on(s, to - 1);
}

void selection_read(struct selection *s, struct reading *reading)
{
    uint64_t to = order_last(s->order);
    unsigned at = 0, n = find_news(s, &at);

    reading->count = 0;
    reading->missed = 0;
    reading->bundles = NULL;
    reading->owned = false;
    s->looked = to;
    s->drained = true;
    if (n == 1) {
        read_one(s, at, to, reading);
    } else if (n > 1) {
        for (unsigned i = 0; i < s->count; i++)
            if (has_news(s->members[i]))
                peek(s->members[i], to, reading);
        merge(s, to, reading);
    }
    if (reading->missed > 0)
        name_gap(s, reading);
}

static void read_one_on(struct member *m, const struct message *message)
{
    m->reader.next_seq = message->seq + 1;
    if (m->read_to < message->stamp)
        m->read_to = message->stamp;
}

static void leave_unread(struct member *m, const struct message *message)
{
    if (m->read_to >= message->stamp)
        m->read_to = message->stamp - 1;
}

void selection_advance(struct selection *s, const struct reading *reading,
                       unsigned count)
{
    for (unsigned i = 0; i < reading->count; i++) {
        struct member *m = s->members[reading->from[i]];

        if (i < count)
            read_one_on(m, reading->messages[i]);
        else
            leave_unread(m, reading->messages[i]);
    }
    s->drained &= count == reading->count;
    for (unsigned i = 0; s->drained && i < count; i++)
        s->drained = audience_dry(&s->members[reading->from[i]]->reader);
    if (count > 0)
        move_on(s, reading->messages[count - 1]->stamp);
    if (count == reading->count && s->drained)
        move_on(s, s->looked);
}

uint64_t selection_skip_to_newest(struct selection *s)
{
    uint64_t passed = 0;

    for (unsigned i = 0; i < s->count; i++)
        if (has_news(s->members[i]))
            passed += audience_skip_to_newest(&s->members[i]->reader);
    return passed;
}

bool selection_dry(const struct selection *s)
{
    return s->drained;
}

size_t selection_position(const struct selection *s, char id[ID_MAX])
{
    return id_format(id, s->order->epoch, s->position);
}

/* ---- coming and going ------------------------------------------------------ */

/* An id of the order is a stamp; now is the same for all of them. */
static struct cursor place_of(const struct selection *s, struct cursor c)
{
    bool known = c.epoch == s->order->epoch && c.seq <= s->looked;

    if (c.kind == CURSOR_NOW)
        return (struct cursor){.kind = CURSOR_STAMP, .seq = s->looked};
    if (c.kind == CURSOR_ID && known)
        return (struct cursor){.kind = CURSOR_STAMP, .seq = c.seq};
    return c;
}

static int make_room(struct selection *s)
{
    unsigned cap = s->cap == 0 ? 4 : s->cap * 2;
    struct member **members;

    if (s->count < s->cap)
        return 0;
    members = realloc(s->members, cap * sizeof(*members));
    if (members == NULL)
        return -ENOMEM;
    s->members = members;
    s->cap = cap;
    return 0;
}

static int join_member(struct selection *s, struct member *m,
                       const struct choice *choice, unsigned worker,
                       struct cursor fallback, struct gap *gap)
{
    struct reading since_then = {.missed = 0};
    int rc = audience_join(&m->reader, &member_ops, choice->channel, worker,
                           place_of(s, choice->cursor), place_of(s, fallback),
                           gap);

    if (rc < 0)
        return rc;
    m->of = s;
    peek(m, s->looked, &since_then);
    gap->missed = since_then.missed + (rc > 0 ? gap->missed : 0);
    if (since_then.missed > 0)
        rc = 1;
    m->lost = rc > 0;
    /* What came after the look may be seen by the audience already. */
    s->drained &= m->next_stamp == NOTHING && audience_dry(&m->reader);
    s->members[s->count++] = m;
    return rc;
}

/* As selection_add(), but says nothing of the gap. */
static int add(struct selection *s, const struct choice *choice,
               unsigned worker, struct cursor fallback, struct gap *gap)
{
    struct member *m = calloc(1, sizeof(*m));
    int rc = -ENOMEM;

    if (m != NULL && make_room(s) == 0)
        rc = join_member(s, m, choice, worker, fallback, gap);
    if (rc < 0)
        free(m);
    return rc;
}

static void tell_gap(const struct selection *s, struct cursor asked,
                     uint64_t place, struct gap *gap)
{
    gap->from[0] = '\0';
    if (asked.kind == CURSOR_ID)
        id_format(gap->from, asked.epoch, asked.seq);
    id_format(gap->to, s->order->epoch, place + 1);
}

static uint64_t before(const struct selection *s, uint64_t stamp)
{
    return stamp == NOTHING ? s->looked : stamp - 1;
}

/* Right before the oldest message that it is to read. */
static uint64_t place_of_all(const struct selection *s)
{
    uint64_t below;
    unsigned at = find_earliest(s, &below);

    return before(s, at < s->count ? s->members[at]->next_stamp : NOTHING);
}

/* The same of the member that has just come. */
static uint64_t place_of_newest(const struct selection *s)
{
    return before(s, s->members[s->count - 1]->next_stamp);
}

static struct selection *selection_new(struct reader *r,
                                       const struct reader_ops *ops,
                                       struct order *order)
{
    struct selection *s = calloc(1, sizeof(*s));

    if (s == NULL)
        return NULL;
    s->reader = r;
    s->order = order;
    s->looked = order_last(order);
    s->drained = true;
    r->ops = ops;
    r->selection = s;
    r->blocked = false;
    r->selects = true;
    return s;
}

int selection_join(struct reader *r, const struct reader_ops *ops,
                   struct order *order, const struct choice *choices,
                   unsigned count, unsigned worker, struct cursor fallback,
                   struct gap *gap)
{
    struct selection *s = selection_new(r, ops, order);
    struct cursor asked = {.kind = CURSOR_NONE};
    uint64_t missed = 0;
    int lost = 0;

    if (s == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < count; i++) {
        int rc = add(s, &choices[i], worker, fallback, gap);

        if (rc < 0) {
            selection_leave(r);
            return rc;
        }
        if (rc > 0 && lost == 0)
            asked = choices[i].cursor;
        missed += gap->missed;
        lost |= rc;
    }
    gap->missed = missed;
    s->position = place_of_all(s);
    if (lost)
        tell_gap(s, asked, s->position, gap);
    return lost;
}

static void member_leave(struct member *m)
{
    audience_leave(&m->reader);
    free(m);
}

void selection_leave(struct reader *r)
{
    struct selection *s = r->selection;

    r->selection = NULL;
    r->selects = false;
    for (unsigned i = 0; i < s->count; i++)
        member_leave(s->members[i]);
    free(s->members);
    free(s);
}

/* The place of that channel's member; count: it has none. */
static unsigned find_member(const struct selection *s, struct str name)
{
    unsigned i = 0;

    while (i < s->count &&
           !str_eq(str_of(audience_channel(&s->members[i]->reader)->name),
                   name))
        i++;
    return i;
}

int selection_add(struct selection *s, const struct choice *choice,
                  unsigned worker, struct cursor fallback, char id[ID_MAX],
                  struct gap *gap)
{
    uint64_t place;
    int rc;

    if (find_member(s, str_of(choice->channel->name)) < s->count)
        return -EEXIST;
    s->looked = order_last(s->order);
    rc = add(s, choice, worker, fallback, gap);
    if (rc < 0)
        return rc;
    place = place_of_newest(s);
    id_format(id, s->order->epoch, place);
    if (rc > 0)
        tell_gap(s, choice->cursor, place, gap);
    return rc;
}

bool selection_remove(struct selection *s, struct str channel_name)
{
    unsigned at = find_member(s, channel_name);

    if (at == s->count)
        return false;
    member_leave(s->members[at]);
    s->count--;
    memmove(&s->members[at], &s->members[at + 1],
            (s->count - at) * sizeof(*s->members));
    return true;
}

unsigned selection_count(const struct selection *s)
{
    return s->count;
}

const char *selection_first_name(const struct selection *s)
{
    return s->count == 0 ? ""
                         : audience_channel(&s->members[0]->reader)->name;
}

struct channel *selection_stale(const struct selection *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        struct channel *c = audience_channel(&s->members[i]->reader);

        if (channel_stale(c))
            return c;
    }
    return NULL;
}

const char *selection_next_turn(struct selection *s, bool *stale)
{
    for (unsigned i = 0; i < s->count; i++) {
        struct member *m = s->members[i];
        const struct channel *c = audience_channel(&m->reader);

        *stale = channel_stale(c);
        if (m->stale == *stale)
            continue;
        m->stale = *stale;
        return c->name;
    }
    return NULL;
}

void selection_write_lost(struct selection *s, struct buffer *out)
{
    const char *sign = "";

    buffer_append_byte(out, '[');
    for (unsigned i = 0; i < s->count; i++) {
        struct member *m = s->members[i];

        if (!m->lost)
            continue;
        m->lost = false;
        buffer_append_str(out, str_of(sign));
        json_append_string(out,
                           str_of(audience_channel(&m->reader)->name));
        sign = ",";
    }
    buffer_append_byte(out, ']');
}
