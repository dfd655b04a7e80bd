"""How long connections live, and what a reload or a stop leaves of them."""

import datetime
import signal
import socket
import threading
import time

import pytest

import load
import raw
from backend import Feed
from clients import SseClient, WsClient, reader

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
    p.wait_for(lambda: p.log_lines("reader.close", "reason=max-age"))


def test_a_websocket_at_max_age_is_told_to_come_back(penstock):
    p = penstock(config({**NEWS, "max_age": "500ms"}))
    assert WsClient(p, "/news").connect().wait_closed(5) == 1012


def test_streams_that_began_together_do_not_end_together(penstock):
    p = penstock(config({**NEWS, "max_age": "2s"}))
    began = time.monotonic()
    times = ends([SseClient(p, "/news").connect() for _ in range(20)], began)
    assert all(1.5 < t < 3 for t in times)
    p.wait_for(lambda: len(p.log_lines("reason=max-age")) == 20)
    assert spread_s(p.log_lines("reason=max-age")) > 0.1


def test_max_age_counts_while_messages_flow(penstock):
    # The history is too long to fall behind of, however slow this reader is.
    p = penstock(config({**NEWS, "max_age": "1s", "heartbeat": "10ms",
                         "history": {"messages": 1000000}}))
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


# --- reload ------------------------------------------------------------------

def reload(p, *routes, **keys):
    """SIGHUP with these routes in the file; ends when every worker has it."""
    before = len(p.log_lines(" reload file="))
    p.write_config({**p.config, **keys,
                    "routes": list(routes) or p.config["routes"]})
    p.signal(signal.SIGHUP)
    p.wait_for(lambda: len(p.log_lines(" reload file=")) > before, 10, "reload")


def waiting(p, channel, n):
    p.wait_for(lambda: (p.channel(channel) or {}).get("readers") == n, 10,
               f"{n} readers of {channel}")


class Three:
    """An SSE stream, a WebSocket and a long poll that wait."""

    def __init__(self, p, path="/news"):
        self.sse = SseClient(p, path).connect()
        self.ws = WsClient(p, path).connect()
        self.poll = p.client()
        self.poll.send_request("GET", path + "?wait=20")
        waiting(p, path[1:], 3)

    def close(self):
        self.sse.close()
        self.ws.close()
        self.poll.close()

    def go_on(self, p, text):
        """All of them get the next message."""
        p.publish("news", text)
        assert self.sse.read(1)[0][2] == self.ws.read(1)[0][2] == text
        assert self.poll.response().json()["messages"][0]["data"] == text

    def are_let_go(self, code=1012):
        with pytest.raises(raw.Closed, match="ended"):
            self.sse.read(1)
        assert self.sse.response.body.done, "the last chunk is missing"
        assert self.ws.wait_closed() == code
        answer = self.poll.response()
        assert answer.status == 204 and "since=" in answer.headers["Link"]
        self.close()
        return answer


OTHER = {"path": "/other", "source": "publish"}


@pytest.mark.parametrize("keys", [
    {}, {"heartbeat": "1s"}, {"history": {"messages": 7}}, {"start": "oldest"},
    {"lag": "skip"}, {"wait": "9s"}, {"max_age": "1h"},
    {"limits": {"rate": "100/s"}}, {"retry": "1s"},
    {"transports": ["websocket", "sse", "longpoll"]},
])
def test_what_readers_need_not_notice_they_do_not(penstock, keys):
    p = penstock(config(NEWS, workers=2))
    three = Three(p)
    reload(p, {**NEWS, **keys}, OTHER)
    three.go_on(p, "after")
    three.close()


@pytest.mark.parametrize("routes", [
    [OTHER],
    [{**NEWS, "channel": "else"}],
    [{**NEWS, "host": "a.example"}],
    [{**NEWS, "origins": "https://a.example"}],
    [{**NEWS, "cors": "https://a.example"}],
    [{**NEWS, "receive": "channel"}],
    [{"path": "/news", "proxy": "app"}],
], ids=["gone", "channel", "host", "origins", "cors", "receive", "proxy"])
def test_readers_of_what_is_gone_are_let_go(penstock, routes):
    p = penstock(config(NEWS, workers=2,
                        backends={"app": "http://127.0.0.1:9"}))
    three = Three(p)
    reload(p, *routes)
    answer = three.are_let_go()
    assert answer.headers.get("Connection") != "close"
    p.wait_for(lambda: len(p.log_lines("reader.close",
                                       "reason=route-changed")) == 2)
    assert (p.channel("news") or {"readers": 0})["readers"] == 0


def test_a_transport_that_is_gone_lets_its_readers_go_alone(penstock):
    p = penstock(config(NEWS))
    three = Three(p)
    reload(p, {**NEWS, "transports": ["sse", "longpoll"]})
    assert three.ws.wait_closed() == 1012
    p.publish("news", "x")
    assert three.sse.read(1)[0][2] == "x"
    three.close()


