"""Clients of the four transports that count every octet, in asyncio: some
hundreds of them, for what is about octets and ages.  What is about thousands
of clients is `penstock bench`'s work (load.py)."""

import asyncio
import base64
import os
import random
import re
import time

from .payload import MARK, MARK_BYTES

# What a Chromium sends with fetch(); a poll pays for it each time.
BROWSER = [
    ("Connection", "keep-alive"),
    ("sec-ch-ua-platform", '"Linux"'),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, "
     "like Gecko) Chrome/140.0.0.0 Safari/537.36"),
    ("sec-ch-ua", '"Chromium";v="140", "Not=A?Brand";v="24"'),
    ("sec-ch-ua-mobile", "?0"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "cors"),
    ("Sec-Fetch-Dest", "empty"),
    ("Referer", "http://127.0.0.1/app"),
    ("Accept-Encoding", "identity"),
    ("Accept-Language", "en-US,en;q=0.9"),
]
BARE = []  # a program's own client: the request line, Host and what is needed


class Reader(asyncio.Protocol):
    """received and sent are octets of TCP payload; messages is [(n, age_s)];
    on_message, if given, is called instead of keeping them."""

    empty = requests = 0

    def __init__(self, port, path, headers=BARE, on_message=None,
                 compress=False):
        self.port, self.path, self.compress = port, path, compress
        self.headers = [h for h in headers if not (
            compress and h[0] == "Accept-Encoding")]
        self.messages, self.on_message = [], on_message
        self.received = self.sent = 0
        self.buffer = bytearray()
        self.transport, self.lost = None, False
        self.ready = asyncio.get_running_loop().create_future()

    async def connect(self):
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, "127.0.0.1", self.port)
        await self.ready
        return self

    def connection_made(self, transport):
        self.transport = transport
        self.begin()

    def connection_lost(self, exc):
        self.lost = True
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("closed at once"))

    def send(self, data):
        self.sent += len(data)
        self.transport.write(data)

    def ask(self, *more):
        self.requests += 1
        lines = [f"GET {self.path} HTTP/1.1", f"Host: 127.0.0.1:{self.port}"]
        lines += [f"{n}: {v}" for n, v in [*self.headers, *more]]
        self.send("\r\n".join(lines + ["", ""]).encode())

    def data_received(self, data):
        self.received += len(data)
        self.buffer += data
        self.take()

    def note(self, data):
        """Counts the messages in data; where the last one ends."""
        now, end = time.monotonic_ns(), 0
        for m in MARK.finditer(data):
            age = (now - int(m[2])) / 1e9
            if self.on_message:
                self.on_message(self, int(m[1]), age)
            else:
                self.messages.append((int(m[1]), age))
            end = m.end()
        return end

    def close(self):
        if self.transport:
            self.transport.abort()


class Follower(Reader):
    """What SSE and WebSocket have in common."""

    head = None

    def take(self):
        if self.head is None:
            at = self.buffer.find(b"\r\n\r\n")
            if at < 0:
                return
            self.head = bytes(self.buffer[:at + 4])
            del self.buffer[:at + 4]
            if int(self.head[9:12]) not in (101, 200):
                self.ready.set_exception(ConnectionError(self.head.decode()))
                return
            self.handshake = self.received - len(self.buffer), self.sent
            self.ready.set_result(self)
        self.take_body()


class SseReader(Follower):
    def begin(self):
        more = [("Accept", "text/event-stream"), ("Cache-Control", "no-cache")]
        if self.compress:
            more.append(("Accept-Encoding", "gzip"))
        self.ask(*more)

    def take_body(self):
        end = self.note(self.buffer)
        if self.compress:
            self.buffer.clear()  # only octets are counted
        else:
            del self.buffer[:max(end, len(self.buffer) - MARK_BYTES)]


