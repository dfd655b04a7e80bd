"""What clients say reaches the backend, in order, and its answer comes back to
them alone; slow, rude or dead backends harm nobody else."""

import contextlib
import signal
import threading
import time

import pytest

from clients import SseClient, WsClient
from raw import wait_for

PROTOCOLS = pytest.mark.parametrize("protocol", ["penstock.v1", None])


def config(backend, route=(), **receive):
    receive = {"post": "app/orders/{id}", **receive}
    return {"backends": {"app": backend.url}, "routes": [
        {"path": "/o/{id}", "source": "publish", "receive": receive,
         "message": "1KiB", **dict(route)}]}


class Orders:
    """A backend that keeps what it is sent and echoes it; hold() lets answers
    wait."""

    def __init__(self, backend, status=200, type="text/plain"):
        self.status, self.type = status, type
        self.said, self.open = [], threading.Event()
        self.open.set()
        self.server = backend(self.handle)

    def hold(self):
        self.open.clear()

    def handle(self, request, conn):
        self.said.append(request)
        self.open.wait(20)
        status = self.status
        body = b"" if status == 204 else b"got " + request.content
        conn.respond(status, body, {"Content-Type": self.type})

    @property
    def texts(self):
        return [r.content.decode() for r in self.said]


@pytest.fixture
def orders(backend):
    return Orders(backend)


# --- there and back -----------------------------------------------------------

@PROTOCOLS
def test_messages_are_posted_in_order_and_answered_to_their_sender(
        penstock, orders, protocol):
    p = penstock(config(orders.server))
    with WsClient(p, "/o/7", protocol=protocol).connect() as a, \
            WsClient(p, "/o/7", protocol=protocol).connect() as b:
        for n in range(20):
            a.send(f"a{n}")
        assert a.replies(20) == [f"got a{n}" for n in range(20)]
        b.send("b")
        assert b.replies(1) == ["got b"]
        p.publish("o/7", "to all")
        for r in (a, b):
            frame = r.recv()
            assert "to all" in frame
    assert orders.texts == [f"a{n}" for n in range(20)] + ["b"]
    clients = {r.headers["Penstock-Client"] for r in orders.said}
    assert len(clients) == 2
    first = orders.said[0]
    assert (first.method, first.target) == ("POST", "/orders/7")
    assert first.headers["Penstock-Channel"] == "o/7"
    assert first.headers["X-Forwarded-For"] == "127.0.0.1"


def test_the_content_type_says_what_it_is(penstock, orders):
    p = penstock(config(orders.server))
    with WsClient(p, "/o/7").connect() as r:
        for data in ("text", '{"a":1}', b"\xff\x00"):
            r.send(data)
        wait_for(lambda: len(orders.said) == 3)
    assert [r.headers["Content-Type"] for r in orders.said] == [
        "text/plain; charset=utf-8", "application/json",
        "application/octet-stream"]
    assert orders.said[2].content == b"\xff\x00"


def test_a_binary_answer_is_a_binary_frame(penstock, orders):
    orders.type = "application/octet-stream"
    p = penstock(config(orders.server))
    with WsClient(p, "/o/7", protocol=None).connect() as r:
        r.send("x")
        assert r.recv() == b"got x"


def test_identity_goes_along(penstock, orders):
    p = penstock(config(orders.server, route={"identity": "X-User"}))
    with WsClient(p, "/o/7", headers={"X-User": "ann"}).connect() as r:
        r.send("1")
        wait_for(lambda: orders.said)
    p.request("POST", "/o/7", {"X-User": "bob"}, "2")
    assert [r.headers.get_all("X-User") for r in orders.said] == [["ann"], ["bob"]]


def test_a_post_is_answered_by_the_backend(penstock, orders):
    p = penstock(config(orders.server))
    answer = p.request("POST", "/o/7", {"Content-Type": "text/x-order",
                                        "Penstock-Event": "buy"}, "1")
    assert (answer.status, answer.content) == (200, b"got 1")
    assert answer.headers["Content-Type"] == "text/plain"
    assert orders.said[0].headers["Content-Type"] == "text/x-order"
    assert orders.said[0].headers["Penstock-Event"] == "buy"
    orders.status = 204
    assert p.request("POST", "/o/7", body="2").status == 204
    orders.status = 409
    answer = p.request("POST", "/o/7", body="3")
    assert (answer.status, answer.content) == (409, b"got 3")


