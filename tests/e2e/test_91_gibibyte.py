"""A GiB each way through a proxied route (a sanitizer's build: 64 MiB)."""

import socket
import threading

import pytest

import load

pytestmark = [pytest.mark.alone, pytest.mark.slow]

MIB = 1 << 20
BLOCKS = load.scaled(1024, 64)
RSS_MAX = 64 * MIB


def read_head(sock):
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    head, rest = data.split(b"\r\n\r\n", 1)
    return head, rest


class Bulk:
    """A backend: GET answers BLOCKS MiB, PUT takes as many."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.taken = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        for _ in range(2):
            sock, _ = self.listener.accept()
            threading.Thread(target=self.answer, args=(sock,)).start()

    def answer(self, sock):
        with sock:
            head, rest = read_head(sock)
            if head.startswith(b"GET"):
                sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
                             b"Content-Length: %d\r\n\r\n" % (BLOCKS * MIB))
                block = bytes(MIB)
                for _ in range(BLOCKS):
                    sock.sendall(block)
                return
            self.taken = len(rest)
            while self.taken < BLOCKS * MIB:
                self.taken += len(sock.recv(MIB))
            sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
                         b"Content-Length: 0\r\n\r\n")


class Peak(threading.Thread):
    """The most that a penstock has held resident."""

    def __init__(self, p):
        super().__init__()
        self.p, self.rss, self.over = p, 0, threading.Event()

    def run(self):
        while not self.over.wait(0.05):
            self.rss = max(self.rss, self.p.rss())

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


@pytest.fixture
def bulk(penstock):
    b = Bulk()
    p = penstock({"backends": {"app": f"http://127.0.0.1:{b.port}"},
                  "routes": [{"path": "/*", "proxy": "app"}]})
    with socket.create_connection(("127.0.0.1", p.port), 60) as sock:
        with Peak(p) as peak:
            yield b, sock
    b.listener.close()
    print(f"{BLOCKS} MiB, resident at most {peak.rss / MIB:.1f} MiB")
    assert load.sanitizer() or peak.rss < RSS_MAX


def test_a_download_of_a_gibibyte(bulk):
    _, sock = bulk
    sock.sendall(b"GET /big HTTP/1.1\r\nHost: h\r\n\r\n")
    head, rest = read_head(sock)
    assert head.startswith(b"HTTP/1.1 200")
    got = len(rest)
    while got < BLOCKS * MIB:
        data = sock.recv(MIB)
        assert data
        got += len(data)
    assert got == BLOCKS * MIB


def test_an_upload_of_a_gibibyte(bulk):
    b, sock = bulk
    sock.sendall(b"PUT /big HTTP/1.1\r\nHost: h\r\n"
                 b"Content-Length: %d\r\n\r\n" % (BLOCKS * MIB))
    block = bytes(MIB)
    for _ in range(BLOCKS):
        sock.sendall(block)
    head, _ = read_head(sock)
    assert head.startswith(b"HTTP/1.1 200")
    assert b.taken == BLOCKS * MIB
