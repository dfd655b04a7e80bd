/* Unit tests of src/server/config*.c: what a file says ends up where it
 * belongs, and a file that is wrong is answered with the very words that the
 * person who wrote it needs. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "config/config.h"

static int parse(struct config **out, const char *text, struct buffer *errors)
{
    size_t len = strlen(text);
    char *copy = malloc(len + 1);
    int rc;

    memcpy(copy, text, len + 1);
    rc = config_parse(out, "f.json", copy, len, errors);
    free(copy);
    buffer_append_byte(errors, '\0');
    return rc;
}

static struct config *good(const char *text)
{
    struct buffer errors = {0};
    struct config *c = NULL;
    int rc = parse(&c, text, &errors);

    assert_string_equal(errors.data, "");
    assert_int_equal(rc, 0);
    buffer_fini(&errors);
    return c;
}

static void assert_errors(const char *text, const char *expected)
{
    struct buffer errors = {0};
    struct config *c = NULL;
    int rc = parse(&c, text, &errors);

    assert_string_equal(errors.data, expected);
    assert_int_equal(rc, -EINVAL);
    assert_null(c);
    buffer_fini(&errors);
}

/* A file whose only route, or keys at the top, are on line 2. */
#define TOP(keys)                                                              \
    "{\"listen\": \":80\", \"routes\": [{\"path\": \"/*\", \"proxy\": "        \
    "\"app\"}], \"backends\": {\"app\": \"http://a:1\"},\n" keys "}"
#define ROUTE(keys)                                                            \
    "{\"listen\": \":80\", \"admin\": \"127.0.0.1:81\", \"backends\": "        \
    "{\"app\": \"http://a:1\", \"api\": \"http://b:1\"}, \"routes\": [\n"     \
    "{" keys "}]}"
#define FEED(keys) ROUTE("\"path\": \"/a/{x}\", \"source\": \"publish\", " keys)
#define SOURCE(keys) ROUTE("\"path\": \"/a/{x}\", \"source\": {" keys "}")
#define STREAM(keys) SOURCE("\"sse\": \"app/s\", " keys)
#define TLS(url, keys)                                                         \
    "{\"listen\": \":80\", \"backends\": {\"b\": {\"servers\": " url            \
    ",\n\"tls\": {" keys "}}}, \"routes\": [{\"path\": \"/*\", \"proxy\": "      \
    "\"b\"}]}"

