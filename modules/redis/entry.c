#include "entry.h"

#include "base/strings.h"
#include "wire/json.h"

bool entry_id_parse(struct entry_id *id, struct str s)
{
    struct str ms, seq = str_split(s, '-', &ms);

    id->seq = 0;
    return str_to_u64(ms, &id->ms) &&
           (seq.p == NULL || str_to_u64(seq, &id->seq));
}

int entry_id_compare(struct entry_id a, struct entry_id b)
{
    if (a.ms != b.ms)
        return a.ms < b.ms ? -1 : 1;
    return a.seq == b.seq ? 0 : a.seq < b.seq ? -1 : 1;
}

static struct str word(const redisReply *r)
{
    return (struct str){r->str, (size_t)r->len};
}

static struct str find(const redisReply *fields, struct str name)
{
    for (size_t i = 0; i + 1 < fields->elements; i += 2)
        if (str_eq(word(fields->element[i]), name))
            return word(fields->element[i + 1]);
    return STR_NONE;
}

static void write_object(struct buffer *out, const redisReply *fields)
{
    buffer_append_byte(out, '{');
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        if (i > 0)
            buffer_append_byte(out, ',');
        json_append_string(out, word(fields->element[i]));
        buffer_append_byte(out, ':');
        json_append_string(out, word(fields->element[i + 1]));
    }
    buffer_append_byte(out, '}');
}

static bool is_fields(const redisReply *r)
{
    if (r->type != REDIS_REPLY_ARRAY)
        return false;
    for (size_t i = 0; i < r->elements; i++)
        if (r->element[i]->type != REDIS_REPLY_STRING)
            return false;
    return true;
}

bool entry_parts(struct message_parts *out, const redisReply *fields,
                 const char *field, struct buffer *json)
{
    *out = (struct message_parts){0};
    if (!is_fields(fields))
        return false;
    out->data = find(fields, str_of(field == NULL ? "data" : field));
    if (out->data.p != NULL) {
        out->type = find(fields, STR("event"));
        return true;
    }
    if (field != NULL)
        return false;
    write_object(json, fields);
    out->data = buffer_str(json);
    out->content_type = STR("application/json");
    return !json->failed;
}
