"""Update frequency: what each transport costs, and where the curves cross."""

import asyncio
import math
import time

from lib import machine, plot
from lib.lab import route
from lib.numbers import mean, percentile
from lib.payload import Payloads
from lib.readers import (BROWSER, KINDS, LongPollReader, PollReader, Publisher,
                         SseReader, until)

TITLE = "Update frequency: which transport is cheapest where"
QUESTION = ("From one message an hour to a thousand a second: what does each "
            "transport cost in octets, requests and processor, how old is what "
            "clients have, and where do the curves cross?")
METHOD = ("Measured from 1 message a second to 1,000, with twenty readers of one "
          "kind at a time (ten above 100 a second; two of long poll from there "
          "on, which the client could not follow otherwise), messages of 300 octets, a browser's "
          "header fields, nothing between client and server. **Below one a "
          "second the curves are calculated, not measured**: from the octets "
          "and the processor's time that one delivery, one empty poll, one "
          "wait that ended, and one heartbeat were measured to cost here, with "
          "messages at random. `every message` and `latest value` are kept "
          "apart: a poll sees at most one message each time, so it has to be "
          "compared with a stream that is merged to the same frequency "
          "(`max_rate`). The processor's time is penstock's less that of "
          "taking in the messages without readers.")
SECONDS = (36, 153)

DAY = 86400
NAMES = {"websocket": "WebSocket", "sse": "SSE", "longpoll": "long poll",
         "merged": "SSE, merged to 1/s", "poll1": "poll every 1 s",
         "poll10": "poll every 10 s", "poll60": "poll every 60 s"}
COLOUR = {"merged": "other", "poll1": "poll", "poll10": "poll",
          "poll60": "poll"}
HEARTBEAT_S, WAIT_S, PAYLOAD = 15, 30, 300


# --- one measurement ---------------------------------------------------------

def readers_of(p, kind, count):
    if kind == "poll1":
        return [PollReader(p.port, "/n/a", BROWSER, every=1.0,
                           phase=(i + 0.5) / count) for i in range(count)]
    path = "/m/a" if kind == "merged" else "/n/a"
    cls = SseReader if kind == "merged" else KINDS.get(kind)
    return [cls(p.port, path, BROWSER) for _ in range(count)]


async def measure(p, kind, per_s, seconds):
    """What one reader costs a second."""
    pub = await Publisher(p.admin_port, "n/a", Payloads(PAYLOAD)).connect()
    pub.publish()
    await until(lambda: p.channel("n/a")["messages"] > 0)
    count = 0 if kind is None else \
        2 if kind == "longpoll" and per_s >= 100 else \
        20 if per_s <= 100 else 10
    readers = readers_of(p, kind, count)
    await asyncio.gather(*(r.connect() for r in readers))
    await asyncio.sleep(0.05)
    before = [(r.received, r.sent, r.requests) for r in readers]
    cpu, begun = machine.cpu_s(p.pid), time.monotonic()
    await pub.run(1 / per_s, seconds, batch=1)
    took = time.monotonic() - begun
    cpu = machine.cpu_s(p.pid) - cpu
    ages = [a for r in readers for n, a in r.messages if n > 0]
    share = max(count, 1) * took
    result = {
        "octets": sum(r.received + r.sent - b[0] - b[1]
                      for r, b in zip(readers, before)) / share,
        "requests": sum(r.requests - b[2]
                        for r, b in zip(readers, before)) / share,
        "had": len(ages) / share, "cpu_s": cpu / took, "count": count,
        "mean_ms": mean(ages) * 1000 if ages else None,
        "p99_ms": percentile(ages, 99) * 1000 if ages else None}
    for r in readers:
        r.close()
    pub.close()
    return result


def at_rate(lab, kind, per_s, seconds):
    with lab.penstock([route(), route("/m/{c}", channel="n/{c}",
                                      max_rate="1/s")]) as p:
        return asyncio.run(measure(p, kind, per_s, seconds))


# --- what single things cost -------------------------------------------------

