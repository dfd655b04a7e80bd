"""Octets for five updates, after A. Abril (2017)."""

import asyncio

from lib import plot
from lib.payload import Payloads
from lib.readers import BROWSER, KINDS, Publisher, until

TITLE = "Five updates"
QUESTION = ("Five updates at one a second, one browser: how many octets does each "
            "transport take? (A. Abril published this in 2017, for node and "
            "Chrome over HTTP/1.1.)")
METHOD = ("A client of each transport with a browser's header fields reads five "
          "messages of 64 octets, a second apart; the short poll asks every "
          "250 ms. All octets of TCP payload from the first request on are "
          "counted at the client, handshakes included. The published ones are from "
          "the HAR files beside his article, HTTP/1.1, less the page itself and "
          "its favicon, which are in his sums (3767 + 7439, 2066 + 3127, 1229 + "
          "1449 octets): a date of 39 octets each time, TLS not counted.")
SECONDS = (5, 5)
NAMES = {"poll": "short poll, 250 ms", "longpoll": "long poll", "sse": "SSE",
         "websocket": "WebSocket"}
# (answers, requests, how many) without the page and its favicon.
PUBLISHED = {"poll": (2370, 6450, 15), "longpoll": (790, 2140, 5),
             "sse": (452, 450, 1)}


async def follow(p, kind, gap_s):
    """(octets to the client, from it, requests)"""
    pub = await Publisher(p.admin_port, f"n/{kind}", Payloads(64)).connect()
    pub.publish()
    await until(lambda: (p.channel(f"n/{kind}") or {}).get("messages", 0) > 0)
    more = {"every": gap_s / 4, "phase": 0} if kind == "poll" else {}
    r = KINDS[kind](p.port, f"/n/{kind}", BROWSER, **more)
    await r.connect()
    await pub.run(gap_s, 5 * gap_s)
    await until(lambda: r.messages and r.messages[-1][0] >= 5)
    result = r.received, r.sent, r.requests
    assert len({n for n, _ in r.messages if n > 0}) == 5, r.messages
    r.close()
    pub.close()
    return result


def run(lab):
    async def all_of_them(p):
        gap_s = lab.pick(1, 1, 0.2)
        return dict(zip(NAMES, await asyncio.gather(*(
            follow(p, k, gap_s) for k in NAMES))))

    with lab.penstock() as p:
        found = asyncio.run(all_of_them(p))
    lab.numbers["updates"] = found
    base, theirs = sum(found["sse"][:2]), sum(PUBLISHED["sse"][:2])
    rows, bars = [], []
    for kind, name in NAMES.items():
        down, up, requests = found[kind]
        was = PUBLISHED.get(kind)
        rows.append([name, down, up, requests,
                     f"{(down + up) / base:.2f}", *(was or 3 * [None]),
                     was and f"{sum(was[:2]) / theirs:.2f}"])
        bars.append((f"{name}, here", kind, down + up, down + up, down + up,
                     f"{down} to the client + {up} from it"))
        if was:
            bars.append((f"{name}, 2017", "other", *3 * [sum(was[:2])],
                         f"{was[0]} + {was[1]}"))
        bars.append(None)
    lab.figure(plot.bars(
        lab.svg("updates"), "Octets for five updates, one a second", bars[:-1],
        plot.Axis("octets both ways", low=0,
                  high=1.4 * max(b[2] for b in bars if b))),
        "Grey: what was published. The order and the distances are what can be "
        "compared, not the octets: they are other messages and other header "
        "fields.",
        f"A short poll takes {sum(found['poll'][:2]) / base:.1f} times the octets "
        f"of SSE (2017: {sum(PUBLISHED['poll'][:2]) / theirs:.1f}), a long poll "
        f"{sum(found['longpoll'][:2]) / base:.1f} (2017: "
        f"{sum(PUBLISHED['longpoll'][:2]) / theirs:.1f}).")
    lab.table("updates", ["read by", "to the client", "from it", "requests",
                          "of SSE's", "2017: to the client", "from it",
                          "requests", "of SSE's"], rows)
    lab.says(
        "The order is the published one: " + " > ".join(
            NAMES[k] for k in sorted(found, key=lambda k: -sum(
                found[k][:2]))) + ".")
