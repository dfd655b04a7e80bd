"""Backends that are asked: the sources poll and longpoll."""

import email.utils
import json
import random
import signal
import threading
import time

import pytest

import raw
import servers
from clients import TRANSPORTS, SseClient, WsClient, reader
from raw import wait_for

every_transport = pytest.mark.parametrize("transport", TRANSPORTS)


def polled(backend, path="/w", **source):
    url = backend if isinstance(backend, str) else backend.url
    return {"backends": {"app": url}, "routes": [
        {"path": "/w", "source": {"poll": f"app{path}", "every": "100ms",
                                  "backoff": {"min": "50ms", "max": "100ms"},
                                  **source}}]}


def data_of(messages):
    return [data for _, _, data in messages]


class Resource:
    """A value behind a URL, with an ETag if it is to have one."""

    def __init__(self, body="0", etags=True, type="application/json"):
        self.body, self.etags, self.type = body, etags, type
        self.asked = []  # (when, If-None-Match)

    def __call__(self, request, conn):
        match = request.headers.get("If-None-Match")
        self.asked.append((time.monotonic(), match))
        etag = f'"{hash(self.body)}"'
        headers = [("Content-Type", self.type)]
        if self.etags:
            headers.append(("ETag", etag))
        if self.etags and match == etag:
            conn.respond(304, b"", headers)
        else:
            conn.respond(200, self.body, headers)


# --- poll -----------------------------------------------------------------------

@every_transport
@pytest.mark.parametrize("etags", [True, False])
def test_each_change_is_a_message_once(penstock, backend, transport, etags):
    resource = Resource("0", etags)
    p = penstock(polled(backend(resource)))
    with reader(transport, p, "/w").connect("oldest") as r:
        got = data_of(r.read(1))
        for n in range(1, 4):
            resource.body = str(n)
            got += data_of(r.read(1))
        asked = len(resource.asked)
        wait_for(lambda: len(resource.asked) > asked + 2)
        assert r.nothing(0.05)
    assert got == ["0", "1", "2", "3"]
    if etags:
        assert resource.asked[-1][1] is not None


def test_a_plain_client_finds_the_resource_as_it_is(penstock, backend):
    b = backend(Resource('{"t": 1.10}', type="application/json; charset=utf-8"))
    p = penstock(polled(b))
    wait_for(lambda: p.get("/w").status == 200)
    answer = p.get("/w")
    assert answer.content == b'{"t": 1.10}'
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_first_poll_waits_for_the_first_answer(penstock, backend, method):
    gate = threading.Event()

    def handler(request, conn):
        gate.wait(10)
        conn.respond(200, "1", {"Content-Type": "application/json"})
    p = penstock(polled(backend(handler), when="needed"))
    with p.client() as c:
        c.send_request(method, "/w")
        p.wait_for(lambda: (p.channel("w") or {"readers": 0})["readers"] == 1)
        gate.set()
        answer = c.response(method)
        assert answer.status == 200 and answer.headers["Content-Length"] == "1"


def test_the_first_poll_of_a_silent_backend_ends_with_204(penstock, backend):
    b = backend(lambda request, conn: conn.respond(204))
    p = penstock(polled(b, when="needed"))
    begun = time.monotonic()
    assert p.get("/w").status == 204
    assert 1.5 < time.monotonic() - begun < 8


def test_a_client_that_goes_as_it_waits_for_the_first_is_forgotten(
        penstock, backend):
    b = backend(lambda request, conn: conn.respond(204))
    p = penstock(polled(b, when="needed"))
    with p.client() as c:
        c.send_request("GET", "/w")
        p.wait_for(lambda: (p.channel("w") or {"readers": 0})["readers"] == 1)
    p.wait_for(lambda: p.channel("w")["readers"] == 0)


def test_one_question_for_any_number_of_readers(penstock, backend):
    resource = Resource()
    p = penstock(polled(backend(resource), every="200ms"))
    readers = [SseClient(p, "/w").connect("oldest") for _ in range(10)]
    for r in readers:
        assert data_of(r.read(1)) == ["0"]
    begun, asked = time.monotonic(), len(resource.asked)
    wait_for(lambda: len(resource.asked) >= asked + 5)
    took = time.monotonic() - begun
    assert took >= 5 * 0.18 - 0.2, "as often as one reader would have it"
    for r in readers:
        r.close()


