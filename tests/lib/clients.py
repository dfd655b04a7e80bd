"""Readers of the four transports, with one interface.

    r = reader("sse", server, "/news")
    r.connect(since=None)          # from now on; or an id, "oldest", "-3"
    r.read(3, timeout=10)          # [(id, event, data), ...]
    r.gaps                         # how many gap marks have come
    r.close()

data is text; JSON that came embedded is printed compactly, so tests publish
compact JSON or plain text.  Binary data is bytes.  The last id that came is
r.cursor, and a connect() without an argument after close() goes on from it
only if told so: connect(r.cursor)."""

import asyncio
import base64
import json
import re
import threading
import time
from urllib.parse import quote

import websockets

import raw

TRANSPORTS = ("sse", "websocket", "longpoll", "poll")
UNSET = object()


def with_query(path, **pairs):
    query = "&".join(f"{k}={quote(str(v), safe='')}"
                     for k, v in pairs.items() if v is not None)
    if not query:
        return path
    return path + ("&" if "?" in path else "?") + query


def as_text(data, encoding=None):
    if encoding == "base64":
        return base64.b64decode(data)
    if isinstance(data, str):
        return data
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)


def from_envelope(m):
    """Of several channels, "CHANNEL:TYPE" stands where the type does."""
    event = m.get("event", "message")
    if "channel" in m:
        event = f"{m['channel']}:{event}"
    return m["id"], event, as_text(m["data"], m.get("encoding"))


def next_cursor(response):
    """Where an answer says to go on from: Link, then ETag."""
    link = re.search(r"<[^>]*[?&]since=([^&>]+)[^>]*>;\s*rel=\"?next",
                     response.headers.get("Link", ""))
    etag = re.fullmatch(r'(?:W/)?"([^"]+)"', response.headers.get("ETag", ""))
    return link[1] if link else etag[1] if etag else None


class Reader:
    def __init__(self, server, path, headers=()):
        self.server = server
        self.port = server if isinstance(server, int) else server.port
        self.tls = getattr(server, "tls", None)
        self.path = path
        self.headers = dict(headers)
        self.cursor = None
        self.gaps = 0
        self.gaps_to = []  # of each, the id of the message behind it
        self.pending = []

    def read(self, n, timeout=10):
        """Exactly n messages, in order; TimeoutError if fewer come."""
        deadline = time.monotonic() + timeout
        try:
            while len(self.pending) < n:
                self.pull(deadline)
        except TimeoutError:
            raise TimeoutError(
                f"{len(self.pending)} of {n} messages: {self.pending}") from None
        messages, self.pending = self.pending[:n], self.pending[n:]
        self.cursor = messages[-1][0] if messages else self.cursor
        return messages

    def read_until(self, data, timeout=10):
        """Messages up to the one with this data."""
        messages = []
        deadline = time.monotonic() + timeout
        while not messages or messages[-1][2] != data:
            messages += self.read(1, deadline - time.monotonic())
        return messages

    def nothing(self, seconds=0.3):
        """Whether no message comes for a while."""
        try:
            self.read(1, seconds)
        except TimeoutError:
            return True
        return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class SseParser:
    """HTML, "Interpreting an event stream"; dispatch() is told of events."""

    def __init__(self, dispatch):
        self.dispatch = dispatch
        self.buffer = b""
        self.last_id = ""
        self.comments, self.retry_ms = [], None
        self.type, self.data = "", []

    def feed(self, data):
        self.buffer += data
        # A CR at the end may be half of a CRLF: wait for what follows it.
        while m := re.search(rb"\r\n|\r(?=.)|\n", self.buffer, re.S):
            line = self.buffer[:m.start()]
            self.buffer = self.buffer[m.end():]
            self.line(line.decode("utf-8"))

    def line(self, line):
        if line == "":
            if self.data:
                self.dispatch(self.last_id, self.type or "message",
                              "\n".join(self.data))
            self.type, self.data = "", []
            return
        name, colon, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "":
            self.comments.append(value)
        elif name == "data":
            self.data.append(value)
        elif name == "event":
            self.type = value
        elif name == "id" and "\0" not in value:
            self.last_id = value
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_ms = int(value)


