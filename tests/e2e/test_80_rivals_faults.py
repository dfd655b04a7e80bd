"""Faults that other proxies of this kind were reported with, each with the
report's number.  Those that a test of their subject shows already are there."""

import json
import os
import signal
import socket
import threading
import time

import pytest

import load
import raw
from backend import Feed
from clients import TRANSPORTS, SseClient, WsClient, reader

FOLLOWERS = ["sse", "websocket"]
KIB, MIB = 1024, 1 << 20
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = {"Connection": "Upgrade", "Upgrade": "websocket",
           "Sec-WebSocket-Key": KEY, "Sec-WebSocket-Version": "13"}
SSE = {"Accept": "text/event-stream"}
every_transport = pytest.mark.parametrize("transport", TRANSPORTS)
followers = pytest.mark.parametrize("transport", FOLLOWERS)
ends = pytest.mark.parametrize("end", ["close", "rst"])


def news(top=None, **keys):
    return {"routes": [{"path": "/news", "source": "publish", **keys}],
            **(top or {})}


def quotes(b, **source):
    return {
        "backends": {"app": b.url},
        "routes": [{"path": "/quotes/{symbol}",
                    "source": {"sse": "app/stream/{symbol}", "linger": "50ms",
                               "backoff": {"min": "1ms", "max": "2ms"},
                               **source}},
                   {"path": "/*", "proxy": "app"}],
    }


def data_of(messages):
    return [data for _, _, data in messages]


def readers_of(p, channel="news"):
    return (p.channel(channel) or {"readers": 0})["readers"]


def publish_lines(p, lines):
    """Many messages in one request."""
    answer = p.admin("POST", "/channels/news",
                     {"Content-Type": "application/x-ndjson"},
                     b"".join(b"%b\n" % line for line in lines), timeout=60)
    assert answer.status == 201, answer


@pytest.fixture
def grown(monkeypatch):
    """grown(p, work) is how many octets p has grown by as work() is done once
    more, when it has been done some times already."""
    # What ASan keeps of freed memory is not what is measured.
    monkeypatch.setenv("ASAN_OPTIONS", "quarantine_size_mb=1")

    def measure(p, work, before=3):
        for _ in range(before):
            work()
        start = p.rss()
        work()
        # TSan keeps what threads did; then it is only that all of it ends.
        return p.rss() - start if load.sanitizer() != "tsan" else 0
    return measure


# --- memory and descriptors --------------------------------------------------

@pytest.mark.alone
@pytest.mark.parametrize("workers", [1, 4])
def test_a_history_keeps_to_its_bounds_with_any_number_of_workers(
        penstock, grown, workers):
    """nchan#613, nchan#529: with several workers the store grew beyond the
    buffer's length, until publishers were refused."""
    p = penstock(news({"workers": workers},
                      history={"messages": 100, "bytes": "1MiB"}))
    lines = [b'"%b"' % (b"x" * 10 * KIB)] * 2000
    assert grown(p, lambda: publish_lines(p, lines)) < 4 * MIB
    kept = p.get("/news?since=oldest").json()["messages"]
    assert len(kept) <= 100


def test_slow_readers_cost_no_files(penstock):
    """nchan#653, nchan#672: for each slow reader temporary files piled up,
    until no descriptor was left."""
    p = penstock(news(lag="skip", history={"messages": 10}))
    clients = [p.client(rcvbuf=4096) for _ in range(20)]
    for c in clients:
        c.send_request("GET", "/news", SSE)
        c.head()
    p.wait_for(lambda: readers_of(p) == 20)
    before = p.open_files()
    publish_lines(p, [b'"%b"' % (b"x" * 20 * KIB)] * 500)
    assert p.open_files() <= before + 1  # the publisher's may not be gone
    links = [os.readlink(f"/proc/{p.process.pid}/fd/{fd}")
             for fd in os.listdir(f"/proc/{p.process.pid}/fd")]
    assert not [l for l in links if l.endswith("(deleted)")]
    for c in clients:
        c.close()


