"""What a connection costs that waits."""

import asyncio

from lib import machine, plot
from lib.lab import route
from lib.numbers import Spread
from lib.readers import BARE, KINDS, LongPollReader

TITLE = "Connections that wait"
QUESTION = ("What does a reader cost who gets nothing: memory of penstock, "
            "memory of the kernel, and the processor's time of heartbeats, at "
            "1,000, 5,000 and 18,000 connections?")
METHOD = ("A penstock of one worker for each row; memory is its proportional "
          "set size (PSS) with the readers less that before them, divided by "
          "their number. The kernel's is the growth of the whole machine's "
          "slab, so it holds both ends of each connection and whatever else "
          "the machine did; take it as an upper bound. Heartbeats are every "
          "2 s here and given as for the usual 15 s; long polls wait, and "
          "plain polls are connections kept alive between two requests.")
SECONDS = (15, 80)
NAMES = {"websocket": "WebSocket", "sse": "SSE", "longpoll": "long poll",
         "poll": "poll, kept alive"}
BEAT_S, USUAL_S = 2, 15


class Parked(LongPollReader):
    wait = 3600


async def park(p, kind, count, beats):
    pss, slab = machine.pss_bytes(p.pid), machine.slab_bytes()
    cls = Parked if kind == "longpoll" else KINDS[kind]
    readers = [cls(p.port, "/n/a", BARE) for _ in range(count)]
    gate = asyncio.Semaphore(200)

    async def come(r):
        async with gate:
            await r.connect()
            if kind == "poll":
                await r.poll()
    await asyncio.gather(*map(come, readers))
    await asyncio.sleep(0.5)
    cpu = 0
    if kind in ("websocket", "sse"):
        begun = machine.cpu_s(p.pid)
        await asyncio.sleep(beats * BEAT_S)
        cpu = (machine.cpu_s(p.pid) - begun) / beats / count
    result = {"pss": (machine.pss_bytes(p.pid) - pss) / count,
              "slab": (machine.slab_bytes() - slab) / count,
              "beat_us": cpu * 1e6, "lost": sum(r.lost for r in readers)}
    for r in readers:
        r.close()
    return result


def run(lab):
    most = machine.descriptors() - 1500
    counts = [min(n, most) for n in lab.pick((1000, 5000), (1000, 5000, 18000),
                                           (20,))]
    found = {}
    for count in counts:
        for kind in NAMES:
            for _ in range(lab.pick(1, 2) if count < 10000 else 1):
                lab.step(f"{count} by {NAMES[kind]}")
                with lab.penstock([route(heartbeat=f"{BEAT_S}s", wait="1h")],
                                  limits={"idle_timeout": "1h"}) as p:
                    found.setdefault((count, kind), []).append(asyncio.run(
                        park(p, kind, count, lab.pick(1, 2, 0.25))))
    report(lab, found, counts)


def report(lab, found, counts):
    def spread(count, kind, what):
        return Spread([f[what] for f in found[count, kind]])

    rows = []
    for count in counts:
        for kind in NAMES:
            pss = spread(count, kind, "pss")
            rows.append((f"{count} by {NAMES[kind]}", kind, pss.median, pss.low,
                         pss.high, f"{pss.median:.0f} octets"))
        rows.append(None)
    lab.figure(plot.bars(
        lab.svg("idle"), "Memory of penstock for each connection that waits",
        rows[:-1], plot.Axis("octets for each (PSS)", low=0)),
        "The kernel's own memory for a socket is in the table.",
        f"Of {counts[-1]} that wait, each takes " + ", ".join(
            f"{spread(counts[-1], k, 'pss').median:.0f} octets by {name}"
            for k, name in NAMES.items()) + ".")
    lab.table("idle", ["connections", "read by", "penstock, octets each",
                       "kernel, octets each (both ends)",
                       "one heartbeat, CPU µs", "heartbeats of all, % of a core",
                       "lost"],
              [[n, NAMES[k], spread(n, k, "pss"), spread(n, k, "slab"),
                spread(n, k, "beat_us") if k in ("websocket", "sse") else None,
                spread(n, k, "beat_us").median * n / USUAL_S / 1e4
                if k in ("websocket", "sse") else None,
                sum(f["lost"] for f in found[n, k])]
               for n in counts for k in NAMES])
    most = counts[-1]
    lab.says(
        f"At {most} connections a WebSocket reader takes "
        f"{spread(most, 'websocket', 'pss').median:.0f} octets of penstock's "
        f"memory, an SSE reader {spread(most, 'sse', 'pss').median:.0f}, a long "
        f"poll that waits {spread(most, 'longpoll', 'pss').median:.0f}; the two "
        "sockets in the kernel take "
        f"{spread(most, 'sse', 'slab').median / spread(most, 'sse', 'pss').median:.0f}"
        " times as much. The heartbeats of all WebSocket readers, every 15 s, "
        "are "
        f"{spread(most, 'websocket', 'beat_us').median * most / USUAL_S / 1e4:.2f}"
        " % of a core.")
