"""What appends to a channel: a backend's streams, and publishing."""

import time

import pytest

import raw
from backend import Feed, sse_text
from clients import TRANSPORTS, SseClient, reader

ALL = ["poll", "longpoll", "sse", "websocket"]
every_transport = pytest.mark.parametrize("transport", TRANSPORTS)


def quotes(b, kind="sse", route=(), **source):
    """One route with a source that reads from b and reconnects soon."""
    return {
        "backends": {"app": b.url},
        "routes": [{"path": "/quotes/{symbol}", "transports": ALL,
                    "source": {kind: "app/stream/{symbol}",
                               "backoff": {"min": "20ms", "max": "200ms"},
                               **source},
                    **dict(route)}],
    }


def news(**keys):
    return {"routes": [{"path": "/news", "source": "publish",
                        "transports": ALL, **keys}]}


def data_of(messages):
    return [data for _, _, data in messages]


def numbers(first, last):
    return [str(n) for n in range(first, last + 1)]


def add_numbers(feed, first, last):
    for n in range(first, last + 1):
        feed.add(str(n))


# --- one upstream, many readers -------------------------------------------------

def test_readers_of_all_transports_share_one_upstream(penstock, backend):
    feed = Feed()
    b = backend(feed.sse)
    p = penstock(quotes(b))
    readers = [reader(t, p, "/quotes/ACME").connect() for t in TRANSPORTS]
    p.wait_for(lambda: feed.readers == 1)
    add_numbers(feed, 1, 5)
    got = [r.read(5) for r in readers]
    for r in readers:
        r.close()
    assert data_of(got[0]) == numbers(1, 5)
    assert all(g == got[0] for g in got)
    assert [r.target for r in b.requests] == ["/stream/ACME"]
    assert b.requests[0].headers["Accept"] == "text/event-stream"


def test_event_types_and_lines_come_through(penstock, backend):
    feed = Feed()
    p = penstock(quotes(backend(feed.sse)))
    with SseClient(p, "/quotes/A").connect() as r:
        feed.add("a\nb", event="trade")
        feed.add('{"x":1}')
        assert [m[1:] for m in r.read(2)] == [("trade", "a\nb"),
                                              ("message", '{"x":1}')]


def test_each_symbol_is_a_channel_of_its_own(penstock, backend):
    def handler(request, conn):
        conn.start_chunked(200, {"Content-Type": "text/event-stream"})
        conn.chunk(sse_text("1", None, request.target))
        conn.read_request()
    p = penstock(quotes(backend(handler)))
    for symbol in ("A", "B", "a%20b", "%E2%82%AC"):
        with SseClient(p, f"/quotes/{symbol}").connect("oldest") as r:
            assert data_of(r.read(1)) == [f"/stream/{symbol}"]


def test_ndjson_values_become_messages(penstock, backend):
    feed = Feed()
    p = penstock(quotes(backend(feed.ndjson), "ndjson"))
    with SseClient(p, "/quotes/A").connect() as r:
        for value in ('{"n":12345678901234567890}', '[1, 2]', '"x"'):
            feed.add(value)
        assert data_of(r.read(3)) == ['{"n":12345678901234567890}', "[1, 2]",
                                      '"x"']


# Each record as it is framed; the last one is over the limit.
FRAMED = {
    "lines": lambda record: record + b"\n",
    "length": lambda record: b"%d" % len(record) + record,
    "length, a line of its own": lambda record: b"%d\r\n%b\r\n" % (
        len(record) + 2, record),
    "length, a space": lambda record: b"%d %b\n" % (len(record), record),
    "uint32": lambda record: len(record).to_bytes(4, "big") + record,
}
RECORDS = [b'{"n":9007199254740993}', b"[1,\r\n2]", b'"\xe2\x82\xac"', b"true",
           b"x", b'{"a":', b'{"big":"' + b"x" * 300 + b'"}', b"{}"]
TAKEN = ['{"n":9007199254740993}', "[1,\n2]", '"\u20ac"', "true", "{}"]


