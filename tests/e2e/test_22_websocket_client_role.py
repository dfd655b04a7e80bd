"""WebSocket to the letter in the other role: the 517 cases of
tests/lib/websocket_cases.py from a backend, whose client penstock is; its
handshake, and backends that abuse it."""

import os
import re
import time

import pytest

import frames
import load
import penstock as penstock_module
import websocket_cases
from frames import PING, PONG, TEXT
from websocket_cases import KIB, MIB
from websocket_turned import Scripts, Turned

CASES = list(websocket_cases.cases())
DEFLATED = list(websocket_cases.deflated())
# A thousand messages for every case take minutes: PENSTOCK_SCALE=1000 is all.
SCALE = float(os.environ.get("PENSTOCK_SCALE", "1"))
DEFLATED_BYTES = None if SCALE >= 1000 else int(SCALE * 512 * KIB)
OFFERED = ("permessage-deflate; server_no_context_takeover; "
           "client_no_context_takeover")


def config(scripts, **source):
    return {
        "workers": 2, "log": {"access": "off"},
        "backends": {"app": f"http://127.0.0.1:{scripts.port}"},
        "routes": [{"path": "/cases/{id}", "transports": ["websocket"],
                    "history": {"messages": 2000, "bytes": "256MiB",
                                "age": "1s"},
                    "source": {"websocket": "app/cases/{id}",
                               "message": "32MiB", "linger": "0s",
                               "backoff": {"min": "60s", "max": "60s"},
                               **source}}]}


@pytest.fixture(scope="module")
def scripts():
    with Scripts() as made:
        yield made


def running(scripts, directory, **source):
    p = penstock_module.Penstock(config(scripts, **source), directory)
    p.start()
    yield p
    p.stop()


@pytest.fixture(scope="module")
def plain(scripts, tmp_path_factory):
    """One penstock for all cases: each has a channel of its own."""
    yield from running(scripts, tmp_path_factory.mktemp("plain"))


@pytest.fixture(scope="module")
def inflating(scripts, tmp_path_factory):
    """The same, offering permessage-deflate."""
    yield from running(scripts, tmp_path_factory.mktemp("inflate"),
                       compress=True)


def numbers(cases):
    return [c.number for c in cases]


def test_there_are_517_cases():
    assert len(set(numbers(CASES))) == 301
    assert len(set(numbers(DEFLATED))) == 216


@pytest.mark.parametrize("case", CASES, ids=numbers(CASES))
def test_case(plain, scripts, case):
    with Turned(plain.port, scripts, f"/cases/{case.number}") as t:
        t.server.accept()
        t.play(case)


# What a server may answer to OFFERED: for section 13 instead of what a client
# may offer (RFC 7692 7.1).
ANSWERS = (
    "permessage-deflate; server_no_context_takeover",
    OFFERED,
    "permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
    "permessage-deflate; server_no_context_takeover; server_max_window_bits=15",
    OFFERED + "; server_max_window_bits=9",
    OFFERED + "; server_max_window_bits=15",
    'permessage-deflate; server_max_window_bits="10"; '
    "client_no_context_takeover; server_no_context_takeover",
)


def answer_of(case):
    section, part, _ = map(int, case.number.split("."))
    return ANSWERS[part - 1] if section == 13 else ANSWERS[0]


@pytest.mark.parametrize("case", DEFLATED, ids=numbers(DEFLATED))
def test_deflate_case(inflating, scripts, case):
    answer = answer_of(case)
    bits = websocket_cases.parameters(answer).get("server_max_window_bits", 15)
    deflater = frames.Deflater(takeover=False, window_bits=int(bits))
    with Turned(inflating.port, scripts, f"/cases/{case.number}") as t:
        assert t.server.field("Sec-WebSocket-Extensions") == OFFERED
        t.server.accept(f"Sec-WebSocket-Extensions: {answer}")
        data = websocket_cases.corpus(case.subject)
        for i in range(case.count(DEFLATED_BYTES)):
            at = i * 61 % (len(data) - case.size)
            payload = data[at:at + case.size]
            packed = deflater.message(payload)
            t.send(b"".join(frames.fragments(
                case.opcode, packed, case.fragment or len(packed), rsv=4)))
            t.get(case.opcode, payload)
        t.end(websocket_cases.CLEANLY)
        t.no_more()


