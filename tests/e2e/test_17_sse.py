"""text/event-stream from end to end: what a backend's stream says, however it
is cut, is what clients of all transports read, and nobody can forge a field
(HTML living standard, "Server-sent events")."""

import base64
import hashlib
import json
import re
import time

import pytest

import frames
import raw
from clients import TRANSPORTS, SseClient, as_text, reader

ALL = ["poll", "longpoll", "sse", "websocket"]
KIB, MIB = 1024, 1024 * 1024
every_transport = pytest.mark.parametrize("transport", TRANSPORTS)


def events(b, kind="sse", **keys):
    """A channel for each {n}, whose source is a stream of its own."""
    return {"backends": {"app": b.url}, "workers": 2, "log": {"access": "off"},
            "limits": {"message": "32MiB"},
            "routes": [{"path": "/s/{n}", "transports": ALL, "start": "oldest",
                        "source": {kind: "app/s/{n}", "message": "32MiB",
                                   "backoff": {"min": "20ms", "max": "50ms"}},
                        "history": {"bytes": "256MiB"}, **keys}]}


class Script:
    """What the backend says to the n-th stream: pieces, each a chunk of its
    own, so that it reaches the parser by itself.  Then it stays open."""

    def __init__(self, type="text/event-stream"):
        self.streams, self.type, self.asked = [], type, {}

    def add(self, *pieces):
        self.streams.append([p.encode() if isinstance(p, str) else p
                             for p in pieces])
        return len(self.streams) - 1

    def __call__(self, request, conn):
        n = int(request.target.rpartition("/")[2])
        asked = self.asked.setdefault(n, [])
        asked.append(request.headers.get("Last-Event-ID"))
        conn.start_chunked(200, {"Content-Type": self.type})
        if len(asked) > 1:
            return  # all has been said
        for piece in self.streams[n]:
            if piece is None:
                conn.end_chunks()
            elif piece:
                conn.chunk(piece)


def read_all(p, n, count, transport="websocket"):
    """(type, data) of the messages of the n-th stream; no more follow."""
    with reader(transport, p, f"/s/{n}").connect("oldest") as r:
        return [m[1:] for m in r.read(count)]


END = "\n\nevent: end\ndata: .\n\n"
ENDED = ("end", ".")


# --- what the standard shows --------------------------------------------------------

STANDARD = {
    "three messages": (
        "data: This is the first message.\n"
        "\n"
        "data: This is the second message, it\n"
        "data: has two lines.\n"
        "\n"
        "data: This is the third message.\n"
        "\n",
        [("message", "This is the first message."),
         ("message", "This is the second message, it\nhas two lines."),
         ("message", "This is the third message.")]),
    "types": (
        "event: add\ndata: 73857293\n\n"
        "event: remove\ndata: 2153\n\n"
        "event: add\ndata: 113411\n\n",
        [("add", "73857293"), ("remove", "2153"), ("add", "113411")]),
    "three lines": ("data: YHOO\ndata: +2\ndata: 10\n\n",
                    [("message", "YHOO\n+2\n10")]),
    "four blocks": (
        ": test stream\n\ndata: first event\nid: 1\n\n"
        "data:second event\nid\n\ndata:  third event\n\n",
        [("message", "first event"), ("message", "second event"),
         ("message", " third event")]),
    "empty data": ("data\n\ndata\ndata\n\ndata:",
                   [("message", ""), ("message", "\n")]),
    "spaces": ("data:test\n\ndata: test\n\n",
               [("message", "test"), ("message", "test")]),
}
MORE = {
    "a type without data": ("event: lost\n\ndata: x\n\n", [("message", "x")]),
    "an id alone": ("id: 9\n\ndata: z\n\n", [("message", "z")]),
    "fields by their case": ("DATA: x\nEvent: y\ndata: z\n\n",
                             [("message", "z")]),
    "unknown fields": ("foo: bar\n foo\ndata: x\ndata : y\nbar\n\n",
                       [("message", "x")]),
    "the last type counts": ("event: a\nevent: b\ndata: x\n\n", [("b", "x")]),
    "an empty type is message": ("event: a\nevent:\ndata: x\n\n",
                                 [("message", "x")]),
    "colons": ("data:: a:b:\n\n", [("message", ": a:b:")]),
    "a comment inside": ("data: a\n: comment\ndata: b\n\n",
                         [("message", "a\nb")]),
    "NUL in data": ("data: a\0b\n\n", [("message", "a\0b")]),
    "blank lines": ("\n\n\n\ndata: x\n\n\n\n", [("message", "x")]),
    "a mark inside": ("data: \ufeffx\n\ndata: y\n\n",
                      [("message", "\ufeffx"), ("message", "y")]),
    "a mark between": ("data: x\n\n\ufeffdata: y\ndata: z\n\n",
                       [("message", "x"), ("message", "z")]),
    "characters": ("event: 事件\ndata: €🚋\ndata: \u2028\x85\n\n",
                   [("事件", "€🚋\n\u2028\x85")]),
}
TEXTS = STANDARD | MORE
LINE_ENDS = {"LF": "\n", "CR": "\r", "CRLF": "\r\n"}


