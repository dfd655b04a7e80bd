"""Plain proxying: what reaches the backend, what comes back, and what happens
when either side is slow, early, wrong or gone."""

import base64
import hashlib
import os
import re
import socket
import threading
import time

import pytest

import raw
from programs import curl
from raw import wait_for

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MIB = 1 << 20
HELD_MAX = 48 * MIB  # what ASan keeps of freed memory included


def proxying(*backends, **settings):
    """A config that proxies everything to servers of one backend; with one
    worker, since each has connections of its own."""
    urls = [b if isinstance(b, str) else b.url for b in backends]
    limits = settings.pop("limits", None)
    return {
        "workers": 1,
        "backends": {"app": {"servers": urls, **settings}},
        "routes": [{"path": "/*", "proxy": "app"}],
        **({"limits": limits} if limits else {}),
    }


def refused_url():
    return f"http://127.0.0.1:{raw.free_port()}"


def counter(server, name):
    text = server.admin("GET", "/metrics").text
    return int(re.search(rf"^penstock_{name}_total (\d+)", text, re.M)[1])


@pytest.fixture
def proxied(penstock, backend):
    """proxied(handler, **settings): a penstock in front of a backend."""
    def start(handler=None, raw_handler=None, **settings):
        b = backend(handler, raw_handler=raw_handler)
        return penstock(proxying(b, **settings)), b
    return start


# --- the request's head ------------------------------------------------------

TARGETS = ["/api/queues/%2F/q?x=%2f+a", "//events", "/EVENTS", "/events;x=1",
           "/?", "/a?b=c?d", "/%7euser/%41", "/a//b/"]


@pytest.mark.parametrize("target", TARGETS)
def test_the_target_arrives_as_it_was_sent(proxied, target):
    server, b = proxied()
    assert server.get(target).status == 200
    assert b.requests[0].target == target


def test_an_absolute_target_becomes_origin_form_with_its_host(proxied):
    server, b = proxied()
    server.request("GET", "http://other.test:81/x%2f?y", {"Host": "wrong.test"})
    assert b.requests[0].target == "/x%2f?y"
    assert b.requests[0].headers.get_all("Host") == ["other.test:81"]


def test_methods_and_fields_pass_in_their_order(proxied):
    server, b = proxied()
    sent = [("Host", "a.test"), ("Cookie", "a=1"), ("Accept", "x/y"),
            ("cookie", "b=2"), ("X-Empty", ""), ("Range", "bytes=0-1")]
    server.request("DELETE", "/", sent)
    assert b.requests[0].method == "DELETE"
    assert list(b.requests[0].headers)[:6] == sent


def test_fields_of_the_connection_do_not_pass(proxied):
    server, b = proxied()
    server.get("/", [("Connection", "keep-alive, X-Hop"), ("X-Hop", "1"),
                     ("Connection", "x-hop-2"), ("X-Hop-2", "2"),
                     ("Keep-Alive", "timeout=5"), ("Proxy-Connection", "close"),
                     ("TE", "trailers"), ("Upgrade", "h2c"), ("X-Stays", "3")])
    names = {n.lower() for n, _ in b.requests[0].headers}
    assert names == {"host", "x-stays", "x-forwarded-for", "x-forwarded-host",
                     "x-forwarded-proto", "forwarded", "via"}


def test_connection_cannot_take_away_what_protects_the_backend(proxied):
    server, b = proxied()
    server.request("POST", "/", [
        ("Connection", "close, Content-Length, X-Forwarded-For, Host, Via"),
        ("X-Forwarded-For", "10.0.0.1")], b"hello")
    headers = b.requests[0].headers
    assert b.requests[0].content == b"hello"
    assert headers["Content-Length"] == "5"
    assert headers["X-Forwarded-For"] == "10.0.0.1, 127.0.0.1"
    assert "Host" in headers and "Via" in headers


def test_the_client_is_named_on_one_line_each(proxied):
    server, b = proxied()
    server.get("/", [("Host", "h.test:8"), ("X-Forwarded-For", "10.0.0.1"),
                     ("x-forwarded-for", "10.0.0.2"), ("Forwarded", "for=a"),
                     ("X-Forwarded-Host", "forged"),
                     ("X-Forwarded-Proto", "https"), ("Via", "1.0 fred")])
    headers = b.requests[0].headers
    assert headers.get_all("X-Forwarded-For") == ["10.0.0.1, 10.0.0.2, 127.0.0.1"]
    assert headers.get_all("X-Forwarded-Host") == ["h.test:8"]
    assert headers.get_all("X-Forwarded-Proto") == ["http"]
    assert headers.get_all("Forwarded") == [
        'for=a, for=127.0.0.1;host="h.test:8";proto=http']
    assert headers.get_all("Via") == ["1.0 fred", "1.1 penstock"]


def test_max_forwards_counts_down_for_options(proxied):
    server, b = proxied()
    assert server.request("OPTIONS", "/", {"Max-Forwards": "3"}).status == 200
    assert server.request("OPTIONS", "/", {"Max-Forwards": "0"}).status == 204
    assert server.get("/", {"Max-Forwards": "0"}).status == 200
    assert [r.headers["Max-Forwards"] for r in b.requests] == ["2", "0"]


