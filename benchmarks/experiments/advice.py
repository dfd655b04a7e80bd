"""Is what `penstock advise` says cheapest cheapest, when it is really run?"""

import contextlib
import json
import random
import subprocess
import time

import raw
import servers
from clients import WsClient
from experiments.clients import Cache
from lib import load, machine, prices
from lib.lab import ALL, Missing, route
from lib.readers import BROWSER

TITLE = "Advice against measurement"
QUESTION = ("For twenty routes that span the space, is the transport that "
            "`penstock advise` names the one that costs least when all four are "
            "run, of those that bring updates within the acceptable age? And do "
            "rules of thumb find it?")
METHOD = ("Each route is served by each of the four transports to some dozens or "
          "hundreds of readers for a few seconds, with a browser's header "
          "fields, penstock on a core of its own. So that an hour need not take "
          "an hour, time is lapsed: all rates are multiplied, and all times "
          "(age, heartbeat, wait, between polls) divided, by the same number, and "
          "what is measured a second is divided by it again. The cost is that of "
          "`penstock advise`: the share of a core (of penstock, without what "
          "publishing takes), of 1 Gbit/s both ways, and of 4 GiB. Memory is the "
          "model's, which `idle` measures. What clients send is measured apart, "
          "a frame and a POST, and added. A public route with a cache is polled "
          "through nginx, whose own costs are not counted. Costs within a fifth "
          "of each other are a draw: that is how near two runs are. What single "
          "things cost this machine is measured before, one thing at a time, and "
          "no route has a say in it (`BENCH=quick` takes what is built in, which was "
          "found so on another day): `penstock advise` reckons with that "
          "(`--costs`), and with a machine that is as busy as the lapsed one "
          "(`--lapse`). Beside the twenty routes stand ten that are drawn at "
          "random from the space (always the same).")
SECONDS = (35, 500)

HOUR, MINUTE = 3600, 60
DRAW = 1.2
NAMES = {"websocket": "WebSocket", "sse": "SSE", "longpoll": "long poll",
         "poll": "poll"}
# Beyond what is asked for: timers, and a machine that is shared.
AGE_SLACK_MS = 25


class Case:
    def __init__(self, name, rate, size, age, lapse=1, readers=200, newest=False,
                 sends=0, kind="application/json", cache=False):
        self.name, self.rate, self.size, self.age = name, rate, size, age
        self.lapse, self.readers, self.newest = lapse, readers, newest
        self.sends, self.kind, self.cache = sends, kind, cache

    @property
    def binary(self):
        return self.kind == "application/octet-stream"


CASES = [
    Case("chat", 0.5, 120, 0.5, 10, sends=0.1),
    Case("orders and fills", 2, 200, 0.25, 2, sends=1),
    Case("positions in a game", 20, 60, 0.15, 1, 100, newest=True, sends=10,
         kind="application/octet-stream"),
    Case("cursors of others", 10, 80, 0.2, 1, newest=True, sends=5),
    Case("trades, every one", 20, 64, 0.5),
    Case("the last price", 20, 64, 1, 2, newest=True),
    Case("the last price, any of this half minute", 20, 64, 30, 30, newest=True),
    Case("a log's tail", 200, 150, 2, 2, 40),
    Case("samples for a chart", 400, 100, 5, 1, 20),
    Case("a score", 1 / MINUTE, 500, 5, 100),
    Case("notifications", 1 / HOUR, 300, 10, 100),
    Case("the weather, public", 1 / HOUR, 2000, 600, 100, newest=True,
         cache=True),
    Case("the weather, in no hurry", 1 / HOUR, 2000, HOUR, 900, 50, newest=True),
    Case("headlines", 1 / 600, 1000, MINUTE, 100),
    Case("headlines, public", 1 / 600, 1000, MINUTE, 15, newest=True,
         cache=True),
    Case("a map, a hundred kB", 1 / MINUTE, 100_000, 10, 100, 50, newest=True),
    Case("a picture a second, one in a minute will do", 1, 50_000, MINUTE, 60,
         50, newest=True),
    Case("frames of a sensor", 10, 1000, 0.5, kind="application/octet-stream"),
    Case("who is typing", 5, 60, 1, 2),
    Case("a build's state", 1 / 300, 400, 3, 50),
]


def spread(dice, low, high):
    """As many between 1 and 10 as between 10 and 100."""
    return low * (high / low) ** dice.random()