class WebSocketReader(Follower):
    protocol = None

    def begin(self):
        more = [("Upgrade", "websocket"), ("Connection", "Upgrade"),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", base64.b64encode(os.urandom(16)).decode())]
        if self.protocol:
            more.append(("Sec-WebSocket-Protocol", self.protocol))
        if self.compress:
            more.append(("Sec-WebSocket-Extensions", "permessage-deflate"))
        self.headers = [h for h in self.headers if h[0] != "Connection"]
        self.ask(*more)

    def take_body(self):
        b = self.buffer
        while len(b) >= 2:
            n, at = b[1] & 127, 2
            if n == 126:
                n, at = int.from_bytes(b[2:4], "big"), 4
            elif n == 127:
                n, at = int.from_bytes(b[2:10], "big"), 10
            if len(b) < at + n or at == 4 and len(b) < 4:
                return
            payload = bytes(b[at:at + n])
            if b[0] & 15 == 9:
                self.pong(payload)
            elif not self.compress:
                self.note(payload)
            del b[:at + n]

    def pong(self, payload):
        self.send(bytes([0x8a, 0x80 | len(payload)]) + bytes(4) + payload)


class EnvelopeReader(WebSocketReader):
    protocol = "penstock.v1"


class Asking(Reader):
    """What the two polls have in common: whole answers, and a cursor."""

    etag = None

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.asked_ns = 0
        self.statuses = []

    def cursor(self):
        more = [("Accept", "application/json")]
        if self.etag:
            more.append(("If-None-Match", self.etag))
        if self.compress:
            more.append(("Accept-Encoding", "gzip"))
        return more

    def take(self):
        at = self.buffer.find(b"\r\n\r\n")
        if at < 0:
            return
        head = bytes(self.buffer[:at + 4])
        status = int(head[9:12])
        m = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        size = int(m[1]) if m and status not in (204, 304) else 0
        if len(self.buffer) < at + 4 + size:
            return
        body = bytes(self.buffer[at + 4:at + 4 + size])
        del self.buffer[:at + 4 + size]
        if m := re.search(rb"(?i)\r\netag: *([^\r]+)", head):
            self.etag = m[1].decode()
        self.statuses.append(status)
        if status in (204, 304):
            self.empty += 1
        elif not self.compress:
            self.note(body)
        self.answered()


class PollReader(Asking):
    """Asks every seconds, at a phase of its own; what has not changed is 304.
    With every=None only when poll() is called.  It gets the newest message;
    with whole=True all since the last poll."""

    def __init__(self, *args, every=None, phase=None, whole=False, **options):
        super().__init__(*args, **options)
        self.whole = whole    # what came in between is wanted, too
        self.every = every
        self.phase = random.random() if phase is None else phase
        self.timer = None
        self.waiting = None
        self.skipped = 0      # no answer yet as the next was due

    def begin(self):
        self.ready.set_result(self)
        if self.every:
            self.start = asyncio.get_running_loop().time()
            self.turn = 0
            self.plan()

    def cursor(self):
        more = super().cursor()
        if self.whole and self.etag:
            base = self.path.split("?")[0]
            self.path = f"{base}?since={self.etag.strip('W/').strip(chr(34))}"
            more = [h for h in more if h[0] != "If-None-Match"]
        return more

    def plan(self):
        loop = asyncio.get_running_loop()
        due = self.start + (self.turn + self.phase) * self.every
        self.turn += 1
        self.timer = loop.call_at(due, self.due)

    def due(self):
        if self.lost:
            return
        if self.waiting is True:
            self.skipped += 1
        else:
            self.waiting = True
            self.ask(*self.cursor())
        self.plan()

    async def poll(self):
        self.waiting = asyncio.get_running_loop().create_future()
        self.ask(*self.cursor())
        await self.waiting

    def answered(self):
        if isinstance(self.waiting, asyncio.Future):
            self.waiting.set_result(self)
        self.waiting = None

    def close(self):
        if self.timer:
            self.timer.cancel()
        super().close()


class LongPollReader(Asking):
    """Asks again as soon as it has an answer.  It is ready when the server
    has told it where it stands: after its first, empty, answer."""

    wait = 30

    def begin(self):
        self.ask(*self.cursor(), ("Prefer", "wait=0"))

    def answered(self):
        if not self.ready.done():
            self.handshake = self.received, self.sent
            self.ready.set_result(self)
        self.ask(*self.cursor(), ("Prefer", f"wait={self.wait}"))


KINDS = {"websocket": WebSocketReader, "sse": SseReader,
         "longpoll": LongPollReader, "poll": PollReader}


class Publisher:
    """One connection that carries a stream of messages to a channel."""

    def __init__(self, admin_port, channel, payloads):
        self.port, self.channel, self.payloads = admin_port, channel, payloads
        self.n = 0
        self.sent_at = {}  # n: monotonic seconds

    async def connect(self):
        answer, self.writer = await asyncio.open_connection("127.0.0.1",
                                                            self.port)
        self.writer.write(
            f"POST /channels/{self.channel} HTTP/1.1\r\nHost: a\r\n"
            "Content-Type: application/x-ndjson\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode())
        self.answer = answer
        return self

    def publish(self, count=1):
        lines = b""
        for _ in range(count):
            self.sent_at[self.n] = time.monotonic()
            lines += self.payloads.make(self.n) + b"\n"
            self.n += 1
        self.writer.write(b"%x\r\n%b\r\n" % (len(lines), lines))

    async def run(self, every, seconds, phase=0, batch=1):
        """Open loop: at start + k x every, however long anything takes."""
        loop = asyncio.get_running_loop()
        start, k = loop.time() + phase, 0
        while k * every < seconds - 1e-9:
            await asyncio.sleep(max(0, start + k * every - loop.time()))
            self.publish(batch)
            k += 1
        await asyncio.sleep(max(0, start + seconds - loop.time()))

    def close(self):
        self.writer.transport.abort()


async def until(cond, timeout=10, what="condition"):
    deadline = time.monotonic() + timeout
    while not cond():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come true in {timeout} s")
        await asyncio.sleep(0.005)
