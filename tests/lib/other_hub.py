"""A server of notifications that is none of ours, and can do wrong: POST /pub
appends, GET /sse streams (ids are numbers), GET /batch?since=N answers at once
with {"messages":[text...],"next":"N"}, GET /latest with the newest."""

import threading
import urllib.parse


class OtherHub:
    """Its handler is for a Backend.  change(list) is given what is sent to each
    stream, and returns what to send instead.  ids: events have them."""

    def __init__(self, change=None, ids=True):
        self.change = change or (lambda messages: messages)
        self.ids = ids
        self.messages = []
        self.changed = threading.Condition()
        self.before_answer = lambda number: None

    def handler(self, request, conn):
        path, _, query = request.target.partition("?")
        if request.method == "POST" and path == "/pub":
            self.publish(request.content.decode())
            self.before_answer(len(self.messages))
            conn.respond(200, b"ok")
        elif path == "/sse":
            self.stream(request, conn)
        elif path == "/batch":
            since = int(urllib.parse.parse_qs(query).get("since", ["0"])[0])
            some = self.messages[since:]
            conn.respond(200, {"messages": some, "next": str(since + len(some))})
        elif path == "/latest":
            self.latest(request, conn)
        else:
            conn.respond(404, b"nothing here")

    def publish(self, text):
        with self.changed:
            self.messages.append(text)
            self.changed.notify_all()

    def latest(self, request, conn):
        etag = f'"{len(self.messages)}"'
        if request.headers.get("If-None-Match") == etag:
            conn.respond(304, b"", {"ETag": etag})
        else:
            conn.respond(200, self.messages[-1] if self.messages else "",
                         {"ETag": etag})

    def stream(self, request, conn):
        conn.start_chunked(200, {"Content-Type": "text/event-stream"})
        conn.chunk(":\n\n")
        at = int(request.headers.get("Last-Event-ID", len(self.messages)))
        while conn.open and not conn.gone():
            with self.changed:
                if at >= len(self.messages):
                    self.changed.wait(0.05)
                batch = list(enumerate(self.messages, 1))[at:]
            at += len(batch)
            for id, data in self.change(batch):
                conn.chunk((f"id: {id}\n" if self.ids else "")
                           + f"data: {data}\n\n")


def each(change):
    """For OtherHub: change(id, data) gives the (id, data) to send for one."""
    return lambda batch: [pair for id, data in batch
                          for pair in change(id, data)]