async def beats(p, kind, seconds):
    """(octets, processor's time) of one heartbeat."""
    readers = [KINDS[kind](p.port, "/h/a", BROWSER) for _ in range(20)]
    await asyncio.gather(*(r.connect() for r in readers))
    await asyncio.sleep(0.05)
    before = sum(r.received + r.sent for r in readers)
    cpu = machine.cpu_s(p.pid)
    await asyncio.sleep(seconds)
    beats = 20 * seconds / 0.05
    result = ((sum(r.received + r.sent for r in readers) - before) / beats,
              (machine.cpu_s(p.pid) - cpu) / beats)
    for r in readers:
        r.close()
    return result


async def polls(p, kind, count):
    """(octets, processor's time) of one answer without news."""
    reader = PollReader(p.port, "/h/a", BROWSER) if kind == "poll" else None
    if kind == "poll":
        pub = await Publisher(p.admin_port, "h/a", Payloads(PAYLOAD)).connect()
        pub.publish()
        await until(lambda: p.channel("h/a")["messages"] > 0)
        await reader.connect()
        await reader.poll()
        before, cpu = reader.received + reader.sent, machine.cpu_s(p.pid)
        for _ in range(count):
            await reader.poll()
            await asyncio.sleep(0.003)  # as cold as a poll is
        pub.close()
    else:
        class Short(LongPollReader):
            wait = 0
        reader = Short(p.port, "/h/a", BROWSER)
        await reader.connect()
        before, cpu = reader.received + reader.sent, machine.cpu_s(p.pid)
        done = len(reader.statuses)
        await until(lambda: len(reader.statuses) - done >= count, 20)
        count = len(reader.statuses) - done
    result = ((reader.received + reader.sent - before) / count,
              (machine.cpu_s(p.pid) - cpu) / count)
    reader.close()
    return result


def prices(lab):
    """{name: (octets, seconds of processor)} of single things."""
    with lab.penstock([route("/h/{c}", heartbeat="50ms")]) as p:
        seconds = lab.pick(1, 3, 0.2)
        found = {k: asyncio.run(beats(p, k, seconds))
                 for k in ("sse", "websocket")}
    with lab.penstock([route("/h/{c}")]) as p:
        found["poll"] = asyncio.run(polls(p, "poll", lab.pick(300, 2000, 20)))
    with lab.penstock([route("/h/{c}")]) as p:
        found["longpoll"] = asyncio.run(polls(p, "lp", lab.pick(300, 2000, 20)))
    return found


# --- the curves --------------------------------------------------------------

class Model:
    """Costs a second of one reader, at per_s messages a second at random."""

    def __init__(self, empty, measured, rates):
        self.empty = empty
        self.each = {}  # of one delivery, by frequency: octets, seconds
        for kind in ("websocket", "sse", "longpoll", "poll1"):
            rows = [(r, measured[kind, r]) for r in rates]
            self.each[kind] = [(r, m["octets"] / m["had"],
                                m["cpu_s"] / m["had"]) for r, m in rows]

    def price(self, kind, per_s, i):
        """Octets of one delivery do not depend on how frequent they are, the
        processor's time does: on a straight line in logarithms between those
        measured."""
        rows = self.each[kind]
        if i == 0 or kind == "poll1" or per_s <= rows[0][0]:
            return rows[0][1 + i]
        for (r0, _, c0), (r1, _, c1) in zip(rows, rows[1:]):
            if per_s <= r1:
                part = math.log(per_s / r0) / math.log(r1 / r0)
                return c0 * (c1 / c0) ** part
        return rows[-1][2]

    def costs(self, kind, per_s, i, round_trip_s=0):
        """i is 0 for octets, 1 for seconds of processor."""
        if kind in ("websocket", "sse", "merged"):
            sent = per_s
            if kind == "merged":
                kind, sent = "sse", per_s / (1 + per_s)
            return sent * self.price(kind, sent, i) + self.empty[kind][i] / HEARTBEAT_S
        if kind == "longpoll":
            some = 1 - math.exp(-per_s * WAIT_S)
            cycle = some / per_s + round_trip_s
            extra = per_s * round_trip_s  # came meanwhile, in the same answer
            answer = self.price(kind, per_s, i) + (extra * PAYLOAD if i == 0 else 0)
            return (some * answer + (1 - some) * self.empty[kind][i]) / cycle
        every = float(kind.removeprefix("poll"))
        news = 1 - math.exp(-per_s * every)
        return (news * self.price("poll1", per_s, i)
                + (1 - news) * self.empty["poll"][i]) / every


