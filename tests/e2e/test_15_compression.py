"""Compression: permessage-deflate, gzip in event streams and in the answers to
polls, with clients that people use; each message is compressed once for all."""

import gzip
import json
import random
import resource
import selectors
import time
import zlib

import pytest

import frames
import load
import programs
import raw
from clients import SseParser, WsClient, with_query
from raw import wait_for

ROUTE = {"path": "/news", "source": "publish", "compress": {"min": "64B"}}
GZIP = {"Accept-Encoding": "gzip"}
EVENTS = GZIP | {"Accept": "text/event-stream"}
DEFLATE = "permessage-deflate; client_max_window_bits"
ANSWER = ("permessage-deflate; server_no_context_takeover; "
          "client_no_context_takeover")


def text_of(n, words=40):
    """Text that shrinks, another one for each n."""
    return f"{n}: " + " ".join(f"word{(n * 7 + i) % 50}" for i in range(words))


TEXTS = [text_of(n) for n in range(5)]


def meter(p, name):
    for line in p.admin("GET", "/metrics").text.splitlines():
        if line.startswith(f"penstock_{name}_total "):
            return int(line.split()[1])
    raise AssertionError(f"no meter {name}")


def deflated(p):
    return meter(p, "messages_deflated")


def publish_all(p, texts=TEXTS, channel="news"):
    return [p.publish(channel, t) for t in texts]


class Stream:
    """An event stream as gzip: events as they come, text so far, and whether
    the end of the gzip member has come, its sums right."""

    def __init__(self, p, path="/news", headers=(), version="1.1", **options):
        self.client = raw.Client(p.port, **options)
        self.client.send_request("GET", path, EVENTS | dict(headers),
                                 version=version)
        self.response = self.client.head()
        assert self.response.status == 200, self.response
        self.z = zlib.decompressobj(31)
        self.text = b""
        self.events, self.wire_bytes = [], 0
        self.parser = SseParser(lambda *event: self.events.append(event))

    def pull(self, timeout=10):
        """False at the end."""
        data = self.response.body.some(time.monotonic() + timeout)
        self.wire_bytes += len(data)
        text = self.z.decompress(data)
        self.text += text
        self.parser.feed(text)
        return bool(data)

    def read(self, n, timeout=10):
        """The data of n more messages."""
        while len(self.events) < n:
            assert self.pull(timeout), "the stream ended"
        taken, self.events = self.events[:n], self.events[n:]
        return [data for _, _, data in taken]

    def read_to_end(self):
        while self.pull():
            pass
        return self

    @property
    def whole(self):
        return self.z.eof and not self.z.unused_data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()


def inflate(f):
    """A frame's payload, by what its RSV1 says."""
    assert f.rsv in (0, 4), f
    if f.rsv == 0:
        return f.payload
    return zlib.decompressobj(-15).decompress(f.payload + b"\0\0\xff\xff")


# --- WebSocket ---------------------------------------------------------------


def deflate_client(p, offer=DEFLATE, path="/news"):
    ws = frames.Client(p.port, path, {"Sec-WebSocket-Extensions": offer})
    assert ws.status == 101, ws.head
    return ws


def test_websockets_of_python_reads_deflated_messages(penstock):
    p = penstock({"routes": [ROUTE]})
    with WsClient(p, "/news", compression="deflate").connect() as ws:
        assert "permessage-deflate" in ws.ws.response_headers[
            "Sec-WebSocket-Extensions"]
        publish_all(p)
        assert [m[2] for m in ws.read(5)] == TEXTS
        assert deflated(p) == 5


@pytest.mark.node
def test_ws_of_node_reads_deflated_messages(penstock):
    p = penstock({"routes": [ROUTE]})
    with programs.node_ws(p.url("/news", "ws"), 5) as ws:
        ws.wait_ready()
        publish_all(p)
        assert [m["data"] for m in ws.result()] == TEXTS
        assert deflated(p) == 5


