#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "wire/extension.h"

/* Feeds a field, and what came of it as text: the answer, "-" for none, "!" for
 * a field that is wrong. */
static const char *choose(const char *field)
{
    static char answer[EXTENSION_ANSWER_MAX];
    struct deflate_terms terms = {0};
    struct str copy = {strdup(field), strlen(field)};
    int rc = extension_choose(&terms, copy);
    size_t n;

    free((char *)copy.p);
    if (rc < 0) {
        assert_int_equal(rc, -EINVAL);
        return "!";
    }
    if (!terms.agreed)
        return "-";
    n = extension_answer(&terms, answer);
    assert_int_equal(n, strlen(answer));
    return answer;
}

#define PLAIN EXTENSION_OFFER
#define CHOOSES(field, answer) assert_string_equal(choose(field), answer)

static void an_offer_is_answered_without_takeover(void **state)
{
    CHOOSES("permessage-deflate", PLAIN);
    CHOOSES("permessage-deflate; server_no_context_takeover", PLAIN);
    CHOOSES("permessage-deflate; client_no_context_takeover", PLAIN);
}

static void no_offer_is_none(void **state)
{
    CHOOSES("", "-");
    CHOOSES(" , ,", "-");
    CHOOSES("x-webkit-deflate-frame", "-");
    CHOOSES("Permessage-Deflate", "-");
    CHOOSES("permessage-deflate2", "-");
    CHOOSES("foo; permessage-deflate", "-");
}

static void a_window_asked_for_is_answered(void **state)
{
    CHOOSES("permessage-deflate; server_max_window_bits=15",
            PLAIN "; server_max_window_bits=15");
    CHOOSES("permessage-deflate; server_max_window_bits=9",
            PLAIN "; server_max_window_bits=9");
}

static void a_window_of_8_bits_is_declined(void **state)
{
    CHOOSES("permessage-deflate; server_max_window_bits=8", "-");
    CHOOSES("permessage-deflate; server_max_window_bits=8, permessage-deflate",
            PLAIN);
}

static void a_client_may_choose_its_own_window(void **state)
{
    CHOOSES("permessage-deflate; client_max_window_bits", PLAIN);
    CHOOSES("permessage-deflate; client_max_window_bits=8", PLAIN);
    CHOOSES("permessage-deflate; client_max_window_bits=15", PLAIN);
}

static void space_does_not_matter(void **state)
{
    CHOOSES("\t permessage-deflate ;\tserver_max_window_bits = 10 ",
            PLAIN "; server_max_window_bits=10");
    CHOOSES("permessage-deflate;server_max_window_bits=10",
            PLAIN "; server_max_window_bits=10");
}

static void a_value_may_be_quoted(void **state)
{
    CHOOSES("permessage-deflate; server_max_window_bits=\"12\"",
            PLAIN "; server_max_window_bits=12");
    CHOOSES("permessage-deflate; server_max_window_bits=\"1\\2\"",
            PLAIN "; server_max_window_bits=12");
    CHOOSES("foo; a=\"1,2\", permessage-deflate", "!"); /* no token inside */
    CHOOSES("foo; a=\"1\", permessage-deflate", PLAIN);
}

static void an_offer_with_a_wrong_parameter_is_passed_over(void **state)
{
    static const char *const wrong[] = {
        "unknown",
        "unknown=1",
        "server_no_context_takeover=1",
        "server_no_context_takeover=true",
        "client_no_context_takeover=\"1\"",
        "server_no_context_takeover; server_no_context_takeover",
        "client_max_window_bits; client_max_window_bits=10",
        "server_max_window_bits=10; server_max_window_bits=10",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=010",
        "server_max_window_bits=10.0",
        "server_max_window_bits=1000000000000000000000000",
        "server_max_window_bits=+9",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "Server_No_Context_Takeover",
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        char field[256] = "permessage-deflate; ";

        strcat(field, wrong[i]);
        CHOOSES(field, "-");
        strcat(field, ", permessage-deflate; server_max_window_bits=11");
        CHOOSES(field, PLAIN "; server_max_window_bits=11");
    }
}

