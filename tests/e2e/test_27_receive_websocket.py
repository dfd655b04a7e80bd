"""Each client's own WebSocket to the backend: frames go through as they are,
closes go both ways, and whoever is slow makes only the other end wait."""

import asyncio
import base64
import hashlib
import json
import signal
import threading
import time

import pytest

from clients import Loop, SseClient, WsClient
from raw import wait_for

PROTOCOLS = pytest.mark.parametrize("protocol", ["penstock.v1", None])


def config(backend, route=(), **receive):
    return {"backends": {"app": f"http://127.0.0.1:{backend.port}"}, "routes": [
        {"path": "/room/{id}", "source": "publish", "message": "1MiB",
         "identity": "X-User",
         "receive": {"websocket": "app/ws/{id}", **receive}, **dict(route)}]}


async def echo(b, ws):
    async for m in ws:
        b.received.append(m)
        await ws.send(m)


def accept(request, conn):
    """The handshake by hand, for what no library would do after it."""
    key = request.headers["Sec-WebSocket-Key"].encode()
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
    conn.head(101, {"Upgrade": "websocket", "Connection": "Upgrade",
                    "Sec-WebSocket-Accept":
                    base64.b64encode(digest.digest()).decode()})


def client(p, protocol=None, name="ann", **options):
    return WsClient(p, "/room/7", headers={"X-User": name}, protocol=protocol,
                    **options)


# --- there and back ---------------------------------------------------------------

@PROTOCOLS
def test_frames_go_through_and_come_back_to_one_alone(penstock, ws_backend,
                                                      protocol):
    b = ws_backend(echo)
    p = penstock(config(b))
    with client(p, protocol).connect() as x, client(p, protocol).connect() as y:
        for n in range(50):
            x.send(f"x{n}")
        assert x.replies(50) == [f"x{n}" for n in range(50)]
        y.send("y")
        assert y.replies(1) == ["y"]
        p.publish("room/7", "to all")
        for r in (x, y):
            assert r.read(1)[0][2] == "to all"
    assert b.connections == 2


def test_octets_and_empty_frames_stay_what_they_are(penstock, ws_backend):
    p = penstock(config(ws_backend(echo)))
    with client(p).connect() as r:
        for frame in (b"\xff\x00", "", b"", "\u00e9", "x" * 70000):
            r.send(frame)
            assert r.recv() == frame


def test_the_backend_knows_who_it_is_and_may_speak_first(penstock, ws_backend):
    async def script(b, ws):
        b.received.append((ws.path, ws.request_headers))
        await ws.send("welcome")
        await ws.wait_closed()
    b = ws_backend(script)
    p = penstock(config(b))
    with client(p).connect() as x, client(p).connect() as y:
        assert x.recv() == "welcome" == y.recv()
    (path, headers), (_, others) = b.received
    assert path == "/ws/7"
    assert headers["X-User"] == "ann"
    assert headers["Penstock-Channel"] == "room/7"
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert headers["Penstock-Client"] != others["Penstock-Client"]


def test_a_backend_that_pings_is_answered(penstock, ws_backend):
    async def script(b, ws):
        await asyncio.wait_for(await ws.ping("there?"), 10)
        await ws.send("it is")
    p = penstock(config(ws_backend(script)))
    with client(p).connect() as r:
        assert r.recv() == "it is"


def test_one_that_is_open_may_be_silent_for_longer_than_an_answer_may(
        penstock, ws_backend):
    b = ws_backend(echo)
    c = config(b)
    c["backends"]["app"] = {"servers": c["backends"]["app"],
                            "response_timeout": "1s"}
    p = penstock(c)
    with client(p).connect() as r:
        r.send("one")
        assert r.recv() == "one"
        begun = time.monotonic()
        wait_for(lambda: time.monotonic() > begun + 1.3)
        r.send("two")
        assert r.recv() == "two"


def test_what_is_said_before_it_is_open_waits(penstock, backend):
    """The handshake takes its time; the client has gone before it ends."""
    open_, got = threading.Event(), []

    def handle(request, conn):
        open_.wait(20)
        accept(request, conn)
        while data := conn.sock.recv(65536):
            got.append(data)
        conn.close()
    b = backend(handle)
    p = penstock(config(b))
    r = client(p).connect()
    for n in range(3):
        r.send(f"m{n}")
    wait_for(lambda: b.requests)
    r.close(4001)
    wait_for(lambda: p.channel("room/7")["readers"] == 0)
    open_.set()
    wait_for(lambda: len(b"".join(got)) == 3 * 8 + 8)
    stream = b"".join(got)
    assert [unmask(stream[8 * n:8 * n + 8]) for n in range(3)] == [
        b"m0", b"m1", b"m2"]
    assert unmask(stream[24:32]) == (4001).to_bytes(2, "big")


def unmask(frame):
    return bytes(o ^ frame[2 + i % 4] for i, o in enumerate(frame[6:]))


# --- closes -------------------------------------------------------------------------

@PROTOCOLS
@pytest.mark.parametrize("code, reason", [(1000, ""), (4321, "thank you"),
                                          (1013, "later")])
