/* Unit tests of src/config/route.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "config/config.h"

static const char text[] =
    "{\"listen\": \":80\", \"admin\": \"127.0.0.1:81\", \"backends\": {\"app\": "
    "\"http://a\"}, \"routes\": ["
    "{\"path\": \"/*\", \"proxy\": \"app\"},"
    "{\"path\": \"/quotes/{symbol}\", \"source\": \"publish\"},"
    "{\"path\": \"/quotes/gold\", \"source\": \"publish\"},"
    "{\"path\": \"/admin/*\", \"proxy\": \"app\"},"
    "{\"path\": \"/quotes/gold\", \"host\": \"a.example\", \"proxy\": \"app\"},"
    "{\"path\": \"/{a}/{b}/c\", \"proxy\": \"app\"},"
    "{\"path\": \"/caf%C3%A9\", \"proxy\": \"app\"},"
    "{\"path\": \"/inbox/{box}\", \"source\": {\"sse\": \"app/{box}\", "
    "\"per\": \"client\", \"pass\": [\"Cookie\"]}}"
    "]}";

static struct config *config;

static int load(void **state)
{
    struct buffer errors = {0};
    char *copy = strdup(text);
    int rc = config_parse(&config, "f.json", copy, strlen(copy), &errors);

    free(copy);
    buffer_fini(&errors);
    return rc;
}

static int unload(void **state)
{
    config_unref(&config);
    return 0;
}

/* The index of the route in the file; -1: none; -2: ambiguous. */
static int route(const char *host, const char *path)
{
    const struct route *r;

    if (config_route_ambiguous(config, str_of(host), str_of(path)))
        return -2;
    r = config_route(config, str_of(host), str_of(path), NULL);
    return r == NULL ? -1 : (int)(r - config->routes);
}

static void the_most_specific_path_wins(void **state)
{
    assert_int_equal(route("h", "/quotes/gold"), 2);
    assert_int_equal(route("h", "/quotes/silver"), 1);
    assert_int_equal(route("h", "/quotes/a/b"), 0);
    assert_int_equal(route("h", "/quotes/a/c"), 5);
    assert_int_equal(route("h", "/"), 0);
    assert_int_equal(route("h", "*"), -1);
    assert_int_equal(route("h", ""), -1);
}

static void a_route_with_the_host_goes_before_all(void **state)
{
    assert_int_equal(route("a.example", "/quotes/gold"), 4);
    assert_int_equal(route("b.example", "/quotes/gold"), 2);
    assert_int_equal(route("a.example", "/quotes/silver"), 1);
    assert_int_equal(route("", "/quotes/gold"), 2);
}

static void hosts_compare_without_case_port_and_last_dot(void **state)
{
    assert_int_equal(route("A.Example", "/quotes/gold"), 4);
    assert_int_equal(route("a.example:8080", "/quotes/gold"), 4);
    assert_int_equal(route("a.example.", "/quotes/gold"), 4);
    assert_int_equal(route("a.example.:80", "/quotes/gold"), 4);
    assert_int_equal(route("xa.example", "/quotes/gold"), 2);
    assert_int_equal(route("[::1]:80", "/quotes/gold"), 2);
    assert_int_equal(route("[::1", "/quotes/gold"), 2);
}

static void equivalent_escapes_are_the_same_route(void **state)
{
    assert_int_equal(route("h", "/%71uotes/gold"), 2);
    assert_int_equal(route("h", "/caf%c3%a9"), 6);
    assert_int_equal(route("h", "/caf%C3%A9"), 6);
}