def test_a_slow_backend_is_asked_one_question_at_a_time(penstock, backend):
    """A late answer must not overtake a newer one."""
    going, most = [0], [0]

    def handler(request, conn):
        going[0] += 1
        most[0] = max(most[0], going[0])
        number = len(b.requests)
        gate.wait(10) if number == 1 else None
        going[0] -= 1
        conn.respond(200, str(number), {"Content-Type": "application/json"})
    gate = threading.Event()
    b = backend(handler)
    p = penstock(polled(b, every="20ms"))
    with SseClient(p, "/w").connect("oldest") as r:
        wait_for(lambda: len(b.requests) == 1)
        assert r.nothing(0.3)
        assert len(b.requests) == 1
        gate.set()
        assert data_of(r.read(3)) == ["1", "2", "3"]
    assert most[0] == 1


@pytest.mark.parametrize("status,headers,body", [
    (500, {}, "<html>"), (404, {}, "gone"), (503, {}, ""),
    (302, {"Location": "/x"}, ""),
    (200, {"Content-Type": "text/html"}, "<html>maintenance</html>"),
    (200, {"Content-Type": "application/json", "Content-Encoding": "br"}, "x"),
    (200, {"Content-Type": "application/json"}, "x" * 70000),
])
def test_an_answer_that_is_none_is_no_message_and_no_end(
        penstock, backend, status, headers, body):
    state = {"bad": False, "n": 0}

    def handler(request, conn):
        if state["bad"]:
            state["n"] += 1
            conn.respond(status, body, headers)
        else:
            conn.respond(200, state.get("value", "1"),
                         {"Content-Type": "application/json"})
    p = penstock(polled(backend(handler), message="64KiB"))
    with SseClient(p, "/w").connect("oldest") as r:
        assert data_of(r.read(1)) == ["1"]
        state["bad"] = True
        wait_for(lambda: state["n"] >= 2)
        assert p.channel("w")["source"]["fault"]
        state["value"], state["bad"] = "2", False
        assert data_of(r.read(1)) == ["2"]
        wait_for(lambda: p.channel("w")["source"]["state"] == "OPEN")


def test_204_and_304_are_no_message(penstock, backend):
    answers = iter([(204, ""), (200, "1"), (304, ""), (204, ""), (200, "1"),
                    (200, "2")])
    last = (304, "")

    def handler(request, conn):
        status, body = next(answers, last)
        conn.respond(status, body, {"Content-Type": "application/json"})
    p = penstock(polled(backend(handler), every="20ms"))
    with SseClient(p, "/w").connect("oldest") as r:
        assert data_of(r.read(2)) == ["1", "2"]
        assert r.nothing(0.1)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_obeyed(penstock, backend, form):
    def handler(request, conn):
        when.append(time.monotonic())
        if len(when) == 1:
            value = "1" if form == "seconds" else email.utils.formatdate(
                time.time() + 2, usegmt=True)
            conn.respond(429, "", {"Retry-After": value})
        else:
            conn.respond(200, "1", {"Content-Type": "application/json"})
    when = []
    p = penstock(polled(backend(handler)))
    with SseClient(p, "/w").connect("oldest") as r:
        assert data_of(r.read(1)) == ["1"]
    assert when[1] - when[0] >= 0.95


def test_cache_control_says_how_often_where_the_config_does_not(
        penstock, backend):
    def handler(request, conn):
        conn.respond(200, str(len(b.requests)), {
            "Content-Type": "application/json", "Cache-Control": "max-age=31",
            "Age": "30"})
    b = backend(handler)
    p = penstock(polled(b, every="0s"))
    with SseClient(p, "/w").connect("oldest") as r:
        begun = time.monotonic()
        assert data_of(r.read(2)) == ["1", "2"]
        assert 0.6 < time.monotonic() - begun < 5


def test_select_and_big_numbers_stay_as_they_are_written(penstock, backend):
    body = ('{"meta": 1, "list": [ {"id":9007199254740993, "f":1.10,'
            ' "e":1E400,"k":"\\u00e9\\/","k":2} ]}')
    p = penstock(polled(backend(Resource(body)), select="/list/0"))
    with WsClient(p, "/w", protocol=None).connect("oldest") as r:
        assert r.recv() == ('{"id":9007199254740993, "f":1.10, "e":1E400,'
                            '"k":"\\u00e9\\/","k":2}')


def test_each_new_item_is_a_message(penstock, backend):
    resource = Resource(json.dumps({"items": [{"id": 1}, {"id": 2}]}))
    p = penstock(polled(backend(resource), select="/items", each="/id"))
    with SseClient(p, "/w").connect("oldest") as r:
        assert data_of(r.read(2)) == ['{"id": 1}', '{"id": 2}']
        resource.body = json.dumps({"items": [{"id": 3}, {"id": 1, "x": 0}]})
        assert data_of(r.read(1)) == ['{"id": 3}']
        resource.body = json.dumps({"items": []})
        asked = len(resource.asked)
        wait_for(lambda: len(resource.asked) > asked + 1)
        resource.body = json.dumps({"items": [{"id": 2}, {"id": 4}]})
        assert data_of(r.read(1)) == ['{"id": 4}'], "2 was had"


