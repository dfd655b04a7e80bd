#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "http/location.h"

static void set(struct location *l, const char *url)
{
    *l = (struct location){0};
    assert_int_equal(location_resolve(l, str_of(url)), 0);
}

/* A location as a URL. */
static char *printed(const struct location *l)
{
    struct buffer b = {0};

    buffer_printf(&b, "%s://", l->https ? "https" : "http");
    location_write_host(l, &b);
    buffer_append_str(&b, buffer_str(&l->path));
    buffer_append_byte(&b, '\0');
    return b.data;
}

static void assert_leads(const char *base, const char *reference,
                         const char *want)
{
    struct location l;
    char *text;
    int rc;

    set(&l, base);
    rc = location_resolve(&l, str_of(reference));
    assert_int_equal(rc, want == NULL ? -EINVAL : 0);
    text = printed(&l);
    assert_string_equal(text, want == NULL ? base : want);
    free(text);
    location_fini(&l);
}

/* RFC 3986 5.4, without its parameters and fragments. */
static void references_resolve_as_the_rfc_has_them(void **state)
{
    static const char *const cases[][2] = {
        {"g", "http://a/b/c/g"},         {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},       {"/g", "http://a/g"},
        {"//g", "http://g/"},            {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},     {"#s", "http://a/b/c/d;p?q"},
        {"g#s", "http://a/b/c/g"},       {"g?y#s", "http://a/b/c/g?y"},
        {";x", "http://a/b/c/;x"},       {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},          {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},           {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},        {"../..", "http://a/"},
        {"../../", "http://a/"},         {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},    {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},         {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"},       {"g..", "http://a/b/c/g.."},
        {"..g", "http://a/b/c/..g"},     {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},    {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},    {"g?y/./x", "http://a/b/c/g?y/./x"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_leads("http://a/b/c/d;p?q", cases[i][0], cases[i][1]);
}

static void whole_urls_replace_all(void **state)
{
    static const char *const cases[][2] = {
        {"https://b", "https://b/"},
        {"HTTP://B.Example:8080/x", "http://b.example:8080/x"},
        {"http://b:80/", "http://b/"},
        {"https://b:443?x", "https://b/?x"},
        {"http://b:443/", "http://b:443/"},
        {"http://b:/", "http://b/"},
        {"http://[::1]:9/a//b", "http://[::1]:9/a//b"},
        {"http://[::1]", "http://[::1]/"},
        {"//b/x", "https://b/x"},
        {"https://b/%7e?a=%0d#x", "https://b/%7e?a=%0d"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_leads("https://a/b/c", cases[i][0], cases[i][1]);
}

static void what_is_no_place_of_ours_is_refused(void **state)
{
    static const char *const bad[] = {
        "ftp://b/", "javascript:x", "http:g", "http:/g", "http:///g",
        "http://", "http://u@b/", "http://u:p@b/", "http://b:0/",
        "http://b:65536/", "http://b:x/", "http://b:1:2/", "http://[::1/",
        "http://[::1]x/", "http://[b]/", "http://[]/", "http://b c/",
        "http://b/a b", "/a\r\nX: y", "/\xc3\xa4", "//", "http://.b/",
        "http://-b/", "http://b%2e/", "file:///etc/passwd", "/a\x7f",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_leads("http://a/b", bad[i], NULL);
}

static void a_host_too_long_is_refused(void **state)
{
    struct buffer url = {0};

    buffer_append_str(&url, STR("http://"));
    while (url.len < 7 + LOCATION_HOST_MAX)
        buffer_append_byte(&url, 'b');
    for (int more = 0; more < 2; more++) {
        struct location l = {0};

        assert_int_equal(location_resolve(&l, buffer_str(&url)),
                         more ? -EINVAL : 0);
        location_fini(&l);
        buffer_append_byte(&url, 'b');
    }
    buffer_fini(&url);
}

static void origins_are_scheme_host_and_port(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"http://a/x", "http://A:80/y", true},
        {"https://a", "https://a:443", true},
        {"http://a", "https://a", false},
        {"http://a", "http://a:81", false},
        {"http://a", "http://b", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct location a, b;

        set(&a, cases[i].a);
        set(&b, cases[i].b);
        assert_int_equal(location_same_origin(&a, &b), cases[i].same);
        location_fini(&a);
        location_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references_resolve_as_the_rfc_has_them),
        cmocka_unit_test(whole_urls_replace_all),
        cmocka_unit_test(what_is_no_place_of_ours_is_refused),
        cmocka_unit_test(a_host_too_long_is_refused),
        cmocka_unit_test(origins_are_scheme_host_and_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
