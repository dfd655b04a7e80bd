"""Tens of thousands of clients: what shows only with many, or in a long run."""

import signal
import time

import pytest

import load
import raw

pytestmark = [pytest.mark.load, pytest.mark.slow]
KIB = 1024


def quiet(routes, **keys):
    """A line for each of so many requests would be what is measured."""
    return {"log": {"access": "off"}, "routes": routes, **keys}


# --- long polls ----------------------------------------------------------------

# With many clients polls end at every moment; with few, messages come faster
# than they can be waited for, and workers take turns in the midst of a step.
@pytest.mark.parametrize("workers, clients, messages", [
    (2, load.scaled(10000, 200), load.scaled(20, 50)),
    (4, load.scaled(10000, 200), load.scaled(20, 50)),
    (4, 200, load.scaled(1000, 200))])
def test_no_message_is_lost_between_two_polls(penstock, workers, clients,
                                              messages):
    p = penstock(quiet([{"path": "/r/{c}", "source": "publish",
                         "transports": "longpoll", "wait": "60s"}],
                       workers=workers))
    # A wake-up that is lost would be made good by the poll's own end, 60 s
    # later; what machines are busy with takes less than the patience here.
    done = load.race(p, clients, messages, patience_s=load.scaled(10, 30),
                     timeout=150)
    assert done["messages"] == clients * messages
    # The race was run: polls ended empty, and some took several messages.
    assert done["empty"] > 0 and done["batched"] > 0


# --- idle followers ------------------------------------------------------------

def pss(p):
    """Octets that are this process's, shared ones in parts."""
    with open(f"/proc/{p.process.pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) * KIB for line in f
                    if line.startswith("Pss:"))


def test_eighteen_thousand_idle_followers(penstock):
    p = penstock(quiet([{"path": "/news", "source": "publish",
                         "transports": ["sse", "websocket"],
                         "heartbeat": "2s"}]))
    p.wait_for(lambda: p.log_lines(" start ", "descriptors="))
    each = load.scaled(9000, 200)
    p.publish("news", "0")
    before = pss(p)
    with load.Crowd(p, "/news") as crowd:
        crowd.connect("sse", each)
        crowd.connect("websocket", each)
        assert p.channel("news")["readers"] == 2 * each
        held = pss(p)
        # Each has been sent a comment, or a ping that it answered.
        began = p.cpu_s()
        p.wait_for(lambda: crowd.status()["pings"] >= 2 * each, 60, "pings")
        print(f"two heartbeats of {2 * each} readers: "
              f"{p.cpu_s() - began:.2f} s of CPU")
        status = crowd.status()
        assert status["following"] == 2 * each and status["closed"] == 0
        done = crowd.publish(1, 1, 100)
        assert done["delivered"] == 2 * each
        print(f"one message to {2 * each}: the last one had it after "
              f"{done['max_ms']:.0f} ms")
        after = pss(p)
    print(f"memory per idle reader: {(held - before) / (2 * each):.0f} octets "
          f"({(after - before) / (2 * each):.0f} after pings and a message), "
          f"{2 * each} readers; {load.machine()}")
    if not load.sanitizer() and each >= 1000:
        assert after - before < 2 * each * 4 * KIB
    p.wait_for(lambda: p.channel("news")["readers"] == 0, 20, "all to be gone")


def test_a_crowd_is_let_go_evenly_and_in_time(penstock):
    p = penstock(quiet([{"path": "/news", "source": "publish",
                         "transports": ["sse", "websocket"]}],
                       limits={"drain_timeout": "10s", "drain_spread": "3s"}))
    each = load.scaled(3000, 1000)
    with load.Crowd(p, "/news") as crowd:
        crowd.connect("sse", each)
        crowd.connect("websocket", each)
        began = time.monotonic()
        p.signal(signal.SIGTERM)
        raw.wait_for(lambda: crowd.status()["closed"] >= each / 2, 5, "some")
        assert time.monotonic() - began > 0.3
        assert p.process.wait(8) == 0
        raw.wait_for(lambda: crowd.status()["closed"] == 2 * each, 5, "all")
    p.stop()
    assert not p.log_lines("drain.cut")
