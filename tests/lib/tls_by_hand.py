"""A client of TLS that sees each octet: what is said and what goes over the
wire are apart, and so are the end of one and of the other."""

import socket
import ssl
import time

import raw


class TlsByHand:
    """.sent and .received count octets at the socket."""

    def __init__(self, port, context, name="127.0.0.1", session=None, rcvbuf=None):
        self.sock = socket.socket()
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.connect(("127.0.0.1", port))
        self.sock.settimeout(10)
        self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.into, self.out, server_hostname=name,
                                    session=session)
        self.sent = self.received = 0

    def hello(self):
        """The octets of the first flight."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return self.out.read()

    def flush(self):
        if data := self.out.read():
            self.sock.sendall(data)
            self.sent += len(data)

    def take(self):
        """What comes next at the socket.  False at its end."""
        data = self.sock.recv(65536)
        self.received += len(data)
        if data:
            self.into.write(data)
        else:
            self.into.write_eof()
        return bool(data)

    def drive(self, step):
        """step()'s result, however much has to come for it."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.flush()
                if not self.take():
                    raise raw.Closed("cut") from None
            finally:
                self.flush()

    def handshake(self):
        self.drive(self.tls.do_handshake)
        return self

    def send(self, data):
        self.tls.write(data)
        self.flush()

    def recv(self):
        """Octets, or b"" at an end that was announced."""
        try:
            return self.drive(lambda: self.tls.read(65536))
        except ssl.SSLZeroReturnError:
            return b""

    def read_until(self, mark):
        data = b""
        while mark not in data:
            piece = self.recv()
            if not piece:
                raise raw.Closed(f"ended before {mark!r}: {data[-200:]!r}")
            data += piece
        return data

    def end(self):
        """Announces that nothing follows; the socket stays as it is."""
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        self.flush()

    def read_to_end(self):
        data = b""
        while piece := self.recv():
            data += piece
        return data

    def fin(self):
        self.sock.shutdown(socket.SHUT_WR)

    def closed(self, timeout=10):
        """Whether the socket ends, whatever still comes."""
        deadline = time.monotonic() + timeout
        try:
            while time.monotonic() < deadline:
                self.sock.settimeout(max(deadline - time.monotonic(), 0.01))
                if not self.sock.recv(65536):
                    return True
        except ConnectionResetError:
            return True
        except TimeoutError:
            pass
        return False

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