def test_publishing_never_waits_for_readers(penstock):
    """nchan#578, nchan#168: what was queued between processes grew until
    publishing hung."""
    p = penstock(news({"workers": 4}, lag="skip", history={"messages": 10}))
    clients = [p.client(rcvbuf=4096) for _ in range(40)]
    for n, c in enumerate(clients):
        c.send_request("GET", "/news", SSE if n % 2 else UPGRADE)
        c.head()
    p.wait_for(lambda: readers_of(p) == 40)
    for _ in range(100):
        start = time.monotonic()
        p.publish("news", "x" * 100 * KIB)
        assert time.monotonic() - start < 2
    for c in clients:
        c.close()


def test_a_source_that_is_refused_again_and_again_leaks_nothing(
        penstock, backend):
    """nchan#442, nchan#371: each attempt to connect again left a descriptor
    behind, and once the other side was back nothing came."""
    b, feed = backend(), Feed()
    b.handler = feed.sse
    b.kill()
    p = penstock(quotes(b))
    with SseClient(p, "/quotes/gold").connect() as r:
        p.wait_for(lambda: len(p.log_lines("source.failed")) > 20)
        before = p.open_files()
        n = len(p.log_lines("source.failed"))
        p.wait_for(lambda: len(p.log_lines("source.failed")) > n + 100)
        assert p.open_files() <= before + 1  # an attempt may be under way
        b.restart()
        p.wait_for(lambda: feed.readers == 1)
        feed.add("back")
        assert data_of(r.read(1)) == ["back"]


@pytest.mark.alone
def test_proxied_requests_leave_no_memory_behind(penstock, backend, grown):
    """pushpin#47905: each proxied request left some memory taken."""
    p = penstock(quotes(backend(
        lambda request, conn: conn.respond(200, b"x" * 4 * KIB))))

    def ask():
        for _ in range(20):
            with p.client() as c:
                for _ in range(50):
                    assert c.get("/rest?" + "q" * 500).status == 200
    assert grown(p, ask) < MIB


@pytest.mark.parametrize("held", ["sse", "longpoll"])
@pytest.mark.alone
def test_held_requests_leave_no_memory_behind(penstock, grown, held):
    """pushpin#47905, of held requests."""
    p = penstock(news())
    headers = SSE if held == "sse" else {"Prefer": "wait=30"}

    def hold():
        for _ in range(20):
            clients = [p.client() for _ in range(50)]
            for c in clients:
                c.send_request("GET", "/news", headers)
            p.wait_for(lambda: readers_of(p) == 50)
            for c in clients:
                c.close()
            p.wait_for(lambda: readers_of(p) == 0)
    assert grown(p, hold) < MIB


# --- what goes out is whole ---------------------------------------------------

def test_heartbeats_never_stand_inside_an_event(penstock):
    """nchan#637, nchan#422: the greeting or a comment came in the midst of an
    event.  The events are larger than sockets take at once."""
    p = penstock(news(heartbeat="10ms"))
    sent = [f"{n} " + "x" * 300 * KIB for n in range(10)]
    for data in sent:
        p.publish("news", data, type="text/plain")
    c = p.client(rcvbuf=4096)
    c.send_request("GET", "/news?since=oldest", SSE)
    answer, said = c.head(), bytearray()
    while said.count(b"\n\n:") < 1 or said.count(b"data: ") < 10:
        said += answer.body.some(c.deadline())
    blocks = bytes(said).split(b"\n\n")
    events = [b for b in blocks if b"data: " in b]
    assert [b.split(b"data: ")[1].decode() for b in events[:9]] == sent[:9]
    for event in events:
        names = [line.split(b":")[0] for line in event.split(b"\n")]
        assert names in ([b"id", b"data"], [b"retry", b"id", b"data"])
    c.close()


