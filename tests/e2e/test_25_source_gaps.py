"""A backend that cannot be told from where to go on: what it said while nobody
listened is lost, and readers are told so; where it can, nothing is.  And one
that stays away: what it said last may be old."""

import json
import re
import time

import pytest

import frames
from backend import Feed
from clients import TRANSPORTS, WsClient, reader
from raw import wait_for

every_transport = pytest.mark.parametrize("transport", TRANSPORTS)
QUICK = {"min": "10ms", "max": "30ms"}


def config(backend, kind, **keys):
    return {"backends": {"app": backend.url}, "routes": [
        {"path": "/all", "multiplex": True},
        {"path": "/n", "source": {kind: "app/n", "backoff": QUICK,
                                  "when": "always"}, **keys}]}


class Stream:
    """A feed without ids over NDJSON, SSE or WebSocket; cut() drops its
    readers."""

    def __init__(self, backend, kind):
        self.feed = Feed(resume=False)
        self.kind = kind
        self.server = backend(self.handle)

    def handle(self, request, conn):
        getattr(self, self.kind)(request, conn)

    def follow(self, conn):
        for _, _, data in self.feed.follow(conn, len(self.feed.messages)):
            yield data

    def sse(self, request, conn):
        conn.start_chunked(200, {"Content-Type": "text/event-stream"})
        for data in self.follow(conn):
            conn.chunk(f"data: {data}\n\n")

    def ndjson(self, request, conn):
        conn.start_chunked(200, {"Content-Type": "application/x-ndjson"})
        for data in self.follow(conn):
            conn.chunk(f"{data}\n")

    def websocket(self, request, conn):
        accept = frames.accept_of(request.headers["Sec-WebSocket-Key"])
        conn.head(101, {"Connection": "Upgrade", "Upgrade": "websocket",
                        "Sec-WebSocket-Accept": accept})
        for data in self.follow(conn):
            conn.send(frames.text(data, mask=None))

    def cut(self):
        """They come back, having missed what was said in between."""
        self.server.kill()
        self.feed.add('"missed"')
        wait_for(lambda: self.feed.readers == 0)
        self.server.restart()
        wait_for(lambda: self.feed.readers == 1)


@pytest.fixture(params=["ndjson", "sse", "websocket"])
def stream(request, backend):
    return Stream(backend, request.param)


@every_transport
@pytest.mark.parametrize("path", ["/n", "/all?channel=n"])
def test_a_reconnect_without_a_place_is_a_gap_before_the_next_message(
        penstock, stream, transport, path):
    p = penstock(config(stream.server, stream.kind))
    wait_for(lambda: stream.feed.readers == 1)
    enveloped = {"enveloped": True} if transport == "sse" and "?" in path else {}
    with reader(transport, p, path, **enveloped).connect() as r:
        stream.feed.add("1")
        first = r.read(1)[0]
        assert (first[2], r.gaps) == ("1", 0)
        stream.cut()
        assert r.nothing(0.1) and r.gaps == 0
        stream.feed.add("2")
        stream.feed.add("3")
        second = r.read(2)
        assert [m[2] for m in second] == ["2", "3"]
        assert r.gaps == 1
        if transport in ("sse", "websocket"):
            assert (r.gap["from"], r.gap["to"]) == (first[0], second[0][0])
            assert r.gap.get("channels") == (["n"] if "?" in path else None)
    assert p.metric("source_gaps_total") == 1


@every_transport
def test_whoever_resumes_before_it_is_told_and_after_it_is_not(
        penstock, stream, transport):
    p = penstock(config(stream.server, stream.kind))
    wait_for(lambda: stream.feed.readers == 1)
    with reader(transport, p, "/n").connect() as r:
        stream.feed.add("1")
        before = r.read(1)[0][0]
    stream.cut()
    stream.feed.add("2")
    stream.feed.add("3")
    wait_for(lambda: p.channel("n")["messages"] == 3)
    with reader(transport, p, "/n").connect(before) as r:
        after = r.read(2)[0][0]
        assert r.gaps == 1
    with reader(transport, p, "/n").connect(after) as r:
        assert r.read(1)[0][2] == "3"
        assert r.gaps == 0