@pytest.mark.chromium
@pytest.mark.slow
def test_chromium_reads_both_compressed(penstock, backend, tmp_path):
    page = backend(lambda request, conn: conn.respond(
        200, "<title>page</title>", {"Content-Type": "text/html"}))
    p = penstock({"backends": {"app": page.url}, "routes": [
        ROUTE, {"path": "/*", "proxy": "app"}]})
    with programs.chromium(p.url("/"), "/news", 5, tmp_path / "profile") as c:
        c.wait_ready(60)
        publish_all(p)
        got = c.result(60)
    assert [m["data"] for m in got["eventsource"]] == TEXTS
    assert [m["data"] for m in got["websocket"]] == TEXTS
    assert deflated(p) == 10  # a form each


@pytest.mark.parametrize("protocol", [None, "penstock.v1"])
def test_a_deflated_message_is_smaller(penstock, protocol):
    p = penstock({"routes": [ROUTE]})
    headers = {"Sec-WebSocket-Extensions": DEFLATE}
    if protocol:
        headers["Sec-WebSocket-Protocol"] = protocol
    with frames.Client(p.port, "/news", headers) as ws:
        assert ws.field("Sec-WebSocket-Extensions") == ANSWER
        p.publish("news", TEXTS[0])
        f = ws.frame()
        assert f.fin and f.rsv == 4 and f.opcode == frames.TEXT
        assert len(f.payload) < len(TEXTS[0])
        said = inflate(f).decode()
        assert (json.loads(said)["data"] if protocol else said) == TEXTS[0]


def test_small_and_random_messages_come_as_they_are(penstock):
    p = penstock({"routes": [ROUTE]})
    noise = random.Random(1).randbytes(1000)
    with deflate_client(p) as ws:
        p.publish("news", "x" * 63)
        assert ws.frame() == (True, 0, frames.TEXT, b"x" * 63)
        p.publish("news", noise, "application/octet-stream")
        assert ws.frame() == (True, 0, frames.BINARY, noise)
        p.publish("news", "x" * 64)
        assert ws.frame().rsv == 4


def test_messages_share_no_window(penstock):
    """So that each can be sent to any reader, whatever it has had."""
    p = penstock({"routes": [ROUTE]})
    with deflate_client(p) as ws:
        p.publish("news", TEXTS[0])
        p.publish("news", TEXTS[0])
        first, second = ws.frame(), ws.frame()
        assert first == second and inflate(second).decode() == TEXTS[0]


@pytest.mark.parametrize("bits", range(9, 16))
def test_a_small_window_is_kept(penstock, bits):
    p = penstock({"routes": [ROUTE]})
    big = " ".join(text_of(n % 60) for n in range(300))  # far references pay
    offer = f"permessage-deflate; server_max_window_bits={bits}"
    with deflate_client(p, offer) as ws:
        assert ws.field("Sec-WebSocket-Extensions") == (
            f"{ANSWER}; server_max_window_bits={bits}")
        p.publish("news", big)
        f = ws.frame()
        assert f.rsv == 4
        z, said = zlib.decompressobj(-bits), b""
        for octet in f.payload + b"\0\0\xff\xff":  # a little at a time
            said += z.decompress(bytes([octet]))
        assert said.decode() == big


def test_an_offer_that_cannot_be_kept_is_no_refusal(penstock):
    p = penstock({"routes": [ROUTE]})
    for offer in ("permessage-deflate; server_max_window_bits=8",
                  "permessage-deflate; unknown",
                  "permessage-deflate; server_no_context_takeover; "
                  "server_no_context_takeover",
                  "x-webkit-deflate-frame"):
        with deflate_client(p, offer) as ws:
            assert ws.field("Sec-WebSocket-Extensions") is None, offer
            p.publish("news", TEXTS[0])
            assert ws.frame() == (True, 0, frames.TEXT, TEXTS[0].encode())
    with deflate_client(p, "permessage-deflate; server_max_window_bits=8, "
                           "permessage-deflate") as ws:
        assert ws.field("Sec-WebSocket-Extensions") == ANSWER


