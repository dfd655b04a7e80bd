#!/usr/bin/python3
"""What the dashboard costs: a penstock with many routes and readers, its page
open in Chromium, and a trace of that.

    PENSTOCK_NODE=build/node benchmarks/dashboard.py build/plain/penstock
        [--routes 200] [--readers 10000] [--seconds 20] [--rounds 3]
        [--no-cpu] [--no-page] [--shots FOLDER]

Prints, as CSV (of several: median, least, most): the part of one core that
penstock takes with a page that watches and without one, by turns of so many
seconds, whose difference is what the page costs; and the longest tasks of the
page's main thread while it is opened (five times), watched, used, and races.
With --shots, pictures of each view."""

import argparse
import heapq
import http.client
import json
import multiprocessing
import os
import pathlib
import platform
import random
import resource
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests" / "lib"))

import penstock as penstock_module  # noqa: E402

TRANSPORTS = ["websocket", "sse", "longpoll", "poll"]
SHARES = [45, 35, 12, 8]
PERIODS_S = [0.2, 0.5, 1, 1, 2, 2, 5, 5, 10, 30]
NAMES = ["quotes/acme", "weather/zurich", "news", "chat/tea", "orders/status",
         "sensors/hall-3", "scores/live", "traffic/a1", "builds", "alerts",
         "positions/fleet", "presence/team", "bids/lot-7", "comments/41",
         "stock/shelf-9", "jobs/queue", "rates/chf", "departures", "energy/roof",
         "votes"]
FIELDS = {
    "websocket": "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "sse": "Accept: text/event-stream\r\n",
    "longpoll": "Prefer: wait=60\r\n",
    "poll": "",
}


def channels(n):
    return [NAMES[i] if i < len(NAMES) else
            f"{NAMES[i % len(NAMES)].split('/')[0]}/{i}" for i in range(n)]


def config(n):
    return {"log": {"access": "off"}, "workers": 1, "routes": [
        {"path": f"/{c}", "source": "publish", "receive": "channel",
         "transports": TRANSPORTS} for c in channels(n)] + [
        {"path": "/signal/{room}", "source": "publish", "receive": "channel"}]}


# --- who reads -----------------------------------------------------------------

def request(path, kind):
    return f"GET /{path} HTTP/1.1\r\nHost: a\r\n{FIELDS[kind]}\r\n".encode()


def read(port, names, readers, pipe):
    """Reads with so many clients, until the pipe ends."""
    selector = selectors.DefaultSelector()
    pollers = []
    chance = random.Random(6)
    for i in range(readers):
        # Some routes are read by more than others.
        path = names[int(len(names) * chance.random() ** 1.6)]
        kind = chance.choices(TRANSPORTS, SHARES)[0]
        s = socket.create_connection(("127.0.0.1", port))
        s.sendall(request(path, kind))
        s.setblocking(False)
        again = request(path, kind) if kind in ("longpoll", "poll") else None
        selector.register(s, selectors.EVENT_READ, (kind, again))
        if kind == "poll":
            pollers.append((s, again))
    pipe.send("ready")
    at, due = 0, time.monotonic()
    while not pipe.poll():
        for key, _ in selector.select(0.05):
            try:
                data = key.fileobj.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:  # idle for too long, say: one reader less
                selector.unregister(key.fileobj)
                pollers = [p for p in pollers if p[0] is not key.fileobj]
            elif key.data[0] == "longpoll" and b"HTTP/1.1 2" in data:
                key.fileobj.send(key.data[1])
        while pollers and due < time.monotonic():  # each every five seconds
            s, again = pollers[at % len(pollers)]
            at, due = at + 1, due + 5 / len(pollers)
            try:
                s.send(again)
            except OSError:
                pass  # the next look at it says so


def write(port, names, pipe):
    """Publishes to each, some often and some seldom, until the pipe ends."""
    client = http.client.HTTPConnection("127.0.0.1", port)
    chance = random.Random(7)
    due = []
    for i, name in enumerate(names):
        period = PERIODS_S[i * 7 % len(PERIODS_S)]
        heapq.heappush(due, (time.monotonic() + chance.random() * period, i, name, period))
    while True:
        at, i, name, period = heapq.heappop(due)
        if pipe.poll(max(0, at - time.monotonic())):
            return
        data = json.dumps({"of": name, "value": round(chance.gauss(100, 9), 2),
                           "text": "x" * chance.randrange(20, 200)})
        client.request("POST", f"/channels/{name}", data,
                       {"Content-Type": "application/json"})
        client.getresponse().read()
        # Half of them are regular.
        after = period if i % 2 else chance.expovariate(1 / period)
        heapq.heappush(due, (max(at + after, time.monotonic()), i, name, period))


def start(target, *args):
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=target, args=(*args, theirs))
    process.start()
    theirs.close()
    return process, ours


# --- what it costs ------------------------------------------------------------------

