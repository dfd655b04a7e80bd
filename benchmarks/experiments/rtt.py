"""Distance: what a round trip does to each transport."""

import asyncio
import random

from delay_proxy import Link
from lib import plot
from lib.numbers import mean, percentile
from lib.payload import Payloads
from lib.readers import BARE, KINDS, Publisher, until

TITLE = "Distance: what a round trip does"
QUESTION = ("How old are messages when a client far away has them, by each "
            "transport? Is long polling as fast as SSE when messages are "
            "further apart than the round trip, and does it take one to three "
            "transits, as RFC 6202 (section 2.2) says?")
METHOD = ("A small proxy of our own (`benchmarks/delay_proxy.py`) holds every "
          "octet for half a round trip in each direction, and lets a new "
          "connection wait one more. Four clients of each transport behind it; "
          "published directly. First the round trip is swept, with messages "
          "regularly three round trips and 100 ms apart; then the time between "
          "messages, at a round trip of 100 ms, with times between them drawn "
          "at random (Poisson). Polls are every second, and ask for all since the "
          "last.")
SECONDS = (18, 48)
CLIENTS = 4
FAR = 0.1


async def follow(p, channel, round_trip_s, seconds, gaps, kinds):
    """Ages in seconds, {kind: [...]}, of messages that came gaps() apart."""
    ages = {kind: [] for kind in kinds}
    async with Link(p.port, round_trip_s) as link:
        pub = await Publisher(p.admin_port, f"n/{channel}",
                              Payloads(64)).connect()
        pub.publish()
        await until(lambda: p.channel(f"n/{channel}")["messages"] > 0)
        readers = []
        for kind in kinds:
            for _ in range(CLIENTS):
                more = {"every": 1.0, "whole": True} if kind == "poll" else {}
                readers.append((kind, KINDS[kind](
                    link.port, f"/n/{channel}", BARE, **more)))
        await asyncio.gather(*(r.connect() for _, r in readers))
        await asyncio.sleep(2 * round_trip_s)
        loop = asyncio.get_running_loop()
        due, end = loop.time(), loop.time() + seconds
        while due < end:
            await asyncio.sleep(max(0, due - loop.time()))
            pub.publish()
            due += gaps()
        await asyncio.sleep(3 * round_trip_s + 0.3)
        for kind, r in readers:
            ages[kind] += [age for n, age in r.messages if n > 0]
            r.close()
        pub.close()
    return ages


async def over_distance(p, trips_ms, seconds):
    async def one(ms):
        gap = 3 * ms / 1000 + 0.1
        return await follow(p, f"far{ms}", ms / 1000, max(seconds, 8 * gap),
                            lambda: gap, ["websocket", "sse", "longpoll",
                                          "poll"])
    return dict(zip(trips_ms, await asyncio.gather(*(map(one, trips_ms)))))


async def over_gaps(p, gaps_ms, seconds):
    async def one(ms):
        r = random.Random(ms)
        return await follow(p, f"gap{ms}", FAR, seconds,
                            lambda: r.expovariate(1000 / ms),
                            ["sse", "longpoll"])
    return dict(zip(gaps_ms, await asyncio.gather(*(map(one, gaps_ms)))))


def run(lab):
    trips = lab.pick([0, 20, 50, 100, 200], [0, 5, 10, 20, 50, 100, 150, 200],
                     [0, 10])
    gaps = lab.pick([20, 50, 100, 200, 1000],
                    [20, 30, 50, 70, 100, 150, 200, 300, 500, 1000, 2000],
                    [20, 100, 1000])
    with lab.penstock() as p:
        lab.step("round trips of 0 to 200 ms")
        far = asyncio.run(over_distance(p, trips, lab.pick(7, 20, 0.5)))
        lab.step("messages 20 to 2000 ms apart")
        near = asyncio.run(over_gaps(p, gaps, lab.pick(9, 24, 0.5)))
    lab.numbers["rtt"] = far, near
    distance(lab, far)
    intervals(lab, near)
    transits(lab, near)


NAMES = {"websocket": "WebSocket", "sse": "SSE", "longpoll": "long poll",
         "poll": "poll every 1 s"}


def distance(lab, far):
    lab.figure(plot.lines(
        lab.svg("rtt-distance"), "Age at the client, messages far apart",
        [plot.Series(NAMES[k], [(ms, mean(a[k]) * 1000) for ms, a in
                                far.items()], k) for k in NAMES if k != "poll"]
        + [plot.Series("half a round trip", [(0, 0), (200, 100)], dash=3,
                       marks=False)],
        plot.Axis("round trip (ms)", low=0, high=200),
        plot.Axis("mean age (ms)", low=0, high=120)),
        "With messages further apart than the round trip, the three that are "
        "told take half a round trip; polls (in the table) half of their "
        "interval as well.",
        f"At a round trip of {max(far)} ms a message takes " + ", ".join(
            f"{mean(far[max(far)][k]) * 1000:.0f} ms by {NAMES[k]}"
            for k in NAMES if k != "poll") + ": half of it.")
    lab.table("rtt-distance", ["round trip, ms", "transport", "mean age, ms",
                               "p99, ms", "messages"],
              [[ms, NAMES[k], round(mean(a[k]) * 1000, 2),
                round(percentile(a[k], 99) * 1000, 2), len(a[k])]
               for ms, a in far.items() for k in NAMES],
              show=lambda r: r[0] in (0, 50, 100, 200))