/* What is wrong, and what is said about it. */
static const struct broken {
    const char *text, *errors;
} broken[] = {
    /* The text itself. */
    {"", "f.json:1: is empty\n"},
    {" // nothing\n", "f.json:1: is empty\n"},
    {"\xef\xbb\xbf{}", "f.json:1: begins with a byte order mark; save it as "
                       "UTF-8 without one\n"},
    {"\xff\xfe{", "f.json:1: is UTF-16; save it as UTF-8\n"},
    {"{\n\"a\": \"\xe9\"}", "f.json:2: is not UTF-8\n"},
    {"{\n  \"a\": [1,\n  2,\n  ]\n}",
     "f.json:3:4: a comma before the closing ]: leave it out\n"},
    {"{\"a\": 1,}",
     "f.json:1:8: a comma before the closing }: leave it out\n"},
    {"{\n \"a\": 1\n \"b\": 2}",
     "f.json:3:2: a comma or } is expected, not \"b\"\n"},
    {"{\n 'a': 1}", "f.json:2:2: a key in double quotes is expected, not '\n"},
    {"{\"\xc3\xa9\": nul}", "f.json:1:7: not JSON: nul\n"},
    {"{ /* a\n", "f.json:1:3: a comment begins here and is never closed with "
                 "*/\n"},
    {"{} {}", "f.json:1:4: nothing more is expected, not {\n"},
    {"[]", "f.json:1: must be an object, not an array\n"},

    /* Needed keys, unknown ones, and those to come. */
    {"{}",
     "f.json:1: listen: is missing.  The addresses for clients: "
     "\"127.0.0.1:8080\", \"[::1]:8080\", or \":8080\" for every interface; or an "
     "object where TLS is spoken there; one or an array. Port 0 takes a free one, "
     "which the log names.\n"
     "f.json:1: routes: is missing.  What is served: the route with the most "
     "specific path is taken, in whatever order they stand.\n"},
    {"{\"listen\": \":80\", \"routes\": []}",
     "f.json:1: routes: is empty; add one route at least, such as {\"path\": "
     "\"/*\", \"proxy\": \"app\"}\n"},
    {TOP("\"worker\": 2"),
     "f.json:2: worker: unknown key.  Did you mean \"workers\"?\n"},
    {TOP("\"log\": {\"colour\": true}"),
     "f.json:2: log.colour: unknown key \"colour\"; allowed: level, access\n"},
    {TOP("\"heartbeat\": \"5s\""),
     "f.json:2: heartbeat: does not belong here, but in routes[]\n"},
    {TOP("\"user\": \"www-data\""), "f.json:2: user: is not supported yet\n"},
    {FEED("\"receive\": {\"json\": true}"),
     "f.json:2: routes[0].receive: needs \"channel\", \"post\", "
     "\"websocket\" or \"redis\"\n"},
    {FEED("\"receive\": {\"post\": \"app/{y}\"}"),
     "f.json:2: routes[0].receive: {y} is not in the path \"/a/{x}\"\n"},
    {FEED("\"receive\": {\"post\": \"app/y\", \"channel\": true}"),
     "f.json:2: routes[0].receive: a message has one place to go to: "
     "\"channel\", \"post\", \"websocket\" or \"redis\"\n"},
    {FEED("\"receive\": {\"websocket\": \"app/y\"}, \"transports\": \"sse\""),
     "f.json:2: routes[0].receive: \"websocket\" is for clients by WebSocket, "
     "which \"transports\" does not list\n"},
    {FEED("\"receive\": {\"websocket\": \"app/{y}\"}"),
     "f.json:2: routes[0].receive: {y} is not in the path \"/a/{x}\"\n"},
    {FEED("\"receive\": {\"post\": \"nobody/y\"}"),
     "f.json:2: routes[0].receive.post: unknown backend \"nobody\"; defined: "
     "app, api\n"},
    {FEED("\"identity\": \"a b\""),
     "f.json:2: routes[0].identity: \"a b\" is no name of a request field\n"},
    {FEED("\"on_open\": \"app/{y}\""),
     "f.json:2: routes[0].on_open: {y} is not in the path \"/a/{x}\"\n"},
    {FEED("\"on_close\": \"nobody/y\""),
     "f.json:2: routes[0].on_close: unknown backend \"nobody\"; defined: app, "
     "api\n"},
    {FEED("\"heartbeat_event\": \"a\\nb\""),
     "f.json:2: routes[0].heartbeat_event: must be one line of 1 to 64 "
     "octets\n"},
    {FEED("\"receive\": \"channel\", \"echo\": 1"),
     "f.json:2: routes[0].echo: must be true or false\n"},
    {FEED("\"echo\": false"),
     "f.json:2: routes[0].echo: needs \"receive\"\n"},
    {FEED("\"multiplex\": 1"),
     "f.json:2: routes[0].multiplex: must be true or false\n"},
    {FEED("\"multiplex\": true, \"channel\": \"{connection}\""),
     "f.json:2: routes[0].channel: {connection} is one client's own: it does "
     "not go with \"multiplex\"\n"},
    {FEED("\"presence\": 3"),
     "f.json:2: routes[0].presence: must be true, false or an object such as "
     "{\"grace\": \"30s\"}, not a number\n"},
    {FEED("\"multiplex\": true, \"presence\": true"),
     "f.json:2: routes[0].presence: a multiplexed route tells nothing of who "
     "reads; those of its channels do\n"},
    {FEED("\"presence\": true, \"lag\": \"latest\""),
     "f.json:2: routes[0].presence: comings and goings are lost where only the "
     "newest message counts (\"lag\", \"max_rate\")\n"},
    {FEED("\"multiplex\": true, \"receive\": \"other\""),
     "f.json:2: routes[0].receive: a multiplexed route takes messages for "
     "\"channel\" only, the one that is named with each\n"},
    {FEED("\"envelope\": \"yes\""),
     "f.json:2: routes[0].envelope: must be true or false\n"},
    {TOP("\"log\": {\"level\": \"info\"},\n\"log\": {}"),
     "f.json:3: log: the same key twice; the first is on line 2\n"},

    /* Types, units and ranges. */
    {TOP("\"log\": \"info\""),
     "f.json:2: log: must be an object, not a string\n"},
    {TOP("\"log\": {\"level\": \"infos\"}"),
     "f.json:2: log.level: unknown value \"infos\"; allowed: error, warn, "
     "info, debug.  Did you mean \"info\"?\n"},
    {TOP("\"log\": {\"level\": null}"),
     "f.json:2: log.level: must be a string such as \"info\", not null\n"},
    {TOP("\"workers\": 65"),
     "f.json:2: workers: out of range; allowed: from 1 to 64\n"},
    {TOP("\"workers\": -1"),
     "f.json:2: workers: out of range; allowed: from 1 to 64\n"},
    {TOP("\"workers\": 1.5"),
     "f.json:2: workers: must be a whole number, not a number with a point\n"},
    {TOP("\"workers\": \"4\""),
     "f.json:2: workers: must be a whole number, not a string\n"},
    {TOP("\"client\": \"yes\""),
     "f.json:2: client: must be true or false\n"},
    {FEED("\"heartbeat\": 15"),
     "f.json:2: routes[0].heartbeat: 15 has no unit; write \"15s\"\n"},
    {FEED("\"heartbeat\": 1.5"),
     "f.json:2: routes[0].heartbeat: must be a string such as \"15s\", not a "
     "number\n"},
    {FEED("\"heartbeat\": \"15\""),
     "f.json:2: routes[0].heartbeat: \"15\" is not a duration; write a whole "
     "number and one of ms, s, m, h, d, such as \"15s\"\n"},
    {FEED("\"heartbeat\": \"9ms\""),
     "f.json:2: routes[0].heartbeat: out of range; allowed: from 10ms to "
     "1h\n"},
    {FEED("\"heartbeat\": \"99999999999999999999d\""),
     "f.json:2: routes[0].heartbeat: out of range; allowed: from 10ms to "
     "1h\n"},
    {FEED("\"cache\": \"1500ms\""),
     "f.json:2: routes[0].cache: \"1500ms\" is neither \"auto\" nor a whole "
     "number of seconds; write such as \"5s\"\n"},
    {TOP("\"limits\": {\"head\": 65536}"),
     "f.json:2: limits.head: 65536 has no unit; write \"64KiB\"\n"},
    {TOP("\"limits\": {\"head\": \"64kb\"}"),
     "f.json:2: limits.head: \"64kb\" is not a size; write a whole number and "
     "one of B, KB, KiB, MB, MiB, GB, GiB, such as \"16KiB\"\n"},

    /* Addresses. */
    {"{\"listen\": [\":80\",\n\":80\"], \"routes\": [{\"path\": \"/\"}]}",
     "f.json:2: listen[1]: \":80\" is listed twice\n"
     "f.json:2: routes[0]: needs \"proxy\" or \"source\"\n"},
    {"{\"listen\": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, "
     "17], \"routes\": [{\"path\": \"/a\", \"source\": 1}]}",
     "f.json:1: listen: has 17 addresses; 16 at most\n"
     "f.json:1: routes[0].source: must be an object such as {\"sse\": "
     "\"app/stream\"}, or the string \"publish\", not a number\n"},
    {TOP("\"admin\": 8081"),
     "f.json:2: admin: must be a string; write \":8081\" for every interface, "
     "or \"127.0.0.1:8081\"\n"},
    {TOP("\"admin\": \"8081\""),
     "f.json:2: admin: \"8081\" has no host; write \":8081\" for every "
     "interface, or \"127.0.0.1:8081\"\n"},
    {TOP("\"admin\": \"localhost\""),
     "f.json:2: admin: \"localhost\" has no port; write HOST:PORT\n"},
    {TOP("\"admin\": \"127.0.0.1:65536\""),
     "f.json:2: admin: port 65536 is out of range; allowed: from 0 to 65535\n"},
    {TOP("\"admin\": \"127.0.0.1:http\""),
     "f.json:2: admin: \"http\" is not a port; allowed: from 0 to 65535\n"},
    {TOP("\"admin\": \"127.0.1:81\""),
     "f.json:2: admin: \"127.0.1\" is not a host\n"},
    {TOP("\"admin\": \"::1:81\""),
     "f.json:2: admin: \"::1:81\" has an IPv6 address without brackets; write "
     "[ADDRESS]:PORT\n"},
    {TOP("\"admin\": \"[1.2.3.4]:81\""),
     "f.json:2: admin: \"[1.2.3.4]:81\" has no IPv6 address in its "
     "brackets\n"},
    {TOP("\"admin\": \":80\""),
     "f.json:2: admin: \":80\" is one of \"listen\" too; clients must not "
     "reach the admin listener\n"
     "f.json:2: admin: \":80\" is not on loopback, so anybody who reaches it "
     "could publish; write {\"listen\": \":80\", \"token_file\": \"FILE\"}\n"},
    {TOP("\"admin\": {\"listen\": \"10.0.0.1:81\"}"),
     "f.json:2: admin: \"10.0.0.1:81\" is not on loopback, so anybody who "
     "reaches it could publish; write {\"listen\": \"10.0.0.1:81\", "
     "\"token_file\": \"FILE\"}\n"},
    {TOP("\"admin\": {\"listen\": \"127.0.0.1:81\", \"token\": \"a\\nb\"}"),
     "f.json:2: admin.token: holds a line end, a space or something else that "
     "a token cannot have; allowed: visible ASCII\n"},
    {TOP("\"admin\": {\"listen\": \"127.0.0.1:81\", \"token\": \"\"}"),
     "f.json:2: admin.token: holds no token\n"},
    {TOP("\"admin\": {\"listen\": \"127.0.0.1:81\", \"token_file\": "
         "\"/nowhere/token\"}"),
     "f.json:2: admin.token_file: cannot read \"/nowhere/token\": No such file "
     "or directory\n"},

    /* Backends. */
    {"{\"listen\": \":80\", \"routes\": [{\"path\": \"/\", \"proxy\": "
     "\"a\"}], \"backends\": {\n"
     "\"a\": \"127.0.0.1:9000\",\n"
     "\"b\": \"https://b/v1\",\n"
     "\"c\": \"http://c/v1\",\n"
     "\"d\": \"http://d:0\",\n"
     "\"e/f\": \"http://e\",\n"
     "\"g\": [],\n"
     "\"h\": {\"pool\": 10001},\n"
     "\"i\": \"http://u:p@i\",\n"
     "\"j\": \"unix://x\"\n"
     "}}",
     "f.json:2: backends.a: \"127.0.0.1:9000\" is not a URL; write "
     "\"http://127.0.0.1:9000\"\n"
     "f.json:3: backends.b: a backend's URL has no path; write \"https://b\" "
     "and put \"/v1\" into the route\n"
     "f.json:4: backends.c: a backend's URL has no path; write \"http://c\" "
     "and put \"/v1\" into the route\n"
     "f.json:5: backends.d: port 0 is out of range; allowed: from 1 to "
     "65535\n"
     "f.json:6: backends[\"e/f\"]: a backend's name is made of letters, "
     "digits, -, . and _\n"
     "f.json:7: backends.g: is empty; name one server at least\n"
     "f.json:8: backends.h.servers: is missing.  The servers' URLs, without a "
     "path.\n"
     "f.json:8: backends.h.pool: out of range; allowed: from 0 to 10000\n"
     "f.json:9: backends.i: a user in a backend's URL is not supported\n"
     "f.json:10: backends.j: \"unix://x\" is no http:// or https:// "
     "URL\n"},
    {TLS("\"http://b\"", "\"verify\": true"),
     "f.json:2: backends.b.tls: needs a server whose URL begins with "
     "https://\n"},
    {TLS("\"https://b\"", "\"verify\": 1, \"name\": \"a b\", \"ca\": 1, "
         "\"key\": \"k\""),
     "f.json:2: backends.b.tls.verify: must be true or false\n"
     "f.json:2: backends.b.tls.ca: must be a string such as "
     "\"authority.pem\", not a number\n"
     "f.json:2: backends.b.tls.name: \"a b\" is not a host\n"
     "f.json:2: backends.b.tls.cert: is missing; it goes with \"key\"\n"},
    {TLS("\"https://b\"", "\"cert\": \"c\""),
     "f.json:2: backends.b.tls.key: is missing; it goes with \"cert\"\n"},
    {TLS("\"https://b\"", "\"ca\": \"c\", \"verify\": false"),
     "f.json:2: backends.b.tls.ca: is of no use where \"verify\" is false\n"},
    {TLS("\"https://b\"", "\"ca\": \"/nowhere/c\""),
     "f.json:2: backends.b.tls.ca: cannot read \"/nowhere/c\": No such file or "
     "directory\n"},
    {TLS("\"https://b\"", "\"ca\": \"/dev/null\""),
     "f.json:2: backends.b.tls.ca: cannot read \"/dev/null\": not a regular "
     "file\n"},
    {TLS("\"https://b\"", "\"ca\": \"/proc/version\""),
     "f.json:2: backends.b.tls.ca: \"/proc/version\" holds no certificate in PEM "
     "form\n"},

    /* Request fields of sources. */
    {STREAM("\"headers\": {\"X-A\": \"sec\\nret\", \"x a\": \"1\", "
            "\"host\": \"h\", \"X-B\": \"\", \"X-C\": {\"fil\": \"f\"}, "
            "\"X-D\": \"sec\\u0001ret\", \"x-d\": {\"file\": "
            "\"/nowhere/f\"}, \"X-E\": 1}"),
     "f.json:2: routes[0].source.headers.X-A: holds a line end or another "
     "control character, which a field cannot have\n"
     "f.json:2: routes[0].source.headers[\"x a\"]: \"x a\" is not a field's "
     "name\n"
     "f.json:2: routes[0].source.headers.host: \"host\" is a field that "
     "penstock writes itself\n"
     "f.json:2: routes[0].source.headers.X-B: holds nothing\n"
     "f.json:2: routes[0].source.headers.X-C: is a string, or {\"file\": "
     "\"NAME\"} for what stands in a file\n"
     "f.json:2: routes[0].source.headers.X-D: holds a line end or another "
     "control character, which a field cannot have\n"
     "f.json:2: routes[0].source.headers.x-d: stands there already, as "
     "\"X-D\"\n"
     "f.json:2: routes[0].source.headers.x-d.file: cannot read "
     "\"/nowhere/f\": No such file or directory\n"
     "f.json:2: routes[0].source.headers.X-E: must be a string such as "
     "\"Bearer ...\", not a number\n"},
    {STREAM("\"pass\": [\"Cookie\"]"),
     "f.json:2: routes[0].source.pass: goes with \"per\": \"client\" only: one "
     "connection for all cannot have what each of them sends\n"},
    {STREAM("\"per\": \"client\", \"when\": \"always\""),
     "f.json:2: routes[0].source.when: \"always\" needs a channel without "
     "{name}s, not \"a/{x}\": nobody tells which to open\n"
     "f.json:2: routes[0].source.per: \"client\" needs \"pass\", which names "
     "what tells clients apart, such as [\"Authorization\"]\n"
     "f.json:2: routes[0].source.when: \"always\" does not go with \"per\": "
     "\"client\": nobody is there to read for\n"},
    {STREAM("\"per\": \"client\", \"headers\": {\"A\": \"1\"}, "
            "\"pass\": [\"B\", \"b\", \"a\", \"TE\", 1]"),
     "f.json:2: routes[0].source.pass[1]: \"b\" is listed twice\n"
     "f.json:2: routes[0].source.pass[2]: \"a\" stands in \"headers\", too\n"
     "f.json:2: routes[0].source.pass[3]: \"TE\" is a field that penstock writes "
     "itself\n"
     "f.json:2: routes[0].source.pass[4]: must be a string such as "
     "\"Authorization\", not a number\n"},
    {STREAM("\"per\": \"client\", \"pass\": [\"B\"]}, \"multiplex\": true, "
            "\"channel\": \"x\", \"cache\": \"auto\", \"history\": {"),
     "f.json:2: routes[0].source.per: \"client\" does not go with "
     "\"multiplex\"\n"
     "f.json:2: routes[0].source.per: \"client\" does not go with \"cache\": it "
     "would give one client what is another's\n"},

    /* Routes. */
    {ROUTE("\"proxy\": \"app\""),
     "f.json:2: routes[0].path: is missing.  The paths served: {name} is one "
     "segment, * as the last segment the rest.\n"},
    {ROUTE("\"path\": \"/a\""),
     "f.json:2: routes[0]: needs \"proxy\" or \"source\"\n"},
    {ROUTE("\"path\": \"/a\", \"proxy\": \"app\", \"transports\": \"sse\""),
     "f.json:2: routes[0].transports: does not go with \"proxy\"; a proxied "
     "route passes requests on as they are\n"},
    {ROUTE("\"path\": \"/a\", \"proxy\": \"ap\""),
     "f.json:2: routes[0].proxy: unknown backend \"ap\"; defined: app, api.  "
     "Did you mean \"app\"?\n"},
    {ROUTE("\"path\": \"/a\", \"proxy\": \"app/v1\""),
     "f.json:2: routes[0].proxy: a path after the backend is not supported "
     "yet; write \"app\"\n"},
    {ROUTE("\"path\": \"a\", \"proxy\": \"app\""),
     "f.json:2: routes[0].path: must begin with /; write \"/a\"\n"},
    {ROUTE("\"path\": \"/a?b=1\", \"proxy\": \"app\""),
     "f.json:2: routes[0].path: a path ends before its query; leave \"?b=1\" "
     "out\n"},
    {ROUTE("\"path\": \"/a/{b\", \"proxy\": \"app\""),
     "f.json:2: routes[0].path: \"/a/{b\" has a { that is not closed\n"},
    {ROUTE("\"path\": \"/a/x{b}\", \"proxy\": \"app\""),
     "f.json:2: routes[0].path: \"/a/x{b}\" has a {name} that is not a whole "
     "segment, as in /a/{name}/b\n"},
    {ROUTE("\"path\": \"/*/a\", \"proxy\": \"app\""),
     "f.json:2: routes[0].path: \"/*/a\" has a * that is not the whole last "
     "segment\n"},
    {ROUTE("\"path\": \"/a/../b\", \"proxy\": \"app\""),
     "f.json:2: routes[0].path: \"/a/../b\" has a segment that is empty, . or "
     "..; no request is routed by those\n"},
    {ROUTE("\"path\": \"/caf\xc3\xa9 1/%7e\", \"proxy\": \"app\""),
     "f.json:2: routes[0].path: \"/caf\xc3\xa9 1/%7e\" is not in the form in "
     "which it is compared; write \"/caf%C3%A9%201/~\"\n"},
    {ROUTE("\"path\": \"/a%2\", \"proxy\": \"app\""),
     "f.json:2: routes[0].path: \"/a%2\" has a % without two hexadecimal "
     "digits\n"},
    {ROUTE("\"path\": \"/a/{x}\", \"proxy\": \"app\"},\n"
           "{\"path\": \"/a/{y}\", \"proxy\": \"api\""),
     "f.json:3: routes[1].path: \"/a/{y}\" matches the same requests as "
     "routes[0] (\"/a/{x}\", line 2)\n"},
    {ROUTE("\"path\": \"/a\", \"proxy\": \"app\", \"host\": \"a.b:80\""),
     "f.json:2: routes[0].host: is a host without its port; write \"a.b\"\n"},
    {ROUTE("\"path\": \"/a\", \"proxy\": \"app\", \"host\": \"*.b\""),
     "f.json:2: routes[0].host: a host with a * is not supported yet\n"},
    {FEED("\"transports\": [\"webscoket\"]"),
     "f.json:2: routes[0].transports[0]: unknown transport \"webscoket\"; "
     "allowed: websocket, sse, longpoll, poll.  Did you mean \"websocket\"?\n"},
    {FEED("\"transports\": [\"sse\", \"sse\"]"),
     "f.json:2: routes[0].transports[1]: \"sse\" is listed twice\n"},
    {FEED("\"transports\": [\"auto\"]"),
     "f.json:2: routes[0].transports[0]: \"auto\" stands alone: "
     "\"transports\": \"auto\"\n"},
    {FEED("\"transports\": []"),
     "f.json:2: routes[0].transports: is empty; allowed: websocket, sse, "
     "longpoll, poll, or \"auto\" for all\n"},
    {FEED("\"limits\": {\"rate\": \"10\"}"),
     "f.json:2: routes[0].limits.rate: \"10\" is not a rate; write a whole "
     "number and a period, such as \"10/s\", \"30/m\" or \"100/h\"\n"},
    {FEED("\"limits\": {\"rate\": 10}"),
     "f.json:2: routes[0].limits.rate: 10 has no period; write \"10/s\"\n"},
    {FEED("\"limits\": {\"rate\": \"2000000/s\"}"),
     "f.json:2: routes[0].limits.rate: \"2000000/s\" is out of range; allowed: "
     "up to \"1000000/s\"\n"},
    {FEED("\"limits\": {\"burst\": 3}"),
     "f.json:2: routes[0].limits.rate: is missing.  How many requests one client "
     "address may make, such as \"10/s\", \"30/m\" or \"100/h\": polls, long "
     "polls, messages by POST, and what is proxied. More are answered with "
     "429.\n"},
    {TOP("\"limits\": {\"accept_rate\": true}"),
     "f.json:2: limits.accept_rate: must be a string such as \"10/s\", not "
     "true\n"},
    {FEED("\"cors\": [\"a.example\"]"),
     "f.json:2: routes[0].cors[0]: \"a.example\" is not an origin; write it in "
     "lower case and without a path, such as \"https://app.example.com\", or "
     "\"*\" for all\n"},
    {FEED("\"cors\": []"),
     "f.json:2: routes[0].cors: is empty; leave it out for pages of the route's "
     "own origin only\n"},
    {FEED("\"cors\": true"),
     "f.json:2: routes[0].cors: must be a string such as "
     "\"https://app.example.com\", an array of them, or an object, not true\n"},
    {FEED("\"cors\": {\"origins\": \"*\", \"credentials\": true}"),
     "f.json:2: routes[0].cors.credentials: does not go with the origin \"*\": "
     "any page could read what only its visitor may; name the origins\n"},
    {FEED("\"cors\": {\"origins\": \"http://a\", \"headers\": [\"a b\"]}"),
     "f.json:2: routes[0].cors.headers[0]: \"a b\" is not the name of a "
     "header\n"},
    {FEED("\"compress\": \"gzip\""),
     "f.json:2: routes[0].compress: must be true, false or an object such as "
     "{\"min\": \"256B\"}, not a string\n"},
    {STREAM("\"compress\": 1"),
     "f.json:2: routes[0].source.compress: must be true or false\n"},
    {FEED("\"compress\": {\"level\": 0}"),
     "f.json:2: routes[0].compress.level: out of range; allowed: from 1 to "
     "9\n"},
    {FEED("\"compress\": {\"min\": 256}"),
     "f.json:2: routes[0].compress.min: 256 has no unit; write \"256B\"\n"},
    {FEED("\"origins\": [\"https://a.example/\"]"),
     "f.json:2: routes[0].origins[0]: \"https://a.example/\" is not an origin; "
     "write it in lower case and without a path, such as "
     "\"https://app.example.com\", or \"*\" for all\n"},

    /* Channels. */
    {FEED("\"channel\": \"c/{y}\""),
     "f.json:2: routes[0].channel: {y} is not in the path \"/a/{x}\"\n"},
    {FEED("\"channel\": \"/c\""),
     "f.json:2: routes[0].channel: does not begin with /; write \"c\"\n"},
    {FEED("\"channel\": \"c/*\""),
     "f.json:2: routes[0].channel: \"c/*\" has a *, which a channel's name "
     "cannot have\n"},
    {FEED("\"channel\": \"c/{connection}\""),
     "f.json:2: routes[0].channel: {connection} lasts as long as a connection; "
     "write \"transports\": [\"websocket\", \"sse\"]\n"},
    {ROUTE("\"path\": \"/\", \"source\": \"publish\""),
     "f.json:2: routes[0]: path \"/\" leaves no name for the channel; name it "
     "with \"channel\"\n"},
    {ROUTE("\"path\": \"/a/*\", \"source\": \"publish\""),
     "f.json:2: routes[0]: path \"/a/*\" ends in *, which a channel's name "
     "cannot have; name it with \"channel\"\n"},
    {FEED("\"start\": \"last\"},\n{\"path\": \"/b/{x}\", \"channel\": "
          "\"a/{x}\", \"source\": \"publish\", \"history\": {\"messages\": 5}"),
     "f.json:3: routes[1].channel: \"a/{x}\" is also that of routes[0] (line "
     "2), which has another \"source\" or \"history\"; write them alike\n"},

    /* Sources. */
    {ROUTE("\"path\": \"/a\", \"source\": \"publsh\""),
     "f.json:2: routes[0].source: unknown source \"publsh\"; allowed: publish, "
     "sse, ndjson, websocket, poll, longpoll, redis.  Did you mean \"publish\"?\n"},
    {ROUTE("\"path\": \"/a\", \"source\": \"redis\""),
     "f.json:2: routes[0].source: \"redis\" needs to be told what to read; write "
     "{\"redis\": \"BACKEND\", \"subscribe\": \"CHANNEL\"}\n"},
    {ROUTE("\"path\": \"/a\", \"source\": \"sse\""),
     "f.json:2: routes[0].source: \"sse\" needs to be told what to read; write "
     "{\"sse\": \"BACKEND/PATH\"}\n"},
    {SOURCE("\"redis\": \"app\", \"stream\": \"x\""),
     "f.json:2: routes[0].source.redis: needs a module; write \"modules\": "
     "[\"redis\"] at the top\n"
     "f.json:2: routes[0].source.redis: \"app\" is no Redis; a backend that is "
     "has a URL such as \"redis://127.0.0.1:6379\"\n"},
    {SOURCE("\"redis\": \"app\""),
     "f.json:2: routes[0].source.redis: needs a module; write \"modules\": "
     "[\"redis\"] at the top\n"
     "f.json:2: routes[0].source.redis: \"app\" is no Redis; a backend that is "
     "has a URL such as \"redis://127.0.0.1:6379\"\n"
     "f.json:2: routes[0].source: needs one of \"subscribe\", \"psubscribe\" "
     "and \"stream\" beside \"redis\"\n"},
    {SOURCE("\"sse\": \"app/x\", \"stream\": \"x\""),
     "f.json:2: routes[0].source.stream: goes with \"redis\" only\n"},
    {SOURCE("\"sse\": \"app/x\", \"field\": \"x\""),
     "f.json:2: routes[0].source.field: goes with \"stream\" only\n"},
    {SOURCE("\"sse\": \"app/x\", \"subscribe\": \"x\""),
     "f.json:2: routes[0].source.subscribe: goes with \"websocket\" and "
     "\"redis\" only\n"},
    {SOURCE("\"sse\": \"app/x\", \"select\": \"/a\""),
     "f.json:2: routes[0].source.select: goes with \"poll\" and \"longpoll\" "
     "only\n"},
    {SOURCE("\"poll\": \"app/x\", \"each\": \"id\""),
     "f.json:2: routes[0].source.each: \"id\" is no JSON Pointer (RFC 6901), "
     "which is such as \"/a/0/b\"\n"},
    {STREAM("\"framing\": \"length\""),
     "f.json:2: routes[0].source.framing: goes with \"ndjson\" only\n"},
    {STREAM("\"transform\": {\"event\": \"type\"}"),
     "f.json:2: routes[0].source.transform.event: \"type\" is no JSON Pointer "
     "(RFC 6901), which is such as \"/a/0/b\"\n"},
    {STREAM("\"transform\": {\"type\": \"/type\"}"),
     "f.json:2: routes[0].source.transform.type: unknown key \"type\"; "
     "allowed: event, id, data, text\n"},
    {STREAM("\"transform\": {\"data\": \"\", \"text\": \"/a\"}"),
     "f.json:2: routes[0].source.transform.text: does not go with \"data\"\n"},
    {SOURCE("\"publish\": true, \"transform\": {\"data\": \"/a\"}"),
     "f.json:2: routes[0].source.transform: does not go with \"publish\"\n"},
    {SOURCE("\"poll\": \"app/x\", \"cursor\": \"link\""),
     "f.json:2: routes[0].source.cursor: goes with \"longpoll\" and "
     "\"ndjson\" only\n"},
    {SOURCE("\"ndjson\": \"app/x\", \"cursor\": \"link\""),
     "f.json:2: routes[0].source.cursor: is a JSON Pointer with \"ndjson\", "
     "such as \"/seq\"\n"},
    {SOURCE("\"ndjson\": \"app/x\", \"from\": \"0\""),
     "f.json:2: routes[0].source.from: needs \"cursor\", which says where the "
     "values have their places\n"},
    {SOURCE("\"longpoll\": \"app/x\", \"lost\": \"/a\""),
     "f.json:2: routes[0].source.lost: goes with \"ndjson\" only\n"},
    {SOURCE("\"longpoll\": \"app/x\", \"cursor\": \"/~\""),
     "f.json:2: routes[0].source.cursor: \"/~\" is no JSON Pointer (RFC 6901), "
     "which is such as \"/a/0/b\"\n"},
    {SOURCE("\"longpoll\": \"app/x\", \"param\": \"a=b\""),
     "f.json:2: routes[0].source.param: \"a=b\" has what cannot stand in a "
     "name\n"},
    {SOURCE("\"when\": \"needed\""),
     "f.json:2: routes[0].source: needs one of \"sse\", \"ndjson\", "
     "\"websocket\", \"poll\", \"longpoll\", \"redis\" or \"publish\"\n"},
    {SOURCE("\"sse\": \"app/x\", \"ndjson\": \"app/x\""),
     "f.json:2: routes[0].source.ndjson: is a second source; \"sse\" is there "
     "already\n"},
    {SOURCE("\"publish\": true, \"linger\": \"1s\""),
     "f.json:2: routes[0].source.linger: does not go with \"publish\"\n"},
    {SOURCE("\"sse\": \"/stream\""),
     "f.json:2: routes[0].source.sse: \"/stream\" names no backend; write "
     "\"BACKEND/PATH\" with a name from \"backends\"\n"},
    {SOURCE("\"sse\": \"http://a/stream\""),
     "f.json:2: routes[0].source.sse: \"http://a/stream\" names no backend; "
     "write \"BACKEND/PATH\" with a name from \"backends\"\n"},
    {SOURCE("\"sse\": \"web/stream\""),
     "f.json:2: routes[0].source.sse: unknown backend \"web\"; defined: app, "
     "api\n"},
    {SOURCE("\"sse\": \"app/{y}\""),
     "f.json:2: routes[0].source.sse: {y} is not in the channel \"a/{x}\"\n"},
    {SOURCE("\"sse\": \"app/a b\""),
     "f.json:2: routes[0].source.sse: \" \" cannot stand in a URL; write it as "
     "an escape such as %20\n"},
    {SOURCE("\"sse\": \"app/x\", \"when\": \"always\""),
     "f.json:2: routes[0].source.when: \"always\" needs a channel without "
     "{name}s, not \"a/{x}\": nobody tells which to open\n"},
    {SOURCE("\"sse\": \"app/x\", \"backoff\": {\"min\": \"1m\", \"max\": "
            "\"1s\"}"),
     "f.json:2: routes[0].source.backoff: min is longer than max\n"},
    {"{\"listen\": \":80\", \"backends\": {}, \"routes\": [{\"path\": \"/a\",\n"
     "\"source\": \"publish\"}]}",
     "f.json:2: routes[0].source: \"publish\" needs an admin listener to "
     "publish to; add \"admin\": \"127.0.0.1:8081\" at the top\n"},
};