def test_an_offer_that_is_none_is_refused(penstock):
    p = penstock({"routes": [ROUTE]})
    with frames.Client(p.port, "/news", {
            "Sec-WebSocket-Extensions": "permessage-deflate; ="}) as ws:
        assert ws.status == 400


def test_a_route_that_does_not_compress_agrees_on_nothing(penstock):
    p = penstock({"routes": [{"path": "/news", "source": "publish"}]})
    with deflate_client(p) as ws:
        assert ws.field("Sec-WebSocket-Extensions") is None
        ws.send(frames.text(b"\0", rsv=4))
        assert frames.close_code(ws.frame()) == 1002


@pytest.mark.parametrize("sent,code", [
    (frames.ping(b"", rsv=4), 1002),
    (frames.text(b"\xf2\x48", fin=False, rsv=4) +
     frames.cont(b"\xcd\xc9\xc9\x07\x00", rsv=4), 1002),
    (frames.text(b"", rsv=2), 1002),
    (frames.text(b"\x07\x07", rsv=4), 1007),
    (frames.text(b"\0\1\0\xfe\xff\xff", rsv=4), 1007),
], ids=["on-a-ping", "on-a-continuation", "rsv2", "no-deflate", "no-text"])
def test_what_is_wrong_is_closed(penstock, sent, code):
    p = penstock({"routes": [ROUTE]})
    with deflate_client(p) as ws:
        ws.send(sent)
        assert frames.close_code(ws.frame()) == code
        assert ws.end() == []


def bomb(size):
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (z.compress(bytes(size)) + z.flush(zlib.Z_SYNC_FLUSH))[:-4]


def test_a_bomb_ends_at_the_limit(penstock):
    """1:1000, from many clients at once, whole and in pieces: none costs more
    than its limit."""
    p = penstock({"workers": 2, "routes": [
        {**ROUTE, "message": "64KiB", "receive": "channel"}]})
    packed = bomb(64 << 20)
    assert len(packed) < (64 << 20) // 1000
    clients = [deflate_client(p) for _ in range(50)]
    before = p.rss()
    for i, ws in enumerate(clients):
        # No more than may be declared: the limit and an eighth.
        for piece in frames.fragments(frames.BINARY, packed[:60000],
                                      (60000, 5000, 100)[i % 3], rsv=4):
            ws.send(piece)
    for ws in clients:
        assert frames.close_code(ws.frame()) == 1009
        ws.close()
    assert p.rss() - before < (200 << 20 if load.sanitizer() else 16 << 20)
    assert p.channel("news") is None or p.channel("news")["messages"] == 0


def test_what_a_client_deflates_reaches_the_others(penstock):
    p = penstock({"routes": [{**ROUTE, "receive": "channel"}]})
    with deflate_client(p) as ws, deflate_client(p) as other:
        z = zlib.compressobj(6, zlib.DEFLATED, -15)
        packed = z.compress(TEXTS[1].encode()) + z.flush(zlib.Z_SYNC_FLUSH)
        for piece in frames.fragments(frames.TEXT, packed[:-4], 7, rsv=4):
            ws.send(piece)
        assert inflate(other.frame()).decode() == TEXTS[1]
        assert inflate(ws.frame()).decode() == TEXTS[1]


# --- server-sent events ------------------------------------------------------


def test_each_message_comes_at_once(penstock):
    p = penstock({"routes": [ROUTE]})
    with Stream(p) as s:
        assert s.response.headers["Content-Encoding"] == "gzip"
        assert s.response.headers["Vary"] == "Accept, Accept-Encoding"
        for text in TEXTS:
            p.publish("news", text)
            assert s.read(1) == [text]
        assert deflated(p) == 5


