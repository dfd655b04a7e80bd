#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "http/coding.h"

static bool accepted(const char *first, const char *second)
{
    struct headers h = {0};
    bool is;

    headers_add(&h, STR("Accept"), STR("gzip"));
    if (first != NULL)
        headers_add(&h, STR("accept-encoding"), str_of(first));
    if (second != NULL)
        headers_add(&h, STR("Accept-Encoding"), str_of(second));
    is = coding_gzip_accepted(&h);
    headers_fini(&h);
    return is;
}

#define YES(field) assert_true(accepted(field, NULL))
#define NO(field)  assert_false(accepted(field, NULL))

static void gzip_is_taken_where_it_is_named(void **state)
{
    YES("gzip");
    YES("GZip");
    YES("x-gzip");
    YES("gzip, deflate, br, zstd");
    YES("br;q=1.0, gzip;q=0.8, *;q=0.1");
    YES(" deflate ,\tgzip ; q=0.001 ");
}

static void it_is_not_where_it_is_not(void **state)
{
    NO(NULL);
    NO("");
    NO("identity");
    NO("br, deflate");
    NO("gzip2");
    NO("gzipped;q=1");
}

static void a_weight_of_nothing_refuses(void **state)
{
    NO("gzip;q=0");
    NO("gzip; q=0.000");
    NO("gzip;Q=0.");
    NO("gzip;q=0, *");
    NO("*;q=0");
}

static void a_star_takes_it(void **state)
{
    YES("*");
    YES("br, *;q=0.5");
}

static void what_is_liked_better_is_sent(void **state)
{
    NO("gzip;q=0.5, identity");
    NO("gzip;q=0.5, identity;q=0.501");
    YES("gzip;q=0.5, identity;q=0.5");
    YES("gzip, identity;q=0");
}

static void a_weight_that_is_none_refuses(void **state)
{
    NO("gzip;q=");
    NO("gzip;q=1.5");
    NO("gzip;q=2");
    NO("gzip;q=-1");
    NO("gzip;q=0.0001");
    YES("gzip;q=1,5"); /* a comma parts codings */
    NO("gzip;q=yes");
}

static void other_parameters_do_not_matter(void **state)
{
    YES("gzip;level=9");
    YES("gzip;level=9;q=1.000");
    NO("gzip;level=9;q=0");
}

static void all_its_fields_count(void **state)
{
    assert_true(accepted("br", "gzip"));
    assert_false(accepted("identity", "gzip;q=0.5"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gzip_is_taken_where_it_is_named),
        cmocka_unit_test(it_is_not_where_it_is_not),
        cmocka_unit_test(a_weight_of_nothing_refuses),
        cmocka_unit_test(a_star_takes_it),
        cmocka_unit_test(what_is_liked_better_is_sent),
        cmocka_unit_test(a_weight_that_is_none_refuses),
        cmocka_unit_test(other_parameters_do_not_matter),
        cmocka_unit_test(all_its_fields_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