/* RFC 7692 7.1.2.1: the offer has to say how many. */
static void a_server_window_without_a_value_is_none(void **state)
{
    CHOOSES("permessage-deflate; server_max_window_bits", "-");
}

static void the_first_good_offer_counts(void **state)
{
    CHOOSES("permessage-deflate; server_max_window_bits=9, permessage-deflate",
            PLAIN "; server_max_window_bits=9");
    CHOOSES("foo, bar; x=y, permessage-deflate; server_max_window_bits=10, "
            "permessage-deflate",
            PLAIN "; server_max_window_bits=10");
}

static void fields_are_read_in_turn(void **state)
{
    struct deflate_terms terms = {0};

    assert_int_equal(extension_choose(&terms, STR("foo")), 0);
    assert_false(terms.agreed);
    assert_int_equal(extension_choose(&terms,
                                      STR("permessage-deflate; "
                                          "server_max_window_bits=9")),
                     0);
    assert_int_equal(extension_choose(&terms, STR("permessage-deflate")), 0);
    assert_true(terms.agreed);
    assert_int_equal(terms.window_bits, 9);
}

static void what_is_not_by_the_grammar_is_wrong(void **state)
{
    static const char *const wrong[] = {
        ";",
        "foo bar",
        "foo;",
        "foo; ;a",
        "foo; =1",
        "foo; a=",
        "foo; a=;b",
        "foo; a=\"\"",
        "foo; a=\"1",
        "foo; a=\"1\\",
        "foo; a=\"1\"2",
        "foo; a=\"1 2\"",
        "foo/1",
        "permessage-deflate, f\x80",
        "permessage-deflate; server_max_window_bits=1 0",
        "\"permessage-deflate\"",
        "foo=1",
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        CHOOSES(wrong[i], "!");
}

/* ---- the client ------------------------------------------------------------ */

static int accepts(const char *answer)
{
    struct deflate_terms terms = {.agreed = true};
    int rc = extension_accept(&terms, str_of(answer));

    if (rc < 0) {
        assert_int_equal(rc, -EPROTO);
        assert_false(terms.agreed);
    }
    return rc < 0 ? -1 : terms.agreed ? terms.window_bits : 0;
}

static void no_answer_agrees_on_nothing(void **state)
{
    assert_int_equal(accepts(NULL), 0);
}

static void an_answer_to_our_offer_stands(void **state)
{
    assert_int_equal(accepts(PLAIN), 15);
    assert_int_equal(accepts("permessage-deflate; server_no_context_takeover"),
                     15);
    assert_int_equal(accepts(PLAIN "; server_max_window_bits=8"), 8);
    assert_int_equal(accepts(PLAIN "; server_max_window_bits=\"10\""), 10);
}

static void any_other_answer_fails_the_connection(void **state)
{
    static const char *const wrong[] = {
        "",
        "foo",
        "permessage-deflate",
        "permessage-deflate; client_no_context_takeover",
        PLAIN ", foo",
        PLAIN ", " PLAIN,
        PLAIN "; client_max_window_bits=15",
        PLAIN "; client_max_window_bits",
        PLAIN "; server_max_window_bits",
        PLAIN "; server_max_window_bits=16",
        PLAIN "; server_no_context_takeover",
        PLAIN "; unknown",
        PLAIN ";",
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(accepts(wrong[i]), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_offer_is_answered_without_takeover),
        cmocka_unit_test(no_offer_is_none),
        cmocka_unit_test(a_window_asked_for_is_answered),
        cmocka_unit_test(a_window_of_8_bits_is_declined),
        cmocka_unit_test(a_client_may_choose_its_own_window),
        cmocka_unit_test(space_does_not_matter),
        cmocka_unit_test(a_value_may_be_quoted),
        cmocka_unit_test(an_offer_with_a_wrong_parameter_is_passed_over),
        cmocka_unit_test(a_server_window_without_a_value_is_none),
        cmocka_unit_test(the_first_good_offer_counts),
        cmocka_unit_test(fields_are_read_in_turn),
        cmocka_unit_test(what_is_not_by_the_grammar_is_wrong),
        cmocka_unit_test(no_answer_agrees_on_nothing),
        cmocka_unit_test(an_answer_to_our_offer_stands),
        cmocka_unit_test(any_other_answer_fails_the_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
