"""Publish interval by poll interval, after Bozdag, Mesbah and van Deursen."""

import asyncio
import contextlib

from lib import machine, plot
from lib.numbers import brief, mean
from lib.payload import Payloads
from lib.readers import BROWSER, PollReader, Publisher, SseReader, until

TITLE = "Polling against publishing: too often, too late, or not at all"
QUESTION = ("What do clients see of a stream when messages come every so often "
            "and they poll every so often? (Bozdag, Mesbah and van Deursen "
            "asked this in 2007, for push by Comet.)")
METHOD = ("A penstock for each pair of intervals, with 20 pollers whose phases "
          "are random, and one for each publish interval with 20 readers over "
          "SSE; all at once, for a minute (13 s with `BENCH=quick`). Messages "
          "of 300 octets, the browser's header fields. Their intervals were "
          "longer: the shape is what is compared. Connections are kept "
          "between polls. *Trip* is from publishing to "
          "having it, over what was had; *missed* is what no poll of a client "
          "ever saw; *redundant* are answers without news; octets are both "
          "ways. The processor's share is penstock's alone, and includes "
          "reading what is published.")
SECONDS = (14, 62)
CLIENTS = 20


class Cell:
    """One pair of intervals; poll_s None is push."""

    def __init__(self, p, publish_s, poll_s):
        self.p, self.publish_s, self.poll_s = p, publish_s, poll_s
        self.readers = []
        self.trips = []

    async def open(self):
        self.pub = await Publisher(self.p.admin_port, "n/a",
                                   Payloads(300)).connect()
        self.pub.publish()
        await until(lambda: self.p.channel("n/a")["messages"] > 0)
        for _ in range(CLIENTS):
            args = (self.p.port, "/n/a", BROWSER)
            r = PollReader(*args, every=self.poll_s) if self.poll_s else \
                SseReader(*args)
            self.readers.append(await r.connect())

    async def run(self, seconds):
        self.before = [(r.received, r.sent) for r in self.readers]
        cpu = machine.cpu_s(self.p.pid)
        await self.pub.run(self.publish_s, seconds)
        self.cpu_s = machine.cpu_s(self.p.pid) - cpu
        self.seconds = seconds
        cut = sum(r.lost for r in self.readers)
        self.close()
        if cut:
            raise RuntimeError(f"{cut} of {CLIENTS} were cut, polling every "
                               f"{self.poll_s} s")

    def result(self):
        trips, missed, of, octets = [], 0, 0, 0
        for r, before in zip(self.readers, self.before):
            trips += [age for n, age in r.messages if n > 0]
            seen = {n for n, _ in r.messages}
            if seen:
                whole = max(seen) - min(seen) + 1
                missed += whole - len(seen)
                of += whole
            octets += r.received + r.sent - sum(before)
        asked = sum(r.requests for r in self.readers)
        empty = sum(r.empty for r in self.readers)
        share = CLIENTS * self.seconds
        return {"trip_s": mean(trips), "missed": missed / of if of else None,
                "redundant": empty / asked if self.poll_s and asked else 0,
                "octets_per_s": octets / share,
                "cpu_us_per_s": self.cpu_s * 1e6 / share}

    def close(self):
        self.pub.close()
        for r in self.readers:
            r.close()


async def measure(cells, seconds):
    for c in cells:
        await c.open()
    await asyncio.gather(*(c.run(seconds) for c in cells))


def run(lab):
    publish = lab.pick([0.2, 1, 5], [0.2, 1, 3, 10], [0.05, 0.2])
    poll = lab.pick([0.2, 1, 5], [0.2, 1, 3, 10, 20], [0.05, 0.2])
    with contextlib.ExitStack() as stack:
        cells = [Cell(stack.enter_context(lab.penstock(
            limits={"idle_timeout": "1h", "head_timeout": "1h"})), a, b) for a in publish
                 for b in [*poll, None]]
        lab.step(f"{len(cells)} pairs at once")
        asyncio.run(measure(cells, lab.pick(13, 60, 0.6)))
    found = {(c.publish_s, c.poll_s): c.result() for c in cells}
    lab.numbers["grid"] = found
    report(lab, found, publish, poll)


def percent(v):
    return "–" if v is None else f"{100 * v:.0f} %"


def report(lab, found, publish, poll):
    columns = [f"{b:g} s" for b in poll] + ["push"]
    rows = [f"{a:g} s" for a in publish]

    def values(what):
        return {(i, j): found[a, b][what] for i, a in enumerate(publish)
                for j, b in enumerate([*poll, None])}

    lab.figure(plot.grids(
        lab.svg("grid"),
        [("Trip: publishing to having it, mean (ms)",
          {k: v * 1000 for k, v in values("trip_s").items()}, brief, True),
         ("Missed: never seen", values("missed"), percent, False),
         ("Redundant: answers without news", values("redundant"), percent,
          False),
         ("Octets a second for each client", values("octets_per_s"), brief,
          True)],
        columns, rows, "poll interval", "publish interval"),
        "Each cell is one pair of intervals; the last column is push.",
        f"Asking every {poll[0]:g} s for what comes every {publish[-1]:g} s is "
        f"{percent(found[publish[-1], poll[0]]['redundant'])} redundant, every "
        f"{poll[-1]:g} s for what comes every {publish[0]:g} s misses "
        f"{percent(found[publish[0], poll[-1]]['missed'])}; push does neither.")
    lab.table("grid", ["published every, s", "read", "trip, s", "missed",
                       "redundant", "octets/s and client",
                       "CPU µs/s and client"],
              [[a, "push" if b is None else f"poll {b:g} s",
                *(round(v, 4) if v is not None else None
                  for v in found[a, b].values())]
               for a in publish for b in [*poll, None]])
    slow, fast = publish[-1], poll[0]
    both = [(a, b) for a in publish for b in poll]
    late = [found[k]["missed"] for k in both if k[1] > k[0]]
    even = [found[k]["missed"] for k in both if k[1] <= k[0]]
    halves = [found[k]["trip_s"] / k[1] for k in both if k[1] < k[0]]
    lab.says(
        f"A poll interval up to the publish interval misses {percent(min(even))}"
        f" to {percent(max(even))}; a longer one {percent(min(late))} to "
        f"{percent(max(late))}. Where polls are the more frequent, the trip is half of the "
        f"poll interval (here {min(halves):.2f} to {max(halves):.2f} of it).")
    lab.says(
        f"Polling every {fast:g} s for what comes every {slow:g} s is "
        f"{percent(found[slow, fast]['redundant'])} redundant and costs "
        f"{found[slow, fast]['octets_per_s'] / found[slow, None]['octets_per_s']:.0f}"
        " times the octets of push, and "
        f"{found[slow, fast]['cpu_us_per_s'] / found[slow, None]['cpu_us_per_s']:.0f}"
        " times the processor's time.")
    ratios = [found[a, None]["cpu_us_per_s"] / found[a, b]["cpu_us_per_s"]
              for a, b in both]
    lab.says(
        "Push costs the server "
        f"{min(ratios):.2g} to {max(ratios):.2g} times the processor's time of "
        "polling, over all pairs; it is dearer only where polls see a small "
        "part of the messages.")
