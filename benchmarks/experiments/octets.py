"""Octets for each message, by transport, size and compression."""

import asyncio

from lib import plot
from lib.lab import route
from lib.payload import SIZES, Payloads
from lib.readers import (BARE, BROWSER, KINDS, EnvelopeReader, Publisher,
                         until)

TITLE = "Octets for each message"
QUESTION = ("How much goes over the wire, both ways, for one message that a "
            "client gets, by transport, size and compression?")
METHOD = ("One client for each transport; messages of JSON come one at a time, "
          "and every octet of TCP payload is counted at the client's socket. "
          "Polls ask once for each message, with `If-None-Match`: they could "
          "not do better. The browser's requests carry the header fields of a "
          "Chromium (about 520 octets in all), the program's only what is "
          "needed. Handshakes are counted apart. HTTP/1.1, no TLS (which adds "
          "22 octets to each record), no TCP and IP headers.")
SECONDS = (5, 18)

NAMES = {"websocket": "WebSocket", "sse": "SSE", "longpoll": "long poll",
         "poll": "poll", "envelope": "WebSocket, penstock.v1"}
CLASSES = {**KINDS, "envelope": EnvelopeReader}


async def one(p, channel, kind, size, headers, compress, count):
    """(octets to the client, from it, of the handshake both ways, of one
    empty answer with its request) for each of count messages."""
    reader = CLASSES[kind](p.port, f"/{'z' if compress else 'n'}/{channel}",
                           headers, compress=compress)
    pub = await Publisher(p.admin_port, f"n/{channel}",
                          Payloads(size)).connect()
    pub.publish()  # so that the first poll has something, too
    await until(lambda: p.channel(f"n/{channel}")["messages"] > 0)
    await reader.connect()
    empty = None
    if kind == "poll":
        await reader.poll()
        reader.handshake = reader.received, reader.sent
        await reader.poll()
        assert reader.statuses[-1] == 304, reader.statuses
        empty = reader.received + reader.sent - sum(reader.handshake)
    before = reader.received, reader.sent
    for _ in range(count):
        received = reader.received
        pub.publish()
        while kind == "poll" and (reader.statuses[-1] != 200 or
                                  reader.received == received):
            before_poll = reader.received, reader.sent
            await reader.poll()
            if reader.statuses[-1] != 200:  # it was not there yet: not counted
                before = tuple(b + now - then for b, now, then in zip(
                    before, (reader.received, reader.sent), before_poll))
        await until(lambda: reader.received > received)
        await asyncio.sleep(0.003)  # and the request that follows a long poll
    result = ((reader.received - before[0]) / count,
              (reader.sent - before[1]) / count, sum(reader.handshake), empty)
    if not compress:
        assert len({n for n, _ in reader.messages}) >= count
    reader.close()
    pub.close()
    return result


def measure(lab):
    rows, count = [], lab.pick(10, 40, 1)
    with lab.penstock([route(channel="n/{c}"),
                       route("/z/{c}", channel="n/{c}", compress=True)]) as p:
        for label, size in SIZES.items():
            for who, headers in (("browser", BROWSER), ("program", BARE)):
                for kind in CLASSES:
                    for compress in (False, True):
                        lab.step(f"{label}, {NAMES[kind]}")
                        path = f"{kind}-{size}-{who}-{compress}"
                        result = asyncio.run(one(
                            p, path, kind, size, headers, compress, count))
                        rows.append([label, size, who, kind, compress,
                                     *result])
    return rows


def times(bars, name, size):
    return f"{next(b[2] for b in bars if b[0] == name) / size:.2f}"


def draw(lab, rows):
    for label in SIZES:
        both = []
        for kind, name in NAMES.items():
            for compress in (False, True):
                r = next(r for r in rows if r[0] == label and r[3] == kind
                         and r[2] == "browser" and r[4] == compress)
                total = r[5] + r[6]
                both.append((f"{name}{', compressed' if compress else ''}",
                             "other" if kind == "envelope" else kind, total,
                             total, total, f"{r[5]:.0f} to the client + "
                                           f"{r[6]:.0f} from it"))
        size = SIZES[label]
        lab.figure(plot.bars(
            lab.svg(f"octets-{size}"), f"Octets for each message of {label}, "
            "a browser's requests", both,
            plot.Axis("octets of TCP payload, both ways (the broken line is "
                      "the message itself)", low=0,
                      high=max(r[2] for r in both) * 1.35), reference=size),
            f"Messages of {label}. The broken line is the message itself.",
            f"An octet of a message of {label} takes " + ", ".join(
                f"{times(both, NAMES[k], size)} by {NAMES[k]}"
                for k in ("websocket", "sse", "poll", "longpoll"))
            + " on the wire.")


def say(lab, of):
    def total(size, who, kind, compress=False):
        r = of[size, who, kind, compress]
        return r[0] + r[1]

    lab.says(
        f"A message of 64 octets costs {total(64, 'browser', 'websocket'):.0f} "
        f"octets by WebSocket, {total(64, 'browser', 'sse'):.0f} by SSE, "
        f"{total(64, 'browser', 'poll'):.0f} by a poll that finds it and "
        f"{total(64, 'browser', 'longpoll'):.0f} by long poll; of 5.2 kB "
        f"{total(5200, 'browser', 'websocket'):.0f}, "
        f"{total(5200, 'browser', 'sse'):.0f}, "
        f"{total(5200, 'browser', 'poll'):.0f} and "
        f"{total(5200, 'browser', 'longpoll'):.0f}: the larger the messages, "
        "the less the transport matters.")
    lab.says(
        f"A poll that finds nothing costs {of[64, 'browser', 'poll', False][3]}"
        f" octets from a browser and {of[64, 'program', 'poll', False][3]} from "
        "a program that sends only what is needed: half of a poll's price is "
        "the client's own header fields.")
    lab.says(
        "Compression takes 5.2 kB of JSON to "
        f"{of[5200, 'browser', 'websocket', True][0]:.0f} octets and saves more "
        "than any change of transport can; of messages of 64 octets it saves "
        "nothing by WebSocket, and costs a poll "
        f"{total(64, 'browser', 'poll', True) - total(64, 'browser', 'poll'):+.0f}"
        " octets.")


def run(lab):
    rows = measure(lab)
    of = lab.numbers["octets"] = {(r[1], r[2], r[3], r[4]): r[5:]
                                  for r in rows}
    draw(lab, rows)
    lab.table(
        "octets", ["transport", "message", "client", "compressed",
                   "to the client", "from it", "handshake", "empty answer"],
        [[NAMES[r[3]], r[0], r[2], "yes" if r[4] else "no", round(r[5], 1),
          round(r[6], 1), r[7], r[8]] for r in rows],
        "Octets for each message; the handshake and an empty answer with "
        "their requests.",
        show=lambda r: r[2] == "browser" and r[3] == "no")
    say(lab, of)
