"""WebSocket frames by hand (RFC 6455), and two ends that send any octets.

    with frames.Client(port, "/echo") as ws:
        ws.send(frames.text("hello"))
        ws.frame()          # Frame(fin, rsv, opcode, payload), None at the end
"""

import base64
import hashlib
import os
import re
import socket
import struct
import time
import zlib
from collections import namedtuple

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
# A key that changes every octet; any would do.
MASK = b"\x5a\xc3\x17\x9e"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Frame = namedtuple("Frame", "fin rsv opcode payload")


def masked(payload, mask=MASK):
    n = len(payload)
    if n == 0:
        return b""
    key = (mask * (n // 4 + 1))[:n]
    return (int.from_bytes(payload, "big")
            ^ int.from_bytes(key, "big")).to_bytes(n, "big")


def length_field(n, bit):
    if n < 126:
        return bytes([bit | n])
    if n < 65536:
        return struct.pack(">BH", bit | 126, n)
    return struct.pack(">BQ", bit | 127, n)


def frame(opcode, payload=b"", fin=True, rsv=0, mask=MASK):
    """One frame of a client; without a mask what only a server may send."""
    first = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if mask is None:
        return first + length_field(len(payload), 0) + payload
    return first + length_field(len(payload), 0x80) + mask + masked(payload, mask)


def text(payload=b"", **options):
    if isinstance(payload, str):
        payload = payload.encode()
    return frame(TEXT, payload, **options)


def binary(payload=b"", **options):
    return frame(BINARY, payload, **options)


def cont(payload=b"", **options):
    return frame(CONT, payload, **options)


def ping(payload=b"", **options):
    return frame(PING, payload, **options)


def pong(payload=b"", **options):
    return frame(PONG, payload, **options)


def close(code=None, reason=b"", **options):
    body = b"" if code is None else struct.pack(">H", code) + reason
    return frame(CLOSE, body, **options)


def fragments(opcode, payload, size, rsv=0):
    """The frames of a message in pieces of size octets."""
    pieces = [payload[i:i + size] for i in range(0, len(payload), size)] or [b""]
    last = len(pieces) - 1
    return [frame(CONT if i else opcode, piece, fin=i == last,
                  rsv=0 if i else rsv) for i, piece in enumerate(pieces)]


class Deflater:
    """Our side of permessage-deflate (RFC 7692 7.2.1)."""

    def __init__(self, takeover, window_bits=15):
        self.takeover, self.bits, self.z = takeover, window_bits, None

    def message(self, data):
        if self.z is None or not self.takeover:
            self.z = zlib.compressobj(1, zlib.DEFLATED, -self.bits)
        out = self.z.compress(data) + self.z.flush(zlib.Z_SYNC_FLUSH)
        assert out.endswith(b"\x00\x00\xff\xff")
        return out[:-4]


class Inflater:
    """The other side.  A window smaller than it uses makes it fail."""

    def __init__(self, takeover, window_bits=15):
        self.takeover, self.bits, self.z = takeover, window_bits, None

    def message(self, data):
        if self.z is None or not self.takeover:
            self.z = zlib.decompressobj(-self.bits)
        return self.z.decompress(data + b"\x00\x00\xff\xff")


class End:
    """Either end of a connection.  masked says whether the other end has to
    mask what it sends (5.1); .masks are the keys that it used."""

    def __init__(self, sock, timeout, masked):
        self.sock = sock
        self.sock.settimeout(timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout, self.masked = timeout, masked
        self.masks = []
        self.buffer = bytearray()
        self.ended = False  # FIN or RST has come

    def read_head(self):
        deadline = time.monotonic() + self.timeout
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            assert self.fill(deadline), f"closed: {bytes(self.buffer)!r}"
        self.head = bytes(self.buffer[:end + 4]).decode("latin-1")
        del self.buffer[:end + 4]

    def field(self, name):
        m = re.search(rf"(?im)^{re.escape(name)}: *(.*?)\r$", self.head)
        return m and m[1]

    def send(self, data):
        self.sock.sendall(data)

    def send_in(self, data, size):
        """In writes of size octets each."""
        for i in range(0, len(data), size):
            self.sock.sendall(data[i:i + size])

    def fill(self, deadline):
        """False once there is no more."""
        left = deadline - time.monotonic()
        if self.ended:
            return False
        if left <= 0:
            raise TimeoutError("nothing came")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(1 << 20)
        except socket.timeout:
            raise TimeoutError("nothing came") from None
        except ConnectionResetError:
            data = b""
        finally:
            self.sock.settimeout(self.timeout)
        self.buffer += data
        self.ended = not data
        return bool(data)

    def has(self, n, deadline):
        while len(self.buffer) < n:
            if not self.fill(deadline):
                return False
        return True

    def frame(self, timeout=None):
        """The next frame; None where the other end closed the connection."""
        deadline = time.monotonic() + (timeout or self.timeout)
        if not self.has(2, deadline):
            return None
        first, second = self.buffer[0], self.buffer[1]
        assert second >> 7 == self.masked, "a client masks all, a server nothing"
        size = second & 0x7f
        extra = {126: 2, 127: 8}.get(size, 0)
        at = 2 + extra + 4 * self.masked
        assert self.has(at, deadline), "ended inside a frame"
        if extra:
            size = int.from_bytes(self.buffer[2:2 + extra], "big")
            assert size >= (126 if extra == 2 else 65536), "not minimal"
        assert self.has(at + size, deadline), "ended inside a frame"
        with memoryview(self.buffer) as view:
            payload = bytes(view[at:at + size])
        if self.masked:
            self.masks.append(bytes(self.buffer[at - 4:at]))
            payload = masked(payload, self.masks[-1])
        del self.buffer[:at + size]
        return Frame(first >> 7 == 1, first >> 4 & 7, first & 15, payload)

    def nothing(self, seconds):
        """Whether nothing at all comes for so long."""
        if self.buffer:
            return False
        try:
            return self.fill(time.monotonic() + seconds) and False
        except TimeoutError:
            return True

    def end(self, timeout=None):
        """What comes until the other end closes the connection."""
        said = []
        while (f := self.frame(timeout)) is not None:
            said.append(f)
        return said

    def rst(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Client(End):
    """The handshake is done when it is made; .status tells how it went."""

    def __init__(self, port, path, headers=(), timeout=10, rcvbuf=None):
        sock = socket.socket()
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.settimeout(timeout)
        sock.connect(("127.0.0.1", port))
        super().__init__(sock, timeout, masked=False)
        self.handshake(port, path, dict(headers))

    def handshake(self, port, path, headers):
        key = base64.b64encode(os.urandom(16)).decode()
        fields = {"Host": f"127.0.0.1:{port}", "Connection": "Upgrade",
                  "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                  "Sec-WebSocket-Key": key, **headers}
        self.sock.sendall("".join(
            [f"GET {path} HTTP/1.1\r\n",
             *(f"{n}: {v}\r\n" for n, v in fields.items()),
             "\r\n"]).encode("latin-1"))
        self.read_head()
        self.status = int(self.head.split()[1])


def accept_of(key):
    """What a server answers to a Sec-WebSocket-Key."""
    digest = hashlib.sha1(key.encode() + GUID).digest()
    return base64.b64encode(digest).decode()


class Server(End):
    """The connection of a client, whose request is .path and .head.  Nothing
    is answered before accept()."""

    def __init__(self, sock, timeout=10):
        super().__init__(sock, timeout, masked=True)
        self.read_head()
        self.path = self.head.split()[1]

    def accept(self, *fields):
        self.send(self.answer(*fields))

    def answer(self, *fields, status="101 Switching Protocols", **changed):
        """A head that accepts, with these lines added.  changed: a field's
        other value, or None to leave it out."""
        named = {"Upgrade": "websocket", "Connection": "Upgrade",
                 "Accept": accept_of(self.field("Sec-WebSocket-Key")),
                 **changed}
        name = {"Accept": "Sec-WebSocket-Accept"}
        lines = [f"{name.get(k, k)}: {v}" for k, v in named.items()
                 if v is not None]
        return "\r\n".join([f"HTTP/1.1 {status}", *lines, *fields, "", ""]
                           ).encode("latin-1")


def close_code(f):
    """A close frame's code; 1005 where it has no body."""
    assert f.opcode == CLOSE and f.fin and f.rsv == 0, f
    return struct.unpack(">H", f.payload[:2])[0] if f.payload else 1005