# --- the request's body ------------------------------------------------------

@pytest.mark.parametrize("dribble", [False, True], ids=["whole", "octets"])
def test_a_signed_body_arrives_unchanged(proxied, dribble):
    server, b = proxied()
    body = '{"b": 1,\r\n  "a":  "\\u00e9\xe9"}'.encode("latin-1")
    with server.client() as c:
        c.send(b"POST /hook?q HTTP/1.1\r\nHost: x\r\nX-GitHub-Event: push\r\n"
               b"Content-Length: %d\r\n\r\n%b" % (len(body), body), dribble)
        assert c.response().status == 200
    assert b.requests[0].content == body
    assert b.requests[0].headers["Content-Length"] == str(len(body))
    assert b.requests[0].headers["X-GitHub-Event"] == "push"


def test_chunks_are_made_anew_and_trailers_dropped(proxied):
    server, b = proxied()
    with server.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
               "Trailer: Host\r\n\r\n3;ext=\"y\"\r\nabc\r\n002\r\nde\r\n"
               "0\r\nHost: evil\r\nContent-Length: 9\r\n\r\n")
        assert c.response().status == 200
    assert b.requests[0].content == b"abcde"
    assert b.requests[0].headers.get_all("Transfer-Encoding") == ["chunked"]
    assert b.requests[0].trailers == []
    assert b"ext" not in b.connections[0].received


def test_a_bad_chunk_costs_the_backend_connection(proxied):
    server, b = proxied()
    with server.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
               "3\r\nabc\r\n")
        wait_for(lambda: b"abc" in b"".join(k.received for k in b.connections))
        c.send("0x5\r\nhello\r\n0\r\n\r\n")
        assert c.response().status == 400
    wait_for(lambda: not b.open_connections())
    assert server.get("/").status == 200
    assert len(b.connections) == 2


def test_the_body_streams_before_it_is_whole(proxied):
    seen = threading.Event()

    def handler(conn):
        request = conn.read_request(body=False)
        assert request.body.some(conn_deadline()) == b"first"
        seen.set()
        request.body.all(conn_deadline())
        conn.respond(200, b"")
    server, b = proxied(raw_handler=handler)
    with server.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nfirst")
        assert seen.wait(5)
        c.send("later")
        assert c.response().status == 200


def conn_deadline(seconds=30):
    return time.monotonic() + seconds


# --- Expect ------------------------------------------------------------------

EXPECT = ("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
          "Content-Length: 5\r\n\r\n")


def test_100_continue_comes_when_the_backend_says_so(proxied):
    server, b = proxied()
    with server.client() as c:
        c.send(EXPECT)
        assert c.stream.read_until(b"\r\n\r\n", c.deadline()).startswith(
            b"HTTP/1.1 100 ")
        c.send("hello")
        assert c.response().status == 200
        assert c.interim == []
    assert b.requests[0].content == b"hello"


def test_a_backend_may_refuse_a_body_that_it_has_not_read(proxied):
    def handler(conn):
        request = conn.read_request(body=False)
        assert request.headers["Expect"] == "100-continue"
        conn.respond(413, b"too much")
        wait_for(conn.gone)
        assert b"hello" not in conn.received
    server, b = proxied(raw_handler=handler)
    with server.client() as c:
        c.send(EXPECT)
        answer = c.response()
        assert (answer.status, answer.content, c.interim) == (413, b"too much", [])
        assert answer.headers["Connection"] == "close"


def test_100_continue_comes_in_the_end_from_us(proxied):
    def handler(conn):  # a server that has never heard of it
        request = conn.read_request(body=False)
        conn.respond(200, request.body.all(conn_deadline()))
    server, b = proxied(raw_handler=handler)
    with server.client() as c:
        c.send(EXPECT)
        c.stream.read_until(b"HTTP/1.1 100 Continue\r\n\r\n", c.deadline(5))
        c.send("hello")
        assert c.response().content == b"hello"


def test_a_body_may_take_its_time_after_100_continue(proxied):
    server, b = proxied()
    with server.client() as c:
        c.send(EXPECT)
        c.stream.read_until(b"\r\n\r\n", c.deadline())
        assert not b.requests
        time.sleep(1.5)  # longer than we would wait for a 100
        c.send("hello")
        assert c.response().status == 200


def test_no_100_to_a_client_of_http_1_0(proxied):
    server, b = proxied()
    with server.client() as c:
        c.send(EXPECT.replace("1.1", "1.0") + "hello")
        assert c.response().content == b""
        assert c.interim == []
    assert "Expect" not in b.requests[0].headers


# --- the answer --------------------------------------------------------------

def test_an_answer_passes_as_it_is(proxied):
    def handler(request, conn):
        conn.respond(418, b"\x1f\x8b\0", [
            ("Server", "b/1"), ("Set-Cookie", "a=1"), ("X-Accel-Buffering", "no"),
            ("Set-Cookie", "b=2"), ("Content-Encoding", "gzip"),
            ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("ETag", '"x"')])
    server, _ = proxied(handler)
    answer = server.get("/", {"Accept-Encoding": "gzip"})
    assert answer.status == 418 and answer.content == b"\x1f\x8b\0"
    assert list(answer.headers)[:7] == [
        ("Server", "b/1"), ("Set-Cookie", "a=1"), ("X-Accel-Buffering", "no"),
        ("Set-Cookie", "b=2"), ("Content-Encoding", "gzip"),
        ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("ETag", '"x"')]
    assert answer.headers.get_all("Date") == ["Sun, 06 Nov 1994 08:49:37 GMT"]
    assert answer.headers["Content-Length"] == "3"
    assert answer.headers["Via"] == "1.1 penstock"


