"""Raw sockets and just enough HTTP/1 to see what really went over the wire.

Nothing here is lenient on purpose: what is not HTTP raises."""

import json
import re
import socket
import struct
import time


class Closed(Exception):
    """The other end closed before what was waited for had come."""


def wait_for(cond, timeout=10, what="condition"):
    """Polls cond until it is true; its value.  The one place that sleeps."""
    deadline = time.monotonic() + timeout
    while True:
        value = cond()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come true in {timeout} s")
        time.sleep(0.01)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def reset(sock):
    """Closes with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


class Stream:
    """A socket with a buffer and a deadline on every read."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = bytearray()
        self.received = bytearray()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fill(self, deadline):
        """Takes whatever comes next.  False at the end."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("nothing came")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(65536)
        except (TimeoutError, socket.timeout):
            raise TimeoutError("nothing came") from None
        self.received += data
        self.buffer += data
        return bool(data)

    def read_until(self, mark, deadline):
        while (at := self.buffer.find(mark)) < 0:
            if not self.fill(deadline):
                raise Closed(f"closed before {mark!r}: {bytes(self.buffer[:200])!r}")
        return self.take(at + len(mark))

    def read_exactly(self, n, deadline):
        while len(self.buffer) < n:
            if not self.fill(deadline):
                raise Closed(f"closed after {len(self.buffer)} of {n} octets")
        return self.take(n)

    def take(self, n):
        data = bytes(self.buffer[:n])
        del self.buffer[:n]
        return data


class Headers(list):
    """(name, value) in order, as they came; looked up without case."""

    def get_all(self, name):
        return [v for n, v in self if n.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.get_all(name)
        return values[0] if values else default

    def __contains__(self, name):
        return bool(self.get_all(name))

    def __getitem__(self, key):
        if isinstance(key, str):
            return self.get_all(key)[0]
        return super().__getitem__(key)


def parse_head(head):
    """First line and headers of the octets up to the blank line."""
    lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    headers = Headers()
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        assert colon and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name), line
        headers.append((name, value.strip(" \t")))
    return lines[0], headers


class Body:
    """What follows a head, decoded as it comes."""

    def __init__(self, stream, headers, none=False, until_close=True):
        self.stream = stream
        self.trailers = Headers()
        self.done = False
        self.left = 0
        if none:
            self.kind, self.done = "none", True
        elif headers.get("Transfer-Encoding", "").lower() == "chunked":
            assert "Content-Length" not in headers, "both framings at once"
            self.kind = "chunked"
        elif "Content-Length" in headers:
            self.kind, self.left = "length", int(headers["Content-Length"])
            self.done = self.left == 0
        elif until_close:
            self.kind = "close"
        else:
            self.kind, self.done = "none", True

    def some(self, deadline):
        """The next octets; b"" at the end."""
        if self.done:
            return b""
        if self.kind == "chunked" and self.left == 0:
            line = self.stream.read_until(b"\r\n", deadline)
            self.left = int(line.split(b";")[0], 16)
            if self.left == 0:
                self.end_chunks(deadline)
                return b""
        if not self.stream.buffer and not self.stream.fill(deadline):
            if self.kind != "close":
                raise Closed("closed inside a body")
            self.done = True
            return b""
        if self.kind == "close":
            return self.stream.take(len(self.stream.buffer))
        return self.counted(deadline)

    def counted(self, deadline):
        data = self.stream.take(min(self.left, len(self.stream.buffer)))
        self.left -= len(data)
        if self.left == 0 and self.kind == "chunked":
            assert self.stream.read_exactly(2, deadline) == b"\r\n"
        elif self.left == 0:
            self.done = True
        return data

    def end_chunks(self, deadline):
        while (line := self.stream.read_until(b"\r\n", deadline)) != b"\r\n":
            name, _, value = line.decode("latin-1").partition(":")
            self.trailers.append((name, value.strip()))
        self.done = True

    def all(self, deadline):
        data = bytearray()
        while not self.done:
            data += self.some(deadline)
        return bytes(data)


class Response:
    def __init__(self, status, reason, version, headers, body):
        self.status, self.reason, self.version = status, reason, version
        self.headers, self.body = headers, body
        self.content = None

    @property
    def text(self):
        return self.content.decode()

    def json(self):
        return json.loads(self.content)

    def __repr__(self):
        return f"<{self.status} {self.reason} {list(self.headers)} {self.content!r}>"


class Client:
    """One connection to a server, by its port, or a Penstock.  request() for a
    whole exchange, or send() and response() for its halves."""

    def __init__(self, server, host="127.0.0.1", timeout=10, rcvbuf=None,
                 source=None):
        port = server if isinstance(server, int) else server.port
        tls = getattr(server, "tls", None)
        sock = socket.socket()
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.settimeout(timeout)
        if source:
            sock.bind((source, 0))
        sock.connect((host, port))
        if tls:  # an end that was not announced is an error
            sock = tls.wrap_socket(sock, server_hostname=host,
                                   suppress_ragged_eofs=False)
        self.authority = f"{host}:{port}"
        self.timeout = timeout
        self.sock = sock
        self.stream = Stream(sock)

    def deadline(self, timeout=None):
        return time.monotonic() + (self.timeout if timeout is None else timeout)

    def send(self, data, dribble=False):
        """data whole, or one octet at a time in a segment of its own."""
        if isinstance(data, str):
            data = data.encode("latin-1")
        pieces = [data[i:i + 1] for i in range(len(data))] if dribble else [data]
        for piece in pieces:
            self.sock.sendall(piece)

    def send_request(self, method, target, headers=(), body=None, version="1.1"):
        headers = list(headers.items() if isinstance(headers, dict) else headers)
        names = {n.lower() for n, _ in headers}
        if "host" not in names:
            headers.insert(0, ("Host", self.authority))
        if isinstance(body, str):
            body = body.encode()
        if body is not None and not names & {"content-length", "transfer-encoding"}:
            headers.append(("Content-Length", str(len(body))))
        head = f"{method} {target} HTTP/{version}\r\n"
        head += "".join(f"{n}: {v}\r\n" for n, v in headers) + "\r\n"
        self.send(head.encode("latin-1") + (body or b""))

    def head(self, method="GET", timeout=None):
        """The next final answer's head; its body is still to be read.  Interim
        answers are kept in .interim."""
        self.interim = []
        while True:
            raw = self.stream.read_until(b"\r\n\r\n", self.deadline(timeout))
            line, headers = parse_head(raw)
            m = re.fullmatch(r"HTTP/(1\.[01]) ([1-5]\d\d) ?(.*)", line)
            assert m, f"no status line: {line!r}"
            status = int(m[2])
            if status < 200 and status != 101:
                self.interim.append((status, headers))
                continue
            none = method == "HEAD" or status in (101, 204, 304)
            if status == 204:
                assert "Transfer-Encoding" not in headers
            return Response(status, m[3], m[1], headers,
                            Body(self.stream, headers, none))

    def response(self, method="GET", timeout=None):
        response = self.head(method, timeout)
        response.content = response.body.all(self.deadline(timeout))
        return response

    def request(self, method, target, headers=(), body=None, timeout=None,
                version="1.1"):
        self.send_request(method, target, headers, body, version)
        return self.response(method, timeout)

    def get(self, target, headers=(), timeout=None):
        return self.request("GET", target, headers, timeout=timeout)

    def read_to_close(self, timeout=None):
        """Everything until the other end closes; an RST counts as closing."""
        deadline = self.deadline(timeout)
        try:
            while self.stream.fill(deadline):
                pass
        except ConnectionResetError:
            pass
        return self.stream.take(len(self.stream.buffer))

    def closed(self, timeout=None):
        """Whether the other end closes without another octet."""
        try:
            return not self.stream.fill(self.deadline(timeout))
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def rst(self):
        reset(self.sock)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def exchange(server, data, dribble=False, timeout=10):
    """Sends raw octets, half-closes nothing, reads until the server closes.
    (everything it said, its status lines' codes)."""
    with Client(server, timeout=timeout) as c:
        try:
            c.send(data, dribble)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has answered and closed: read what it said
        said = c.read_to_close()
    return said, statuses(said)


def statuses(said):
    """Codes of the status lines in raw octets, bodies skipped by framing."""
    codes, at = [], 0
    for m in re.finditer(rb"HTTP/1\.[01] (\d\d\d)[^\r\n]*\r\n", said):
        if m.start() >= at:
            codes.append(int(m[1]))
            end = said.find(b"\r\n\r\n", m.start())
            length = re.search(rb"(?i)\r\ncontent-length: *(\d+)",
                               said[m.start():end + 2])
            at = end + 4 + (int(length[1]) if length and end >= 0 else 0)
    return codes