def test_new_settings_are_those_of_readers_that_are_there(penstock):
    p = penstock(config({**NEWS, "heartbeat": "1h"}))
    with SseClient(p, "/news").connect() as r:
        reload(p, {**NEWS, "heartbeat": "100ms", "max_age": "1h"})
        r.wait_comments(4)
        reload(p, {**NEWS, "heartbeat": "1h", "max_age": "300ms"})
        with pytest.raises(raw.Closed, match="ended"):
            r.read(1, 5)


def test_whoever_is_let_go_comes_back_and_misses_nothing(penstock):
    p = penstock(config(NEWS))
    with SseClient(p, "/news").connect() as r:
        id = p.publish("news", "1")
        r.read(1)
        reload(p, OTHER)
        with pytest.raises(raw.Closed, match="ended"):
            r.read(1)
    reload(p, NEWS)
    p.publish("news", "2")
    with SseClient(p, "/news").connect(id) as r:
        assert [m[2] for m in r.read(1)] == ["2"] and r.gaps == 0


def streams(url="app/f", **keys):
    return {"path": "/f", "source": {"sse": url, **keys}, "transports": ALL}


def test_a_source_goes_on_over_a_reload(penstock, backend):
    feed = Feed()
    b = backend(feed.sse)
    p = penstock(config(streams(), workers=2, backends={"app": b.url}))
    with SseClient(p, "/f").connect() as r:
        p.wait_for(lambda: feed.readers == 1)
        for n in range(5):
            reload(p, streams(linger=f"{n + 1}s", idle_timeout="1h"), OTHER)
            feed.add(str(n))
            assert r.read(1)[0][2] == str(n)
    assert feed.asked == [None]


def test_a_source_on_other_servers_keeps_its_place(penstock, backend):
    feed = Feed()
    b, c = backend(feed.sse), backend(feed.sse)
    p = penstock(config(streams(), backends={"app": b.url}))
    with SseClient(p, "/f").connect() as r:
        p.wait_for(lambda: feed.readers == 1)
        feed.add("1")
        r.read(1)
        reload(p, backends={"app": c.url})
        feed.add("2")
        assert [m[2] for m in r.read(1)] == ["2"]
        assert r.nothing()
    assert feed.asked == [None, "1"]
    assert len(c.requests) == 1


def test_a_source_with_another_url_begins_anew(penstock, backend):
    feed = Feed()
    b = backend(feed.sse)
    p = penstock(config(streams(), backends={"app": b.url}))
    with SseClient(p, "/f").connect() as r:
        p.wait_for(lambda: feed.readers == 1)
        feed.add("1")
        r.read(1)
        reload(p, streams("app/g"))
        assert r.read(1)[0][2] == "1"
        p.wait_for(lambda: feed.readers == 1, what="the old one being closed")
    assert [q.target for q in b.requests] == ["/f", "/g"]
    assert feed.asked == [None, None]


def test_a_source_whose_route_is_gone_stops_and_its_history_stays(penstock,
                                                                  backend):
    feed = Feed()
    b = backend(feed.sse)
    p = penstock(config(streams(when="always"), OTHER,
                        backends={"app": b.url}))
    feed.add("1")
    p.wait_for(lambda: (p.channel("f") or {}).get("messages") == 1)
    reload(p, OTHER)
    p.wait_for(lambda: feed.readers == 0)
    assert p.channel("f")["messages"] == 1
    reload(p, {"path": "/f", "source": "publish"}, OTHER)
    assert p.get("/f").text == "1"


def test_a_source_that_always_runs_starts_with_a_reload(penstock, backend):
    feed = Feed()
    b = backend(feed.sse)
    p = penstock(config(OTHER, backends={"app": b.url}))
    reload(p, OTHER, streams(when="always"))
    p.wait_for(lambda: feed.readers == 1)
    feed.add("1")
    p.wait_for(lambda: p.get("/f").status == 200)
    reload(p, OTHER, streams(when="needed", linger="100ms"))
    p.wait_for(lambda: feed.readers == 0)


def test_readers_are_fed_by_the_source_that_their_route_gets(penstock, backend):
    feed = Feed()
    b = backend(feed.sse)
    p = penstock(config({**NEWS, "channel": "f"}, workers=2,
                        backends={"app": b.url}))
    with SseClient(p, "/news").connect() as r:
        p.publish("f", "published")
        reload(p, {**NEWS, "channel": "f", "source": {"sse": "app/f"}})
        feed.add("streamed")
        assert [m[2] for m in r.read(2)] == ["published", "streamed"]
        reload(p, {**NEWS, "channel": "f"})
        p.wait_for(lambda: feed.readers == 0)
        p.publish("f", "again")
        assert r.read(1)[0][2] == "again"


def test_limits_follow_a_reload(penstock):
    p = penstock(config({**NEWS, "limits": {"rate": "1/h"}}))
    p.get("/news")
    assert p.get("/news").status == 429
    reload(p, NEWS, limits={"per_address": 1, "accept_rate": "1000/s"})
    assert p.get("/news").status == 204
    with p.client(source="127.0.0.2") as c:
        assert c.get("/news").status == 204
        with p.client(source="127.0.0.2") as other:
            assert other.get("/news").status == 503


# --- addresses ---------------------------------------------------------------

