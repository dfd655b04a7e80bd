#!/usr/bin/env python3
"""Penstock beside others, on one machine, in one run: the tables of
doc/measurements.md.

    RIG=FOLDER PENSTOCK=./penstock benchmarks/compare.py [-n RUNS] [TABLE...]

RIG holds fanload and rawfan (built) and rivals/, their servers' configurations;
nginx with nchan, haproxy and wrk come from the distribution, and a rival that is
not there is left out.  UNMETERED is a penstock of configure --disable-meters, for
the table meters.  The server has CPU 0, clients and backends have CPU 1.
Each table takes turns between the servers in each of its runs and prints medians
with minimum and maximum; without a TABLE all are made, in about ten minutes."""

import argparse
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from lib import machine

RIG = Path(os.environ.get("RIG", "."))
PENSTOCK = os.environ.get("PENSTOCK", "./penstock")
UNMETERED = os.environ.get("UNMETERED")
SECONDS = os.environ.get("SECONDS_EACH", "1.5")
SERVER, CLIENT = ["taskset", "-c", "0"], ["taskset", "-c", "1"]
PORT = 28080


# --- servers -----------------------------------------------------------------

class Server:
    """A program that is running, and where to publish and to read."""

    def __init__(self, argv, port, cpu=SERVER):
        self.process = subprocess.Popen(cpu + argv, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        self.pid, self.port = self.process.pid, port
        until = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            assert time.monotonic() < until, f"{argv[0]} does not listen"
            time.sleep(0.02)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def cpu_s(self):
        return machine.cpu_s(self.pid)


def filled(name, folder, **values):
    text = (RIG / "rivals" / name).read_text()
    values |= {"DIR": folder, "WORKERS": 1,
               "MODULES": "/usr/lib/nginx/modules"}
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    path = Path(folder, name.removesuffix(".in"))
    path.write_text(text)
    return str(path)


def nginx(name, port, cpu=SERVER, **values):
    folder = tempfile.mkdtemp(dir=SCRATCH)
    conf = filled(name, folder, PORT=port, **values)
    return Server(["nginx", "-p", folder, "-c", conf, "-e",
                   f"{folder}/error.log"], port, cpu)


def nchan():
    s = nginx("nchan.conf.in", PORT)
    s.publish = f"http://127.0.0.1:{PORT}/pub?id={{c}}"
    s.read = lambda t: (f"http://127.0.0.1:{PORT}/"
                        f"{'lp' if t == 'longpoll' else t}?id={{c}}")
    s.flags = lambda t: ["-t", "nchan-longpoll" if t == "longpoll" else t]
    return s


def penstock(routes=None, program=PENSTOCK):
    routes = routes or [{"path": "/n/{c}", "source": "publish",
                         "history": {"messages": 4096},
                         "transports": ["websocket", "sse", "longpoll"]}]
    config = Path(tempfile.mkdtemp(dir=SCRATCH), "penstock.json")
    config.write_text(json.dumps({
        "listen": [f"127.0.0.1:{PORT}"], "admin": f"127.0.0.1:{PORT + 1}",
        "workers": 1, "log": {"access": "off"}, "routes": routes,
        "backends": {"app": f"http://127.0.0.1:{PORT + 9}"}}))
    s = Server([program, str(config)], PORT)
    s.publish = f"http://127.0.0.1:{PORT + 1}/channels/n/{{c}}"
    s.read = lambda t: f"http://127.0.0.1:{PORT}/n/{{c}}"
    s.flags = lambda t: (["-t", t, "-H", "Prefer: wait=100", "--cursor",
                          "etag"] if t == "longpoll" else ["-t", t])
    return s


PUBSUB = {"Nchan": nchan, "penstock": penstock}


# --- clients -----------------------------------------------------------------

def fanload(server, transport, *args, wait=True):
    argv = CLIENT + [str(RIG / "fanload"), "-p", server.publish, "--pid",
                     str(server.pid), "--allow-loss", "-s", "64",
                     *server.flags(transport), *args, server.read(transport)]
    run = subprocess.Popen(argv, stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL)
    return json.loads(run.communicate()[0]) if wait else run


def rawfan(*args):
    out = subprocess.run([str(RIG / "rawfan"), "-p", *args],
                         stdout=subprocess.PIPE, check=True).stdout
    r = json.loads(out)
    r["server_cpu_us_per_delivery"] = r["cpu_us_per_delivery"]
    return r


def wrk(server, connections):
    before = server.cpu_s()
    out = subprocess.run(CLIENT + ["wrk", "-t1", f"-c{connections}", "-d2s",
                                   f"http://127.0.0.1:{server.port}/"],
                         stdout=subprocess.PIPE, check=True).stdout.decode()
    words = out.split()
    requests = int(words[words.index("requests") - 1])
    return {"requests_per_s": float(words[words.index("Requests/sec:") + 1]),
            "cpu_us": (server.cpu_s() - before) * 1e6 / requests}


# --- tables ------------------------------------------------------------------

class Table:
    """Rows of samples, printed as medians."""

    def __init__(self, title, columns):
        self.title, self.columns, self.rows = title, columns, {}

    def add(self, row, result):
        self.rows.setdefault(row, []).append(
            [get(result) for _, get, _ in self.columns])

    def print(self):
        print(f"\n{self.title}\n\n| |", " | ".join(c[0] for c in self.columns),
              "|\n|---|" + "---|" * len(self.columns))
        for row, samples in self.rows.items():
            cells = [f"{statistics.median(s):.{c[2]}f} ({min(s):.{c[2]}f}–"
                     f"{max(s):.{c[2]}f})"
                     for c, s in zip(self.columns, zip(*samples))]
            print(f"| {row} |", " | ".join(cells), "|", flush=True)


RATE = ("k deliveries/s", lambda r: r["deliveries_per_s"] / 1000, 0)
COST = ("CPU µs each", lambda r: r["server_cpu_us_per_delivery"], 2)
P50 = ("p50 ms", lambda r: r["latency_ms"]["p50"], 2)
P99 = ("p99 ms", lambda r: r["latency_ms"]["p99"], 2)
LOST = ("lost", lambda r: r["lost"], 0)


def single(runs):
    for n in 1000, 5000:
        t = Table(f"One message at a time to {n} readers", [RATE, COST])
        for _ in range(runs):
            t.add("one send() each, nothing else",
                  rawfan("-n", str(n), "-m", str(400000 // n), "-w", "1"))
            for name, start in PUBSUB.items():
                for transport in "ws", "sse":
                    with start() as s:
                        t.add(f"{name}, {transport}",
                              fanload(s, transport, "-n", str(n), "-w", "1",
                                      "-d", SECONDS))
        t.print()


def burst(runs):
    t = Table("32 messages on the way to 1000 readers", [RATE, COST, P99])
    for _ in range(runs):
        raw = rawfan("-n", "1000", "-m", "4000", "-w", "2", "-b", "32")
        t.add("one writev() of 32 each, nothing else",
              raw | {"latency_ms": {"p99": raw["fanout_ms"]}})
        for name, start in PUBSUB.items():
            for transport in "ws", "sse", "longpoll":
                with start() as s:
                    t.add(f"{name}, {transport}",
                          fanload(s, transport, "-n", "1000", "-w", "32",
                                  "--window", "32", "-d", SECONDS))
    t.print()


def longpoll(runs):
    t = Table("Long poll, one message at a time to 1000 clients",
              [RATE, COST, P99])
    for _ in range(runs):
        for name, start in PUBSUB.items():
            with start() as s:
                t.add(name, fanload(s, "longpoll", "-n", "1000", "-w", "1",
                                    "-d", SECONDS))
    t.print()


def channels(runs):
    t = Table("1000 channels of one WebSocket reader, 4 publishers with 8 POSTs "
              "on the way", [RATE, COST, P50, P99])
    for _ in range(runs):
        for name, start in PUBSUB.items():
            with start() as s:
                t.add(name, fanload(s, "ws", "-n", "1000", "-C", "1000", "-w",
                                    "32", "--publish-conns", "4", "--window",
                                    "8", "-d", SECONDS))
    t.print()


def latency(runs):
    t = Table("20 messages a second to 1000 readers", [P50, P99, COST])
    for _ in range(runs):
        for transport in "ws", "sse", "longpoll":
            for name, start in PUBSUB.items():
                with start() as s:
                    t.add(f"{name}, {transport}",
                          fanload(s, transport, "-n", "1000", "-r", "20", "-m",
                                  "84", "--warmup", "4"))
    t.print()


def quiet(runs):
    """The quiet client shares its CPU with 5,000 busy ones, and goes first."""
    t = Table("A channel of one reader, 50 messages a second, beside one of 5000 "
              "that is saturated", [P50, P99])
    for _ in range(runs):
        for window in "1", "32":
            with penstock() as s:
                loud = fanload(s, "ws", "-n", "5000", "-w", window, "--window",
                               window, "-d", "5", wait=False)
                time.sleep(2)
                s.publish = s.publish.replace("{c}", "quiet")
                s.read = lambda t: f"http://127.0.0.1:{PORT}/n/quiet"
                r = fanload(s, "ws", "-n", "1", "-r", "50", "-m", "100",
                            "--src-count", "0")
                loud.communicate()
                t.add(f"{window} of the loud channel's on the way", r)
    t.print()


def idle(runs):
    t = Table("Idle readers: memory of the process (PSS) for each",
              [("octets", lambda r: r["pss_per_conn"], 0)])
    for _ in range(runs):
        for n in 10000, 18000:
            for transport in "ws", "sse", "longpoll":
                with penstock() as s:
                    t.add(f"penstock, {n} by {transport}",
                          fanload(s, transport, "-n", str(n), "-m", "0",
                                  "--hold", "1"))
        with nchan() as s:
            t.add("Nchan, 10000 by ws",
                  fanload(s, "ws", "-n", "10000", "-m", "0", "--hold", "1"))
    t.print()


def handshake(runs):
    t = Table("10000 WebSocket handshakes, 64 at a time",
              [("connects/s", lambda r: r["connects_per_s"], 0),
               ("CPU µs each", lambda r: r["connect_server_cpu_us"], 1)])
    for _ in range(runs):
        for name, start in PUBSUB.items():
            with start() as s:
                t.add(name, fanload(s, "ws", "-n", "10000", "-m", "0"))
    t.print()


def crowd(runs):
    t = Table("18000 readers of one process, one message a second to each",
              [P50, P99, LOST])
    for _ in range(runs):
        with penstock() as s:
            def start(transport):
                s.publish = f"http://127.0.0.1:{PORT + 1}/channels/n/" + transport
                s.read = lambda t: f"http://127.0.0.1:{PORT}/n/{t}"
                return fanload(s, transport, "-n", "9000", "-r", "1", "-m",
                               "10", "--settle", "3", wait=False)
            both = {t: start(t) for t in ("ws", "sse")}
            for transport, run in both.items():
                t.add(f"9000 by {transport}",
                      json.loads(run.communicate()[0]))
    t.print()


def proxy(runs):
    t = Table("Plain proxying of small answers, 64 connections kept alive",
              [("requests/s", lambda r: r["requests_per_s"], 0),
               ("CPU µs each", lambda r: r["cpu_us"], 2)])
    backend = PORT + 9

    def haproxy():
        conf = filled("haproxy.cfg.in", tempfile.mkdtemp(dir=SCRATCH),
                      PORT=PORT, BACKEND=backend)
        return Server(["haproxy", "-q", "-db", "-f", conf], PORT)

    starts = {
        "nginx": lambda: nginx("nginx-proxy.conf.in", PORT, BACKEND=backend),
        "HAProxy": haproxy,
        "penstock": lambda: penstock([{"path": "/*", "proxy": "app"}]),
    }
    with nginx("nginx-backend.conf.in", backend, CLIENT):
        for _ in range(runs):
            for name, start in starts.items():
                with start() as s:
                    t.add(name, wrk(s, 64))
    t.print()


def meters(runs):
    """What counting by route and transport costs the fan-out."""
    if not UNMETERED:
        print("\nmeters: left out, UNMETERED names no penstock without them")
        return
    t = Table("With and without meters, 1000 readers", [COST, RATE])
    for _ in range(runs):
        for transport, window in ("ws", 1), ("sse", 1), ("ws", 32), ("sse", 32):
            for name, program in ("with", PENSTOCK), ("without", UNMETERED):
                with penstock(program=program) as s:
                    t.add(f"{transport}, {window} on the way, {name}",
                          fanload(s, transport, "-n", "1000", "-w",
                                  str(window), "--window", str(window),
                                  "-d", SECONDS))
    t.print()


TABLES = [single, burst, longpoll, channels, latency, quiet, idle, handshake,
          crowd, proxy, meters]


def main():
    names = {t.__name__: t for t in TABLES}
    args = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    args.add_argument("-n", dest="runs", type=int, default=5)
    args.add_argument("tables", nargs="*", choices=[*names, []],
                      metavar="TABLE", help=", ".join(names))
    args = args.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if not shutil.which("nginx"):
        del PUBSUB["Nchan"]
    print("\n".join(f"- {k}: {v}" for k, v in machine.facts(PENSTOCK).items()))
    for name in args.tables or names:
        names[name](args.runs)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as SCRATCH:
        main()