def browser(p, mode, seconds, shots=""):
    """Runs the page; what it says."""
    done = subprocess.run(
        ["node", str(pathlib.Path(__file__).parents[1] / "tests" / "lib" /
                     "chromium_dashboard.mjs"),
         json.dumps({"mode": mode, "url": f"http://127.0.0.1:{p.admin_port}/",
                     "seconds": seconds, "shots": shots,
                     "executable": shutil.which("chromium")})],
        capture_output=True, text=True, timeout=seconds + 120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(l) for l in done.stdout.splitlines() if l.startswith("{")]


def cpu_s(p):
    """Seconds that penstock has run, of the whole and of its main thread, which
    makes the documents: to the nanosecond, where ticks of 10 ms would be most of
    what is looked for."""
    tasks = pathlib.Path(f"/proc/{p.process.pid}/task")
    ran = {int(t.name): int((t / "schedstat").read_text().split()[0]) / 1e9
           for t in tasks.iterdir()}
    return sum(ran.values()), ran[p.process.pid]


def watched(p, seconds, on):
    """Of a core, in percent: what penstock takes, and its main thread, with
    somebody who reads /live or without; and the octets a second that it reads.  No
    browser is there to take the machine."""
    s = socket.create_connection(("127.0.0.1", p.admin_port))
    if on:
        s.sendall(b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n")
    selector = selectors.DefaultSelector()
    selector.register(s, selectors.EVENT_READ)
    octets, began, before = 0, time.monotonic(), cpu_s(p)
    while (left := began + seconds - time.monotonic()) > 0:
        if selector.select(left):
            octets += len(s.recv(1 << 20))
    took = time.monotonic() - began
    s.close()
    return [(now - then) / took * 100 for now, then in zip(cpu_s(p), before)
            ] + [octets / took]


def document(p, n=400):
    """The same, from what one document costs: many are asked for, and what the
    rest takes meanwhile is taken off."""
    rest = watched(p, 4, False)[0]
    began, (before, _) = time.monotonic(), cpu_s(p)
    for _ in range(n):
        p.admin("GET", "/routes")
    took = time.monotonic() - began
    each_ms = ((cpu_s(p)[0] - before) - took * rest / 100) / n * 1000
    print(f"cpu_ms_for_one_document,{each_ms:.2f}", flush=True)


def spread(name, values):
    values = sorted(values)
    print(f"{name},{statistics.median(values):.2f},{values[0]:.2f},{values[-1]:.2f}",
          flush=True)


def measure(p, seconds, rounds):
    """Turns with a watcher between turns without: each is set beside the mean of
    its two neighbours, so what slowly changes is in both."""
    without, with_one = [watched(p, seconds, False)], []
    for _ in range(rounds):
        with_one.append(watched(p, seconds, True))
        without.append(watched(p, seconds, False))
    for name, i in (("process", 0), ("main_thread", 1)):
        for kind, turns in (("watched", with_one), ("unwatched", without)):
            print(f"cpu_percent_{name}_{kind}," +
                  " ".join(f"{t[i]:.2f}" for t in turns))
        spread(f"cpu_percent_of_a_core_for_live_{name}",
               [on[i] - (without[k][i] + without[k + 1][i]) / 2
                for k, on in enumerate(with_one)])
    spread("live_octets_per_s", [t[2] for t in with_one])


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("penstock")
    args.add_argument("--routes", type=int, default=200)
    args.add_argument("--readers", type=int, default=10000)
    args.add_argument("--seconds", type=int, default=20)
    args.add_argument("--shots", default="")
    args.add_argument("--rounds", type=int, default=3)
    args.add_argument("--no-cpu", action="store_true")
    args.add_argument("--no-page", action="store_true")
    args.add_argument("--mode", default="trace", choices=["trace", "shots"])
    args = args.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    penstock_module.BINARY = args.penstock
    print(f"machine,{platform.processor() or platform.machine()},{os.cpu_count()}"
          f" cores,{platform.release()}")
    names = channels(args.routes)
    with tempfile.TemporaryDirectory() as folder:
        p = penstock_module.Penstock(config(args.routes), pathlib.Path(folder)).start()
        reading, reads = start(read, p.port, names, args.readers)
        writing = None
        try:
            assert reads.recv() == "ready"
            writing, writes = start(write, p.admin_port, names)
            print(f"readers,{args.readers}\nroutes,{args.routes}", flush=True)
            time.sleep(5)
            if not args.no_cpu:
                document(p)
                measure(p, args.seconds, args.rounds)
            if args.no_page:
                return
            for said in browser(p, args.mode, args.seconds, args.shots):
                for name, value in said.items():
                    print(f"{name},{value}", flush=True)
            left = sum(part["readers"] for route in p.admin("GET", "/routes").json()
                       ["routes"] for part in route["measured"].values())
            print(f"readers_at_the_end,{left}", flush=True)
        finally:
            for process, pipe in ((reading, reads), (writing, writing and writes)):
                if process:
                    pipe.send("end")
                    process.join(20)
                    process.terminate()
            p.stop()


if __name__ == "__main__":
    main()
