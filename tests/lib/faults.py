"""A TCP proxy that does to connections what networks do to them.

    with FaultProxy(target_port) as proxy:
        proxy.block("websocket", "sse")   # reset as they are asked for
        proxy.hold("sse")                 # the answer's body is kept back
        proxy.swallow("websocket")        # taken, and never answered
        proxy.cut()                       # reset all that there are

What a connection is, is read from each request's head."""

import re
import socket
import threading

import raw

METHODS = re.compile(rb"(GET|POST|HEAD|OPTIONS) ")


def kind_of(head):
    """The transport that a request asks for, as clients write it."""
    line = head.split(b"\r\n", 1)[0]
    if re.search(rb"(?im)^upgrade: *websocket", head):
        return "websocket"
    if re.search(rb"(?im)^accept: *text/event-stream", head):
        return "sse"
    if b"wait=" in line:
        return "longpoll"
    return "poll" if b"since=" in line else "other"


class Pair:
    def __init__(self, proxy, client):
        self.proxy, self.client, self.kind = proxy, client, None
        self.server = socket.create_connection(("127.0.0.1", proxy.target))
        for sock in (self.client, self.server):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self):
        for step in (self.forth, self.back):
            threading.Thread(target=step, daemon=True).start()

    def forth(self):
        try:
            while data := self.client.recv(65536):
                if METHODS.match(data) and not self.asks(kind_of(data)):
                    continue
                self.server.sendall(data)
            self.server.shutdown(socket.SHUT_WR)
        except OSError:
            self.cut()

    def asks(self, kind):
        """Whether a request goes on to the server."""
        self.kind = kind
        self.proxy.requests.append(kind)
        if kind in self.proxy.blocked:
            self.cut()
        return kind not in self.proxy.blocked | self.proxy.swallowed

    def back(self):
        try:
            while data := self.server.recv(65536):
                if self.kind in self.proxy.held:
                    data = data[:data.find(b"\r\n\r\n") + 4 or len(data)] \
                        if data.startswith(b"HTTP/") else b""
                self.client.sendall(data)
            self.client.shutdown(socket.SHUT_WR)
        except OSError:
            self.cut()
        self.proxy.pairs.discard(self)

    def cut(self):
        for sock in (self.client, self.server):
            try:
                # Wakes whoever reads it, and then resets.
                sock.shutdown(socket.SHUT_RD)
                raw.reset(sock)
            except OSError:
                pass


class FaultProxy:
    def __init__(self, target):
        self.target = target
        self.blocked, self.held, self.swallowed = set(), set(), set()
        self.requests = []  # the kind of each, in order
        self.pairs = set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()

    def accept(self):
        try:
            while True:
                self.take(self.listener.accept()[0])
        except OSError:
            pass

    def take(self, client):
        try:
            pair = Pair(self, client)
        except OSError:
            raw.reset(client)  # the server is down
            return
        self.pairs.add(pair)
        pair.start()

    def block(self, *kinds):
        self.blocked = set(kinds)

    def hold(self, *kinds):
        self.held = set(kinds)

    def swallow(self, *kinds):
        self.swallowed = set(kinds)

    def cut(self):
        for pair in list(self.pairs):
            pair.cut()

    def url(self, target="/", scheme="http"):
        return f"{scheme}://127.0.0.1:{self.port}{target}"
