"""Notifications: a stream of events, and the same as a list for those who ask."""

import sys
import threading

sys.path.insert(0, sys.path[0] + "/..")
from serve import get, post, run  # noqa: E402

notes, changed = [], threading.Condition()


@post("/notify")
def notify(request):
    with changed:
        notes.append(request.content.decode())
        changed.notify_all()


@get(r"/list\?after=(\d+)")
def list_after(request, after):
    return notes[int(after):]


@get("/stream")
def stream(request):
    at = int(request.headers.get("Last-Event-ID") or len(notes))
    yield "text/event-stream"
    yield ": hello\n\n"
    while True:
        with changed:
            changed.wait_for(lambda: len(notes) > at, 15)
            fresh, at = notes[at:], len(notes)
        for number, note in enumerate(fresh, at - len(fresh) + 1):
            yield f"id: {number}\ndata: {note}\n\n"
        if not fresh:
            yield ": still here\n\n"


run()
