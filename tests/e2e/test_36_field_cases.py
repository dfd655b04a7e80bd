"""What people who run streams behind proxies met in the field, each with an
input that shows the kind of fault.  The case's name stands in a comment where
several tests are about one; other cases are in the files of their subject."""

import hashlib
import hmac
import json
import re
import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed

import load
import raw
from backend import Feed
from clients import TRANSPORTS, SseClient, WsClient, next_cursor, reader
from raw import wait_for

ALL = ["poll", "longpoll", "sse", "websocket"]
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
SSE = {"Accept": "text/event-stream"}
every_transport = pytest.mark.parametrize("transport", TRANSPORTS)
ends = pytest.mark.parametrize("end", ["close", "rst"])


def news(limits=None, **keys):
    return {"routes": [{"path": "/news", "source": "publish",
                        "transports": ALL, **keys}],
            **({"limits": limits} if limits else {})}


def quotes(b, kind="sse", limits=None, **source):
    """A source that reads from b, and the rest passed on to it."""
    return {
        "backends": {"app": {"servers": [b.url], "response_timeout": "1s"}},
        "routes": [{"path": "/quotes", "transports": ALL,
                    "source": {kind: "app/stream",
                               "backoff": {"min": "20ms", "max": "100ms"},
                               **source}},
                   {"path": "/*", "proxy": "app"}],
        **({"limits": limits} if limits else {}),
    }


def data_of(messages):
    return [data for _, _, data in messages]


def ws_headers(**changes):
    headers = {"Connection": "Upgrade", "Upgrade": "websocket",
               "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13"}
    headers.update({k.replace("_", "-"): v for k, v in changes.items()})
    return [(n, x) for n, v in headers.items() if v is not None
            for x in ([v] if isinstance(v, str) else v)]


def masked(opcode, payload=b""):
    """A client's frame; the mask is zeros."""
    assert len(payload) < 126
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + bytes(4) + payload


def open_websocket(server, path="/news"):
    c = server.client()
    c.send_request("GET", path, ws_headers())
    assert c.head().status == 101
    return c


# --- streams that are silent, and hops that hold them back -------------------

