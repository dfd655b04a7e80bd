"""A scripted backend: raw sockets, a thread per connection, a handler per
test, and a record of every octet that came.

    def handler(request, conn):
        conn.respond(200, b"hello")
    with Backend(handler) as backend: ...

A handler is called once per request; the connection stays open after it
unless it closed it or called conn.rst()."""

import json
import re
import socket
import ssl
import threading
import time

import raw

LONG = 3600


class Request:
    def __init__(self, method, target, version, headers):
        self.method, self.target, self.version = method, target, version
        self.headers = headers
        self.content = b""
        self.trailers = raw.Headers()

    def json(self):
        return json.loads(self.content)

    def __repr__(self):
        return f"<{self.method} {self.target} {list(self.headers)} {self.content!r}>"


class Connection:
    """The backend's end of one connection."""

    def __init__(self, sock, backend):
        self.sock, self.backend = sock, backend
        self.stream = raw.Stream(sock)
        self.open = True

    @property
    def received(self):
        return bytes(self.stream.received)

    def read_request(self, body=True):
        """The next request, or None when the client has closed."""
        try:
            head = self.stream.read_until(b"\r\n\r\n", time.monotonic() + LONG)
        except (raw.Closed, OSError, TimeoutError):
            return None
        line, headers = raw.parse_head(head)
        method, target, version = line.split(" ")
        request = Request(method, target, version, headers)
        request.body = raw.Body(self.stream, headers, until_close=False)
        if body:
            self.read_body(request)
        return request

    def read_body(self, request):
        if headers_expect(request.headers):
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.content = request.body.all(time.monotonic() + LONG)
        request.trailers = request.body.trailers

    def send(self, data):
        self.sock.sendall(data)

    def respond(self, status=200, content=b"", headers=(), reason="X"):
        if isinstance(content, (dict, list)):
            content, headers = json.dumps(content), [
                ("Content-Type", "application/json"), *as_pairs(headers)]
        if isinstance(content, str):
            content = content.encode()
        self.head(status, [*as_pairs(headers),
                           *([] if status in (204, 304) else
                             [("Content-Length", str(len(content)))])], reason)
        if content:
            self.send(content)

    def head(self, status=200, headers=(), reason="X"):
        text = f"HTTP/1.1 {status} {reason}\r\n"
        text += "".join(f"{n}: {v}\r\n" for n, v in as_pairs(headers))
        self.send(text.encode("latin-1") + b"\r\n")

    def start_chunked(self, status=200, headers=()):
        self.head(status, [*as_pairs(headers), ("Transfer-Encoding", "chunked")])

    def chunk(self, data):
        if isinstance(data, str):
            data = data.encode()
        self.send(b"%x\r\n%b\r\n" % (len(data), data))

    def end_chunks(self, trailers=()):
        lines = "".join(f"{n}: {v}\r\n" for n, v in as_pairs(trailers))
        self.send(b"0\r\n" + lines.encode() + b"\r\n")

    def gone(self):
        """Whether the client has closed, without waiting."""
        try:
            self.sock.setblocking(False)
            data = self.sock.recv(65536)
            self.stream.received += data
            self.stream.buffer += data
            return not data
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        finally:
            if self.sock.fileno() >= 0:
                self.sock.setblocking(True)

    def close(self, cut=False):
        """cut: by TCP alone, without TLS's word that it is meant."""
        self.open = False
        try:
            if isinstance(self.sock, ssl.SSLSocket) and not cut:
                self.sock.setblocking(False)
                self.sock.unwrap()
        except OSError:
            pass  # it has been said, and nobody waits for an answer
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def rst(self):
        self.open = False
        try:
            raw.reset(self.sock)
        except OSError:
            pass  # in the middle of a handshake: see shake_hands()


def as_pairs(headers):
    return list(headers.items() if isinstance(headers, dict) else headers)


def headers_expect(headers):
    return headers.get("Expect", "").lower() == "100-continue"