def test_the_backend_s_close_is_the_client_s(penstock, ws_backend, protocol,
                                             code, reason):
    async def script(b, ws):
        await ws.recv()
        await ws.send("last words")
        await ws.close(code, reason)
    p = penstock(config(ws_backend(script)))
    r = client(p, protocol).connect()
    r.send("x")
    assert r.replies(1) == ["last words"]
    assert r.wait_closed() == code
    assert r.ws.close_reason == reason
    wait_for(lambda: p.channel("room/7")["readers"] == 0)


@pytest.mark.parametrize("code", [1000, 4321])
def test_the_client_s_close_is_the_backend_s(penstock, ws_backend, code):
    b = ws_backend(echo)
    p = penstock(config(b))
    r = client(p).connect()
    r.send("x")
    assert r.recv() == "x"
    r.close(code)
    wait_for(lambda: b.closed)
    assert b.closed == [(code, "")]


def test_who_is_killed_has_gone_away(penstock, ws_backend):
    b = ws_backend(echo)
    p = penstock(config(b))
    r = client(p).connect()
    r.send("x")
    assert r.recv() == "x"
    r.abort()
    wait_for(lambda: b.closed)
    assert b.closed[0][0] == 1001


def test_a_stop_closes_both(penstock, ws_backend):
    b = ws_backend(echo)
    p = penstock(config(b))
    r = client(p).connect()
    r.send("x")
    assert r.recv() == "x"
    p.stop()
    assert r.wait_closed() == 1001
    wait_for(lambda: b.closed)
    assert b.closed[0][0] == 1001


@PROTOCOLS
def test_a_backend_that_is_lost_closes_its_clients_alone(penstock, backend,
                                                         protocol):
    def handle(request, conn):
        accept(request, conn)
        conn.sock.recv(65536)
        conn.rst()
    p = penstock(config(backend(handle)))
    with SseClient(p, "/room/7").connect() as reader, \
            client(p, protocol).connect() as other:
        r = client(p, protocol).connect()
        r.send("x")
        if protocol:
            assert json.loads(r.recv())["error"]["status"] == 502
        assert r.wait_closed() == 1014
        p.publish("room/7", "1")
        assert reader.read(1)[0][2] == "1"
        assert other.read(1)[0][2] == "1"
    assert p.metric("inbox_refused_total") == 1


@PROTOCOLS
@pytest.mark.parametrize("status, code", [(403, 4403), (404, 4404), (429, 1014),
                                          (503, 1014), (200, 1014)])
def test_a_backend_that_refuses_says_why(penstock, backend, protocol, status,
                                         code):
    b = backend(lambda request, conn: conn.respond(status, b"no"))
    p = penstock(config(b))
    r = client(p, protocol).connect()
    if protocol:
        told = json.loads(r.recv())["error"]
        assert told["status"] == (status if status >= 400 else 502)
    assert r.wait_closed() == code


def test_a_dead_backend_is_told_and_the_rest_goes_on(penstock, ws_backend):
    b = ws_backend(echo)
    p = penstock(config(b))
    b.stop()
    r = client(p).connect()
    assert r.wait_closed() == 1014
    assert p.publish("room/7", "x")


def test_one_that_never_answers_is_given_up_in_time(penstock, backend):
    gate = threading.Event()
    b = backend(lambda request, conn: gate.wait(20))
    c = config(b)
    c["backends"]["app"] = {"servers": b.url, "response_timeout": "100ms"}
    p = penstock(c)
    r = client(p, "penstock.v1").connect()
    assert json.loads(r.recv())["error"]["status"] == 504
    assert r.wait_closed() == 1014
    gate.set()


def test_a_frame_that_is_too_large_ends_it(penstock, ws_backend):
    async def script(b, ws):
        await ws.recv()
        await ws.send("x" * 2000)
        await ws.wait_closed()
    b = ws_backend(script)
    p = penstock(config(b, reply="1KiB"))
    r = client(p).connect()
    r.send("x")
    assert r.wait_closed() == 1014
    wait_for(lambda: b.closed)
    assert b.closed[0][0] == 1009


# --- limits ------------------------------------------------------------------------

def test_json_and_rate_hold_here_too(penstock, ws_backend):
    p = penstock(config(ws_backend(echo), json=True, rate="2/h"))
    with client(p, "penstock.v1").connect() as r:
        r.send("[1]")
        r.send("[2]")
        assert r.replies(2) == [[1], [2]]
        assert r.tell(more=1)["error"]["status"] == 429
    r = client(p).connect()
    r.send("{")
    assert r.wait_closed() == 1007


def test_a_post_is_no_message_here(penstock, ws_backend):
    p = penstock(config(ws_backend(echo), route={"cors": "*"}))
    answer = p.request("POST", "/room/7", body="x")
    assert answer.status == 405
    assert "POST" not in answer.headers["Allow"]
    answer = p.request("OPTIONS", "/room/7", {
        "Origin": "http://a.example", "Access-Control-Request-Method": "POST"})
    assert "POST" not in answer.headers.get("Access-Control-Allow-Methods", "")


