"""What single things cost this machine's processor: a delivery, an answer, a
message more in it.  Each is measured alone, one thing varied at a time, and none
by way of the workloads that are predicted with it; `penstock advise --costs`
takes what comes of it."""

import math

from . import load
from .lab import route

# Connections of each measurement; the model's prices are for up to 1000.
READERS = 100
SMALL, LARGE = 300, 16384
RATES = (1, 10, 100)


class Bench:
    """Processor's time of penstock, in us a second and reader."""

    def __init__(self, lab, seconds, header):
        self.lab, self.seconds, self.header = lab, seconds, header
        self.bases = {}

    def share(self, transport, rate, size, readers, settings, options):
        seconds = max(self.seconds, 3 / rate if rate else 0)
        with self.lab.penstock([route(**settings)]) as p:
            p.publish("n/a", "x" * size, type="application/json")
            publish = f"http://127.0.0.1:{p.admin_port}/channels/n/a"
            if rate:
                options = {"rate": f"{rate}/s", "size": size,
                           "type": "application/json", **options}
            r = load.bench(f"http://127.0.0.1:{p.port}/n/a", transport, readers,
                           publish if rate else None, p.pid, header=self.header,
                           duration=f"{round(seconds * 1000)}ms", settle="300ms",
                           grace="300ms", **options)
        return r["cost"]["server_cpu_share"] * 1e6

    def base(self, rate, size):
        """What publishing takes, being there, and one delivery a second."""
        if (rate, size) not in self.bases:
            self.bases[rate, size] = self.share(
                "sse", rate, size, 1, {"max_rate": "60/m"}, {})
        return self.bases[rate, size]

    def each(self, transport, rate, size=SMALL, settings=(), **options):
        if transport == "websocket":
            options["envelope"] = True
        if transport == "longpoll":
            options |= {"cursor": "next", "wait": "20s"}
        if transport == "poll":
            options.setdefault("cursor", "etag")
        all_of_it = self.share(transport, rate, size, READERS, dict(settings),
                               options)
        return max(0, all_of_it - self.base(rate, size)) / READERS


def line(points):
    """(price at 100 a second, what a tenth as many cost more each, in parts of
    it) of {rate: price}: the least squares over the logarithms of rates."""
    hot = points[100]
    steps = {math.log10(100 / rate): price / hot - 1
             for rate, price in points.items()}
    return hot, max(0, sum(x * y for x, y in steps.items()) /
                    sum(x * x for x in steps))


def streams(bench, costs):
    for transport in ("longpoll", "sse", "websocket"):
        bench.lab.step(f"prices: {transport}")
        points = {rate: bench.each(transport, rate) / rate -
                  costs["kib_us"] * SMALL / 1024 for rate in RATES}
        costs["delivery_us"][transport], costs["cold"][transport] = line(points)


def polls(bench, costs):
    """With news each time, and without any.  They come one by one, and the
    fewer there are the longer the processor had nothing to do before."""
    bench.lab.step("prices: poll")
    empty = [bench.each("poll", 0, every=f"{1000 // rate}ms") / rate
             for rate in RATES]
    costs["empty_us"]["poll"] = empty[-1]
    costs["lonely_us"] = [max(0, e - empty[-1]) for e in empty]
    costs["cold"]["poll"] = 0
    # Published more often than polled: each brings the newest.
    news = bench.each("poll", 200, every="10ms") / 100
    costs["delivery_us"]["poll"] = max(
        empty[-1], news - costs["kib_us"] * SMALL / 1024)
    fresh = bench.each("poll", 0, every="20ms", close=True) / 50
    costs["connect_us"] = max(0, fresh - empty[-1] - 0.3 *
                              costs["lonely_us"][1])


def others(bench, costs):
    bench.lab.step("prices: more in one answer, waits that end, merging")
    data = costs["kib_us"] * SMALL / 1024
    newest = bench.each("poll", 1000, every="100ms")
    many = bench.each("poll", 1000, every="100ms", cursor="link")
    costs["message_us"] = max(0, (many - newest) / 10 / 99 - data)
    wait = bench.each("longpoll", 0, settings={"wait": "100ms"}) / 10
    costs["empty_us"]["longpoll"] = wait / (1 + costs["cold"]["longpoll"])
    held = bench.each("sse", 1000, settings={"max_rate": "60/m"})
    one = costs["delivery_us"]["sse"] * (1 + 2 * costs["cold"]["sse"])
    costs["merge_us"] = max(0, (held - one - data) / 999)


def kib(bench):
    bench.lab.step("prices: a KiB")
    return max(0, bench.each("sse", 100, LARGE) -
               bench.each("sse", 100, SMALL)) / 100 / ((LARGE - SMALL) / 1024)


def measure(lab, header, send_us):
    """As `penstock advise --costs` takes it; send_us: {"frame": …, "post": …}."""
    bench = Bench(lab, lab.pick(0.6, 1.2, 0.2), header)
    costs = {name: {} for name in ("delivery_us", "empty_us", "cold", "send_us")}
    costs["kib_us"] = kib(bench)
    for part in (streams, polls, others) if lab.size != "smoke" else ():
        part(bench, costs)
    for transport in ("poll", "longpoll", "sse"):
        costs["send_us"][transport] = send_us["post"]
    costs["send_us"]["websocket"] = send_us["frame"]
    return costs