KINDS = {
    "sse": ("Text/Event-Stream;charset=UTF-8", b"data: 12345\n\n"),
    "ndjson": ("APPLICATION/X-NDJSON; charset=utf-8", b"12345\n"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_silent_stream_is_there_at_once_and_so_is_its_message(
        penstock, backend, kind):
    type_, said = KINDS[kind]
    go = threading.Event()

    def handler(request, conn):
        conn.start_chunked(200, {"Content-Type": type_})
        assert go.wait(10)
        conn.chunk(said)
        wait_for(conn.gone)
    server = penstock(quotes(backend(handler), kind))
    start = time.monotonic()
    with SseClient(server, "/quotes").connect() as r, \
            server.client() as c:
        r.wait_comments(1)
        c.send_request("GET", "/passed")
        answer = c.head()
        assert time.monotonic() - start < 0.5
        assert answer.headers["Content-Type"] == type_
        time.sleep(0.2)
        start = time.monotonic()
        go.set()
        assert answer.body.some(c.deadline()) == said
        assert data_of(r.read(1)) == ["12345"]
        assert time.monotonic() - start < 0.3


SHORT = {"head_timeout": "300ms", "idle_timeout": "300ms",
         "write_timeout": "300ms"}


@every_transport
def test_no_timer_counts_the_length_of_a_stream(penstock, transport):
    server = penstock(news(SHORT))
    with reader(transport, server, "/news").connect() as r:
        for n in range(12):
            server.publish("news", str(n))
            assert data_of(r.read(1)) == [str(n)]
            time.sleep(0.1)


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_follower_may_be_silent_for_longer_than_any_timer(penstock, transport):
    server = penstock(news(SHORT, heartbeat="1h"))
    with reader(transport, server, "/news").connect() as r:
        assert r.nothing(1.5)
        server.publish("news", "x")
        assert data_of(r.read(1)) == ["x"]


@pytest.mark.parametrize("silent", [False, True])
def test_no_timer_counts_the_length_of_a_passed_stream(penstock, backend, silent):
    def handler(request, conn):
        conn.start_chunked(200, {"Content-Type": "text/event-stream"})
        for n in range(15):
            time.sleep(0.1)
            if not silent:
                conn.chunk(f"data: {n}\n\n")
        conn.chunk("data: end\n\n")
        conn.end_chunks()
    server = penstock(quotes(backend(handler), limits=SHORT))
    answer = server.get("/passed")
    assert answer.content.endswith(b"data: end\n\n")


def test_no_timer_counts_the_length_of_a_passed_websocket(penstock, backend):
    def handler(request, conn):
        conn.head(101, {"Connection": "Upgrade", "Upgrade": "websocket",
                        "Sec-WebSocket-Accept": ACCEPT})
        time.sleep(1.5)
        conn.send(b"\x81\x01x")
        wait_for(conn.gone)
    server = penstock(quotes(backend(handler), limits=SHORT))
    with open_websocket(server, "/passed") as c:
        assert c.stream.read_exactly(3, c.deadline()) == b"\x81\x01x"


def test_comments_of_the_upstream_are_life_and_no_messages(penstock, backend):
    def handler(request, conn):
        conn.start_chunked(200, {"Content-Type": "text/event-stream"})
        for _ in range(15):
            conn.chunk(":thump\n")
            time.sleep(0.1)
        conn.chunk("data: x\n\n")
        wait_for(conn.gone)
    b = backend(handler)
    server = penstock(quotes(b, idle_timeout="400ms"))
    with SseClient(server, "/quotes").connect() as r:
        assert data_of(r.read(1)) == ["x"]
        assert len(b.requests) == 1
        assert "thump" not in r.comments
        wait_for(lambda: len(b.requests) == 2)  # and silence is not


# --- streams that break off, and records that are not one to a read -----------

@pytest.mark.parametrize("end", ["end", "fin", "rst"])
@pytest.mark.parametrize("half", ["data: half", "data: half\n",
                                  "data: half\r"])
def test_half_an_event_leaves_nothing_for_the_next_stream(
        penstock, backend, half, end):
    """Neither its data nor its type or id; and a byte order mark may stand in
    front of the next one as well."""
    def handler(request, conn):
        conn.start_chunked(200, {"Content-Type": "text/event-stream"})
        if len(b.requests) == 1:
            conn.chunk("\ufeffid: 4\ndata: whole\n\n"
                       f"id: 5\nevent: bill\n{half}")
            if end == "end":
                conn.end_chunks()
            else:
                # What it has sent is read first: a reset may overtake it.
                wait_for(lambda: server.channel("quotes")["messages"] == 1)
                conn.close() if end == "fin" else conn.rst()
        else:
            conn.chunk("\ufeffdata: fresh\n\n")
            conn.read_request()
    b = backend(handler)
    server = penstock(quotes(b))
    with SseClient(server, "/quotes").connect("oldest") as r:
        assert [m[1:] for m in r.read(2)] == [("message", "whole"),
                                              ("message", "fresh")]
    assert b.requests[1].headers["Last-Event-ID"] == "4"


JSON_STREAMS = {  # what comes, then the end: the messages; how many are refused
    '{"n":1}': (['{"n":1}'], 0),
    '\n\r\n{"n":2}\r\n': (['{"n":2}'], 0),
    '{"n":3}{"n":4}\n': (['{"n":3}', '{"n":4}'], 0),
    '{"n":5\n{"n":6}\n': (['{"n":6}'], 1),
    '{"s":"}{"}{"t":"\\"}"}[1][]': (['{"s":"}{"}', '{"t":"\\"}"}', "[1]",
                                     "[]"], 0),
    '{"n":7}\n{"n":': (['{"n":7}'], 1),
    "null": (["null"], 0),
}


@pytest.mark.parametrize("step", [1, 5, 1000])
def test_json_is_not_one_value_to_a_read(penstock, backend, step):
    """A route for each stream; it ends once and then is silent."""
    texts = list(JSON_STREAMS)
    asked = set()

    def handler(request, conn):
        n = int(request.target.rpartition("/")[2])
        conn.start_chunked(200, {"Content-Type": "application/json"})
        if n in asked:
            return conn.read_request()
        asked.add(n)
        for at in range(0, len(texts[n]), step):
            conn.chunk(texts[n][at:at + step])
        conn.end_chunks()
    b = backend(handler)
    server = penstock({"backends": {"app": b.url}, "routes": [
        {"path": "/j/{n}", "source": {"ndjson": "app/j/{n}",
                                      "backoff": {"min": "10ms"}}}]})
    refused = 0
    for n, text in enumerate(texts):
        want, bad = JSON_STREAMS[text]
        refused += bad
        with SseClient(server, f"/j/{n}").connect("oldest") as r:
            assert data_of(r.read(len(want))) == want, text
            server.wait_for(lambda: len([q for q in b.requests if q.target ==
                                         f"/j/{n}"]) == 2)
            assert server.channel(f"j/{n}")["messages"] == len(want), text
        assert server.metric("source_refused_total") == refused, text


# --- an upstream that is down, or says something else ------------------------

def test_readers_stay_while_the_upstream_is_down(penstock, backend):
    """A browser gives up for good at anything that is not a 200 stream."""
    b = backend(Feed().sse)
    b.kill()
    server = penstock(quotes(b))
    with SseClient(server, "/quotes").connect() as r:
        r.wait_comments(1)
        assert r.response.status == 200 and r.parser.retry_ms > 0
        with WsClient(server, "/quotes").connect() as ws:
            assert ws.nothing() and r.nothing()


ANSWERS = {
    "plain": (200, b"", {"Content-Type": "text/plain"}),
    "page": (200, b"<html>data: no\n\n</html>", {"Content-Type": "text/html"}),
    "503": (503, b"data: no\n\n", {"Content-Type": "text/event-stream"}),
    "404": (404, b"data: no\n\n", {"Content-Type": "text/event-stream"}),
    "br": (200, b"data: no\n\n",
           {"Content-Type": "text/event-stream", "Content-Encoding": "br"}),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_what_is_no_stream_is_asked_again_and_never_read(penstock, backend,
                                                         answer):
    feed, answers = Feed(), [answer] * 3

    def handler(request, conn):
        if answers:
            conn.respond(*answers.pop())
        else:
            feed.sse(request, conn)
    b = backend(handler)
    server = penstock(quotes(b))
    with SseClient(server, "/quotes").connect() as r:
        feed.add("yes")
        assert data_of(r.read(1)) == ["yes"]
    assert len(b.requests) == 4
    assert {x.headers.get("Accept-Encoding") for x in b.requests} == {"identity"}


def test_204_of_the_upstream_is_the_end_of_asking(penstock, backend):
    """The stream ends as it should, and whoever resumes it is told by 204 not
    to come back; a client that is new has the backend asked again."""
    feed = Feed()

    def handler(request, conn):
        if request.headers.get("Last-Event-ID") == "3" or len(b.requests) > 1:
            conn.respond(204)
        else:
            feed.sse(request, conn)
    b = backend(handler)
    server = penstock(quotes(b))
    with SseClient(server, "/quotes").connect() as r:
        for n in range(3):
            feed.add(str(n))
        assert data_of(r.read(3)) == ["0", "1", "2"]
        feed.end()
        with pytest.raises(raw.Closed):
            r.read(1)
        last = r.cursor
    wait_for(lambda: server.log_lines("reader.close", "reason=channel-over"))
    asked = len(b.requests)
    assert asked == 2
    with SseClient(server, "/quotes").connect(last, expect=204):
        pass
    assert len(b.requests) == asked
    with WsClient(server, "/quotes").connect() as w:
        assert w.wait_closed() == 1000
    wait_for(lambda: len(b.requests) == asked + 1)
    with SseClient(server, "/quotes").connect("oldest") as r:
        assert data_of(r.read(3)) == ["0", "1", "2"], "what is kept is there"


def test_a_channel_that_is_over_begins_again_with_its_next_message(
        penstock, backend):
    b = backend(lambda request, conn: conn.respond(204))
    server = penstock(quotes(b))
    with SseClient(server, "/quotes").connect() as r:
        with pytest.raises(raw.Closed):
            r.read(1)
        begin = r.parser.last_id
    server.publish("quotes", "more")
    with SseClient(server, "/quotes").connect(begin) as r:
        assert data_of(r.read(1)) == ["more"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_a_stranger_leads_nowhere(penstock, backend, status):
    """Followed blindly it would take what was meant for one server to another;
    the URL of the config is asked again."""
    other, feed, asked = backend(), Feed(), []

    def handler(request, conn):
        asked.append(request.target)
        if len(asked) > 2:
            feed.sse(request, conn)
        else:
            conn.respond(status, b"", {"Location": f"{other.url}/s"})
    server = penstock(quotes(backend(handler)))
    feed.add("here")
    with SseClient(server, "/quotes").connect() as r:
        assert data_of(r.read(1)) == ["here"]
    assert asked == ["/stream"] * 3 and not other.requests
    server.wait_for(lambda: server.log_lines("source.failed", "none of its own"))


# --- addresses ---------------------------------------------------------------

@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_name_with_two_addresses_is_tried_at_both(penstock, backend, host):
    """localhost may be ::1 where the backend listens on 127.0.0.1, or the
    other way round; whatever /etc/hosts knows of it."""
    feed = Feed()

    def handler(request, conn):
        if request.target == "/stream":
            feed.sse(request, conn)
        else:
            conn.respond(200, b"found")
    b = backend(handler, host=host)
    config = quotes(b)
    config["backends"]["app"]["servers"] = [f"http://localhost:{b.port}"]
    server = penstock(config)
    assert server.get("/passed").content == b"found"
    with SseClient(server, "/quotes").connect() as r:
        wait_for(lambda: feed.readers == 1)
        feed.add("1")
        assert data_of(r.read(1)) == ["1"]
        b.kill()
        b.restart()  # and the same once more
        wait_for(lambda: len(feed.asked) == 2)
        feed.add("2")
        assert data_of(r.read(1)) == ["2"]


# --- HEAD --------------------------------------------------------------------

HEAD_STATUSES = {"poll": {200}, "sse": {200}, "websocket": {426},
                 "longpoll": {200, 204}}


@every_transport
def test_head_makes_no_reader_and_keeps_the_connection(penstock, transport):
    server = penstock(news(transports=[transport]))
    server.publish("news", "x")
    with server.client() as c:
        for _ in range(3):
            answer = c.request("HEAD", "/news")
            assert answer.status in HEAD_STATUSES[transport]
            assert c.stream.buffer == b""
        assert server.channel("news")["readers"] == 0


def test_head_of_a_source_s_stream_opens_no_source(penstock, backend):
    b = backend(Feed().sse)
    server = penstock(quotes(b))
    assert server.request("HEAD", "/quotes", SSE).status == 200
    time.sleep(0.2)
    assert b.requests == []


# --- clients that go ---------------------------------------------------------

@ends
def test_readers_that_go_are_gone_within_a_second(penstock, backend, end):
    """Found by what the socket says, not by the next write: none comes."""
    feed = Feed()
    b = backend(feed.sse)
    server = penstock(quotes(b, linger="200ms"))
    before = server.open_files()
    clients = []
    for n in range(60):
        for headers in (SSE.items(), ws_headers(), [("Prefer", "wait=25")]):
            c = server.client()
            c.send_request("GET", "/quotes", list(headers))
            clients.append(c)
    wait_for(lambda: (server.channel("quotes") or {}).get("readers") == 180)
    wait_for(lambda: feed.readers == 1)
    for c in clients:
        getattr(c, end)()
    wait_for(lambda: server.channel("quotes")["readers"] == 0, 1)
    wait_for(lambda: feed.readers == 0, 2, "the source's end after its linger")
    wait_for(lambda: server.open_files() <= before, 2)
    assert len(b.connections) == 1


# --- a client that does not read ---------------------------------------------

@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_client_that_does_not_read_is_cut_and_the_others_are_not(
        penstock, transport, monkeypatch):
    # What ASan keeps of freed memory is not what this is about.
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=4")
    total, size = 8000, 2048
    server = penstock(news(history={"messages": 4000}))
    slow = server.client(rcvbuf=4096)
    slow.send_request("GET", "/news",
                      SSE if transport == "sse" else ws_headers())
    slow.head()
    readers = [reader(transport, server, "/news").connect() for _ in range(5)]
    got = [[] for _ in readers]
    threads = [threading.Thread(target=read_all, args=(r, total, into))
               for r, into in zip(readers, got)]
    for t in threads:
        t.start()
    before = server.rss()
    publish_many(server, total, "x" * size)
    for t in threads:
        t.join(60)
    for r, into in zip(readers, got):
        assert r.gaps == 0 and len(into) == total
        r.close()
    # The history, what sockets hold, and the encodings of what is kept.
    # TSan keeps several octets for each.
    if load.sanitizer() != "tsan":
        assert server.rss() - before < 64 << 20
    wait_for(lambda: server.channel("news")["readers"] == 0, 5)
    slow.close()


def read_all(r, total, into):
    while len(into) < total:
        into += data_of(r.read(1, 30))


def publish_many(server, total, filler, piece=500, pause_s=0.05):
    """In pieces that a reader can follow."""
    for first in range(0, total, piece):
        lines = b"".join(b'{"n":%d,"x":"%b"}\n' % (n, filler.encode())
                         for n in range(first, first + piece))
        answer = server.admin("POST", "/channels/news",
                              {"Content-Type": "application/x-ndjson"}, lines)
        assert answer.status == 201
        time.sleep(pause_s)


@pytest.mark.slow
@pytest.mark.parametrize("lag", ["disconnect", "skip", "latest"])
@pytest.mark.parametrize("transport", ["sse", "websocket", "longpoll"])
def test_a_burst_is_had_whole_or_what_is_missing_is_told(penstock, transport,
                                                         lag):
    """A producer that comes back sends what it has at once, faster than anybody
    reads.  Where readers are not told, it is as they were promised: all of it
    with lag disconnect and skip, the newest with latest."""
    total = 50000
    server = penstock(news(lag=lag))
    r = reader(transport, server, "/news").connect()
    server.publish("news", '{"n":-1}')
    r.read(1)  # it has a cursor
    seen, cut = [-1], 0
    publish_many(server, total, "", pause_s=0, piece=total)
    while seen[-1] != total - 1:
        try:
            seen += [number_of(m) for m in r.read(1)]
        except (raw.Closed, ConnectionError, ConnectionClosed):
            cut += 1
            gaps, cursor = r.gaps, r.cursor
            r = reader(transport, server, "/news").connect(cursor)
            r.gaps += gaps
    r.close()
    assert seen == sorted(set(seen))
    holes = sum(b != a + 1 for a, b in zip(seen, seen[1:]))
    if lag != "latest" or transport == "longpoll":
        assert holes <= r.gaps
    if lag != "disconnect":
        assert cut == 0


def number_of(message):
    return json.loads(message[2])["n"]


def test_who_was_cut_for_being_slow_resumes(penstock):
    server = penstock(news(history={"messages": 100}))
    with SseClient(server, "/news").connect() as r:
        server.publish("news", "first")
        r.read(1)
        cursor = r.cursor
    for n in range(90):
        server.publish("news", str(n))
    with SseClient(server, "/news").connect(cursor) as r:
        assert len(r.read(90)) == 90 and r.gaps == 0
    for n in range(20):
        server.publish("news", str(n))
    with SseClient(server, "/news").connect(cursor) as r:
        assert len(r.read(100)) == 100 and r.gaps == 1


# --- handshakes --------------------------------------------------------------

GOOD = {
    "keep-alive": {"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket"},
    "two lines": {"Connection": ["keep-alive", "upgrade"]},
    "h2c first": {"Upgrade": "h2c, websocket"},
    "upper case": {"Connection": "UPGRADE", "Upgrade": "WEBSOCKET"},
}
BAD = {
    "another token": {"Connection": "not-upgrade-me"},
    "another protocol": {"Upgrade": "websocket2"},
    "no Connection": {"Connection": None},
    "two versions": {"Sec-WebSocket-Version": ["13", "13"]},
    "a body": {"Content-Length": "1"},
}


@pytest.mark.parametrize("changes", GOOD.values(), ids=GOOD)
def test_a_handshake_is_read_as_lists_without_case(penstock, changes):
    server = penstock(news())
    with server.client() as c:
        c.send_request("GET", "/news", ws_headers(**changes))
        answer = c.head()
        assert answer.status == 101
        assert answer.headers["Sec-WebSocket-Accept"] == ACCEPT


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD)
def test_what_looks_like_a_handshake_is_none(penstock, changes):
    server = penstock(news())
    with server.client() as c:
        c.send_request("GET", "/news", ws_headers(**changes))
        assert c.head().status in (200, 204, 400, 426)


ORIGINS = {
    "foreign": ("https://evil.test", 403), "null": ("null", 403),
    "same": ("http://good.test", 101), "none": (None, 101),
    "same in upper case": ("HTTP://GOOD.TEST", 101),
    "a longer name": ("http://good.test.evil.test", 403),
    "a shorter name": ("http://ood.test", 403),
    "with a port": ("http://good.test:81", 403),
    "userinfo": ("http://good.test@evil.test", 403), "empty": ("", 403),
    "two": (["http://good.test", "http://evil.test"], 403),
}


@pytest.mark.parametrize("case", ORIGINS.values(), ids=ORIGINS)
def test_pages_of_other_origins_may_not_open_a_websocket(penstock, case):
    origin, status = case
    server = penstock(news())
    with server.client() as c:
        c.send_request("GET", "/news", ws_headers(
            Host="good.test", Cookie="session=1", Origin=origin))
        answer = c.head()
        assert answer.status == status
    if status == 403:
        assert server.channel("news") is None or \
            server.channel("news")["readers"] == 0


@pytest.mark.parametrize("origin, status", [
    ("https://app.test", 101), ("https://APP.test", 101),
    ("http://app.test", 403), ("https://app.test.evil", 403),
    ("http://good.test", 101), ("null", 403)])
def test_a_route_names_the_origins_that_may(penstock, origin, status):
    server = penstock(news(origins=["https://app.test"]))
    with server.client() as c:
        c.send_request("GET", "/news", ws_headers(Host="good.test",
                                                  Origin=origin))
        assert c.head().status == status


def test_a_backend_sees_host_and_origin_as_they_were_sent(penstock, backend):
    b = backend(lambda request, conn: conn.respond(403))
    server = penstock(quotes(b))
    server.get("/passed", ws_headers(Host="app.test:81",
                                     Origin="http://app.test:81"))
    headers = b.requests[0].headers
    assert headers["Host"] == "app.test:81"
    assert headers["Origin"] == "http://app.test:81"


# --- the end of a WebSocket --------------------------------------------------

CLOSES = {
    "empty": (b"", {b"", b"\x03\xe8"}),
    "4001": (b"\x0f\xa1x", {b"\x0f\xa1"}),
    "1000": (b"\x03\xe8bye", {b"\x03\xe8"}),
    "1004": (b"\x03\xec", {b"\x03\xea"}),
    "1005": (b"\x03\xed", {b"\x03\xea"}),
    "1006": (b"\x03\xee", {b"\x03\xea"}),
    "1015": (b"\x03\xf7", {b"\x03\xea"}),
    "999": (b"\x03\xe7", {b"\x03\xea"}),
    "one octet": (b"\x03", {b"\x03\xea"}),
    "bad UTF-8": (b"\x03\xe8\xff", {b"\x03\xef"}),
}


@pytest.mark.parametrize("case", CLOSES.values(), ids=CLOSES)
def test_a_close_is_answered_with_a_code_that_may_be_sent(penstock, case):
    body, wanted = case
    with open_websocket(penstock(news())) as c:
        c.send(masked(8, body))
        said = c.read_to_close()
        assert said[0] == 0x88 and said[1] == len(said) - 2
        assert said[2:4] in wanted
        said[4:].decode()


@pytest.mark.parametrize("said", [b"\x88\x00", b"\x88\x03\x0f\xa1x"])
def test_the_backend_s_close_passes_as_it_is(penstock, backend, said):
    def handler(request, conn):
        conn.head(101, {"Connection": "Upgrade", "Upgrade": "websocket",
                        "Sec-WebSocket-Accept": ACCEPT})
        conn.send(said)
        conn.close()
    server = penstock(quotes(backend(handler)))
    with open_websocket(server, "/passed") as c:
        assert c.read_to_close() == said


# --- cursors -----------------------------------------------------------------

def test_messages_of_one_moment_are_told_apart(penstock):
    server = penstock(news())
    answer = server.admin("POST", "/channels/news",
                          {"Content-Type": "application/x-ndjson"}, "1\n2\n3\n")
    assert answer.status == 201
    first = server.get("/news?since=oldest").json()["messages"][0]["id"]
    for target in (f"/news?since={first}", f"/news?since={first}&wait=5"):
        batch = server.get(target).json()
        assert [m["data"] for m in batch["messages"]] == [2, 3]


def test_a_date_alone_loses_nothing(penstock):
    server = penstock(news())
    server.publish("news", "1")
    seen = server.get("/news").headers["Last-Modified"]
    server.publish("news", "2")
    answer = server.get("/news", {"If-Modified-Since": seen})
    assert (answer.status, answer.text) == (200, "2")


def test_two_long_polls_with_one_cursor_both_get_the_message(penstock):
    server = penstock(news())
    cursor = server.publish("news", "1")
    clients = [server.client() for _ in range(2)]
    for c in clients:
        c.send_request("GET", f"/news?wait=20&since={cursor}")
    wait_for(lambda: server.channel("news")["readers"] == 2)
    server.publish("news", "2")
    for c in clients:
        assert [m["data"] for m in c.response().json()["messages"]] == ["2"]
        c.close()


@pytest.mark.parametrize("transport", ["longpoll", "poll"])
def test_a_message_between_two_polls_is_there_at_once(penstock, transport):
    server = penstock(news())
    with reader(transport, server, "/news").connect() as r:
        for n in range(50):
            server.publish("news", str(n))
            start = time.monotonic()
            assert data_of(r.read(1)) == [str(n)]
            assert time.monotonic() - start < 1


@ends
def test_a_message_to_a_client_that_died_is_not_counted_as_had(penstock, end):
    server = penstock(news())
    cursor = server.publish("news", "1")
    for n in range(20):
        with server.client() as c:
            c.send_request("GET", f"/news?wait=20&since={cursor}")
            wait_for(lambda: server.channel("news")["readers"] == 1)
            getattr(c, end)()
            server.publish("news", "next")
        batch = server.get(f"/news?wait=5&since={cursor}").json()
        assert [m["data"] for m in batch["messages"]] == ["next"]
        cursor = batch["next"]
        wait_for(lambda: server.channel("news")["readers"] == 0)


UNKNOWN = ["57", "999999", "zzz", "x" * 4096, "zzzzzzzz-1", "0000000-1",
           "-", "{}", "00000000-99999999999999999999"]


@every_transport
@pytest.mark.parametrize("id", UNKNOWN, ids=range(len(UNKNOWN)))
def test_an_id_that_is_not_known_is_told_so(penstock, transport, id):
    """Never silence, never an error: a mark, and then what follows."""
    server = penstock(news(start="now"))
    server.publish("news", "old")
    if transport in ("sse", "websocket"):
        with reader(transport, server, "/news",
                    headers={"Last-Event-ID": id}).connect() as r:
            server.publish("news", "new")
            assert data_of(r.read_until("new"))[-1] == "new"
            assert r.gaps == 1
        return
    query = "?wait=1" if transport == "longpoll" else ""
    answer = server.get(f"/news{query}", {"Last-Event-ID": id})
    assert answer.status == 200
    assert answer.headers["Penstock-Gap"] == "1"
    assert next_cursor(answer)


@every_transport
def test_an_empty_id_is_none(penstock, transport):
    server = penstock(news())
    server.publish("news", "old")
    with reader(transport, server, "/news",
                headers={"Last-Event-ID": ""}).connect() as r:
        server.publish("news", "new")
        assert data_of(r.read(1)) == ["new"]
        assert r.gaps == 0


@every_transport
def test_the_header_goes_before_the_query(penstock, transport):
    server = penstock(news())
    ids = [server.publish("news", str(n)) for n in range(4)]
    headers = {"Last-Event-ID": ids[2]}
    if transport in ("sse", "websocket"):
        with reader(transport, server, f"/news?since={ids[0]}",
                    headers=headers).connect() as r:
            assert data_of(r.read(1)) == ["3"]
        return
    query = "&wait=5" if transport == "longpoll" else ""
    batch = server.get(f"/news?since={ids[0]}{query}", headers).json()
    assert [m["data"] for m in batch["messages"]] == ["3"]


@every_transport
def test_a_restart_is_told_and_nothing_new_is_missed(penstock, transport):
    """Ids that began again at 1 would hide messages from who holds 480."""
    server = penstock(news())
    cursor = [server.publish("news", str(n)) for n in range(480)][-1]
    server.stop()
    server = penstock(news())
    for n in range(5):
        server.publish("news", f"new {n}")
    with reader(transport, server, "/news").connect(cursor) as r:
        assert data_of(r.read(5)) == [f"new {n}" for n in range(5)]
        assert r.gaps == 1


@pytest.mark.parametrize("query", ["lastEventId=7", "evs_last_event_id=7",
                                   "since", "since=", "since=%00", "x=1&&="])
def test_a_query_that_is_no_cursor_is_none(penstock, query):
    """Older libraries put an id into the query under names of their own."""
    server = penstock(news())
    server.publish("news", "old")
    with SseClient(server, f"/news?{query}").connect() as r:
        server.publish("news", "new")
        assert data_of(r.read_until("new"))[-1] == "new"


# --- paths -------------------------------------------------------------------

def two_backends(first, second):
    return {
        "backends": {"api": first.url, "admin": second.url},
        "routes": [{"path": "/api/*", "proxy": "api"},
                   {"path": "/api/admin/*", "proxy": "admin"},
                   {"path": "/events", "source": "publish",
                    "transports": "sse"}],
    }


@pytest.mark.parametrize("target", [
    "/api/../api/admin/x", "/api/x/../admin/x", "/api/x/..%2fadmin/x",
    "/api/%2e%2e/api/admin/x", "/api/.%2E/api/admin/x", "/api/./admin/x",
    "/api//admin/x", "/api/%61dmin/x", "/api/admin%2fx", "/api/admin/../x",
    "/api/%2e/admin/x", "/api/x/%2e%2e/admin/x"])
def test_a_path_never_reaches_the_backend_of_another_route(
        penstock, backend, target):
    """Whatever way a backend reads it: one that may be read as another
    route's is refused, or goes where its normal form says."""
    api, admin = backend(), backend()
    server = penstock(two_backends(api, admin))
    status = server.get(target).status
    assert status in (200, 400)
    assert all(r.target == target for r in api.requests + admin.requests)
    if status == 200 and api.requests:
        assert "admin" not in resolve(target).split("/")[2:3]


def resolve(target):
    """As a careless backend reads it: decoded, dots and slashes resolved."""
    target = re.sub("%(..)", lambda m: chr(int(m[1], 16)), target)
    parts = []
    for part in target.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts)


@pytest.mark.parametrize("target", ["//events", "/EVENTS", "/events;x=1",
                                    "/events/", "/eventss", "/%65vents%00"])
def test_what_is_not_the_route_s_path_is_not_its(penstock, backend, target):
    server = penstock(two_backends(backend(), backend()))
    assert server.get(target, timeout=2).status in (400, 404)


@pytest.mark.parametrize("target", ["/events", "/events?x=%2f+a", "/%65vents",
                                    "http://h/events", "HTTP://h/events?y"])
def test_what_is_the_route_s_path_is(penstock, backend, target):
    server = penstock(two_backends(backend(), backend()))
    with server.client() as c:
        c.send_request("GET", target)
        answer = c.head()
        assert answer.headers["Content-Type"] == "text/event-stream"


# --- what a publisher may not forge ------------------------------------------

FORGED = ["ok\rdata: forged\r\r", "a\nb\r\nc", "x\n\nevent: admin\ndata: 1",
          "id: 9\nretry: 1\n\n", "\r\n\r\ndata: x", "\0", "\ufeffdata: x",
          "\n\n\n", "e\u2028\u2029\x85f"]


@every_transport
@pytest.mark.parametrize("data", FORGED, ids=range(len(FORGED)))
def test_one_message_in_is_one_message_out(penstock, transport, data):
    server = penstock(news())
    id = server.publish("news", data.encode(), type="text/plain")
    server.publish("news", "end")
    want = data
    if transport == "sse":  # line ends come back as LF
        want = data.replace("\r\n", "\n").replace("\r", "\n")
    with reader(transport, server, "/news").connect("oldest") as r:
        assert r.read(1) == [(id, "message", want)]
        assert data_of(r.read(1)) == ["end"]


@pytest.mark.parametrize("type", [
    "t\rdata: z", "t\ndata: z", "t\0", "t" * 256, "\xff\xfe", "t\x85"])
def test_an_event_type_that_could_forge_is_refused(penstock, type):
    server = penstock(news())
    with raw.Client(server.admin_port) as c:
        c.send(b"POST /channels/news HTTP/1.1\r\nHost: a\r\nPenstock-Event: "
               + type.encode("latin-1") + b"\r\nContent-Length: 1\r\n\r\nx")
        assert c.response().status == 400
    assert server.get("/news").status == 204


def test_a_stream_of_sse_has_no_say_in_our_ids(penstock):
    server = penstock(news())
    said = ("id: forged\ndata: {}\n\n"
            "id: x\ndata: a\rdata: b\r\revent: t\u00e4\ndata: c\n\n")
    answer = server.admin("POST", "/channels/news",
                          {"Content-Type": "text/event-stream"}, said.encode())
    assert answer.status == 201
    with SseClient(server, "/news").connect("oldest") as r:
        assert data_of(r.read(3)) == ["{}", "a\nb", "c"]
    batch = server.get("/news?since=oldest").json()
    assert all(m["id"] not in ("forged", "x") for m in batch["messages"])


HOOK_KEY = b"sample-secret-not-real"
HOOK = (b'{ "zen":"two  spaces",  "n":9007199254740993,"esc":"\\u00e9\\/",'
        b'"repository":{"full_name":"acme/tide"} }')
HOOK_HEADERS = {
    "Content-Type": "application/json", "X-GitHub-Event": "push",
    "X-GitHub-Delivery": "40000000-0000-11ee-8000-000000000001",
    "X-Hub-Signature-256":
        "sha256=" + hmac.new(HOOK_KEY, HOOK, hashlib.sha256).hexdigest(),
}


def send_hook(port, target, how):
    with raw.Client(port) as c:
        head = f"POST {target} HTTP/1.1\r\nHost: a\r\n" + "".join(
            f"{n}: {v}\r\n" for n, v in HOOK_HEADERS.items())
        if how == "chunked":
            c.send(head + "Transfer-Encoding: chunked\r\n\r\n")
            for at in range(0, len(HOOK), 7):
                piece = HOOK[at:at + 7]
                c.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            c.send("0\r\n\r\n")
        else:
            c.send(head.encode() + b"Content-Length: %d\r\n\r\n%b"
                   % (len(HOOK), HOOK), dribble=how == "an octet at a time")
        return c.response()


hooks = pytest.mark.parametrize("how", ["whole", "chunked",
                                        "an octet at a time"])


@hooks
def test_a_signature_still_holds_at_the_backend(penstock, backend, how):
    b = backend()
    server = penstock(quotes(b))
    assert send_hook(server.port, "/hooks?a=%2f+b", how).status == 200
    request, = b.requests
    assert request.target == "/hooks?a=%2f+b" and request.content == HOOK
    for name, value in HOOK_HEADERS.items():
        assert request.headers[name] == value


@hooks
def test_a_signed_body_is_published_as_it_is(penstock, how):
    """And twice where it is delivered twice: what GitHub calls a delivery is
    no Idempotency-Key."""
    server = penstock(news())
    for _ in range(2):
        assert send_hook(server.admin_port, "/channels/news", how).status == 201
    assert server.get("/news").content == HOOK
    assert server.get("/news?since=oldest").content.count(HOOK) == 2
    assert server.get("/news?since=oldest&wait=5").content.count(HOOK) == 2
    with SseClient(server, "/news").connect("oldest") as r:
        assert data_of(r.read(2)) == [HOOK.decode()] * 2
    with WsClient(server, "/news", protocol=None).connect("oldest") as r:
        assert [r.recv(), r.recv()] == [HOOK.decode()] * 2


EXACT = '{"id":9007199254740993,"f":1.10,"e":1E400,"k":"\\u00e9\\/","k":2}'


def test_json_is_carried_and_never_printed_anew(penstock):
    server = penstock(news())
    server.publish("news", EXACT, type="application/json")
    assert server.get("/news").text == EXACT
    assert EXACT in server.get("/news?since=oldest").text
    assert EXACT in server.get("/news?wait=5&since=oldest").text
    with WsClient(server, "/news").connect("oldest") as r:
        assert EXACT in r.recv()
    with SseClient(server, "/news").connect("oldest") as r:
        assert data_of(r.read(1)) == [EXACT]
