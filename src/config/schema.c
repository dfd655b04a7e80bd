/* What config.def says, for machines and for people. */
#include "config/config_priv.h"

#include <stdlib.h>

#include "config/units.h"

static const char *const scope_names[SCOPE_N] = {
    [SCOPE_top] = "top",         [SCOPE_admin] = "admin",
    [SCOPE_log] = "log",         [SCOPE_limits] = "limits",
    [SCOPE_backend] = "backend", [SCOPE_route] = "route",
    [SCOPE_feed] = "route",      [SCOPE_history] = "history",
    [SCOPE_batch] = "batch",     [SCOPE_source] = "source",
    [SCOPE_backoff] = "backoff", [SCOPE_cors] = "cors",
    [SCOPE_client] = "client",   [SCOPE_backend_tls] = "backend_tls",
    [SCOPE_listen] = "listen",   [SCOPE_listen_tls] = "listen_tls",
    [SCOPE_receive] = "receive", [SCOPE_transform] = "transform",
    [SCOPE_presence] = "presence",
    [SCOPE_compress] = "compress",
};

static bool is_key(const struct config_key *key)
{
    return key->type != KEY_LATER && key->type != KEY_LATER_VALUE;
}

/* JSON Schema ------------------------------------------------------------- */

static json_t *reference(const char *name)
{
    return json_pack("{s:s+}", "$ref", "#/$defs/", name);
}

static json_t *choice(const char *values)
{
    json_t *array = json_array();
    struct str rest = str_of(values), value;

    while (rest.p != NULL) {
        rest = str_split(rest, '|', &value);
        json_array_append_new(array, json_stringn(value.p, value.n));
    }
    return json_pack("{s:o}", "enum", array);
}

static json_t *shape(const struct config_key *key)
{
    switch (key->type) {
    case KEY_DURATION:
    case KEY_SECONDS:
        return reference("duration");
    case KEY_SIZE:
        return reference("size");
    case KEY_COUNT:
        return json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum",
                         (json_int_t)key->low, "maximum",
                         (json_int_t)key->high);
    case KEY_ENUM:
        return choice(key->values);
    case KEY_OBJECT:
        return reference(scope_names[key->inner]);
    default:
        return json_loads(key->schema, 0, NULL);
    }
}

static void add_property(json_t *properties, const struct config_key *key)
{
    json_t *property = shape(key);

    json_object_set_new(property, "description", json_string(key->help));
    if (key->preset != NULL)
        json_object_set_new(property, "default",
                            key->type == KEY_COUNT
                                ? json_integer(atoll(key->preset))
                                : json_string(key->preset));
    json_object_set_new(properties, key->name, property);
}

static json_t *object_schema(enum scope scope)
{
    json_t *properties = json_object(), *required = json_array();

    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];

        if (!is_key(key) || strcmp(scope_names[key->scope],
                                   scope_names[scope]) != 0)
            continue;
        add_property(properties, key);
        if (key->needed)
            json_array_append_new(required, json_string(key->name));
    }
    return json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties",
                     properties, "required", required, "additionalProperties",
                     0);
}

/* What more than one key refers to, and what no single key can say. */
static const char shared[] =
    "{\"duration\": {\"type\": \"string\","
    "   \"pattern\": \"^[0-9]+(ms|s|m|h|d)$\"},"
    " \"size\": {\"type\": \"string\","
    "   \"pattern\": \"^[0-9]+(B|kB|KB|KiB|MB|MiB|GB|GiB)$\"},"
    " \"rate\": {\"type\": \"string\","
    "   \"pattern\": \"^[0-9]+/(s|m|h|d)$\"},"
    " \"address\": {\"type\": \"string\", \"pattern\": \":[0-9]+$\"},"
    " \"server\": {\"type\": \"string\", \"pattern\":"
    "   \"^(https?://[^/]+/?|redis://.+|redis[+]unix://.+)$\"},"
    " \"servers\": {\"type\": \"array\", \"minItems\": 1,"
    "   \"items\": {\"$ref\": \"#/$defs/server\"}},"
    " \"origins\": {\"anyOf\": [{\"type\": \"string\"},"
    "   {\"type\": \"array\", \"minItems\": 1, \"uniqueItems\": true,"
    "    \"items\": {\"type\": \"string\"}}]},"
    " \"stream\": {\"type\": \"string\", \"pattern\": \"^[A-Za-z0-9._-]+(/|$)\"}"
    "}";
static const char route_kinds[] =
    "[{\"required\": [\"proxy\"]}, {\"required\": [\"source\"]}]";
static const char source_kinds[] =
    "[{\"required\": [\"publish\"]}, {\"required\": [\"sse\"]},"
    " {\"required\": [\"ndjson\"]}, {\"required\": [\"websocket\"]},"
    " {\"required\": [\"poll\"]}, {\"required\": [\"longpoll\"]},"
    " {\"required\": [\"redis\"]}]";

