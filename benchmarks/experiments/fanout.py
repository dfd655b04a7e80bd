"""Fan-out: how late the last of many readers has a message."""

from lib import load, plot
from lib.numbers import Spread

TITLE = "Fan-out: one message to all"
QUESTION = ("When a message is published, how long until the first, the median "
            "and the last of many readers have it, and what does each delivery "
            "cost the server?")
METHOD = ("`penstock bench` holds the readers and publishes messages of 64 octets "
          "in an open loop: 20 a second to 1,000 readers, 8 to 5,000 and 2 to "
          "18,000, so that the server is far from its limit. Ages are from the "
          "moment at which a message was due to be published to its arrival, so "
          "nothing that waits is left out. One worker on one CPU, the clients "
          "on the other; three goes.")
SECONDS = (19, 120)
NAMES = {"websocket": "WebSocket", "sse": "SSE", "longpoll": "long poll"}
RATES = {18000: 2, 5000: 8}


def measure(lab, kind, count, seconds):
    with lab.penstock() as p:
        r = load.of_penstock(p, kind, count, rate=RATES.get(count, 20),
                             duration=f"{seconds}s", settle="500ms")
    age = r["deliveries"]["age_ms"]
    return {"p50": age["p50"], "p99": age["p99"], "max": age["max"],
            "cpu_us": r["cost"]["server_cpu_us_per_delivery"],
            "lost": r["deliveries"]["lost"]}


def run(lab):
    counts = lab.pick([200, 1000, 5000], [200, 1000, 5000, 18000], [20, 50])
    counts = [load.connections(n) for n in counts]
    found = {}
    for count in counts:
        for kind in NAMES:
            for _ in range(lab.pick(1, 3, 1) if count < 10000 else 1):
                lab.step(f"{count} by {NAMES[kind]}")
                found.setdefault((count, kind), []).append(measure(
                    lab, kind, count, lab.pick(1.5, 3, 0.3)))
    report(lab, found, counts)


def report(lab, found, counts):
    def spread(count, kind, what):
        return Spread([g[what] for g in found[count, kind]])

    series = []
    for kind, name in NAMES.items():
        for what, dash in (("p50", 1), ("p99", 2)):
            points = []
            for n in counts:
                s = spread(n, kind, what)
                points.append((n, s.median, s.low, s.high))
            series.append(plot.Series(
                f"{name}, {'median' if what == 'p50' else '99 %'}", points,
                kind, dash=dash))
    lab.figure(plot.lines(
        lab.svg("fanout"), "Age of a message at its readers, by their number",
        series, plot.Axis("readers (log)", log=True,
                          ticks=[(str(n), n) for n in counts]),
        plot.Axis("ms since it was published (log)", log=True)),
        "Solid: half of the readers have it by then. Broken: 99 % have it.",
        f"Half of {counts[-1]} readers have a message within " + ", ".join(
            f"{spread(counts[-1], k, 'p50').median:.0f} ms by {name}"
            for k, name in NAMES.items()) + "; it takes longer by the reader.")
    lab.table("fanout", ["readers", "read by", "half have it, ms", "99 %, ms",
                         "all, ms", "CPU µs each", "lost"],
              [[n, NAMES[k], *(spread(n, k, w) for w in (
                  "p50", "p99", "max", "cpu_us")),
                sum(g["lost"] for g in found[n, k])]
               for n in counts for k in NAMES])
    lab.numbers["fanout"] = found
    most = counts[-1]
    lab.says(
        f"The last of {most} readers has a message "
        f"{spread(most, 'websocket', 'max').median:.0f} ms after it was published "
        f"over WebSocket, {spread(most, 'sse', 'max').median:.0f} over SSE and "
        f"{spread(most, 'longpoll', 'max').median:.0f} by long poll. Time grows "
        "with the number of readers, as one core writes to them one after the "
        "other: what differs between transports is the cost of one delivery "
        f"({spread(most, 'websocket', 'cpu_us').median:.1f}, "
        f"{spread(most, 'sse', 'cpu_us').median:.1f} and "
        f"{spread(most, 'longpoll', 'cpu_us').median:.1f} µs).")