@followers
def test_readers_that_come_as_messages_fly_get_whole_ones(penstock, transport):
    """nchan#637, nchan#417: the same for those who have just come."""
    p = penstock(news(start="last"))
    stop = threading.Event()

    def publish():
        n = 0
        while not stop.is_set():
            p.publish("news", f"{n}:" + "y" * 5000, type="text/plain")
            n += 1
    thread = threading.Thread(target=publish)
    thread.start()
    try:
        for _ in range(40):
            with reader(transport, p, "/news").connect() as r:
                numbers = [int(d.removesuffix("y" * 5000).rstrip(":"))
                           for d in data_of(r.read(5))]
                assert numbers == list(range(numbers[0], numbers[0] + 5))
    finally:
        stop.set()
        thread.join()


@every_transport
def test_an_empty_message_is_a_message(penstock, transport):
    """nchan's changelog: an empty message to a reader with an envelope ended
    the server."""
    p = penstock(news())
    p.publish("news", "", type="text/plain")
    p.publish("news", "after", type="text/plain")
    with reader(transport, p, "/news").connect("oldest") as r:
        assert data_of(r.read(2)) == ["", "after"]


@every_transport
def test_forty_thousand_messages_of_one_moment_keep_their_order(
        penstock, transport):
    """Read in nchan's source: a count of 16 bits within a second came round
    to its beginning, and readers waited for what had gone by."""
    total = 40000
    p = penstock(news(history={"messages": total},
                      batch={"messages": 5000, "bytes": "16MiB"}))
    publish_lines(p, [b"%d" % n for n in range(total)])
    with reader(transport, p, "/news").connect("oldest") as r:
        got = r.read(total, 60)
    assert data_of(got) == [str(n) for n in range(total)]
    assert len({id for id, _, _ in got}) == total and r.gaps == 0


# --- a channel that goes quiet ------------------------------------------------

@every_transport
def test_a_reader_goes_on_after_its_history_ran_out(penstock, transport):
    """nchan#212, nchan#448: a subscription was mute once its channel had no
    message left, or had expired."""
    p = penstock(news(history={"age": "600ms"}))
    p.publish("news", "1")
    with reader(transport, p, "/news").connect() as r:
        time.sleep(0.9)
        p.publish("news", "2")
        assert data_of(r.read(1)) == ["2"]
        time.sleep(0.9)
        p.publish("news", "3")
        assert data_of(r.read(1)) == ["3"]
        assert r.gaps == 0


@pytest.mark.parametrize("transport", FOLLOWERS + ["longpoll"])
def test_a_deleted_channel_leaves_no_mute_reader(penstock, transport):
    """nchan's changelog: after a second DELETE readers stayed that nothing
    reached any more.  Ours are let go, and miss nothing as they come back."""
    p = penstock(news())
    p.publish("news", "1")
    for n in range(3):
        with reader(transport, p, "/news").connect() as r:
            if transport == "longpoll":
                r.client.send_request("GET", f"/news?wait=20&since={r.next}")
            p.wait_for(lambda: readers_of(p) == 1)
            for _ in range(2):
                assert p.admin("DELETE", "/channels/news").status in (204, 404)
            assert is_let_go(r, transport)
        assert readers_of(p) == 0
        p.publish("news", f"after {n}")
        with reader(transport, p, "/news").connect("oldest") as r:
            assert data_of(r.read(1)) == [f"after {n}"]


def is_let_go(r, transport):
    if transport == "longpoll":
        return r.client.response().status in (200, 204, 304, 410)
    if transport == "websocket":
        return r.wait_closed() == 1001
    return r.response.body.all(r.client.deadline()) is not None


def test_publishing_faster_than_sending_does_not_stop_a_channel(penstock):
    """nchan's changelog: messages that came faster than a small buffer was
    sent stopped their channel."""
    p = penstock(news(lag="skip", history={"messages": 2}))
    clients = [reader(t, p, "/news").connect() for t in TRANSPORTS]
    for burst in range(1, 6):
        publish_lines(p, [b"%d" % n for n in range(5000)] + [b"-%d" % burst])
        for r in clients:
            assert data_of(r.read_until(f"-{burst}"))[-1] == f"-{burst}"
    for r in clients:
        r.close()