@pytest.mark.parametrize("body,word", [
    ("hello", "not JSON"), ("{}", "nothing where"),
    ('{"items": {}}', "no array")])
def test_what_cannot_be_selected_is_a_fault_that_says_so(
        penstock, backend, body, word):
    p = penstock(polled(backend(Resource(body)), select="/items", each="/id"))
    wait_for(lambda: word in str(p.channel("w")))


def test_a_backend_that_dies_and_comes_back_is_asked_on(penstock, backend):
    resource = Resource("0")
    b = backend(resource)
    p = penstock(polled(b))
    with SseClient(p, "/w").connect("oldest") as r:
        got = data_of(r.read(1))
        for n in range(1, 4):
            b.kill(rst=n % 2 == 0)
            resource.body = str(n)
            b.restart()
            got += data_of(r.read(1))
    assert got == ["0", "1", "2", "3"]


def test_a_reload_with_another_interval_asks_by_it(penstock, backend):
    resource = Resource()
    config = polled(backend(resource), every="1h")
    p = penstock(config)
    wait_for(lambda: len(resource.asked) == 1)
    config["routes"][0]["source"]["every"] = "20ms"
    p.write_config({**p.config, **config})
    p.signal(signal.SIGHUP)
    wait_for(lambda: len(resource.asked) > 3)


@pytest.mark.nginx
def test_a_file_behind_nginx_is_live(penstock, tmp_path):
    """Clients of WebSocket see each change within every and 100 ms."""
    with servers.Nginx(tmp_path, "") as n:
        file = n.www / "w.json"
        file.write_text("0")
        p = penstock(polled(n.url, "/w.json", every="200ms"))
        with WsClient(p, "/w").connect("oldest") as r:
            assert data_of(r.read(1)) == ["0"]
            ages = []
            for i in range(1, 8):
                fresh = n.www / "fresh"
                fresh.write_text(f"x{str(i) * i}")  # nginx's ETag: time and length
                fresh.rename(file)
                changed = time.monotonic()
                assert data_of(r.read(1)) == [f"x{str(i) * i}"]
                ages.append(time.monotonic() - changed)
        ages.sort()
        assert ages[0] < 0.3, "the machine was slow at times, not always"
        assert ages[-2] < 0.3 + 0.3