@every_transport
def test_what_the_standard_shows_reads_as_it_says(penstock, backend, transport):
    script = Script()
    for text, _ in TEXTS.values():
        script.add(text)
    p = penstock(events(backend(script)))
    for n, (name, (_, want)) in enumerate(TEXTS.items()):
        assert read_all(p, n, len(want), transport) == want, name


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
def test_every_cut_of_every_text_reads_the_same(penstock, backend, end):
    """Each text with each line end, cut at each octet."""
    script, wants = Script(), []
    for text, want in TEXTS.values():
        octets = text.replace("\n", end).encode()
        for at in range(1, len(octets)):
            wants.append((script.add(octets[:at], octets[at:]), want))
    p = penstock(events(backend(script)))
    for n, want in wants:
        got = read_batch(p, n, len(want))
        assert got == want, (script.streams[n], got)


@pytest.mark.parametrize("end", LINE_ENDS.values(), ids=LINE_ENDS)
def test_octet_by_octet_every_text_reads_the_same(penstock, backend, end):
    script = Script()
    wants = []
    for text, want in TEXTS.values():
        octets = text.replace("\n", end).encode()
        script.add(*(octets[i:i + 1] for i in range(len(octets))))
        wants.append(want)
    p = penstock(events(backend(script)))
    for n, want in enumerate(wants):
        assert read_batch(p, n, len(want)) == want, script.streams[n]


def read_batch(p, n, count):
    """As read_all(), by long polls: one connection, no threads."""
    got, since = [], "oldest"
    with p.client() as c:
        while len(got) < count:
            answer = c.get(f"/s/{n}?since={since}&wait=5")
            assert answer.status == 200, (answer, got)
            batch = answer.json()
            got += [(m["event"], as_text(m["data"])) for m in batch["messages"]]
            since = batch["next"]
    return got


@pytest.mark.parametrize("text", [
    "data: A\r\ndata: B\r|\ndata: C\r\n\r\n", "data: A\r|data: B\r\ndata: C\n\n",
    "data: A\ndata: B\rdata: C\r|\n\r\n", "data: A\rdata: B\rdata: C\r\r"])
def test_line_ends_may_be_mixed(penstock, backend, text):
    script = Script()
    script.add(*text.split("|"))
    p = penstock(events(backend(script)))
    assert read_all(p, 0, 1) == [("message", "A\nB\nC")]


# --- byte order marks, ids ----------------------------------------------------------

BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize("pieces", [
    [BOM + b"event: boot\ndata: 1\n\n"], [BOM, b"event: boot\ndata: 1\n\n"],
    [BOM[:1], BOM[1:], b"event: boot\ndata: 1\n\n"],
    [BOM[:1], BOM[1:2], BOM[2:] + b"event: boot\ndata: 1\n\n"]])
def test_one_mark_in_front_is_stripped(penstock, backend, pieces):
    script = Script()
    script.add(*pieces)
    p = penstock(events(backend(script)))
    assert read_all(p, 0, 1) == [("boot", "1")]


def test_a_second_mark_is_part_of_a_field_s_name(penstock, backend):
    script = Script()
    script.add(BOM, BOM + b"event: boot\ndata: 1\n\n")
    p = penstock(events(backend(script)))
    assert read_all(p, 0, 1) == [("message", "1")]


IDS = {  # what is said before the stream ends: what it is resumed with
    "id: 7\ndata: x\n\n": "7",
    "id: 7\ndata: x\n\nid: 8\ndata: half": "7",
    "id: 7\ndata: x\n\nid: 8\n\n": "8",
    "id: 7\ndata: x\n\nid: a\0b\n\n": "7",
    "id: 7\ndata: x\n\nid\n\n": None,
    "id: 7\ndata: x\n\nid:\n\n": None,
    "id: 7\ndata: x\n\ndata: y\n\n": "7",
    "id: 7\nid: 8\ndata: x\n\n": "8",
    "id: 7\ndata: x\n\nid: \r\n\r\n": None,
    "id:  7 \ndata: x\n\n": "7",  # as a header field carries it
    "data: x\n\n": None,
}