static void a_path_that_others_read_as_another_routes_is_ambiguous(void **state)
{
    static const char *const bad[] = {
        "/x/../admin/y",     "/../admin/",          "/./admin/y",
        "//admin/y",         "/x/%2e%2e/admin/y",   "/x/.%2E/admin/y",
        "/quotes/..%2fadmin/", "/admin%2Fy",        "/quotes/a%2Fb",
        "/admin/../quotes/gold", "/x\\..\\admin\\y",
        "/x/..%5Cadmin/y",   "/quotes//gold",       "/admin/..",
        "/quotes/%2e%2e/admin/x", "/a/./c/c",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(route("h", bad[i]), -2);
}

static void a_path_that_stays_in_its_route_is_not(void **state)
{
    static const char *const good[] = {
        "/api/queues/%2F/q", "/api/../x", "/a//b", "/x/./y", "/", "/.", "/..",
        "/x/..", "/.well-known/x", "/%zz", "/x%", "/x%2",
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_int_equal(route("h", good[i]), 0);
    assert_int_equal(route("h", "/admin/a%2Fb"), 3);
    assert_int_equal(route("h", "/admin//x/../y"), 3);
}

static void a_path_longer_than_any_limit_is_ambiguous(void **state)
{
    struct buffer path = {0};

    buffer_append_str(&path, STR("//"));
    while (path.len <= CONFIG_TARGET_MAX)
        buffer_append_byte(&path, 'a');
    assert_true(config_route_ambiguous(config, STR("h"), buffer_str(&path)));
    path.len = CONFIG_TARGET_MAX;
    assert_false(config_route_ambiguous(config, STR("h"), buffer_str(&path)));
    buffer_fini(&path);
}

static void a_channel_belongs_to_the_most_specific_template(void **state)
{
    struct pattern_values v;
    const struct route *r;

    r = config_route_of_channel(config, STR("quotes/gold"), &v);
    assert_ptr_equal(r, &config->routes[2]);
    r = config_route_of_channel(config, STR("quotes/silver"), &v);
    assert_ptr_equal(r, &config->routes[1]);
    assert_true(str_eq(v.values[0], STR("silver")));
    assert_null(config_route_of_channel(config, STR("quote/gold"), &v));
    assert_null(config_route_of_channel(config, STR("/quotes/gold"), &v));
    assert_null(config_route_of_channel(config, STR(""), &v));
}

#define DIGEST "0123456789abcdef0123456789abcdef"

static void a_clients_own_channel_is_found_by_its_whole_name_alone(void **state)
{
    struct pattern_values v;
    const struct route *r;

    r = config_route_of_channel(config, STR("inbox/new~" DIGEST), &v);
    assert_ptr_equal(r, &config->routes[7]);
    assert_true(str_eq(v.values[0], STR("new")));
    assert_null(config_route_of_channel(config, STR("inbox/new"), &v));
    r = config_route_of_channel(config, STR("quotes/a~" DIGEST), &v);
    assert_ptr_equal(r, &config->routes[1]);
    assert_true(str_eq(v.values[0], STR("a~" DIGEST)));
}

static void only_the_last_digest_is_left_out_of_a_name(void **state)
{
    static const char *const plain[] = {
        "", "a", "a~", "a~0123", "~" DIGEST, "a~" DIGEST "0", "a~A" DIGEST,
        "a-" DIGEST, "a~0123456789abcdef0123456789abcdeg",
    };

    for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
        assert_null(config_base_name(str_of(plain[i])).p);
    assert_true(str_eq(config_base_name(STR("a~" DIGEST "~" DIGEST)),
                       STR("a~" DIGEST)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_specific_path_wins),
        cmocka_unit_test(a_route_with_the_host_goes_before_all),
        cmocka_unit_test(hosts_compare_without_case_port_and_last_dot),
        cmocka_unit_test(equivalent_escapes_are_the_same_route),
        cmocka_unit_test(a_path_that_others_read_as_another_routes_is_ambiguous),
        cmocka_unit_test(a_path_that_stays_in_its_route_is_not),
        cmocka_unit_test(a_path_longer_than_any_limit_is_ambiguous),
        cmocka_unit_test(a_channel_belongs_to_the_most_specific_template),
        cmocka_unit_test(a_clients_own_channel_is_found_by_its_whole_name_alone),
        cmocka_unit_test(only_the_last_digest_is_left_out_of_a_name),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
