/* Unit tests of src/config/pattern.c. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "config/pattern.h"

static struct pattern make(const char *text)
{
    struct pattern p;
    const char *why;

    assert_int_equal(pattern_init(&p, text, &why), 0);
    return p;
}

static bool matches(const char *text, const char *path)
{
    struct pattern p = make(text);
    bool yes = pattern_match(&p, str_of(path), NULL);

    pattern_fini(&p);
    return yes;
}

/* What the names of text stand for in path, as "name=value;..."; "none" where
 * it does not match. */
static void assert_values(const char *text, const char *path,
                          const char *expected)
{
    struct pattern p = make(text);
    struct pattern_values v;
    struct buffer out = {0};

    if (!pattern_match(&p, str_of(path), &v))
        buffer_append_str(&out, STR("none"));
    else
        for (unsigned i = 0; i < v.count; i++)
            buffer_printf(&out, "%.*s=%.*s;", STR_ARG(v.names[i]),
                          STR_ARG(v.values[i]));
    buffer_append_byte(&out, '\0');
    assert_string_equal(out.data, expected);
    buffer_fini(&out);
    pattern_fini(&p);
}

static void a_literal_matches_itself_alone(void **state)
{
    assert_true(matches("/news", "/news"));
    assert_false(matches("/news", "/new"));
    assert_false(matches("/news", "/news/"));
    assert_false(matches("/news", "/newsx"));
    assert_false(matches("/news", "/NEWS"));
    assert_false(matches("/news", ""));
    assert_true(matches("/", "/"));
}

static void a_name_is_one_segment_that_is_not_empty(void **state)
{
    assert_values("/quotes/{s}", "/quotes/ACME", "s=ACME;");
    assert_values("/quotes/{s}", "/quotes/", "none");
    assert_values("/quotes/{s}", "/quotes/a/b", "none");
    assert_values("/quotes/{s}", "/quotes", "none");
    assert_values("/a/{x}/b/{y}", "/a/1/b/2", "x=1;y=2;");
    assert_values("/a/{x}/b", "/a/1/b", "x=1;");
    assert_values("/a/{x}/b", "/a//b", "none");
    assert_values("/a/{x}/b", "/a/1/2/b", "none");
}

static void a_name_is_never_a_dot_segment(void **state)
{
    assert_values("/q/{s}", "/q/.", "none");
    assert_values("/q/{s}", "/q/..", "none");
    assert_values("/q/{s}", "/q/%2e%2E", "none");
    assert_values("/q/{s}", "/q/.%2e", "none");
    assert_values("/q/{s}/x", "/q/../x", "none");
    assert_values("/q/{s}", "/q/...", "s=...;");
    assert_values("/q/{s}", "/q/..a", "s=..a;");
}

static void an_asterisk_is_the_rest_and_may_be_empty(void **state)
{
    assert_values("/files/*", "/files/a/b", "*=a/b;");
    assert_values("/files/*", "/files/", "*=;");
    assert_values("/files/*", "/files", "none");
    assert_values("/*", "/", "*=;");
    assert_values("/{a}/*", "/x/y/z", "a=x;*=y/z;");
}

static void names_may_stand_inside_a_template(void **state)
{
    assert_values("quotes:{s}", "quotes:ACME", "s=ACME;");
    assert_values("quotes:{s}:bid", "quotes:ACME:bid", "s=ACME;");
    assert_values("quotes:{s}:bid", "quotes::bid:bid", "s=:bid;");
    assert_values("{a}-{b}", "x-y-z", "a=x;b=y-z;");
    assert_values("{a}-{b}", "-x", "none");
    assert_values("{a}-x/{b}", "a-x-x/c", "a=a-x;b=c;");
    assert_values("{a}.json", "a.json.json", "a=a.json;");
    assert_values("{a}.json", "a.jsonx", "none");
}

static void escapes_match_what_they_stand_for(void **state)
{
    assert_true(matches("/news", "/%6eew%73"));
    assert_true(matches("/a~b", "/a%7eb"));
    assert_true(matches("/caf%C3%A9", "/caf%c3%a9"));
    assert_true(matches("/%C3", "/%C3"));
    assert_false(matches("/%C3", "/%C4"));
    assert_false(matches("/a/b", "/a%2Fb"));
    assert_false(matches("/news", "/%6"));
    assert_false(matches("/news", "/%zzews"));
    assert_false(matches("/ne", "/ne%"));
    assert_values("/q/{s}/x", "/q/a%2Fb/%78", "s=a%2Fb;");
}

