"""Saturation: what happens when more is published than can be delivered."""

from lib import load, plot

TITLE = "Saturation: more than can be delivered"
QUESTION = ("As the rate rises beyond what one core can deliver, which transport "
            "keeps up longest, and how does each of them give way? (Tangen, "
            "Oslo 2015, found WebSocket and SSE the better ones at moderate load "
            "and long polling the more graceful one at the limit.)")
METHOD = ("500 readers, messages of 300 octets, published in an open loop at "
          "rising rates to one worker on one CPU by `penstock bench`, which has "
          "the other CPU, and is at its own limit at about the same rate: what "
          "is said is of the two together. Ages count from when a message was "
          "due. A reader that falls behind by more than the history (4,096 "
          "messages) is told of the gap.")
SECONDS = (14, 85)
NAMES = {"websocket": "WebSocket", "sse": "SSE", "longpoll": "long poll"}
READERS = 500


def measure(lab, kind, rate, readers, seconds):
    with lab.penstock() as p:
        r = load.of_penstock(p, kind, readers, rate=rate, size=300,
                             duration=f"{seconds}s", settle="300ms",
                             grace="500ms")
    d, cost = r["deliveries"], r["cost"]
    return {"offered": rate * readers, "delivered": d["per_s"],
            "p50": d["age_ms"]["p50"], "p99": d["age_ms"]["p99"],
            "lost": d["lost"] / max(1, d["expected"]),
            "cuts": r["readers"]["cuts"],
            "server": cost["server_cpu_share"],
            "clients": cost["client_cpu_share"],
            "octets": r["traffic"]["bytes_in_per_message"]}


def run(lab):
    rates = lab.pick([100, 400, 1600], [50, 200, 400, 800, 1600, 3200],
                     [20, 40])
    readers = lab.pick(READERS, READERS, 10)
    found = {}
    for rate in rates:
        for kind in NAMES:
            lab.step(f"{rate} a second by {NAMES[kind]}")
            found[kind, rate] = measure(lab, kind, rate, readers,
                                        lab.pick(1, 3, 0.3))
    report(lab, found, rates, readers)


def most(found, rates):
    return ", ".join(
        f"{max(found[k, r]['delivered'] for r in rates) / 1000:.0f} thousand by "
        f"{name}" for k, name in NAMES.items())


def report(lab, found, rates, readers):
    ticks = [(f"{r * readers // 1000 or r * readers}"
              f"{'k' if r * readers >= 1000 else ''}", r * readers)
             for r in rates]

    def axis():
        return plot.Axis("deliveries a second that were asked for (log)",
                         log=True, ticks=ticks)

    def series(what, scale=1):
        return [plot.Series(name, [(r * readers, found[k, r][what] * scale)
                                   for r in rates], k)
                for k, name in NAMES.items()]

    ends = [(r * readers, r * readers / 1000) for r in (rates[0], rates[-1])]
    lab.figure(plot.lines(
        lab.svg("saturation"), "Delivered, by what was asked for",
        [plot.Series("all of it", ends, dash=3, marks=False),
         *series("delivered", 0.001)],
        axis(), plot.Axis("thousand deliveries a second (log)", log=True)),
        "Below the broken line deliveries come later than they are asked for.",
        "The most that comes through: " + most(found, rates) + ".")
    lab.figure(plot.lines(
        lab.svg("saturation-age"), "Age, 99th percentile, by what was asked for",
        series("p99"), axis(), plot.Axis("ms (log)", log=True)),
        "Ages at the limit grow for as long as it lasts; here "
        f"{lab.pick(1, 3)} s.",
        f"At {rates[-1] * readers} a second asked for, 99 % are younger than "
        + ", ".join(f"{found[k, rates[-1]]['p99']:.0f} ms by {name}"
                    for k, name in NAMES.items()) + ".")
    lab.table("saturation", ["asked for/s", "read by", "delivered/s",
                             "p50, ms", "p99, ms", "lost", "cut off",
                             "server CPU, %", "clients' CPU, %",
                             "octets each"],
              [[r * readers, NAMES[k], round(f["delivered"]),
                round(f["p50"], 2), round(f["p99"], 2),
                f"{100 * f['lost']:.2f} %", f["cuts"],
                round(100 * f["server"]), round(100 * f["clients"]),
                round(f["octets"], 1)]
               for r in rates for k in NAMES for f in [found[k, r]]])
    lab.numbers["saturation"] = found
    last = rates[-1]
    lab.says("The most that was delivered in a second: " + most(found, rates)
             + ".")
    lab.says(f"At {last * readers} asked for, " + "; ".join(
        f"{name} delivers {found[k, last]['delivered'] / 1000:.0f} thousand a "
        f"second with a 99th percentile of {found[k, last]['p99']:.0f} ms"
        for k, name in NAMES.items()) +
        ". A reader that is behind gets what it lacks in one write or one "
        "answer, so the cost of a delivery falls as load rises, and long "
        "polling, which joins the most, "
        + ("loses the least by it." if found["longpoll", last]["delivered"]
           >= 0.8 * found["sse", last]["delivered"] else
           "still pays for a request with each batch."))
