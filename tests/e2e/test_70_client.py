"""penstock.js, in node and in a page of Chromium: what it reads, how it falls
back, and what survives when connections, routes and penstock itself go."""

import asyncio
import json
import signal
import subprocess
import threading
import time

import pytest
import websockets

import programs
import raw
from faults import FaultProxy
from programs import LIB, Script

SCRIPT = LIB.parent.parent / "src" / "client" / "penstock.js"
ALL = ["websocket", "sse", "longpoll", "poll"]
everywhere = pytest.mark.parametrize("place", [
    pytest.param("node", marks=pytest.mark.node),
    pytest.param("chromium", marks=[pytest.mark.chromium, pytest.mark.slow])])
each = pytest.mark.parametrize("transport", ALL)
node = pytest.mark.node

# A test has no time to be patient.
QUICK = {"retry": 20, "pollInterval": 40}


def news(transports=ALL, **keys):
    return {"client": True, "routes": [
        {"path": "/news", "source": "publish", "transports": transports,
         "retry": "50ms", **keys}]}


class Client(Script):
    """penstock.js at work; everything that it told so far."""

    def __init__(self, place, url, directory=None, until="end", types=(),
                 send=(), page=None, subscribe=None, **client):
        super().__init__(f"{place}_penstock.mjs", {
            "script": str(SCRIPT), "url": url, "until": until,
            "types": list(types), "send": list(send),
            **({"page": page} if page else {}),
            **({"subscribe": subscribe} if subscribe else {}),
            "client": {**QUICK, **client},
            "profile": str(directory), "executable": programs.CHROMIUM})

    @property
    def told(self):
        return [json.loads(l) for l in list(self.lines) if l.startswith("{")]

    def all(self, what):
        return [e for e in self.told if e["is"] == what]

    def wait(self, cond, what, timeout=20):
        def step():
            value = cond()
            assert value or self.process.poll() is None, self.story()
            return value
        try:
            return raw.wait_for(step, timeout, what)
        except TimeoutError as e:
            raise AssertionError(f"{e}:\n{self.story()}") from None

    def story(self):
        return "".join(self.lines[-60:])

    def wait_open(self, transport=None):
        """Open, and by that transport."""
        self.wait(lambda: self.all("open") and
                  (transport is None or self.transport == transport),
                  f"open by {transport}", 40)
        return self

    @property
    def transport(self):
        changes = self.all("transport")
        return changes[-1]["transport"] if changes else None

    @property
    def data(self):
        return [m["data"] for m in self.all("message")]

    def wait_data(self, data):
        self.wait(lambda: data in self.data, f"message {data}")

    def finish(self, timeout=40):
        """Waits until it has ended by itself; what it read before the end."""
        self.thread.join(timeout)
        assert not self.thread.is_alive(), self.story()
        assert self.process.wait() == 0, self.story()
        assert self.told[-1]["is"] == "end", self.story()
        return self.data[:-1]


class Publisher:
    """Publishes 1, 2, 3 ... until it is told to end, and "end" then."""

    def __init__(self, p, pause=0.004, channel="news"):
        self.p, self.pause, self.channel = p, pause, channel
        self.published, self.over = [], threading.Event()
        self.gate = threading.Lock()  # closed while penstock is away
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        number = 0
        while not self.over.wait(self.pause):
            with self.gate:
                number += 1
                self.p.publish(self.channel, str(number))
                self.published.append(str(number))

    def end(self):
        self.over.set()
        self.thread.join(20)
        self.p.publish(self.channel, "end")
        return self.published

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join(20)


def restart(p):
    """SIGKILL, and the same again on the same ports."""
    p.config |= {"listen": [f"127.0.0.1:{p.port}"],
                 "admin": f"127.0.0.1:{p.admin_port}"}
    p.kill()
    p.lines.clear()
    p.start()


# --- the parsers ----------------------------------------------------------------

