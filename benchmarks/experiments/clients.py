"""How many clients one core serves within an acceptable age, after Van de
Vyvere, Colpaert and Verborgh (ICWE 2020)."""

import contextlib
import os
import subprocess

import raw
import servers
from lib import load, machine, plot
from lib.lab import Missing, route

TITLE = "Clients served within an acceptable age"
QUESTION = ("A resource of 5.2 kB of JSON that changes every 5 s: how many clients "
            "can one core keep within an acceptable age of 1 to 30 s, by polls, "
            "polls behind nginx's cache, long poll, SSE and WebSocket? From "
            "which age on do polls serve as many as push? (Van de Vyvere, "
            "Colpaert and Verborgh, ICWE 2020: about 10 s.)")
METHOD = ("First the price of what a core does is measured under load by "
          "`penstock bench`, in the server's processor's time: of a delivery to "
          "many readers (the next message as soon as all have the last one), "
          "and of an answer to a poll, with news and without (304), by penstock "
          "itself and by an nginx of one worker with `proxy_cache` in front of "
          "it, both on one CPU. One core sustains one over that. From it, "
          "by ICWE's rule: a poll has to ask once in the acceptable age, so "
          "*answers/s × age* clients can be served; push has to write to all "
          "within the age, and before the next message: *deliveries/s × "
          "min(age, 5 s)*. Behind the cache a copy may be 1 s old (`cache: 1s`), "
          "so clients ask that much sooner. Then as many "
          "clients as descriptors allow are really connected, and their ages "
          "looked at.")
SECONDS = (47, 183)
SIZE, CHANGES_S, TTL_S = 5200, 5, 1
AGES = [1, 2, 5, 10, 30]
NAMES = {"poll": "poll", "cache": "poll behind nginx", "longpoll": "long poll",
         "sse": "SSE", "websocket": "WebSocket"}
PUSH = ["longpoll", "sse", "websocket"]


def nginx_conf(folder, port, target):
    return f"""daemon off; worker_processes 1; pid {folder}/pid;
error_log {folder}/error.log warn; {"user root;" if os.getuid() == 0 else ""}
worker_rlimit_nofile 20000;
events {{ worker_connections 19500; multi_accept on; }}
http {{
    access_log off; keepalive_timeout 600s; keepalive_requests 100000000;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache keys_zone=all:8m;
    upstream penstock {{ server 127.0.0.1:{target}; keepalive 8; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://penstock; proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_cache all; proxy_cache_lock on;
            proxy_cache_use_stale updating; proxy_cache_revalidate on;
        }}
    }}
}}
"""