static void values_are_slices_of_the_path_as_it_came(void **state)
{
    struct pattern p = make("/q/{s}");
    struct pattern_values v;
    const char *path = "/q/%41%2f";

    assert_true(pattern_match(&p, str_of(path), &v));
    assert_ptr_equal(v.values[0].p, path + 3);
    assert_int_equal(v.values[0].n, 6);
    pattern_fini(&p);
}

static void bad_patterns_say_why(void **state)
{
    static const char *const bad[][2] = {
        {"/{a", "a { that is not closed"},
        {"/a}", "a } without a {"},
        {"/{}", "a {name} is made of letters, digits and _"},
        {"/{a b}", "a {name} is made of letters, digits and _"},
        {"/{1a}", "a {name} is made of letters, digits and _"},
        {"/{a}/{a}", "the same {name} twice"},
        {"/{a}{b}", "two names with nothing between them"},
        {"/a*", "a * that is not the whole last segment"},
        {"/*/a", "a * that is not the whole last segment"},
        {"/**", "a * that is not the whole last segment"},
        {"/{a}*", "a * that is not the whole last segment"},
    };
    struct pattern p;
    const char *why;

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(pattern_init(&p, bad[i][0], &why), -EINVAL);
        assert_string_equal(why, bad[i][1]);
        pattern_fini(&p);
    }
}

static void more_parts_than_there_is_room_for_are_refused(void **state)
{
    struct buffer text = {0};
    struct pattern p;
    const char *why;

    for (int i = 0; i < PATTERN_PARTS_MAX; i++)
        buffer_printf(&text, "/{n%d}", i);
    buffer_append_byte(&text, '\0');
    assert_int_equal(pattern_init(&p, text.data, &why), 0);
    assert_int_equal(p.part_count, PATTERN_PARTS_MAX);
    pattern_fini(&p);
    text.len--;
    buffer_append(&text, "/x", 3);
    assert_int_equal(pattern_init(&p, text.data, &why), -EINVAL);
    assert_string_equal(why, "more than 32 parts");
    pattern_fini(&p);
    buffer_fini(&text);
}

static void the_more_specific_comes_first(void **state)
{
    /* Each before all that follow. */
    static const char *const order[] = {
        "/files/readme/long", "/files/readme", "/files/{n}/x", "/files/{n}/{m}",
        "/files/{n}/*", "/files/{n}", "/files/*", "/a/b", "/{a}/b", "/{a}/{b}",
        "/{a}", "/*",
    };
    size_t n = sizeof(order) / sizeof(*order);

    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++) {
            struct pattern a = make(order[i]), b = make(order[j]);

            assert_true(pattern_compare(&a, &b) > 0);
            assert_true(pattern_compare(&b, &a) < 0);
            pattern_fini(&a);
            pattern_fini(&b);
        }
}

static void names_do_not_count_in_the_key(void **state)
{
    struct pattern p = make("/a/{x}/b/*");
    struct buffer key = {0};

    pattern_key(&p, &key);
    assert_true(str_eq(buffer_str(&key), STR("/a/{}/b/*")));
    buffer_fini(&key);
    pattern_fini(&p);
}

static void a_template_is_covered_or_says_what_is_missing(void **state)
{
    struct pattern path = make("/a/{x}/{y}"), yes = make("q/{y}");
    struct pattern no = make("q/{y}/{z}");
    struct str missing;

    assert_true(pattern_covers(&path, &yes, &missing));
    assert_false(pattern_covers(&path, &no, &missing));
    assert_true(str_eq(missing, STR("z")));
    pattern_fini(&path);
    pattern_fini(&yes);
    pattern_fini(&no);
}

typedef int expand_fn(const struct pattern *template,
                      const struct pattern_values *values, struct buffer *out);

static void assert_expands(expand_fn *expand, const char *template,
                           const char *value, const char *expected)
{
    struct pattern p = make(template);
    struct pattern_values v = {.names = {STR("s")}, .values = {str_of(value)},
                               .count = 1};
    struct buffer out = {0};

    assert_int_equal(expand(&p, &v, &out), 0);
    buffer_append_byte(&out, '\0');
    assert_string_equal(out.data, expected);
    buffer_fini(&out);
    pattern_fini(&p);
}

