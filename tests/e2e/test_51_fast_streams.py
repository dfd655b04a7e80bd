"""Readers for whom only the newest message matters, and how often they want it."""

import json
import time

import pytest

import frames
import load
from clients import SseClient

pytestmark = pytest.mark.alone


def feed(**keys):
    return {"routes": [{"path": "/feed", "source": "publish", **keys}]}


def merged(p):
    return p.metric("messages_merged_total")


def test_max_rate_sends_the_newest_at_that_rate(penstock):
    p = penstock(feed(max_rate="10/s", transports=["sse", "websocket"]))
    with SseClient(p, "/feed").connect() as r:
        began = time.monotonic()
        for n in range(60):
            p.publish("feed", str(n))
            p.wait_for(lambda n=n: time.monotonic() - began > n / 100)
        got = []
        while not got or got[-1] != "59":
            got += [m[2] for m in r.read(1)]
        took = time.monotonic() - began
    assert got == sorted(set(got), key=int)  # in order, none twice
    assert len(got) <= took * 10 + 2
    assert merged(p) >= 60 - len(got)


def test_batch_wait_sends_what_came_together(penstock):
    p = penstock(feed(batch={"wait": "300ms"}, transports=["sse"]))
    with SseClient(p, "/feed").connect() as r:
        began = time.monotonic()
        for n in range(5):
            p.publish("feed", str(n))
        assert [m[2] for m in r.read(5)] == ["0", "1", "2", "3", "4"]
        assert time.monotonic() - began >= 0.25


def test_latest_is_the_latest_for_a_slow_reader(penstock):
    """60 messages a second of 20 kB to a reader that takes 5 a second: what it
    reads was the newest when the one before it had been read."""
    p = penstock(feed(lag="latest", transports=["websocket"],
                      history={"messages": 100}))
    ws = frames.Client(p.port, "/feed", rcvbuf=4096)
    began, ages, n, next_read = time.monotonic(), [], 0, 1.0
    before = p.rss()
    while n < 300:
        now = time.monotonic() - began
        if now >= n / 60:
            p.publish("feed", json.dumps({"t": now, "fill": "x" * 20000}))
            n += 1
        if now >= next_read:
            message = json.loads(ws.frame().payload)
            ages.append(time.monotonic() - began - message["t"])
            next_read = now + 0.2
    steady = sorted(ages[3:])  # the first were written while none was read
    print(f"age of the newest: median {steady[len(steady) // 2]:.3f} s, "
          f"worst {steady[-1]:.3f} s, merged {merged(p)}")
    assert steady[len(steady) // 2] < 0.25
    assert steady[-1] < 1.0  # a noisy machine's worst
    assert merged(p) > 150
    # A sanitizer keeps what was freed for a while.
    assert load.sanitizer() or p.rss() - before < 8 << 20