# --- counts of readers --------------------------------------------------------

def test_readers_are_counted_as_they_are(penstock):
    """nchan#379, nchan#227, nchan#692: after time-outs and reloads the number
    of subscribers was too high, or below zero."""
    p = penstock(news({"workers": 4}))
    p.publish("news", "x")
    for round in range(3):
        polls = [p.client() for _ in range(10)]
        for c in polls:
            c.send_request("GET", "/news?wait=0.2&since=now")
        for c in polls:
            assert c.response().status in (204, 304)
            c.close()
        stay = [reader(t, p, "/news").connect() for t in FOLLOWERS * 3]
        p.wait_for(lambda: readers_of(p) == 6)
        p.write_config()
        p.signal(signal.SIGHUP)
        p.wait_for(lambda: len(p.log_lines(" reload file=")) > round)
        assert p.publish_answer("news", "y")["readers"] == 6
        for r in stay:
            assert data_of(r.read(1)) == ["y"]
            r.close()
        p.wait_for(lambda: readers_of(p) == 0)


@ends
@pytest.mark.parametrize("headers", [SSE, UPGRADE, {"Prefer": "wait=30"}],
                         ids=["sse", "websocket", "longpoll"])
def test_one_that_goes_as_it_comes_does_not_linger(penstock, headers, end):
    """nchan's changelog: a connection closed just before it was subscribed
    stayed as a subscriber."""
    p = penstock(news())
    p.publish("news", "x")
    before = p.open_files()
    for _ in range(50):
        c = p.client()
        c.send_request("GET", "/news", headers)
        getattr(c, end)()
    p.wait_for(lambda: readers_of(p) == 0 and p.open_files() <= before, 2)


# --- publishers ---------------------------------------------------------------

def test_a_large_message_passes_where_the_config_lets_it(penstock):
    """pushpin#47690: more than a mebibyte was refused, whatever the config
    said."""
    p = penstock(news({"limits": {"message": "8MiB"}}))
    data = "z" * 5 * MIB
    p.publish("news", data, type="text/plain")
    for transport in TRANSPORTS:
        with reader(transport, p, "/news").connect("oldest") as r:
            assert data_of(r.read(1, 20)) == [data]


def test_a_message_that_is_too_large_is_told_which_limit_it_was(penstock):
    """pushpin#47690: the refusal names the setting."""
    p = penstock(news({"limits": {"message": "1KiB"}}))
    answer = p.admin("POST", "/channels/news", body="x" * 1025)
    assert answer.status == 413
    assert "limits.message" in answer.json()["detail"]


def test_a_post_without_a_length_is_survived(penstock):
    """nchan's changelog: a POST without Content-Length ended the worker."""
    p = penstock(news())
    with raw.Client(p.admin_port) as c:
        c.send_request("POST", "/channels/news")
        assert c.response().status in (201, 400, 411)
        c.send_request("POST", "/channels/news", body="x")
        assert c.response().status == 201


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_a_channel_without_a_name_is_none(penstock, method):
    """nchan's changelog: a channel id of no length ended the worker."""
    p = penstock({"routes": [{"path": "/{c}", "source": "publish"}]})
    for name in ("", "/", "//", "n" * 5000):
        answer = p.admin(method, f"/channels/{name}",
                         body="x" if method == "POST" else None)
        assert answer.status in (400, 404, 405, 414), name
    assert p.admin("GET", "/channels").json() == {"channels": []}


@every_transport
def test_a_route_s_name_may_not_be_empty(penstock, transport):
    """The same, asked for by a reader."""
    p = penstock({"routes": [{"path": "/r/{c}", "source": "publish",
                              "transports": [transport]}]})
    headers = UPGRADE if transport == "websocket" else {}
    for target in ("/r/", "/r//", "/r"):
        assert p.get(target, headers).status in (400, 404)