def test_the_backends_connection_fields_stop_here(proxied):
    def handler(request, conn):
        conn.respond(200, b"x", [
            ("Connection", "X-Hop, keep-alive, Content-Length"), ("X-Hop", "1"),
            ("Keep-Alive", "timeout=5"), ("Upgrade", "h2c"), ("Trailer", "T"),
            ("Proxy-Connection", "keep-alive"), ("X-Stays", "1")])
    server, _ = proxied(handler)
    names = {n.lower() for n, _ in server.get("/").headers}
    assert names == {"x-stays", "content-length", "date", "via"}


@pytest.mark.parametrize("status", [204, 304])
def test_answers_without_a_body_have_none(proxied, status):
    def handler(request, conn):
        conn.respond(status, b"", {"ETag": '"x"'})
    server, b = proxied(handler)
    with server.client() as c:
        for _ in range(3):
            answer = c.get("/")
            assert (answer.status, answer.content) == (status, b"")
            assert "Transfer-Encoding" not in answer.headers
            assert answer.headers["ETag"] == '"x"'
    assert len(b.connections) == 1


def test_head_tells_the_length_and_sends_nothing(proxied):
    def handler(request, conn):
        conn.head(200, {"Content-Length": "12345"})
    server, b = proxied(handler)
    with server.client() as c:
        for _ in range(3):
            answer = c.request("HEAD", "/")
            assert answer.headers["Content-Length"] == "12345"
    assert len(b.connections) == 1


def test_head_of_a_stream_ends_at_once(proxied):
    server, b = proxied(lambda request, conn: conn.start_chunked())
    with server.client() as c:
        assert c.request("HEAD", "/").status == 200
        assert c.request("HEAD", "/").status == 200
        assert c.stream.buffer == b""
    assert len(b.connections) == 1


