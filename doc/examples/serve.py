"""serve.py - what the examples' backends share: a small HTTP server that gives
out its folder, and calls the functions that a backend names its paths by.

    @get("/weather")
    def weather(request): return {"degrees": 21}      # JSON, with an ETag

    @post("/orders")
    def order(request): return request.json()

None is 204, and ... means that it has called request.answer() itself.  A
function that yields, its media type first, makes a stream that stays open."""

import hashlib
import http.server
import json
import os
import pathlib
import re
import sys

HERE = pathlib.Path(sys.argv[0]).resolve().parent
FILES = {".html": "text/html; charset=utf-8", ".css": "text/css",
         ".js": "text/javascript", ".mjs": "text/javascript"}
routes = []


def on(method, path):
    def keep(function):
        routes.append((method, re.compile(path + r"(?:\?.*)?$"), function))
        return function
    return keep


def get(path):
    return on("GET", path)


def post(path):
    return on("POST", path)


class Request(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a body does not wait for its head's ACK

    def json(self):
        return json.loads(self.content)

    def answer(self, status=200, body=b"", type="application/json", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status not in (204, 304):
            self.send_header("Content-Type", type)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_json(self, value):
        body = json.dumps(value).encode()
        etag = '"%s"' % hashlib.sha256(body).hexdigest()[:16]
        if self.headers.get("If-None-Match") == etag:
            self.answer(304, ETag=etag)
        else:
            self.answer(200, body, ETag=etag)

    def stream(self, chunks):
        self.send_response(200)
        self.send_header("Content-Type", next(chunks))
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in chunks:
            data = chunk.encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.content = self.rfile.read(length)
        for method, path, function in routes:
            match = path.match(self.path)
            if match and method == self.command:
                return self.give(function(self, *match.groups()))
        return self.file(self.path.partition("?")[0])

    def give(self, result):
        if result is ...:
            return  # it has answered by itself
        if result is None:
            self.answer(204)
        elif hasattr(result, "__next__"):
            try:
                self.stream(result)
            except OSError:
                self.close_connection = True
        else:
            self.answer_json(result)

    def file(self, path):
        """Of this folder, of the one above it (look.css), or a package's."""
        roots = [HERE, HERE.parent]
        if path.startswith("/node_modules/"):
            roots = [pathlib.Path(os.environ.get("NODE", "."))]
        for root in roots:
            file = (root / (path.lstrip("/") or "index.html")).resolve()
            if path.startswith("/node_modules/") and not file.suffix:
                file = file.with_suffix(".js")  # as node resolves names
            if file.is_relative_to(root.resolve()) and file.is_file() and \
                    file.suffix in FILES:
                return self.answer(200, file.read_bytes(), FILES[file.suffix])
        return self.answer(404, b'{"error": "not found"}')

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any

    def log_message(self, *args):
        pass


def run():
    """Serves at the port that the command line names, for ever."""
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Request)
    server.daemon_threads = True
    print(f"a backend at http://127.0.0.1:{port}/", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