@node
def test_its_parsers():
    done = subprocess.run(
        ["node", "--test", str(LIB / "penstock_parsers.test.mjs")],
        capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# --- what it reads --------------------------------------------------------------

@everywhere
@each
def test_it_reads_the_same_by_every_transport(penstock, place, transport,
                                              tmp_path):
    p = penstock(news())
    with Client(place, p.url("/news"), tmp_path, transports=[transport],
                types=["trade"]) as c:
        c.wait_open(transport)
        sent = [p.publish("news", "plain \u00e9\u20ac"),
                p.publish("news", '{"n":9007199254740993, "e":1E400}',
                          "application/json", "trade"),
                p.publish("news", "two\nlines")]
        p.publish("news", "end")
        c.finish()
    got = [(m["id"], m["type"], m["data"]) for m in c.all("message")[:-1]]
    assert got == [
        (sent[0], "message", "plain \u00e9\u20ac"),
        (sent[1], "trade", '{"n":9007199254740993, "e":1E400}'),
        (sent[2], "message", "two\nlines")]
    assert c.all("gap") == c.all("error") == []
    assert [o["transport"] for o in c.all("open")] == [transport]
    assert c.all("end")[0]["readyState"] == 2


@node
@each
@pytest.mark.parametrize("since, expected", [
    ("oldest", ["1", "2", "3"]), ("-2", ["2", "3"]), ("now", [])])
def test_since_says_where_it_begins(penstock, transport, since, expected):
    p = penstock(news())
    for n in "123":
        p.publish("news", n)
    with Client("node", p.url("/news"), transports=[transport],
                since=since) as c:
        c.wait_open()
        p.publish("news", "end")
        assert c.finish() == expected


@node
@each
def test_since_an_id_goes_on_after_it(penstock, transport):
    p = penstock(news())
    ids = [p.publish("news", n) for n in "123"]
    with Client("node", p.url("/news"), transports=[transport],
                since=ids[1]) as c:
        p.publish("news", "end")
        assert c.finish() == ["3"]
        assert c.all("gap") == []


@node
@each
def test_what_the_history_has_dropped_is_told(penstock, transport):
    p = penstock(news(history={"messages": 2}))
    ids = [p.publish("news", n) for n in "1234"]
    with Client("node", p.url("/news"), transports=[transport],
                since=ids[0]) as c:
        p.wait_for(lambda: c.all("open"), 20, "open")
        c.wait_data("4")
        p.publish("news", "end")
        assert c.finish() == ["3", "4"]
        gap, = c.all("gap")
        assert (gap["from"], gap["to"]) == (ids[0], ids[2])
        told = [e["is"] for e in c.told]
        assert told.index("gap") < told.index("message")


@pytest.mark.chromium
@pytest.mark.slow
@each
def test_a_page_of_another_origin_needs_no_preflight(penstock, transport,
                                                     tmp_path):
    p = penstock(news(cors="*", origins="*", receive="channel"))
    page = penstock(news()).url("/")
    with Client("chromium", p.url("/news"), tmp_path, transports=[transport],
                page=page, send=["hello"]) as c:
        c.wait_data("hello")
        p.publish("news", "end")
        assert c.finish() == ["hello"]
        assert c.all("error") == c.all("gap") == []
    assert not [l for l in p.access if "method=OPTIONS" in l]


# --- which transport ------------------------------------------------------------

@everywhere
@each
def test_it_takes_what_the_route_serves(penstock, place, transport, tmp_path):
    p = penstock(news([transport]))
    with Client(place, p.url("/news"), tmp_path) as c:
        c.wait_open(transport)
        p.publish("news", "end")
        c.finish()


@node
def test_what_the_route_does_not_serve_is_asked_for_once(penstock):
    p = penstock(news(["poll"]))
    with FaultProxy(p.port) as proxy, \
            Client("node", proxy.url("/news"), upgrade=50) as c:
        c.wait_open("poll")
        c.wait(lambda: proxy.requests.count("poll") > 8, "polls")
        proxy.cut()
        p.publish("news", "end")
        c.finish()
        assert proxy.requests[:3] == ["websocket", "sse", "poll"], \
            "the 406 said that long polls are not served either"
        assert proxy.requests.count("sse") == 1
        assert proxy.requests.count("websocket") == 1


@node
@pytest.mark.parametrize("transports, status", [
    (["websocket", "sse"], 406), (["sse"], 406), (["longpoll"], None)])
def test_it_closes_where_nothing_that_it_may_use_is_served(
        penstock, transports, status):
    """A WebSocket that is refused does not say why."""
    p = penstock(news(["poll"]))
    with Client("node", p.url("/news"), transports=transports) as c:
        c.thread.join(20)
    assert c.all("error")[-1]["readyState"] == 2, c.story()
    assert c.all("error")[-1].get("status") == status
    assert c.all("open") == []


BLOCKED = [ALL[:n] for n in range(1, 4)]


@everywhere
@pytest.mark.parametrize("blocked", BLOCKED, ids="+".join)
def test_it_falls_back_where_transports_are_blocked(
        penstock, place, blocked, tmp_path):
    p = penstock(news())
    with FaultProxy(p.port) as proxy:
        proxy.block(*blocked)
        with Client(place, proxy.url("/news"), tmp_path) as c:
            c.wait_open(ALL[len(blocked)])
            assert [e["by"] for e in c.all("error")] == blocked
            p.publish("news", "1")
            p.publish("news", "end")
            assert c.finish() == ["1"]


@everywhere
def test_it_falls_back_where_nothing_is_answered(penstock, place, tmp_path):
    """A WebSocket is swallowed, a stream is kept back until its end."""
    p = penstock(news())
    with FaultProxy(p.port) as proxy:
        proxy.swallow("websocket")
        proxy.hold("sse")
        with Client(place, proxy.url("/news"), tmp_path, timeout=500) as c:
            c.wait_open("longpoll")
            assert [(e["by"], e["message"]) for e in c.all("error")] == [
                ("websocket", "no answer in time"), ("sse", "no answer in time")]
            p.publish("news", "end")
            c.finish()


@node
def test_one_that_worked_is_tried_again_before_another(penstock):
    p = penstock(news())
    with FaultProxy(p.port) as proxy, \
            Client("node", proxy.url("/news")) as c:
        c.wait_open("websocket")
        proxy.block("websocket")
        proxy.cut()
        c.wait_open("sse")
        assert proxy.requests == ["websocket"] * 3 + ["sse"]
        p.publish("news", "end")
        c.finish()


@everywhere
@pytest.mark.slow
def test_every_step_down_and_up_again_loses_nothing(penstock, place, tmp_path):
    p = penstock(news())
    with FaultProxy(p.port) as proxy, Publisher(p) as publisher, \
            Client(place, proxy.url("/news"), tmp_path, since="oldest",
                   upgrade=400) as c:
        for n in range(4):
            c.wait_open(ALL[n])
            proxy.block(*ALL[:n + 1])
            if n < 3:
                proxy.cut()
        for n in (2, 1, 0):
            proxy.block(*ALL[:n])
            c.wait_open(ALL[n])
        published = publisher.end()
        assert c.finish() == published
        assert c.all("gap") == []


@everywhere
@each
def test_connections_that_are_cut_all_the_time_lose_nothing(
        penstock, place, transport, tmp_path):
    p = penstock(news())
    with FaultProxy(p.port) as proxy, Publisher(p) as publisher, \
            Client(place, proxy.url("/news"), tmp_path, since="oldest",
                   transports=[transport]) as c:
        for _ in range(12):
            had = len(c.data)
            c.wait(lambda: len(c.data) > had, "messages")
            proxy.cut()
        published = publisher.end()
        assert c.finish() == published
        assert c.all("gap") == []


@everywhere
def test_connections_that_are_cut_while_all_may_be_used(
        penstock, place, tmp_path):
    p = penstock(news())
    with FaultProxy(p.port) as proxy, Publisher(p) as publisher, \
            Client(place, proxy.url("/news"), tmp_path, since="oldest",
                   upgrade=100) as c:
        for turn in range(20):
            had = len(c.data)
            proxy.block(*[t for i, t in enumerate(ALL) if turn >> i & 1 and i < 3])
            c.wait(lambda: len(c.data) > had, "messages")
            proxy.cut()
        proxy.block()
        published = publisher.end()
        assert c.finish() == published
        assert c.all("gap") == []


@node
@each
def test_one_cut_before_its_first_message_loses_nothing_or_is_told(
        penstock, transport):
    """A WebSocket learns its first id from its first message."""
    p = penstock(news())
    with FaultProxy(p.port) as proxy, \
            Client("node", proxy.url("/news"), transports=[transport]) as c:
        c.wait_open()
        proxy.block(transport)
        proxy.cut()
        c.wait(lambda: c.all("error"), "an error")
        p.publish("news", "missed")
        proxy.block()
        c.wait(lambda: len(c.all("open")) == 2, "open again")
        p.publish("news", "end")
        got, gaps = c.finish(), c.all("gap")
        if transport == "websocket":
            assert got == [] and [(g["from"], g["to"]) for g in gaps] == [
                (None, None)]
        else:
            assert got == ["missed"] and gaps == []


# --- penstock goes --------------------------------------------------------------

@everywhere
@each
def test_killed_and_restarted_it_tells_a_gap_and_repeats_nothing(
        penstock, place, transport, tmp_path):
    p = penstock(news())
    with Publisher(p) as publisher, \
            Client(place, p.url("/news"), tmp_path, since="oldest",
                   transports=[transport]) as c:
        c.wait(lambda: len(c.data) > 20, "messages")
        with publisher.gate:
            before = len(publisher.published)
            restart(p)
        last = publisher.published[before - 1]
        c.wait(lambda: any(int(d) > int(last) for d in c.data), "messages after")
        published = publisher.end()
        got = c.finish()
        gap, = c.all("gap")
    lost = set(published[:before]) - set(got)
    assert got == [n for n in published if n not in lost]
    assert gap["from"] is not None, "it was following"
    assert gap["from"] == c.all("message")[before - len(lost) - 1]["id"]


@everywhere
@each
def test_stopped_and_started_again_it_comes_back(
        penstock, place, transport, tmp_path):
    p = penstock(news())
    with Client(place, p.url("/news"), tmp_path, transports=[transport]) as c:
        c.wait_open()
        p.publish("news", "1")
        c.wait_data("1")
        p.config |= {"listen": [f"127.0.0.1:{p.port}"],
                     "admin": f"127.0.0.1:{p.admin_port}"}
        p.stop()
        c.wait(lambda: len(c.all("error")) > 2, "errors")
        p.lines.clear()
        p.start()
        c.wait(lambda: c.all("gap"), "a gap")
        p.publish("news", "end")
        assert c.finish() == ["1"]
        assert len(c.all("gap")) == 1


@everywhere
@each
def test_reloads_under_it_lose_nothing(penstock, place, transport, tmp_path):
    p = penstock(news())
    with FaultProxy(p.port) as proxy, Publisher(p) as publisher, \
            Client(place, proxy.url("/news"), tmp_path, since="oldest",
                   transports=[transport]) as c:
        for n in range(5):
            had, reloads = len(c.data), len(p.log_lines("info reload"))
            c.wait(lambda: len(c.data) > had, "messages")
            p.write_config(news(history={"messages": 1000 + n}) |
                           {k: p.config[k] for k in ("listen", "admin")})
            p.signal(signal.SIGHUP)
            p.wait_for(lambda: len(p.log_lines("info reload")) > reloads)
        published = publisher.end()
        assert c.finish() == published
        assert c.all("gap") == c.all("error") == []
        if transport in ("websocket", "sse"):
            assert proxy.requests.count(transport) == 1


@node
def test_a_reload_that_takes_its_transport_away(penstock):
    p = penstock(news(["sse", "poll"]))
    with FaultProxy(p.port) as proxy, Publisher(p) as publisher, \
            Client("node", proxy.url("/news"), since="oldest",
                   transports=["sse", "longpoll", "poll"]) as c:
        c.wait_open("sse")
        p.write_config(news(["longpoll"]) |
                       {k: p.config[k] for k in ("listen", "admin")})
        p.signal(signal.SIGHUP)
        p.wait_for(lambda: p.log_lines("info reload"))
        proxy.cut()
        c.wait_open("longpoll")
        published = publisher.end()
        assert c.finish() == published


# --- what ends it, and what does not --------------------------------------------

class CloseServer:
    """Accepts WebSockets, and closes each with the next code of a list."""

    def __init__(self, *codes, reason=""):
        self.codes, self.paths = list(codes), []
        self.reason = reason
        self.port = None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.run, daemon=True)

    async def serve(self):
        async def handler(ws, path):
            self.paths.append(path)
            n = len(self.paths)
            await ws.send(json.dumps({"id": f"e-{n}", "data": str(n)}))
            code = self.codes.pop(0) if self.codes else None
            if code is None:
                await ws.send(json.dumps({"id": f"e-{n + 100}", "data": "end"}))
                await ws.wait_closed()
            elif code == 1006:
                ws.transport.abort()
            else:
                await ws.close(code, self.reason)
        self.server = await websockets.serve(
            handler, "127.0.0.1", 0, subprotocols=["penstock.v1"])
        self.port = self.server.sockets[0].getsockname()[1]

    def run(self):
        self.loop.run_until_complete(self.serve())
        self.loop.run_forever()

    def __enter__(self):
        self.thread.start()
        raw.wait_for(lambda: self.port)
        return self

    def __exit__(self, *_):
        async def stop():
            self.server.close()
            await self.server.wait_closed()
        asyncio.run_coroutine_threadsafe(stop(), self.loop).result(20)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


