/* The table of config.def, and the walk over it. */
#include "config/config_priv.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "config/units.h"
#include "feed/loader.h"

#define STRUCT_top     struct config
#define STRUCT_listen  struct config_address
#define STRUCT_log     struct config
#define STRUCT_limits  struct config
#define STRUCT_backend struct backend
#define STRUCT_backend_tls struct backend
#define STRUCT_feed    struct route
#define STRUCT_cors    struct route
#define STRUCT_client  struct route
#define STRUCT_receive struct route
#define STRUCT_presence struct route
#define STRUCT_history struct route
#define STRUCT_batch   struct route
#define STRUCT_compress struct route
#define STRUCT_source  struct route
#define STRUCT_transform struct route
#define STRUCT_backoff struct route

#define IS_needed   true
#define IS_optional false
#define JSON(...)   #__VA_ARGS__

#define NUMBER(t, o, k, field, text, lo, hi, h)                                \
    {.scope = SCOPE_##o, .name = k, .type = t, .preset = text, .help = h,      \
     .offset = offsetof(STRUCT_##o, field), .low = lo, .high = hi},
#define DURATION(...) NUMBER(KEY_DURATION, __VA_ARGS__)
#define SECONDS(...)  NUMBER(KEY_SECONDS, __VA_ARGS__)
#define SIZE(...)     NUMBER(KEY_SIZE, __VA_ARGS__)
#define COUNT(...)    NUMBER(KEY_COUNT, __VA_ARGS__)
#define ENUM(o, k, field, text, all, h)                                        \
    {.scope = SCOPE_##o, .name = k, .type = KEY_ENUM, .preset = text,          \
     .offset = offsetof(STRUCT_##o, field), .values = all, .help = h},
#define OBJECT(o, k, in, h)                                                    \
    {.scope = SCOPE_##o, .name = k, .type = KEY_OBJECT, .inner = SCOPE_##in,   \
     .help = h},
#define OWN(o, k, fn, need, json, h)                                           \
    {.scope = SCOPE_##o, .name = k, .type = KEY_OWN, .read = fn,               \
     .needed = IS_##need, .schema = json, .help = h},
#define LATER(o, k) {.scope = SCOPE_##o, .name = k, .type = KEY_LATER},
#define LATER_VALUE(o, k, value)                                               \
    {.scope = SCOPE_##o, .name = k, .type = KEY_LATER_VALUE, .values = value},

const struct config_key config_keys[] = {
#include "config/config.def"
};
const size_t config_key_count = sizeof(config_keys) / sizeof(*config_keys);

const char *const config_scope_paths[SCOPE_N] = {
    [SCOPE_top] = "the top",
    [SCOPE_listen] = "listen[]",
    [SCOPE_listen_tls] = "listen[].tls",
    [SCOPE_admin] = "admin",
    [SCOPE_log] = "log",
    [SCOPE_limits] = "limits",
    [SCOPE_backend] = "backends.NAME",
    [SCOPE_backend_tls] = "backends.NAME.tls",
    [SCOPE_route] = "routes[]",
    [SCOPE_cors] = "routes[].cors",
    [SCOPE_client] = "routes[].limits",
    [SCOPE_feed] = "routes[]",
    [SCOPE_history] = "routes[].history",
    [SCOPE_batch] = "routes[].batch",
    [SCOPE_receive] = "routes[].receive",
    [SCOPE_presence] = "routes[].presence",
    [SCOPE_compress] = "routes[].compress",
    [SCOPE_source] = "routes[].source",
    [SCOPE_transform] = "routes[].source.transform",
    [SCOPE_backoff] = "routes[].source.backoff",
};

/* Enums are stored through an unsigned. */
_Static_assert(sizeof(enum log_level) == sizeof(unsigned) &&
                   sizeof(enum start_at) == sizeof(unsigned),
               "enums are as wide as unsigned");

/* Telling ----------------------------------------------------------------- */

static void tell(struct loading *l, const struct node *n, const char *key,
                 const char *format, va_list args)
{
    struct buffer path = {0};
    char *text = NULL;

    node_path(n, &path);
    if (key != NULL)
        buffer_printf(&path, "%s%s", path.len > 0 ? "." : "", key);
    buffer_append_byte(&path, '\0');
    if (vasprintf(&text, format, args) < 0 || path.failed)
        l->no_memory = true;
    else
        faults_add(l->faults, n->line, 0, path.data, "%s", text);
    free(text);
    buffer_fini(&path);
}

void fault_at(struct loading *l, const struct node *n, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tell(l, n, NULL, format, args);
    va_end(args);
}

void fault_in(struct loading *l, const struct node *n, const char *key,
              const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tell(l, n, key, format, args);
    va_end(args);
}

void fault_choice(struct loading *l, const struct node *n, const char *what,
                  const char *wrong, const char *allowed_word,
                  const char *const names[], size_t count)
{
    const char *nearest = str_nearest(wrong, names, count);
    struct buffer text = {0};

    buffer_printf(&text, "%s \"%.80s\"; %s:", what, wrong, allowed_word);
    for (size_t i = 0; i < count && i < 20; i++)
        buffer_printf(&text, "%s %.80s", i > 0 ? "," : "", names[i]);
    if (count == 0)
        buffer_printf(&text, " none");
    if (count > 20)
        buffer_printf(&text, " and %zu more", count - 20);
    if (nearest != NULL)
        buffer_printf(&text, ".  Did you mean \"%.80s\"?", nearest);
    buffer_append_byte(&text, '\0');
    if (text.failed)
        l->no_memory = true;
    else
        fault_at(l, n, "%s", text.data);
    buffer_fini(&text);
}

bool expect(struct loading *l, const struct node *n, json_type type,
            const char *example)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object",   [JSON_ARRAY] = "an array",
        [JSON_STRING] = "a string",    [JSON_INTEGER] = "a whole number",
        [JSON_REAL] = "a number",      [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",        [JSON_NULL] = "null",
    };

    if (node_is(n, type))
        return true;
    fault_at(l, n, "must be %s%s%s, not %s", names[type],
             *example == '\0' ? "" : " such as ", example, node_type_name(n));
    return false;
}

bool expect_boolean(struct loading *l, const struct node *n)
{
    if (!json_is_boolean(n->value))
        fault_at(l, n, "must be true or false");
    return json_is_true(n->value);
}

const char *expect_text(struct loading *l, const struct node *n,
                        const char *example)
{
    return expect(l, n, JSON_STRING, example) ? node_text(n) : NULL;
}

char *copy_text(struct loading *l, const char *text)
{
    char *copy = strdup(text);

    if (copy == NULL)
        l->no_memory = true;
    return copy;
}

void *make_array(struct loading *l, size_t count, size_t size)
{
    void *array = calloc(count == 0 ? 1 : count, size);

    if (array == NULL)
        l->no_memory = true;
    return array;
}

/* One value --------------------------------------------------------------- */

static void store(const struct config_key *key, void *into, uint64_t value)
{
    char *field = (char *)into + key->offset;

    switch (key->type) {
    case KEY_DURATION:
        memcpy(field, &value, sizeof(value));
        break;
    case KEY_SECONDS:
        value /= SECOND;
        memcpy(field, &value, sizeof(value));
        break;
    case KEY_SIZE:
        memcpy(field, &(size_t){value}, sizeof(size_t));
        break;
    default:
        memcpy(field, &(unsigned){(unsigned)value}, sizeof(unsigned));
    }
}

static int parse(const struct config_key *key, const char *text,
                 uint64_t *value)
{
    return key->type == KEY_SIZE ? size_parse(str_of(text), value)
                                 : duration_parse(str_of(text), value);
}

static const char *print(const struct config_key *key, uint64_t value,
                         char out[UNITS_TEXT_MAX])
{
    if (key->type == KEY_SIZE)
        return size_print(value, out);
    if (key->type != KEY_COUNT)
        return duration_print(value, out);
    snprintf(out, UNITS_TEXT_MAX, "%" PRIu64, value);
    return out;
}

static void check_range(struct loading *l, const struct node *n,
                        const struct config_key *key, uint64_t value,
                        void *into)
{
    char low[UNITS_TEXT_MAX], high[UNITS_TEXT_MAX];

    if (value >= key->low && value <= key->high) {
        store(key, into, value);
        return;
    }
    fault_at(l, n, "out of range; allowed: from %s to %s",
             print(key, key->low, low), print(key, key->high, high));
}

/* What a bare number most likely meant.  Seconds, octets: nobody who leaves
 * the unit out thinks of days. */
static void fault_bare(struct loading *l, const struct node *n,
                       const struct config_key *key)
{
    json_int_t number = json_integer_value(n->value);
    char text[UNITS_TEXT_MAX];

    if (!json_is_integer(n->value) || number < 0)
        fault_at(l, n, "must be a string such as \"%s\", not a number",
                 key->preset);
    else if (key->type == KEY_SIZE)
        fault_at(l, n, "%" JSON_INTEGER_FORMAT " has no unit; write \"%s\"",
                 number, size_print((uint64_t)number, text));
    else
        fault_at(l, n, "%" JSON_INTEGER_FORMAT " has no unit; write "
                 "\"%" JSON_INTEGER_FORMAT "s\"", number, number);
}

static void read_unit(struct loading *l, const struct node *n,
                      const struct config_key *key, void *into)
{
    const char *what = key->type == KEY_SIZE ? "size" : "duration", *text;
    char example[UNITS_TEXT_MAX + 2];
    uint64_t value;
    int rc;

    if (json_is_number(n->value)) {
        fault_bare(l, n, key);
        return;
    }
    snprintf(example, sizeof(example), "\"%s\"", key->preset);
    text = expect_text(l, n, example);
    if (text == NULL)
        return;
    rc = parse(key, text, &value);
    if (rc == -EINVAL)
        fault_at(l, n, "\"%.80s\" is not a %s; write a whole number and one of "
                 "%s, such as %s", text, what,
                 key->type == KEY_SIZE ? "B, KB, KiB, MB, MiB, GB, GiB"
                                       : "ms, s, m, h, d", example);
    else if (rc == 0 && key->type == KEY_SECONDS && value % SECOND != 0)
        fault_at(l, n, "\"%.80s\" is not a whole number of seconds", text);
    else
        check_range(l, n, key, rc < 0 ? UINT64_MAX : value, into);
}

static void read_count(struct loading *l, const struct node *n,
                       const struct config_key *key, void *into)
{
    json_int_t value;

    if (!expect(l, n, JSON_INTEGER, ""))
        return;
    value = json_integer_value(n->value);
    check_range(l, n, key, value < 0 ? UINT64_MAX : (uint64_t)value, into);
}

#define ENUM_VALUES_MAX 8

/* Splits "a|b|c"; copy holds the names. */
static size_t split_values(const char *values, char copy[128],
                           const char *names[ENUM_VALUES_MAX])
{
    size_t n = 0;
    char *rest = NULL;

    assert(strlen(values) < 128);
    strcpy(copy, values);
    for (char *name = strtok_r(copy, "|", &rest); name != NULL;
         name = strtok_r(NULL, "|", &rest)) {
        assert(n < ENUM_VALUES_MAX);
        names[n++] = name;
    }
    return n;
}

static int enum_value(const struct config_key *key, const char *text)
{
    const char *names[ENUM_VALUES_MAX];
    char copy[128];
    size_t n = split_values(key->values, copy, names);

    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], text) == 0)
            return (int)i;
    return -ENOENT;
}

static bool is_later_value(const struct config_key *key, const char *text)
{
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *k = &config_keys[i];

        if (k->type == KEY_LATER_VALUE && k->scope == key->scope &&
            strcmp(k->name, key->name) == 0 && strcmp(k->values, text) == 0)
            return true;
    }
    return false;
}

static void read_enum(struct loading *l, const struct node *n,
                      const struct config_key *key, void *into)
{
    const char *names[ENUM_VALUES_MAX], *text;
    char copy[128], example[40];
    int value;

    snprintf(example, sizeof(example), "\"%s\"", key->preset);
    text = expect_text(l, n, example);
    if (text == NULL)
        return;
    value = enum_value(key, text);
    if (value >= 0)
        store(key, into, (uint64_t)value);
    else if (is_later_value(key, text))
        fault_at(l, n, "\"%s\" is not supported yet", text);
    else
        fault_choice(l, n, "unknown value", text, "allowed", names,
                     split_values(key->values, copy, names));
}

static void read_key(struct loading *l, const struct node *n,
                     const struct config_key *key, void *into)
{
    switch (key->type) {
    case KEY_DURATION:
    case KEY_SECONDS:
    case KEY_SIZE:
        read_unit(l, n, key, into);
        break;
    case KEY_COUNT:
        read_count(l, n, key, into);
        break;
    case KEY_ENUM:
        read_enum(l, n, key, into);
        break;
    case KEY_OBJECT:
        keys_read(l, n, key->inner, into);
        break;
    case KEY_OWN:
        key->read(l, n, into);
        break;
    case KEY_LATER:
        fault_at(l, n, "is not supported yet");
        break;
    case KEY_LATER_VALUE:
        break;
    }
}

/* An object --------------------------------------------------------------- */

static bool in_scope(const struct config_key *key, enum scope scope)
{
    return key->type != KEY_LATER_VALUE &&
           (key->scope == scope ||
            (scope == SCOPE_route && key->scope == SCOPE_feed));
}

/* Another object that has such a key, or NULL. */
static const char *scope_with(const char *name)
{
    for (size_t i = 0; i < config_key_count; i++)
        if (config_keys[i].type != KEY_LATER &&
            strcmp(config_keys[i].name, name) == 0)
            return config_scope_paths[config_keys[i].scope];
    return NULL;
}

static void fault_unknown(struct loading *l, const struct node *n,
                          const char *const names[], size_t count)
{
    const char *nearest = str_nearest(n->key, names, count);
    const char *elsewhere = scope_with(n->key);

    if (elsewhere != NULL)
        fault_at(l, n, "does not belong here, but in %s", elsewhere);
    else if (nearest != NULL)
        fault_at(l, n, "unknown key.  Did you mean \"%s\"?", nearest);
    else
        fault_choice(l, n, "unknown key", n->key, "allowed", names, count);
}

static void check_unknown(struct loading *l, const struct node *object,
                          enum scope scope)
{
    const char *names[64];
    size_t count = 0;

    for (size_t i = 0; i < config_key_count; i++)
        if (in_scope(&config_keys[i], scope) &&
            config_keys[i].type != KEY_LATER) {
            assert(count < sizeof(names) / sizeof(*names));
            names[count++] = config_keys[i].name;
        }
    for (const struct node *n = object->first; n != NULL; n = n->next) {
        bool known = false;

        for (size_t i = 0; i < config_key_count && !known; i++)
            known = in_scope(&config_keys[i], scope) &&
                    strcmp(config_keys[i].name, n->key) == 0;
        if (scope == SCOPE_source)
            known |= loader_find(l->config->modules, l->config->module_count,
                                 n->key) != NULL;
        if (!known)
            fault_unknown(l, n, names, count);
    }
}

void keys_read(struct loading *l, const struct node *object, enum scope scope,
               void *into)
{
    if (!expect(l, object, JSON_OBJECT, ""))
        return;
    check_unknown(l, object, scope);
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        const struct node *n;

        if (!in_scope(key, scope))
            continue;
        n = node_get(object, key->name);
        if (n != NULL)
            read_key(l, n, key, into);
        else if (key->needed)
            fault_in(l, object, key->name, "is missing.  %s", key->help);
    }
}

/* Presets are written in config.def as in a file; a bad one is our bug. */
static void preset(const struct config_key *key, void *into)
{
    uint64_t value;
    int rc = 0;

    if (key->preset == NULL)
        return;
    if (key->type == KEY_ENUM)
        value = (uint64_t)enum_value(key, key->preset);
    else if (key->type == KEY_COUNT)
        rc = str_to_u64(str_of(key->preset), &value) ? 0 : -EINVAL;
    else
        rc = parse(key, key->preset, &value);
    if (rc < 0)
        abort();
    store(key, into, value);
}

void keys_preset(enum scope scope, void *into)
{
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];

        if (!in_scope(key, scope))
            continue;
        if (key->type == KEY_OBJECT)
            keys_preset(key->inner, into);
        else
            preset(key, into);
    }
}

bool key_is_feed(const char *name)
{
    for (size_t i = 0; i < config_key_count; i++)
        if (config_keys[i].scope == SCOPE_feed &&
            strcmp(config_keys[i].name, name) == 0)
            return true;
    return false;
}