def settled(count):
    """What it comes to when it has not grown for a while."""
    seen, since = count(), time.monotonic()

    def still():
        nonlocal seen, since
        if count() != seen:
            seen, since = count(), time.monotonic()
        return time.monotonic() > since + 0.3
    wait_for(still)
    return seen


def send_many(r, total, size):
    """In a thread of its own: it, and what has been sent so far."""
    sent = []

    def send():
        for n in range(total):
            r.send("x" * size, timeout=60)
            sent.append(n)
    sender = threading.Thread(target=send)
    sender.start()
    return sender, sent


# --- slow ends ---------------------------------------------------------------------

def test_what_is_said_before_it_is_open_waits_within_bounds(
        small_quarantine, penstock, backend):
    open_, got = threading.Event(), []
    total, size = 600, 50000

    def handle(request, conn):
        open_.wait(20)
        accept(request, conn)
        while data := conn.sock.recv(65536):
            got.append(len(data))
        conn.close()
    p = penstock(config(backend(handle)))
    with client(p).connect() as r:
        before = p.rss()
        sender, sent = send_many(r, total, size)
        assert settled(lambda: len(sent)) < total
        assert p.rss() - before < 8 << 20
        open_.set()
        sender.join(30)
        wait_for(lambda: sum(got) == total * (size + 8))


def test_a_slow_backend_makes_its_client_wait(small_quarantine, penstock,
                                              ws_backend):
    gate = asyncio.Event()
    total, size = 600, 50000

    async def script(b, ws):
        await gate.wait()
        for _ in range(total):
            b.received.append(len(await ws.recv()))
        await ws.send("all")
    b = ws_backend(script)
    p = penstock(config(b))
    with client(p).connect() as r, SseClient(p, "/room/7").connect() as reader:
        before = p.rss()
        sender, sent = send_many(r, total, size)
        ages = []
        for n in range(30):
            begun = time.monotonic()
            p.publish("room/7", str(n))
            assert reader.read(1)[0][2] == str(n)
            ages.append(time.monotonic() - begun)
        assert sorted(ages)[15] < 0.1
        assert settled(lambda: len(sent)) < total, "more than sockets hold"
        assert p.rss() - before < 8 << 20
        b.loop.call_soon_threadsafe(gate.set)
        sender.join(30)
        while r.recv() != "all":
            pass
    assert b.received == [size] * total


def test_a_slow_client_makes_its_backend_wait(small_quarantine, penstock,
                                              ws_backend):
    total, size = 600, 50000

    async def script(b, ws):
        await ws.recv()
        for n in range(total):
            await ws.send(f"{n} " + "x" * size)
            b.received.append(n)
        await ws.wait_closed()
    b = ws_backend(script)
    p = penstock(config(b))
    # It reads nothing once 32 frames wait.
    with client(p, max_queue=1, read_limit=1024).connect() as r:
        before = p.rss()
        r.send("go")
        wait_for(lambda: b.received)
        assert settled(lambda: len(b.received)) < total, "30 MB are more than sockets hold"
        assert p.rss() - before < 8 << 20
        for _ in range(3):  # to be slow is no fault, nor is a ping
            Loop.run(r.ws.ping(), 10)
        assert [int(r.recv().split()[0]) for _ in range(total)] == list(
            range(total))


@PROTOCOLS
def test_a_slow_client_gets_all_that_is_posted_back(small_quarantine, penstock,
                                                    backend, protocol):
    """The same where answers are those to POSTs."""
    answers = []

    def handle(request, conn):
        answers.append(request.content)
        conn.respond(200, b"y" * 100000)
    b = backend(handle)
    c = config(b)
    c["routes"][0]["receive"] = {"post": "app/x"}
    p = penstock(c)
    total = 200
    with client(p, protocol, max_queue=1, read_limit=1024).connect() as r:
        before = p.rss()
        for n in range(total):
            r.send(str(n))
        assert settled(lambda: len(answers)) < total
        assert p.rss() - before < 8 << 20
        for _ in range(total):
            assert "y" * 100000 in r.recv()
    assert answers == [str(n).encode() for n in range(total)]


def test_a_reload_keeps_it(penstock, ws_backend):
    b = ws_backend(echo)
    p = penstock(config(b))
    with client(p).connect() as r:
        p.signal(signal.SIGHUP)
        p.wait_for(lambda: p.log_lines(" reload file="))
        r.send("x")
        assert r.recv() == "x"
    assert b.connections == 1


def test_many_come_and_go_and_nothing_stays(penstock, ws_backend):
    b = ws_backend(echo)
    p = penstock({**config(b), "workers": 4})
    for _ in range(3):
        rs = [client(p).connect() for _ in range(30)]
        for n, r in enumerate(rs):
            r.send(str(n))
        for n, r in enumerate(rs):
            if n % 3:
                assert r.recv() == str(n)
            r.abort() if n % 2 else r.close()
    wait_for(lambda: p.channel("room/7")["readers"] == 0)
    wait_for(lambda: len(b.closed) == b.connections)