@pytest.mark.parametrize("framing", FRAMED)
@pytest.mark.parametrize("step", [1, 3, 10000])
def test_json_is_read_however_it_is_framed(penstock, backend, framing, step):
    kind = framing.partition(",")[0]
    stream = b"".join(FRAMED[framing](r.replace(b"\r\n", b"") if kind == "lines"
                                      else r) for r in RECORDS)

    def handler(request, conn):
        conn.start_chunked(200, {"Content-Type": "application/json" if
                                 kind == "lines" else "x/y"})
        for at in range(0, len(stream), step):
            conn.chunk(stream[at:at + step])
        conn.read_request()
    p = penstock(quotes(backend(handler), "ndjson", framing=kind,
                        message="300B"))
    with SseClient(p, "/quotes/A").connect("oldest") as r:
        assert data_of(r.read(5)) == (
            [d.replace("\n", "") for d in TAKEN] if kind == "lines" else TAKEN)
    assert p.metric("source_refused_total") == 3


def test_a_length_that_is_none_ends_the_stream(penstock, backend):
    def handler(request, conn):
        conn.start_chunked(200, {"Content-Type": "application/json"})
        conn.chunk('2{}{"n":1}')
        conn.read_request()
    b = backend(handler)
    p = penstock(quotes(b, "ndjson", framing="length"))
    with SseClient(p, "/quotes/A").connect("oldest") as r:
        assert data_of(r.read(2)) == ["{}", "{}"]
    assert p.log_lines("source.failed",
                       'reason="what comes has no length where one has to be"')


def test_a_stream_cut_anywhere_is_the_same_stream(penstock, backend):
    text = "id: 1\r\ndata: \u20ac1\r\n\r\nid: 2\rdata: 2\r\rid: 3\ndata: 3\n\n"

    def handler(request, conn):
        conn.start_chunked(200, {"Content-Type": "text/event-stream"})
        for octet in text.encode():
            conn.chunk(bytes([octet]))
        conn.read_request()
    p = penstock(quotes(backend(handler)))
    with SseClient(p, "/quotes/A").connect("oldest") as r:
        assert data_of(r.read(3)) == ["\u20ac1", "2", "3"]


# --- a backend that comes and goes -----------------------------------------------

@every_transport
@pytest.mark.parametrize("rst", [False, True])
def test_a_backend_killed_and_restarted_loses_nothing(penstock, backend,
                                                      transport, rst):
    feed = Feed()
    b = backend(feed.sse)
    p = penstock(quotes(b))
    with reader(transport, p, "/quotes/ACME").connect() as r:
        p.wait_for(lambda: feed.readers == 1)
        add_numbers(feed, 1, 3)
        got = r.read(3)
        b.kill(rst)
        add_numbers(feed, 4, 6)  # while nobody listens
        b.restart()
        got += r.read(3)
        add_numbers(feed, 7, 8)
        got += r.read(2)
        assert data_of(got) == numbers(1, 8)
        assert r.gaps == 0
        assert feed.asked[0] is None
        assert feed.asked[-1] == "3"


def test_what_the_upstream_repeats_is_dropped(penstock, backend):
    feed = Feed(resume=False)  # starts over, whatever Last-Event-ID says
    b = backend(feed.sse)
    p = penstock(quotes(b))
    with SseClient(p, "/quotes/A").connect() as r:
        add_numbers(feed, 1, 3)
        got = r.read(3)
        b.kill()
        add_numbers(feed, 4, 5)
        b.restart()
        got += r.read(2)
        assert data_of(got) == numbers(1, 5)
        assert r.nothing()


def test_a_half_message_at_the_cut_is_not_delivered(penstock, backend):
    answers = [b"id: 1\ndata: 1\n\nid: 2\ndata: hal", b"id: 2\ndata: whole\n\n"]

    def handler(request, conn):
        conn.start_chunked(200, {"Content-Type": "text/event-stream"})
        conn.chunk(answers.pop(0))
        if answers:
            conn.rst()
        else:
            conn.read_request()
    b = backend(handler)
    p = penstock(quotes(b))
    with SseClient(p, "/quotes/A").connect("oldest") as r:
        assert data_of(r.read(2)) == ["1", "whole"]
    assert b.requests[1].headers["Last-Event-ID"] == "1"


def test_a_stream_that_ends_is_opened_again(penstock, backend):
    feed = Feed()
    b = backend(feed.sse)
    p = penstock(quotes(b))
    with SseClient(p, "/quotes/A").connect() as r:
        feed.add("1")
        r.read(1)
        feed.end()
        p.wait_for(lambda: len(b.requests) >= 2)
        feed.add("2")
        assert data_of(r.read(1)) == ["2"]


