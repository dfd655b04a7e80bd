"""Shapes of real services' streams, with contents of our own: each goes in
through its source, cut anywhere, and comes out right on every transport.  What
is right is told by parsers that penstock has no part in."""

import json
import pathlib
import random
import time

import pytest

import raw
from clients import TRANSPORTS, SseParser, reader

SAMPLES = pathlib.Path(__file__).parents[1] / "samples"
every_transport = pytest.mark.parametrize("transport", TRANSPORTS)


def events_of(data):
    """(type, data) of each event, as the standard reads them."""
    got = []
    SseParser(lambda id, event, text: got.append((event, text))).feed(data)
    return got


def values_of(data):
    """(type, data) of each JSON value, wherever line ends are."""
    got, text, at, decoder = [], data.decode(), 0, json.JSONDecoder()
    while (at := len(text) - len(text[at:].lstrip())) < len(text):
        _, end = decoder.raw_decode(text, at)
        got.append(("message", text[at:end]))
        at = end
    return got


def same(got, want):
    """Data that is JSON may come embedded in JSON; else each octet counts."""
    def plain(text):
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if isinstance(value, (dict, list)) else text
    assert [(e, plain(d)) for e, d in got] == [(e, plain(d)) for e, d in want]


def pieces(data, seed):
    dice, at = random.Random(seed), 0
    while at < len(data):
        n = dice.choice((1, 2, 3, 7, 50, 400))
        yield data[at:at + n]
        at += n


def streaming(data, type, seed):
    """A handler that streams it once, in pieces, and stays."""
    def handler(request, conn):
        conn.start_chunked(200, {"Content-Type": type})
        for piece in pieces(data, seed):
            conn.chunk(piece)
        conn.stream.read_until(b"never", time.monotonic() + 60)
    return handler


def fed(backend, **source):
    return {"backends": {"app": backend.url if hasattr(backend, "url") else
                         f"http://127.0.0.1:{backend.port}"},
            "routes": [{"path": "/s", "source": {"when": "always", **source}}]}


def read_all(p, transport, count):
    with reader(transport, p, "/s").connect("oldest") as r:
        got = [(event, data) for _, event, data in r.read(count)]
        assert r.nothing(0.05) and r.gaps == 0
    return got


def names(pattern):
    return sorted(f.name for f in SAMPLES.glob(pattern))


@every_transport
@pytest.mark.parametrize("name", names("*.sse"))
def test_event_streams(penstock, backend, name, transport):
    data = (SAMPLES / name).read_bytes()
    want = events_of(data)
    b = backend(streaming(data, "text/event-stream; charset=utf-8", name))
    p = penstock(fed(b, sse="app/s"))
    p.wait_for(lambda: (p.channel("s") or {"messages": 0})["messages"] ==
               len(want))
    same(read_all(p, transport, len(want)), want)


@every_transport
@pytest.mark.parametrize("name", names("*.ndjson") + ["docker-events-glued.txt"])
def test_streams_of_json(penstock, backend, name, transport):
    data = (SAMPLES / name).read_bytes()
    want = values_of(data)
    b = backend(streaming(data, "application/json", name))
    p = penstock(fed(b, ndjson="app/s"))
    p.wait_for(lambda: (p.channel("s") or {"messages": 0})["messages"] ==
               len(want))
    same(read_all(p, transport, len(want)), want)


@every_transport
@pytest.mark.parametrize("name", names("*ws-frames.txt"))
def test_frames_of_websockets(penstock, ws_backend, name, transport):
    frames = (SAMPLES / name).read_text().splitlines()

    async def script(b, ws):
        for frame in frames:
            await ws.send(frame)
    p = penstock(fed(ws_backend(script), websocket="app/s"))
    p.wait_for(lambda: (p.channel("s") or {"messages": 0})["messages"] ==
               len(frames))
    same(read_all(p, transport, len(frames)),
         [("message", frame) for frame in frames])


@every_transport
def test_a_long_polls_answer(penstock, backend, transport):
    body = (SAMPLES / "couchdb-changes-longpoll.txt").read_bytes()
    answer = json.loads(body)
    asked = []

    def handler(request, conn):
        asked.append(request.target)
        if len(asked) > 1:
            conn.stream.read_until(b"never", time.monotonic() + 60)
        conn.respond(200, body, {"Content-Type": "application/json"})
    p = penstock(fed(backend(handler), longpoll="app/s?feed=longpoll",
                     select="/results", cursor="/last_seq"))
    want = [("message", json.dumps(row)) for row in answer["results"]]
    p.wait_for(lambda: (p.channel("s") or {"messages": 0})["messages"] ==
               len(want))
    same(read_all(p, transport, len(want)), want)
    p.wait_for(lambda: len(asked) == 2)
    assert asked[1].endswith("&since=" + answer["last_seq"])


@every_transport
def test_a_webhooks_body_is_not_touched(penstock, transport):
    """Whole, and one octet at a time: its signature is over these octets."""
    p = penstock({"routes": [{"path": "/s", "source": "publish"}]})
    raw_request = (SAMPLES / "webhook-post-raw.txt").read_bytes()
    head, _, body = raw_request.partition(
        b"\r\n\r\n" if b"\r\n\r\n" in raw_request else b"\n\n")
    length = int(next(l for l in head.splitlines()
                      if l.startswith(b"Content-Length")).split(b":")[1])
    body = body[:length]
    p.publish("s", body, "application/json")
    with raw.Client(p.admin_port) as c:
        c.send(b"POST /channels/s HTTP/1.1\r\nHost: a\r\nContent-Type: "
               b"application/json\r\nContent-Length: %d\r\n\r\n%b" % (
                   length, body), dribble=True)
        assert c.response().status == 201
    newest = p.get("/s")
    assert newest.content == body
    same(read_all(p, transport, 2), [("message", body.decode())] * 2)