def test_a_body_where_none_may_be_costs_the_connection(proxied):
    def handler(request, conn):
        conn.send("HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\nHELLO"
                  .encode() if request.target == "/304" else
                  b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\nok")
    server, b = proxied(handler)
    with server.client() as c:
        assert c.get("/304").status == 304
        assert c.get("/").content == b"ok"
    assert len(b.connections) == 2


def test_early_hints_pass(proxied):
    def handler(request, conn):
        conn.head(103, {"Link": "</s.css>; rel=preload", "Connection": "x-y",
                        "X-Y": "1"})
        conn.respond(200, b"page")
    server, _ = proxied(handler)
    with server.client() as c:
        assert c.get("/").content == b"page"
        status, headers = c.interim[0]
        assert status == 103 and headers["Link"] and "X-Y" not in headers
    with server.client() as c:
        assert c.request("GET", "/", version="1.0").content == b"page"
        assert c.interim == []


def test_a_head_alone_reaches_the_client_at_once(proxied):
    go = threading.Event()

    def handler(request, conn):
        conn.start_chunked(200, {"Content-Type": "Text/Event-Stream;charset=UTF-8"})
        assert go.wait(10)
        conn.chunk("data: 12\n\n\n")
        assert wait_for(conn.gone)
    server, _ = proxied(handler)
    with server.client() as c:
        c.send_request("GET", "/")
        start = time.monotonic()
        answer = c.head()
        assert time.monotonic() - start < 0.1
        go.set()
        start = time.monotonic()
        assert answer.body.some(c.deadline()) == b"data: 12\n\n\n"
        assert time.monotonic() - start < 0.1


def test_an_answer_until_close_becomes_chunks(proxied):
    def handler(request, conn):
        conn.head(200)
        conn.send(b"all of it")
        conn.close()
    server, _ = proxied(handler)
    with server.client() as c:
        answer = c.get("/")
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert answer.content == b"all of it"
        assert c.get("/").content == b"all of it"


def test_http_1_0_gets_no_chunks(proxied):
    def handler(request, conn):
        conn.start_chunked()
        conn.chunk("some")
        conn.chunk("more")
        conn.end_chunks()
    server, _ = proxied(handler)
    with server.client() as c:
        answer = c.request("GET", "/", version="1.0")
        assert "Transfer-Encoding" not in answer.headers
        assert answer.content == b"somemore"


def test_http_1_0_keeps_alive_with_a_length(proxied):
    server, _ = proxied(lambda request, conn: conn.respond(200, b"x"))
    with server.client() as c:
        for _ in range(2):
            answer = c.request("GET", "/", {"Connection": "keep-alive"},
                               version="1.0")
            assert answer.headers["Connection"] == "keep-alive"


def test_a_backend_of_http_1_0_is_not_used_twice(proxied):
    def handler(request, conn):
        conn.send(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
    server, b = proxied(handler)
    with server.client() as c:
        for _ in range(2):
            answer = c.get("/")
            assert answer.content == b"ok"
            assert answer.headers["Via"] == "1.0 penstock"
    assert len(b.connections) == 2


def test_an_octet_at_a_time_is_an_answer_too(proxied):
    said = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n0\r\n\r\n")

    def handler(request, conn):
        for i in range(len(said)):
            conn.send(said[i:i + 1])
            time.sleep(0.001)
    server, b = proxied(handler)
    with server.client() as c:
        assert [c.get("/").content for _ in range(2)] == [b"hello"] * 2
    assert len(b.connections) == 1


def test_trailers_of_an_answer_are_dropped(proxied):
    def handler(request, conn):
        conn.start_chunked()
        conn.chunk("x")
        conn.end_chunks({"Content-Length": "9", "X-T": "1"})
    server, _ = proxied(handler)
    with server.client() as c:
        answer = c.get("/")
        assert answer.content == b"x" and answer.body.trailers == []


def test_pipelined_requests_are_answered_in_order(proxied):
    server, _ = proxied(lambda request, conn: conn.respond(200, request.target))
    with server.client() as c:
        c.send("".join(f"GET /{i} HTTP/1.1\r\nHost: x\r\n\r\n"
                       for i in range(50)))
        assert [c.response().text for _ in range(50)] == [
            f"/{i}" for i in range(50)]


# --- connections to the backend ----------------------------------------------

def test_a_connection_is_used_again(proxied):
    server, b = proxied()
    for _ in range(5):
        assert server.request("POST", "/", body=b"x").status == 200
    assert len(b.connections) == 1


def test_the_pool_is_bounded(proxied):
    barrier = threading.Barrier(4)

    def handler(request, conn):
        barrier.wait(10)
        conn.respond(200, b"")
    server, b = proxied(handler, pool=2)
    clients = [server.client() for _ in range(4)]
    for c in clients:
        c.send_request("GET", "/")
    for c in clients:
        assert c.response().status == 200
        c.close()
    wait_for(lambda: len([k for k in b.connections if not k.gone()]) <= 2)


def test_an_idle_connection_is_closed_in_time(proxied):
    server, b = proxied(idle_timeout="100ms")
    assert server.get("/").status == 200
    wait_for(lambda: not b.open_connections(), 5)


def test_octets_on_an_idle_connection_reach_nobody(proxied):
    def handler(request, conn):
        conn.respond(200, request.target)
        if request.target == "/first":
            time.sleep(0.05)
            conn.send(b"HTTP/1.1 200 X\r\nContent-Length: 4\r\n\r\nevil")
    server, b = proxied(handler)
    assert server.get("/first").text == "/first"
    wait_for(lambda: not b.open_connections())
    assert server.get("/second").text == "/second"


def test_a_second_answer_reaches_nobody(proxied):
    def handler(request, conn):
        conn.send(b"HTTP/1.1 200 X\r\nContent-Length: 2\r\n\r\nok" * 2)
    server, b = proxied(handler)
    with server.client() as c:
        assert c.get("/").content == b"ok"
        wait_for(lambda: not b.open_connections())
        assert c.get("/").content == b"ok"
    assert len(b.connections) == 2


def dies_on_reuse(answered):
    """Answers the first request of a connection and dies of the second."""
    def handler(conn):
        answered.append(conn.read_request())
        conn.respond(200, b"ok")
        if conn.read_request():
            conn.rst()
    return handler


def test_a_kept_connection_that_died_costs_nobody_an_answer(proxied):
    answered = []
    server, b = proxied(raw_handler=dies_on_reuse(answered))
    with server.client() as c:
        assert [c.get("/").status for _ in range(5)] == [200] * 5
        assert c.request("PUT", "/", body=b"small").status == 200
    assert answered[-1].content == b"small"
    assert counter(server, "proxy_retries") >= 1


def test_a_post_is_not_sent_twice(proxied):
    server, b = proxied(raw_handler=dies_on_reuse([]))
    assert server.get("/").status == 200
    answer = server.request("POST", "/", body=b"x")
    assert answer.status == 502
    assert "connection_terminated" in answer.headers["Proxy-Status"]


# --- backends that fail ------------------------------------------------------

def assert_problem(answer, status, error):
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Proxy-Status"] == f"penstock; error={error}"
    problem = answer.json()
    assert problem["status"] == status and problem["detail"]


def test_nobody_listens(penstock):
    server = penstock(proxying(refused_url()))
    assert_problem(server.get("/"), 502, "connection_refused")
    assert counter(server, "proxy_bad_gateway") == 1
    wait_for(lambda: server.log_lines("error=connection_refused", "backend=app"))


def test_a_name_without_an_address(penstock):
    server = penstock(proxying("http://no-such-host.invalid:80"))
    assert_problem(server.get("/"), 502, "dns_error")


def test_a_name_with_an_address(penstock, backend):
    b = backend()
    server = penstock(proxying(b.url.replace("127.0.0.1", "localhost")))
    assert server.get("/").status == 200


def test_the_next_server_is_tried(penstock, backend):
    b = backend()
    server = penstock(proxying(refused_url(), refused_url(), b))
    for _ in range(3):
        assert server.request("POST", "/", body=b"x" * 1000).status == 200
    assert {r.content for r in b.requests} == {b"x" * 1000}


def test_servers_take_turns(penstock, backend):
    first, second = backend(), backend()
    server = penstock(proxying(first, second))
    for _ in range(6):
        server.get("/")
    assert (len(first.requests), len(second.requests)) == (3, 3)


def test_a_server_that_does_not_accept(penstock):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for s in fillers:
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", port))
        server = penstock(proxying(f"http://127.0.0.1:{port}",
                                   connect_timeout="200ms"))
        assert_problem(server.get("/"), 502, "connection_timeout")
        for s in fillers:
            s.close()


def test_no_answer_in_time(proxied):
    server, b = proxied(lambda request, conn: wait_for(conn.gone),
                        response_timeout="200ms")
    assert_problem(server.get("/"), 504, "http_response_timeout")
    wait_for(lambda: not b.open_connections())
    assert counter(server, "proxy_timeouts") == 1


def test_a_body_that_the_backend_does_not_take(proxied):
    def handler(conn):
        conn.read_request(body=False)
        time.sleep(2)
    server, _ = proxied(raw_handler=handler, response_timeout="300ms")
    with server.client() as c:
        c.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
        try:
            for _ in range(100):
                c.send(bytes(MIB))
        except OSError:
            pass
        assert c.response().status == 504


BAD_ANSWERS = {
    "nonsense": b"SSH-2.0-x\r\n\r\n",
    "status": b"HTTP/1.1 999 X\r\n\r\n",
    "bare LF": b"HTTP/1.1 200 X\nA: b\r\n\r\n",
    "folded": b"HTTP/1.1 200 X\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "both": b"HTTP/1.1 200 X\r\nContent-Length: 5\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "lengths": b"HTTP/1.1 200 X\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "coding": b"HTTP/1.1 200 X\r\nTransfer-Encoding: gzip\r\n\r\n",
    "unasked 101": b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    "interim": b"HTTP/1.1 102 X\r\nContent-Length: 5\r\n\r\nhello",
}


@pytest.mark.parametrize("said", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_a_malformed_answer_is_a_502(proxied, said):
    server, b = proxied(lambda request, conn: (conn.send(said),
                                               wait_for(conn.gone)))
    assert_problem(server.get("/"), 502, "http_protocol_error")


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 X\r\nA: "])
@pytest.mark.parametrize("end", ["close", "rst"])
def test_an_answer_that_never_begins_is_a_502(proxied, said, end):
    def handler(request, conn):
        conn.send(said)
        time.sleep(0.05)
        getattr(conn, end)()
    server, b = proxied(handler)
    assert_problem(server.get("/"), 502, "connection_terminated")
    assert len(b.requests) == 1


BROKEN = {
    "length": ("Content-Length: 100", b"some"),
    "chunk": ("Transfer-Encoding: chunked", b"64\r\nsome"),
    "between chunks": ("Transfer-Encoding: chunked", b"4\r\nsome\r\n"),
    "bad chunk": ("Transfer-Encoding: chunked", b"4\r\nsome\r\n0x4\r\n"),
}


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("end", ["close", "rst"])
@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_answer_is_never_whole(proxied, version, end, kind):
    framing, said = BROKEN[kind]
    go = threading.Event()

    def handler(request, conn):
        conn.send(f"HTTP/1.1 200 X\r\n{framing}\r\n\r\n".encode() + said)
        go.wait(10)
        getattr(conn, end)()
    server, b = proxied(handler)
    with server.client() as c:
        c.send_request("GET", "/", version=version)
        try:
            answer = c.head()
            assert answer.body.some(c.deadline()) == b"some"
        except ConnectionResetError:
            return  # a bad chunk came with the head: seen at once
        finally:
            go.set()
        with pytest.raises(ConnectionResetError):
            while answer.body.some(c.deadline()):
                pass


def test_a_reset_of_an_answer_until_close_is_seen(proxied):
    go = threading.Event()

    def handler(request, conn):
        conn.head(200)
        conn.send(b"some")
        go.wait(10)
        conn.rst()
    server, b = proxied(handler)
    with server.client() as c:
        c.send_request("GET", "/")
        answer = c.head()
        assert answer.body.some(c.deadline()) == b"some"
        go.set()
        with pytest.raises(ConnectionResetError):
            answer.body.some(c.deadline())


# --- early answers -----------------------------------------------------------

@pytest.mark.parametrize("end", ["close", "rst", "stay"])
def test_an_early_answer_passes_while_the_body_comes(proxied, end):
    def handler(conn):
        conn.read_request(body=False)
        conn.respond(401, b"who are you?", {"WWW-Authenticate": "Basic"})
        if end == "stay":
            wait_for(conn.gone)
        else:
            getattr(conn, end)()
    server, b = proxied(raw_handler=handler)
    with server.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        c.send(bytes(1000))
        answer = c.response()
        assert (answer.status, answer.content) == (401, b"who are you?")
        assert answer.headers["WWW-Authenticate"] == "Basic"
    wait_for(lambda: not b.open_connections())
    assert server.get("/").status == 401
    assert len(b.connections) == 2


def test_both_directions_stream_at_once(proxied):
    def handler(conn):
        request = conn.read_request(body=False)
        conn.start_chunked()
        while data := request.body.some(conn_deadline()):
            conn.chunk(data.upper())
        conn.end_chunks()
    server, _ = proxied(raw_handler=handler)
    with server.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        answer = None
        for word in (b"one", b"two", b"three"):
            c.send(b"%x\r\n%b\r\n" % (len(word), word))
            answer = answer or c.head()
            assert answer.body.some(c.deadline()) == word.upper()
        c.send("0\r\n\r\n")
        assert answer.body.all(c.deadline()) == b""


# --- clients that go ---------------------------------------------------------

@pytest.mark.parametrize("end", ["close", "rst"])
@pytest.mark.parametrize("streaming", [False, True])
def test_a_client_that_goes_takes_its_request_along(proxied, end, streaming):
    def handler(request, conn):
        if streaming:
            conn.start_chunked()
        wait_for(conn.gone, 30)
    server, b = proxied(handler)
    before = server.open_files()
    clients = [server.client() for _ in range(50)]
    for c in clients:
        c.send_request("GET", "/")
        if streaming:
            c.head()
    wait_for(lambda: len(b.requests) == 50)
    for c in clients:
        getattr(c, end)()
    wait_for(lambda: not b.open_connections(), 2)
    wait_for(lambda: server.open_files() <= before, 2)


# --- backpressure ------------------------------------------------------------

@pytest.mark.slow
def test_a_large_download_is_not_held_here(small_quarantine, proxied):
    block, blocks = os.urandom(MIB), 256

    def handler(request, conn):
        conn.head(200, {"Content-Length": str(MIB * blocks)})
        for _ in range(blocks):
            conn.send(block)
    server, _ = proxied(handler)
    with server.client(timeout=60) as c:
        before = server.rss()
        c.send_request("GET", "/")
        body = c.head().body
        time.sleep(0.3)  # what is not read must pile up at the backend
        assert server.rss() - before < HELD_MAX
        want, got = hashlib.sha256(block * blocks), hashlib.sha256()
        while data := body.some(c.deadline()):
            c.stream.received.clear()
            got.update(data)
        assert got.digest() == want.digest()
        assert server.rss() - before < HELD_MAX


@pytest.mark.slow
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_large_upload_is_not_held_here(small_quarantine, proxied, framing):
    block, blocks = os.urandom(MIB), 128
    digest = hashlib.sha256()
    go = threading.Event()

    def handler(conn):
        request = conn.read_request(body=False)
        go.wait(10)
        while data := request.body.some(conn_deadline()):
            conn.stream.received.clear()
            digest.update(data)
        conn.respond(200, b"")
    server, _ = proxied(raw_handler=handler)
    with server.client(timeout=60) as c:
        before = server.rss()
        c.send("POST / HTTP/1.1\r\nHost: x\r\n" +
               (f"Content-Length: {blocks * MIB}\r\n\r\n" if framing == "length"
                else "Transfer-Encoding: chunked\r\n\r\n"))
        sender = threading.Thread(target=send_blocks,
                                  args=(c, block, blocks, framing))
        sender.start()
        time.sleep(0.3)
        assert server.rss() - before < HELD_MAX
        go.set()
        sender.join(60)
        assert c.response().status == 200
        assert server.rss() - before < HELD_MAX
    assert digest.digest() == hashlib.sha256(block * blocks).digest()


def send_blocks(c, block, blocks, framing):
    for _ in range(blocks):
        if framing == "length":
            c.send(block)
        else:
            c.send(b"%x\r\n%b\r\n" % (len(block), block))
    if framing == "chunked":
        c.send(b"0\r\n\r\n")


def endless(request, conn):
    conn.start_chunked()
    while conn.open:
        conn.chunk(bytes(MIB))


def test_a_client_that_does_not_read_is_cut(proxied):
    server, b = proxied(endless, limits={"write_timeout": "300ms"})
    with server.client(rcvbuf=4096) as c:
        c.send_request("GET", "/")
        wait_for(lambda: b.requests and not b.open_connections(), 5)
        with pytest.raises(ConnectionResetError):
            while c.stream.fill(c.deadline()):
                pass
    assert counter(server, "proxy_cut_off") == 1


def test_a_client_that_reads_slowly_is_not_cut(proxied):
    server, b = proxied(endless, limits={"write_timeout": "300ms"})
    with server.client(rcvbuf=4096) as c:
        c.send_request("GET", "/")
        body = c.head().body
        for _ in range(100):
            time.sleep(0.02)
            assert body.some(c.deadline())
        assert b.open_connections()


def test_the_rest_of_an_answer_is_sent_after_its_end(proxied):
    server, _ = proxied(lambda request, conn: conn.respond(200, bytes(8 * MIB)))
    with server.client(rcvbuf=4096) as c:
        c.send_request("GET", "/", {"Connection": "close"})
        answer = c.head()
        time.sleep(3)  # the backend is done, and a client gets more than 2 s
        assert len(answer.body.all(c.deadline(30))) == 8 * MIB


def test_a_body_that_does_not_come_is_a_408(proxied):
    server, b = proxied(limits={"write_timeout": "300ms"})
    with server.client() as c:
        c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel")
        assert c.response().status == 408
    wait_for(lambda: b.connections and not b.open_connections())


def test_unread_answers_stop_pipelined_requests(proxied):
    server, b = proxied(lambda request, conn: conn.respond(200, bytes(100000)))
    with server.client(rcvbuf=4096) as c:
        c.sock.settimeout(1)
        try:
            for _ in range(2000):
                c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        except TimeoutError:
            pass
        time.sleep(0.5)
        assert len(b.requests) < 200


# --- upgrades ----------------------------------------------------------------

def accept_for(key):
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


def ws_headers(**changes):
    headers = {"Connection": "Upgrade", "Upgrade": "websocket",
               "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13"}
    headers.update({k.replace("_", "-"): v for k, v in changes.items()})
    return [(n, x) for n, v in headers.items() if v is not None
            for x in ([v] if isinstance(v, str) else v)]


def switch(conn, request, **changes):
    headers = {"Connection": "upgrade", "Upgrade": "WebSocket",
               "Sec-WebSocket-Accept": accept_for(
                   request.headers["Sec-WebSocket-Key"])}
    headers.update({k.replace("_", "-"): v for k, v in changes.items()})
    conn.head(101, {k: v for k, v in headers.items() if v is not None})


def echo(request, conn):
    switch(conn, request)
    while conn.stream.buffer or conn.stream.fill(conn_deadline()):
        conn.send(conn.stream.take(len(conn.stream.buffer)))
    conn.close()


ASKED = {
    "plain": {},
    "keep-alive": {"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket"},
    "two lines": {"Connection": ["keep-alive", "upgrade"]},
    "h2c first": {"Upgrade": "h2c, websocket"},
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
def test_a_websocket_passes(proxied, asked):
    server, b = proxied(echo)
    with server.client() as c:
        c.send_request("GET", "/chat", ws_headers(**asked))
        answer = c.head()
        assert answer.status == 101
        assert answer.headers["Sec-WebSocket-Accept"] == accept_for(KEY)
        assert answer.headers["Upgrade"].lower() == "websocket"
        c.send(b"\x81\x82abcd\x00\x00")
        assert c.stream.read_exactly(8, c.deadline()) == b"\x81\x82abcd\x00\x00"
    assert b.requests[0].headers.get_all("Connection") == ["Upgrade"]
    assert b.requests[0].headers.get_all("Upgrade")[0].lower() == "websocket"
    wait_for(lambda: not b.open_connections(), 3)


def test_a_101_may_say_that_it_has_no_content(proxied):
    # As Nchan does, though RFC 9110 (8.6) forbids it.
    server, _ = proxied(lambda request, conn: switch(conn, request,
                                                     Content_Length="0"))
    with server.client() as c:
        c.send_request("GET", "/chat", ws_headers())
        answer = c.head()
        assert answer.status == 101
        assert "Content-Length" not in answer.headers


BAD_ASKED = {
    "version": (426, "GET", "1.1", {"Sec-WebSocket-Version": "1337"}),
    "old version": (426, "GET", "1.1", {"Sec-WebSocket-Version": "8"}),
    "no version": (400, "GET", "1.1", {"Sec-WebSocket-Version": None}),
    "key": (400, "GET", "1.1", {"Sec-WebSocket-Key": "short"}),
    "no key": (400, "GET", "1.1", {"Sec-WebSocket-Key": None}),
    "two keys": (400, "GET", "1.1", {"Sec-WebSocket-Key": [KEY, KEY]}),
    "post": (400, "POST", "1.1", {}),
    "http/1.0": (400, "GET", "1.0", {}),
    "body": (400, "GET", "1.1", {"Content-Length": "1"}),
}


@pytest.mark.parametrize("case", BAD_ASKED.values(), ids=BAD_ASKED.keys())
def test_a_bad_handshake_reaches_no_backend(proxied, case):
    status, method, version, changes = case
    server, b = proxied(echo)
    with server.client() as c:
        c.send_request(method, "/chat", ws_headers(**changes), version=version)
        answer = c.response()
        assert answer.status == status
        if status == 426:
            assert answer.headers["Sec-WebSocket-Version"] == "13"
    assert b.requests == []


@pytest.mark.parametrize("changes", [
    {"Connection": "not-upgrade-me"}, {"Upgrade": "h2c"}, {"Upgrade": "TLS/1.3"}])
def test_what_is_no_upgrade_is_an_ordinary_request(proxied, changes):
    server, b = proxied(lambda request, conn: conn.respond(200, b"page"))
    assert server.get("/", ws_headers(**changes)).content == b"page"
    assert "Upgrade" not in b.requests[0].headers
    assert "Connection" not in b.requests[0].headers


REFUSALS = {
    401: {"WWW-Authenticate": "Basic"}, 404: {}, 302: {"Location": "/x"}, 200: {},
    426: {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"},
}


@pytest.mark.parametrize("status", REFUSALS)
def test_a_refused_upgrade_is_relayed(proxied, status):
    server, b = proxied(lambda request, conn: conn.respond(
        status, b"twenty octets of text", REFUSALS[status]))
    with server.client() as c:
        for _ in range(2):
            answer = c.get("/chat", ws_headers())
            assert (answer.status, answer.content) == (
                status, b"twenty octets of text")
            assert all(answer.headers[n] == v for n, v in REFUSALS[status].items())
    assert len(b.connections) == 1


@pytest.mark.parametrize("changes", [
    {"Sec-WebSocket-Accept": accept_for("x")}, {"Sec-WebSocket-Accept": None},
    {"Upgrade": "chat"}, {"Upgrade": None}, {"Connection": None}])
def test_a_wrong_101_is_a_502_and_no_tunnel(proxied, changes):
    def handler(request, conn):
        switch(conn, request, **changes)
        wait_for(conn.gone)
        assert b"smuggled" not in conn.received
    server, b = proxied(handler)
    with server.client() as c:
        c.send_request("GET", "/chat", ws_headers())
        c.send("GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"[:4])
        assert c.response().status == 502
    wait_for(lambda: not b.open_connections())


def test_no_answer_to_an_upgrade_is_a_504(proxied):
    server, b = proxied(lambda request, conn: wait_for(conn.gone),
                        response_timeout="200ms")
    assert_problem(server.get("/chat", ws_headers()), 504,
                   "http_response_timeout")


def test_octets_beside_the_heads_pass_first(proxied):
    def handler(request, conn):
        switch(conn, request)
        conn.send(b"hello")
        conn.send(conn.stream.read_exactly(5, conn_deadline()))
    server, _ = proxied(handler)
    with server.client() as c:
        c.send_request("GET", "/", ws_headers())
        c.send("early")
        assert c.head().status == 101
        assert c.stream.read_exactly(10, c.deadline()) == b"helloearly"


def test_another_protocol_passes_with_half_closing(proxied):
    def handler(request, conn):
        assert request.headers["Upgrade"] == "tcp"
        conn.head(101, {"Connection": "Upgrade", "Upgrade": "tcp"})
        got = b""
        while conn.stream.fill(conn_deadline()):
            got += conn.stream.take(len(conn.stream.buffer))
        time.sleep(1)  # longer than a WebSocket would get
        conn.send(got[::-1])
        conn.close()
    server, b = proxied(handler)
    with server.client() as c:
        c.send_request("POST", "/attach", {"Connection": "upgrade",
                                           "Upgrade": "tcp"})
        assert c.head().status == 101
        c.send("stdin")
        c.half_close()
        assert c.read_to_close() == b"nidts"


@pytest.mark.parametrize("end", ["close", "rst"])
def test_a_websocket_client_that_goes_frees_the_backend(proxied, end):
    def handler(request, conn):
        switch(conn, request)
        time.sleep(5)  # deaf
    server, b = proxied(handler)
    before = server.open_files()
    clients = [server.client() for _ in range(20)]
    for c in clients:
        c.send_request("GET", "/", ws_headers())
        assert c.head().status == 101
    for c in clients:
        getattr(c, end)()
    wait_for(lambda: server.open_files() <= before, 2)


@pytest.mark.parametrize("end", ["close", "rst"])
def test_a_websocket_ends_as_its_backend_does(proxied, end):
    def handler(request, conn):
        switch(conn, request)
        conn.send(b"\x88\x00")
        if end == "rst":
            conn.stream.read_exactly(4, conn_deadline())
        getattr(conn, end)()
    server, b = proxied(handler)
    with server.client() as c:
        c.send_request("GET", "/", ws_headers())
        c.head()
        assert c.stream.read_exactly(2, c.deadline()) == b"\x88\x00"
        if end == "close":
            assert not c.stream.fill(c.deadline())
        else:
            c.send("ping")
            with pytest.raises(ConnectionResetError):
                c.stream.fill(c.deadline())


@pytest.mark.slow
def test_a_tunnel_holds_back_both_ways(proxied):
    total = 64 * MIB
    go = threading.Event()

    def handler(request, conn):
        switch(conn, request)
        sender = threading.Thread(target=conn.send, args=(bytes(total),))
        sender.start()
        go.wait(10)
        got = 0
        while got < total:
            conn.stream.fill(conn_deadline())
            got += len(conn.stream.take(len(conn.stream.buffer)))
            conn.stream.received.clear()
        sender.join(30)
        conn.close()
    server, _ = proxied(handler)
    with server.client(timeout=60) as c:
        c.send_request("GET", "/", ws_headers())
        c.head()
        before = server.rss()
        sender = threading.Thread(target=c.send, args=(bytes(total),))
        sender.start()
        time.sleep(0.3)
        assert server.rss() - before < HELD_MAX
        go.set()
        got = len(c.stream.buffer)
        c.stream.buffer.clear()
        while c.stream.fill(c.deadline()):
            got += len(c.stream.take(len(c.stream.buffer)))
            c.stream.received.clear()
        sender.join(30)
        assert got == total


# --- with a real client ------------------------------------------------------

def test_curl_uploads_and_downloads(proxied, tmp_path):
    server, _ = proxied(lambda request, conn: conn.respond(200, request.content))
    sent = os.urandom(2 * MIB)
    (tmp_path / "body").write_bytes(sent)
    status, got = curl(server.url("/"), "-T", str(tmp_path / "body"))
    assert (status, got) == (0, sent)