@pytest.mark.slow
def test_many_resources_are_asked_as_often_as_they_say_and_spread(
        penstock, backend):
    """A thousand of them, ten readers each, which come all at once: each is asked
    three times, and the third answer wants no more questions for an hour."""
    count, polls = 1000, 3
    times = {}

    def handler(request, conn):
        asked = times.setdefault(request.target, [])
        asked.append(time.monotonic())
        if len(asked) < polls:
            conn.respond(200, "1", {"Content-Type": "application/json"})
        else:
            conn.respond(503, "later", {"Retry-After": "3600"})
    b = backend(handler)
    p = penstock({"backends": {"app": {"servers": b.url, "pool": 64}},
                  "routes": [
        {"path": "/all", "multiplex": True},
        {"path": "/r/{n}", "source": {"poll": "app/r/{n}", "every": "3s"}}]})
    readers = []
    for at in range(0, count, 100):
        path = "/all?" + "&".join(f"channel=r/{n}" for n in range(at, at + 100))
        for _ in range(10):
            readers.append(SseClient(p, path, enveloped=True).connect("oldest"))
    wait_for(lambda: len(times) == count, 60)
    wait_for(lambda: min(len(when) for when in times.values()) >= polls, 60)
    asked = sum(len(when) for when in times.values())
    assert asked == len(b.requests) == count * polls, "however many read"
    for r in readers:
        r.close()
    gaps = [b - a for when in times.values() for a, b in zip(when, when[1:])]
    gaps.sort()
    assert gaps[0] > 2.5, "nobody is asked sooner"
    assert gaps[len(gaps) // 2] < 4
    first = sorted(when[0] for when in times.values())
    busiest = max(sum(1 for t in first if start <= t < start + 0.1)
                  for start in first[::20])
    assert busiest < count / 2, f"{busiest} at once"
    assert len(b.connections) < 100


# --- longpoll -------------------------------------------------------------------

class Changes:
    """CouchDB's _changes, as far as a long poll goes."""

    def __init__(self):
        self.log, self.changed = [], threading.Condition()
        self.since = []

    def add(self, doc):
        with self.changed:
            self.log.append({"seq": f"{len(self.log) + 1}-xyz", "id": doc})
            self.changed.notify_all()

    def __call__(self, request, conn):
        query = dict(p.split("=") for p in
                     request.target.partition("?")[2].split("&") if "=" in p)
        since = query.get("since", "0")
        self.since.append(since)
        at = int(since.split("-")[0])
        with self.changed:
            self.changed.wait_for(lambda: len(self.log) > at, 1)
            rows = self.log[at:]
        last = rows[-1]["seq"] if rows else since
        conn.respond(200, {"results": rows, "last_seq": last, "pending": 0})


def followed(backend, **source):
    return {"backends": {"app": backend.url}, "routes": [
        {"path": "/c", "source": {
            "longpoll": "app/db/_changes?feed=longpoll", "select": "/results",
            "cursor": "/last_seq", "when": "always", "backoff": {"min": "20ms", "max": "50ms"},
            **source}}]}


@every_transport
def test_changes_come_each_once(penstock, backend, transport):
    changes = Changes()
    p = penstock(followed(backend(changes)))
    with reader(transport, p, "/c").connect("oldest") as r:
        wait_for(lambda: changes.since)
        got = []
        for n in range(6):
            changes.add(str(n))
            got += r.read(1)
    assert [json.loads(d)["id"] for d in data_of(got)] == list("012345")
    assert changes.since[:2] == ["0", "1-xyz"]


def test_changes_survive_a_backend_that_is_killed(penstock, backend):
    changes, dice = Changes(), random.Random(5)
    b = backend(changes)
    p = penstock(followed(b))
    with SseClient(p, "/c").connect("oldest") as r:
        got = []
        for n in range(60):
            changes.add(str(n))
            if dice.random() < 0.2:
                b.kill(rst=dice.random() < 0.5)
                b.restart()
        got = r.read(60, 20)
        assert r.nothing(0.2)
    assert [json.loads(d)["id"] for d in data_of(got)] == [
        str(n) for n in range(60)]


def test_from_is_the_first_cursor(penstock, backend):
    changes = Changes()
    for n in range(3):
        changes.add(str(n))
    p = penstock(followed(backend(changes), **{"from": "2-xyz"}))
    with SseClient(p, "/c").connect("oldest") as r:
        assert json.loads(r.read(1)[0][2])["id"] == "2"


def test_a_cursor_may_be_a_header_or_a_link(penstock, backend):
    def handler(request, conn):
        if request.target.startswith("/h"):
            at = int(request.target.partition("after=")[2] or 0)
            conn.respond(200, [at], {"X-Next": str(at + 1)})
        else:
            at = int(request.target.partition("page/")[2] or 0)
            conn.respond(200, [at], {
                "Link": f'</page/0>; rel="first", </page/{at + 1}>; rel="next"'})
        if at >= 3:
            conn.stream.read_until(b"never", time.monotonic() + 60)
    b = backend(handler)
    p = penstock({"backends": {"app": b.url}, "routes": [
        {"path": "/h", "source": {"longpoll": "app/h", "cursor": "X-Next",
                                  "param": "after", "select": ""}},
        {"path": "/l", "source": {"longpoll": "app/page/0", "cursor": "link",
                                  "select": ""}}]})
    for path in ("/h", "/l"):
        with SseClient(p, path).connect("oldest") as r:
            assert data_of(r.read(4)) == ["0", "1", "2", "3"]


def test_a_link_to_elsewhere_is_not_followed(penstock, backend):
    b = backend(lambda request, conn: conn.respond(
        200, [1], {"Link": '<http://127.0.0.1:1/x>; rel="next"'}))
    p = penstock(followed(b, cursor="link", select=""))
    with SseClient(p, "/c").connect():
        wait_for(lambda: "another server" in str(p.channel("c")))


def test_a_backend_that_does_not_wait_is_not_hammered(penstock, backend):
    b = backend(lambda request, conn: conn.respond(204))
    p = penstock(followed(b))
    with SseClient(p, "/c").connect() as r:
        wait_for(lambda: len(b.requests) >= 1)
        assert r.nothing(0.5)
        assert len(b.requests) <= 2


@every_transport
def test_a_penstock_follows_another(penstock, transport):
    first = penstock({"routes": [{"path": "/news", "source": "publish"}]})
    second = penstock({"backends": {"up": f"http://127.0.0.1:{first.port}"},
                       "routes": [{"path": "/news", "source": {
                           "longpoll": "up/news", "from": "oldest"}}]})
    first.publish("news", '{"a":1}', event="flash")
    first.publish("news", "text")
    with reader(transport, second, "/news").connect("oldest") as r:
        got = r.read(2)
        first.publish("news", b"\xff\x00")
        got += r.read(1)
    binary = "/wA=" if transport == "sse" else b"\xff\x00"
    assert [m[1:] for m in got] == [("flash", '{"a":1}'), ("message", "text"),
                                    ("message", binary)]