static void a_broken_file_is_answered_with_what_to_do(void **state)
{
    for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++)
        assert_errors(broken[i].text, broken[i].errors);
}

static void all_faults_are_told_at_once_in_the_order_of_lines(void **state)
{
    assert_errors("{\n"
                  "\"routes\": [{\"path\": \"/a\", \"proxy\": \"app\",\n"
                  "  \"lag\": 1},\n"
                  "  null],\n"
                  "\"listen\": 5,\n"
                  "\"backends\": {\"app\": \"http://a\"}, \"x\": 1}",
                  "f.json:3: routes[0].lag: must be a string such as "
                  "\"disconnect\", not a number\n"
                  "f.json:3: routes[0].lag: does not go with \"proxy\"; a "
                  "proxied route passes requests on as they are\n"
                  "f.json:4: routes[1]: must be an object, not null\n"
                  "f.json:5: listen: must be a string; write \":5\" for every "
                  "interface, or \"127.0.0.1:5\"\n"
                  "f.json:6: x: unknown key \"x\"; allowed: $schema, listen, "
                  "admin, workers, client, log, limits, modules, backends, routes\n");
}

static void a_fault_is_one_line_whatever_the_file_holds(void **state)
{
    assert_errors(TOP("\"a\\nb\": 1, \"log\": {\"level\": \"\\n\\u001b[1m\"}"),
                  "f.json:2: [\"a?b\"]: unknown key \"a?b\"; allowed: "
                  "$schema, listen, admin, workers, client, log, limits, "
                  "modules, backends, routes\n"
                  "f.json:2: log.level: unknown value \"??[1m\"; allowed: "
                  "error, warn, info, debug\n");
}