def run(lab):
    rates = lab.pick([1, 10, 100], [1, 3, 10, 30, 100, 1000], [10, 100])
    kinds = ["websocket", "sse", "merged", "longpoll", "poll1"]
    seconds = lab.pick(1.2, 3, 0.2)
    at_least = lab.pick(2.2, 5, 0.2)
    lab.step("heartbeats and empty answers")
    empty = prices(lab)
    measured = {}
    for per_s in rates:
        lab.step(f"{per_s} messages a second")
        bare = at_rate(lab, None, per_s, seconds)
        for kind in kinds:
            m = at_rate(lab, kind, per_s, max(seconds, at_least if kind in (
                "poll1", "merged") or per_s < 3 else 0))
            m["cpu_s"] = max(1e-9, m["cpu_s"] - bare["cpu_s"]) / m["count"]
            measured[kind, per_s] = m
    model = Model(empty, measured, rates)
    lab.numbers["sweep"] = model, measured, rates
    draw(lab, model, measured, rates, kinds)


SPOTS = [("1/h", 1 / 3600), ("6/h", 6 / 3600), ("1/min", 1 / 60),
         ("6/min", 0.1), ("1/s", 1), ("10/s", 10), ("100/s", 100),
         ("1000/s", 1000)]


def curve(model, kind, i, **options):
    steps = 60
    low, high = 1 / 3600, 1000
    at = [low * (high / low) ** (k / steps) for k in range(steps + 1)]
    return [(x, model.costs(kind, x, i, **options) * (1, 1e6)[i]) for x in at]


def chart(lab, model, measured, rates, i, name, title, axis):
    series = []
    for kind, label in NAMES.items():
        colour = COLOUR.get(kind, kind)
        line = curve(model, kind, i)
        if kind == "longpoll":  # from where the round trip of loopback counts
            line = [p for p in line if p[0] <= 100]
        series.append(plot.Series(
            label, line, colour, marks=False,
            at=(-1, -10, 0.5) if kind == "longpoll" else None,
            dash={"poll10": 2, "poll60": 3, "merged": 2}.get(kind, 1)))
    series.append(plot.Series(
        "long poll, 100 ms away", curve(model, "longpoll", i, round_trip_s=0.1),
        "longpoll", dash=2, marks=False))
    for kind in ("websocket", "sse", "merged", "longpoll", "poll1"):
        what = ("octets", "cpu_s")[i]
        series.append(plot.Series("", [
            (r, measured[kind, r][what] * (1, 1e6)[i]) for r in rates
            if measured[kind, r][what] > 1e-8],
            COLOUR.get(kind, kind), line=False))
    lab.figure(plot.lines(
        lab.svg(name), title, series,
        plot.Axis("messages a second of one channel (log)", log=True, low=1 / 3600,
                  high=1000, ticks=SPOTS), axis, height=520),
        "Points are measured, lines calculated from what single deliveries, "
        "empty answers and heartbeats cost. Long poll's line ends where the "
        "time of its round trip on this machine begins to count.",
        "A stream costs by the message, a poll by the clock: one every second is "
        f"the cheaper one from {as_rate(where(model, 'sse', 'poll1', i))} on, as "
        "it leaves messages out.")


