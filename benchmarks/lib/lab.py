"""What an experiment has at hand: servers, files for what it found, and its
place in the report."""

import contextlib
import csv
import pathlib
import tempfile

from . import machine
from .numbers import Spread, brief

ALL = ["websocket", "sse", "longpoll", "poll"]


class Missing(Exception):
    """What an experiment needs and this machine has not."""


class Finding:
    """One experiment's part of the report."""

    def __init__(self, name, title, question, method):
        self.name, self.title = name, title
        self.question, self.method = question, method
        self.parts = []      # ("figure", path, caption), ("table", …), …
        self.missing = None  # why it was not measured
        self.failed = None   # what went wrong
        self.seconds = 0


class Lab:
    def __init__(self, size, out, progress):
        self.size, self.out, self.progress = size, out, progress
        self.finding = None
        self.numbers = {}    # what other experiments' texts go back to
        self.scratch = tempfile.TemporaryDirectory(prefix="penstock-bench-")
        self.started = 0

    def pick(self, quick, whole, smoke=None):
        """What this run's size asks for.  "smoke" only shows that the machinery
        runs; its numbers mean nothing."""
        if self.size == "smoke" and smoke is not None:
            return smoke
        return whole if self.size == "whole" else quick

    def step(self, text):
        self.progress.say(text)

    # --- what was found ------------------------------------------------------

    def table(self, name, columns, rows, caption="", show=None):
        """Writes NAME.csv.  Of these rows those that show() wants are in the
        report as well."""
        with open(self.out / f"{name}.csv", "w", newline="") as f:
            w = csv.writer(f)
            wide = [any(isinstance(r[i], Spread) for r in rows)
                    for i in range(len(columns))]
            w.writerow([c for i, name_ in enumerate(columns) for c in (
                [f"{name_} median", "min", "max"] if wide[i] else [name_])])
            for r in rows:
                w.writerow([c for i, v in enumerate(r) for c in (
                    self.cells(v) if wide[i] else [v])])
        shown = [r for r in rows if show is None or show(r)]
        text = [[str(v) if isinstance(v, Spread) else brief(v) for v in r]
                for r in shown]
        self.finding.parts.append(("table", f"{name}.csv", columns, text,
                                   caption))

    @staticmethod
    def cells(v):
        if isinstance(v, Spread):
            return [f"{x:.6g}" for x in (v.median, v.low, v.high)]
        return [v, v, v]

    def figure(self, path, caption, so):
        """caption: how to read it; so: what is to be seen, in a sentence."""
        self.finding.parts.append(("figure", path, caption, so))

    def svg(self, name):
        return self.out / "figures" / f"{name}.svg"

    def says(self, text):
        self.finding.parts.append(("says", text))

    # --- servers -------------------------------------------------------------

    def folder(self):
        self.started += 1
        path = pathlib.Path(self.scratch.name, str(self.started))
        path.mkdir()
        return path

    @contextlib.contextmanager
    def penstock(self, routes=None, workers=1, prefix=(), **top):
        """One with a published channel for each path, on the server's CPU.
        .pid, .port, .admin_port."""
        from penstock import Penstock
        routes = routes or [route()]
        p = Penstock({"workers": workers, "log": {"access": "off"},
                      "routes": routes, **top}, self.folder(),
                     under=[*machine.on_server_cpu(), *prefix])
        p.start()
        p.pid = p.process.pid
        try:
            yield p
        finally:
            p.kill()

    def close(self):
        self.scratch.cleanup()


def route(path="/n/{c}", **more):
    return {"path": path, "source": "publish", "transports": ALL,
            "history": {"messages": 4096}, "heartbeat": "1h", **more}