static void faults_beyond_a_thousand_are_counted(void **state)
{
    struct buffer text = {0}, errors = {0};
    struct config *c;

    buffer_append_str(&text, STR("{\"routes\": ["));
    for (int i = 0; i < 1500; i++)
        buffer_printf(&text, "%s1.5", i > 0 ? "," : "");
    buffer_append(&text, "]}", 3);
    assert_int_equal(parse(&c, text.data, &errors), -EINVAL);
    assert_non_null(strstr(errors.data, "\nf.json: and 501 more\n"));
    buffer_fini(&text);
    buffer_fini(&errors);
}

/* What is right ------------------------------------------------------------ */

static void defaults_are_those_of_the_manual(void **state)
{
    struct config *c = good(FEED("\"lag\": \"skip\""));
    const struct route *r = &c->routes[0];

    assert_int_equal(c->workers, 0);
    assert_int_equal(c->log.level, LOG_LEVEL_INFO);
    assert_int_equal(c->log.access, ACCESS_TEXT);
    assert_int_equal(c->limits.head_bytes, 16384);
    assert_int_equal(c->limits.target_bytes, 8192);
    assert_int_equal(c->limits.fields, 100);
    assert_int_equal(c->limits.head_ms, 10000);
    assert_int_equal(c->limits.idle_ms, 75000);
    assert_int_equal(c->limits.write_ms, 60000);
    assert_int_equal(c->limits.drain_ms, 10000);
    assert_int_equal(c->limits.connections, 0);
    assert_int_equal(c->limits.channels, 100000);
    assert_int_equal(c->limits.message_bytes, 1 << 20);
    assert_int_equal(c->backends[0].connect_ms, 5000);
    assert_int_equal(c->backends[0].response_ms, 60000);
    assert_int_equal(c->backends[0].idle_ms, 30000);
    assert_int_equal(c->backends[0].pool, 64);
    assert_string_equal(r->channel_text, "a/{x}");
    assert_int_equal(r->transport_count, 4);
    assert_int_equal(r->transports[0], KIND_POLL);
    assert_int_equal(r->transports[3], KIND_WEBSOCKET);
    assert_int_equal(r->history.messages, 1000);
    assert_int_equal(r->history.bytes, 16 << 20);
    assert_int_equal(r->history.age_ms, 3600000);
    assert_int_equal(r->reader.start, START_NOW);
    assert_int_equal(r->reader.lag, LAG_SKIP);
    assert_int_equal(r->reader.heartbeat_ms, 15000);
    assert_int_equal(r->reader.write_ms, 60000);
    assert_int_equal(r->reader.wait_ms, 30000);
    assert_int_equal(r->reader.batch_messages, 1000);
    assert_int_equal(r->reader.batch_bytes, 1 << 20);
    assert_int_equal(r->reader.retry_ms, 2000);
    assert_int_equal(r->reader.cache_s, 0);
    assert_int_equal(r->reader.message_bytes, 65536);
    assert_null(r->reader.origins);
    assert_string_equal(r->source.type, "publish");
    assert_int_equal(r->source.when, WHEN_NEEDED);
    assert_int_equal(r->source.linger_ms, 10000);
    assert_int_equal(r->source.idle_ms, 0);
    assert_int_equal(r->source.backoff_min_ms, 500);
    assert_int_equal(r->source.backoff_max_ms, 30000);
    assert_int_equal(r->source.message_bytes, 1 << 20);
    config_unref(&c);
}

