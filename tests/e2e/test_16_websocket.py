"""WebSocket to the letter: the 517 cases of tests/lib/websocket_cases.py
against an echo route, the end of a connection from either side, and clients
that abuse it."""

import os
import time

import pytest

import frames
import load
import penstock as penstock_module
import websocket_cases
from frames import CLOSE, PING, PONG, close, close_code
from raw import wait_for
from websocket_cases import KIB, MIB

ECHO = {"path": "/echo", "channel": "echo/{connection}", "receive": "channel",
        "transports": ["websocket", "sse"], "message": "32MiB",
        "history": {"messages": 100, "bytes": "256MiB", "age": "1s"}}
CASES = list(websocket_cases.cases())
DEFLATED = list(websocket_cases.deflated())
# A thousand messages for every case take minutes: PENSTOCK_SCALE=1000 is all.
SCALE = float(os.environ.get("PENSTOCK_SCALE", "1"))
DEFLATED_BYTES = None if SCALE >= 1000 else int(SCALE * 512 * KIB)


@pytest.fixture(scope="module")
def echo(tmp_path_factory):
    """One penstock for all cases: they do not meet."""
    p = penstock_module.Penstock(
        {"workers": 2, "log": {"access": "off"},
         "routes": [ECHO]},
        tmp_path_factory.mktemp("echo"))
    p.start()
    yield p
    p.stop()


@pytest.fixture(scope="module")
def deflating(tmp_path_factory):
    """The same with permessage-deflate."""
    p = penstock_module.Penstock(
        {"workers": 2, "log": {"access": "off"},
         "routes": [{**ECHO, "compress": True}]},
        tmp_path_factory.mktemp("deflate"))
    p.start()
    yield p
    p.stop()


def numbers(cases):
    return [c.number for c in cases]


def test_there_are_517_cases():
    counts = {}
    for number in numbers(CASES + DEFLATED):
        counts.setdefault(int(number.split(".")[0]), set()).add(number)
    assert {section: len(n) for section, n in counts.items()} == {
        1: 16, 2: 11, 3: 7, 4: 10, 5: 20, 6: 145, 7: 37, 9: 54, 10: 1, 12: 90,
        13: 126}
    assert len(CASES + DEFLATED) == 517


@pytest.mark.parametrize("case", CASES, ids=numbers(CASES))
def test_case(echo, case):
    with frames.Client(echo.port, "/echo") as ws:
        assert ws.status == 101, ws.head
        case.run(ws)


@pytest.mark.parametrize("case", DEFLATED, ids=numbers(DEFLATED))
def test_deflate_case(deflating, case):
    headers = {"Sec-WebSocket-Extensions": case.offer}
    with frames.Client(deflating.port, "/echo", headers) as ws:
        assert ws.status == 101, ws.head
        case.run(ws, DEFLATED_BYTES)


# --- the end of a connection -----------------------------------------------------

NEWS = {"path": "/news", "source": "publish"}


def news(**keys):
    return {"log": {"access": "off"}, "workers": 1,
            "routes": [{**NEWS, **keys}]}


def closes(ws, code):
    """The next frame closes with this code."""
    f = ws.frame()
    assert f is not None and f.opcode == CLOSE, f
    assert close_code(f) == code, f


def follows(p, n=1):
    """Waits until so many readers follow."""
    p.wait_for(lambda: (p.channel("news") or {}).get("readers") == n)


def has_ended(p):
    """It ends by itself: a second SIGTERM would cut that short."""
    code = p.process.wait(10)
    p.followed()
    assert code == 0


def test_a_server_that_drains_waits_for_the_clients_close(penstock):
    p = penstock(news())
    with frames.Client(p.port, "/news") as ws:
        follows(p)
        p.signal(15)
        closes(ws, 1001)
        assert ws.nothing(0.5)       # it waits
        ws.send(close(1001))
        began = time.monotonic()
        assert ws.frame() is None    # and ends the connection first
        assert time.monotonic() - began < 0.5
    has_ended(p)