class SseClient(Reader):
    """since goes into Last-Event-ID, or with by_query=True into ?since=.
    enveloped: the route's data is the envelope."""

    def __init__(self, server, path, headers=(), enveloped=False):
        super().__init__(server, path, headers)
        self.enveloped = enveloped
        self.told = []  # notices that are neither messages nor gaps

    def connect(self, since=None, by_query=False, version="1.1", timeout=10,
                expect=200):
        headers = {"Accept": "text/event-stream"} | self.headers
        if since is not None and not by_query:
            headers["Last-Event-ID"] = since
        self.parser = SseParser(self.on_event)
        self.client = raw.Client(self.server, timeout=timeout)
        self.client.send_request(
            "GET", with_query(self.path, since=since if by_query else None),
            headers, version=version)
        self.response = self.client.head()
        assert self.response.status == expect, self.response
        if expect == 200:
            type_ = self.response.headers["Content-Type"]
            assert type_.split(";")[0] == "text/event-stream", self.response
        return self

    def on_event(self, id, event, data):
        if event == "penstock.gap":
            self.gaps += 1
            self.gap = json.loads(data)
            self.gaps_to.append(self.gap.get("to"))
        elif event in ("penstock.stale", "penstock.advice"):
            self.told.append(json.loads(data))
        elif self.enveloped:
            assert event == "message", event
            message = from_envelope(json.loads(data))
            assert message[0] == id, data
            self.pending.append(message)
        else:
            self.pending.append((id, event, data))

    def pull(self, deadline):
        data = self.response.body.some(deadline)
        if not data:
            raise raw.Closed("the stream ended")
        self.parser.feed(data)

    @property
    def comments(self):
        return self.parser.comments

    def wait_comments(self, n, timeout=10):
        deadline = time.monotonic() + timeout
        while len(self.comments) < n:
            self.pull(deadline)

    def close(self):
        self.client.close()


class RequestReader(Reader):
    """What long poll and poll share: one batch an answer."""

    query = {}

    def connect(self, since=None, timeout=10):
        self.client = raw.Client(self.server, timeout=timeout)
        self.answers = []
        self.next = since
        if since is None:
            self.next = self.now()
        return self

    def now(self):
        """The cursor of this moment."""
        answer = self.ask(since="now", **self.query_now)
        assert answer.status in (200, 204), answer
        if answer.status == 200:
            assert answer.json()["messages"] == [], answer
        # With no message yet, now is the beginning.
        return next_cursor(answer) or "oldest"

    def ask(self, headers=(), timeout=None, **query):
        answer = self.client.get(with_query(self.path, **query),
                                 self.headers | dict(headers), timeout)
        self.answers.append(answer)
        if answer.headers.get("Connection", "").lower() == "close":
            self.client.close()
            self.client = raw.Client(self.server)
        return answer

    def take(self, answer):
        assert answer.status in (200, 204, 304), answer
        if answer.status != 200:
            self.next = next_cursor(answer) or self.next
            return False
        batch = answer.json()
        marked = answer.headers.get("Penstock-Gap") == "1"
        assert batch.get("gap", False) == marked, answer
        self.gaps += marked
        self.pending += [from_envelope(m) for m in batch["messages"]]
        if marked and batch["messages"]:
            self.gaps_to.append(batch["messages"][0]["id"])
        self.next = batch.get("next") or self.next
        return bool(batch["messages"])

    def close(self):
        self.client.close()