def test_ndjson_goes_on_after_a_restart(penstock, backend):
    feed = Feed(resume=False)
    b = backend(feed.ndjson)
    p = penstock(quotes(b, "ndjson"))
    with SseClient(p, "/quotes/A").connect() as r:
        p.wait_for(lambda: feed.readers == 1)
        feed.add("1")
        r.read(1)
        b.kill()
        p.wait_for(lambda: feed.readers == 0)
        b.restart()
        p.wait_for(lambda: feed.readers == 1)
        feed.add("2")
        assert data_of(r.read(1)) == ["2"]


@pytest.mark.parametrize("status", [404, 500, 503])
def test_an_upstream_that_refuses_is_asked_again(penstock, backend, status):
    feed, refusals = Feed(), [status, status]

    def handler(request, conn):
        if refusals:
            conn.respond(refusals.pop(), b"no")
        else:
            feed.sse(request, conn)
    p = penstock(quotes(backend(handler)))
    with SseClient(p, "/quotes/A").connect() as r:
        feed.add("1")
        assert data_of(r.read(1)) == ["1"]


def test_readers_outlast_an_upstream_that_is_not_there_yet(penstock, backend):
    feed = Feed()
    b = backend(feed.sse)
    b.kill()
    p = penstock(quotes(b))
    with SseClient(p, "/quotes/A").connect() as r:
        feed.add("1")
        b.restart()
        assert data_of(r.read(1)) == ["1"]


def test_retry_of_the_upstream_is_honoured(penstock, backend):
    feed, times = Feed(retry_ms=1200), []

    def handler(request, conn):
        times.append(time.monotonic())
        feed.sse(request, conn)
    p = penstock(quotes(backend(handler)))
    with SseClient(p, "/quotes/A").connect() as r:
        feed.add("1")
        r.read(1)
        ended = time.monotonic()
        feed.end()
        p.wait_for(lambda: len(times) == 2)
        assert times[1] - ended > 0.4  # 1.2 s less jitter, not 20 ms


# --- when it is open ---------------------------------------------------------------

def test_a_needed_source_opens_with_the_first_reader(penstock, backend):
    feed = Feed()
    b = backend(feed.sse)
    p = penstock(quotes(b, linger="300ms"))
    assert b.connections == []
    first = SseClient(p, "/quotes/A").connect()
    second = SseClient(p, "/quotes/A").connect()
    p.wait_for(lambda: feed.readers == 1)
    first.close()
    feed.add("1")
    second.read(1)
    assert len(b.connections) == 1
    second.close()
    p.wait_for(lambda: feed.readers == 0, what="the source's end")
    with SseClient(p, "/quotes/A").connect():
        p.wait_for(lambda: feed.readers == 1)
    assert feed.asked[-1] == "1"


def test_a_reader_within_the_linger_finds_it_open(penstock, backend):
    feed = Feed()
    b = backend(feed.sse)
    p = penstock(quotes(b, linger="30s"))
    for n in range(1, 6):
        with SseClient(p, "/quotes/A").connect() as r:
            p.wait_for(lambda: feed.readers == 1)
            feed.add(str(n))
            assert data_of(r.read(1)) == [str(n)]
    assert len(b.connections) == 1


def test_a_source_that_is_always_open_needs_no_reader(penstock, backend):
    feed = Feed()
    b = backend(feed.sse)
    p = penstock({"backends": {"app": b.url}, "routes": [
        {"path": "/all", "transports": ALL,
         "source": {"sse": "app/stream", "when": "always"}}]})
    p.wait_for(lambda: feed.readers == 1)
    feed.add("1")
    p.wait_for(lambda: p.get("/all").status == 200)
    with SseClient(p, "/all").connect("oldest") as r:
        assert data_of(r.read(1)) == ["1"]


def test_one_that_is_always_open_outlives_its_deleted_channel(penstock, backend):
    feed = Feed()
    b = backend(feed.sse)
    p = penstock({"backends": {"app": b.url}, "routes": [
        {"path": "/all", "transports": ALL,
         "source": {"sse": "app/stream", "when": "always"}}]})
    p.wait_for(lambda: feed.readers == 1)
    assert p.admin("DELETE", "/channels/all").status == 204
    p.wait_for(lambda: len(b.connections) == 2)
    feed.add("1")
    p.wait_for(lambda: p.get("/all").status == 200)