@node
@pytest.mark.parametrize("code", [1001, 1006, 1011, 1012, 1013, 3000, 4500])
def test_close_codes_that_it_comes_back_from(code):
    with CloseServer(code) as s, \
            Client("node", f"http://127.0.0.1:{s.port}/x",
                   transports=["websocket"]) as c:
        assert c.finish() == ["1", "2"]
        assert s.paths == ["/x", "/x?since=e-1"]
        assert [e["code"] for e in c.all("error")] == [code]


@node
def test_a_closing_reason_says_how_long_to_wait():
    """Of eight pauses, each up to what was said."""
    with CloseServer(*[1012] * 8, reason="busy (retry in 400 ms)") as s:
        began = time.monotonic()
        with Client("node", f"http://127.0.0.1:{s.port}/x",
                    transports=["websocket"]) as c:
            c.wait_open()
            assert len(c.finish()) == 9
        assert time.monotonic() - began > .5


@node
@pytest.mark.parametrize("code", [1000, 1008, 4400, 4403, 4499])
def test_close_codes_that_are_final(code):
    with CloseServer(code) as s, \
            Client("node", f"http://127.0.0.1:{s.port}/x") as c:
        c.thread.join(20)
        assert c.told[-1]["is"] == "error", c.story()
        assert (c.told[-1]["code"], c.told[-1]["readyState"]) == (code, 2)
        assert len(s.paths) == 1


