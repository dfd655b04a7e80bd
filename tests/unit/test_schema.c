/* Unit tests of src/config/schema.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "config/config_priv.h"

/* What print writes; the caller's to free. */
static char *printed(void (*print)(FILE *out))
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    print(out);
    fclose(out);
    return text;
}

static char *file_text(const char *name)
{
    const char *srcdir = getenv("srcdir");
    char path[4096], *text;
    size_t len;
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", srcdir == NULL ? "." : srcdir, name);
    f = fopen(path, "r");
    assert_non_null(f);
    text = calloc(1, 1 << 20);
    assert_non_null(text);
    len = fread(text, 1, (1 << 20) - 1, f);
    assert_true(len > 0);
    fclose(f);
    return text;
}

/* `make update-manual` mends it. */
static void the_manual_lists_the_keys_as_they_are(void **state)
{
    char *keys = printed(config_manual);
    char *page = file_text("doc/penstock.json.5"), *begin, *end;

    begin = strstr(page, ".\\\" begin keys\n");
    end = strstr(page, ".\\\" end keys\n");
    assert_non_null(begin);
    assert_non_null(end);
    *end = '\0';
    assert_string_equal(strchr(begin, '\n') + 1, keys);
    free(keys);
    free(page);
}

static void the_schema_is_json_with_every_key(void **state)
{
    char *text = printed(config_schema);
    json_t *schema = json_loads(text, 0, NULL), *defs;

    assert_non_null(schema);
    assert_string_equal(
        json_string_value(json_object_get(schema, "$schema")),
        "https://json-schema.org/draft/2020-12/schema");
    defs = json_object_get(schema, "$defs");
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        char name[80];

        if (key->type == KEY_LATER || key->type == KEY_LATER_VALUE)
            continue;
        snprintf(name, sizeof(name), "\"%s\": {", key->name);
        assert_non_null(strstr(text, name));
        if (key->schema != NULL)
            json_decref(json_loads(key->schema, 0, NULL));
    }
    assert_non_null(json_object_get(json_object_get(defs, "route"), "oneOf"));
    json_decref(schema);
    free(text);
}

/* Looks up each "$ref" in value. */
static void each_reference(const json_t *value, const json_t *defs)
{
    const char *key;
    json_t *member;
    size_t i;

    if (json_is_array(value)) {
        json_array_foreach(value, i, member)
            each_reference(member, defs);
        return;
    }
    json_object_foreach((json_t *)value, key, member) {
        if (strcmp(key, "$ref") == 0)
            assert_non_null(json_object_get(
                defs, json_string_value(member) + strlen("#/$defs/")));
        else
            each_reference(member, defs);
    }
}

static void what_the_schema_refers_to_is_there(void **state)
{
    char *text = printed(config_schema);
    json_t *schema = json_loads(text, 0, NULL);

    each_reference(schema, json_object_get(schema, "$defs"));
    json_decref(schema);
    free(text);
}

static void every_key_has_a_sentence(void **state)
{
    for (size_t i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];

        if (key->type == KEY_LATER || key->type == KEY_LATER_VALUE)
            continue;
        assert_true(strlen(key->help) > 5);
        assert_true(key->help[strlen(key->help) - 1] == '.');
        assert_true(key->help[0] >= 'A' && key->help[0] <= 'Z');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_manual_lists_the_keys_as_they_are),
        cmocka_unit_test(the_schema_is_json_with_every_key),
        cmocka_unit_test(what_the_schema_refers_to_is_there),
        cmocka_unit_test(every_key_has_a_sentence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