def intervals(lab, near):
    series = []
    for k, low, high in ("sse", -0.9, 0.9), ("longpoll", 0.9, 0.9):
        series.append(plot.Series(
            f"{NAMES[k]}, mean", [(ms, mean(a[k]) * 1000)
                                  for ms, a in near.items()], k,
            at=(0, 0, low)))
        series.append(plot.Series(
            f"{NAMES[k]}, 99th percentile", [(ms, percentile(a[k], 99) * 1000)
                                             for ms, a in near.items()], k,
            dash=2, at=(0, 0, high)))
    ticks = [(f"{v}", v) for v in (20, 50, 100, 200, 500, 1000, 2000)]
    lab.figure(plot.lines(
        lab.svg("rtt-interval"), "Age at the client, round trip 100 ms", series,
        plot.Axis("mean time between messages (ms), at random", log=True,
                  ticks=ticks),
        plot.Axis("age (ms)", low=0, high=200)),
        "The nearer messages are to each other, the more of them wait for the "
        "next long poll.",
        f"Long poll's mean age is {ratio(near, max(near))} times SSE's with "
        f"messages {max(near)} ms apart, and {ratio(near, min(near))} with "
        f"{min(near)} ms.")
    lab.table("rtt-interval", ["between messages, ms", "SSE mean, ms",
                               "long poll mean, ms", "long poll / SSE",
                               "SSE p99, ms", "long poll p99, ms"],
              [[ms, *(round(v, 2) for v in (
                  mean(a["sse"]) * 1000, mean(a["longpoll"]) * 1000,
                  mean(a["longpoll"]) / mean(a["sse"]),
                  percentile(a["sse"], 99) * 1000,
                  percentile(a["longpoll"], 99) * 1000))]
               for ms, a in near.items()])
    first = next((ms for ms, a in near.items() if ms >= 1000 * FAR), None)
    a = near[first]
    last = near[max(near)]
    lab.says(
        f"At a round trip of 100 ms and messages at random {first} ms apart, "
        f"long poll's mean age is {mean(a['longpoll']) / mean(a['sse']):.2f} of "
        f"SSE's; {max(near)} ms apart it is "
        f"{mean(last['longpoll']) / mean(last['sse']):.2f}. A message waits "
        "only when it comes within one round trip of the one before, so what "
        "counts is how many do, and a burst makes it so at any frequency.")


def ratio(near, ms):
    return f"{mean(near[ms]['longpoll']) / mean(near[ms]['sse']):.2f}"


def transits(lab, near):
    series = []
    for ms, colour, at in ((20, "#e09a1a", (50, 0.8, -1.2)),
                           (100, "#a86400", (57, -15, 1)),
                           (1000, "#5f3800", (75, 0.8, 0))):
        ages = sorted(near[ms]["longpoll"])
        steps = range(0, 101)
        series.append(plot.Series(
            f"long poll, {ms} ms apart",
            [(percentile(ages, q) / (FAR / 2), q) for q in steps],
            colour=colour, marks=False, at=at))
    ages = sorted(near[100]["sse"])
    series.append(plot.Series("SSE", [(percentile(ages, q) / (FAR / 2), q)
                                      for q in range(0, 101)], "sse",
                              marks=False, at=(20, 0.8, 0)))
    worst = max(max(a["longpoll"]) for a in near.values()) / (FAR / 2)
    high = percentile(near[20]["longpoll"], 99) / (FAR / 2)
    lab.figure(plot.lines(
        lab.svg("rtt-transits"), "How many transits a message takes, round "
        "trip 100 ms", series, plot.Axis("age in transits (of 50 ms)", low=0.9,
                                         high=3.2),
        plot.Axis("share of messages (%)", low=0, high=100)),
        "RFC 6202: one transit when the poll is waiting, up to three when it "
        "has just been answered.",
        "SSE takes one transit, long poll one to three; with messages 20 ms apart "
        f"half of them take {percentile(near[20]['longpoll'], 50) / (FAR / 2):.1f}"
        " or more.")
    lab.says(
        f"Long poll takes {min(near[1000]['longpoll']) / (FAR / 2):.2f} transits "
        f"at least, {high:.2f} at the 99th percentile with messages 20 ms "
        f"apart, and {worst:.2f} at the very most: RFC 6202's one to three.")