@node
def test_204_to_an_event_stream_is_the_end(backend):
    b = backend(lambda request, conn: conn.respond(204))
    with Client("node", b.url + "/x", transports=["sse", "longpoll"]) as c:
        c.thread.join(20)
    assert (c.told[-1]["status"], c.told[-1]["readyState"]) == (204, 2)
    assert len(b.requests) == 1


@node
@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_answers_that_are_final(backend, status):
    b = backend(lambda request, conn: conn.respond(
        status, {"title": "No", "detail": "not you"}))
    with Client("node", b.url + "/x", transports=ALL[1:]) as c:
        c.thread.join(20)
    assert (c.told[-1]["status"], c.told[-1]["message"]) == (status, "not you")
    assert c.told[-1]["readyState"] == 2 and len(b.requests) == 1


@node
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(backend, status):
    times = []

    def handler(request, conn):
        times.append(time.monotonic())
        if len(times) == 1:
            conn.respond(status, "", {"Retry-After": "1"})
        else:
            conn.start_chunked(200, {"Content-Type": "text/event-stream"})
            conn.chunk("id: e-1\ndata: end\n\n")
    b = backend(handler)
    with Client("node", b.url + "/x", transports=ALL[1:]) as c:
        c.finish()
    assert 1 <= times[1] - times[0] < 5


