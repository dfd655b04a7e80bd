"""What must be refused is, and nothing of it reaches anybody else: the whole
catalogue of tests/lib/bad_requests.py against a running penstock, and what
takes more than octets to show.  What is left to test_30_proxy.py: bad
handshakes and bad 101s, hop-by-hop fields, refused bodies with Expect."""

import re
import socket
import threading
import time

import pytest

import raw
from bad_requests import bad_answers, bad_requests, excess_answers
from clients import reader
from many import exchange_many
from raw import wait_for

ALL = ["poll", "longpoll", "sse", "websocket"]
GET = "GET {} HTTP/1.1\r\nHost: a\r\n\r\n"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def both(b, limits=None, **settings):
    """A channel route, and everything else to a backend."""
    return {
        "backends": {"app": {"servers": [b.url], **settings}},
        "routes": [{"path": "/news", "source": "publish", "transports": ALL},
                   {"path": "/*", "proxy": "app"}],
        **({"limits": limits} if limits else {}),
    }


@pytest.fixture
def served(penstock, backend):
    """served(handler, **settings): a penstock with both, and the backend."""
    def start(handler=None, raw_handler=None, **settings):
        b = backend(handler, raw_handler=raw_handler)
        return penstock(both(b, **settings)), b
    return start


ROUTES = {"proxy": "/refused", "channel": "/news"}
every_route = pytest.mark.parametrize("path", ROUTES.values(), ids=ROUTES)


def show(failures):
    return f"{len(failures)} failed:\n" + "\n".join(
        f"{name}: {what}" for name, what in failures[:20])


# --- the catalogue: requests -------------------------------------------------

def wrong(said, end, statuses):
    """What is wrong with an answer to a request that is to be refused."""
    codes = raw.statuses(said)
    if len(codes) != 1 or codes[0] not in statuses:
        return f"{codes}, not one of {sorted(statuses)}: {said[:300]!r}"
    if end == "open":
        return "not closed"
    return None


def judge(server, cases, dribble):
    answers = exchange_many(server.port, [data for _, data, _ in cases], dribble)
    failures = [(name, wrong(said, end, statuses))
                for (name, _, statuses), (said, end) in zip(cases, answers)]
    failures = [f for f in failures if f[1]]
    assert not failures, show(failures)


@pytest.mark.parametrize("pieces, status", [
    (["\r", "GET"], 400), (["\r", "\nGET"], 200), (["\r\n", "GET"], 200),
    (["\r\n", "\r\nGET"], 400), (["\r", "\n", "\r\nGET"], 400)],
    ids=repr)
def test_a_blank_line_in_pieces_is_one(served, pieces, status):
    server, _ = served()
    server.publish("news", "x")
    rest = " /news HTTP/1.1\r\nHost: a\r\n\r\n"
    with server.client() as c:
        c.send("GET" + rest)
        assert c.response().status == 200
        read = len("GET" + rest)
        for piece in pieces[:-1]:
            c.send(piece)
            read += len(piece)
            server.wait_for(lambda: server.measured("/news", "poll")
                            ["bytes_in"] == read)
        c.send(pieces[-1] + rest)
        assert c.response().status == status


@every_route
@pytest.mark.slow
@pytest.mark.parametrize("dribble", [False, True], ids=["whole", "octets"])
def test_a_bad_head_reaches_nobody(served, path, dribble):
    server, b = served()
    cases = [c for c in bad_requests(path) if not c[0].startswith("body")]
    judge(server, cases, dribble)
    assert b.connections == []
    assert server.get("/news").status == 204


@pytest.mark.slow
@pytest.mark.parametrize("dribble", [False, True], ids=["whole", "octets"])
def test_a_bad_body_is_no_request_to_the_backend(served, dribble):
    server, b = served()
    cases = [c for c in bad_requests("/refused") if c[0].startswith("body")]
    judge(server, cases, dribble)
    assert b.requests == []
    assert not any(b"smuggled" in c.received for c in b.connections)
    wait_for(lambda: not b.open_connections(), what="torn down connections")


@pytest.mark.slow
@pytest.mark.parametrize("dribble", [False, True], ids=["whole", "octets"])
def test_a_bad_body_to_a_channel_ends_its_connection(served, dribble):
    """The head alone is answered: a channel takes no POST."""
    server, b = served()
    cases = [(n, data, statuses | {405}) for n, data, statuses
             in bad_requests("/news") if n.startswith("body")]
    judge(server, cases, dribble)
    assert b.connections == []