# --- frames that only a client may be sent, and those of a client ------------------

def opened(p, scripts, name):
    t = Turned(p.port, scripts, f"/cases/{name}")
    t.server.accept()
    return t


def fails(t, code):
    t.end(websocket_cases.Fails(code))
    t.no_more()


@pytest.mark.parametrize("opcode", [TEXT, frames.BINARY, PING, frames.CLOSE])
@pytest.mark.parametrize("size", [0, 2, 125])
def test_a_masked_frame_from_a_server_is_1002(plain, scripts, opcode, size):
    with opened(plain, scripts, f"masked-{opcode}-{size}") as t:
        t.server.send(frames.frame(opcode, b"\x03\xe8"[:size] + b"x" * (size - 2)))
        fails(t, 1002)


def test_a_mask_bit_fails_before_the_key_has_come(plain, scripts):
    with opened(plain, scripts, "mask-bit") as t:
        t.server.send(b"\x81\x81")
        fails(t, 1002)


def test_a_compressed_frame_without_the_extension_is_1002(inflating, scripts):
    with opened(inflating, scripts, "rsv1") as t:
        t.server.send(b"\xc1")
        fails(t, 1002)


def test_what_cannot_be_inflated_is_1007(inflating, scripts):
    with Turned(inflating.port, scripts, "/cases/not-deflate") as t:
        t.server.accept(f"Sec-WebSocket-Extensions: {OFFERED}")
        t.server.send(frames.text(b"\xff\xff\xff\xff", rsv=4, mask=None))
        fails(t, 1007)


def test_a_client_masks_every_frame_with_another_key(plain, scripts):
    with opened(plain, scripts, "keys") as t:
        for n in range(200):
            t.server.send(frames.ping(b"%d" % n, mask=None))
            t.get(PONG, b"%d" % n)
        t.end(websocket_cases.CLEANLY)
        masks = t.server.masks
    assert len(masks) == 201 and len(set(masks)) > 195
    # Each octet of a key takes on most of what 201 draws would.
    for at in range(4):
        assert len({mask[at] for mask in masks}) > 100


def test_a_client_that_leaves_says_1001_once_and_lets_the_server_close(
        plain, scripts):
    with opened(plain, scripts, "leaves") as t:
        t.server.send(frames.text(b"hello", mask=None))
        t.get(TEXT, b"hello")
        t.no_more()
        t.closes(1001)
        t.waits()
        t.server.send(frames.close(1001, mask=None))
        t.waits()


def test_a_server_that_does_not_close_is_left_after_two_seconds(plain, scripts):
    with opened(plain, scripts, "lazy") as t:
        t.server.send(frames.close(1000, mask=None))
        t.closes(1000)
        began = time.monotonic()
        assert t.server.frame() is None
        assert 1.5 < time.monotonic() - began < 3.5


def test_what_a_failed_server_still_sends_is_dropped_for_two_seconds(
        plain, scripts):
    with opened(plain, scripts, "talks-on") as t:
        t.server.send(frames.text(b"good", mask=None) + b"\x83")
        t.get(TEXT, b"good")
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - began < 5:
                t.server.send(frames.text(b"x" * 50000, mask=None))
        assert 1.5 < time.monotonic() - began < 3.5
        t.no_more()


def test_a_message_just_before_close_is_delivered_whole(plain, scripts):
    data = websocket_cases.pattern(256 * KIB)
    with opened(plain, scripts, "last-words") as t:
        t.server.send(frames.text(data, mask=None) + frames.close(1000, mask=None)
                      + frames.text(b"too late", mask=None))
        t.get(TEXT, data)
        t.end(websocket_cases.Closed(1000))
        t.no_more()


