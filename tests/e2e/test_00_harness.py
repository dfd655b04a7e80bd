"""The harness against itself: what the other files rely on."""

import pytest

import raw
from backend import Feed
from clients import SseClient, SseParser
from programs import curl


def events_of(data, step):
    got = []
    parser = SseParser(lambda *event: got.append(event))
    for i in range(0, len(data), step):
        parser.feed(data[i:i + step])
    return got


@pytest.mark.parametrize("step", [1, 2, 3, 1000])
def test_sse_parser_reads_all_line_ends(step):
    data = b"id: 1\r\ndata: a\r\ndata:b\r\n\r\n: note\n\nevent: t\rdata: c\r\rx"
    assert events_of(data, step) == [("1", "message", "a\nb"), ("1", "t", "c")]


def test_backend_answers_curl(backend):
    b = backend(lambda request, conn: conn.respond(200, f"{request.method}!"))
    assert curl(b.url + "/x") == (0, b"GET!")
    assert b.requests[0].target == "/x"


def test_backend_reads_chunked_bodies(backend):
    b = backend(lambda request, conn: conn.respond(200, request.content))
    with raw.Client(b.port) as c:
        c.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
               "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n", dribble=True)
        assert c.response().content == b"abcde"
    assert b.requests[0].trailers == [("T", "1")]


def test_backend_keeps_connections_open(backend):
    b = backend()
    with raw.Client(b.port) as c:
        assert [c.get("/").status for _ in range(3)] == [200, 200, 200]
    assert len(b.connections) == 1


def test_feed_resumes_on_the_same_port_after_a_kill(backend):
    feed = Feed()
    b = backend(feed.sse)
    feed.add("one")
    with SseClient(b.port, "/").connect() as c:
        assert c.read(1) == [("1", "message", "one")]
        b.kill()
        with pytest.raises((raw.Closed, ConnectionResetError)):
            c.read(1)
    feed.add("two")
    b.restart()
    with SseClient(b.port, "/").connect(since="1") as c:
        assert c.read(1) == [("2", "message", "two")]
    assert feed.asked == [None, "1"]


def test_rst_is_seen_as_a_reset(backend):
    b = backend(lambda request, conn: conn.rst())
    with raw.Client(b.port) as c, pytest.raises(ConnectionResetError):
        c.get("/")


def test_statuses_skip_bodies_that_look_like_answers():
    said = (b"HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\nHTTP/1.1 404 Not\r\n\r"
            b"HTTP/1.1 400 Bad\r\n\r\n")
    assert raw.statuses(said) == [200, 400]