def test_every_refusal_is_logged_once(served):
    server, _ = served()
    for n in range(1, 4):
        raw.exchange(server.port, b"GET / HTTP/1.1\nHost: a\r\n\r\n")
        server.wait_for(lambda: len(server.log_lines(
            "request.refused", "status=400", "client=127.0.0.1:")) == n)


# --- the catalogue: answers --------------------------------------------------

ASK = "GET /{} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def is_whole(said):
    """Whether one answer is there from its head to its end."""
    head, blank, rest = said.partition(b"\r\n\r\n")
    fields = head.lower().split(b"\r\n")[1:]
    if not blank:
        return False
    if b"transfer-encoding: chunked" in fields:
        return rest.endswith(b"\r\n0\r\n\r\n") or rest == b"0\r\n\r\n"
    lengths = [int(f.split(b":")[1]) for f in fields
               if f.startswith(b"content-length:")]
    return bool(lengths) and len(rest) >= lengths[0]


class Wrong:
    """A backend that gives one answer of a list to each request, and keeps
    count of what came on a connection after that."""

    def __init__(self, answers, cut=False):
        self.answers, self.cut = answers, cut
        self.reused, self.kept = [], []

    def __call__(self, conn):
        request = conn.read_request()
        name, data = self.answers[int(request.target[1:])]
        conn.send(data)
        if self.cut:
            conn.sock.shutdown(socket.SHUT_WR)
        conn.stream.buffer.clear()
        try:
            while conn.stream.fill(time.monotonic() + 5):
                pass
        except TimeoutError:
            self.kept.append((name, "its connection was kept"))
        except OSError:
            pass
        if conn.stream.buffer:
            self.reused.append((name, bytes(conn.stream.buffer)))


def broken_or_502(said, end):
    if raw.statuses(said)[:1] == [502]:
        return None if is_whole(said) else f"half a 502: {said!r}"
    if is_whole(said) and end != "reset":
        return f"a good end: {said[:300]!r}"
    if end == "open":
        return f"no end: {said[:300]!r}"
    return None


@pytest.mark.slow
@pytest.mark.parametrize("cut", [False, True], ids=["wrong", "cut off"])
def test_a_bad_answer_is_a_502_or_broken(served, cut):
    answers = [a for a in bad_answers() if ("cut off" in a[0]
               or "no answer" in a[0]) == cut]
    handler = Wrong(answers, cut)
    server, b = served(raw_handler=handler)
    asked = [ASK.format(n).encode() for n in range(len(answers))]
    heard = exchange_many(server.port, asked, in_flight=50)
    failures = [(name, broken_or_502(*h)) for (name, _), h
                in zip(answers, heard)]
    failures = [f for f in failures if f[1]]
    assert not failures, show(failures)
    wait_for(lambda: not b.open_connections())
    assert not handler.kept and not handler.reused, show(
        handler.kept + handler.reused)
    assert len(b.connections) == len(answers)


def test_what_follows_an_answer_reaches_nobody(served):
    answers = excess_answers()
    handler = Wrong([(name, data) for name, data, _, _ in answers])
    server, b = served(raw_handler=handler)
    for n, (name, _, status, body) in enumerate(answers):
        answer = server.get(f"/{n}")
        assert (answer.status, answer.content) == (status, body), name
    wait_for(lambda: not b.open_connections())
    assert not handler.kept and not handler.reused, show(
        handler.kept + handler.reused)


def test_a_body_of_an_answer_to_head_reaches_nobody(served):
    handler = Wrong([("a body for HEAD", b"HTTP/1.1 200 X\r\n"
                      b"Content-Length: 40\r\n\r\nHTTP/1.1 200 X\r\n"
                      b"Content-Length: 4\r\n\r\nevil")])
    server, b = served(raw_handler=handler)
    with server.client() as c:
        assert c.request("HEAD", "/0").headers["Content-Length"] == "40"
        assert c.get("/0").content == (b"HTTP/1.1 200 X\r\n"
                                       b"Content-Length: 4\r\n\r\nevil")[:40]
    wait_for(lambda: not b.open_connections())
    assert not handler.reused