void config_schema(FILE *out)
{
    json_t *schema = json_pack("{s:s, s:s}", "$schema",
                               "https://json-schema.org/draft/2020-12/schema",
                               "title", "penstock.json");
    json_t *defs = json_loads(shared, 0, NULL), *top = object_schema(SCOPE_top);

    for (enum scope s = SCOPE_top + 1; s < SCOPE_N; s++)
        if (s != SCOPE_feed)
            json_object_set_new(defs, scope_names[s], object_schema(s));
    json_object_set_new(json_object_get(defs, "route"), "oneOf",
                        json_loads(route_kinds, 0, NULL));
    json_object_set_new(json_object_get(defs, "source"), "oneOf",
                        json_loads(source_kinds, 0, NULL));
    json_object_update(schema, top);
    json_object_set_new(schema, "$defs", defs);
    json_dumpf(schema, out, JSON_INDENT(2));
    fputc('\n', out);
    json_decref(top);
    json_decref(schema);
}

/* penstock.json(5) -------------------------------------------------------- */

static const struct {
    enum scope scope;
    const char *title, *intro;
} sections[] = {
    {SCOPE_top, "Top", "The file is one object."},
    {SCOPE_listen, "listen", "An address, or an object."},
    {SCOPE_listen_tls, "A listener's tls", NULL},
    {SCOPE_admin, "admin", NULL},
    {SCOPE_log, "log", NULL},
    {SCOPE_limits, "limits", NULL},
    {SCOPE_backend, "A backend", NULL},
    {SCOPE_backend_tls, "A backend's tls", NULL},
    {SCOPE_route, "A route", "Every route has a path, and either a proxy or a "
                             "source."},
    {SCOPE_cors, "cors", NULL},
    {SCOPE_client, "A route's limits", NULL},
    {SCOPE_feed, "A route with a source", NULL},
    {SCOPE_history, "history", NULL},
    {SCOPE_batch, "batch", NULL},
    {SCOPE_receive, "receive", NULL},
    {SCOPE_presence, "presence", NULL},
    {SCOPE_compress, "compress", NULL},
    {SCOPE_source, "source", "One of publish, sse, ndjson, websocket, poll, "
                             "longpoll and redis says what kind it is."},
    {SCOPE_transform, "transform", "What a message lacks of these stays as it "
                                   "came, and is counted."},
    {SCOPE_backoff, "backoff", NULL},
};

static void print_values(FILE *out, const char *values)
{
    for (; *values != '\0'; values++)
        if (*values == '|')
            fputs(" | ", out);
        else
            fputc(*values, out);
}

static void print_type(FILE *out, const struct config_key *key)
{
    switch (key->type) {
    case KEY_DURATION:
    case KEY_SECONDS:
        fputs(" : Ar duration", out);
        break;
    case KEY_SIZE:
        fputs(" : Ar size", out);
        break;
    case KEY_COUNT:
        fputs(" : Ar number", out);
        break;
    case KEY_ENUM:
        fputs(" : No ", out);
        print_values(out, key->values);
        break;
    case KEY_OBJECT:
        fputs(" : No { ... }", out);
        break;
    default:
        break;
    }
}

/* A sentence to a line or more, as mdoc wants it.  Nothing in config.def has a
 * word that begins with a dot. */
static void print_help(FILE *out, const char *help)
{
    size_t column = 0;

    while (*help != '\0') {
        size_t word = strcspn(help, " ");

        if (column > 0 && column + 1 + word > 78) {
            fputc('\n', out);
            column = 0;
        }
        column += (size_t)fprintf(out, "%s%.*s", column > 0 ? " " : "",
                                  (int)word, help);
        if (help[word - 1] == '.')
            column = 79; /* the sentence ends here */
        help += word + (help[word] == ' ');
    }
    fputc('\n', out);
}

static void print_range(FILE *out, const struct config_key *key)
{
    char low[UNITS_TEXT_MAX], high[UNITS_TEXT_MAX];

    if (key->preset != NULL)
        fprintf(out, "Default: %s.\n", key->preset);
    if (key->type == KEY_COUNT)
        fprintf(out, "From %llu to %llu.\n", (unsigned long long)key->low,
                (unsigned long long)key->high);
    else if (key->type == KEY_SIZE)
        fprintf(out, "From %s to %s.\n", size_print(key->low, low),
                size_print(key->high, high));
    else if (key->type == KEY_DURATION || key->type == KEY_SECONDS)
        fprintf(out, "From %s to %s.\n", duration_print(key->low, low),
                duration_print(key->high, high));
    else if (key->needed)
        fputs("Needed.\n", out);
}

static void print_key(FILE *out, const struct config_key *key)
{
    fprintf(out, ".It Cm %s", key->name);
    print_type(out, key);
    fputc('\n', out);
    print_help(out, key->help);
    print_range(out, key);
}

void config_manual(FILE *out)
{
    for (size_t s = 0; s < sizeof(sections) / sizeof(*sections); s++) {
        fprintf(out, ".Ss %s\n", sections[s].title);
        if (sections[s].intro != NULL)
            fprintf(out, "%s\n", sections[s].intro);
        fputs(".Bl -tag -width Ds\n", out);
        for (size_t i = 0; i < config_key_count; i++)
            if (config_keys[i].scope == sections[s].scope &&
                is_key(&config_keys[i]))
                print_key(out, &config_keys[i]);
        fputs(".El\n", out);
    }
}