@pytest.mark.parametrize("options", [{}, {"compression": "deflate"}])
def test_a_plain_websocket_is_not_cut_by_what_it_cannot_be_told(
        penstock, stream, options):
    p = penstock(config(stream.server, stream.kind, compress={"min": "0B"}))
    wait_for(lambda: stream.feed.readers == 1)
    with WsClient(p, "/n", protocol=None, **options).connect() as plain, \
            WsClient(p, "/n", **options).connect() as told:
        stream.feed.add("1")
        assert plain.recv() == "1" and told.read(1)
        stream.cut()
        stream.feed.add('"' + "2" * 100 + '"')
        assert plain.recv() == '"' + "2" * 100 + '"'
        assert told.read(1) and told.gaps == 1


def test_a_stream_with_ids_goes_on_without_one(penstock, backend):
    feed = Feed()
    b = backend(feed.sse)
    p = penstock(config(b, "sse"))
    wait_for(lambda: feed.readers == 1)
    with reader("websocket", p, "/n").connect() as r:
        feed.add("1")
        assert r.read(1)
        b.kill()
        feed.add("2")
        b.restart()
        assert [m[2] for m in r.read(1)] == ["2"]
        assert r.gaps == 0


def test_nothing_is_told_where_nothing_had_been_said(penstock, stream):
    p = penstock(config(stream.server, stream.kind))
    wait_for(lambda: stream.feed.readers == 1)
    with reader("websocket", p, "/n").connect() as r:
        stream.cut()
        stream.feed.add("1")
        assert r.read(1) and r.gaps == 0


def test_a_json_text_sequence_is_read_by_its_media_type(penstock, backend):
    def handler(request, conn):
        conn.start_chunked(200, {"Content-Type": "application/json-seq"})
        conn.chunk('\x1e{"n":\n1}\n\x1e{"n"')
        conn.chunk(':2}\n\x1e3\n')
        conn.stream.read_until(b"never", time.monotonic() + 60)
    p = penstock(config(backend(handler), "ndjson"))
    with reader("sse", p, "/n").connect("oldest") as r:
        assert [m[2] for m in r.read(3)] == ['{"n":\n1}', '{"n":2}', "3"]


# --- stale ----------------------------------------------------------------------

def staling(b, **source):
    c = config(b, "sse")
    c["routes"][1]["source"].update({"stale": "200ms", **source})
    return c


def told(r, timeout=10):
    """The next notice."""
    deadline = time.monotonic() + timeout
    while not r.told:
        r.pull(deadline)
    return r.told.pop(0)


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_backend_that_is_lost_and_comes_back_is_told(
        penstock, backend, transport):
    feed = Feed()
    b = backend(feed.sse)
    p = penstock(staling(b))
    with reader(transport, p, "/n").connect() as r:
        wait_for(lambda: feed.readers == 1)
        feed.add("1")
        cursor = r.read(1)[0][0]
        b.kill()
        assert told(r) == {"stale": True}
        with reader(transport, p, "/n").connect() as late:
            assert told(late) == {"stale": True}, "it comes in between"
        b.restart()
        assert told(r) == {"stale": False}
        feed.add("2")
        assert r.read(1)[0][2] == "2"
        assert r.gaps == 0
    with reader(transport, p, "/n").connect(cursor) as r:
        assert [m[2] for m in r.read(1)] == ["2"], "notices move no cursor"
    assert p.metric("sources_stale_total") == 1


def two_lost(backend):
    """/all reads a and b, each from a backend of its own."""
    feeds = {name: Feed() for name in "ab"}
    servers = {name: backend(feeds[name].sse) for name in "ab"}
    return feeds, servers, {
        "backends": {name: servers[name].url for name in "ab"},
        "routes": [{"path": "/all", "multiplex": True}] + [
            {"path": f"/{name}", "source": {
                "sse": f"{name}/s", "stale": "200ms", "when": "always",
                "backoff": {"min": "20ms", "max": "50ms"}}}
            for name in "ab"]}


@pytest.mark.parametrize("transport,options", [
    ("sse", {"enveloped": True}), ("websocket", {}),
    ("websocket", {"protocol": None})], ids=["sse", "penstock.v1", "websocket"])