@node
def test_pauses_grow_while_nobody_answers():
    """The first of a round is tried at once after a fall back, so only whole
    rounds are counted."""
    port = raw.free_port()
    with Client("node", f"http://127.0.0.1:{port}/x", transports=["sse"],
                retry=40) as c:
        c.wait(lambda: len(c.all("error")) >= 3, "errors")
        time.sleep(1)
        assert len(c.all("error")) < 20
        assert all(e["readyState"] == 0 for e in c.all("error"))


@node
def test_it_asks_with_since_and_with_its_headers(backend):
    def handler(request, conn):
        conn.start_chunked(200, {"Content-Type": "text/event-stream"})
        conn.chunk("retry: 10\nid: e-7\n\n" if len(b.requests) == 1
                   else "id: e-8\ndata: end\n\n")
        conn.end_chunks()
    b = backend(handler)
    with Client("node", b.url + "/x?a=b&since=e-6", transports=["sse"],
                headers={"Authorization": "Bearer t"}) as c:
        c.finish()
    assert [r.target for r in b.requests] == ["/x?a=b&since=e-6"] * 2
    assert b.requests[0].headers["Authorization"] == "Bearer t"
    assert "Last-Event-ID" not in b.requests[1].headers


@node
def test_a_repeat_is_dropped(backend):
    def handler(request, conn):
        conn.start_chunked(200, {"Content-Type": "text/event-stream"})
        for n in (1, 2, 2, 1, 10, 9, 11):
            conn.chunk(f"id: e-{n}\ndata: {n}\n\n")
        conn.chunk("id: f-1\ndata: another epoch\n\nid: f-2\ndata: end\n\n")
    with Client("node", backend(handler).url, transports=["sse"]) as c:
        assert c.finish() == ["1", "2", "10", "11", "another epoch"]


