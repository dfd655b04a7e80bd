/* src/bench/options.c */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bench/options.h"

#define WORDS_MAX 32
#define URL       "http://127.0.0.1/news"

/* getopt_long() moves the arguments about. */
static char *words[WORDS_MAX];

static int take(const char *command, const char *const *args)
{
    int count = 1;

    words[0] = (char *)command;
    for (; *args != NULL; args++) {
        assert_true(count < WORDS_MAX - 1);
        words[count++] = (char *)*args;
    }
    words[count] = NULL;
    return count;
}

static enum options_result read_bench(struct bench_options *o,
                                      const char *const *args)
{
    int count = take("bench", args);

    return bench_options_read(o, count, words);
}

static enum options_result read_compare(struct compare_options *o,
                                        const char *const *args)
{
    int count = take("compare", args);

    return compare_options_read(o, count, words);
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void assert_bench_wrong(const char *const *args)
{
    struct bench_options o;

    assert_int_equal(read_bench(&o, args), OPTIONS_WRONG);
    bench_options_fini(&o);
}

static void what_is_not_given_is_as_the_help_says(void **state)
{
    struct bench_options o;

    assert_int_equal(read_bench(&o, ARGS(URL)), OPTIONS_GO);
    assert_string_equal(o.url, URL);
    assert_null(o.publish);
    assert_int_equal(o.plan.kind, SUBSCRIBE_WEBSOCKET);
    assert_int_equal(o.connections, 1);
    assert_int_equal(o.channels, 1);
    assert_int_equal(o.threads, 1);
    assert_int_equal(o.opening, 64);
    assert_int_equal(o.plan.addresses, 0);
    assert_true(o.rate == 1);
    assert_int_equal(o.window, 0);
    assert_int_equal(o.duration_ms, 10000);
    assert_int_equal(o.warmup_ms, 0);
    assert_int_equal(o.settle_ms, 1000);
    assert_int_equal(o.grace_ms, 2000);
    assert_int_equal(o.connect_ms, 60000);
    assert_int_equal(o.plan.interval_ms, 1000);
    assert_int_equal(o.plan.wait_s, 25);
    assert_int_equal(o.size_bytes, 64);
    assert_string_equal(o.type, "text/plain");
    assert_int_equal(o.publishers, 1);
    assert_int_equal(o.messages, 0);
    assert_null(o.plan.fields);
    assert_false(o.json || o.latest || o.trust.insecure);
    bench_options_fini(&o);
}

static void amounts_have_units_or_the_usual_one(void **state)
{
    struct bench_options o;

    assert_int_equal(
        read_bench(&o, ARGS("--rate", "120/min", "--duration", "1.5", "--every",
                            "200ms", "--wait", "1min", "--size", "5.2kB",
                            "--cut-after", "0.1s", "--addresses", "3", URL)),
        OPTIONS_GO);
    assert_true(o.rate == 2);
    assert_int_equal(o.duration_ms, 1500);
    assert_int_equal(o.plan.interval_ms, 200);
    assert_int_equal(o.plan.wait_s, 60);
    assert_int_equal(o.size_bytes, 5200);
    assert_int_equal(o.cut_ms, 100);
    assert_int_equal(o.plan.addresses, 3);
    bench_options_fini(&o);
}

/* A poll with an ETag sees the newest message; with links it sees each. */
static void how_a_poll_goes_on_says_whether_it_has_every_message(void **state)
{
    static const struct {
        const char *transport, *cursor;
        enum resume resume;
        bool latest;
    } cases[] = {
        {"poll", NULL, RESUME_ETAG, true},
        {"poll", "none", RESUME_NONE, true},
        {"poll", "link", RESUME_LINK, false},
        {"poll", "next", RESUME_NEXT, false},
        {"poll", "last-event-id", RESUME_ID, false},
        {"longpoll", NULL, RESUME_LINK, false},
        {"longpoll", "etag", RESUME_ETAG, false},
        {"sse", NULL, RESUME_LINK, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench_options o;
        const char *args[] = {URL,        "--transport",   cases[i].transport,
                              "--cursor", cases[i].cursor, NULL};

        if (cases[i].cursor == NULL)
            args[3] = NULL;
        assert_int_equal(read_bench(&o, args), OPTIONS_GO);
        assert_int_equal(o.plan.resume, cases[i].resume);
        assert_int_equal(o.latest, cases[i].latest);
        bench_options_fini(&o);
    }
}

static void fields_stand_one_after_the_other(void **state)
{
    struct bench_options o;

    assert_int_equal(read_bench(&o,
                                ARGS("--header", "A: 1", "--header", "B:2  ",
                                     "--publish-header", "C:  3", URL)),
                     OPTIONS_GO);
    assert_string_equal(o.plan.fields, "A: 1\r\nB: 2\r\n");
    assert_string_equal(o.publish_fields.data, "C: 3\r\n");
    bench_options_fini(&o);
    assert_bench_wrong(ARGS("--header", "no colon", URL));
    assert_bench_wrong(ARGS("--header", ": no name", URL));
    assert_bench_wrong(ARGS("--header", "A: 1\r\nB: 2", URL));
}

static void a_window_closes_the_loop(void **state)
{
    struct bench_options o;

    assert_int_equal(read_bench(&o, ARGS("--window", "8", URL)), OPTIONS_GO);
    assert_int_equal(o.window, 8);
    assert_true(o.rate == 0);
    bench_options_fini(&o);
    assert_bench_wrong(ARGS("--window", "8", "--rate", "1", URL));
    assert_bench_wrong(ARGS("--window", "8", "--transport", "poll", URL));
    assert_int_equal(read_bench(&o, ARGS("--window", "8", "--transport", "poll",
                                         "--cursor", "link", URL)),
                     OPTIONS_GO);
    bench_options_fini(&o);
}

static void each_number_has_its_limits(void **state)
{
    static const char *const wrong[][2] = {
        {"--connections", "0"},
        {"--connections", "10000001"},
        {"--connections", "1x"},
        {"--connections", "-1"},
        {"--connections", ""},
        {"--channels", "2"}, /* of one reader */
        {"--threads", "65"},
        {"--addresses", "0"},
        {"--every", "0"},
        {"--wait", "0.5"},
        {"--wait", "2h"},
        {"--rate", "0"},
        {"--rate", "2/fortnight"},
        {"--size", "17000000"},
        {"--template", "no place"},
        {"--type", "a\r\nb"},
        {"--pid", "0"},
        {"--pid", "init"},
        {"--transport", "carrier"},
        {"--cursor", "finger"},
        {"--messages", "many"},
        {"--duration", "-1s"},
        {"--publishers", "1001"},
        {"--window", "0"},
        {"--connect-timeout", "soon"},
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_bench_wrong(ARGS(wrong[i][0], wrong[i][1], URL));
}

static void servers_are_told_by_their_pids_up_to_a_number(void **state)
{
    struct bench_options o;
    const char *args[2 * OPTIONS_PIDS_MAX + 4] = {0};
    char *copy[2 * OPTIONS_PIDS_MAX + 5] = {(char *)"bench"};
    int count = 0;

    for (; count < 2 * OPTIONS_PIDS_MAX; count += 2) {
        args[count] = "--pid";
        args[count + 1] = count == 0 ? "7" : "8";
    }
    args[count] = URL;
    memcpy(copy + 1, args, sizeof(args));
    assert_int_equal(bench_options_read(&o, count + 2, copy), OPTIONS_GO);
    assert_int_equal(o.pid_count, OPTIONS_PIDS_MAX);
    assert_int_equal(o.pids[0], 7);
    assert_int_equal(o.pids[OPTIONS_PIDS_MAX - 1], 8);
    bench_options_fini(&o);
    args[count] = "--pid";
    args[count + 1] = "9";
    args[count + 2] = URL;
    memcpy(copy + 1, args, sizeof(args));
    assert_int_equal(bench_options_read(&o, count + 4, copy), OPTIONS_WRONG);
    bench_options_fini(&o);
}

/* 64 octets of text carry a message's marks, of JSON as well; 10 carry none. */
static void a_message_has_room_for_its_marks(void **state)
{
    struct bench_options o;

    assert_bench_wrong(ARGS("--size", "10", "--publish", URL, URL));
    assert_bench_wrong(ARGS("--size", "10", "--type", "application/json",
                            "--publish", URL, URL));
    assert_int_equal(read_bench(&o, ARGS("--size", "10", URL)), OPTIONS_GO);
    bench_options_fini(&o);
}

static void flags_have_no_value(void **state)
{
    struct bench_options o;

    assert_int_equal(read_bench(&o, ARGS("--compress", "--envelope", "--close",
                                         "--insecure", "--json", "--ca",
                                         "a.pem", "--label", "x", URL)),
                     OPTIONS_GO);
    assert_true(o.plan.compress && o.plan.enveloped && o.plan.fresh);
    assert_true(o.trust.insecure && o.json);
    assert_string_equal(o.trust.ca, "a.pem");
    assert_string_equal(o.label, "x");
    bench_options_fini(&o);
    assert_bench_wrong(ARGS("--json=yes", URL));
    assert_bench_wrong(ARGS("--label"));
    assert_bench_wrong(ARGS("--labels", "x", URL));
    assert_bench_wrong(ARGS("--json"));
    assert_bench_wrong(ARGS(URL, URL));
}

static void types_of_json(void **state)
{
    static const char *const json[] = {"application/json", "Application/JSON",
                                       "application/json; charset=utf-8",
                                       "application/geo+json", "a/b+JSON;x=1"};
    static const char *const none[] = {"text/plain", "application/jsonp",
                                       "+json",      "text/json-seq",
                                       "",           "a;application/json"};

    for (size_t i = 0; i < sizeof(json) / sizeof(json[0]); i++)
        assert_true(options_type_is_json(json[i]));
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_false(options_type_is_json(none[i]));
}

static void compare_has_options_of_its_own(void **state)
{
    struct compare_options o;

    assert_int_equal(read_compare(&o, ARGS(URL)), OPTIONS_GO);
    assert_string_equal(o.url, URL);
    assert_int_equal(o.for_ms, 30000);
    assert_int_equal(o.every_ms, 5000);
    assert_int_equal(o.clients, 10);
    assert_false(o.json || o.compress || o.trust.insecure);
    compare_options_fini(&o);
    assert_int_equal(read_compare(&o, ARGS("--for", "2min", "--clients", "3",
                                           "--every", "1", "--header", "A: 1",
                                           "--compress", "--json", "--insecure",
                                           "--ca", "b", URL)),
                     OPTIONS_GO);
    assert_int_equal(o.for_ms, 120000);
    assert_int_equal(o.every_ms, 1000);
    assert_int_equal(o.clients, 3);
    assert_string_equal(o.fields.data, "A: 1\r\n");
    assert_true(o.compress && o.json && o.trust.insecure);
    assert_string_equal(o.trust.ca, "b");
    compare_options_fini(&o);
}

static void compare_says_what_it_does_not_take(void **state)
{
    static const char *const wrong[][2] = {
        {"--for", "99ms"}, {"--clients", "100001"}, {"--every", "0"},
        {"--header", "x"}, {"--rate", "1"},
    };
    struct compare_options o;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(read_compare(&o, ARGS(wrong[i][0], wrong[i][1], URL)),
                         OPTIONS_WRONG);
        compare_options_fini(&o);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_given_is_as_the_help_says),
        cmocka_unit_test(amounts_have_units_or_the_usual_one),
        cmocka_unit_test(how_a_poll_goes_on_says_whether_it_has_every_message),
        cmocka_unit_test(fields_stand_one_after_the_other),
        cmocka_unit_test(a_window_closes_the_loop),
        cmocka_unit_test(each_number_has_its_limits),
        cmocka_unit_test(servers_are_told_by_their_pids_up_to_a_number),
        cmocka_unit_test(a_message_has_room_for_its_marks),
        cmocka_unit_test(flags_have_no_value),
        cmocka_unit_test(types_of_json),
        cmocka_unit_test(compare_has_options_of_its_own),
        cmocka_unit_test(compare_says_what_it_does_not_take),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
