"""A backend's WebSocket as a source: we are its client (RFC 6455)."""

import asyncio
import base64
import hashlib
import threading
import zlib

import pytest
import websockets

from clients import reader


def config(b, **source):
    return {
        "backends": {"app": f"http://127.0.0.1:{b.port}"},
        "routes": [{"path": "/feed", "start": "oldest", "source": {
            "websocket": "app/stream", "linger": "100ms",
            "backoff": {"min": "10ms", "max": "50ms"}, **source}}],
    }


def test_text_and_binary_come_in(penstock, ws_backend):
    async def script(b, ws):
        await ws.send('{"n":9007199254740993}')
        await ws.send(b"\xff\x00\xfe")
        await ws.send("plain")
        await ws.send("")
    p = penstock(config(ws_backend(script)))
    with reader("websocket", p, "/feed").connect() as r:
        data = [m[2] for m in r.read(4)]
    assert data == ['{"n":9007199254740993}', b"\xff\x00\xfe", "plain", ""]


def test_a_backend_may_deflate_where_it_is_offered(penstock, ws_backend):
    texts = [f"{n} " + "word " * 1000 for n in range(5)]

    async def script(b, ws):
        b.received.append([e.name for e in ws.extensions])
        for text in texts:
            await ws.send(text)
    for offers in (True, False):
        b = ws_backend(script, compression="deflate")
        p = penstock(config(b, compress=offers))
        with reader("sse", p, "/feed").connect() as r:
            assert [m[2] for m in r.read(5)] == texts
        assert b.received == [["permessage-deflate"] if offers else []]


def test_the_first_message_subscribes(penstock, ws_backend):
    async def script(b, ws):
        b.received.append(await ws.recv())
        await ws.send("subscribed")
    b = ws_backend(script)
    p = penstock(config(b, subscribe='{"op":"sub"}'))
    with reader("sse", p, "/feed").connect() as r:
        assert [m[2] for m in r.read(1)] == ["subscribed"]
    assert b.received == ['{"op":"sub"}']


def test_pings_are_answered_at_once(penstock, ws_backend):
    async def script(b, ws):
        pong = await ws.ping(b"1927857900123")
        await asyncio.wait_for(pong, 5)
        await ws.send("alive")
    p = penstock(config(ws_backend(script)))
    with reader("longpoll", p, "/feed").connect() as r:
        assert [m[2] for m in r.read(1)] == ["alive"]


def test_a_planned_close_is_followed_by_a_new_connection(penstock, ws_backend):
    async def script(b, ws):
        await ws.send(f"from {b.connections}")
        if b.connections == 1:
            await ws.close(1000)
    b = ws_backend(script)
    p = penstock(config(b))
    with reader("sse", p, "/feed").connect() as r:
        assert [m[2] for m in r.read(2)] == ["from 1", "from 2"]
    p.wait_for(lambda: len(b.closed) == 2, what="the source's end")
    assert b.closed[0][0] == 1000
    assert b.closed[1][0] == 1001  # nobody reads any more


@pytest.mark.parametrize("downstream", ["nobody", "stalled"])
def test_pings_are_answered_whoever_reads(penstock, ws_backend, downstream):
    """A backend drops whom it does not hear, and it is not for our clients to
    say whether it hears us."""
    answered = threading.Event()

    async def script(b, ws):
        await ws.send("x" * 200000)
        for n in range(20):
            await asyncio.wait_for(await ws.ping(b"1927857900123"), 5)
            await ws.send("x" * 200000)
        answered.set()
    b = ws_backend(script)
    settings = config(b, when="always")
    settings["routes"][0]["lag"] = "skip"
    settings["routes"][0]["history"] = {"messages": 5}
    p = penstock(settings)
    if downstream == "stalled":
        c = p.client(rcvbuf=4096)
        c.send_request("GET", "/feed", {"Accept": "text/event-stream"})
        c.head()
    assert answered.wait(10)
    assert b.connections == 1


def test_readers_notice_nothing_of_planned_closes(penstock, ws_backend):
    """Feeds that close once a day, which is no error."""
    async def script(b, ws):
        await ws.send(f"from {b.connections}")
        if b.connections < 6:
            await ws.close(1000)
    p = penstock(config(ws_backend(script)))
    with reader("sse", p, "/feed").connect() as sse, \
            reader("websocket", p, "/feed").connect() as ws:
        for r in (sse, ws):
            assert [m[2] for m in r.read(6)] == [
                f"from {n}" for n in range(1, 7)]


def test_fragments_are_one_message(penstock, ws_backend):
    async def script(b, ws):
        await ws.send(["one ", "message ", "in pieces"])
    p = penstock(config(ws_backend(script)))
    with reader("poll", p, "/feed").connect() as r:
        assert [m[2] for m in r.read(1)] == ["one message in pieces"]


def upgrade(request, conn, extension, frame=b""):
    """Agrees, chooses an extension, and sends one frame."""
    key = request.headers["Sec-WebSocket-Key"].encode()
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
    conn.head(101, {"Connection": "Upgrade", "Upgrade": "websocket",
                    "Sec-WebSocket-Accept":
                        base64.b64encode(digest.digest()).decode(),
                    "Sec-WebSocket-Extensions": extension})
    conn.send(frame)


OFFERED = ("permessage-deflate; server_no_context_takeover; "
           "client_no_context_takeover")


@pytest.mark.parametrize("answer", [
    "foo",
    "permessage-deflate",  # the server would keep its window
    OFFERED + "; client_max_window_bits=10",
    OFFERED + ", " + OFFERED,
])
def test_an_extension_that_was_not_offered_fails_the_connection(
        penstock, backend, answer):
    b = backend(lambda request, conn: upgrade(request, conn, answer,
                                              b"\x81\x02no"))
    p = penstock(config(b, compress=True))
    with reader("sse", p, "/feed").connect() as r:
        p.wait_for(lambda: len(b.requests) > 1, what="another try")
        assert b.requests[0].headers["Sec-WebSocket-Extensions"] == OFFERED
        assert r.nothing(0.1)
    p.wait_for(lambda: p.log_lines("the backend chose what was not offered"))


def test_a_backend_s_bomb_ends_at_the_limit(penstock, backend):
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = (z.compress(bytes(200 << 20)) + z.flush(zlib.Z_SYNC_FLUSH))[:-4]
    head = b"\xc2\x7f" + len(bomb).to_bytes(8, "big")
    b = backend(lambda request, conn: upgrade(request, conn, OFFERED,
                                              head + bomb))
    p = penstock(config(b, compress=True, message="1MiB"))
    before = p.rss()
    with reader("sse", p, "/feed").connect() as r:
        p.wait_for(lambda: len(b.requests) > 1, what="another try")
        assert r.nothing(0.1)
        assert p.rss() - before < 100 << 20
    p.wait_for(lambda: p.log_lines("inflates beyond the limit"))
