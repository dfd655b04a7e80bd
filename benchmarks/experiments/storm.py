"""Reconnect storm: everybody is gone at once, and comes back at once."""

import asyncio
import random
import time

from lib import machine, plot
from lib.lab import route
from lib.numbers import Spread, percentile
from lib.payload import Payloads
from lib.readers import BARE, Publisher, SseReader, WebSocketReader, until

TITLE = "Reconnect storm"
QUESTION = ("When all connections are cut at one moment and everybody comes "
            "back with a cursor, how long until all have everything again, and "
            "what is lost or seen twice?")
METHOD = ("Readers over SSE, and over WebSocket with `penstock.v1`, follow one "
          "channel that gets ten messages a second and keeps on; all sockets "
          "are reset in one go, and each client connects again with the id of "
          "its last message: at once, or after a random time of up to 2 s as "
          "`retry:` and penstock.js have it. Recovered is a client that has "
          "the newest message of the moment. The clients are one Python "
          "program with one CPU, which is the limit to how fast they come "
          "back; penstock's own processor's time is what it costs the server.")
SECONDS = (6, 16)


class Cursor:
    """What a client keeps over its connections."""

    def __init__(self):
        self.seen, self.lost, self.twice = None, 0, 0
        self.id = None

    def take(self, n):
        if self.seen is not None:
            if n <= self.seen:
                self.twice += 1
                return
            self.lost += n - self.seen - 1
        self.seen = n


def follower(base):
    class Resuming(base):
        def __init__(self, port, path, cursor):
            super().__init__(port, path, BARE, on_message=self.took)
            self.cursor_kept = cursor

        def ask(self, *more):
            if self.cursor_kept.id:
                more = [*more, ("Last-Event-ID", self.cursor_kept.id)]
            super().ask(*more)

        def took(self, _, n, age):
            self.cursor_kept.take(n)

        def note(self, data):
            end = super().note(data)
            for mark in (b'id: ', b'"id":"'):
                at = data.rfind(mark)
                if at >= 0:
                    tail = bytes(data[at + len(mark):at + len(mark) + 64])
                    stop = min((i for i in (tail.find(b"\n"), tail.find(b'"'))
                                if i > 0), default=0)
                    if stop:
                        self.cursor_kept.id = tail[:stop].decode()
            return end
    return Resuming


SSE = follower(SseReader)


class Enveloped(WebSocketReader):
    protocol = "penstock.v1"


WEBSOCKET = follower(Enveloped)


async def come(cls, p, cursors, spread_s):
    gate = asyncio.Semaphore(200)  # a listener's queue is finite

    async def one(cursor):
        if spread_s:
            await asyncio.sleep(random.uniform(0, spread_s))
        async with gate:
            r = cls(p.port, "/n/a", cursor)
            return await r.connect()
    return await asyncio.gather(*(one(c) for c in cursors))


async def storm(p, cls, count, spread_s):
    cursors = [Cursor() for _ in range(count)]
    pub = await Publisher(p.admin_port, "n/a", Payloads(64)).connect()
    pub.publish()
    await until(lambda: p.channel("n/a")["messages"] > 0)
    readers = await come(cls, p, cursors, 0)
    publishing = asyncio.ensure_future(pub.run(0.1, 3600))
    await until(lambda: all(c.seen and c.id for c in cursors), 20,
                "a first message at all")
    for r in readers:
        r.close()
    begun, cpu = time.monotonic(), machine.cpu_s(p.pid)
    missing_from = pub.n
    task = asyncio.ensure_future(come(cls, p, cursors, spread_s))
    back = []
    left = set(range(count))
    await asyncio.sleep(0)
    while left:
        now = {i for i in left if task.done() and cursors[i].seen >= pub.n - 2
               or cursors[i].seen >= missing_from}
        back += [time.monotonic() - begun] * len(now)
        left -= now
        await asyncio.sleep(0.02)
        if time.monotonic() - begun > 60:
            raise TimeoutError(f"{len(left)} are not back")
    cpu = machine.cpu_s(p.pid) - cpu
    readers = await task
    publishing.cancel()
    await asyncio.sleep(0.3)
    for r in readers:
        r.close()
    pub.close()
    return {"all_s": max(back), "half_s": percentile(back, 50),
            "cpu_us": cpu * 1e6 / count,
            "lost": sum(c.lost for c in cursors),
            "twice": sum(c.twice for c in cursors), "back": sorted(back)}


def run(lab):
    count = min(lab.pick(1000, 3000, 20), machine.descriptors() // 3)
    found = {}
    for name, cls in (("sse", SSE), ("websocket", WEBSOCKET)):
        for spread_s in lab.pick((0, 2), (0, 2), (0,)):
            goes = []
            for _ in range(lab.pick(1, 2)):
                lab.step(f"{count} by {name}, over {spread_s} s")
                with lab.penstock([route()]) as p:
                    goes.append(asyncio.run(storm(p, cls, count, spread_s)))
            found[name, spread_s] = goes
    report(lab, found, count)


def report(lab, found, count):
    label = {0: "at once", 2: "over 2 s"}
    names = {"sse": "SSE", "websocket": "WebSocket"}
    series = []
    for (name, spread_s), goes in found.items():
        back = goes[0]["back"]
        points = [(back[min(len(back) - 1, i * len(back) // 100)], i)
                  for i in range(0, 101, 2)]
        series.append(plot.Series(
            f"{names[name]}, {label[spread_s]}", points, name, marks=False,
            dash=2 if spread_s else 1,
            at=(35 if name == "sse" else 20, 0.8, -0.6)))
    lab.figure(plot.lines(
        lab.svg("storm"), f"{count} clients after all connections were cut",
        series, plot.Axis("seconds after the cut", low=0),
        plot.Axis("clients that have everything again (%)", low=0, high=100)),
        "One go of each. Messages go on at ten a second meanwhile.",
        f"All {count} who came back at once had everything again after "
        + ", ".join(f"{found[n, 0][0]['all_s']:.2f} s by {name}"
                    for n, name in names.items()) + ".")
    rows = [[names[n], label[s], *(Spread([g[k] for g in goes]) for k in (
        "half_s", "all_s", "cpu_us", "lost", "twice"))]
        for (n, s), goes in found.items()]
    lab.table("storm", ["read by", "they come back", "half have all, s",
                        "all have all, s", "CPU µs of penstock for each client",
                        "messages lost", "seen twice"], rows,
              f"{count} clients.")
    lost = sum(g["lost"] for goes in found.values() for g in goes)
    twice = sum(g["twice"] for goes in found.values() for g in goes)
    costs = [g["cpu_us"] for (_, s), goes in found.items() for g in goes
             if s == 0]
    lab.says(
        f"Lost: {lost}. Seen twice: {twice}. A client that comes back at "
        f"once costs penstock {min(costs):.0f} to {max(costs):.0f} µs with its "
        "catching up: one core could take back "
        f"{1e6 / max(costs):.0f} to {1e6 / min(costs):.0f} clients a second. "
        "Over 2 s it costs more only as ordinary deliveries go on meanwhile.")
