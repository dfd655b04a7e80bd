"""What must be refused, as bytes: for tests of a whole proxy.

bad_requests(path)  (name, bytes, statuses): answered with one of the statuses,
                    closed, and nothing of it seen by a backend as a request of
                    its own.  Every one is followed by SMUGGLED: a good request
                    that nobody may answer.  Where `name` begins with "body",
                    a head was good: a backend may have seen that, and its part
                    of the connection must be torn down.
bad_answers()       (name, bytes): a backend's answer to a GET, after which it
                    closes; a client gets a 502, or an answer that is seen to be
                    broken, never a good end.
excess_answers()    (name, bytes, status, body): the answer is good, what
                    follows it is not; no client may ever see that.

doc/refused.md has the reasons, tests/unit/http_cases.h the same for the parser
alone."""

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
EXCESS = b"HTTP/1.1 500 Excess\r\nContent-Length: 6\r\n\r\nexcess"
CRLF = b"\r\n"

# $ stands for the path.
START_LINES = [
    ("two spaces before the target", b"GET  $ HTTP/1.1", {400}),
    ("two spaces before the version", b"GET $  HTTP/1.1", {400}),
    ("a space behind the version", b"GET $ HTTP/1.1 ", {400}),
    ("a tab behind the version", b"GET $ HTTP/1.1\t", {400}),
    ("a space before the method", b" GET $ HTTP/1.1", {400}),
    ("a tab before the target", b"GET\t$ HTTP/1.1", {400}),
    ("a tab before the version", b"GET $\tHTTP/1.1", {400}),
    ("a vertical tab for a space", b"GET $\x0bHTTP/1.1", {400}),
    ("a form feed for a space", b"GET $\x0cHTTP/1.1", {400}),
    ("a no-break space for a space", b"GET\xa0$ HTTP/1.1", {400}),
    ("two targets", b"GET $ $ HTTP/1.1", {400}),
    ("a method alone", b"GET", {400}),
    ("no target", b"GET HTTP/1.1", {400}),
    ("an empty target", b"GET  HTTP/1.1", {400}),
    ("a method with a bad octet", b"G@T $ HTTP/1.1", {400, 501}),
    ("a method with NUL", b"GET\0 $ HTTP/1.1", {400, 501}),
    ("a lower-case method", b"get $ HTTP/1.1", {400, 501}),
    ("a mixed-case method", b"Get $ HTTP/1.1", {400, 501}),
    ("an unknown method", b"FOO $ HTTP/1.1", {501}),
    ("a method one letter longer", b"GETS $ HTTP/1.1", {501}),
    ("CONNECT", b"CONNECT a:443 HTTP/1.1", {400, 405, 501}),
    ("CONNECT with a path", b"CONNECT $ HTTP/1.1", {400, 405, 501}),
    ("TRACE", b"TRACE $ HTTP/1.1", {405}),
    ("RTSP's method over HTTP", b"PLAY $ HTTP/1.1", {501}),
    ("asterisk without OPTIONS", b"GET * HTTP/1.1", {400}),
    ("asterisk and more", b"OPTIONS *$ HTTP/1.1", {400}),
    ("a relative target", b"GET x HTTP/1.1", {400}),
    ("a query alone", b"GET ?x HTTP/1.1", {400}),
    ("an authority for a target", b"GET a:80 HTTP/1.1", {400}),
    ("absolute without host", b"GET http:// HTTP/1.1", {400}),
    ("absolute with empty host", b"GET http://$ HTTP/1.1", {400}),
    ("absolute with one slash", b"GET http:/a$ HTTP/1.1", {400}),
    ("absolute with userinfo", b"GET http://u@a$ HTTP/1.1", {400}),
    ("absolute with password", b"GET http://u:p@a$ HTTP/1.1", {400}),
    ("absolute with port 99999", b"GET http://a:99999$ HTTP/1.1", {400}),
    ("absolute with port x", b"GET http://a:x$ HTTP/1.1", {400}),
    ("absolute with two ports", b"GET http://a:1:2$ HTTP/1.1", {400}),
    ("absolute with open bracket", b"GET http://[::1$ HTTP/1.1", {400}),
    ("absolute of another scheme", b"GET ftp://a$ HTTP/1.1", {400}),
    ("no version", b"GET $", {400}),
    ("no version but its space", b"GET $ ", {400}),
    ("HTTP/0.9", b"GET $ HTTP/0.9", {400, 505}),
    ("HTTP/2.0", b"GET $ HTTP/2.0", {400, 505}),
    ("HTTP/2", b"GET $ HTTP/2", {400, 505}),
    ("HTTP/3.0", b"GET $ HTTP/3.0", {400, 505}),
    ("HTTP/1.2", b"GET $ HTTP/1.2", {400, 505}),
    ("HTTP/1.9", b"GET $ HTTP/1.9", {400, 505}),
    ("HTTP/1.10", b"GET $ HTTP/1.10", {400, 505}),
    ("HTTP/1.01", b"GET $ HTTP/1.01", {400, 505}),
    ("HTTP/01.1", b"GET $ HTTP/01.1", {400, 505}),
    ("HTTP/11", b"GET $ HTTP/11", {400, 505}),
    ("HTTP/1", b"GET $ HTTP/1", {400, 505}),
    ("HTTP/1.", b"GET $ HTTP/1.", {400, 505}),
    ("HTTP/.1", b"GET $ HTTP/.1", {400, 505}),
    ("HTTP/1,1", b"GET $ HTTP/1,1", {400, 505}),
    ("HTTP/1.1x", b"GET $ HTTP/1.1x", {400, 505}),
    ("HTTP/-1.1", b"GET $ HTTP/-1.1", {400, 505}),
    ("HTTP / 1.1", b"GET $ HTTP / 1.1", {400, 505}),
    ("http/1.1", b"GET $ http/1.1", {400, 505}),
    ("HTTPS/1.1", b"GET $ HTTPS/1.1", {400, 505}),
    ("Icecast", b"SOURCE $ ICE/1.0", {400, 505}),
    ("RTSP", b"DESCRIBE $ RTSP/1.0", {400, 501, 505}),
    ("RTSP's OPTIONS", b"OPTIONS $ RTSP/1.0", {400, 505}),
]