def test_of_several_channels_it_is_told_whose_backend_is_lost(
        penstock, backend, transport, options):
    feeds, servers, config = two_lost(backend)
    p = penstock(config)

    def notice(r):
        if options.get("protocol", "") is None:  # a frame like any other
            return json.loads(r.recv())
        return told(r)
    url = "/all?channel=a&channel=b"
    with reader(transport, p, url, **options).connect() as r:
        wait_for(lambda: feeds["a"].readers == feeds["b"].readers == 1)
        servers["b"].kill()
        assert notice(r) == {"stale": True, "channel": "b"}
        feeds["a"].add("1")
        message = r.recv() if options.get("protocol", "") is None \
            else r.read(1)[0][2]
        assert "1" in message, "the other one goes on"
        with reader(transport, p, url, **options).connect() as late:
            assert notice(late) == {"stale": True, "channel": "b"}
        servers["a"].kill()
        assert notice(r) == {"stale": True, "channel": "a"}
        servers["b"].restart()
        assert notice(r) == {"stale": False, "channel": "b"}
        servers["a"].restart()
        assert notice(r) == {"stale": False, "channel": "a"}


def test_a_channel_that_is_added_while_its_backend_is_lost_is_told(
        penstock, backend):
    feeds, servers, config = two_lost(backend)
    p = penstock(config)
    wait_for(lambda: feeds["b"].readers == 1)
    servers["b"].kill()
    p.wait_for(lambda: p.channel("b")["source"].get("stale"))
    with reader("websocket", p, "/all?channel=a").connect() as r:
        assert r.tell(subscribe="b")["subscribed"] == "b"
        assert told(r) == {"stale": True, "channel": "b"}
        assert r.tell(unsubscribe="b") == {"unsubscribed": "b"}
        assert r.tell(subscribe="b")["subscribed"] == "b"
        assert told(r) == {"stale": True, "channel": "b"}


def test_polls_of_several_channels_say_that_one_may_be_old(penstock, backend):
    feeds, servers, config = two_lost(backend)
    p = penstock(config)
    wait_for(lambda: feeds["b"].readers == 1)
    feeds["b"].add("1")
    url = "/all?channel=a&channel=b"
    p.wait_for(lambda: p.get(url).json()["messages"])
    tag = p.get(url).headers["ETag"]
    assert "Warning" not in p.get(url).headers
    servers["b"].kill()
    p.wait_for(lambda: "Warning" in p.get(url).headers)
    for query, headers, status in (("", {}, 200), ("&wait=0", {}, 204),
                                   ("", {"If-None-Match": tag}, 304)):
        answer = p.get(url + query, headers)
        assert answer.status == status
        assert answer.headers["Warning"] == '110 - "Response is Stale"'
        assert int(answer.headers["Age"]) < 10
    assert "Warning" not in p.get("/all?channel=a").headers


def test_polls_say_that_their_answer_may_be_old(penstock, backend):
    feed = Feed()
    b = backend(feed.sse)
    p = penstock(staling(b))
    wait_for(lambda: feed.readers == 1)
    feed.add("1")
    p.wait_for(lambda: p.get("/n").status == 200)
    assert p.get("/n").headers.get("Warning") is None
    b.kill()
    p.wait_for(lambda: p.get("/n").headers.get("Warning"))
    source = p.channel("n")["source"]
    assert source["stale"] is True and source["fault"]
    assert re.search("^penstock_sources_stale 1$",
                     p.admin("GET", "/metrics").text, re.M)
    for query in ("", "?since=oldest", "?since=now&wait=0"):
        answer = p.get("/n" + query)
        assert answer.headers["Warning"] == '110 - "Response is Stale"'
        assert int(answer.headers["Age"]) < 10
    b.restart()
    p.wait_for(lambda: not p.get("/n").headers.get("Warning"))


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_short_loss_is_not_told(penstock, backend, transport):
    feed = Feed()
    b = backend(feed.sse)
    p = penstock(staling(b, stale="5s"))
    with reader(transport, p, "/n").connect() as r:
        wait_for(lambda: feed.readers == 1)
        b.kill()
        p.wait_for(lambda: p.log_lines("source.failed"))
        b.restart()
        wait_for(lambda: feed.readers == 1)
        feed.add("1")
        assert r.read(1) and not r.told