def drawn(dice, number):
    """A route that nobody thought of; as much of it as can be measured here."""
    rate = spread(dice, 1 / HOUR, 100)
    age = min(spread(dice, 0.2, 600), 300 / rate)
    size = round(spread(dice, 40, 20_000))
    newest, binary = dice.random() < 0.5, dice.random() < 0.2
    cache = newest and age >= 8 and dice.random() < 0.4
    sends = spread(dice, 0.02, 5) if not cache and dice.random() < 0.25 else 0
    lapse = float(int(age / 4)) if cache else max(1, age / 0.8)
    most = min(15_000, 6e7 / size) / (rate * lapse)
    return Case(f"drawn {number}: {rate:.2g}/s, {size} B, {age:.3g} s"
                f"{', newest' * newest}{', cached' * cache}"
                f"{', binary' * binary}{', two-way' * (sends > 0)}",
                rate, size, age, lapse, round(max(10, min(200, most))), newest,
                sends, "application/octet-stream" if binary
                else "application/json", cache)


DICE = random.Random(2026)
DRAWN = [drawn(DICE, n + 1) for n in range(10)]


# --- what the advice is ----------------------------------------------------------

# A browser's fields, and how many octets a request head has with them.
FIELDS = sum(len(f"{name}: {value}\r\n") for name, value in BROWSER)
HEAD = len("GET /n/a HTTP/1.1\r\nHost: 127.0.0.1:65535\r\n\r\n") + FIELDS
# As many in one field, which `bench` can be given.
PAD = "X-Browser: " + "x" * (FIELDS - len("X-Browser: \r\n"))