# Lines of one field (or of several, where it is about their order), with the
# octets as they are; tried in every place, and their names in every case.
FIELD_LINES = [
    ("bare LF", b"X: a\nY: b", {400}),
    ("bare CR", b"X: a\rY: b", {400}),
    ("bare CR that hides a coding", b"X:\rTransfer-Encoding: chunked", {400}),
    ("CR CR LF", b"X: a\r", {400}),
    ("NUL in a value", b"X: a\0b", {400}),
    ("NUL for a value", b"X: \0", {400}),
    ("SOH in a value", b"X: a\x01b", {400}),
    ("vertical tab in a value", b"X: a\x0bb", {400}),
    ("escape in a value", b"X: a\x1bb", {400}),
    ("DEL in a value", b"X: a\x7fb", {400}),
    ("NUL in a name", b"X\0Y: a", {400}),
    ("SOH in a name", b"X\x01: a", {400}),
    ("DEL in a name", b"X\x7f: a", {400}),
    ("UTF-8 in a name", b"X\xc3\xa4: a", {400}),
    ("a space in a name", b"X Y: a", {400}),
    ("a slash in a name", b"X/Y: a", {400}),
    ("an at sign in a name", b"X@Y: a", {400}),
    ("brackets around a name", b"[X]: a", {400}),
    ("braces around a name", b"{X}: a", {400}),
    ("quotes around a name", b'"X": a', {400}),
    ("a comma in a name", b"X,Y: a", {400}),
    ("an equals sign for a colon", b"X=a", {400}),
    ("a line without colon", b"X", {400}),
    ("a line of one space", b" ", {400}),
    ("a line of one tab", b"\t", {400}),
    ("an empty name", b": a", {400}),
    ("a colon alone", b":", {400}),
    ("a space before the colon", b"X : a", {400}),
    ("a tab before the colon", b"X\t: a", {400}),
    ("a line folded by a space", b"X: b\r\n c", {400}),
    ("a line folded by a tab", b"X: b\r\n\tc", {400}),
    ("a fold with nothing in it", b"X: b\r\n ", {400}),
    ("a length folded into another field",
     b"X: a\r\n Content-Length: 5", {400}),
    ("a second Host, equal", b"Host: a", {400}),
    ("a second Host", b"Host: b", {400}),
    ("a second Host, empty", b"Host:", {400}),
    ("a second Host, bad", b"Host: a b@c", {400}),
    ("a space before Host's colon", b"Host : a", {400}),
    ("Content-Length twice, equal",
     b"Content-Length: 5\r\nContent-Length: 5", {400}),
    ("Content-Length twice, different",
     b"Content-Length: 5\r\nContent-Length: 6", {400}),
    ("Content-Length twice, apart",
     b"Content-Length: 5\r\nX: y\r\nContent-Length: 0", {400}),
    ("a fold for Content-Length", b"Content-Length:\r\n 5", {400}),
    ("a space before Content-Length's colon", b"Content-Length : 5", {400}),
    ("a tab before Content-Length's colon", b"Content-Length\t: 5", {400}),
    ("both, length first",
     b"Content-Length: 5\r\nTransfer-Encoding: chunked", {400}),
    ("both, coding first",
     b"Transfer-Encoding: chunked\r\nContent-Length: 5", {400}),
    ("both, apart",
     b"Transfer-Encoding: chunked\r\nX: y\r\nContent-Length: 0", {400}),
    ("both, unknown coding",
     b"Content-Length: 0\r\nTransfer-Encoding: gzip", {400, 501}),
    ("both, empty coding", b"Content-Length: 5\r\nTransfer-Encoding:", {400}),
    ("chunked in two lines",
     b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", {400}),
    ("identity, then chunked",
     b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", {400, 501}),
    ("chunked, then identity",
     b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", {400, 501}),
    ("gzip, then chunked",
     b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", {400, 501}),
    ("a fold for Transfer-Encoding", b"Transfer-Encoding:\r\n chunked", {400}),
    ("a space before Transfer-Encoding's colon",
     b"Transfer-Encoding : chunked", {400}),
    ("a tab before Transfer-Encoding's colon",
     b"Transfer-Encoding\t: chunked", {400}),
    ("a space for the hyphen", b"Transfer Encoding: chunked", {400}),
]

# Values that are tried with white space around them as well.
VALUES = {
    b"Content-Length": [
        (b"", {400}), (b"+5", {400}), (b"-5", {400}), (b"-0", {400}),
        (b"5,5", {400}), (b"5, 5", {400}), (b"5,6", {400}), (b",5", {400}),
        (b"5,", {400}), (b"5 6", {400}), (b"5\t6", {400}), (b"0x5", {400}),
        (b"0X5", {400}), (b"5h", {400}), (b"5.0", {400}), (b"5_0", {400}),
        (b"5e0", {400}), (b"5;a", {400}), (b'"5"', {400}), (b"x", {400}),
        (b"5\0", {400}), (b"5\x0b", {400}), (b"5\xa0", {400}),
        (b"\xd9\xa5", {400}), (b"9223372036854775808", {400, 413}),
        (b"18446744073709551615", {400, 413}),
        (b"18446744073709551616", {400, 413}),
        (b"18446744073709551621", {400, 413}), (b"9" * 40, {400, 413}),
    ],
    b"Transfer-Encoding": [
        (b"", {400, 501}), (b",", {400, 501}), (b",chunked", {400, 501}),
        (b", chunked", {400, 501}), (b"chunked,", {400, 501}),
        (b"chunked, chunked", {400}), (b"chunked,chunked", {400}),
        (b"identity", {400, 501}), (b"identity, chunked", {400, 501}),
        (b"chunked, identity", {400, 501}), (b"chunked identity", {400, 501}),
        (b"identity chunked", {400, 501}), (b"gzip", {400, 501}),
        (b"gzip, chunked", {400, 501}), (b"chunked, gzip", {400, 501}),
        (b"xchunked", {400, 501}), (b"chunkedx", {400, 501}),
        (b"x-chunked", {400, 501}), (b"chunked;x", {400, 501}),
        (b"chunked;a=b", {400, 501}), (b"chunked; a=b", {400, 501}),
        (b'"chunked"', {400, 501}), (b"'chunked'", {400, 501}),
        (b"(chunked)", {400, 501}), (b"chunked\x0b", {400}),
        (b"\x0bchunked", {400}), (b"chunked\x0c", {400}),
        (b"chunked\0", {400}), (b"chu\0nked", {400}),
        (b"chunked\xa0", {400, 501}), (b"ch\xc3\xbcnked", {400, 501}),
        (b"chunk", {400, 501}), (b"c", {400, 501}), (b"0", {400, 501}),
    ],
    b"Expect": [
        (b"x", {417}), (b"", {417}), (b"100", {417}), (b"100-continu", {417}),
        (b"200-ok", {417}), (b"100-continue, x", {417}),
        (b"100-continue;a=b", {417}), (b"x, 100-continue", {417}),
    ],
}

HOSTS = [
    b"", b"a b", b"a\tb", b"a@b", b"@a", b"u:p@a", b"a b@c",
    b"a,b", b"a, b", b"a/", b"/a", b"a/b", b"a?b", b"a#b", b"a\\b", b"a:x",
    b"a:-1", b"a:+80", b"a:0x50", b"a:65536", b"a:99999", b"a:9999999999999",
    b"a: 80", b"a :80", b"a:8 0", b"a:80:1", b"a:80, b", b":80", b":",
    b"::1", b"[::1", b"::1]", b"[]", b"[g::]", b"[:::1]", b"[::1]x",
    b"[::1]:x", b"[::1]:65536", b"[1.2.3.4]", b"[::1%25lo]", b"http://a",
    b"\x80", b"\xc3\xa4", b"a\0b", b"a\x01b", b"a\x7fb", b'a"b', b"a<b",
    b"a{b}", b"a;b", b"*",
]

TARGET_OCTETS = [*range(0x00, 0x09), *range(0x0b, 0x0d), *range(0x0e, 0x20),
                 *b'"#<>\\^`{|}', 0x7f, 0x80, 0xa0, 0xc3, 0xff]

QUERY_OCTETS = b"\\^`{|}"  # browsers send them: they are good in a query

# What stands where chunks should; each is followed by SMUGGLED.
CHUNKS = [
    ("size 0x5", b"0x5\r\nhello\r\n0\r\n\r\n", {400}),
    ("size 0X5", b"0X5\r\nhello\r\n0\r\n\r\n", {400}),
    ("size x5", b"x5\r\nhello\r\n0\r\n\r\n", {400}),
    ("a space behind a size", b"5 \r\nhello\r\n0\r\n\r\n", {400}),
    ("a tab behind a size", b"5\t\r\nhello\r\n0\r\n\r\n", {400}),
    ("a space before a size", b" 5\r\nhello\r\n0\r\n\r\n", {400}),
    ("a tab before a size", b"\t5\r\nhello\r\n0\r\n\r\n", {400}),
    ("a space in a size", b"0 5\r\nhello\r\n0\r\n\r\n", {400}),
    ("size -5", b"-5\r\nhello\r\n0\r\n\r\n", {400}),
    ("size +5", b"+5\r\nhello\r\n0\r\n\r\n", {400}),
    ("size -0", b"-0\r\n\r\n", {400}),
    ("size 0_5", b"0_5\r\nhello\r\n0\r\n\r\n", {400}),
    ("size 5_0", b"5_0\r\nhello\r\n0\r\n\r\n", {400}),
    ("size 5.0", b"5.0\r\nhello\r\n0\r\n\r\n", {400}),
    ("size 5h", b"5h\r\nhello\r\n0\r\n\r\n", {400}),
    ("size g", b"g\r\nhello\r\n0\r\n\r\n", {400}),
    ("an empty size", b"\r\nhello\r\n0\r\n\r\n", {400}),
    ("an extension for a size", b";a\r\nhello\r\n0\r\n\r\n", {400}),
    ("size with NUL", b"5\0\r\nhello\r\n0\r\n\r\n", {400}),
    ("size with VT", b"5\x0b\r\nhello\r\n0\r\n\r\n", {400}),
    ("17 digits", b"00000000000000005\r\nhello\r\n0\r\n\r\n", {400}),
    ("17 digits that wrap", b"10000000000000005\r\nhello\r\n0\r\n\r\n",
     {400, 413}),
    ("17 digits of the last chunk", b"00000000000000000\r\n\r\n", {400}),
    ("ffffffffffffffff", b"ffffffffffffffff\r\nhello", {400, 413}),
    ("8000000000000000", b"8000000000000000\r\nhello", {400, 413}),
    ("fffffffffffffffff", b"fffffffffffffffff\r\nhello", {400, 413}),
    ("LF behind a size", b"5\nhello\r\n0\r\n\r\n", {400}),
    ("CR behind a size", b"5\rhello\r\n0\r\n\r\n", {400}),
    ("CR and X behind a size", b"5\rXhello\r\n0\r\n\r\n", {400}),
    ("CR CR behind a size", b"5\r\rhello\r\n0\r\n\r\n", {400}),
    ("CR CR LF behind a size", b"5\r\r\nhello\r\n0\r\n\r\n", {400}),
    ("nothing behind data", b"5\r\nhello0\r\n\r\n", {400}),
    ("XX behind data", b"5\r\nhelloXX0\r\n\r\n", {400}),
    ("LF behind data", b"5\r\nhello\n0\r\n\r\n", {400}),
    ("CR X behind data", b"5\r\nhello\rX0\r\n\r\n", {400}),
    ("CR CR behind data", b"5\r\nhello\r\r0\r\n\r\n", {400}),
    ("CRLF twice behind data", b"5\r\nhello\r\n\r\n0\r\n\r\n", {400}),
    ("data too long", b"5\r\nhelloo\r\n0\r\n\r\n", {400}),
    ("data too short", b"5\r\nhell\r\n0\r\n\r\n", {400}),
    ("LF behind an extension", b"5;a\nhello\r\n0\r\n\r\n", {400}),
    ("LF in an extension", b"5;a\nb\r\nhello\r\n0\r\n\r\n", {400}),
    ("CR in an extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n", {400}),
    ("NUL in an extension", b"5;a\0b\r\nhello\r\n0\r\n\r\n", {400}),
    ("an open quote", b'5;a="b\r\nhello\r\n0\r\n\r\n', {400}),
    ("an open escape", b'5;a="b\\\r\nhello\r\n0\r\n\r\n', {400}),
    ("LF in quotes", b'5;a="b\nc"\r\nhello\r\n0\r\n\r\n', {400}),
    ("CRLF in quotes", b'5;a="b\r\nc"\r\nhello\r\n0\r\n\r\n', {400}),
    ("NUL in quotes", b'5;a="\0"\r\nhello\r\n0\r\n\r\n', {400}),
    ("more behind quotes", b'5;a="b"c\r\nhello\r\n0\r\n\r\n', {400}),
    ("quotes in a token", b'5;a=b"c"\r\nhello\r\n0\r\n\r\n', {400}),
    ("an extension without name", b"5;\r\nhello\r\n0\r\n\r\n", {400}),
    ("two without names", b"5;;\r\nhello\r\n0\r\n\r\n", {400}),
    ("3;;;=", b"3;;;=\r\nabc\r\n0\r\n\r\n", {400}),
    ("an extension with a value only", b"5;=b\r\nhello\r\n0\r\n\r\n", {400}),
    ("64 KiB of extension",
     b"5;" + b"a" * 65536 + b"\r\nhello\r\n0\r\n\r\n", {400, 413}),
    ("64 KiB of quoted extension",
     b'5;a="' + b"a" * 65536 + b'"\r\nhello\r\n0\r\n\r\n', {400, 413}),
    ("64 KiB of extensions in small chunks",
     b"".join([b"1;" + b"a" * 1000 + b"\r\nx\r\n"] * 65) + b"0\r\n\r\n",
     {400, 413}),
    ("LF for the last line", b"0\r\n\n", {400}),
    ("LF behind the last size", b"0\n\r\n", {400}),
    ("LF LF at the end", b"0\n\n", {400}),
    ("CR X for the last line", b"0\r\n\rX", {400}),
    ("CR CR for the last line", b"0\r\n\r\r", {400}),
    ("LF behind a trailer", b"0\r\nX: y\n\r\n", {400}),
    ("LF behind trailers", b"0\r\nX: y\r\n\n", {400}),
    ("CR in a trailer", b"0\r\nX: y\rZ: z\r\n\r\n", {400}),
    ("NUL in a trailer", b"0\r\nX: \0\r\n\r\n", {400}),
    ("a trailer without colon", b"0\r\nX\r\n\r\n", {400}),
    ("a trailer without name", b"0\r\n: y\r\n\r\n", {400}),
    ("a space before a trailer's colon", b"0\r\nX : y\r\n\r\n", {400}),
    ("a trailer that begins with a space", b"0\r\n X: y\r\n\r\n", {400}),
    ("a folded trailer", b"0\r\nX: y\r\n z\r\n\r\n", {400}),
    ("a request for a trailer", b"0\r\nGET / HTTP/1.1\r\n\r\n", {400}),
    ("64 KiB of trailers",
     b"0\r\n" + b"X: yyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 2400 + b"\r\n",
     {400, 413, 431}),
]


def cases_of(name):
    """A field name as it is, in lower, upper and swapped case; each once."""
    return list(dict.fromkeys(
        [name, name.lower(), name.upper(), name.swapcase()]))


def lines_of(line):
    """A field line with its (first) name in every case."""
    name, colon, rest = line.partition(b":")
    return [n + colon + rest for n in cases_of(name)]


def placed(line, method=b"POST", path=b"/"):
    """A good request with the line first, between others, and last."""
    fields = [b"Host: a", b"Accept: */*"]
    for i in range(len(fields) + 1):
        lines = fields[:i] + [line] + fields[i:]
        yield (b"%s %s HTTP/1.1\r\n" % (method, path) + CRLF.join(lines)
               + CRLF + CRLF)


def _line_ends(path):
    start = b"GET %s HTTP/1.1" % path
    yield "LF behind the request line", start + b"\nHost: a\r\n\r\n"
    yield "LF only", start + b"\nHost: a\n\n"
    yield "LF behind Host", start + b"\r\nHost: a\n\r\n"
    yield "LF for the blank line", start + b"\r\nHost: a\r\n\n"
    yield "CR behind the request line", start + b"\rHost: a\r\n\r\n"
    yield "CR CR LF behind the request line", start + b"\r\r\nHost: a\r\n\r\n"
    yield "CR for the blank line", start + b"\r\nHost: a\r\n\r"
    yield "CR X for the blank line", start + b"\r\nHost: a\r\n\rX"
    yield "LF CR", start + b"\n\rHost: a\n\r\n\r"
    for n, blank in ((1, b"\n"), (3, b"\n\n\n"), (1, b"\r"), (2, b"\r\n\r\n"),
                     (2, b"\r\n\n"), (1, b" "), (1, b"\0")):
        yield (f"{n} x {blank!r} before the request line",
               blank + start + b"\r\nHost: a\r\n\r\n")
    yield ("a fold for a first line", start + b"\r\n Host: a\r\n\r\n")
    yield ("a tab before a first line", start + b"\r\n\tHost: a\r\n\r\n")
    yield ("a fold and a good Host",
           start + b"\r\n X: y\r\nHost: a\r\n\r\n")
    yield ("a length folded into Host",
           start + b"\r\nHost: a\r\n Content-Length: 5\r\n\r\nhello")
    yield "a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + bytes(90)
    yield "noise", bytes(range(1, 256))


def _hosts(path):
    start = b"GET %s HTTP/1.1\r\n" % path
    yield "no fields at all", start + CRLF
    yield "no Host", start + b"X: y\r\n\r\n"
    yield "no Host, but Hos and Hostt", start + b"Hos: a\r\nHostt: a\r\n\r\n"
    yield ("no Host with an absolute target",
           b"GET http://a%s HTTP/1.1\r\n\r\n" % path)
    yield ("two Hosts in HTTP/1.0",
           b"GET %s HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n" % path)
    for host in HOSTS:
        for name in cases_of(b"Host"):
            yield (f"{name.decode()} {host!r}",
                   start + name + b": " + host + b"\r\n\r\n")
        yield (f"an absolute target and Host {host!r}",
               b"GET http://a%s HTTP/1.1\r\nHost:%s\r\n\r\n" % (path, host))


def _limits(path):
    host = b" HTTP/1.1\r\nHost: a\r\n"
    yield ("a target over 8 KiB",
           b"GET " + path + b"?" + b"a" * 9000 + host + CRLF, {414})
    yield ("a target over 64 KiB",
           b"GET " + path + b"?" + b"a" * 70000 + host + CRLF, {414, 431})
    yield "a target without end", b"GET /" + b"a" * 300000, {414, 431}
    yield "a method without end", b"A" * 70000, {400, 431, 501}
    for n in (101, 1000):
        yield (f"{n} fields", b"GET " + path + host + b"X: y\r\n" * n + CRLF,
               {431})
    yield ("a field of 200 kB",
           b"GET " + path + host + b"X: " + b"y" * 200000 + b"\r\n\r\n", {431})
    yield ("a name of 200 kB",
           b"GET " + path + host + b"X" * 200000 + b": y\r\n\r\n", {431})
    yield ("a head of 20 kB in 20 fields",
           b"GET " + path + host + (b"X: " + b"y" * 1000 + CRLF) * 20 + CRLF,
           {431})


def _targets(path):
    for octet in TARGET_OCTETS:
        for where, target in (("path", b"%s%c" % (path, octet)),
                              ("query", b"%s?a=%cb" % (path, octet)),
                              ("absolute", b"http://a%s%c" % (path, octet)),
                              ("authority", b"http://a%c%s" % (octet, path))):
            if where == "query" and octet in QUERY_OCTETS:
                continue
            yield (f"octet 0x{octet:02x} in a target's {where}",
                   b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")


def _values(path):
    for name, values in VALUES.items():
        for value, statuses in values:
            for line in dict.fromkeys(
                    name + b":" + before + value + after
                    for before in (b"", b" ", b"\t", b" \t ")
                    for after in (b"", b" ", b"\t")):
                for i, head in enumerate(placed(line, path=path)):
                    yield f"{line!r} in place {i}", head, statuses
            for n in cases_of(name)[1:]:
                line = n + b": " + value
                for i, head in enumerate(placed(line, path=path)):
                    yield f"{line!r} in place {i}", head, statuses


def _lines(path):
    for name, line, statuses in FIELD_LINES:
        for variant in lines_of(line):
            for i, head in enumerate(placed(variant, path=path)):
                yield f"{name} ({variant!r}) in place {i}", head, statuses


def _old_codings(path):
    for line in (b"Transfer-Encoding: chunked", b"transfer-encoding:chunked",
                 b"TRANSFER-ENCODING: CHUNKED", b"Transfer-Encoding: gzip"):
        for host in (b"", b"Host: a\r\n"):
            yield (f"{line!r} in HTTP/1.0",
                   b"POST %s HTTP/1.0\r\n%s%s\r\n\r\n0\r\n\r\n"
                   % (path, host, line), {400, 501})


def _chunks(path):
    head = (b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            % path)
    for name, chunks, statuses in CHUNKS:
        yield f"body: {name}", head + chunks, statuses
        if len(chunks) < 1000:
            yield (f"body: {name}, after good chunks",
                   head + b"3;a=b\r\nabc\r\nA\r\n0123456789\r\n" + chunks,
                   statuses)


def bad_requests(path="/"):
    """The whole list; path is one that a route serves, for GET and POST."""
    path = path.encode()
    found = [(n, b, {400}) for n, b in _line_ends(path)]
    for name, line, statuses in START_LINES:
        line = line.replace(b"$", path)
        found.append((name, line + b"\r\nHost: a\r\n\r\n", statuses))
        found.append((f"{name}, and a body",
                      line + b"\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
                      statuses))
    found += [(n, b, {400}) for n, b in _targets(path)]
    found += [(n, b, {400}) for n, b in _hosts(path)]
    for more in (_values, _lines, _old_codings, _limits, _chunks):
        found += more(path)
    return [(name, data + SMUGGLED, set(statuses))
            for name, data, statuses in found]


# Heads of answers, each followed by a blank line.
STATUS_LINES = [
    ("LF behind the status line", b"HTTP/1.1 200 OK\nX: y"),
    ("LF behind a status", b"HTTP/1.1 200\nX: y"),
    ("CR behind the status line", b"HTTP/1.1 200 OK\rX: y"),
    ("NUL in a reason", b"HTTP/1.1 200 O\0K"),
    ("SOH in a reason", b"HTTP/1.1 200 O\x01K"),
    ("DEL in a reason", b"HTTP/1.1 200 O\x7fK"),
    ("status 000", b"HTTP/1.1 000 OK"),
    ("status 099", b"HTTP/1.1 099 OK"),
    ("status 99", b"HTTP/1.1 99 OK"),
    ("status 0200", b"HTTP/1.1 0200 OK"),
    ("status 2000", b"HTTP/1.1 2000 OK"),
    ("status 600", b"HTTP/1.1 600 OK"),
    ("status 999", b"HTTP/1.1 999 OK"),
    ("status 2x0", b"HTTP/1.1 2x0 OK"),
    ("status -20", b"HTTP/1.1 -20 OK"),
    ("status +20", b"HTTP/1.1 +20 OK"),
    ("no status", b"HTTP/1.1 OK"),
    ("a version alone", b"HTTP/1.1"),
    ("two spaces before the status", b"HTTP/1.1  200 OK"),
    ("a tab before the status", b"HTTP/1.1\t200 OK"),
    ("a tab behind the status", b"HTTP/1.1 200\tOK"),
    ("a space before the version", b" HTTP/1.1 200 OK"),
    ("HTTP/0.9", b"HTTP/0.9 200 OK"),
    ("HTTP/2.0", b"HTTP/2.0 200 OK"),
    ("HTTP/2", b"HTTP/2 200 OK"),
    ("HTTP/1.2", b"HTTP/1.2 200 OK"),
    ("HTTP/1.10", b"HTTP/1.10 200 OK"),
    ("HTTP/1", b"HTTP/1 200 OK"),
    ("http/1.1", b"http/1.1 200 OK"),
    ("Icecast", b"ICY 200 OK"),
    ("RTSP", b"RTSP/1.0 200 OK"),
    ("no head", b"<html>hello</html>"),
    ("a request", b"GET / HTTP/1.1\r\nHost: a"),
    ("a fold for a first line", b"HTTP/1.1 200 OK\r\n X: y"),
    ("a blank line before", b"\r\nHTTP/1.1 200 OK"),
    ("LF before", b"\nHTTP/1.1 200 OK"),
    ("LF for the blank line", b"HTTP/1.1 200 OK\r\nX: y\r\n\n"),
    ("CR X for the blank line", b"HTTP/1.1 200 OK\r\nX: y\r\n\rX"),
    ("chunked in HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked"),
    ("chunked 204", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked"),
    ("chunked 100", b"HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked"),
    ("100 with a length", b"HTTP/1.1 100 Continue\r\nContent-Length: 5"),
    ("103 with a length", b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5"),
    ("102 with length 0", b"HTTP/1.1 102 Processing\r\nContent-Length: 0"),
    ("a bare 101", b"HTTP/1.1 101 Switching Protocols"),
    ("101 that nobody asked for",
     b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
     b"Upgrade: websocket"),
    ("101 with a length",
     b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
     b"Upgrade: websocket\r\nContent-Length: 5"),
    ("a head over the limit", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200000),
    ("a status line over the limit", b"HTTP/1.1 200 " + b"y" * 200000),
    ("1,000 fields", b"HTTP/1.1 200 OK" + b"\r\nX: y" * 1000),
]


def _answered(line):
    fields = [b"Content-Type: text/plain", b"X: y"]
    for i in range(len(fields) + 1):
        yield (b"HTTP/1.1 200 OK\r\n"
               + CRLF.join(fields[:i] + [line] + fields[i:]) + CRLF + CRLF
               + b"5\r\nhello\r\n0\r\n\r\n")


def _of_answers(name):
    """Host and Expect mean nothing in an answer."""
    return "Host" not in name or "folded" in name or "colon" in name


def _answer_fields():
    for name, line, _ in FIELD_LINES:
        if _of_answers(name):
            for variant in lines_of(line):
                for i, answer in enumerate(_answered(variant)):
                    yield f"{name} ({variant!r}) in place {i}", answer
    for name in (b"Content-Length", b"Transfer-Encoding"):
        for value, _ in VALUES[name]:
            for variant in lines_of(name + b": " + value):
                for i, answer in enumerate(_answered(variant)):
                    yield f"{variant!r} in place {i}", answer


def _cut_answers():
    """Whole but for their ends, which the closing backend cuts off."""
    length = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    chunked = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
               b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n")
    for kind, whole in (("length", length), ("chunks", chunked)):
        for n in range(len(whole)):
            yield f"an answer with {kind}, cut off at {n}", whole[:n]
    yield ("100 and no answer", b"HTTP/1.1 100 Continue\r\n\r\n")


def bad_answers():
    """The whole list."""
    found = [(n, line + CRLF + CRLF + b"hello") for n, line in STATUS_LINES]
    found += [(f"{n}, after 103", b"HTTP/1.1 103 Early Hints\r\n\r\n" + b)
              for n, b in found]
    found += _answer_fields()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for name, chunks, _ in CHUNKS:
        found.append((f"body: {name}", head + chunks + EXCESS))
        found.append((f"body: {name}, after a good chunk",
                      head + b"3\r\nabc\r\n" + chunks + EXCESS))
    found += _cut_answers()
    return found


def excess_answers():
    """The whole list."""
    ok = b"HTTP/1.1 200 OK\r\n"
    length = ok + b"Content-Length: 2\r\n\r\nhi"
    chunked = ok + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    found = []
    for kind, excess in (("a second answer", EXCESS), ("noise", b"\0noise"),
                         ("a blank line", CRLF), ("LF", b"\n")):
        found += [
            (f"{kind} after a length", length + excess, 200, b"hi"),
            (f"{kind} after length 0",
             ok + b"Content-Length: 0\r\n\r\n" + excess, 200, b""),
            (f"{kind} after chunks", chunked + excess, 200, b"hi"),
            (f"{kind} after 204", b"HTTP/1.1 204 No Content\r\n\r\n" + excess,
             204, b""),
            (f"{kind} after 204 with its length",
             b"HTTP/1.1 204 No Content\r\nContent-Length: %d\r\n\r\n"
             % len(excess) + excess, 204, b""),
            (f"{kind} after 304",
             b"HTTP/1.1 304 Not Modified\r\nContent-Length: %d\r\n\r\n"
             % len(excess) + excess, 304, b""),
        ]
    return found