@node
def test_the_max_age_of_an_answer_is_the_interval(backend):
    times = []

    def handler(request, conn):
        times.append(time.monotonic())
        n = len(times)
        conn.respond(200, {"messages": [] if n < 3 else
                           [{"id": "e-1", "data": "end"}], "next": "e-0"},
                     {"Cache-Control": "max-age=1"})
    b = backend(handler)
    with Client("node", b.url, transports=["poll"], pollInterval=None) as c:
        c.finish()
    assert times[2] - times[0] >= 1.9


@node
def test_a_page_of_history_that_is_full_is_not_waited_for(backend):
    def handler(request, conn):
        n = len(b.requests)
        conn.respond(200, {"messages": [{"id": f"e-{n}", "data":
                                         "end" if n == 5 else str(n)}],
                           "next": f"e-{n}"},
                     {"Cache-Control": "max-age=31536000, immutable"})
    b = backend(handler)
    with Client("node", b.url, transports=["poll"], pollInterval=20000) as c:
        assert c.finish() == list("1234")


@node
def test_an_answer_that_does_not_wait_is_no_long_poll(backend):
    def handler(request, conn):
        conn.respond(200, {"messages": [], "next": "e-0"})
    b = backend(handler)
    with Client("node", b.url, transports=["longpoll", "poll"]) as c:
        c.wait_open("poll")
        assert len([r for r in b.requests if "wait=" in r.target]) == 1


# --- sending --------------------------------------------------------------------

@node
@each
def test_send_goes_by_frame_or_by_post(penstock, transport):
    p = penstock(news(receive="channel"))
    with Client("node", p.url("/news"), transports=[transport],
                send=["hello", "end"]) as c:
        assert c.finish() == ["hello"]
        assert all(s["ok"] for s in c.all("sent"))
    posts = [l for l in p.access if "method=POST" in l]
    assert len(posts) == (0 if transport == "websocket" else 2)


@node
@pytest.mark.parametrize("transport", ALL[1:])
def test_send_where_nothing_is_taken_is_an_error(penstock, transport):
    p = penstock(news())
    with Client("node", p.url("/news"), transports=[transport],
                send=["hello"]) as c:
        c.wait(lambda: c.all("sent"), "the end of send()")
        error, = c.all("error")
        assert (error["status"], error["by"]) == (405, None)
        assert error["readyState"] == 1 and c.all("sent")[0]["ok"] is False
        p.publish("news", "end")
        c.finish()


# --- the script itself ----------------------------------------------------------

def test_the_script_is_served_where_the_config_says_so(penstock):
    p = penstock(news())
    answer = p.get("/penstock.js")
    assert answer.status == 200 and answer.content == SCRIPT.read_bytes()
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert "max-age" in answer.headers["Cache-Control"]
    head = p.request("HEAD", "/penstock.js")
    assert head.status == 200 and head.content == b""
    assert head.headers["Content-Length"] == str(len(answer.content))
    assert head.headers["ETag"] == answer.headers["ETag"]


@pytest.mark.parametrize("form", ["{}", "W/{}", '"x", {}', "*"])
def test_the_script_is_not_sent_to_who_has_it(penstock, form):
    p = penstock(news())
    etag = p.get("/penstock.js").headers["ETag"]
    assert etag[0] == etag[-1] == '"', "a strong one"
    again = p.get("/penstock.js", {"If-None-Match": form.format(etag)})
    assert (again.status, again.content) == (304, b"")
    assert again.headers["ETag"] == etag
    assert p.get("/penstock.js", {"If-None-Match": '"x"'}).status == 200


def test_the_script_can_only_be_read(penstock):
    p = penstock(news())
    answer = p.request("POST", "/penstock.js", body=b"x")
    assert answer.status == 405 and answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("client", [None, False])
