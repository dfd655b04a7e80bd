"""Do penstock's own counts of octets agree with a capture?"""

import asyncio

import capture as tcpdump
from lib.lab import Missing, route
from lib.payload import Payloads
from lib.readers import BROWSER, KINDS, PollReader, Publisher, until

TITLE = "Penstock's counts against a capture"
QUESTION = ("Are the octets that penstock counts for each transport "
            "(`measured` in `/routes`) those that went over the wire?")
METHOD = ("For each transport, eight clients with a browser's header fields "
          "read messages of 300 octets for some seconds, with heartbeats every "
          "200 ms, empty answers, and connections that end; `tcpdump` on "
          "loopback writes down every segment meanwhile, and the octets of TCP "
          "payload are added up from its file, each once. They have to agree "
          "within 0.5 %; the clients' own count is given as well.")
SECONDS = (9, 20)
NAMES = {"websocket": "WebSocket", "sse": "SSE", "longpoll": "long poll",
         "poll": "poll"}
MOST = 0.005


async def read(p, kind, seconds):
    """Octets to the clients and from them, by the clients' count."""
    pub = await Publisher(p.admin_port, "n/a", Payloads(300)).connect()
    pub.publish()
    await until(lambda: p.channel("n/a")["messages"] > 0)
    more = {"every": 0.1} if kind == "poll" else {}
    readers = [KINDS[kind](p.port, "/n/a", BROWSER, **more) for _ in range(8)]
    for r in readers:
        r.wait = 1
    await asyncio.gather(*(r.connect() for r in readers))
    await pub.run(0.25, seconds)
    await asyncio.sleep(0.3)
    for r in readers:
        if isinstance(r, PollReader):
            r.timer.cancel()
    await asyncio.sleep(0.1)
    pub.close()
    for r in readers:
        r.close()
    return (sum(r.received for r in readers), sum(r.sent for r in readers))


def compare(p, kind, seconds):
    """Octets to the clients and from them: penstock's count; the capture; the
    clients' count."""
    with tcpdump.Capture(p.port) as seen:
        own = asyncio.run(read(p, kind, seconds))
    m = p.measured("/n/{c}", kind)
    return (m["bytes_out"], m["bytes_in"]), seen, own


def run(lab):
    why = tcpdump.why_not()
    if why:
        raise Missing(why)
    rows, worst = [], 0
    for kind in NAMES:
        lab.step(NAMES[kind])
        with lab.penstock([route(heartbeat="200ms", wait="1s")]) as p:
            told, seen, own = compare(p, kind, lab.pick(1.5, 4, 0.6))
        for way, s, t, o in (
                ("to the client", seen.from_server, told[0], own[0]),
                ("from it", seen.to_server, told[1], own[1])):
            off = (t - s) / s
            worst = max(worst, abs(off))
            rows.append([NAMES[kind], way, s, t, f"{off * 100:+.3f} %", o])
    lab.table("capture", ["transport", "way", "tcpdump", "penstock",
                          "difference", "the clients' own count"], rows,
              "Octets of TCP payload.")
    lab.numbers["capture"] = worst
    lab.says(f"The largest difference is {worst * 100:.3f} %: "
             f"{'within' if worst <= MOST else 'NOT within'} 0.5 %.")