def test_a_client_that_does_not_answer_close_is_left_after_two_seconds(penstock):
    p = penstock(news())
    with frames.Client(p.port, "/news") as ws:
        follows(p)
        p.signal(15)
        closes(ws, 1001)
        began = time.monotonic()
        assert ws.frame() is None
        assert 1.5 < time.monotonic() - began < 3
    has_ended(p)


def test_what_comes_after_our_close_is_read_past(penstock):
    p = penstock(news(receive="channel", message="1MiB"))
    with frames.Client(p.port, "/news") as ws:
        follows(p)
        assert p.admin("DELETE", "/channels/news").status in (200, 204)
        closes(ws, 1001)
        ws.send(frames.ping(b"late") + frames.text(b"x" * 300000)
                + frames.text(b"half", fin=False) + close(1001))
        assert ws.frame() is None
    assert p.metric("messages_published_total") == 0


def test_after_our_close_a_bad_frame_is_the_end_too(penstock):
    p = penstock(news())
    with frames.Client(p.port, "/news") as ws:
        follows(p)
        p.admin("DELETE", "/channels/news")
        closes(ws, 1001)
        ws.send(b"\xff\xff")
        assert ws.frame(timeout=1) is None


def test_messages_that_were_there_go_out_before_the_close(penstock):
    p = penstock(news(start="oldest", batch={"wait": "10s"}))
    with frames.Client(p.port, "/news") as ws:
        follows(p)
        for n in range(3):
            p.publish("news", str(n))
        ws.send(close(1000))
        assert [f.payload for f in (ws.frame(), ws.frame(), ws.frame())] \
            == [b"0", b"1", b"2"]
        closes(ws, 1000)
        assert ws.frame() is None


def test_a_message_to_a_route_that_takes_none_is_1008(penstock):
    p = penstock(news())
    with frames.Client(p.port, "/news") as ws:
        ws.send(frames.text(b"hello"))
        closes(ws, 1008)
        assert ws.frame() is None


def test_a_message_over_the_limit_is_1009_before_it_is_sent(penstock):
    p = penstock(news(receive="channel", message="1KiB"))
    for head in (b"\x82\xfe\x04\x01",             # 1025 octets
                 b"\x82\xff\x7f" + b"\xff" * 7):   # as many as there are
        with frames.Client(p.port, "/news") as ws:
            ws.send(head)
            closes(ws, 1009)
            assert ws.frame() is None
    with frames.Client(p.port, "/news") as ws:
        ws.send(frames.text(b"x" * 1024))
        assert ws.frame().payload == b"x" * 1024
        ws.send(frames.text(b"x" * 1000, fin=False)
                + frames.cont(b"x" * 25)[:2])
        closes(ws, 1009)


def test_a_reader_that_is_too_slow_is_told_1013(penstock):
    p = penstock(news(history={"messages": 20}))
    with frames.Client(p.port, "/news", rcvbuf=2304) as ws:
        follows(p)
        n = 0
        while not p.log_lines(" reader.close ", "reason=too-slow"):
            assert n < 2000
            p.publish("news", b"x" * 50000, type="application/octet-stream")
            n += 1
        while (f := ws.frame()).opcode == frames.BINARY:
            assert len(f.payload) == 50000
        assert close_code(f) == 1013
        ws.send(close(1013))
        assert ws.frame() is None
    assert p.metric("readers_cut_total") == 1


# --- signs of life -----------------------------------------------------------------

def test_pings_go_into_silence_and_pongs_are_timed(penstock):
    p = penstock(news(heartbeat="100ms"))
    with frames.Client(p.port, "/news") as ws:
        for _ in range(3):
            f = ws.frame()
            assert f.opcode == PING
            time.sleep(0.02)
            ws.send(frames.pong(f.payload))
        p.wait_for(lambda: p.metric("pongs_total") >= 3)
        ws.send(frames.pong(b"unasked") * 10)
        ws.send(close(1000))
        ws.end()
    pings, pongs = p.metric("pings_total"), p.metric("pongs_total")
    assert 3 <= pongs <= pings <= pongs + 1
    assert pongs * 0.015 < p.metric("pong_wait_seconds_total") < pongs