static void what_is_written_lands_where_it_belongs(void **state)
{
    struct config *c = good(ROUTE(
        "\"path\": \"/q/{s}\", \"host\": \"Q.example\", \"channel\": "
        "\"quotes:{s}\", \"transports\": [\"sse\", \"poll\"], \"start\": "
        "\"oldest\", \"heartbeat\": \"200ms\", \"cache\": \"1m\", "
        "\"origins\": [\"https://a.example\"], \"history\": {\"messages\": "
        "5, \"bytes\": \"1MiB\", \"age\": \"1d\"}, \"source\": "
        "{\"ndjson\": \"api/s?q={s}\", \"idle_timeout\": \"0s\", "
        "\"backoff\": {\"min\": \"1ms\"}}"));

    const struct route *r = &c->routes[0];

    assert_string_equal(r->path, "/q/{s}");
    assert_string_equal(r->host, "Q.example");
    assert_int_equal(r->line, 2);
    assert_null(r->proxy);
    assert_string_equal(r->channel_text, "quotes:{s}");
    assert_int_equal(r->transport_count, 2);
    assert_int_equal(r->transports[0], KIND_SSE);
    assert_int_equal(r->transports[1], KIND_POLL);
    assert_int_equal(r->reader.start, START_OLDEST);
    assert_int_equal(r->reader.heartbeat_ms, 200);
    assert_int_equal(r->reader.cache_s, 60);
    assert_string_equal(r->reader.origins[0], "https://a.example");
    assert_null(r->reader.origins[1]);
    assert_int_equal(r->history.messages, 5);
    assert_int_equal(r->history.bytes, 1 << 20);
    assert_int_equal(r->history.age_ms, 86400000);
    assert_string_equal(r->source.type, "ndjson");
    assert_string_equal(r->source.backend->name, "api");
    assert_string_equal(r->source.path, "/s?q={s}");
    assert_int_equal(r->source.idle_ms, 0);
    assert_int_equal(r->source.backoff_min_ms, 1);
    config_unref(&c);
}