@pytest.mark.parametrize("compress", [False, True, {"min": "0B", "level": 9}])
def test_a_small_event_comes_as_soon_with_compression(penstock, compress):
    """It is not held until a window is full, whatever the config."""
    p = penstock({"routes": [{**ROUTE, "compress": compress}]})
    with p.client() as c:
        c.send_request("GET", "/news", {"Accept": "text/event-stream",
                                        "Accept-Encoding": "gzip"})
        answer = c.head()
        packed = answer.headers.get("Content-Encoding") == "gzip"
        assert packed == bool(compress)
        inflate = zlib.decompressobj(31).decompress if packed else bytes
        said = b""
        for n in range(5):
            p.publish("news", f"event {n}")
            start = time.monotonic()
            while f"data: event {n}\n\n".encode() not in said:
                said += inflate(answer.body.some(c.deadline()))
            assert time.monotonic() - start < 0.5


def test_a_stream_is_smaller(penstock):
    p = penstock({"routes": [ROUTE]})
    texts = [text_of(n, 200) for n in range(20)]
    with Stream(p) as s:
        publish_all(p, texts)
        assert s.read(20) == texts
        assert s.wire_bytes < len("".join(texts)) / 2


def test_the_end_is_the_member_s_end(penstock):
    """What is in between is counted too: greeting, heartbeats, gap mark."""
    p = penstock({"routes": [
        {**ROUTE, "heartbeat": "30ms", "history": {"messages": 5}}]})
    ids = publish_all(p, [text_of(n) for n in range(9)])
    with Stream(p, headers={"Last-Event-ID": ids[0]}) as s:
        assert s.events == [] and s.pull()
        wait_for(lambda: s.pull() and len(s.parser.comments) > 3, what="comments")
        p.publish("news", "last")
        while not s.events or s.events[-1][2] != "last":
            s.pull()
        assert p.admin("DELETE", "/channels/news").status in (200, 204)
        s.read_to_end()
    assert s.whole
    assert [e[1] for e in s.events].count("penstock.gap") == 1
    assert [e[2] for e in s.events if e[1] == "message"] == [
        text_of(n) for n in range(4, 9)] + ["last"]


def test_a_drain_ends_the_member(penstock):
    p = penstock({"routes": [ROUTE]})
    with Stream(p) as s:
        publish_all(p)
        assert s.read(5) == TEXTS
        p.stop()
        assert s.read_to_end().whole


def test_a_slow_reader_loses_no_octet(penstock):
    """Half sent messages, heartbeats between them, and all of it in order."""
    p = penstock({"routes": [{**ROUTE, "heartbeat": "20ms",
                              "history": {"messages": 10000}}]})
    noise = random.Random(3)
    texts = [f"{n} " + noise.randbytes(noise.choice((10, 1000, 60000))).hex()
             for n in range(120)]
    with Stream(p, rcvbuf=4096, timeout=30) as s:
        publish_all(p, texts)
        for n in range(120):
            assert s.read(1, 30) == [texts[n]]
            time.sleep(0.002)
        p.admin("DELETE", "/channels/news")
        assert s.read_to_end().whole


def test_http_1_0_gets_it_too(penstock):
    p = penstock({"routes": [ROUTE]})
    with Stream(p, version="1.0") as s:
        assert "Transfer-Encoding" not in s.response.headers
        publish_all(p)
        assert s.read(5) == TEXTS
        p.admin("DELETE", "/channels/news")
        assert s.read_to_end().whole


def test_head_says_what_get_would(penstock):
    p = penstock({"routes": [ROUTE]})
    answer = p.request("HEAD", "/news", EVENTS)
    assert answer.headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("accepts", [None, "identity", "br", "gzip;q=0",
                                     "gzip;q=0.5, identity"])
def test_who_does_not_want_it_gets_it_plain(penstock, accepts):
    p = penstock({"routes": [ROUTE]})
    headers = {"Accept-Encoding": accepts} if accepts else {}
    with raw.Client(p.port) as c:
        c.send_request("GET", "/news",
                       {"Accept": "text/event-stream"} | headers)
        head = c.head()
        assert "Content-Encoding" not in head.headers
        assert head.headers["Vary"] == "Accept, Accept-Encoding"
        assert head.body.some(c.deadline()).startswith(b":\n")