class Backend:
    """raw_handler, if given, gets each connection itself instead; tls is an
    ssl.SSLContext, see certificates.py."""

    def __init__(self, handler=None, raw_handler=None, host="127.0.0.1",
                 tls=None):
        self.host, self.tls = host, tls
        self.resumed = []  # of each TLS connection: whether it was short
        self.handler = handler or (lambda request, conn: conn.respond(200, b""))
        self.raw_handler = raw_handler or self.serve
        self.requests, self.connections, self.failures = [], [], []
        self.port = 0
        self.listener = None

    def start(self):
        """Listens; after kill(), on the same port again."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.host, self.port))
        listener.listen(128)
        self.port = listener.getsockname()[1]
        self.listener = listener
        threading.Thread(target=self.accept, args=(listener,), daemon=True).start()
        return self

    restart = start

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            conn = Connection(sock, self)
            self.connections.append(conn)
            if self.listener is not listener:  # killed as it was accepted
                conn.rst()
                return
            threading.Thread(target=self.run, args=(conn,), daemon=True).start()

    def shake_hands(self, conn):
        conn.sock = conn.stream.sock = self.tls.wrap_socket(conn.sock,
                                                            server_side=True)
        if not conn.open:  # killed meanwhile
            conn.sock.close()
            raise raw.Closed("killed")
        self.resumed.append(conn.sock.session_reused)

    def run(self, conn):
        try:
            if self.tls:
                self.shake_hands(conn)
            self.raw_handler(conn)
        except (OSError, raw.Closed):
            pass  # penstock went away: that is for the test to judge
        except BaseException as e:
            self.failures.append(e)
            raise
        finally:
            if conn.open:
                conn.close()

    def serve(self, conn):
        while conn.open and (request := conn.read_request()):
            self.requests.append(request)
            self.handler(request, conn)

    def kill(self, rst=False):
        """Stops listening and drops every connection."""
        listener, self.listener = self.listener, None
        if listener:
            try:
                listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
            except OSError:
                pass
            listener.close()
        for conn in list(self.connections):
            if conn.open:
                conn.rst() if rst else conn.close()

    def open_connections(self):
        return [c for c in self.connections if c.open]

    @property
    def url(self):
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.tls else ''}://{host}:{self.port}"

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()


class Feed:
    """A log of messages that a handler streams, from where the client's
    Last-Event-ID says.  It outlives a backend that is killed."""

    def __init__(self, resume=True, retry_ms=None):
        self.messages = []   # (id, event, data)
        self.changed = threading.Condition()
        self.resume, self.retry_ms = resume, retry_ms
        self.ended = False
        self.readers = 0     # streams open now
        self.asked = []      # Last-Event-ID of each request, None if absent
        self.comments = 0

    def add(self, data, event=None, id=None):
        with self.changed:
            id = str(len(self.messages) + 1) if id is None else id
            self.messages.append((id, event, data))
            self.changed.notify_all()
        return id

    def end(self):
        """Ends the streams that are open, cleanly."""
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def start_of(self, last_id):
        ids = [m[0] for m in self.messages]
        if not self.resume or last_id not in ids:
            return 0
        return ids.index(last_id) + 1

    def follow(self, conn, at):
        """Messages from at on, as they come, until the client goes."""
        with self.changed:
            self.readers += 1
        try:
            while True:
                with self.changed:
                    if at >= len(self.messages) and not self.ended:
                        self.changed.wait(0.05)
                    batch = self.messages[at:]
                    if self.ended and not batch:
                        return
                at += len(batch)
                yield from batch
                if not conn.open or conn.gone():
                    return
        finally:
            with self.changed:
                self.readers -= 1

    def sse(self, request, conn):
        """A handler: text/event-stream."""
        last_id = request.headers.get("Last-Event-ID")
        self.asked.append(last_id)
        conn.start_chunked(200, {"Content-Type": "text/event-stream"})
        if self.retry_ms is not None:
            conn.chunk(f"retry: {self.retry_ms}\n\n")
        for message in self.follow(conn, self.start_of(last_id)):
            conn.chunk(sse_text(*message))
        if conn.open:
            conn.end_chunks()
            self.ended = False

    def ndjson(self, request, conn):
        """A handler: application/x-ndjson; it can't be resumed."""
        self.asked.append(None)
        conn.start_chunked(200, {"Content-Type": "application/x-ndjson"})
        at = 0 if self.resume else len(self.messages)
        for _, _, data in self.follow(conn, at):
            conn.chunk(data + "\n")
        if conn.open:
            conn.end_chunks()
            self.ended = False


def sse_text(id, event, data):
    lines = [f"id: {id}"] if id is not None else []
    lines += [f"event: {event}"] if event else []
    lines += [f"data: {l}" for l in re.split("\r\n|\r|\n", data)]
    return "\n".join(lines) + "\n\n"