static void assert_compress(const char *text, bool on, size_t min_bytes,
                            unsigned level)
{
    struct config *c = good(text);
    const struct deflate_settings *compress = &c->routes[0].reader.compress;

    assert_int_equal(compress->on, on);
    assert_int_equal(compress->min_bytes, min_bytes);
    assert_int_equal(compress->level, level);
    config_unref(&c);
}

static void compress_takes_three_forms(void **state)
{
    assert_compress(FEED("\"start\": \"now\""), false, 256, 6);
    assert_compress(FEED("\"compress\": false"), false, 256, 6);
    assert_compress(FEED("\"compress\": true"), true, 256, 6);
    assert_compress(FEED("\"compress\": {}"), true, 256, 6);
    assert_compress(FEED("\"compress\": {\"min\": \"0B\", \"level\": 1}"), true,
                    0, 1);
}

static void cors_takes_three_forms(void **state)
{
    struct config *c = good(
        "{\"listen\": \":80\", \"backends\": {\"a\": \"http://a\"}, "
        "\"routes\": [{\"path\": \"/1\", \"proxy\": \"a\", \"cors\": \"*\"}, "
        "{\"path\": \"/2\", \"proxy\": \"a\", \"cors\": [\"http://a\", "
        "\"http://b\"]}, {\"path\": \"/3\", \"proxy\": \"a\", \"cors\": "
        "{\"origins\": \"http://a\", \"credentials\": true, \"max_age\": "
        "\"1m\", \"headers\": [\"X-A\", \"X-B\"]}}]}");

    assert_string_equal(c->routes[0].cors.origins[0], "*");
    assert_null(c->routes[0].cors.headers);
    assert_int_equal(c->routes[0].cors.max_age_s, 600);
    assert_string_equal(c->routes[1].cors.origins[1], "http://b");
    assert_null(c->routes[1].cors.origins[2]);
    assert_true(c->routes[2].cors.credentials);
    assert_string_equal(c->routes[2].cors.headers, "X-A, X-B");
    assert_int_equal(c->routes[2].cors.max_age_s, 60);
    config_unref(&c);
}