# --- publishing ----------------------------------------------------------------------

def test_publish_says_the_id_and_how_many_read(penstock):
    p = penstock(news())
    assert p.publish_answer("news", "1")["readers"] == 0
    with SseClient(p, "/news").connect() as r:
        answer = p.publish_answer("news", "2")
        assert answer["readers"] == 1
        assert r.read(1)[0][0] == answer["id"]


def publish_stream(p, type, pieces, after_each):
    with raw.Client(p.admin_port) as c:
        c.send("POST /channels/news HTTP/1.1\r\nHost: h\r\n"
               f"Content-Type: {type}\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in pieces:
            c.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            after_each()
        c.send("0\r\n\r\n")
        return c.response()


def test_a_stream_of_ndjson_is_published_as_it_comes(penstock):
    p = penstock(news())
    with SseClient(p, "/news").connect() as r:
        got = []
        answer = publish_stream(
            p, "application/x-ndjson", [b'{"n":1}\n', b'{"n"', b':2}\n{"n":3}\n'],
            lambda: len(got) or got.extend(r.read(1)))
        got += r.read(2)
    assert answer.status in (200, 201)
    assert data_of(got) == ['{"n":1}', '{"n":2}', '{"n":3}']


def test_a_text_sequence_is_published_as_it_comes(penstock):
    p = penstock(news())
    with SseClient(p, "/news").connect() as r:
        answer = p.admin("POST", "/channels/news", {
            "Content-Type": "application/json-seq"},
            b'\x1e{\n"n":1}\n\x1e{"half"\x1e2\n')
        assert answer.json()["published"] == 2, answer
        assert data_of(r.read(2)) == ['{\n"n":1}', "2"]


def test_a_stream_of_sse_is_published_as_it_comes(penstock):
    p = penstock(news())
    with SseClient(p, "/news").connect() as r:
        got = []
        answer = publish_stream(
            p, "text/event-stream",
            [b"event: a\ndata: 1\n\n", b"da", b"ta: 2\ndata: 3\n\n"],
            lambda: len(got) or got.extend(r.read(1)))
        got += r.read(1)
    assert answer.status in (200, 201)
    assert [m[1:] for m in got] == [("a", "1"), ("message", "2\n3")]


def test_an_idempotency_key_publishes_once(penstock):
    p = penstock(news())
    key = {"Idempotency-Key": "k1"}
    first = p.publish("news", "once", headers=key)
    assert p.publish("news", "once", headers=key) == first
    assert p.publish("news", "other", headers={"Idempotency-Key": "k2"}) != first
    with reader("poll", p, "/news").connect("oldest") as r:
        assert data_of(r.read(2)) == ["once", "other"]
        assert r.nothing()


def test_a_channel_that_no_route_serves_is_404(penstock):
    p = penstock(news())
    answer = p.admin("POST", "/channels/mews", body="x")
    assert answer.status == 404
    assert answer.headers["Content-Type"].startswith("application/problem+json")


def test_a_message_over_the_limit_is_413(penstock):
    config = news()
    config["limits"] = {"message": "1KiB"}
    p = penstock(config)
    assert p.admin("POST", "/channels/news", body="x" * 1024).status == 201
    assert p.admin("POST", "/channels/news", body="x" * 1025).status == 413


def test_the_admin_listener_lists_channels_and_routes(penstock):
    p = penstock(news())
    assert p.admin("GET", "/channels/news").status in (200, 404)
    p.publish("news", "x")
    assert p.admin("GET", "/channels/news").status == 200
    assert "news" in p.admin("GET", "/channels").text
    assert "/news" in p.admin("GET", "/routes").text


def test_a_channel_can_be_deleted(penstock):
    p = penstock(news())
    p.publish("news", "x")
    assert p.admin("DELETE", "/channels/news").status in (200, 204)
    assert p.get("/news").status == 204


def test_the_admin_token_is_asked_for(penstock):
    config = news()
    config["admin"] = {"listen": "127.0.0.1:0", "token": "s3cret"}
    p = penstock(config)
    assert p.admin("POST", "/channels/news", body="x").status == 401
    p.publish("news", "x", headers={"Authorization": "Bearer s3cret"})
