"""A relay that counts what goes through it: a second opinion on octets."""

import selectors
import socket
import threading


class CountingRelay:
    """Listens on .port and passes all on to a port; .up and .down are the
    octets that clients and the server have sent through it."""

    def __init__(self, port):
        self.target = port
        self.up = self.down = self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ, None)
        self.waker, wakes = socket.socketpair()
        self.selector.register(wakes, selectors.EVENT_READ, None)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.waker.close()
        self.thread.join()
        self.selector.close()

    def run(self):
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener:
                    self.accept()
                elif key.data is None:
                    return self.close_all()
                else:
                    self.carry(key.fileobj, *key.data)

    def accept(self):
        client, _ = self.listener.accept()
        server = socket.create_connection(("127.0.0.1", self.target))
        self.connections += 1
        for s, other, up in ((client, server, True), (server, client, False)):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(s, selectors.EVENT_READ, (other, up))

    def carry(self, source, other, up):
        try:
            data = source.recv(65536)
            if data:
                other.sendall(data)
        except OSError:
            data = b""
        if up:
            self.up += len(data)
        else:
            self.down += len(data)
        if not data:
            for s in (source, other):
                if s.fileno() >= 0:
                    self.selector.unregister(s)
                    s.close()

    def close_all(self):
        for key in list(self.selector.get_map().values()):
            key.fileobj.close()