static void origins_of_cors_may_open_websockets_unless_told(void **state)
{
    struct config *c = good(FEED("\"cors\": \"http://a\""));

    assert_string_equal(c->routes[0].reader.origins[0], "http://a");
    config_unref(&c);
    c = good(FEED("\"cors\": \"http://a\", \"origins\": \"http://b\""));
    assert_string_equal(c->routes[0].reader.origins[0], "http://b");
    config_unref(&c);
}

static void rates_become_intervals(void **state)
{
    struct config *c = good(
        "{\"listen\": \":80\", \"backends\": {\"a\": \"http://a\"}, "
        "\"limits\": {\"accept_rate\": \"200/s\", \"per_address\": 7}, "
        "\"routes\": [{\"path\": \"/1\", \"proxy\": \"a\", \"limits\": "
        "{\"rate\": \"10/s\"}}, {\"path\": \"/2\", \"proxy\": \"a\", "
        "\"limits\": {\"burst\": 3, \"rate\": \"30/m\"}}, {\"path\": \"/3\", "
        "\"proxy\": \"a\"}]}");

    assert_int_equal(c->limits.accept.interval_us, 5000);
    assert_int_equal(c->limits.per_address, 7);
    assert_int_equal(c->routes[0].rate.interval_us, 100000);
    assert_int_equal(c->routes[0].rate.slack_us, 900000);
    assert_int_equal(c->routes[1].rate.interval_us, 2000000);
    assert_int_equal(c->routes[1].rate.slack_us, 4000000);
    assert_int_equal(c->routes[2].rate.interval_us, 0);
    config_unref(&c);
}

static void addresses_take_four_forms(void **state)
{
    struct config *c = good(
        "{\"listen\": [\"127.0.0.1:8080\", \"[::1]:80\", \"*:81\", \":82\", "
        "\"localhost:83\", \":0\", \":0\"], \"backends\": {\"a\": \"http://a\"}, "
        "\"routes\": [{\"path\": \"/*\", \"proxy\": \"a\"}]}");

    assert_int_equal(c->listen_count, 7);
    assert_string_equal(c->listen[0].host, "127.0.0.1");
    assert_int_equal(c->listen[0].port, 8080);
    assert_string_equal(c->listen[1].host, "::1");
    assert_string_equal(c->listen[1].text, "[::1]:80");
    assert_null(c->listen[2].host);
    assert_int_equal(c->listen[2].port, 81);
    assert_null(c->listen[3].host);
    assert_string_equal(c->listen[4].host, "localhost");
    assert_int_equal(c->listen[5].port, 0);
    config_unref(&c);
}

static void backends_take_three_forms(void **state)
{
    struct config *c = good(
        "{\"listen\": \":80\", \"backends\": {\"a\": \"http://a/\", \"b\": "
        "[\"http://b:1\", \"http://[::1]:2\"], \"c\": {\"servers\": "
        "\"HTTP://c:3\", \"pool\": 0, \"connect_timeout\": \"1s\"}}, "
        "\"routes\": [{\"path\": \"/*\", \"proxy\": \"b\"}]}");

    assert_int_equal(c->backend_count, 3);
    assert_string_equal(c->backends[0].servers[0].host, "a");
    assert_int_equal(c->backends[0].servers[0].port, 80);
    assert_int_equal(c->backends[1].server_count, 2);
    assert_string_equal(c->backends[1].servers[1].host, "::1");
    assert_int_equal(c->backends[1].servers[1].port, 2);
    assert_string_equal(c->backends[2].servers[0].host, "c");
    assert_int_equal(c->backends[2].connect_ms, 1000);
    assert_int_equal(c->backends[2].pool, 0);
    assert_ptr_equal(c->routes[0].proxy, &c->backends[1]);
    config_unref(&c);
}

static void routes_may_stand_before_what_they_name(void **state)
{
    struct config *c = good(
        "{\"routes\": [{\"transports\": \"sse\", \"source\": {\"sse\": "
        "\"a/x\"}, \"path\": \"/x\"}], \"backends\": {\"a\": \"http://a\"}, "
        "\"listen\": \":80\"}");

    assert_string_equal(c->routes[0].source.path, "/x");
    config_unref(&c);
}

static void comments_count_as_space_but_not_in_strings(void **state)
{
    struct config *c = good(
        "// first\n{ /* two\n lines */ \"listen\": \":80\", // \"x\n"
        "\"backends\": {\"a\": \"http://a\"}, \"routes\": [{\"path\": "
        "/**/\"/*\", \"proxy\": \"a\"}]}\n// last");

    assert_string_equal(c->routes[0].path, "/*");
    config_unref(&c);
}

static void publish_has_a_long_form(void **state)
{
    struct config *c = good(SOURCE("\"publish\": true"));

    assert_string_equal(c->routes[0].source.type, "publish");
    config_unref(&c);
}

static void routes_may_share_a_channel(void **state)
{
    struct config *c = good(FEED(
        "\"transports\": \"sse\"}, {\"path\": \"/b/{x}\", \"channel\": "
        "\"a/{x}\", \"source\": \"publish\", \"transports\": \"poll\""));

    assert_int_equal(c->route_count, 2);
    config_unref(&c);
}

static void admin_may_leave_loopback_with_a_token(void **state)
{
    struct config *c = good(TOP("\"admin\": {\"listen\": \"10.0.0.1:81\", "
                                "\"token\": \"secret\"}"));

    assert_string_equal(c->admin->host, "10.0.0.1");
    assert_string_equal(c->admin_token, "secret");
    config_unref(&c);
}

static void a_reference_keeps_it(void **state)
{
    struct config *c = good(SOURCE("\"publish\": true"));
    struct config *other = config_ref(c);

    config_unref(&c);
    assert_null(c);
    assert_string_equal(other->file, "f.json");
    config_unref(&other);
}

/* Files -------------------------------------------------------------------- */

static char directory[] = "/tmp/test_config.XXXXXX";
static char file[64];

static void write_file(const char *name, const char *data, size_t len)
{
    FILE *f;

    snprintf(file, sizeof(file), "%s/%s", directory, name);
    f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    fclose(f);
}

static int make_directory(void **state)
{
    return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state)
{
    snprintf(file, sizeof(file), "%s/token", directory);
    unlink(file);
    snprintf(file, sizeof(file), "%s/p.json", directory);
    unlink(file);
    return rmdir(directory);
}

static int load(struct config **out, struct buffer *errors)
{
    int rc;

    snprintf(file, sizeof(file), "%s/p.json", directory);
    rc = config_load(out, file, errors);
    buffer_append_byte(errors, '\0');
    return rc;
}

static const char with_token_file[] =
    TOP("\"admin\": {\"listen\": \"10.0.0.1:81\", \"token_file\": \"token\"}");