# --- refusals --------------------------------------------------------------------

def test_a_refusal_is_told_to_its_sender(penstock, orders):
    orders.status = 409
    p = penstock(config(orders.server))
    with WsClient(p, "/o/7").connect() as r, \
            WsClient(p, "/o/7", protocol=None).connect() as plain:
        assert r.tell(buy=1)["error"] == {"status": 409,
                                          "detail": 'got {"buy": 1}'}
        plain.send("x")
        wait_for(lambda: len(orders.said) == 2)
        p.publish("o/7", "next")
        assert plain.recv() == "next", "it cannot be told, and goes on"
    assert p.metric("inbox_refused_total") == 2


def test_no_answer_in_time_is_504(penstock, orders):
    p = penstock(config(orders.server, timeout="100ms"))
    orders.hold()
    with WsClient(p, "/o/7").connect() as r:
        assert r.tell(buy=1)["error"]["status"] == 504
    assert p.request("POST", "/o/7", body="1").status == 504
    orders.open.set()


def test_a_dead_backend_is_502_and_comes_back(penstock, orders):
    p = penstock(config(orders.server))
    orders.server.kill()
    with WsClient(p, "/o/7").connect() as r:
        assert r.tell(buy=1)["error"]["status"] == 502
        assert p.request("POST", "/o/7", body="1").status == 502
        orders.server.restart()
        r.send("x")
        assert r.replies(1) == ["got x"]


def test_an_answer_that_is_too_large_is_refused(penstock, orders):
    p = penstock(config(orders.server, reply="3B"))
    with WsClient(p, "/o/7").connect() as r:
        assert r.tell(buy=1)["error"]["status"] == 502


def test_what_is_no_json_is_refused(penstock, orders):
    p = penstock(config(orders.server, json=True))
    assert p.request("POST", "/o/7", body="{").status == 400
    assert p.request("POST", "/o/7", body="{}").status == 200
    with WsClient(p, "/o/7").connect() as r:
        r.send("[1,")
        assert r.wait_closed() == 1007
    assert orders.texts == ["{}"]


@pytest.mark.parametrize("receive", [{"channel": True}, {"channel": "in/{id}"}])
def test_json_is_judged_for_channels_too(penstock, orders, receive):
    p = penstock({"routes": [
        {"path": "/o/{id}", "source": "publish",
         "receive": {**receive, "json": True}},
        {"path": "/in/{id}", "source": "publish"}]})
    name = "o/7" if receive["channel"] is True else "in/7"
    assert p.request("POST", "/o/7", body="nope").status == 400
    assert p.request("POST", "/o/7", body="[1]").status == 201
    with WsClient(p, "/o/7").connect() as r:
        r.send("nope")
        assert r.wait_closed() == 1007
    assert p.channel(name)["messages"] == 1


def test_too_many_messages_are_refused_and_who_cannot_be_told_is_closed(
        penstock, orders):
    p = penstock(config(orders.server, rate="2/h"))
    with WsClient(p, "/o/7").connect() as r:
        for n in range(2):
            r.send(str(n))
        assert r.replies(2)
        assert r.tell(more=1)["error"]["status"] == 429
    with WsClient(p, "/o/7", protocol=None).connect() as r:
        for n in range(3):
            r.send(str(n))
        assert r.wait_closed() == 1008
    wait_for(lambda: len(orders.said) == 4)


def test_what_is_too_large_is_refused(penstock, orders):
    p = penstock(config(orders.server))
    assert p.request("POST", "/o/7", body="x" * 1025).status == 413
    with WsClient(p, "/o/7").connect() as r:
        r.send("x" * 1025)
        assert r.wait_closed() == 1009
    assert not orders.said


# --- a backend that is behind -----------------------------------------------------

