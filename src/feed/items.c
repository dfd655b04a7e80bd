#include "feed/items.h"

#include "feed/source.h"
#include "hub/message.h"
#include "wire/json.h"
#include "wire/pointer.h"

static const char no_memory[] = "out of memory";

static const char *emit(struct source *s, struct str data,
                        struct str content_type)
{
    const struct message_parts parts = {
        .data = data,
        .content_type = content_type,
    };

    return source_emit(s, &parts, STR_NONE) < 0 ? no_memory : NULL;
}

/* One that has no key is its own. */
static const char *emit_new(struct items *it, struct source *s,
                            struct str item, struct str each)
{
    struct str key;
    int fresh;

    if (!pointer_find(item, each, &key))
        key = item;
    fresh = seen_add(&it->keys, hash_add(HASH_START, key));
    if (fresh < 0)
        return no_memory;
    return fresh ? emit(s, item, STR("application/json")) : NULL;
}

static const char *emit_each(struct items *it, struct source *s,
                             struct str array, struct str each)
{
    const char *why = NULL;
    struct str name, item;
    size_t at = 0;

    if (array.n == 0 || array.p[0] != '[')
        return "the answer has no array where \"each\" needs one";
    while (why == NULL && pointer_next(array, &at, &name, &item))
        why = emit_new(it, s, item, each);
    return why;
}

static const char *emit_changed(struct items *it, struct source *s,
                                struct str value, struct str content_type)
{
    uint64_t hash = hash_add(HASH_START, value);
    const char *why;

    if (it->any && it->last == hash)
        return NULL;
    why = emit(s, value, content_type);
    it->any = why == NULL;
    it->last = hash;
    return why;
}

const char *items_emit(struct items *it, struct source *s, struct str body,
                       struct str content_type)
{
    const struct source_settings *settings = source_settings(s);
    struct str value;

    if (settings->select == NULL && settings->each == NULL)
        return emit_changed(it, s, body, content_type);
    if (!json_valid(body))
        return "the answer is not JSON, as \"select\" and \"each\" need it";
    if (!pointer_find(body, str_of(settings->select == NULL
                                       ? ""
                                       : settings->select), &value))
        return "the answer has nothing where \"select\" points to";
    if (settings->each != NULL)
        return emit_each(it, s, value, str_of(settings->each));
    return emit_changed(it, s, value, STR("application/json"));
}

void items_fini(struct items *it)
{
    seen_fini(&it->keys);
}