# --- one bad request among good ones -----------------------------------------

@every_route
@pytest.mark.parametrize("dribble", [False, True], ids=["whole", "octets"])
def test_pipelined_requests_before_a_bad_one_are_answered(served, path, dribble):
    server, b = served(lambda request, conn: conn.respond(200, request.target))
    server.publish("news", "x")
    good = [GET.format(f"{path}?n={n}") for n in range(50)]
    good[25] = "GET / HTTP/1.1\nHost: a\r\n\r\n"
    said, codes = raw.exchange(server.port, "".join(good), dribble)
    assert codes == [200] * 25 + [400]
    if path != "/news":
        assert re.findall(rb"\?n=(\d+)", said) == [b"%d" % n for n in range(25)]
    assert len(b.requests) in (0, 25)
    assert not any(b"?n=26" in c.received for c in b.connections)


def test_a_request_hidden_in_a_body_is_a_body(served):
    server, b = served()
    hidden = GET.format("/hidden").encode()
    with server.client() as c:
        assert c.request("POST", "/", body=hidden).status == 200
        assert c.get("/after").status == 200
    assert [r.target for r in b.requests] == ["/", "/after"]
    assert b.requests[0].content == hidden


def test_a_bad_request_harms_no_other_client(served):
    server, b = served()
    with server.client() as other, \
            reader("sse", server, "/news").connect() as follower:
        assert other.get("/").status == 200
        for _ in range(20):
            raw.exchange(server.port, b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert other.get("/").status == 200
        server.publish("news", "still here")
        follower.read(1)
    assert len(b.connections) == 1


# --- Expect ------------------------------------------------------------------

def test_a_channel_refuses_before_100_continue(served):
    server, _ = served()
    with server.client() as c:
        c.send("POST /news HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
               "Content-Length: 5\r\n\r\n")
        answer = c.response()
        assert (answer.status, c.interim) == (405, [])
        assert answer.headers["Connection"] == "close"
        assert c.closed()


def test_publishing_says_100_at_once_and_413_instead(penstock):
    server = penstock({"routes": [{"path": "/news", "source": "publish"}],
                       "limits": {"message": "1KiB"}})
    head = ("POST /channels/news HTTP/1.1\r\nHost: a\r\n"
            "Expect: 100-continue\r\nContent-Length: {}\r\n\r\n")
    with raw.Client(server.admin_port) as c:
        c.send(head.format(5))
        c.stream.read_until(b"HTTP/1.1 100 Continue\r\n\r\n", c.deadline(1))
        c.send("hello")
        assert c.response().status == 201
    with raw.Client(server.admin_port) as c:
        c.send(head.format(2000))
        answer = c.response()
        assert (answer.status, c.interim) == (413, [])
        assert c.closed()


# --- bodies that nobody wants ------------------------------------------------

def early(conn):
    """Says 401 to every head, whatever follows."""
    while conn.read_request(body=False):
        conn.respond(401, b"who?")
        wait_for(conn.gone, 30)
        return


def test_a_small_body_after_an_early_answer_is_read_away(served):
    server, b = served(raw_handler=early)
    with server.client() as c:
        c.send("POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        assert c.response().status == 401
        c.send(b"x" * 1000 + GET.format("/two").encode())
        assert c.response().status == 401
    assert not any(b"xGET" in c.received for c in b.connections)
    assert len(b.connections) == 2


def test_a_large_body_after_an_early_answer_costs_the_connection(served):
    server, b = served(raw_handler=early)
    with server.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
        answer = c.response()
        assert answer.status == 401
        assert answer.headers["Connection"] == "close"
        start = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - start < 10:
                c.send(bytes(65536))
    wait_for(lambda: not b.open_connections())
    assert sum(len(c.received) for c in b.connections) < 10_000_000


# --- upgrades ----------------------------------------------------------------

def ws_head(path, method="GET", version="1.1", key=KEY, ws_version="13"):
    lines = [f"{method} {path} HTTP/{version}", "Host: a",
             "Connection: Upgrade", "Upgrade: websocket"]
    lines += [f"Sec-WebSocket-Key: {k}" for k in (
        key if isinstance(key, list) else [key] if key else [])]
    lines += [f"Sec-WebSocket-Version: {ws_version}"] if ws_version else []
    return "\r\n".join(lines) + "\r\n\r\n"


BAD_HANDSHAKES = {
    "version 1337": ({426}, {"ws_version": "1337"}),
    "version 8": ({426}, {"ws_version": "8"}),
    "no version": ({400, 426}, {"ws_version": None}),
    "a bad key": ({400}, {"key": "short"}),
    "no key": ({400}, {"key": None}),
    "two keys": ({400}, {"key": [KEY, KEY]}),
    "POST": ({400, 405}, {"method": "POST"}),
    "HTTP/1.0": ({400}, {"version": "1.0"}),
}
bad_handshake = pytest.mark.parametrize(
    "case", BAD_HANDSHAKES.values(), ids=BAD_HANDSHAKES)


@every_route
@bad_handshake
def test_after_a_bad_handshake_there_is_no_tunnel(penstock, backend, path, case):
    """What follows is a request like any other, and the rules hold for it."""
    b = backend()
    config = both(b)
    config["routes"][1]["path"] = "/refused"
    server = penstock(config)
    statuses, changes = case
    with server.client() as c:
        c.send(ws_head(path, **changes) + GET.format("/private"))
        answer = c.response()
        assert answer.status in statuses
        if answer.status == 426:
            assert answer.headers["Sec-WebSocket-Version"] == "13"
        if "close" not in answer.headers.get("Connection", ""):
            assert c.response().status == 404
    assert b.connections == []


# --- limits ------------------------------------------------------------------

def test_a_head_that_never_ends_is_a_408(served):
    server, _ = served(limits={"head_timeout": "300ms"})
    with server.client() as c:
        start = time.monotonic()
        c.send("GET / HTTP/1.1\r\nHost: a\r\n")
        sender = threading.Thread(target=drip, args=(c, b"X: y\r\n", 0.05))
        sender.start()
        answer = c.response()
        assert answer.status == 408
        assert time.monotonic() - start < 2
        assert c.closed()
        sender.join(10)


def drip(c, data, every_s):
    """One piece after the other, until the other side is gone."""
    try:
        while True:
            c.send(data)
            time.sleep(every_s)
    except OSError:
        pass


def test_a_body_that_stops_is_a_408(served):
    server, b = served(limits={"write_timeout": "300ms"})
    with server.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhe")
        answer = c.response()
        assert answer.status == 408
        assert c.closed()
    assert b.requests == []
    wait_for(lambda: not b.open_connections())


def test_a_slow_body_that_moves_is_waited_for(served):
    server, b = served(limits={"write_timeout": "500ms"})
    with server.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        for octet in range(10):
            c.send(b"%d" % octet)
            time.sleep(0.1)
        assert c.response().status == 200
    assert b.requests[0].content == b"0123456789"


def test_an_idle_connection_is_closed_without_a_word(served):
    server, _ = served(limits={"idle_timeout": "200ms"})
    with server.client() as c:
        assert c.get("/").status == 200
        assert c.closed(5)


@pytest.mark.slow
def test_slow_clients_hold_nobody_up(served):
    server, _ = served(limits={"head_timeout": "3s"})
    slow = [server.client() for _ in range(200)]
    for c in slow:
        c.send("GET / HTTP/1.1\r\nHo")
    start = time.monotonic()
    for _ in range(50):
        assert server.get("/").status == 200
    assert time.monotonic() - start < 2
    for c in slow:
        assert c.response(timeout=20).status == 408
        c.close()


def test_a_long_head_costs_no_memory(served):
    server, _ = served()
    server.get("/")
    before = server.rss()
    exchange_many(server.port, [b"GET /" + b"a" * 1_000_000] * 100, in_flight=20)
    assert server.rss() - before < 48 << 20


# --- what is not refused -----------------------------------------------------

QUERY = "?q={a|b}^`\\&r=[1]\\"  # as browsers send it


@every_route
def test_a_query_may_hold_what_browsers_put_there(served, path):
    server, b = served()
    assert server.get(path + QUERY).status in (200, 204)
    assert [r.target for r in b.requests] == (
        [] if path == "/news" else [path + QUERY])
    logged = (path + QUERY).replace("\\", "\\\\")
    server.stop()  # the access log is written in blocks
    assert any(f'target="{logged}" ' in line for line in server.access)
