"""Clients that are programs of their own: curl, node's eventsource and ws,
Chromium.  Each runs to its end and gives back what it read."""

import json
import os
import pathlib
import shutil
import subprocess

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
            stderr=subprocess.PIPE, text=True, env=env)

    def wait_ready(self):
        line = self.process.stdout.readline()
        if not line or not json.loads(line).get("ready"):
            self.process.kill()
            raise AssertionError(f"not ready: {line}{self.process.stderr.read()}")
        return self

    def result(self, timeout=30):
        """The JSON of its last line."""
        try:
            out, err = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"no end in {timeout} s: {out}{err}") from None
        assert self.process.returncode == 0, out + err
        return json.loads(out.strip().splitlines()[-1])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


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
