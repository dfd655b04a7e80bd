"""Many raw connections at once, in one thread: thousands of cases in seconds.

    for said, end in exchange_many(port, [b"GET ...", ...]): ...

Each case has a connection of its own, gets its octets, and is read until the
server closes.  said is all that came; end is "closed", "reset", or "open" where
the server had not closed by the deadline.  The order is that of the cases."""

import selectors
import socket
import time

# A case in pieces is cut into octets, and a very long one into this many
# pieces: what matters of it is in the first thousands.
PIECES_MAX = 4000


def pieces_of(data, dribble):
    if not dribble:
        return [data]
    size = max(1, len(data) // PIECES_MAX)
    return [data[i:i + size] for i in range(0, len(data), size)]


class Exchange:
    def __init__(self, port, number, data, dribble):
        self.number = number
        self.pieces = pieces_of(data, dribble)
        self.at = 0
        self.said = bytearray()
        self.sock = socket.socket()
        self.sock.setblocking(False)
        self.sock.connect_ex(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def sending(self):
        return self.at < len(self.pieces)

    def send(self):
        piece = self.pieces[self.at]
        try:
            n = self.sock.send(piece)
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self.at = len(self.pieces)  # it has closed: read what it said
            return
        self.pieces[self.at] = piece[n:]
        if n == len(piece):
            self.at += 1

    def receive(self):
        """How it ended, or None."""
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            return "reset"
        self.said += data
        return None if data else "closed"


class Run:
    def __init__(self, port, cases, dribble, in_flight, timeout):
        self.port, self.dribble, self.timeout = port, dribble, timeout
        self.in_flight = in_flight
        self.left = list(enumerate(cases))[::-1]
        self.results = [None] * len(self.left)
        self.selector = selectors.DefaultSelector()
        self.open = 0

    def start_some(self):
        while self.left and self.open < self.in_flight:
            number, data = self.left.pop()
            x = Exchange(self.port, number, data, self.dribble)
            self.selector.register(
                x.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, x)
            self.open += 1

    def finish(self, x, end):
        self.selector.unregister(x.sock)
        x.sock.close()
        self.open -= 1
        self.results[x.number] = (bytes(x.said), end)

    def step(self, x, events):
        end = x.receive() if events & selectors.EVENT_READ else None
        if end:
            self.finish(x, end)
        elif events & selectors.EVENT_WRITE:
            x.send()
            if not x.sending:
                self.selector.modify(x.sock, selectors.EVENT_READ, x)

    def all(self):
        """The deadline is for silence, not for the whole."""
        heard = time.monotonic()
        self.start_some()
        while self.open:
            events = self.selector.select(1)
            if events:
                heard = time.monotonic()
            for key, what in events:
                self.step(key.data, what)
            if time.monotonic() - heard > self.timeout:
                for key in list(self.selector.get_map().values()):
                    self.finish(key.data, "open")
            self.start_some()
        self.selector.close()
        return self.results


def exchange_many(port, cases, dribble=False, in_flight=100, timeout=5):
    """[(said, end), ...], one for each of the cases, in their order."""
    return Run(port, cases, dribble, in_flight, timeout).all()
