/* Unit tests of src/config/document.c; what it says of a text that is not JSON
 * is in test_config.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "config/document.h"

/* The lines of all values of text by path, as "path:line path:line ". */
static void list(const struct node *n, struct buffer *out)
{
    for (; n != NULL; n = n->next) {
        struct buffer path = {0};

        node_path(n, &path);
        buffer_printf(out, "%.*s:%u ", STR_ARG(buffer_str(&path)), n->line);
        buffer_fini(&path);
        list(n->first, out);
    }
}

static void assert_places(const char *text, const char *expected,
                          size_t faults_expected)
{
    struct document d;
    struct faults faults = {0};
    struct buffer out = {0};
    char *copy = strdup(text);

    assert_int_equal(document_parse(&d, copy, strlen(copy), &faults), 0);
    assert_int_equal(faults.count, faults_expected);
    list(d.root, &out);
    buffer_append_byte(&out, '\0');
    assert_string_equal(out.data, expected);
    buffer_fini(&out);
    document_fini(&d);
    faults_fini(&faults);
    free(copy);
}

static void every_value_has_its_line(void **state)
{
    assert_places("{}", ":1 ", 0);
    assert_places("\n[\n1,\n[2, {}],\n\"x\"]",
                  ":2 [0]:3 [1]:4 [1][0]:4 [1][1]:4 [2]:5 ", 0);
    assert_places("{\"a\":\n{\"b\"\n:\n[true,\nnull]},\"c\":-1.5e3}",
                  ":1 a:2 a.b:4 a.b[0]:4 a.b[1]:5 c:5 ", 0);
}

static void marks_inside_strings_are_text(void **state)
{
    assert_places("{\"a\": \"[{\\\"}]//,:\", \"b\": \"\\\\\",\n\"c\": \"/*\"}",
                  ":1 a:1 b:1 c:2 ", 0);
}

static void comments_keep_lines(void **state)
{
    assert_places("// x\n/* y\n*/ [1, // [2,\n 3]", ":3 [0]:3 [1]:4 ", 0);
}

static void keys_are_decoded(void **state)
{
    assert_places("{\"\\u0061b\": 1, \"a.b\": {\"\": 2}}",
                  ":1 ab:1 [\"a.b\"]:1 [\"a.b\"][\"\"]:1 ", 0);
}

static void of_equal_keys_the_last_counts_and_the_others_are_told(void **state)
{
    assert_places("{\"a\": {\"x\": [1]},\n\"b\": 2,\n\"\\u0061\": [3],\n"
                  "\"a\": 4}", ":1 b:2 a:4 ", 2);
}

static void equal_keys_deep_inside_are_told_too(void **state)
{
    assert_places("[{\"a\": {\"x\": 1, \"x\": {\"y\": 2}}}]",
                  ":1 [0]:1 [0].a:1 [0].a.x:1 [0].a.x.y:1 ", 1);
}

static void members_are_found_by_key(void **state)
{
    char text[] = "{\"a\": 1, \"b\": \"x\"}";
    struct faults faults = {0};
    struct document d;

    assert_int_equal(document_parse(&d, text, strlen(text), &faults), 0);
    assert_string_equal(node_text(node_get(d.root, "b")), "x");
    assert_null(node_text(node_get(d.root, "a")));
    assert_null(node_get(d.root, "c"));
    assert_true(node_is(node_get(d.root, "a"), JSON_INTEGER));
    document_fini(&d);
    faults_fini(&faults);
}

static void more_values_than_any_config_has_are_refused(void **state)
{
    struct buffer text = {0};
    struct faults faults = {0};
    struct document d;

    buffer_append_byte(&text, '[');
    for (int i = 0; i < DOCUMENT_NODES_MAX; i++)
        buffer_append_str(&text, STR("1,"));
    text.data[text.len - 1] = ']';
    assert_int_equal(document_parse(&d, text.data, text.len, &faults),
                     -EINVAL);
    assert_string_equal(faults.list[0].text, "more than 1000000 values");
    document_fini(&d);
    faults_fini(&faults);
    buffer_fini(&text);
}

static void nesting_has_an_end(void **state)
{
    struct buffer text = {0};
    struct faults faults = {0};
    struct document d;

    for (int i = 0; i < 100000; i++)
        buffer_append_byte(&text, '[');
    assert_int_equal(document_parse(&d, text.data, text.len, &faults),
                     -EINVAL);
    document_fini(&d);
    faults_fini(&faults);
    buffer_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_has_its_line),
        cmocka_unit_test(marks_inside_strings_are_text),
        cmocka_unit_test(comments_keep_lines),
        cmocka_unit_test(keys_are_decoded),
        cmocka_unit_test(of_equal_keys_the_last_counts_and_the_others_are_told),
        cmocka_unit_test(equal_keys_deep_inside_are_told_too),
        cmocka_unit_test(members_are_found_by_key),
        cmocka_unit_test(more_values_than_any_config_has_are_refused),
        cmocka_unit_test(nesting_has_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
