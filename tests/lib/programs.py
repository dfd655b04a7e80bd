"""Clients that are programs of their own: curl, node's eventsource and ws,
Chromium.  Each runs to its end and gives back what it read."""

import json
import os
import pathlib
import shutil
import subprocess
import threading

import raw

LIB = pathlib.Path(__file__).parent
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")


def node_directory():
    """Where `npm ci` has put node_modules."""
    return os.environ.get("PENSTOCK_NODE", str(LIB.parent / "e2e"))


def have_node():
    return bool(shutil.which("node")) and os.path.isdir(
        os.path.join(node_directory(), "node_modules", "ws"))


def have_chromium():
    return have_node() and bool(CHROMIUM)


def curl(*args, timeout=10):
    """(exit status, stdout as octets).  Runs at most timeout seconds; what a
    stream had brought by then is given back with status 28."""
    done = subprocess.run(["curl", "-sS", "--no-buffer", "--max-time",
                           str(timeout), *args], capture_output=True,
                          timeout=timeout + 10, check=False)
    return done.returncode, done.stdout


class Script:
    """A .mjs that is told JSON in argv[2] and prints a JSON line for each
    thing that happens: {"ready":true} when it follows, then messages."""

    def __init__(self, name, options):
        env = os.environ | {"PENSTOCK_NODE": node_directory()}
        self.process = subprocess.Popen(
            ["node", str(LIB / name), json.dumps(options)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, env=env)
        self.lines = []
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def follow(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def wait_ready(self, timeout=30):
        raw.wait_for(lambda: self.lines or not self.thread.is_alive(), timeout,
                     "a script's start")
        assert '{"ready":true}\n' in self.lines, "".join(self.lines)
        return self

    def result(self, timeout=30):
        """The JSON of its last line."""
        self.thread.join(timeout)
        if self.thread.is_alive():
            self.process.kill()
            raise AssertionError(f"no end in {timeout} s: {''.join(self.lines)}")
        assert self.process.wait() == 0, "".join(self.lines)
        return json.loads(self.lines[-1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()  # node then ends what it started
        self.thread.join(10)
        self.process.wait(10)


def node_eventsource(url, count, types=(), since=None):
    return Script("node_eventsource.mjs",
                  {"url": url, "count": count, "types": list(types),
                   "since": since})


def node_ws(url, count, protocol="penstock.v1", send=()):
    return Script("node_ws.mjs", {"url": url, "count": count,
                                  "protocol": protocol, "send": list(send)})


def chromium(page, path, count, directory, types=()):
    """EventSource and WebSocket of path in one page; result() is
    {"eventsource": [...], "websocket": [...]}."""
    return Script("chromium.mjs",
                  {"page": page, "path": path, "count": count,
                   "types": list(types), "executable": CHROMIUM,
                   "profile": str(directory)})
