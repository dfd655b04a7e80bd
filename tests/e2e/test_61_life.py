"""How long connections live, and what a reload or a stop leaves of them."""

import datetime
import signal
import threading
import time

import pytest

import raw
from backend import Feed
from clients import SseClient, WsClient

ALL = ["poll", "longpoll", "sse", "websocket"]
NEWS = {"path": "/news", "source": "publish", "transports": ALL}


def config(*routes, **keys):
    return {"routes": list(routes), **keys}


# --- max_age -----------------------------------------------------------------

def ends(clients, began):
    """When each of these streams ended, in seconds."""
    times = []
    for c in clients:
        while c.response.body.some(c.client.deadline()):
            pass
        times.append(time.monotonic() - began)
    return times


def spread_s(lines):
    """The time between the first and the last of these log lines."""
    times = sorted(datetime.datetime.fromisoformat(l.split()[0][:-1])
                   for l in lines)
    return (times[-1] - times[0]).total_seconds()


def test_a_stream_ends_in_order_at_max_age_and_is_resumed(penstock):
    p = penstock(config({**NEWS, "max_age": "1s"}))
    r = SseClient(p, "/news").connect()
    first = p.publish("news", "1")
    assert r.read(1)[0][2] == "1"
    with pytest.raises(raw.Closed, match="ended"):
        r.read(1, 5)
    assert r.response.body.done, "the last chunk is missing"
    p.publish("news", "2")
    with SseClient(p, "/news").connect(first) as again:
        assert again.read(1)[0][2] == "2"
    assert p.log_lines("reader.close", "reason=max-age")


def test_a_websocket_at_max_age_is_told_to_come_back(penstock):
    p = penstock(config({**NEWS, "max_age": "500ms"}))
    assert WsClient(p, "/news").connect().wait_closed(5) == 1012


def test_streams_that_began_together_do_not_end_together(penstock):
    p = penstock(config({**NEWS, "max_age": "2s"}))
    began = time.monotonic()
    times = ends([SseClient(p, "/news").connect() for _ in range(20)], began)
    assert all(1.5 < t < 3 for t in times)
    assert spread_s(p.log_lines("reason=max-age")) > 0.1


def test_max_age_counts_while_messages_flow(penstock):
    p = penstock(config({**NEWS, "max_age": "1s", "heartbeat": "10ms"}))
    stop = threading.Event()

    def publish():
        while not stop.is_set():
            p.publish("news", "x")

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        began = time.monotonic()
        with SseClient(p, "/news").connect() as r:
            assert 0.7 < ends([r], began)[0] < 3
    finally:
        stop.set()
        publisher.join()


# --- stop --------------------------------------------------------------------

def crowd(p, n, path="/news"):
    return [SseClient(p, path).connect() for _ in range(n)]


def test_a_crowd_is_let_go_evenly(penstock):
    p = penstock(config(NEWS, workers=1, limits={"drain_timeout": "4s"}))
    readers = crowd(p, 400)
    began = time.monotonic()
    p.signal(signal.SIGTERM)
    times = sorted(ends(readers, began))
    assert p.process.wait(10) == 0
    # 400 at 10 in 20 ms; drain_spread would be half of drain_timeout.
    assert 0.6 < times[-1] < 3
    assert times[200] < times[-1] * 0.8
    p.stop()


def test_drain_spread_may_be_nothing(penstock):
    p = penstock(config(NEWS, workers=1, limits={"drain_spread": "0s"}))
    readers = crowd(p, 400)
    began = time.monotonic()
    p.signal(signal.SIGTERM)
    assert max(ends(readers, began)) < 0.6
    assert p.process.wait(10) == 0
    p.stop()


def test_whoever_is_still_there_gets_what_still_comes(penstock, backend):
    """The source runs on until the last reader has been let go."""
    feed = Feed()
    b = backend(feed.sse)
    p = penstock(config({"path": "/f", "source": {"sse": "app/f"}},
                        workers=2, backends={"app": b.url},
                        limits={"drain_timeout": "8s"}))
    readers = crowd(p, 300, "/f")
    p.wait_for(lambda: feed.readers == 1)
    p.signal(signal.SIGTERM)
    p.wait_for(lambda: p.log_lines(" drain "))
    feed.add("late")
    got = []
    for r in readers:
        try:
            got += r.read(1)
        except raw.Closed:
            pass
    assert got and {m[2] for m in got} == {"late"}
    assert p.process.wait(10) == 0
    p.stop()
