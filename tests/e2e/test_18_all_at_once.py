"""One history read four ways at once: 10,000 messages of 0 B to 1 MiB, text,
JSON and binary, by clients that stay, that break off and change transports,
and that lag behind.  Each ends with the sequence exact, or with gaps exactly
where they are marked."""

import base64
import json
import random
import threading
import time

import pytest

import frames
import load
import raw
from clients import TRANSPORTS, next_cursor

pytestmark = pytest.mark.alone

KIB, MIB = 1024, 1024 * 1024
COUNT = 10000
HISTORY = 1000
# How far the publisher runs ahead of those who are to miss nothing.
AHEAD, AHEAD_BYTES = HISTORY // 2, 8 * MIB
EDGES = (0, 1, 125, 126, 65535, 65536, MIB)


# --- what is published ----------------------------------------------------------

class Sent:
    """One message, and what it is on each transport."""

    def __init__(self, number, size, rng):
        self.number = number
        self.kind = rng.choice(("text", "text", "json", "binary"))
        self.type, self.body = getattr(self, self.kind)(size, rng)
        self.event = rng.choice((None, "tick", "trade"))

    @staticmethod
    def text(size, rng):
        line = "".join(rng.choices("abc dé€\n\r\t\"\\:{", k=97)).encode()
        cut = (line * (size // len(line) + 1))[:size]
        return "text/plain", cut.decode(errors="ignore").encode()

    @staticmethod
    def json(size, rng):
        value = {"n": rng.randint(0, 1 << 40), "s": "é\n" * (size // 5)}
        return "application/json", json.dumps(value, ensure_ascii=False).encode()

    @staticmethod
    def binary(size, rng):
        return "application/octet-stream", rng.randbytes(min(size, 4096)) * (
            size // 4096 or 1)

    def matches(self, m):
        """Whether m, as a reader made it, is this one."""
        if m.event != (self.event or "message"):
            return False
        if m.transport == "sse":
            return m.data == self.lines()
        if self.kind == "binary":
            return base64.b64decode(m.data) == self.body
        if self.kind == "json":
            return m.data == json.loads(self.body)
        return m.data == self.body.decode()

    def lines(self):
        if self.kind == "binary":
            return base64.b64encode(self.body)
        return self.body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def sizes(rng, n):
    """Mostly small, some large, and every size where a length changes form."""
    for i in range(n):
        if i % 50 == 0:
            yield EDGES[i // 50 % len(EDGES)]
        else:
            yield int(2 ** rng.uniform(0, 16 if i % 10 == 0 else 10))


def messages(seed, n):
    rng = random.Random(seed)
    return [Sent(i, size, rng) for i, size in enumerate(sizes(rng, n), 1)]


class Stopped(Exception):
    """Somebody else has failed."""


class Publisher(threading.Thread):
    """Publishes all of them, in order, no further ahead than it may be."""

    def __init__(self, p, sent):
        super().__init__(daemon=True)
        self.p, self.sent, self.error = p, sent, None
        self.clients, self.stopped = [], False
        self.done = 0        # messages that were acknowledged
        self.octets = [0]    # of the first n of them
        for m in sent:
            self.octets.append(self.octets[-1] + len(m.body))
        self.moved = threading.Condition()

    def run(self):
        try:
            with raw.Client(self.p.admin_port, timeout=30) as c:
                for m in self.sent:
                    self.wait_for_clients(m.number)
                    self.publish(c, m)
        except BaseException as e:
            self.stopped, self.error = True, e
        finally:
            with self.moved:
                self.moved.notify_all()

    def publish(self, c, m):
        headers = {"Content-Type": m.type}
        if m.event:
            headers["Penstock-Event"] = m.event
        answer = c.request("POST", "/channels/news", headers, m.body)
        assert answer.status == 201, answer
        self.epoch, _, seq = answer.json()["id"].rpartition("-")
        assert int(seq) == m.number
        self.done = m.number
        if m.number % 50 == 0 or m.number == len(self.sent):
            with self.moved:
                self.moved.notify_all()

    def wait_for_clients(self, number):
        while any(number - c.had > AHEAD or self.octets[number]
                  - self.octets[c.had] > AHEAD_BYTES
                  for c in self.clients if c.behind == 0):
            if self.stopped:
                raise Stopped
            time.sleep(0.002)

    def wait_past(self, number):
        """Until that message has been published, or all have."""
        with self.moved:
            while self.done < min(number, len(self.sent)):
                if self.stopped:
                    raise Stopped
                self.moved.wait(1)


# --- how they are read ------------------------------------------------------------

class Got:
    """A message, or with a gap the mark of one."""

    def __init__(self, transport, id, event, data, gap=None):
        self.transport, self.id, self.event = transport, id, event
        self.data, self.gap = data, gap


class SseReader:
    def __init__(self, port, since):
        self.client = raw.Client(port, timeout=30)
        self.client.send_request("GET", f"/news?since={since}",
                                 {"Accept": "text/event-stream"})
        self.body = self.client.head().body
        self.buffer, self.at = bytearray(), 0

    def read(self):
        data = self.body.some(self.client.deadline())
        assert data, "the stream ended"
        self.client.stream.received.clear()
        self.buffer += data
        while (end := self.buffer.find(b"\n\n", max(0, self.at - 1))) >= 0:
            block = bytes(self.buffer[:end])
            del self.buffer[:end + 2]
            self.at = 0
            yield from self.block(block)
        self.at = len(self.buffer)

    def block(self, block):
        fields = {}
        for line in block.split(b"\n"):
            name, _, value = line.partition(b": ")
            fields.setdefault(name, []).append(value)
        if b"data" not in fields:
            return
        id, data = fields[b"id"][0].decode(), b"\n".join(fields[b"data"])
        event = fields.get(b"event", [b"message"])[0].decode()
        gap = json.loads(data) if event == "penstock.gap" else None
        yield Got("sse", id, event, data, gap)

    def close(self):
        self.client.close()

    def rst(self):
        self.client.rst()


class WebsocketReader:
    def __init__(self, port, since):
        self.ws = frames.Client(port, f"/news?since={since}",
                                {"Sec-WebSocket-Protocol": "penstock.v1"}, 30)
        assert self.ws.status == 101, self.ws.head

    def read(self):
        f = self.ws.frame()
        assert f is not None and f.opcode in (frames.TEXT, frames.PING), f
        if f.opcode == frames.PING:
            self.ws.send(frames.pong(f.payload))
            return
        m = json.loads(f.payload)
        if "gap" in m:
            yield Got("websocket", None, None, None, m["gap"])
        else:
            yield Got("websocket", m["id"], m["event"], m["data"])

    def close(self):
        self.ws.send(frames.close(1000))
        self.ws.close()

    def rst(self):
        self.ws.rst()


class BatchReader:
    """Long poll and poll."""

    wait = ""
    name = "poll"

    def __init__(self, port, since):
        self.client, self.since = raw.Client(port, timeout=30), since

    def read(self):
        answer = self.client.get(f"/news?since={self.since}{self.wait}")
        self.client.stream.received.clear()
        assert answer.status in (200, 204), answer
        if answer.status == 204:
            self.since = next_cursor(answer) or self.since
            return
        batch = answer.json()
        self.since = batch["next"]
        if batch.get("gap"):
            yield Got(self.name, None, None, None, {})
        for m in batch["messages"]:
            yield Got(self.name, m["id"], m["event"], m["data"])
        if not batch["messages"]:
            time.sleep(0.01)

    def close(self):
        self.client.close()

    def rst(self):
        self.client.rst()


class LongpollReader(BatchReader):
    wait = "&wait=10"
    name = "longpoll"


READERS = {"sse": SseReader, "websocket": WebsocketReader,
           "longpoll": LongpollReader, "poll": BatchReader}


def number_of(id):
    return int(id.rpartition("-")[2])


class Client(threading.Thread):
    """Reads to the end.  stays: messages until it breaks off and takes some
    transport, on average, or None; behind: how many messages it then lets
    pass, so that the history forgets some."""

    def __init__(self, publisher, transport, seed, stays=None, behind=0):
        super().__init__(daemon=True)
        self.publisher, self.transport = publisher, transport
        self.rng, self.stays, self.behind = random.Random(seed), stays, behind
        self.had = 0           # the number of the last message
        self.received = 0
        self.gap = None        # a mark that is not yet followed by its message
        self.gaps, self.missed, self.breaks = 0, 0, 0
        self.used, self.error = set(), None

    def run(self):
        try:
            while self.had < len(self.publisher.sent):
                self.connect_once()
        except Stopped:
            pass
        except BaseException as e:
            self.publisher.stopped, self.error = True, e

    def connect_once(self):
        since = f"{self.publisher.epoch}-{self.had}" if self.had else "oldest"
        r = READERS[self.transport](self.publisher.p.port, since)
        self.used.add(self.transport)
        left = self.rng.expovariate(1 / self.stays) if self.stays else None
        target = len(self.publisher.sent)
        while self.had < target and (left is None or left > 0):
            for m in r.read():
                self.take(m)
                if left is not None:
                    left -= 1
                    if left <= 0:
                        break  # whatever else came is lost on the way
        self.break_off(r)

    def break_off(self, r):
        self.rng.choice((r.close, r.rst))()
        if self.had == len(self.publisher.sent):
            return
        self.gap = None  # its message may not have been taken
        self.breaks += 1
        self.transport = self.rng.choice(TRANSPORTS)
        if self.behind:
            self.publisher.wait_past(self.had + self.behind)

    def take(self, m):
        if m.gap is not None:
            self.gap = self.joined(m.gap)
            return
        number = number_of(m.id)
        if self.gap is not None:
            self.check_gap(m.id, number)
        assert number == self.had + 1, \
            f"{self.transport}: {number} after {self.had}"
        assert self.publisher.sent[number - 1].matches(m), \
            f"{self.transport}: {number} is not what was published"
        self.had = number
        self.received += 1

    def joined(self, gap):
        """Where the history forgot the message that a mark promised before
        that could go out, a second one follows right after it."""
        if self.gap is None:
            return gap
        assert number_of(self.gap["to"]) == number_of(gap["from"]) + 1
        return {"from": self.gap["from"], "to": gap["to"]}

    def check_gap(self, id, number):
        """The mark is where messages are missing, and says which."""
        assert number > self.had + 1, "a mark where nothing is missing"
        if self.gap:
            assert self.gap["to"] == id, (self.gap, id)
            assert number_of(self.gap["from"]) == self.had
        self.gaps += 1
        self.missed += number - self.had - 1
        self.had = number - 1
        self.gap = None


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 4])
def test_one_sequence_is_read_by_all_transports_at_once(penstock, workers):
    sent = messages(workers, load.scaled(COUNT, COUNT // 4))
    p = penstock({
        "workers": workers, "log": {"access": "off"},
        "limits": {"message": "2MiB"},
        "routes": [{"path": "/news", "source": "publish", "lag": "skip",
                    "transports": list(TRANSPORTS),
                    "history": {"messages": HISTORY, "bytes": "64MiB"}}]})
    publisher = Publisher(p, sent)
    steady = [Client(publisher, t, t) for t in TRANSPORTS]
    wandering = [Client(publisher, t, f"{t} {workers}", stays=300)
                 for t in TRANSPORTS]
    lagging = [Client(publisher, t, f"late {t}", stays=700,
                      behind=HISTORY * 3 // 2) for t in TRANSPORTS]
    everybody = steady + wandering + lagging
    publisher.clients = everybody
    rss, began = p.rss(), time.monotonic()
    for thread in [publisher, *everybody]:
        thread.start()
    highest = rss
    while any(c.is_alive() for c in everybody):
        assert time.monotonic() - began < 300
        highest = max(highest, p.rss())
        time.sleep(0.05)
    publisher.join(10)
    print(f"{workers} workers, {len(sent)} messages, "
          f"{publisher.octets[-1] / MIB:.0f} MiB: "
          f"{time.monotonic() - began:.1f} s, {(highest - rss) / MIB:.0f} MiB "
          f"more resident; {sum(c.breaks for c in everybody)} breaks, "
          f"{sum(c.gaps for c in everybody)} gaps of "
          f"{sum(c.missed for c in everybody)} messages; {load.machine()}")
    for thread in [*everybody, publisher]:
        if thread.error:
            raise thread.error
    for c in steady + wandering:
        assert (c.gaps, c.received) == (0, len(sent))
    assert all(c.breaks > 3 for c in wandering)
    assert set().union(*(c.used for c in wandering)) == set(TRANSPORTS)
    for c in lagging:
        assert c.received + c.missed == len(sent)
    assert sum(c.gaps for c in lagging) > 0
    if not load.sanitizer():
        assert highest - rss < 128 * MIB