def test_a_stream_is_resumed_from_the_id_that_holds(penstock, backend):
    script = Script()
    for text in IDS:
        script.add(text, None)
    p = penstock(events(backend(script)))
    for n, (text, want) in enumerate(IDS.items()):
        with SseClient(p, f"/s/{n}").connect("oldest") as r:
            assert r.read(1)[0][1:] == ("message", "x"), text
            p.wait_for(lambda n=n: len(script.asked[n]) > 1, what=text)
        assert script.asked[n][:2] == [None, want], text


# --- sizes --------------------------------------------------------------------------

def big(size):
    """size octets of text, no two neighbours alike."""
    return ("0123456789abcdef" * (size // 16 + 1))[:size]


@every_transport
def test_large_messages_pass_whole(penstock, backend, transport):
    sizes = [64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 16 * MIB]
    script = Script()
    for size in sizes:
        script.add("event: big\ndata: ", big(size), END)
    lines = "\n".join([big(1000)] * 16000)
    script.add("event: big\n" + "data: " + lines.replace("\n", "\ndata: ") + END)
    p = penstock(events(backend(script)))
    for n, want in enumerate([*map(big, sizes), lines]):
        got = read_large(p, n, transport)
        assert got == [("big", want), ENDED], [(t, len(d)) for t, d in got]


def read_large(p, n, transport):
    """Each transport with as little in between as can be."""
    if transport in ("poll", "longpoll"):
        return read_batch(p, n, 2)
    if transport == "sse":
        return read_large_sse(p, n)
    headers = {"Sec-WebSocket-Protocol": "penstock.v1"}
    with frames.Client(p.port, f"/s/{n}?since=oldest", headers, 30) as ws:
        got = [json.loads(ws.frame().payload) for _ in range(2)]
    return [(m["event"], m["data"]) for m in got]


def read_large_sse(p, n):
    with p.client(timeout=30) as c:
        c.send_request("GET", f"/s/{n}?since=oldest",
                       {"Accept": "text/event-stream"})
        answer, text = c.head(), bytearray()
        while b"data: .\n\n" not in text[-20:]:
            text += answer.body.some(c.deadline())
    return [("".join(values(block, "event")), "\n".join(values(block, "data")))
            for block in text.decode().split("\n\n") if "data: " in block]


def values(block, name):
    return [line.removeprefix(f"{name}: ") for line in block.split("\n")
            if line.startswith(f"{name}: ")]


def test_over_the_limit_a_message_is_dropped_and_the_stream_goes_on(penstock,
                                                                    backend):
    script = Script()
    script.add("data: ", big(64 * KIB), END, "data: ", *[big(64 * KIB)] * 64,
               END)
    p = penstock({**events(backend(script)), "routes": [
        {"path": "/s/{n}", "start": "oldest",
         "source": {"sse": "app/s/{n}", "message": "64KiB"}}]})
    assert read_all(p, 0, 3) == [("message", big(64 * KIB)), ENDED, ENDED]
    assert p.metric("source_refused_total") == 1


# --- what is no UTF-8 ---------------------------------------------------------------

BAD = {
    b"a\xffb": "a\ufffdb",
    b"\xc0\xaf": "\ufffd\ufffd",
    b"\xed\xa0\x80": "\ufffd\ufffd\ufffd",
    b"\xf4\x90\x80\x80": "\ufffd\ufffd\ufffd\ufffd",
    b"\xe2\x82": "\ufffd",
    b"\xe2\x82\ndata: \xac": "\ufffd\n\ufffd",
    b"caf\xe9 \xe2\x82\xac": "caf\ufffd \u20ac",
    b"\xf0\x9f\x9a": "\ufffd",
    b'{"a":"\xff"}': '{"a":"\ufffd"}',
}


def test_bad_octets_of_a_stream_become_replacement_characters(penstock, backend):
    script = Script()
    for octets in BAD:
        script.add(b"event: t\xff\ndata: " + octets + b"\n\n")
    p = penstock(events(backend(script)))
    for n, (octets, want) in enumerate(BAD.items()):
        assert octets.replace(b"\ndata: ", b"\n").decode(errors="replace") \
            == want
        assert read_batch(p, n, 1) == [("t\ufffd", want)], octets
        with SseClient(p, f"/s/{n}").connect("oldest") as r:
            assert r.read(1)[0][1:] == ("t\ufffd", want)
        with frames.Client(p.port, f"/s/{n}?since=oldest") as ws:
            f = ws.frame()
            assert f.opcode == frames.TEXT
            assert f.payload.decode() == want


def test_a_character_may_lie_across_chunks(penstock, backend):
    script = Script()
    script.add(b"data: \xe2\x82", b"\xac\xf0\x9f", b"\x9a\x8b\n\n")
    p = penstock(events(backend(script)))
    for transport in TRANSPORTS:
        assert read_all(p, 0, 1, transport) == [("message", "€🚋")]


def test_a_published_stream_is_decoded_as_well(penstock):
    p = penstock({"routes": [{"path": "/news", "source": "publish",
                              "start": "oldest", "transports": ALL}]})
    answer = p.admin("POST", "/channels/news",
                     {"Content-Type": "text/event-stream"},
                     b"event: \xc3\ndata: a\xff\n\ndata: \xe2\x82\xac\n\n")
    assert answer.json()["published"] == 2
    for transport in TRANSPORTS:
        with reader(transport, p, "/news").connect("oldest") as r:
            assert [m[1:] for m in r.read(2)] == [("\ufffd", "a\ufffd"),
                                                  ("message", "€")]


def test_text_that_is_published_and_is_no_utf8_is_binary(penstock):
    """One message has no encoding but its own: its octets are kept."""
    p = penstock({"routes": [{"path": "/news", "source": "publish",
                              "start": "oldest", "transports": ALL}]})
    p.publish("news", b"caf\xe9", type="text/plain; charset=iso-8859-1")
    with frames.Client(p.port, "/news") as ws:
        f = ws.frame()
        assert (f.opcode, f.payload) == (frames.BINARY, b"caf\xe9")
    m = p.get("/news?since=oldest").json()["messages"][0]
    assert m["encoding"] == "base64"
    assert base64.b64decode(m["data"]) == b"caf\xe9"
    with SseClient(p, "/news").connect("oldest") as r:
        assert r.read(1)[0][2] == m["data"]


# --- what nobody can forge ----------------------------------------------------------

DATA = ["ok\rdata: forged\r\r", "a\nb\r\nc", "x\n\nevent: admin\ndata: 1",
        "id: 9\nretry: 1\n\n", "\r\n\r\ndata: x", "\n", "\r", "\r\n", ":", "\0",
        "\nid: 1-1\n\n", "retry: 0", "\n\n: comment\n\n"]
JSON_LINES = ['["x",\r\r"data: y"]', '{"a":\r"id: 9"\r\r}']
JSON = JSON_LINES + ['{"a":\r"b"\n}', '{\n\n"id: 9": 1}', '[1,\r\n\r\n2]']
TYPE_OCTETS = [b"t\rdata: z", b"t\nid: 9", b"t\0", b"t\r\n\r\ndata: z"]
LINE = re.compile(rb"(id: [0-9A-Za-z]+-\d+|event: [\w.]+|data: [^\r\n]*|:)?")


def lines_back(data):
    return data.replace("\r\n", "\n").replace("\r", "\n")


def read_wire(p, path, n):
    """The octets of n messages on an SSE connection, after the greeting."""
    with p.client() as c:
        c.send_request("GET", f"{path}?since=oldest",
                       {"Accept": "text/event-stream"})
        answer = c.head()
        said = b""
        while said.count(b"\n\n") < n + 1:
            said += answer.body.some(c.deadline())
    greeting, _, said = said.partition(b"\n\n")
    assert re.fullmatch(rb":\nretry: \d+\nid: [0-9A-Za-z]+-\d+", greeting)
    return said


def nothing_is_forged(p, path, want):
    """The channel's messages are want, and on the wire there is not one line
    but theirs."""
    said = read_wire(p, path, len(want))
    blocks = said.split(b"\n\n")
    assert blocks.pop() == b"" and len(blocks) == len(want)
    assert b"\r" not in said
    for block, (type, data) in zip(blocks, want):
        lines = block.split(b"\n")
        assert all(LINE.fullmatch(line) for line in lines), block
        assert sum(line.startswith(b"id: ") for line in lines) == 1
        types = [line for line in lines if line.startswith(b"event: ")]
        assert types == ([] if type == "message" else [b"event: %b" % type.encode()])
        assert "\n".join(line[6:].decode() for line in lines
                         if line.startswith(b"data: ")) == lines_back(data)


def published(p, data, type):
    for text in data:
        p.publish("news", text.encode(), type=type)


def news(**keys):
    return {"routes": [{"path": "/news", "source": "publish", "start": "oldest",
                        "transports": ALL, **keys}]}


def test_publishing_cannot_forge_a_field(penstock):
    p = penstock(news())
    published(p, DATA, "text/plain")
    published(p, JSON, "application/json")
    nothing_is_forged(p, "/news", [("message", d) for d in DATA + JSON])


def test_an_event_type_cannot_forge_a_field(penstock):
    p = penstock(news())
    for type in TYPE_OCTETS:
        with raw.Client(p.admin_port) as c:
            c.send(b"POST /channels/news HTTP/1.1\r\nHost: a\r\n"
                   b"Penstock-Event: " + type + b"\r\nContent-Length: 1\r\n\r\nx")
            try:
                said = c.response()
                assert said.status in (201, 400), type
            except raw.Closed:
                pass
    p.publish("news", ".", event="end")
    messages = [m for m in p.get("/news?since=oldest").json()["messages"]]
    nothing_is_forged(p, "/news", [(m["event"], m["data"]) for m in messages])
    assert messages[-1]["event"] == "end"
    assert all(m["event"] in ("t", "end", "message") for m in messages)


def test_streams_that_are_published_cannot_forge_a_field(penstock):
    p = penstock(news())
    p.admin("POST", "/channels/news", {"Content-Type": "application/x-ndjson"},
            "".join(d + "\n" for d in [*map(json.dumps, DATA), *JSON_LINES]))
    p.admin("POST", "/channels/news", {"Content-Type": "text/event-stream"},
            "id: 1\revent: a\0b\rdata: x\0y\r\rid: 9-9\ndata: {\n\nid: x" + END)
    messages = p.get("/news?since=oldest").json()["messages"]
    want = [*(("message", json.dumps(d)) for d in DATA),
            *(("message", d) for d in JSON_LINES)]
    # A type that no SSE client could be told is left out there.
    nothing_is_forged(p, "/news", [*want, ("message", "x\0y"),
                                   ("message", "{"), ENDED])
    assert len(messages) == len(want) + 3


def test_clients_cannot_forge_a_field(penstock):
    p = penstock(news(receive="channel", message="1MiB"))
    with frames.Client(p.port, "/news") as ws:
        for data in DATA + JSON:
            ws.send(frames.text(data))
            assert ws.frame().payload == data.encode()
    nothing_is_forged(p, "/news", [("message", d) for d in DATA + JSON])


def test_a_stream_of_json_cannot_forge_a_field(penstock, backend):
    script = Script("application/x-ndjson")
    data = [*map(json.dumps, DATA), *JSON_LINES]
    script.add("".join(d + "\n" for d in data))
    p = penstock(events(backend(script), "ndjson"))
    nothing_is_forged(p, "/s/0", [("message", d) for d in data])


def test_a_stream_of_events_cannot_forge_a_field(penstock, backend):
    script = Script()
    script.add(*(b"event: " + t + b"\ndata: x\n\n" for t in TYPE_OCTETS),
               b"id: 7\0\nid: 8\ndata: z\0\n\n", END)
    p = penstock(events(backend(script)))
    # The first type ends at its CR: what follows is a field of the stream.
    nothing_is_forged(p, "/s/0", [
        ("t", "z\nx"), ("t", "x"), ("message", "x"), ("message", "z\nx"),
        ("message", "z\0"), ENDED])


def test_a_backend_s_websocket_cannot_forge_a_field(penstock, backend):
    def talk(request, conn):
        key = request.headers["Sec-WebSocket-Key"]
        digest = hashlib.sha1(
            key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        conn.head(101, {"Connection": "Upgrade", "Upgrade": "websocket",
                        "Sec-WebSocket-Accept":
                        base64.b64encode(digest).decode()})
        for data in DATA + JSON:
            conn.send(frames.text(data, mask=None))
        conn.stream.fill(time.monotonic() + 60)
    p = penstock(events(backend(talk), "websocket"))
    nothing_is_forged(p, "/s/0", [("message", d) for d in DATA + JSON])


def test_a_heartbeat_may_be_an_event_that_scripts_see(penstock):
    p = penstock({"routes": [{"path": "/news", "source": "publish",
                              "heartbeat": "50ms", "heartbeat_event": "beat"}]})
    with SseClient(p, "/news").connect() as r:
        assert [(kind, data) for _, kind, data in r.read(2)] == [("beat", "{}")] * 2
        assert r.response.headers["Incremental"] == "?1"