class LongPollClient(RequestReader):
    query_now = {"wait": 0}
    wait_s = 5

    def pull(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        wait = max(0, min(self.wait_s, int(left)))
        self.take(self.ask(since=self.next, wait=wait, timeout=wait + 10))
        if wait == 0:
            time.sleep(0.01)


class PollClient(RequestReader):
    query_now = {}

    def pull(self, deadline):
        if time.monotonic() > deadline:
            raise TimeoutError
        if not self.take(self.ask(since=self.next)):
            time.sleep(0.01)

    def latest(self, headers=()):
        """The bare resource: no cursor."""
        return self.ask(headers)


class Loop:
    """One asyncio loop in a thread, for the websockets library."""

    loop = None

    @classmethod
    def run(cls, coroutine, timeout):
        if cls.loop is None:
            cls.loop = asyncio.new_event_loop()
            threading.Thread(target=cls.loop.run_forever, daemon=True).start()
        future = asyncio.run_coroutine_threadsafe(
            asyncio.wait_for(coroutine, timeout), cls.loop)
        try:
            return future.result(timeout + 5)
        except asyncio.TimeoutError:
            raise TimeoutError("nothing came") from None


class WsClient(Reader):
    """A reader with penstock.v1; with protocol=None a plain socket, for which
    recv(), send() and .close_code are there."""

    def __init__(self, server, path, headers=(), protocol="penstock.v1",
                 **options):
        super().__init__(server, path, headers)
        self.protocol = protocol
        self.options = {"compression": None, "ping_interval": None,
                        "max_size": None, "max_queue": None, **options}

    def connect(self, since=None, timeout=10):
        self.told = []  # what was neither a message nor a gap
        url = (f"{'wss' if self.tls else 'ws'}://127.0.0.1:{self.port}"
               f"{with_query(self.path, since=since)}")

        async def open_():
            return await websockets.connect(
                url, subprotocols=[self.protocol] if self.protocol else None,
                extra_headers=self.headers, open_timeout=timeout,
                **({"ssl": self.tls} if self.tls else {}), **self.options)
        self.ws = Loop.run(open_(), timeout + 1)
        assert self.ws.subprotocol == self.protocol
        return self

    def recv(self, timeout=10):
        """One message, str or bytes, as it came."""
        return Loop.run(self.ws.recv(), timeout)

    def replies(self, n):
        """What a backend answered to this client alone: the next n."""
        got = []
        while len(got) < n:
            frame = self.recv()
            if self.protocol:
                m = json.loads(frame)
                assert m["reply"] is True and "id" not in m
                frame = m["data"]
            got.append(frame)
        return got

    def tell(self, timeout=10, **command):
        """Sends a command of penstock.v1; what is said to it."""
        self.send(json.dumps(command))
        deadline = time.monotonic() + timeout
        while not self.told:
            self.pull(deadline)
        return self.told.pop(0)

    def send(self, data, timeout=10):
        Loop.run(self.ws.send(data), timeout)

    def ping(self, timeout=10):
        async def round_trip():
            await (await self.ws.ping())
        Loop.run(round_trip(), timeout)

    def pull(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        frame = self.recv(left)
        if self.protocol is None:
            self.pending.append((None, "message", frame))
            return
        m = json.loads(frame)
        if "gap" in m:
            self.gaps += 1
            self.gap = m["gap"]
            self.gaps_to.append(self.gap.get("to"))
        elif "id" not in m or "data" not in m:
            self.told.append(m)
        else:
            self.pending.append(from_envelope(m))

    def wait_closed(self, timeout=10):
        """The close code that came."""
        Loop.run(self.ws.wait_closed(), timeout)
        return self.ws.close_code

    @property
    def close_code(self):
        return self.ws.close_code

    def close(self, code=1000):
        async def close_():
            await self.ws.close(code)
        Loop.run(close_(), 15)

    def abort(self):
        """Drops the connection without a close."""
        Loop.loop.call_soon_threadsafe(self.ws.transport.abort)


KINDS = {"sse": SseClient, "websocket": WsClient, "longpoll": LongPollClient,
         "poll": PollClient}


def reader(transport, server, path, **options):
    return KINDS[transport](server, path, **options)