@ends
def test_a_publisher_that_does_not_wait_for_the_answer(penstock, end):
    """nchan's changelog: a publisher that was gone before its answer ended the
    worker, and left a descriptor."""
    p = penstock(news())
    before = p.open_files()
    with SseClient(p, "/news").connect() as r:
        for n in range(30):
            c = raw.Client(p.admin_port)
            c.send_request("POST", "/channels/news", body=str(n))
            getattr(c, end)()
        p.publish("news", "end")
        assert data_of(r.read_until("end"))[-1] == "end"
    p.wait_for(lambda: p.open_files() <= before)


# --- WebSocket handshakes -----------------------------------------------------

@pytest.mark.parametrize("offered, chosen", [
    ("penstock.v1", ["penstock.v1"]),
    ("chat, penstock.v1", ["penstock.v1"]),
    ("chat ,\tpenstock.v1,superchat", ["penstock.v1"]),
    ("penstock.v10, penstock.v1", ["penstock.v1"]),
    ("penstock.v10", []),
    ("penstock", []),
    ("chat", []),
    (None, []),
])
def test_a_subprotocol_is_chosen_from_the_offer_or_none_is(penstock, offered,
                                                           chosen):
    """nchan#648, and read in its source: its own was known only as the first
    of the offer, and else an empty one was chosen, which browsers refuse."""
    p = penstock(news())
    extra = {"Sec-WebSocket-Protocol": offered} if offered else {}
    with p.client() as c:
        c.send_request("GET", "/news", {**UPGRADE, **extra})
        answer = c.head()
        assert answer.status == 101
        assert answer.headers.get_all("Sec-WebSocket-Protocol") == chosen


def test_a_subprotocol_in_a_second_field_is_found(penstock):
    """nchan#648: the list may come in several fields (RFC 6455 11.3.4)."""
    p = penstock(news())
    with p.client() as c:
        c.send_request("GET", "/news", [
            *UPGRADE.items(), ("Sec-WebSocket-Protocol", "chat"),
            ("Sec-WebSocket-Protocol", "penstock.v1")])
        answer = c.head()
        assert answer.headers.get_all("Sec-WebSocket-Protocol") == \
            ["penstock.v1"]


@pytest.mark.parametrize("changes", [
    {"Sec-WebSocket-Version": "12"}, {"Sec-WebSocket-Key": "short"},
    {"Origin": "https://evil.test"}])
def test_a_handshake_that_fails_is_answered_in_http_alone(penstock, changes):
    """nchan's changelog: a CLOSE frame was sent after a handshake that had
    failed."""
    p = penstock(news())
    with p.client() as c:
        c.send_request("GET", "/news", {**UPGRADE, "Connection":
                                        "Upgrade, close", **changes})
        answer = c.response()
        assert answer.status in (400, 403, 426)
        assert c.closed() and not c.stream.buffer


def test_bad_octets_never_go_out_as_text(penstock):
    """Read in nchan's source: whatever was published went out as a text
    frame, and browsers closed for what was no UTF-8."""
    p = penstock(news())
    for type in ("text/plain", "application/json", "application/octet-stream"):
        p.publish("news", b"a\xffb", type=type)
    with WsClient(p, "/news", protocol=None).connect("oldest") as r:
        assert [r.recv() for _ in range(3)] == [b"a\xffb"] * 3


