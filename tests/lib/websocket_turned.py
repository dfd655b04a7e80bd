"""The cases of websocket_cases.py with the roles turned round: a backend says,
unmasked, what a client says there, and penstock as its client has to do what
the standard wants.  Messages come out at a reader of the channel, pongs and
closes at the backend.

    with Scripts() as scripts:                  # its .port is the backend's
        with Turned(p.port, scripts, "/cases/1.1.1") as t:
            t.server.accept()
            t.play(case)"""

import collections
import socket
import threading

import frames
from frames import CLOSE, PONG, close
from websocket_cases import (FAIL_S, Cleanly, Closed, Fails, Get, RoundTrips,
                             Silence, Whatever, Write, message)


class Scripts:
    """A listener that hands connections to whoever waits for their path."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.came = collections.defaultdict(list)
        self.some = threading.Condition()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                server = frames.Server(self.listener.accept()[0])
            except OSError:
                return
            except AssertionError:
                continue  # it closed without a request
            with self.some:
                self.came[server.path].append(server)
                self.some.notify_all()

    def take(self, path, timeout=10):
        """The next connection with that path."""
        with self.some:
            assert self.some.wait_for(lambda: self.came[path], timeout), \
                f"nobody asked for {path}"
            return self.came[path].pop(0)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Unmasking:
    """What a client's octets would be from a server.  They may be cut anywhere,
    and be wrong in any way but the length of their frames."""

    def __init__(self):
        self.head, self.left, self.mask = b"", 0, b""

    def __call__(self, data):
        out, at = [], 0
        while at < len(data):
            if self.left:
                piece = data[at:at + self.left]
                out.append(frames.masked(piece, self.mask))
                turn = len(piece) % 4
                self.mask = self.mask[turn:] + self.mask[:turn]
                self.left -= len(piece)
                at += len(piece)
            else:
                piece = data[at:at + self.missing()]
                at += len(piece)
                out.append(self.take_head(piece))
        return b"".join(out)

    def size_field(self):
        return {126: 2, 127: 8}.get(self.head[1] & 0x7f, 0)

    def missing(self):
        if len(self.head) < 2:
            return 2 - len(self.head)
        return 2 + self.size_field() + 4 - len(self.head)

    def take_head(self, piece):
        """What of it a server says too: all but MASK and the key."""
        before = len(self.head)
        self.head += piece
        out = bytes(octet & 0x7f if at == 1 else octet
                    for at, octet in enumerate(piece, before)
                    if at < 2 or at < 2 + self.size_field())
        if len(self.head) >= 2 and not self.missing():
            assert self.head[1] & 0x80
            field = self.head[2:-4]
            self.left = (int.from_bytes(field, "big") if field
                         else self.head[1] & 0x7f)
            self.mask, self.head = self.head[-4:], b""
        return out


class Turned:
    """A reader of a channel, and the backend's end of its source."""

    def __init__(self, port, scripts, path, timeout=10):
        self.reader = frames.Client(port, path, timeout=timeout)
        assert self.reader.status == 101, self.reader.head
        self.server = scripts.take(path)
        self.unmasked = Unmasking()

    def send(self, data, size=None):
        data = self.unmasked(data)
        if size:
            self.server.send_in(data, size)
        else:
            self.server.send(data)

    def play(self, case):
        try:
            for step in case.steps:
                self.step(step)
        except (BrokenPipeError, ConnectionResetError):
            # It failed us before we had said all: right, if it is to.
            assert isinstance(case.end, Fails)
        self.end(case.end)
        if not isinstance(case.end, Whatever):
            self.no_more()

    def step(self, step):
        if isinstance(step, Write):
            self.send(step.data, step.size)
        elif isinstance(step, Get):
            self.get(step.opcode, step.payload)
        elif isinstance(step, Silence):
            assert self.server.nothing(step.seconds), "something came"
            assert self.reader.nothing(0.01), "something was delivered"
        elif isinstance(step, RoundTrips):
            data = frames.frame(step.opcode, step.payload)
            for _ in range(step.count):
                self.send(data)
                self.get(step.opcode, step.payload)
        else:
            raise TypeError(step)

    def get(self, opcode, payload):
        got = message(self.server if opcode == PONG else self.reader)
        assert got is not None, "ended before an answer"
        assert got == (opcode, payload), (got[0], got[1][:60])

    def end(self, end):
        if isinstance(end, Cleanly):
            self.server.send(close(1000, mask=None))
            self.closes(1000)
            self.waits()
        elif isinstance(end, Fails):
            self.closes(*end.codes)
            assert self.server.end(FAIL_S) == [], "said more than Close"
        elif isinstance(end, Closed):
            self.closes(end.codes[-1])  # what we had said
            self.waits()
        else:
            self.closes()

    def closes(self, *codes):
        """Close is the next frame; without codes any will do."""
        f = self.server.frame(FAIL_S)
        assert f is not None and f.opcode == CLOSE, f
        code = frames.close_code(f)
        assert not codes or code in codes, f"{code}, not one of {codes}"

    def waits(self):
        """It is the server that ends a connection (RFC 6455 7.1.1)."""
        assert self.server.nothing(0.02), "more came after Close"

    def no_more(self):
        """Nothing was delivered but what was asked for."""
        self.reader.send(close(1000))
        said = self.reader.end()
        assert [f.opcode for f in said] == [CLOSE], said[0][:3]

    def close(self):
        self.server.close()
        self.reader.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