def test_a_client_waits_for_a_slow_backend_and_loses_nothing(penstock, orders):
    p = penstock(config(orders.server, queue=10))
    orders.hold()
    total = 12000
    with WsClient(p, "/o/7", protocol=None).connect() as r:
        done = threading.Event()

        def send():
            for n in range(total):
                r.send(f"{n} {'x' * 900}", timeout=60)
            done.set()
        sender = threading.Thread(target=send)
        sender.start()
        wait_for(lambda: orders.said)
        before = p.rss()
        assert not done.wait(1), "11 MB are more than sockets hold"
        assert p.rss() - before < 8 << 20
        orders.open.set()
        got = r.replies(total)
        sender.join()
    assert [g.split()[1] for g in got] == [str(n) for n in range(total)]


def test_a_dead_backend_does_not_slow_the_fan_out(penstock, orders):
    p = penstock(config(orders.server, timeout="10s"))
    orders.hold()
    with SseClient(p, "/o/7").connect() as reader:
        senders = [WsClient(p, "/o/7", protocol=None).connect()
                   for _ in range(20)]
        for s in senders:
            for n in range(20):
                s.send(str(n))
        ages = []
        for n in range(30):
            begun = time.monotonic()
            p.publish("o/7", str(n))
            assert reader.read(1)[0][2] == str(n)
            ages.append(time.monotonic() - begun)
        assert sorted(ages)[15] < 0.1
        for s in senders:
            s.abort()
        wait_for(lambda: p.channel("o/7")["readers"] == 1)
    orders.open.set()


def test_while_much_waits_a_post_is_refused_and_a_websocket_is_kept(
        penstock, orders):
    big = 8 << 20
    p = penstock(config(orders.server, {"message": f"{big}B",
                                        "heartbeat": "100ms"}) |
                 {"workers": 1})
    orders.hold()
    with contextlib.ExitStack() as stack:
        for _ in range(64 * (1 << 20) // big + 1):
            c = stack.enter_context(p.client())
            c.send(f"POST /o/7 HTTP/1.1\r\nHost: x\r\nContent-Length: {big}"
                   "\r\n\r\n" + "x" * big)
        wait_for(lambda: p.metric("inbox_posts_total") == 64 * (1 << 20) // big
                 + 1)
        answer = p.request("POST", "/o/7", body="one more")
        assert answer.status == 503
        with WsClient(p, "/o/7").connect():
            wait_for(lambda: p.metric("pongs_total") > 1)
        orders.open.set()


@pytest.mark.parametrize("rude", [True, False])
def test_what_a_client_said_before_it_went_still_gets_there(
        penstock, orders, rude):
    p = penstock(config(orders.server))
    orders.hold()
    r = WsClient(p, "/o/7").connect()
    for n in range(5):
        r.send(str(n))
    wait_for(lambda: orders.said)
    r.abort() if rude else r.close()
    wait_for(lambda: p.channel("o/7")["readers"] == 0)
    orders.open.set()
    wait_for(lambda: len(orders.said) == 5)
    assert orders.texts == list("01234")


def test_a_backend_that_fails_is_not_told_the_rest_of_who_is_gone(
        penstock, orders):
    p = penstock(config(orders.server, timeout="100ms"))
    orders.hold()
    r = WsClient(p, "/o/7").connect()
    for n in range(5):
        r.send(str(n))
    wait_for(lambda: orders.said)
    r.abort()
    wait_for(lambda: p.metric("inbox_refused_total") >= 5)
    orders.open.set()
    assert len(orders.said) <= 2


def test_who_has_no_more_to_say_has_the_answers_before(penstock):
    p = penstock({"workers": 1, "routes": [
        {"path": "/news", "source": "publish", "receive": "channel"}]})
    said = ("POST /news HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"
            "GET /news?since=now&wait=9 HTTP/1.1\r\nHost: x\r\n\r\n")
    with SseClient(p, "/news").connect() as listener, p.client() as c:
        assert c.get("/news").status == 204  # it is accepted
        p.signal(signal.SIGSTOP)
        c.send(said)
        c.half_close()
        p.signal(signal.SIGCONT)  # all of it is there at once
        assert c.head().status == 201
        assert listener.read(1)[0][2] == "hi"