def test_a_message_behind_fragments_comes_once(penstock, backend):
    """Read in pushpin's source: what waited behind a fragmented message was
    sent again after each later one; and what came meanwhile was dropped and
    counted as written."""
    p = penstock(news(receive="channel", message="1MiB"))
    with WsClient(p, "/news").connect() as r:
        p.wait_for(lambda: readers_of(p) == 1)
        r.send(["half ", "of ", "it"])
        p.wait_for(lambda: p.channel("news")["messages"] == 1)
        for n in range(5):
            p.publish("news", str(n))
        assert data_of(r.read(6)) == ["half of it", *"01234"]
        assert r.nothing()
    with p.client() as c:  # it has sent half a message, and is still served
        c.send_request("GET", "/news", UPGRADE)
        c.head()
        c.send(b"\x01\x81\0\0\0\0x")
        for n in range(5):
            p.publish("news", str(n))
        assert c.stream.read_exactly(15, c.deadline()) == b"".join(
            b"\x81\x01%d" % n for n in range(5))


# --- what reaches the backend -------------------------------------------------

def test_nobody_s_source_is_asked_for_again(penstock, backend):
    """pushpin#47646: requests for channels that nobody read any more were
    repeated for ever."""
    b = backend(lambda request, conn: conn.respond(503))
    p = penstock(quotes(b))
    for n in range(20):
        with SseClient(p, f"/quotes/{n}").connect():
            p.wait_for(lambda: any(r.target.endswith(f"/{n}")
                                   for r in list(b.requests)))
    time.sleep(0.3)
    before = len(b.requests)
    time.sleep(0.3)
    assert len(b.requests) == before


def test_a_request_is_passed_once(penstock, backend):
    """pushpin#48218: a request was sent a second time, in case something had
    been missed by the first."""
    b = backend(lambda request, conn: conn.respond(
        200, b"x", {"Cache-Control": "max-age=60"}))
    p = penstock(quotes(b))
    for n in range(10):
        assert p.get(f"/rest/{n}").status == 200
    assert [r.target for r in b.requests] == [f"/rest/{n}" for n in range(10)]


def test_many_that_resume_cost_the_backend_nothing(penstock, backend):
    """django-eventstream#174: thousands that came back asked the backend what
    they had missed, and it did nothing else for minutes."""
    feed = Feed()
    b = backend(feed.sse)
    p = penstock(quotes(b, linger="10s"))
    with SseClient(p, "/quotes/gold").connect() as r:
        for n in range(10):
            feed.add(str(n))
        cursor = r.read(3)[-1][0]
        r.read(7)
    clients = [p.client() for _ in range(300)]
    for c in clients:
        c.send_request("GET", "/quotes/gold", {**SSE, "Last-Event-ID": cursor})
    for c in clients:
        answer, said = c.head(), b""
        while said.count(b"data: ") < 7:
            said += answer.body.some(c.deadline())
        c.close()
    assert len(b.requests) == 1


# --- addresses ----------------------------------------------------------------

def test_ipv6_is_served_and_told_to_the_backend(penstock, backend):
    """pushpin#47707, pushpin#47631: clients by IPv6, and X-Forwarded-Proto,
    came late."""
    b = backend()
    p = penstock({**quotes(b), "listen": ["[::1]:0"]})
    import socket
    with socket.create_connection(("::1", p.port), 10) as s:
        s.sendall(b"GET /x HTTP/1.1\r\nHost: [::1]\r\n"
                  b"Connection: close\r\n\r\n")
        while s.recv(65536):
            pass
    headers = b.requests[0].headers
    assert headers["X-Forwarded-Proto"] == "http"
    assert headers["X-Forwarded-For"] == "::1"
    assert 'for="[::1]"' in headers["Forwarded"]


def test_the_channels_and_their_readers_can_be_listed(penstock):
    """nchan#304, nchan#298: nobody could tell which channels there were, and
    how many read them."""
    p = penstock({"routes": [{"path": "/r/{c}", "source": "publish"}]})
    for name in ("a", "b"):
        p.publish(f"r/{name}", "x")
    with SseClient(p, "/r/a").connect():
        p.wait_for(lambda: readers_of(p, "r/a") == 1)
        told = json.dumps(p.admin("GET", "/channels").json())
        assert '"r/a"' in told and '"r/b"' in told
