#include "wire/command.h"

#include <errno.h>
#include <jansson.h>

#include "wire/envelope.h"
#include "wire/json.h"

static const char usage[] =
    "a message here is {\"subscribe\": \"CHANNEL\"}, perhaps with \"since\": "
    "\"ID\", or {\"unsubscribe\": \"CHANNEL\"}";

/* The member's text; absent where it is no string. */
static struct str text_of(const json_t *object, const char *name)
{
    const json_t *s = json_object_get(object, name);

    if (!json_is_string(s))
        return STR_NONE;
    return (struct str){json_string_value(s), json_string_length(s)};
}

/* Whether a member that need not be there is a string if it is. */
static bool text_or_none(const json_t *object, const char *name)
{
    const json_t *s = json_object_get(object, name);

    return s == NULL || json_is_string(s);
}

static bool read_command(struct command *out, const json_t *object)
{
    struct str subscribe = text_of(object, "subscribe");
    struct str unsubscribe = text_of(object, "unsubscribe");

    if ((subscribe.p == NULL) == (unsubscribe.p == NULL) ||
        !text_or_none(object, "since"))
        return false;
    out->kind = subscribe.p != NULL ? COMMAND_SUBSCRIBE : COMMAND_UNSUBSCRIBE;
    out->channel = subscribe.p != NULL ? subscribe : unsubscribe;
    out->since = text_of(object, "since");
    return true;
}

int command_parse(struct command *out, struct str text, const char **why)
{
    json_error_t error;
    json_t *object = json_loadb(text.p == NULL ? "" : text.p, text.n,
                                JSON_REJECT_DUPLICATES, &error);

    *why = usage;
    *out = (struct command){.document = object};
    if (object == NULL && json_error_code(&error) == json_error_out_of_memory)
        return -ENOMEM;
    if (object != NULL && read_command(out, object))
        return 0;
    json_decref(object);
    out->document = NULL;
    return -EINVAL;
}

void command_fini(struct command *c)
{
    json_decref(c->document);
    c->document = NULL;
}

void command_subscribed(struct buffer *out, struct str channel, struct str id)
{
    buffer_append_str(out, STR("{\"subscribed\":"));
    json_append_string(out, channel);
    buffer_append_str(out, STR(",\"id\":"));
    json_append_string(out, id);
    buffer_append_byte(out, '}');
}

void command_unsubscribed(struct buffer *out, struct str channel)
{
    buffer_append_str(out, STR("{\"unsubscribed\":"));
    json_append_string(out, channel);
    buffer_append_byte(out, '}');
}

void command_error(struct buffer *out, struct str channel, unsigned status,
                   struct str detail)
{
    buffer_append_str(out, STR("{\"error\":{"));
    if (channel.p != NULL) {
        buffer_append_str(out, STR("\"channel\":"));
        json_append_string(out, channel);
        buffer_append_byte(out, ',');
    }
    if (status != 0)
        buffer_printf(out, "\"status\":%u,", status);
    buffer_append_str(out, STR("\"detail\":"));
    json_append_string(out, detail);
    buffer_append_str(out, STR("}}"));
}

void command_reply(struct buffer *out, struct str content_type,
                   struct str data)
{
    buffer_append_str(out, STR("{\"event\":\"message\",\"data\":"));
    envelope_append_data(out, envelope_kind_of(content_type, data), data);
    buffer_append_str(out, STR(",\"reply\":true}"));
}