/* The token that a file of that content gives; NULL and the errors. */
static char *token_of(const char *data, size_t len, struct buffer *errors)
{
    struct config *c = NULL;
    char *token = NULL;

    write_file("token", data, len);
    write_file("p.json", with_token_file, strlen(with_token_file));
    if (load(&c, errors) == 0)
        token = strdup(c->admin_token);
    config_unref(&c);
    return token;
}

static void a_token_file_stands_beside_and_loses_one_line_end(void **state)
{
    static const char *const same[] = {"s3cret", "s3cret\n", "s3cret\r\n"};

    for (int i = 0; i < 3; i++) {
        struct buffer errors = {0};
        char *token = token_of(same[i], strlen(same[i]), &errors);

        assert_string_equal(token, "s3cret");
        free(token);
        buffer_fini(&errors);
    }
}

static void a_token_file_with_more_than_a_token_is_refused(void **state)
{
    static const struct {
        const char *data;
        size_t len;
        const char *error;
    } bad[] = {
        {"a\nb\n", 4, "holds a line end, a space or something else that a "
                      "token cannot have; allowed: visible ASCII\n"},
        {"a\n\n", 3, "holds a line end, a space or something else that a token "
                     "cannot have; allowed: visible ASCII\n"},
        {"a \n", 3, "holds a line end, a space or something else that a token "
                    "cannot have; allowed: visible ASCII\n"},
        {"a\0b", 3, "holds a NUL, which a token cannot have\n"},
        {"\n", 1, "holds no token\n"},
        {"", 0, "holds no token\n"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct buffer errors = {0}, expected = {0};

        assert_null(token_of(bad[i].data, bad[i].len, &errors));
        buffer_printf(&expected, "%s:2: admin.token_file: %s", file,
                      bad[i].error);
        buffer_append_byte(&expected, '\0');
        assert_string_equal(errors.data, expected.data);
        buffer_fini(&errors);
        buffer_fini(&expected);
    }
}

static void a_file_that_cannot_be_read_says_so(void **state)
{
    struct buffer errors = {0};
    struct config *c = NULL;

    assert_int_equal(config_load(&c, "/nowhere/p.json", &errors), -ENOENT);
    assert_int_equal(config_load(&c, "/", &errors), -EISDIR);
    buffer_append_byte(&errors, '\0');
    assert_string_equal(errors.data,
                        "/nowhere/p.json: cannot read it: No such file or "
                        "directory\n/: cannot read it: Is a directory\n");
    buffer_fini(&errors);
}

static void a_huge_file_is_not_read_on(void **state)
{
    struct buffer errors = {0}, expected = {0};
    struct config *c = NULL;

    write_file("p.json", "", 0);
    assert_int_equal(truncate(file, CONFIG_BYTES_MAX + 1), 0);
    assert_int_equal(load(&c, &errors), -EFBIG);
    buffer_printf(&expected, "%s: larger than 16 MiB, which no config file is"
                  "\n", file);
    buffer_append_byte(&expected, '\0');
    assert_string_equal(errors.data, expected.data);
    buffer_fini(&errors);
    buffer_fini(&expected);
}

/* Any beginning of a good file is a bad one, and is told without a crash. */
static void a_file_cut_anywhere_is_refused(void **state)
{
    static const char text[] =
        ROUTE("\"path\": \"/q/{s}\", \"source\": {\"sse\": \"app/{s}\", "
              "\"backoff\": {\"min\": \"1s\"}}, \"transports\": [\"sse\"] /* x "
              "*/");

    config_unref(&(struct config *){good(text)});
    for (size_t len = 0; len < strlen(text); len++) {
        struct buffer errors = {0};
        struct config *c = NULL;
        char *copy = strndup(text, len);

        assert_int_equal(parse(&c, copy, &errors), -EINVAL);
        assert_true(errors.len > 2);
        free(copy);
        buffer_fini(&errors);
    }
}

/* Memory ------------------------------------------------------------------- */

/* Allocations to go until one fails; negative: none does. */
static long allocations_left = -1;

static bool may_allocate(void)
{
    return allocations_left < 0 || allocations_left-- > 0;
}

/* The linker sends ours here.  jansson's stay: where memory runs out on it, it
 * may blame the text. */
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

void *__wrap_calloc(size_t n, size_t size)
{
    return may_allocate() ? __real_calloc(n, size) : NULL;
}

void *__wrap_realloc(void *p, size_t size)
{
    return may_allocate() ? __real_realloc(p, size) : NULL;
}

char *__wrap_strdup(const char *s)
{
    return may_allocate() ? __real_strdup(s) : NULL;
}

char *__wrap_strndup(const char *s, size_t n)
{
    return may_allocate() ? __real_strndup(s, n) : NULL;
}

/* Parses text with the first, the second... allocation failing, until none
 * does; the result is then rc. */
static void assert_survives(const char *text, int rc)
{
    long n = 0;
    int got;

    do {
        struct buffer errors = {0};
        struct config *c = NULL;
        char copy[1024];

        assert_true(strlen(text) < sizeof(copy));
        strcpy(copy, text);
        allocations_left = n++;
        got = config_parse(&c, "f.json", copy, strlen(copy), &errors);
        if (allocations_left > 0)
            n = -1;
        allocations_left = -1;
        if (got != rc)
            assert_int_equal(got, -ENOMEM);
        config_unref(&c);
        buffer_fini(&errors);
    } while (n >= 0);
    assert_int_equal(got, rc);
}

static void no_allocation_may_fail_unnoticed(void **state)
{
    assert_survives(SOURCE("\"sse\": \"app/{x}\"}, \"origins\": [\"*\"], "
                           "\"transports\": {}"),
                    -EINVAL);
    assert_survives(ROUTE("\"path\": \"/q/{s}\", \"host\": \"h\", "
                          "\"source\": {\"sse\": \"app/{s}\"}, "
                          "\"cors\": {\"origins\": \"*\", \"headers\": "
                          "[\"A\", \"B\"]}, "
                          "\"origins\": \"*\"}, {\"path\": \"/*\", "
                          "\"proxy\": \"api\""),
                    0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broken_file_is_answered_with_what_to_do),
        cmocka_unit_test(all_faults_are_told_at_once_in_the_order_of_lines),
        cmocka_unit_test(a_fault_is_one_line_whatever_the_file_holds),
        cmocka_unit_test(faults_beyond_a_thousand_are_counted),
        cmocka_unit_test(defaults_are_those_of_the_manual),
        cmocka_unit_test(what_is_written_lands_where_it_belongs),
        cmocka_unit_test(cors_takes_three_forms),
        cmocka_unit_test(compress_takes_three_forms),
        cmocka_unit_test(rates_become_intervals),
        cmocka_unit_test(origins_of_cors_may_open_websockets_unless_told),
        cmocka_unit_test(addresses_take_four_forms),
        cmocka_unit_test(backends_take_three_forms),
        cmocka_unit_test(routes_may_stand_before_what_they_name),
        cmocka_unit_test(comments_count_as_space_but_not_in_strings),
        cmocka_unit_test(publish_has_a_long_form),
        cmocka_unit_test(routes_may_share_a_channel),
        cmocka_unit_test(admin_may_leave_loopback_with_a_token),
        cmocka_unit_test(a_reference_keeps_it),
        cmocka_unit_test(a_token_file_stands_beside_and_loses_one_line_end),
        cmocka_unit_test(a_token_file_with_more_than_a_token_is_refused),
        cmocka_unit_test(a_file_that_cannot_be_read_says_so),
        cmocka_unit_test(a_huge_file_is_not_read_on),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
        cmocka_unit_test(no_allocation_may_fail_unnoticed),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