def can_connect(port):
    try:
        raw.Client(port, timeout=2).close()
    except OSError:
        return False
    return True


def test_addresses_come_and_go_with_a_reload(penstock):
    a, b = raw.free_port(), raw.free_port()
    p = penstock({**config(NEWS, workers=3), "listen": [f"127.0.0.1:{a}"]})
    with SseClient(p, "/news").connect() as r:
        reload(p, listen=[f"127.0.0.1:{a}", f"127.0.0.1:{b}"])
        for _ in range(10):
            with raw.Client(b) as c:
                assert c.get("/news?wait=0").status == 204
        reload(p, listen=[f"127.0.0.1:{b}"])
        assert not can_connect(a) and can_connect(b)
        p.publish("news", "1")
        assert r.read(1)[0][2] == "1"  # it came by a, and stays
    reload(p, listen=[f":{b}"])
    assert can_connect(b)


def test_the_admin_address_follows_a_reload(penstock):
    p = penstock(config(NEWS))
    port = raw.free_port()
    reload(p, admin=f"127.0.0.1:{port}")
    p.wait_for(lambda: not can_connect(p.admin_port))
    p.admin_port = port
    assert p.publish("news", "1")


def test_an_address_that_is_taken_changes_nothing(penstock):
    p = penstock(config(NEWS))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        p.write_config({**p.config, "routes": [OTHER],
                        "listen": ["127.0.0.1:0", f"127.0.0.1:{port}"]})
        p.signal(signal.SIGHUP)
        p.wait_for(lambda: p.log_lines("error reload.failed"))
    p.wait_for(lambda: p.log_lines("listen.failed", f"127.0.0.1:{port}"))
    assert p.get("/news?wait=0").status == 204


# --- many reloads ------------------------------------------------------------

@pytest.mark.slow
def test_a_hundred_reloads_under_load_cost_nobody_anything(
        penstock, backend, monkeypatch):
    """Readers on all transports, of a channel that is published to and of one
    that has a source; nobody is dropped, nothing is lost, nothing leaks."""
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=1")
    feed = Feed()
    b = backend(feed.sse)
    routes = [NEWS, streams()]
    p = penstock(config(*routes, workers=2, backends={"app": b.url}))
    staying = [t(p, path).connect() for path in ("/news", "/f")
               for t in (SseClient, WsClient) for _ in range(15)]
    moving = [reader(t, p, "/news").connect() for t in ("longpoll", "poll")
              for _ in range(3)]
    p.wait_for(lambda: feed.readers == 1)
    sent = []
    for n in range(100):
        sent.append(str(n))
        p.publish("news", sent[-1])
        feed.add(sent[-1])
        reload(p, {**NEWS, "heartbeat": f"{10 + n % 5}s"},
               streams(linger=f"{1 + n % 5}s"),
               *[{"path": f"/{k}/{{x}}", "source": "publish"}
                 for k in range(n % 7)])
        for r in moving:
            assert [m[2] for m in r.read(1)] == [sent[-1]]
        if n == 19:
            settled = p.rss()
    for r in staying:
        assert [m[2] for m in r.read(100)] == sent and r.gaps == 0
    assert feed.asked == [None]
    assert p.rss() < settled * 1.05 + (1 << 20), (settled, p.rss())
    for r in staying + moving:
        r.close()


class Poller(threading.Thread):
    """Follows a channel by one of the polls until it has had so many messages,
    which the crowd's publisher numbers."""

    def __init__(self, p, transport, n):
        super().__init__()
        self.reader, self.n = reader(transport, p, "/news").connect(), n
        self.numbers = []
        self.start()

    def run(self):
        self.numbers = [int(m[2].split()[0])
                        for m in self.reader.read(self.n, 120)]


@pytest.mark.load
@pytest.mark.slow
def test_a_thousand_readers_notice_nothing_of_a_hundred_reloads(
        penstock, monkeypatch):
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=1")
    p = penstock(config(NEWS, workers=2))
    each, messages = load.scaled(500, 100), 1500
    resident = []

    def reload_on_and_on():
        for n in range(100):
            reload(p, {**NEWS, "heartbeat": f"{15 + n % 9}s"},
                   *[{**OTHER, "path": f"/other/{k}"} for k in range(n % 20)])
            resident.append(p.rss())

    with load.Crowd(p, "/news") as crowd:
        crowd.connect("sse", each)
        crowd.connect("websocket", each)
        pollers = [Poller(p, t, messages) for t in ("longpoll", "poll") * 3]
        reloads = threading.Thread(target=reload_on_and_on)
        reloads.start()
        done = crowd.publish(messages, 100, 100)
        reloads.join()
        assert done["misplaced"] == 0
        assert done["delivered"] == 2 * each * messages
        status = crowd.status()
        assert (status["following"], status["closed"]) == (2 * each, 0)
    for poller in pollers:
        poller.join()
        assert len(poller.numbers) == messages and poller.reader.gaps == 0
        assert poller.numbers == sorted(set(poller.numbers))
        poller.reader.close()
    assert len(resident) == 100
    flat = max(resident[10:20])
    assert max(resident[90:]) < flat * 1.1 + (1 << 20), resident