# --- the handshake (RFC 6455 4.1) ---------------------------------------------------

def header(request, name):
    return re.findall(rf"(?im)^{name}: *(.*?)\r$", request)


def test_a_client_asks_as_it_should(plain, scripts):
    keys = set()
    for n in range(3):
        with Turned(plain.port, scripts, f"/cases/asks-{n}") as t:
            head = t.server.head
            assert head.startswith(f"GET /cases/asks-{n} HTTP/1.1\r\n")
            assert header(head, "Host") == [f"127.0.0.1:{scripts.port}"]
            assert header(head, "Upgrade") == ["websocket"]
            assert header(head, "Connection") == ["Upgrade"]
            assert header(head, "Sec-WebSocket-Version") == ["13"]
            assert header(head, "Sec-WebSocket-Extensions") == []
            assert header(head, "Sec-WebSocket-Protocol") == []
            keys.update(header(head, "Sec-WebSocket-Key"))
    assert len(keys) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9+/]{21}[AQgw]==", k) for k in keys)


BAD_ANSWERS = {
    "status-200": dict(status="200 OK"),
    "status-204": dict(status="204 No Content"),
    "status-302": dict(status="302 Found", Location="/elsewhere"),
    "status-400": dict(status="400 Bad Request"),
    "status-426": dict(status="426 Upgrade Required"),
    "status-500": dict(status="500 Internal Server Error"),
    "no-upgrade": dict(Upgrade=None),
    "other-upgrade": dict(Upgrade="h2c"),
    "two-upgrades": dict(Upgrade="websocket, h2c"),
    "no-connection": dict(Connection=None),
    "other-connection": dict(Connection="keep-alive"),
    "no-accept": dict(Accept=None),
    "empty-accept": dict(Accept=""),
    "wrong-accept": dict(Accept="s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_a_bad_answer_fails_the_connection(plain, scripts, name):
    refused(plain, scripts, name, lambda s: s.answer(**BAD_ANSWERS[name]))


def refused(p, scripts, name, answer):
    with Turned(p.port, scripts, f"/cases/{name}") as t:
        t.server.send(answer(t.server) + frames.text(b"no", mask=None))
        assert t.server.end(1) == []  # no Close: it never was a WebSocket
        t.no_more()


def test_an_accept_in_other_letters_fails_the_connection(plain, scripts):
    refused(plain, scripts, "swapped", lambda s: re.sub(
        rb"(?m)^(Sec-WebSocket-Accept: )(.*)$",
        lambda m: m[1] + m[2].swapcase(), s.answer()))


@pytest.mark.parametrize("line", [
    "Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: ",
    f"Sec-WebSocket-Extensions: {OFFERED}", "Sec-WebSocket-Extensions: foo",
    "Sec-WebSocket-Extensions: ", "Upgrade: h2c",
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="])
def test_what_was_not_offered_fails_the_connection(plain, scripts, line):
    name = "extra-" + re.sub(r"\W+", "-", line)[:60]
    refused(plain, scripts, name, lambda s: s.answer(line))


@pytest.mark.parametrize("extension", [
    "foo", "permessage-deflate", "", OFFERED + ", foo",
    OFFERED + "; client_max_window_bits=10",
    OFFERED + "; server_max_window_bits=7",
    OFFERED + "; server_max_window_bits=16",
    OFFERED + "; server_max_window_bits", OFFERED + "; x=1",
    OFFERED + "; server_no_context_takeover",
    "permessage-deflate; server_no_context_takeover=1"])
def test_an_extension_that_cannot_be_kept_fails_the_connection(
        inflating, scripts, extension):
    name = "extension-" + re.sub(r"\W+", "-", extension)
    refused(inflating, scripts, name, lambda s: s.answer(
        f"Sec-WebSocket-Extensions: {extension}"))


GOOD_ANSWERS = {
    "letters": dict(Upgrade="WebSocket", Connection="UPGRADE"),
    "list": dict(Connection="keep-alive, Upgrade"),
    "phrase": dict(status="101 Whatever"),
    "space": dict(Upgrade=" \twebsocket \t"),
}


@pytest.mark.parametrize("name", GOOD_ANSWERS)
@pytest.mark.parametrize("size", [1 << 20, 1])
def test_a_good_answer_stands_and_its_frames_may_come_with_it(
        plain, scripts, name, size):
    with Turned(plain.port, scripts, f"/cases/good-{name}-{size}") as t:
        early = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        t.server.send_in(early + t.server.answer(**GOOD_ANSWERS[name])
                         + frames.text(b"first", mask=None), size)
        t.get(TEXT, b"first")
        t.end(websocket_cases.CLEANLY)


# --- abuse --------------------------------------------------------------------------

def little(p, rss, limit_bytes):
    """Whether memory has grown by little since.  (A sanitizer keeps what is
    freed.)"""
    return bool(load.sanitizer()) or p.rss() - rss < limit_bytes


@pytest.mark.parametrize("declared", [32 * MIB + 1, 64 * MIB, (1 << 63) - 1])
def test_a_message_over_the_limit_is_1009_at_its_length(
        plain, scripts, declared):
    with opened(plain, scripts, f"declares-{declared}") as t:
        t.server.send(b"\x82\x7f" + declared.to_bytes(8, "big"))
        fails(t, 1009)


def test_64_mib_over_the_limit_cost_no_memory(penstock, scripts):
    p = penstock(config(scripts, message="1MiB"))
    whole = frames.binary(bytes(64 * MIB), mask=None)
    pieces = b"".join(
        [frames.binary(bytes(MIB), fin=False, mask=None),
         *[frames.cont(bytes(64 * KIB), fin=False, mask=None)] * 1008])
    rss = p.rss()
    for n, data in enumerate((whole, pieces)):
        with opened(p, scripts, f"huge-{n}") as t:
            try:
                t.server.send(data)
            except OSError:
                pass  # it need not read to the end
            fails(t, 1009)
        assert little(p, rss, 8 * MIB)


def test_the_limit_itself_may_come(penstock, scripts):
    p = penstock(config(scripts, message="64KiB"))
    data = bytes(64 * KIB)
    with opened(p, scripts, "limit") as t:
        for size in (64 * KIB, 1000):
            t.server.send(b"".join(
                frames.frame(frames.CONT if at else frames.BINARY,
                             data[at:at + size], fin=at + size >= len(data),
                             mask=None)
                for at in range(0, len(data), size)))
            t.get(frames.BINARY, data)
        t.server.send(frames.binary(data, fin=False, mask=None) + b"\x80\x01")
        fails(t, 1009)


def test_fragments_without_end_are_1008(plain, scripts):
    rss = plain.rss()
    with opened(plain, scripts, "endless") as t:
        try:
            t.server.send(frames.text(fin=False, mask=None)
                          + frames.cont(fin=False, mask=None) * 200000)
        except OSError:
            pass
        fails(t, 1008)
    assert little(plain, rss, 8 * MIB)


def test_pings_whose_pongs_are_not_read_end_the_connection(plain, scripts):
    rss = plain.rss()
    burst = frames.ping(b"x" * 125, mask=None) * 1000
    with opened(plain, scripts, "pings") as t:
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - began < 10:
                t.server.send(burst)
    assert plain.log_lines("the backend reads none of its pongs")
    assert little(plain, rss, 8 * MIB)


@pytest.mark.parametrize("drain", ["500ms", "10s"])
def test_a_stop_does_not_wait_long_for_a_server_that_does_not_close(
        penstock, scripts, drain):
    p = penstock({**config(scripts), "limits": {"drain_timeout": drain}})
    with opened(p, scripts, f"stop-{drain}") as t:
        p.signal(15)
        t.reader.send(frames.close(1001))
        t.closes(1001)
        began = time.monotonic()
        assert p.process.wait(10) == 0
        assert time.monotonic() - began < 4
    p.followed()