def test_the_script_is_not_served_unasked(penstock, client):
    config = news()
    config.pop("client") if client is None else config.update(client=client)
    assert penstock(config).get("/penstock.js").status == 404


def test_a_route_for_the_scripts_path_wins(penstock, backend):
    b = backend(lambda request, conn: conn.respond(200, b"theirs"))
    config = {"client": True, "backends": {"app": b.url},
              "routes": [{"path": "/*", "proxy": "app"}]}
    assert penstock(config).get("/penstock.js").content == SCRIPT.read_bytes()
    config["routes"].append({"path": "/penstock.js", "proxy": "app"})
    assert penstock(config).get("/penstock.js").content == b"theirs"


# --- many channels ------------------------------------------------------------

def many(transports=ALL):
    return {"client": True, "routes": [
        {"path": "/all", "multiplex": True, "transports": transports},
        {"path": "/rooms/{room}", "source": "publish", "receive": "channel"}]}


@node
@each
def test_channels_come_and_go_while_connected(penstock, transport):
    p = penstock(many())
    c = Client("node", p.url("/all"), transports=[transport],
               channels=["rooms/a", "rooms/b"],
               subscribe={"at": "go", "channel": "rooms/c", "leave": "rooms/b"})
    c.wait_open(transport)
    p.publish("rooms/a", "1")
    p.publish("rooms/b", "2")
    p.publish("rooms/a", "go")
    c.wait(lambda: c.all("channels"), "subscribe")
    assert c.all("channels")[0]["channels"] == ["rooms/a", "rooms/c"]
    p.wait_for(lambda: (p.channel("rooms/c") or {"readers": 0})["readers"] > 0
               or transport == "poll")
    p.publish("rooms/b", "unasked for")
    for n in range(3, 6):
        p.publish("rooms/c" if n % 2 else "rooms/a", str(n))
    p.publish("rooms/a", "end")
    c.finish()
    got = [(m["channel"], m["data"]) for m in c.all("message")]
    wanted = [("rooms/a", "1"), ("rooms/b", "2"), ("rooms/a", "go"),
              ("rooms/c", "3"), ("rooms/a", "4"), ("rooms/c", "5"),
              ("rooms/a", "end")]
    if transport == "poll":  # a poll begins a channel when it asks next
        got = [m for m in got if m[0] != "rooms/c"]
        wanted = [m for m in wanted if m[0] != "rooms/c"]
    assert got == wanted


@node
@each
def test_channels_are_resumed_each_from_its_own_place(penstock, transport):
    """Cut again and again while three channels speak."""
    p = penstock(many())
    with FaultProxy(p.port) as between:
        c = Client("node", between.url("/all"), transports=[transport],
                   channels=[f"rooms/{r}" for r in "abc"], since="oldest")
        for n in range(120):
            p.publish(f"rooms/{'abc'[n % 3]}", str(n))
            if n % 20 == 10:
                c.wait(lambda: len(c.data) > n - 10, f"message {n - 10}")
                between.cut()
        p.publish("rooms/a", "end")
        assert c.finish() == [str(n) for n in range(120)]
        assert c.all("gap") == []


@node
@each
def test_a_channel_named_while_it_connects_is_read(penstock, transport):
    p = penstock(many())
    with FaultProxy(p.port) as between:
        c = Client("node", between.url("/all"), transports=[transport],
                   channels=["rooms/a"], since="oldest",
                   subscribe={"channel": "rooms/b"})
        c.wait_open(transport)
        p.publish("rooms/b", "end")
        assert c.finish() == []


@node
@each
def test_a_channels_name_may_be_written_as_it_is_said(penstock, transport):
    p = penstock(many())
    p.publish("rooms/a%20%C3%BC", "end")
    c = Client("node", p.url("/all"), transports=[transport],
               channels=["rooms/a \u00fc"], since="oldest")
    assert c.finish() == []


@node
def test_what_cannot_be_subscribed_to_is_an_error_and_no_end(penstock):
    p = penstock(many())
    c = Client("node", p.url("/all"), transports=["websocket"],
               channels=["rooms/a"],
               subscribe={"at": "go", "channel": "elsewhere", "leave": ""})
    c.wait_open()
    p.publish("rooms/a", "go")
    c.wait(lambda: c.all("error"), "an error")
    assert "no such channel" in c.all("error")[0]["message"]
    p.publish("rooms/a", "end")
    assert c.finish() == ["go"]