class Cache:
    """nginx that keeps penstock's answers for as long as they say."""

    def __init__(self, lab, target):
        if not servers.have_nginx():
            raise Missing("nginx is not there")
        self.folder, self.port = lab.folder(), raw.free_port()
        conf = self.folder / "nginx.conf"
        conf.write_text(nginx_conf(self.folder, self.port, target))
        self.process = subprocess.Popen(
            [*machine.on_server_cpu(), servers.NGINX, "-p", str(self.folder),
             "-c", str(conf)], stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        self.pid = self.process.pid
        raw.wait_for(self.answers, 20, "nginx")

    def answers(self):
        try:
            raw.Client(self.port, timeout=1).close()
        except OSError:
            return False
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def url(p, port=None):
    return f"http://127.0.0.1:{port or p.port}/n/a"


def admin(p):
    return f"http://127.0.0.1:{p.admin_port}/channels/n/a"


# --- what one core sustains ----------------------------------------------------

def pushing(lab, kind, readers, seconds):
    """Deliveries a second of one core."""
    with lab.penstock() as p:
        r = load.bench(url(p), kind, readers, admin(p), p.pid, window=1,
                       size=SIZE, type="application/json",
                       duration=f"{seconds}s", settle="300ms")
    return 1e6 / r["cost"]["server_cpu_us_per_delivery"]


def polling(lab, news, cached, connections, seconds):
    """Answers a second of one core; news: each has the whole message,
    otherwise it is 304."""
    with contextlib.ExitStack() as stack:
        p = stack.enter_context(lab.penstock([route(cache="1s")]))
        p.publish("n/a", "x" * SIZE, type="application/json")
        cache = stack.enter_context(Cache(lab, p.port)) if cached else None
        r = load.bench(url(p, cache and cache.port), "poll", connections,
                       None, [p.pid, *([cache.pid] if cache else [])],
                       every="1ms", duration=f"{seconds}s",
                       cursor="none" if news else "etag", settle="300ms")
    return r["traffic"]["requests"] / r["traffic"]["seconds"] / \
        r["cost"]["server_cpu_share"]


def limits(lab):
    seconds = lab.pick(1, 3, 0.3)
    readers = lab.pick(1000, 2000, 10)
    found = {}
    for kind in PUSH:
        lab.step(f"the limit of {NAMES[kind]}")
        found[kind] = pushing(lab, kind, readers, seconds)
    ways = ["poll", *(["cache"] if servers.have_nginx() else [])]
    for way in ways:
        for news in (True, False):
            lab.step(f"the limit of {NAMES[way]}")
            found[way, news] = polling(lab, news, way == "cache",
                                       lab.pick(1000, 1000, 4), seconds)
    return found


def answers_per_s(found, way, every_s):
    """Of polls so far apart, some of which have news."""
    news = min(1, every_s / CHANGES_S)
    return 1 / (news / found[way, True] + (1 - news) / found[way, False])


def served(found, way, age_s):
    """Clients that one core keeps within the age; None: it can't."""
    if way in PUSH:
        return found[way] * min(age_s, CHANGES_S)
    if (way, True) not in found:
        return None
    every_s = age_s - (TTL_S if way == "cache" else 0)
    return every_s * answers_per_s(found, way, every_s) if every_s > 0 else None


def crossing(found, way, push):
    """The age from which on polls serve as many as push."""
    low, high = 1.0, 1e5
    if (way, True) not in found or served(found, way, high) < served(
            found, push, high):
        return None
    for _ in range(60):
        middle = (low * high) ** 0.5
        mine = served(found, way, middle)
        if mine is not None and mine >= served(found, push, middle):
            high = middle
        else:
            low = middle
    return high


# --- really connected ----------------------------------------------------------

def connected(lab, way, count, age_s, seconds):
    """Ages when so many are there."""
    with contextlib.ExitStack() as stack:
        p = stack.enter_context(lab.penstock([route(cache="1s")]))
        p.publish("n/a", "x" * SIZE, type="application/json")
        cache = stack.enter_context(Cache(lab, p.port)) if way == "cache" \
            else None
        more = {"every": f"{age_s - (TTL_S if cache else 0)}s"} \
            if way not in PUSH else {}
        r = load.bench(url(p, cache and cache.port),
                       "poll" if way == "cache" else way, count, admin(p),
                       [p.pid, *([cache.pid] if cache else [])],
                       rate=1 / CHANGES_S, size=SIZE,
                       type="application/json", duration=f"{seconds}s",
                       settle="1s", grace=f"{age_s + 1}s", **more)
    age = r["deliveries"]["age_ms"]
    return {"p50": age["p50"], "p99": age["p99"], "max": age["max"],
            "cpu": r["cost"]["server_cpu_share"], "count": count,
            "errors": r["readers"]["errors"] + r["readers"]["cuts"],
            "faults": r["faults"]}


def run(lab):
    found = limits(lab)
    ages = lab.pick([2], [2, 5], [2])
    count = load.connections(lab.pick(2000, 18000, 10))
    seen = {}
    for way in NAMES:
        if way == "cache" and not servers.have_nginx():
            continue
        for age_s in ages if way not in PUSH else ages[:1]:
            if lab.size == "smoke":
                continue
            lab.step(f"{count} by {NAMES[way]}, {age_s} s")
            seen[way, age_s] = connected(lab, way, count, age_s,
                                         lab.pick(5.5, 11))
    report(lab, found, seen, count)


def report(lab, found, seen, count):
    series = []
    for way, name in NAMES.items():
        points = [(a, served(found, way, a)) for a in AGES]
        series.append(plot.Series(name, [(a, n) for a, n in points if n],
                                  way))
    lab.figure(plot.lines(
        lab.svg("clients"), "Clients that one core serves within an age",
        series,
        plot.Axis("acceptable age (s, log)", log=True, low=0.9, high=33,
                  ticks=[(str(a), a) for a in AGES]),
        plot.Axis("clients (log)", log=True)),
        "5.2 kB of JSON, new every 5 s. Push gains nothing from an age beyond "
        "the time between two messages; polls gain for ever.",
        f"Push serves the more clients up to an age of {crossed(found, 'poll')}, "
        f"polls beyond it (behind nginx from {crossed(found, 'cache')} on).")
    lab.table("clients", ["acceptable age, s", *NAMES.values()],
              [[a, *(round(n) if (n := served(found, w, a)) else None
                     for w in NAMES)] for a in AGES],
              "Clients that one core serves, by what it sustains.")
    lab.table("clients-limits", ["what", "a core sustains, a second"],
              [*([f"deliveries by {NAMES[w]}", round(found[w])]
                 for w in PUSH),
               *([f"{'answers with news' if k[1] else 'answers 304'}, "
                  f"{NAMES[k[0]]}", round(v)] for k, v in found.items()
                 if isinstance(k, tuple))],
              "One core, 5.2 kB.")
    rows = [[NAMES[w], f"{a} s" if w not in PUSH else "–", s["count"],
             round(s["p50"], 1), round(s["p99"], 1), round(s["max"], 1),
             f"{100 * s['cpu']:.1f} %", s["errors"]]
            for (w, a), s in seen.items()]
    if rows:
        lab.table("clients-connected", ["read by", "acceptable age", "clients",
                                        "p50, ms", "p99, ms", "oldest, ms",
                                        "of a core", "errors"], rows,
                  "Really connected at once: the age that each message had when "
                  "a client got it first.")
    say(lab, found, seen)


def crossed(found, way):
    age_s = crossing(found, way, "sse")
    return "no age" if age_s is None else f"{age_s:.0f} s"


def say(lab, found, seen):
    cross = {(w, k): crossing(found, w, k) for w in ("poll", "cache")
             for k in ("sse", "websocket")}
    lab.numbers["clients"] = found, cross, seen

    def age(x):
        return "at no age" if x is None else f"from an age of {x:.0f} s on"
    lab.says(
        f"Polls serve as many clients as SSE {age(cross['poll', 'sse'])}, as "
        f"many as WebSocket {age(cross['poll', 'websocket'])}; behind nginx's "
        f"cache {age(cross['cache', 'sse'])} and "
        f"{age(cross['cache', 'websocket'])}. ICWE 2020 found about 10 s.")
    lab.says(
        "The shape is theirs: push serves what one core can write between two "
        "messages, whatever the age; polls serve in proportion to the age. "
        "Where the lines cross is the price of an answer over the price of a "
        f"delivery ({found['sse'] / found['poll', True]:.1f} here), times the "
        f"{CHANGES_S} s between two messages.")
