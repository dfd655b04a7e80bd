"""Clients that are slow, silent or gone, and more of them than there is room
for: what one does, the others do not notice."""

import resource
import time

import pytest

import load
import raw
from backend import Feed
from clients import TRANSPORTS, SseClient, WsClient, reader
from raw import wait_for

pytestmark = pytest.mark.alone

ALL = ["poll", "longpoll", "sse", "websocket"]
FOLLOWERS = ("sse", "websocket")
KIB, MIB = 1024, 1024 * 1024
# The least that the kernel takes for a receive buffer.
TINY = 2304

HANDSHAKE = {"Connection": "Upgrade", "Upgrade": "websocket",
             "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
FOLLOW = {"sse": {"Accept": "text/event-stream"}, "websocket": HANDSHAKE}


def news(limits=None, **keys):
    return {"log": {"access": "off"}, "workers": 2, "limits": limits or {},
            "routes": [{"path": "/news", "source": "publish",
                        "transports": ALL, **keys}]}


def follow(p, transport, headers=(), rcvbuf=None):
    """A follower as a raw connection that has read the answer's head, and
    that reads no further unless told to."""
    c = p.client(rcvbuf=rcvbuf)
    c.send_request("GET", "/news", FOLLOW[transport] | dict(headers))
    assert c.head().status == (101 if transport == "websocket" else 200)
    return c


# --- a reader that stops reading -------------------------------------------------

def one_round(p, crowd, rate, n, size):
    """The same messages without, and then with, two that read nothing: the
    figures of both, and the two."""
    before = crowd.publish(n, rate, size)
    stalled = [follow(p, transport, rcvbuf=TINY) for transport in FOLLOWERS]
    return before, crowd.publish(n, rate, size), stalled


def was_unharmed(before, during):
    """A loose factor: the machine may be busy with something else."""
    return during["p99_ms"] < max(50, 3 * before["p99_ms"])


@pytest.mark.load
@pytest.mark.slow
def test_readers_that_stop_reading_slow_down_nobody(penstock):
    # The history lasts four seconds: a machine that is busy with something else
    # delays others by less.
    p = penstock(news(history={"messages": 1000, "bytes": "4MiB"}))
    each, rate = load.scaled(500, 20), load.scaled(250, 250)
    n, size = 1250, 2 * KIB
    with load.Crowd(p, "/news") as crowd:
        crowd.connect("sse", each)
        crowd.connect("websocket", each)
        crowd.publish(1000, 2 * rate, size)  # the history is full now
        rss, stalled, unharmed = p.rss(), [], False
        while not unharmed and len(stalled) < 6:
            before, during, two = one_round(p, crowd, rate, n, size)
            stalled += two
            unharmed = bool(load.sanitizer()) or was_unharmed(before, during)
            print(f"2 stalled among {2 * each} readers, {n} messages of {size} "
                  f"octets at {rate}/s; p50/p99/max in ms without: "
                  f"{before['p50_ms']}/{before['p99_ms']}/{before['max_ms']}, "
                  f"with: {during['p50_ms']}/{during['p99_ms']}/"
                  f"{during['max_ms']}; {load.machine()}")
        grown = p.rss() - rss
        status = crowd.status()
    print(f"resident memory grew by {grown / KIB:.0f} KiB")
    assert unharmed
    assert status["following"] == 2 * each and status["closed"] == 0
    assert during["delivered"] == n * 2 * each
    for transport in FOLLOWERS:
        p.wait_for(lambda: len(p.log_lines(
            " reader.close ", f"transport={transport}", "reason=too-slow"))
            == len(stalled) / 2, 5, "the cut")
    assert p.metric("readers_cut_total") == len(stalled)
    assert p.metric("gaps_total") == 0
    for c in stalled:
        c.close()
    if not load.sanitizer():
        assert grown < 8 * MIB


def publish_numbers(p, first, last, size):
    """Numbers, each first in data of this size, on one connection."""
    with raw.Client(p.admin_port) as c:
        for n in range(first, last + 1):
            answer = c.request("POST", "/channels/news",
                               {"Content-Type": "text/plain"},
                               f"{n} ".ljust(size, "x"))
            assert answer.status == 201, answer


def number(message):
    return int(message[2].split()[0])


def patient(transport, p, **options):
    """A reader that leaves what it does not read in its socket."""
    if transport == "websocket":
        options |= {"max_queue": 1, "read_limit": 4096}
    return reader(transport, p, "/news", **options)


@pytest.mark.parametrize("transport", FOLLOWERS)
def test_with_skip_a_paused_reader_is_told_what_it_missed(penstock, transport):
    held, last = 30, 300
    p = penstock(news(lag="skip", history={"messages": held}))
    with patient(transport, p).connect() as r:
        publish_numbers(p, 1, last, 64 * KIB)
        got = [0]
        while got[-1] < last:
            got += map(number, r.read(1))
        jumps = [(a, b) for a, b in zip(got, got[1:]) if b != a + 1]
        # Every hole was marked, and after the last one came all that is held.
        assert len(jumps) == r.gaps > 0, (got, r.gaps)
        assert all(b > a for a, b in jumps)
        assert jumps[-1][1] <= last - held + 1
        p.wait_for(lambda: p.metric("gaps_total") == r.gaps)
        assert p.metric("readers_cut_total") == 0
        p.publish("news", "on it goes")
        assert r.read(1)[0][2] == "on it goes"


def test_a_plain_websocket_cannot_be_told_of_a_gap_and_is_sent_1013(penstock):
    p = penstock(news(lag="skip", history={"messages": 30}))
    with patient("websocket", p, protocol=None).connect() as r:
        publish_numbers(p, 1, 300, 64 * KIB)
        got = [0]
        with pytest.raises(Exception, match="1013"):
            while True:
                got.append(int(r.recv().split()[0]))
        assert got == list(range(len(got)))
        assert r.close_code == 1013
    assert p.metric("readers_cut_total") == 1
    assert p.metric("gaps_total") == 0


def test_who_was_cut_resumes_and_is_told_of_the_gap(penstock):
    p = penstock(news(history={"messages": 30}))
    with patient("sse", p).connect() as r:
        publish_numbers(p, 1, 300, 64 * KIB)
        p.wait_for(lambda: p.log_lines("reader.close", "reason=too-slow"), 10,
                   "the cut")
        got = []
        with pytest.raises((raw.Closed, ConnectionResetError)):
            while True:
                got += r.read(1)
        cursor = got[-1][0] if got else "oldest"
    with reader("sse", p, "/news").connect(cursor) as r:
        assert [number(m) for m in r.read(30)] == list(range(271, 301))
        assert r.gaps == 1


@pytest.mark.parametrize("transport", FOLLOWERS)
def test_a_full_socket_is_cut_after_the_write_timeout(penstock, transport):
    p = penstock(news(limits={"write_timeout": "500ms"}))
    with follow(p, transport, rcvbuf=TINY), \
            patient("sse", p).connect() as other:
        publish_numbers(p, 1, 100, 64 * KIB)
        assert [number(m) for m in other.read(100)] == list(range(1, 101))
        p.wait_for(lambda: p.log_lines("reader.close", f"transport={transport}",
                                       "reason=write-timeout"), 3, "the cut")
        assert p.channel("news")["readers"] == 1
    assert p.metric("readers_cut_total") == 1


# --- clients that are no more ----------------------------------------------------

def test_a_websocket_that_answers_no_ping_is_found_dead(penstock):
    heartbeat_s = 0.5
    p = penstock(news(heartbeat="500ms"))
    with WsClient(p, "/news").connect() as alive:
        began = time.monotonic()
        with follow(p, "websocket") as c:
            c.read_to_close()
        took_s = time.monotonic() - began
        assert heartbeat_s * 1.5 < took_s < heartbeat_s * 2 + 0.5
        p.wait_for(lambda: p.log_lines("reader.close", "reason=no-pong"), 5,
                   "the log line")
        assert p.metric("readers_dead_total") == 1
        time.sleep(2 * heartbeat_s)  # it answers, and stays
        assert p.channel("news")["readers"] == 1
        p.publish("news", "hello")
        assert alive.read(1)[0][2] == "hello"


def leave(client, how):
    if how == "RST":
        client.rst()
    else:
        client.close()


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("transport", ["sse", "websocket", "longpoll"])
def test_who_vanishes_is_gone_within_a_second(penstock, transport, how):
    p = penstock(news())
    if transport == "longpoll":
        c = p.client()
        c.send_request("GET", "/news?wait=30")
    else:
        c = follow(p, transport)
    p.wait_for(lambda: (p.channel("news") or {}).get("readers") == 1, 5, "it")
    leave(c, how)
    p.wait_for(lambda: p.channel("news")["readers"] == 0, 1, "its end")
    assert p.publish_answer("news", "to nobody")["readers"] == 0


@pytest.mark.parametrize("how", ["FIN", "RST"])
@pytest.mark.parametrize("transport", FOLLOWERS)
def test_who_vanishes_as_messages_come_is_gone_too(penstock, transport, how):
    p = penstock(news())
    c = follow(p, transport, rcvbuf=TINY)
    publish_numbers(p, 1, 50, 64 * KIB)  # it is blocked now
    leave(c, how)
    p.wait_for(lambda: p.channel("news")["readers"] == 0, 1, "its end")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_upstream_is_let_go_linger_after_the_last_reader(penstock, backend,
                                                         transport):
    linger_s = 0.6
    feed = Feed()
    b = backend(feed.sse)
    p = penstock({"backends": {"app": b.url},
                  "routes": [{"path": "/news", "transports": ALL,
                              "source": {"sse": "app/stream",
                                         "linger": "600ms"}}]})
    with reader(transport, p, "/news").connect("oldest") as r, \
            reader("sse", p, "/news").connect() as last:
        feed.add("a")
        assert r.read(1)[0][2] == "a"
        last.read(1)
        assert feed.readers == 1
    left = time.monotonic()
    wait_for(lambda: feed.readers == 0, 5, "the upstream's end")
    assert linger_s * 0.9 < time.monotonic() - left < linger_s + 1
    p.wait_for(lambda: p.log_lines("source.close", "reason=no-readers"))
    # Who comes now opens it again, and gets what was missed meanwhile.
    feed.add("b")
    with reader(transport, p, "/news").connect(r.cursor) as r:
        assert r.read(1)[0][2] == "b"
    assert len(feed.asked) == 2 and feed.asked[1] == "1"


# --- more clients than descriptors -----------------------------------------------

def statuses_of(clients, timeout=5):
    """What each was answered: a status, or "refused"."""
    said = []
    for c in clients:
        try:
            said.append(c.head(timeout=timeout).status)
        except (raw.Closed, ConnectionResetError, BrokenPipeError):
            said.append("refused")
    return said


def try_to_follow(p):
    c = p.client()
    try:
        c.send_request("GET", "/news", FOLLOW["sse"])
    except OSError:
        pass  # refused: reading tells
    return c


def is_idle(p, seconds=1):
    """Whether it takes next to no processor time meanwhile."""
    began = p.cpu_s()
    time.sleep(seconds)
    return p.cpu_s() - began < 0.1 * seconds


def test_clients_over_the_limit_are_told_to_come_back(penstock):
    p = penstock(news(), under=("prlimit", "--nofile=100"))
    p.wait_for(lambda: p.log_lines(" start ", "descriptors=100", "connections=50"))
    clients = [try_to_follow(p) for _ in range(80)]
    said = statuses_of(clients)
    assert said.count(200) == 50 and set(said) <= {200, 503, "refused"}, said
    assert said.count(503) >= 25, said
    assert p.metric("connections_refused_total") == 30
    assert is_idle(p)
    p.publish("news", "to all that are here")
    for c in clients:
        c.close()
    p.wait_for(lambda: p.metric("clients") == 0, 5, "all to be gone")
    with reader("sse", p, "/news").connect("oldest") as r:
        assert r.read(1)[0][2] == "to all that are here"


def test_without_descriptors_it_waits_and_recovers(penstock):
    p = penstock(news(), under=("prlimit", "--nofile=400"))
    followers = [follow(p, "sse") for _ in range(100)]
    most = p.open_files() + 10
    resource.prlimit(p.process.pid, resource.RLIMIT_NOFILE, (most, most))
    late = [try_to_follow(p) for _ in range(40)]
    p.wait_for(lambda: p.log_lines("accept.pause"), 5, "the shortage")
    assert is_idle(p)
    assert p.open_files() <= most
    for c in followers:
        c.close()
    # Whoever stood in the queue is served now.
    assert statuses_of(late) == [200] * 40
    p.publish("news", "hello")
    for c in late:
        assert c.stream.read_until(b"data: hello", c.deadline())
        c.close()


def test_without_descriptors_for_the_backend_it_answers_and_recovers(
        penstock, backend):
    def slow(request, conn):
        time.sleep(0.3)
        conn.respond(200, b"done")
    b = backend(slow)
    p = penstock({"backends": {"app": b.url},
                  "routes": [{"path": "/*", "proxy": "app"}]},
                 under=("prlimit", "--nofile=70"))
    clients = [p.client() for _ in range(35)]
    for c in clients:
        c.send_request("GET", "/slow")
    said = statuses_of(clients)
    assert 200 in said and set(said) <= {200, 502, 503}, said
    assert 502 in said or 503 in said, "there were to be too few"
    for c in clients:
        c.close()
    p.wait_for(lambda: p.metric("clients") == 0, 5, "all to be gone")
    assert p.get("/slow").text == "done"
    assert is_idle(p)
