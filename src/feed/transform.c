#include "feed/transform.h"

#include "wire/json.h"
#include "wire/pointer.h"
#include "wire/sse.h"

#define TEXT_MAX 255 /* octets of an event type, and of an id */

/* The text of a string or number there, fit for a line; absent: there is none. */
static struct str pick_text(struct str document, const char *pointer,
                            struct buffer *text)
{
    struct str value;

    if (!pointer_find(document, str_of(pointer), &value) ||
        value.n == 0 || value.p[0] == '{' || value.p[0] == '[')
        return STR_NONE;
    pointer_text(value, text);
    if (text->failed || text->len == 0 || text->len > TEXT_MAX ||
        !sse_field_ok(buffer_str(text)))
        return STR_NONE;
    return buffer_str(text);
}

static bool take(struct str *into, struct str picked)
{
    if (picked.p == NULL)
        return false;
    *into = picked;
    return true;
}

bool transform_apply(const struct transform_settings *t,
                     struct message_parts *parts, struct str *id,
                     struct transformed *out)
{
    struct str document = parts->data, value;
    bool all = true;

    if (!json_valid(document))
        return false;
    if (t->event != NULL)
        all &= take(&parts->type, pick_text(document, t->event, &out->event));
    if (t->id != NULL)
        all &= take(id, pick_text(document, t->id, &out->id));
    if (t->data == NULL)
        return all;
    if (!pointer_find(document, str_of(t->data), &value))
        return false;
    parts->data = value;
    parts->content_type = STR("application/json");
    return all;
}

void transformed_fini(struct transformed *t)
{
    buffer_fini(&t->event);
    buffer_fini(&t->id);
}