def advised(case, costs):
    args = ["--json", "--rate", f"{case.rate:.9f}/s", "--burstiness", 0,
            "--size", f"{case.size}B", "--clients", case.readers,
            "--age", f"{round(case.age * 1000)}ms", "--rtt", "1ms",
            "--request", f"{HEAD}B", "--stay", "30d",
            "--lapse", f"{case.lapse:.6f}", "--costs", costs]
    args += ["--latest"] * case.newest + ["--cacheable"] * case.cache
    args += ["--binary", "--raw"] * case.binary
    if case.sends:
        args += ["--send", f"{case.sends}/s"]
    done = subprocess.run([load.program(), "advise", *map(str, args)],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def rule(case):
    """What the rules of thumb say, the more special one first."""
    if case.sends:
        return ["websocket"]
    if case.cache:
        return ["poll"]
    return ["websocket"] if case.rate > 1 / MINUTE else ["poll", "sse"]


# --- what clients send -------------------------------------------------------------

def cpu_s(p):
    return p.admin("GET", "/routes").json()["cpu_s"]


def octets_of(p):
    return sum(m["bytes_in"] + m["bytes_out"]
               for m in p.measured("/n/{c}")["measured"].values())


def paced(send, count):
    due = time.monotonic()
    for _ in range(count):
        send()
        due += 0.002
        time.sleep(max(0, due - time.monotonic()))


def sending(lab):
    """{"frame": (us, octets), "post": …} of one message of a hundred octets."""
    count, found = lab.pick(500, 1500, 20), {}
    fields = dict(BROWSER) | {"Content-Type": "text/plain"}
    with lab.penstock([route(receive="channel", echo=False)]) as p:
        with WsClient(p, "/n/a").connect() as ws, raw.Client(p.port) as c:
            for name, send in (
                    ("frame", lambda: ws.send("x" * 100)),
                    ("post", lambda: c.request("POST", "/n/b", fields,
                                               "x" * 100))):
                send()
                before = cpu_s(p), octets_of(p)
                paced(send, count)
                p.wait_for(lambda: sum(
                    m["taken"] for m in p.measured("/n/{c}")[
                        "measured"].values()) % (count + 1) == 0)
                found[name] = ((cpu_s(p) - before[0]) / count * 1e6,
                               (octets_of(p) - before[1]) / count)
    return found


# --- what it costs -----------------------------------------------------------------

def ms(seconds):
    return f"{max(1, round(seconds * 1000))}ms"


def settings(case, price):
    """Of the route, lapsed."""
    keys = {"heartbeat": ms(max(0.01, 15 / case.lapse)),
            "wait": ms(max(0.01, 25 / case.lapse))}
    if case.cache:
        keys["cache"] = "1s"
    if price.get("max_rate_per_s"):
        keys["max_rate"] = \
            f"{max(1, round(price['max_rate_per_s'] * case.lapse * 60))}/m"
    return keys


def lasting(case, price, seconds):
    """Several polls, or deliveries, of each reader; and so many updates that
    they are published at all, where that is soon enough."""
    apart = max(price.get("poll_ms", 0) / 1000,
                1 / price.get("max_rate_per_s", 1e9)) / case.lapse
    several = 5.5 / (case.rate * case.lapse)
    if several < 8:
        seconds = max(seconds, several)
    return max(seconds, min(6, 5 * apart))


def is_published(case, seconds):
    """Fewer updates cost nothing beside signs of life, and `bench` would count
    no longer than until the last one."""
    return case.rate * case.lapse * seconds >= 5


def options(case, transport, price, seconds):
    every = price.get("poll_ms", 0) / 1000
    given = {"duration": ms(seconds), "settle": "300ms",
             "grace": ms(max(0.3, min(2, 2 * every / case.lapse)))}
    if is_published(case, seconds):
        given |= {"rate": f"{case.rate * case.lapse:.6f}/s", "size": case.size,
                  "type": case.kind}
    if transport == "websocket" and not case.binary:
        given["envelope"] = True
    if transport == "longpoll":
        given |= {"cursor": "next", "wait": "1s"}  # the route caps it
    if transport == "poll":
        given |= {"cursor": "etag" if case.newest else "link",
                  "every": ms(every / case.lapse)}
        if every > 75:
            given["close"] = True
    return given


def execute(lab, case, transport, price, seconds, readers, through=False):
    """The report of `bench`, and the octets that went in and out of penstock a
    second."""
    with contextlib.ExitStack() as stack:
        p = stack.enter_context(lab.penstock([route(
            **settings(case, price))]))
        p.publish("n/a", "x" * case.size, type=case.kind)
        port = stack.enter_context(Cache(lab, p.port)).port if through \
            else p.port
        before = octets_of(p)
        publish = f"http://127.0.0.1:{p.admin_port}/channels/n/a" \
            if is_published(case, seconds) else None
        r = load.bench(f"http://127.0.0.1:{port}/n/a", transport, readers,
                       publish, p.pid, header=PAD,
                       **options(case, transport, price, seconds))
        octets = octets_of(p) - before if through else \
            r["traffic"]["bytes_in"] + r["traffic"]["bytes_out"]
    return r, octets / r["traffic"]["seconds"]


def publishing(lab, case, told, seconds):
    """What of a core publishing takes, which no transport is to blame for."""
    if not is_published(case, seconds):
        return 0
    r, _ = execute(lab, case, "sse", told["prices"]["sse"], seconds, 1)
    return r["cost"]["server_cpu_share"]


def measure(lab, case, transport, price, seconds, base):
    """Cost, as advised; and the 99th of a hundred ages, in ms, lapsed back, or
    None."""
    r, octets = execute(lab, case, transport, price, seconds, case.readers,
                        case.cache and transport == "poll")
    each = case.readers * case.lapse
    cpu = max(0, r["cost"]["server_cpu_share"] - base)
    cost = cpu / each * 1e6 + octets / each / 125e6 * 1e6 + \
        price["memory_bytes"] / 2**32 * 1e6
    ages = r.get("deliveries", {}).get("age_ms", {})
    return cost, ages["p99"] * case.lapse if ages.get("count") else None


def with_sends(case, transport, cost, sends):
    us, octets = sends["frame" if transport == "websocket" else "post"]
    return cost + case.sends * (us + octets / 125e6 * 1e6)


def measured(lab, case, told, sends):
    """{transport: (cost, p99)}"""
    found = {}
    lab.step(f"{case.name}: publishing")
    prices = told["prices"]
    seconds = lab.pick(1.5, 2, 0.5)
    base = publishing(lab, case, told, seconds)
    for transport in ALL:
        lab.step(f"{case.name}: {NAMES[transport]}")
        cost, p99 = measure(lab, case, transport, prices[transport],
                            lasting(case, prices[transport], seconds), base)
        found[transport] = with_sends(case, transport, cost, sends), p99
    return found


def in_time(case, p99, predicted):
    """Of polls, and of what is held back, the interval makes the age: what is
    predicted counts, and it is chance how near the measured one comes.  Slack
    is of this machine, and so it is lapsed, too."""
    limit = case.age * 1000 * 1.001
    return predicted <= limit and (
        p99 is None or p99 <= limit + AGE_SLACK_MS * case.lapse)


# --- the table ---------------------------------------------------------------------

def judge(case, told, found):
    """The cheapest measured that was in time; what the advised one costs beside
    it; what the rule's does."""
    fits = {t: cost for t, (cost, p99) in found.items()
            if in_time(case, p99, told["prices"][t]["age_ms"]["p99"])}
    if not fits:
        return None, None, None
    best = min(fits, key=fits.get)
    ratio = fits[told["verdict"]] / fits[best] \
        if told["verdict"] in fits else None
    by_rule = [fits[t] for t in rule(case) if t in fits]
    return best, ratio, min(by_rule) / fits[best] if by_rule else None


def chosen(lab):
    """Those behind a cache are left out where there is none."""
    cases = CASES[7:8] if lab.size == "smoke" else \
        CASES[::lab.pick(10, 1)] + DRAWN[::lab.pick(10, 1)]
    return [c for c in cases if not c.cache or servers.have_nginx()]


def known_costs(lab, sends):
    """A file for `penstock advise --costs`: what this machine takes for each
    thing."""
    found = {} if lab.size == "quick" else \
        prices.measure(lab, PAD, {k: v[0] for k, v in sends.items()})
    file = lab.out / "costs.json"
    file.write_text(json.dumps(found, indent=2) + "\n")
    lab.table("advice-prices", ["thing", "us"], [
        [f"{name} {which}".strip(), value] for name, part in found.items()
        for which, value in (part.items() if isinstance(part, dict) else
                             enumerate(part) if isinstance(part, list) else
                             [("", part)])],
        "What single things take of a core; cold: in parts of the price.",
        show=lambda r: False)
    return str(file)


def run(lab):
    if machine.pinned() is False and lab.size != "smoke":
        raise Missing("penstock needs a processor for itself")
    lab.step("what clients send")
    sends = sending(lab)
    rows, costs, cases = [], [], chosen(lab)
    agree, ruled, of = {}, {}, {}
    file = known_costs(lab, sends)
    for case in cases:
        told = advised(case, file)
        found = measured(lab, case, told, sends)
        best, ratio, by_rule = judge(case, told, found)
        kind = case in DRAWN
        of[kind] = of.get(kind, 0) + 1
        agree[kind] = agree.get(kind, 0) + (ratio is not None and ratio <= DRAW)
        ruled[kind] = ruled.get(kind, 0) + (by_rule is not None and
                                            by_rule <= DRAW)
        rows.append([case.name, NAMES.get(told["verdict"], "none"),
                     NAMES.get(best, "none"),
                     "too late" if ratio is None else f"{ratio:.2f}",
                     " or ".join(NAMES[t] for t in rule(case)),
                     "too late" if by_rule is None else f"{by_rule:.2f}"])
        for t in ALL:
            price = told["prices"][t]
            costs.append([case.name, NAMES[t], price["cost"], found[t][0],
                          price["age_ms"]["p99"],
                          "-" if found[t][1] is None else found[t][1],
                          case.age * 1000, price["delivers"],
                          "yes" if price["fits"] else "no"])
    lab.table("advice", ["route", "advised", "cheapest measured",
                         "advised costs, times the cheapest", "rule of thumb",
                         "the rule's costs"], rows,
              "Cost beside that of the cheapest that was in time; up to "
              f"{DRAW} is a draw.")
    lab.table("advice-costs", [
        "route", "transport", "predicted cost", "measured cost",
        "predicted p99 ms", "measured p99 ms", "acceptable ms", "delivers",
        "fits"], costs, "In millionths of a core with its 1 Gbit/s and 4 GiB, "
        "a reader.", show=lambda r: lab.size == "smoke")
    lab.numbers["advice"] = sum(agree.values()), sum(ruled.values()), len(cases)
    lab.says(" ".join(
        f"The advice is the cheapest, or a draw with it, on {agree[kind]} of "
        f"{of[kind]} routes {'drawn at random' if kind else 'that we chose'}; the "
        f"rules of thumb on {ruled[kind]}." for kind in sorted(of)) +
        f" One message of a client takes {sends['frame'][0]:.0f} us and "
        f"{sends['frame'][1]:.0f} octets as a frame, {sends['post'][0]:.0f} "
        f"us and {sends['post'][1]:.0f} octets as a POST.")
