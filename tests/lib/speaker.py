"""A backend that is a process of its own, so that it can be killed as those of
others are: at any time, by SIGKILL, in the middle of whatever it says.

    speaker.py couch|continuous|watch|sse PORT LOG [FLOOR]

LOG is what it knows, and outlives it: its lines are numbered from 1.  FLOOR is
a file whose number says how many of them are forgotten."""

import http.server
import json
import os
import pathlib
import random
import sys
import time
import urllib.parse

mode, port, log, *floor = sys.argv[1:]
POLL_S = 0.003
random.seed(os.environ.get("PENSTOCK_SEED"))


def known(at):
    """Lines behind the at-th one: (number, text)."""
    try:
        text = pathlib.Path(log).read_text()
    except FileNotFoundError:
        return []
    lines = text[:text.rfind("\n") + 1].splitlines()
    return list(enumerate(lines[at:], at + 1))


def forgotten():
    try:
        return int(pathlib.Path(floor[0]).read_text())
    except (IndexError, FileNotFoundError):
        return 0


class Speaker(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        query = urllib.parse.urlsplit(self.path).query
        self.query = dict(urllib.parse.parse_qsl(query))
        getattr(self, mode)()

    def begin(self, type):
        self.send_response(200)
        self.send_header("Content-Type", type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, text):
        """In two pieces now and then: to be killed in between."""
        data = text.encode()
        cut = random.randrange(len(data)) if random.random() < .3 else 0
        for piece in (data[:cut], data[cut:]):
            if piece:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                self.wfile.flush()

    def end(self):
        self.wfile.write(b"0\r\n\r\n")

    def follow(self, at, silence="", longest_s=3600):
        """What comes behind the at-th line, and silence after half a second
        of it."""
        begun = said = time.monotonic()
        while time.monotonic() - begun < longest_s:
            for at, text in known(at):
                said = time.monotonic()
                yield at, text
            if silence and time.monotonic() - said > .5:
                said = time.monotonic()
                self.chunk(silence)
            time.sleep(POLL_S)

    # --- CouchDB: /db/_changes ----------------------------------------------------

    def seq_asked(self):
        return int(self.query.get("since", "0").split("-")[0])

    @staticmethod
    def change(n, text):
        return {"seq": f"{n}-g1AAAA", "id": text,
                "changes": [{"rev": f"1-{n:032x}"}]}

    def couch(self):
        assert self.query["feed"] == "longpoll"
        at = self.seq_asked()
        deadline = time.monotonic() + 1
        while not (rows := known(at)) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        last = rows[-1][0] if rows else at
        body = json.dumps({"results": [self.change(*r) for r in rows],
                           "last_seq": f"{last}-g1AAAA", "pending": 0}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def continuous(self):
        """One that is asked for no heartbeat ends now and then, with a line
        that is no change."""
        assert self.query["feed"] == "continuous"
        at = self.seq_asked()
        self.begin("application/json")
        for at, text in self.follow(at, "\n", random.uniform(.3, 2)):
            self.chunk(json.dumps(self.change(at, text)) + "\n")
        self.chunk(json.dumps({"last_seq": f"{at}-g1AAAA", "pending": 0}) + "\n")
        self.end()

    # --- Kubernetes: ?watch=1 -------------------------------------------------------

    def event(self, type, n, **object):
        version = {"resourceVersion": str(n)}
        metadata = {**object.pop("metadata", {}), **version}
        self.chunk(json.dumps({"type": type, "object": {
            "kind": "Pod", "apiVersion": "v1", "metadata": metadata,
            **object}}) + "\n")

    def watch(self):
        """Without a version all that there is counts as added; one that is too
        old is an event, as the answer has begun."""
        assert self.query["watch"] in ("1", "true")
        at = int(self.query.get("resourceVersion", forgotten()))
        self.begin("application/json")
        if at < forgotten():
            self.chunk(json.dumps({"type": "ERROR", "object": {
                "kind": "Status", "apiVersion": "v1", "metadata": {},
                "status": "Failure", "reason": "Expired", "code": 410,
                "message": f"too old resource version: {at}"}}) + "\n")
            return self.end()
        for at, text in self.follow(at, longest_s=random.uniform(.3, 2)):
            self.event("ADDED", at, metadata={"name": text},
                       status={"phase": "Running"})
            if random.random() < .1:
                self.event("BOOKMARK", at)
        self.end()

    # --- server-sent events ---------------------------------------------------------

    def sse(self):
        at = int(self.headers.get("Last-Event-ID", "0"))
        self.begin("text/event-stream")
        for at, text in self.follow(at, ":\n"):
            self.chunk(f"id: {at}\ndata: {text}\n\n")


class Server(http.server.ThreadingHTTPServer):
    allow_reuse_address = True

    def handle_error(self, *_):
        pass  # whoever asked has gone


Server(("127.0.0.1", int(port)), Speaker).serve_forever()