def test_a_client_that_answers_no_ping_is_dead(penstock):
    p = penstock(news(heartbeat="100ms"))
    with frames.Client(p.port, "/news") as ws:
        assert [f.opcode for f in ws.end()] == [PING]
    assert p.metric("readers_dead_total") == 1
    p.wait_for(lambda: p.log_lines(" reader.close ", "reason=no-pong"))


def test_any_octet_is_a_sign_of_life(penstock):
    p = penstock(news(heartbeat="150ms"))
    with frames.Client(p.port, "/news") as ws:
        whole = frames.pong(b"a slow pong")
        for octet in whole[:8]:
            f = ws.frame()
            assert f.opcode == PING
            ws.send(bytes([octet]))
    assert p.metric("readers_dead_total") == 0


# --- abuse -------------------------------------------------------------------------

def little(p, rss, limit_bytes):
    """Whether memory has grown by little since.  (A sanitizer keeps what is
    freed.)"""
    return bool(load.sanitizer()) or p.rss() - rss < limit_bytes


def test_a_burst_of_pings_is_answered_whole(echo):
    with frames.Client(echo.port, "/echo") as ws:
        ws.send(b"".join(frames.ping(b"%03d" % i + b"x" * 122)
                         for i in range(900)))
        for i in range(900):
            f = ws.frame()
            assert f.opcode == PONG and f.payload[:3] == b"%03d" % i


def test_pings_whose_pongs_are_not_read_end_with_1008(echo):
    rss = echo.rss()
    with frames.Client(echo.port, "/echo", rcvbuf=2304) as ws:
        burst = frames.ping(b"x" * 125) * 1000
        try:
            for _ in range(100):
                ws.send(burst)
        except OSError:
            pass
        said = []
        try:
            said = ws.end()
        except AssertionError:
            pass  # it was cut inside a pong
    assert all(f.opcode == PONG for f in said[:-1])
    assert len(said) < 100000
    assert not said or said[-1].opcode != CLOSE or close_code(said[-1]) == 1008
    wait_for(lambda: little(echo, rss, 8 * MIB))


def test_fragments_without_end_are_1008(echo):
    rss = echo.rss()
    with frames.Client(echo.port, "/echo") as ws:
        empty = frames.cont(fin=False) * 50000
        try:
            ws.send(frames.text(fin=False))
            for _ in range(20):
                ws.send(empty)
        except OSError:
            pass
        closes(ws, 1008)
    assert little(echo, rss, 4 * MIB)


def test_declared_sizes_cost_nothing(echo):
    rss = echo.rss()
    clients = [frames.Client(echo.port, "/echo") for _ in range(50)]
    for ws in clients:
        ws.send(b"\x82\xff" + (30 * MIB).to_bytes(8, "big") + frames.MASK + b"x")
    for ws in clients:
        assert ws.nothing(0.01)
        ws.rst()
    assert little(echo, rss, 16 * MIB)


@pytest.mark.parametrize("origin, status", [
    (None, 101), ("http://{host}", 101), ("https://{host}", 101),
    ("HTTP://{host}", 101), ("http://evil.example", 403), ("null", 403),
    ("", 403), ("http://{host}.evil.example", 403), ("http://x@{host}", 403),
    ("http://{host}/", 403), ("{host}", 403), ("file://", 403)])
def test_only_pages_of_the_same_host_may_connect(echo, origin, status):
    headers = {}
    if origin is not None:
        headers["Origin"] = origin.format(host=f"127.0.0.1:{echo.port}")
    with frames.Client(echo.port, "/echo", headers) as ws:
        assert ws.status == status, ws.head


def test_origins_that_a_route_names_may_connect_and_no_others(penstock):
    p = penstock(news(origins=["https://a.example", "https://b.example:8443"]))
    for origin, status in (("https://a.example", 101),
                           ("https://b.example:8443", 101),
                           ("https://b.example", 403), ("null", 403),
                           ("http://a.example", 403)):
        with frames.Client(p.port, "/news", {"Origin": origin}) as ws:
            assert ws.status == status, (origin, ws.head)