def test_a_route_that_does_not_compress_never_does(penstock):
    p = penstock({"routes": [{"path": "/news", "source": "publish"}]})
    with raw.Client(p.port) as c:
        c.send_request("GET", "/news", EVENTS)
        head = c.head()
        assert "Content-Encoding" not in head.headers
        assert head.headers["Vary"] == "Accept"
    p.publish("news", TEXTS[0])
    answer = p.get("/news", GZIP)
    assert answer.text == TEXTS[0] and "Content-Encoding" not in answer.headers
    assert "Encoding" not in answer.headers["Vary"]


def test_curl_reads_a_stream(penstock):
    p = penstock({"routes": [{**ROUTE, "start": "oldest"}]})
    publish_all(p)
    status, out = programs.curl(
        "--compressed", "-H", "Accept: text/event-stream", p.url("/news"),
        timeout=2)
    assert status == 28  # it would have gone on
    assert [l[6:] for l in out.decode().splitlines()
            if l.startswith("data: ")] == TEXTS
    assert deflated(p) == 5


@pytest.mark.node
def test_fetch_of_node_reads_a_stream(penstock):
    p = penstock({"routes": [ROUTE]})
    with programs.Script("node_fetch_sse.mjs",
                         {"url": p.url("/news"), "count": 5}) as node:
        node.wait_ready()
        publish_all(p)
        assert node.result() == {"coding": "gzip", "data": TEXTS}


# --- polls -------------------------------------------------------------------


def test_the_newest_message_comes_as_gzip(penstock):
    p = penstock({"routes": [ROUTE]})
    id = p.publish("news", TEXTS[0], "text/plain")
    for _ in range(3):
        answer = p.get("/news", GZIP)
        assert gzip.decompress(answer.content).decode() == TEXTS[0]
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Content-Type"] == "text/plain"
        assert answer.headers["Content-Length"] == str(len(answer.content))
        assert answer.headers["ETag"] == f'W/"{id}"'
        assert "Accept-Encoding" in answer.headers["Vary"]
    assert deflated(p) == 1


def test_plain_and_gzip_have_their_own_tags(penstock):
    p = penstock({"routes": [ROUTE]})
    id = p.publish("news", TEXTS[0])
    plain = p.get("/news")
    assert plain.text == TEXTS[0] and "Content-Encoding" not in plain.headers
    assert plain.headers["ETag"] == f'"{id}"'
    assert "Accept-Encoding" in plain.headers["Vary"]
    for tag in (f'"{id}"', f'W/"{id}"'):
        answer = p.get("/news", GZIP | {"If-None-Match": tag})
        assert answer.status == 304
        assert answer.headers["ETag"] == f'W/"{id}"'
        assert "Accept-Encoding" in answer.headers["Vary"]
    assert p.get("/news", {"If-None-Match": f'W/"{id}"'}).status == 304


def test_a_small_answer_stays_plain(penstock):
    p = penstock({"routes": [ROUTE]})
    id = p.publish("news", "x" * 63)
    answer = p.get("/news", GZIP)
    assert answer.text == "x" * 63
    assert answer.headers["ETag"] == f'"{id}"'