def draw(lab, model, measured, rates, kinds):
    chart(lab, model, measured, rates, 0, "sweep-octets",
          "Octets a second for one reader, both ways",
          plot.Axis("octets/s (log)", log=True))
    chart(lab, model, measured, rates, 1, "sweep-cpu",
          "Processor's time of penstock a second for one reader",
          plot.Axis("µs/s (log)", log=True))
    lab.table("sweep", ["messages a second", "read by", "delivered",
                        "octets/s", "requests/s", "CPU µs/s", "mean age, ms",
                        "p99, ms", "calculated octets/s"],
              [[r, NAMES[k], round(m["had"], 2), round(m["octets"], 1),
                round(m["requests"], 2), round(m["cpu_s"] * 1e6, 2),
                m["mean_ms"] and round(m["mean_ms"], 2),
                m["p99_ms"] and round(m["p99_ms"], 2),
                round(model.costs(k, r, 0), 1)]
               for r in rates for k in kinds for m in [measured[k, r]]],
              "Measured. *delivered* is messages a second that a reader had.",
              show=lambda r: r[0] in (1, 10, 100, 1000))
    lab.table("sweep-calculated", ["messages", *NAMES.values()],
              [[label, *(round(model.costs(k, x, 0), 2) for k in NAMES)]
               for label, x in SPOTS], "Octets a second, calculated.")
    crossings(lab, model)


def where(model, kind, other, i):
    """Messages a second from which other is the cheaper, or None."""
    low, high = 1e-6, 1e4
    cheaper = [model.costs(kind, x, i) < model.costs(other, x, i)
               for x in (low, high)]
    if cheaper[0] == cheaper[1]:
        return None
    for _ in range(60):
        middle = (low * high) ** 0.5
        if (model.costs(kind, middle, i) <
                model.costs(other, middle, i)) == cheaper[0]:
            low = middle
        else:
            high = middle
    return low


def as_rate(x):
    if x is None:
        return "never"
    if x >= 1:
        return f"{x:.2g}/s"
    if x * 60 >= 1:
        return f"{x * 60:.2g}/min"
    return f"{x * 3600:.2g}/h" if x * 3600 >= 1 else f"{x * DAY:.2g}/day"


def crossings(lab, model):
    rows = []
    for kind in ("poll1", "poll10", "poll60"):
        rows.append([NAMES[kind], *(as_rate(where(model, o, kind, i))
                                    for i in (0, 1)
                                    for o in ("sse", "websocket", "longpoll"))])
    lab.table("sweep-crossings", ["cheaper from", "octets: than SSE",
                                  "than WebSocket", "than long poll",
                                  "CPU: than SSE", "than WebSocket",
                                  "than long poll"], rows,
              "The frequency above which the poll is the cheaper one, because "
              "it no longer delivers every message.")
    lab.numbers["crossings"] = rows
    lab.says(
        f"At 1/min SSE takes {model.costs('sse', 1 / 60, 0):.1f} octets/s, a "
        f"poll every 60 s {model.costs('poll60', 1 / 60, 0):.1f}, every 10 s "
        f"{model.costs('poll10', 1 / 60, 0):.0f}, long poll "
        f"{model.costs('longpoll', 1 / 60, 0):.0f}. Where a poll is the cheaper "
        "one it is so by leaving messages out: at 100/s a stream merged to one "
        f"a second takes {model.costs('merged', 100, 0):.0f} octets/s, a poll "
        f"every second {model.costs('poll1', 100, 0):.0f}.")
    rule_of_thumb(lab, model)


def rule_of_thumb(lab, model):
    """More than one update a minute: WebSocket; fewer: polling."""
    def dearer(per_s, other):
        return model.costs("websocket", per_s, 0) > model.costs(other, per_s, 0)

    few, many = dearer(1 / 3600, "poll60"), dearer(1, "poll1")
    verdict = "holds" if few and not many else "does not hold"
    lab.says(
        "The rule of thumb \"more than one update a minute: WebSocket; fewer: "
        f"polling\" {verdict} in octets: at one an hour a poll every minute "
        f"takes {model.costs('poll60', 1 / 3600, 0):.1f} octets/s and a WebSocket "
        f"{model.costs('websocket', 1 / 3600, 0):.2f}; at one a second a poll "
        f"every second {model.costs('poll1', 1, 0):.0f} and a WebSocket "
        f"{model.costs('websocket', 1, 0):.0f}. What speaks for polls at low "
        "frequencies is what is not counted here: they hold no connection, and "
        "caches can answer them.")
