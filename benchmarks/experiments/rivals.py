"""The same work by other servers."""

from lib import load, plot, rivals
from lib.lab import Missing
from lib.numbers import Spread

TITLE = "Beside other servers"
QUESTION = ("The same readers, messages and load generator at penstock, Nchan "
            "(nginx), Pushpin and a plain node server with the package `ws`, where "
            "they are installed: what does a delivery cost, how late is it, and "
            "how much can be delivered?")
METHOD = ("`penstock bench` reads and publishes everywhere. First 500 readers and "
          "20 messages a second in an open loop; then 8 messages on their way at "
          "any time, as fast as they go. Messages of 64 octets. All processes "
          "of a server on one CPU (Pushpin has five), the load generator on "
          "the other. The processor's time is of all a server's processes, with "
          "taking in what is published; memory is what it grew by for each "
          "reader. A long poll at Pushpin has no cursor, and is left out.")
SECONDS = (31, 134)
TRANSPORTS = {"websocket": "WebSocket", "sse": "SSE", "longpoll": "long poll"}
COLOURS = {"penstock": "#0072b2", "Nchan": "#d98200", "Pushpin": "#8e44ad",
           "node, ws": "#5d6d7e"}


def once(lab, make, transport, readers):
    with make(lab) as s:
        url, more = s.reading(transport)
        common = {"settle": lab.pick("300ms", "500ms", "50ms"), "grace": "1s", "opening": 16,
                  **s.publishing, **more}
        calm = load.bench(url, transport, readers, s.publish_at, s.pid,
                          rate=20, duration=f"{lab.pick(1, 2.5, 0.3)}s",
                          **common)
        full = load.bench(url, transport, readers, s.publish_at, s.pid,
                          window=8, duration=f"{lab.pick(0.8, 2, 0.3)}s",
                          **common)
    age = calm["deliveries"]["age_ms"]
    return {"cpu_us": calm["cost"]["server_cpu_us_per_delivery"],
            "p50": age["p50"], "p99": age["p99"],
            "octets": calm["traffic"]["bytes_in_per_message"]
            + calm["traffic"]["bytes_out_per_message"],
            "memory": calm["cost"]["server_memory_bytes_per_reader"],
            "per_s": full["deliveries"]["per_s"],
            "full_us": full["cost"]["server_cpu_us_per_delivery"],
            "faults": calm["faults"] + full["faults"]}


def run(lab):
    load.program()
    found, absent, failed = {}, [], []
    readers = lab.pick(200, 500, 10)
    for name, make in rivals.ALL.items():
        for transport in lab.pick(TRANSPORTS, TRANSPORTS, ["sse"]):
            if (name, transport) in rivals.LACKS:
                continue
            try:
                for _ in range(lab.pick(1, 2, 1)):
                    lab.step(f"{name}, {TRANSPORTS[transport]}")
                    done = once(lab, make, transport, readers)
                    found.setdefault((name, transport), []).append(done)
            except Missing as e:
                absent.append(str(e))
                break
            except (RuntimeError, TimeoutError) as e:
                failed.append(f"{name}, {TRANSPORTS[transport]}: {e}")
    report(lab, found, absent, readers)
    lab.finding.failed = "; ".join(failed) or None


def ranked(rows, unit):
    """In words what the bars of SSE show."""
    shown = {r[0].split(", ", 1)[1]: r[5] for r in rows
             if r and r[0].startswith("SSE")}
    return "By SSE: " + ", ".join(
        f"{server} {value}" for server, value in shown.items()) + f" ({unit})."


def report(lab, found, absent, readers):
    def spread(key, what):
        return Spread([g[what] for g in found[key]])

    for what, name, title, unit in (
            ("cpu_us", "rivals-cost", "A delivery's price, 20 messages a second",
             "CPU µs of the server for each delivery"),
            ("per_s", "rivals-most", "Deliveries a second, 8 messages on their "
             "way", "thousand deliveries a second")):
        scale = 1000 if what == "per_s" else 1
        rows = []
        for transport, label in TRANSPORTS.items():
            for server in rivals.ALL:
                if (server, transport) in found:
                    s = spread((server, transport), what)
                    v = s.median / scale
                    rows.append((f"{label}, {server}", COLOURS[server], v,
                                 s.low / scale, s.high / scale, f"{v:.1f}"))
            rows.append(None)
        lab.figure(plot.bars(lab.svg(name), title, rows[:-1],
                             plot.Axis(unit, low=0)),
                   f"{readers} readers of one channel.",
                   ranked(rows, unit))
    lab.table("rivals", ["read by", "server", "CPU µs each", "p50, ms",
                         "p99, ms", "octets each", "memory a reader",
                         "most/s", "CPU µs each, then", "faults"],
              [[TRANSPORTS[t], s, *(spread((s, t), w) for w in (
                  "cpu_us", "p50", "p99", "octets", "memory", "per_s",
                  "full_us")),
                "; ".join(sorted({f for g in found[s, t]
                                  for f in g["faults"]})) or "none"]
               for t in TRANSPORTS for s in rivals.ALL if (s, t) in found])
    lab.numbers["rivals"] = found
    if absent:
        lab.says("Not installed here: " + "; ".join(absent) + ".")
    for t, label in TRANSPORTS.items():
        others = [(s, spread((s, t), "cpu_us").median) for s in rivals.ALL
                  if s != "penstock" and (s, t) in found]
        if others:
            mine = spread(("penstock", t), "cpu_us").median
            lab.says(f"{label}: a delivery costs penstock {mine:.1f} µs; " +
                     ", ".join(f"{s} {v:.1f} ({v / mine:.1f} times)"
                               for s, v in others) + ".")
