"""Batching and merging: what joining messages saves."""

import asyncio

from lib import machine, plot
from lib.lab import route
from lib.numbers import Spread, mean, percentile
from lib.payload import Payloads
from lib.readers import BROWSER, KINDS, Publisher, SseReader, until

TITLE = "Batching and merging"
QUESTION = ("What does it save to send several messages at once, and what to "
            "send only the newest of them?")
METHOD = ("Batching: 1,200 messages a second for 25 readers, which come one at "
          "a time, or in bursts of up to 64; penstock joins what a reader has "
          "not had into one `writev()`, a long poll into one answer, and every "
          "message is delivered. Merging: 100 messages a second for 25 readers "
          "over SSE, of which `max_rate` lets through the "
          "newest, so many times a second. Messages of 300 octets. The "
          "processor's time is penstock's with taking in the messages; three "
          "goes each.")
SECONDS = (14, 63)
READERS, PER_S = 25, 1200
NAMES = {"websocket": "WebSocket", "sse": "SSE", "longpoll": "long poll"}


class Counting:
    """Counts messages and sums ages, as tuples by the million would cost."""

    def __init__(self):
        self.count, self.ages = 0, []

    def __call__(self, reader, n, age):
        self.count += 1
        if self.count % 16 == 0:
            self.ages.append(age)


async def follow(p, cls, path, burst, per_s, seconds):
    seen = Counting()
    pub = await Publisher(p.admin_port, "n/a", Payloads(300, False)).connect()
    pub.publish()
    await until(lambda: p.channel("n/a")["messages"] > 0)
    readers = [cls(p.port, path, BROWSER, on_message=seen)
               for _ in range(READERS)]
    await asyncio.gather(*(r.connect() for r in readers))
    await asyncio.sleep(0.05)
    cpu, octets = machine.cpu_s(p.pid), sum(r.received + r.sent
                                            for r in readers)
    await pub.run(burst / per_s, seconds, batch=burst)
    published = pub.n - 1
    if path.startswith("/n/"):
        await until(lambda: seen.count >= READERS * published, 20,
                    "every message at every reader")
    cpu = machine.cpu_s(p.pid) - cpu
    octets = sum(r.received + r.sent for r in readers) - octets
    for r in readers:
        r.close()
    pub.close()
    return {"delivered": seen.count / READERS / seconds,
            "cpu_us": cpu * 1e6 / max(1, seen.count),
            "cpu_us_per_s": cpu * 1e6 / READERS / seconds,
            "octets": octets / max(1, seen.count),
            "octets_per_s": octets / READERS / seconds,
            "mean_ms": mean(seen.ages) * 1000 if seen.ages else None,
            "p99_ms": percentile(seen.ages, 99) * 1000 if seen.ages else None}


def goes(lab, routes, cls, path, burst, per_s, seconds):
    """{figure: Spread} of some goes."""
    found = []
    for _ in range(lab.pick(1, 3)):
        with lab.penstock(routes) as p:
            found.append(asyncio.run(follow(p, cls, path, burst, per_s,
                                            seconds)))
    return {k: Spread([f[k] for f in found]) for k in found[0]}


def batching(lab, bursts, seconds):
    found = {}
    for burst in bursts:
        lab.step(f"bursts of {burst}")
        for kind in NAMES:
            if kind == "longpoll" and burst < 8:
                continue  # its client could not follow
            found[kind, burst] = goes(lab, [route()], KINDS[kind], "/n/a",
                                      burst, PER_S, seconds)
    return found


def merging(lab, rates, seconds):
    found = {}
    for rate in rates:
        lab.step(f"merged to {rate or 'none'}")
        routes = [route()] if rate is None else [
            route("/m/{c}", channel="n/{c}", max_rate=f"{rate}/s")]
        path = "/n/a" if rate is None else "/m/a"
        found[rate] = goes(lab, routes, SseReader, path, 1, 100, seconds)
    return found


def run(lab):
    bursts = lab.pick([1, 8, 64], [1, 4, 16, 64], [1, 64])
    rates = lab.pick([None, 10, 1], [None, 20, 5, 1], [None, 10])
    batched = batching(lab, bursts, lab.pick(0.8, 1, 0.3))
    merged = merging(lab, rates, lab.pick(2.2, 2.5, 0.5))
    ticks = [(str(b), b) for b in bursts]
    lab.figure(plot.lines(
        lab.svg("merging-batches"), "Processor's time for each delivery, by "
        "how many messages come at once",
        [plot.Series(NAMES[k], [(b, f["cpu_us"].median, f["cpu_us"].low,
                                 f["cpu_us"].high)
                                for (kind, b), f in batched.items()
                                if kind == k], k) for k in NAMES],
        plot.Axis("messages in a burst", log=True, ticks=ticks),
        plot.Axis("µs for each delivery (log)", log=True)),
        "Every message is delivered; only the number of writes changes.",
        f"Over SSE a delivery costs {price(batched, bursts[0]):.2f} µs one at a "
        f"time and {price(batched, bursts[-1]):.2f} with {bursts[-1]} at once.")
    lab.table("merging-batches", ["messages at once", "read by",
                                  "CPU µs each", "octets each",
                                  "mean age, ms", "p99, ms"],
              [[b, NAMES[k], f["cpu_us"], f["octets"], f["mean_ms"],
                f["p99_ms"]] for (k, b), f in batched.items()])
    lab.table("merging-rates", ["max_rate", "delivered/s", "octets/s",
                                "CPU µs/s", "mean age, ms", "p99, ms"],
              [["none" if r is None else f"{r}/s", f["delivered"],
                f["octets_per_s"], f["cpu_us_per_s"], f["mean_ms"],
                f["p99_ms"]] for r, f in merged.items()],
              "For one reader over SSE, 100 messages a second published; ages "
              "are those of the messages that were sent.")
    say(lab, batched, merged, bursts, rates)


def price(batched, burst):
    return batched["sse", burst]["cpu_us"].median


def say(lab, batched, merged, bursts, rates):
    one, many = (price(batched, b) for b in (bursts[0], bursts[-1]))
    lab.says(
        f"Messages that come {bursts[-1]} at once cost {many:.2f} µs each over "
        f"SSE, one at a time {one:.2f}: {one / many:.0f} times as much. That is "
        "more than any change of transport: over WebSocket it is "
        f"{batched['websocket', bursts[-1]]['cpu_us'].median:.2f} and "
        f"{batched['websocket', bursts[0]]['cpu_us'].median:.2f}.")
    slowest = merged[rates[-1]]
    lab.says(
        f"Merging 100 messages a second to {rates[-1]} takes "
        f"{slowest['octets_per_s'].median / merged[None]['octets_per_s'].median * 100:.1f}"
        " % of the octets, "
        f"{slowest['cpu_us_per_s'].median / merged[None]['cpu_us_per_s'].median * 100:.0f}"
        " % of the processor's time, and what is sent is still only "
        f"{slowest['mean_ms'].median:.1f} ms old.")
