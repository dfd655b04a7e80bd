#include "feed/transform.h"

#include "wire/json.h"
#include "wire/pointer.h"
#include "wire/sse.h"

/* What a string says, or another value as it is written.  out holds it where
 * there are escapes; absent when out of memory. */
static struct str text_of(struct str value, struct buffer *out)
{
    if (value.p[0] != '"')
        return value;
    if (memchr(value.p, '\\', value.n) == NULL)
        return (struct str){value.p + 1, value.n - 2};
    pointer_text(value, out);
    return out->failed ? STR_NONE : buffer_str(out);
}

/* A string or a number that could be published as a type as well. */
static bool pick_type(struct transform *t, struct str value)
{
    struct str type = text_of(value, &t->type);

    if (strchr("\"-0123456789", value.p[0]) == NULL || type.n == 0 ||
        type.n > MESSAGE_TYPE_MAX || !sse_field_ok(type))
        return false;
    t->parts.type = type;
    return true;
}

static bool pick_id(struct transform *t, struct str value)
{
    t->id = value;
    return true;
}

static bool pick_data(struct transform *t, struct str value)
{
    t->parts.data = value;
    t->parts.content_type = STR("application/json");
    return true;
}

static bool pick_text(struct transform *t, struct str value)
{
    struct str text = text_of(value, &t->text);

    if (text.p == NULL)
        return false;
    t->parts.data = text;
    t->parts.content_type =
        value.p[0] == '"' ? STR_NONE : STR("application/json");
    return true;
}

typedef bool pick_fn(struct transform *t, struct str value);

static void pick(struct transform *t, struct str document, const char *pointer,
                 pick_fn *take)
{
    struct str value;

    if (pointer != NULL && (!pointer_find(document, str_of(pointer), &value) ||
                            !take(t, value)))
        t->missed = true;
}

void transform_init(struct transform *t, const struct transform_settings *how,
                    const struct message_parts *parts, struct str id)
{
    *t = (struct transform){.parts = *parts, .id = id};
    if (how->event == NULL && how->id == NULL && how->data == NULL &&
        how->text == NULL)
        return;
    if (!json_valid(parts->data)) {
        t->missed = true;
        return;
    }
    pick(t, parts->data, how->event, pick_type);
    pick(t, parts->data, how->id, pick_id);
    pick(t, parts->data, how->data, pick_data);
    pick(t, parts->data, how->text, pick_text);
}

void transform_fini(struct transform *t)
{
    buffer_fini(&t->type);
    buffer_fini(&t->text);
}