def test_head_of_gzip_says_its_length(penstock):
    p = penstock({"routes": [ROUTE]})
    p.publish("news", TEXTS[0])
    get, head = p.get("/news", GZIP), p.request("HEAD", "/news", GZIP)
    for name in ("Content-Encoding", "Content-Length", "ETag"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize("wait", [None, 5])
def test_a_batch_comes_as_gzip(penstock, wait):
    p = penstock({"routes": [ROUTE]})
    ids = publish_all(p)
    path = with_query("/news", since="oldest", wait=wait)
    plain, packed = p.get(path), p.get(path, GZIP)
    assert gzip.decompress(packed.content) == plain.content
    assert len(packed.content) < len(plain.content) / 2
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.headers["ETag"] == f'W/"{ids[-1]}"'
    assert packed.headers["Link"] == plain.headers["Link"]
    assert "Accept-Encoding" in packed.headers["Vary"]


def test_a_long_poll_goes_on_from_a_weak_tag(penstock):
    p = penstock({"routes": [{**ROUTE, "transports": ["longpoll"]}]})
    publish_all(p, TEXTS[:2])
    first = p.get("/news?since=oldest", GZIP)
    p.publish("news", TEXTS[2])
    second = p.get("/news", GZIP | {"If-None-Match": first.headers["ETag"]})
    messages = json.loads(gzip.decompress(second.content))["messages"]
    assert [m["data"] for m in messages] == [TEXTS[2]]


def test_curl_reads_a_batch(penstock):
    p = penstock({"routes": [ROUTE]})
    publish_all(p)
    status, out = programs.curl("--compressed", p.url("/news?since=oldest"))
    assert status == 0
    assert [m["data"] for m in json.loads(out)["messages"]] == TEXTS


# --- once for all ------------------------------------------------------------


class Crowd:
    """Many raw clients that send one head and then read."""

    def __init__(self, p, n, head):
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit[1], limit[1]))
        self.selector = selectors.DefaultSelector()
        self.clients = []
        for _ in range(n):
            c = raw.Client(p.port, timeout=30)
            c.send(head)
            self.clients.append(c)
        for c in self.clients:
            c.stream.read_until(b"\r\n\r\n", c.deadline())
            self.selector.register(c.sock, selectors.EVENT_READ, c)

    def wait(self, done, timeout=60):
        """Until done(octets so far) of each."""
        deadline = time.monotonic() + timeout
        left = {c for c in self.clients if not done(c.stream.buffer)}
        while left:
            assert time.monotonic() < deadline, f"{len(left)} still wait"
            for key, _ in self.selector.select(1):
                key.data.stream.fill(deadline)
                if done(key.data.stream.buffer):
                    left.discard(key.data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for c in self.clients:
            c.close()
        self.selector.close()


# PENSTOCK_SCALE=5 makes it ten thousand.
MANY = load.scaled(2000, 300)


@pytest.mark.slow
@pytest.mark.alone
def test_a_message_to_many_is_deflated_once(penstock):
    p = penstock({"workers": 4, "log": {"access": "off"}, "routes": [ROUTE]})
    head = ("GET /news HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
            f"Sec-WebSocket-Extensions: {DEFLATE}\r\n\r\n")
    with Crowd(p, MANY, head) as crowd, deflate_client(p) as one:
        wait_for(lambda: p.channel("news")["readers"] == MANY + 1, 30)
        publish_all(p)
        want = b""
        for text in TEXTS:
            f = one.frame()
            assert inflate(f).decode() == text
            want += bytes([0xc1]) + frames.length_field(len(f.payload), 0)
            want += f.payload
        crowd.wait(lambda got: len(got) >= len(want))
        assert all(c.stream.buffer == want for c in crowd.clients)
        assert deflated(p) == 5


@pytest.mark.slow
@pytest.mark.alone
def test_an_event_to_many_is_packed_once(penstock):
    p = penstock({"workers": 4, "log": {"access": "off"}, "routes": [ROUTE]})
    head = ("GET /news HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n"
            "Accept-Encoding: gzip\r\n\r\n")
    with Crowd(p, MANY, head) as crowd, Stream(p) as one:
        wait_for(lambda: p.channel("news")["readers"] == MANY + 1, 30)
        publish_all(p)
        assert one.read(5) == TEXTS
        assert deflated(p) == 5
        # What is deleted before a reader has it is gone.
        p.wait_for(lambda: p.metric("messages_delivered_total") ==
                   5 * (MANY + 1), 60)
        p.admin("DELETE", "/channels/news")
        crowd.wait(lambda got: got.endswith(b"\r\n0\r\n\r\n"))
        for c in crowd.clients:
            z = zlib.decompressobj(31)
            text = z.decompress(unchunked(bytes(c.stream.buffer))).decode()
            assert z.eof and all(f"data: {t}\n" in text for t in TEXTS)
        assert deflated(p) == 5


def unchunked(octets):
    out = b""
    while octets:
        size, octets = octets.split(b"\r\n", 1)
        n = int(size, 16)
        out, octets = out + octets[:n], octets[n + 2:]
    return out