static void values_are_filled_in_in_normal_form(void **state)
{
    assert_expands(pattern_expand, "q/{s}/x", "A", "q/A/x");
    assert_expands(pattern_expand, "q/{s}", "%41", "q/A");
    assert_expands(pattern_expand, "q/{s}", "%c3%a9", "q/%C3%A9");
    assert_expands(pattern_expand, "q/{s}", "EUR=X", "q/EUR=X");
    assert_expands(pattern_expand, "q/{s}", "a%2fb", "q/a%2Fb");
}

static void a_stray_percent_cannot_become_an_escape(void **state)
{
    assert_expands(pattern_expand, "q/{s}", "%%32e", "q/%252e");
    assert_expands(pattern_expand_url, "q/{s}", "%%32e", "q/%252e");
    assert_expands(pattern_expand, "q/{s}", "100%", "q/100%25");
}

static void a_value_cannot_add_to_a_url(void **state)
{
    assert_expands(pattern_expand_url, "/x?s={s}", "a&admin=1",
                   "/x?s=a%26admin%3D1");
    assert_expands(pattern_expand_url, "/x/{s}", "a?b#c/d;e+f",
                   "/x/a%3Fb%23c%2Fd%3Be%2Bf");
    assert_expands(pattern_expand_url, "/x/{s}", "a%26b", "/x/a%26b");
    assert_expands(pattern_expand_url, "/x/{s}", "EUR:USD", "/x/EUR:USD");
    assert_expands(pattern_expand_url, "/x/{s}", "a\r\nb \x80",
                   "/x/a%0D%0Ab%20%80");
}

static void assert_text(const char *template, const char *value, bool glob,
                        const char *expected)
{
    struct pattern_values v = {{STR("s")}, {str_of(value)}, 1};
    struct buffer out = {0};
    struct pattern p;
    const char *why;

    assert_int_equal(pattern_init_text(&p, template, &why), 0);
    assert_int_equal(pattern_expand_text(&p, &v, glob, &out), 0);
    buffer_append_byte(&out, '\0');
    assert_string_equal(out.data, expected);
    buffer_fini(&out);
    pattern_fini(&p);
}

static void text_that_is_no_path_is_decoded(void **state)
{
    assert_text("prices:{s}", "a%20b%2Fc", false, "prices:a b/c");
    assert_text("*{s}:*/*", "%41*", false, "*A*:*/*");
}

static void a_value_matches_itself_alone_in_a_glob(void **state)
{
    assert_text("{s}:*", "*", true, "\\*:*");
    assert_text("{s}:*", "a%5B%3F%5D%5C", true, "a\\[\\?\\]\\\\:*");
}

static void a_name_without_a_value_is_an_error(void **state)
{
    struct pattern p = make("q/{t}");
    struct pattern_values v = {.count = 0};
    struct buffer out = {0};

    assert_int_equal(pattern_expand(&p, &v, &out), -ENOENT);
    buffer_fini(&out);
    pattern_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_literal_matches_itself_alone),
        cmocka_unit_test(a_name_is_one_segment_that_is_not_empty),
        cmocka_unit_test(a_name_is_never_a_dot_segment),
        cmocka_unit_test(an_asterisk_is_the_rest_and_may_be_empty),
        cmocka_unit_test(names_may_stand_inside_a_template),
        cmocka_unit_test(escapes_match_what_they_stand_for),
        cmocka_unit_test(values_are_slices_of_the_path_as_it_came),
        cmocka_unit_test(bad_patterns_say_why),
        cmocka_unit_test(more_parts_than_there_is_room_for_are_refused),
        cmocka_unit_test(the_more_specific_comes_first),
        cmocka_unit_test(names_do_not_count_in_the_key),
        cmocka_unit_test(a_template_is_covered_or_says_what_is_missing),
        cmocka_unit_test(values_are_filled_in_in_normal_form),
        cmocka_unit_test(a_stray_percent_cannot_become_an_escape),
        cmocka_unit_test(a_value_cannot_add_to_a_url),
        cmocka_unit_test(text_that_is_no_path_is_decoded),
        cmocka_unit_test(a_value_matches_itself_alone_in_a_glob),
        cmocka_unit_test(a_name_without_a_value_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
