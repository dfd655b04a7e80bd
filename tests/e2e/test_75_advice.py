"""What the model says that each transport costs, beside what a relay counts;
and what penstock advise makes of it."""

import json
import pathlib
import random
import subprocess
import threading
import time
import zlib

import jsonschema
import pytest
import websockets

import raw
from clients import SseClient, WsClient, next_cursor, with_query
from penstock import BINARY
from relay import CountingRelay

HEARTBEAT_S, WAIT_S, POLL_S = 0.3, 1, 0.07


def advise(*args, status=0):
    done = subprocess.run([BINARY, "advise", *map(str, args)], timeout=30,
                          capture_output=True, text=True)
    assert done.returncode == status, done
    return done


def prices(*args):
    return json.loads(advise("--json", *args).stdout)["prices"]


# --- the model, beside measurements ------------------------------------------

class Reading(threading.Thread):
    """A client in a thread of its own, through a relay of its own, from before
    the first update until after the last; then begin() and end() say between
    which moments octets are counted."""

    def __init__(self, p, name, data):
        super().__init__(daemon=True)
        self.relay = CountingRelay(p.port)
        self.name, self.size = name, len(data)
        self.over, self.ready = threading.Event(), threading.Event()
        self.base = len(f"GET /news HTTP/1.1\r\nHost: 127.0.0.1:{self.relay.port}"
                        "\r\n\r\n")
        self.start()
        assert self.ready.wait(10), name

    def run(self):
        try:
            getattr(self, self.name)()
        except (raw.Closed, OSError, TimeoutError,
                websockets.ConnectionClosed):
            assert self.over.is_set(), self.name

    def get(self, client, accept, headers=(), **query):
        return client.request("GET", with_query("/news", **query),
                              {"Accept": accept, **dict(headers),
                               **dict(self.packed)}, None, 10)

    def websocket(self, protocol="penstock.v1", **options):
        self.client = WsClient(self.relay, "/news", protocol=protocol,
                               **options).connect()
        self.ready.set()
        while not self.over.is_set():
            try:
                self.client.recv(0.5)
            except TimeoutError:
                pass

    def websocket_raw(self):
        self.websocket(None)

    def websocket_deflated(self):
        self.websocket(compression="deflate")

    def sse_packed(self):
        self.client = raw.Client(self.relay.port)
        self.client.send_request("GET", "/news", {
            "Accept": "text/event-stream", "Accept-Encoding": "gzip"})
        body = self.client.head().body
        body.some(time.monotonic() + 10)
        self.ready.set()
        while not self.over.is_set():
            body.some(time.monotonic() + 10)

    def sse(self):
        self.client = SseClient(self.relay, "/news").connect()
        self.ready.set()
        while not self.over.is_set():
            self.client.pull(time.monotonic() + 10)

    packed = ()  # header fields that say so

    def longpoll_packed(self):
        self.packed = {"Accept-Encoding": "gzip"}
        self.longpoll()

    def poll_newest_packed(self):
        self.packed = {"Accept-Encoding": "gzip"}
        self.poll_newest()

    def longpoll(self):
        self.client = raw.Client(self.relay.port)
        cursor = next_cursor(self.get(self.client, "application/json",
                                      since="now"))
        self.ready.set()
        while not self.over.is_set():
            answer = self.get(self.client, "application/json", since=cursor,
                              wait=f"{WAIT_S:02}")
            cursor = next_cursor(answer)

    def every(self, step):
        due = time.monotonic()
        while not self.over.is_set():
            step()
            due += POLL_S
            time.sleep(max(0, due - time.monotonic()))

    def poll(self):
        self.client = raw.Client(self.relay.port)
        self.cursor = next_cursor(self.get(self.client, "application/json",
                                           since="now"))
        self.ready.set()

        def step():
            answer = self.get(self.client, "application/json",
                              since=self.cursor)
            self.cursor = next_cursor(answer)
        self.every(step)

    def poll_newest(self):
        self.client = raw.Client(self.relay.port)
        self.tag = self.get(self.client, "*/*").headers["ETag"]
        self.ready.set()

        def step():
            answer = self.get(self.client, "*/*",
                              {"If-None-Match": self.tag})
            self.tag = answer.headers["ETag"]
        self.every(step)

    def counts(self):
        return self.relay.up, self.relay.down

    def begin(self):
        self.began, self.before = time.monotonic(), self.counts()

    def end(self):
        seconds, after = time.monotonic() - self.began, self.counts()
        self.over.set()
        self.counted = [(b - a) / seconds for a, b in zip(self.before, after)]

    def leave(self):
        self.over.set()
        self.client.close()
        self.join(10)
        self.relay.__exit__()


NAMES = ("websocket", "websocket_raw", "sse", "longpoll", "poll", "poll_newest")


def publish_paced(p, data, rate, seconds, regular, begin, end):
    """begin() is called after the first update has arrived, and end() as long
    after the last one; how many came a second between them."""
    dice = random.Random(4)
    gap = (lambda: 1 / rate) if regular else (lambda: dice.expovariate(rate))
    settle = min(0.1, 0.3 / rate)
    due = began = time.monotonic()
    p.publish("news", data, type="application/json")
    time.sleep(settle)
    begin()
    count = 0
    while (due := due + gap()) < began + seconds or count == 0:
        time.sleep(max(0, due - time.monotonic()))
        p.publish("news", data, type="application/json")
        last, count = time.monotonic(), count + 1
    time.sleep(max(0, last + settle - time.monotonic()))
    end()
    return count / (last - began)


def round_trip(p, times=40):
    """Through a relay, in ms."""
    with CountingRelay(p.port) as relay, raw.Client(relay.port) as c:
        c.request("GET", "/news?since=now", {}, None, 10)
        began = time.monotonic()
        for _ in range(times):
            c.request("GET", "/news?since=now", {}, None, 10)
        return max(1, round((time.monotonic() - began) / times * 1000))


def predicted(reading, rate, regular, rtt_ms, *more):
    name, _, kind = reading.name.partition("_")
    head = reading.base + (len("Accept-Encoding: gzip\r\n")
                           if reading.packed else 0)
    told = prices(
        "--rate", f"{rate}/s", "--burstiness", 0 if regular else 1,
        "--size", f"{reading.size}B", "--request", f"{head}B",
        "--messages", 10000, "--clients", 1, "--stay", "365d",
        "--heartbeat", f"{int(HEARTBEAT_S * 1000)}ms", "--wait", f"{WAIT_S}s",
        "--poll", f"{int(POLL_S * 1000)}ms", "--rtt", f"{rtt_ms}ms",
        "--max-rate", "1000000/s", *(["--raw"] if kind == "raw" else []),
        *(["--latest"] if kind.startswith("newest") else []), *more)[name]
    return told["bytes_in_per_s"], told["bytes_out_per_s"]


# rate, size, regular, seconds
CASES = {
    "slow": (0.7, 64, True, 5),
    "steady": (12, 300, True, 3),
    "fast": (60, 64, True, 3),
    "random": (30, 1000, False, 5),
    "large": (4, 5200, True, 4),
}


def measure(p, data, rate, regular, seconds, names=NAMES, more=()):
    """What is wrong, in lines."""
    rtt_ms = round_trip(p)
    readings = [Reading(p, name, data) for name in names]
    true_rate = publish_paced(p, data, rate, seconds, regular,
                              lambda: [r.begin() for r in readings],
                              lambda: [r.end() for r in readings])
    wrong = []
    for r in readings:
        # Whether one of these polls brings something is chance.
        tolerance = 0.15 if r.name == "poll_newest" and not regular else 0.05
        want = predicted(r, true_rate, regular, rtt_ms, *more)
        for way, told, counted in zip(("in", "out"), want, r.counted):
            line = (f"{r.name} {way}: predicted {told:.1f}, "
                    f"counted {counted:.1f} octets/s")
            print(line)
            if abs(told - counted) > tolerance * counted + 1:
                wrong.append(line)
    for r in readings:
        r.leave()
    return wrong


@pytest.mark.alone
@pytest.mark.plain
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_the_model_says_what_a_relay_counts(penstock, case):
    rate, size, regular, seconds = CASES[case]
    data = json.dumps("x" * (size - 2))
    p = penstock({"routes": [{"path": "/news", "source": "publish",
                              "heartbeat": f"{int(HEARTBEAT_S * 1000)}ms",
                              "wait": "30s"}]})
    p.admin("POST", "/channels/news", {"Content-Type": "application/x-ndjson"},
            "1\n" * 10000)
    # A machine that has other things to do meanwhile may be late once.
    for _ in range(3):
        wrong = measure(p, data, rate, regular, seconds)
        if not wrong:
            break
    assert not wrong, "\n".join(wrong)


@pytest.mark.alone
@pytest.mark.plain
@pytest.mark.slow
def test_the_model_knows_what_compression_leaves(penstock):
    """Where messages are large beside what is around them."""
    p = penstock({"routes": [{"path": "/news", "source": "publish",
                              "heartbeat": "300ms", "compress": True}]})
    p.admin("POST", "/channels/news", {"Content-Type": "application/x-ndjson"},
            "1\n" * 10000)
    dice = random.Random(7)
    data = json.dumps([{"name": f"item {dice.randrange(10 ** 6)}",
                        "price": dice.random()} for _ in range(200)])
    packer = zlib.compressobj(wbits=-15)
    left = len(packer.compress(data.encode()) + packer.flush()) / len(data)
    for _ in range(3):
        wrong = measure(p, data, 10, True, 2,
                        ("websocket_deflated", "sse_packed"),
                        ("--compress", f"{left:.4f}"))
        if not wrong:
            break
    assert not wrong, "\n".join(wrong)


@pytest.mark.alone
@pytest.mark.plain
@pytest.mark.slow
@pytest.mark.parametrize("size", [64, 200, 300, 600, 1000])
def test_the_model_knows_what_compression_leaves_of_small_messages(penstock,
                                                                   size):
    """Given what it leaves of one message's data alone."""
    p = penstock({"routes": [{"path": "/news", "source": "publish",
                              "heartbeat": "300ms", "compress": True}]})
    p.admin("POST", "/channels/news", {"Content-Type": "application/x-ndjson"},
            "1\n" * 10000)
    dice, data = random.Random(size), "["
    while len(data) < size - 1:
        data += f'{{"name":"item {dice.randrange(10 ** 6)}",' \
                f'"price":{dice.random()}}},'
    data = json.dumps(data[:size - 2].replace('"', "'"))
    packer = zlib.compressobj(6, wbits=-15)
    left = len(packer.compress(data.encode()) +
               packer.flush(zlib.Z_SYNC_FLUSH)) - 4
    share = min(1, left / len(data))
    for _ in range(3):
        wrong = measure(p, data, 20, True, 1.5,
                        ("websocket_deflated", "sse_packed",
                         "longpoll_packed", "poll_newest_packed"),
                        ("--compress", f"{share:.4f}"))
        if not wrong:
            break
    assert not wrong, "\n".join(wrong)


# --- the command -------------------------------------------------------------

def test_it_advises_what_is_stated_in_a_table():
    told = advise("--rate", "2/min", "--size", "500B", "--clients", 10000,
                  "--age", "1s", "--two-way").stdout
    lines = told.splitlines()
    assert lines[0] == "websocket"
    assert any(line.startswith("* websocket ") for line in lines)
    for name in ("sse", "longpoll", "poll"):
        assert any(line.split()[:1] == [name] or line.split()[1:2] == [name]
                   for line in lines), told
    assert max(map(len, lines)) <= 100


def test_json_says_the_same():
    told = json.loads(advise("--json", "--rate", "10/s").stdout)
    assert told["verdict"] in told["prices"]
    assert told["runner_up"] in told["prices"]
    assert told["confidence"] == "stated" and not told["not_enough_data"]
    assert told["workload"]["per_s"] == 10
    costs = {n: p["cost"] for n, p in told["prices"].items() if p["fits"]}
    assert costs[told["verdict"]] <= min(costs.values()) * 1.1


@pytest.mark.parametrize("args", [
    (), ("--rate", "2"), ("--rate", "2/fortnight"), ("--rate", "-1/s"),
    ("--rate", "nan/s"), ("--rate", "1/s", "--size", "5"),
    ("--rate", "1/s", "--age", "0s"), ("--rate", "1/s", "--clients", "0"),
    ("--rate", "1/s", "--clients", "many"), ("--rate", "1/s", "http://x"),
    ("--size", "5B", "http://x"), ("http://x", "http://y"), ("--fast",),
    ("--rate", "1/s", "--compress", "2")])
def test_what_it_does_not_understand_is_refused(args):
    done = advise(*args, status=2)
    assert done.stderr and not done.stdout


@pytest.mark.parametrize("args", [
    ("--rate", "0/s"), ("--rate", "0/s", "--latest", "--cacheable"),
    ("--rate", "1000000/s", "--size", "1GiB", "--clients", "1e12"),
    ("--rate", "0.0001/day", "--size", "0B", "--clients", "1", "--age",
     "365d")])
def test_edges_have_prices(args):
    told = advise("--json", *args).stdout
    assert "nan" not in told and "inf" not in told
    assert len(json.loads(told)["prices"]) == 4
    assert "nan" not in advise(*args).stdout


def test_what_things_cost_a_machine_is_taken_from_a_file(tmp_path):
    file, args = tmp_path / "costs.json", ("--rate", "10/s", "--size", "300B")
    usual = prices(*args)
    file.write_text('{"delivery_us": {"sse": 1000}, "lonely_us": [0, 0, 0]}')
    told = prices(*args, "--costs", file)
    assert told["sse"]["cpu_us_per_s"] > 9000 > usual["sse"]["cpu_us_per_s"]
    assert told["websocket"] == usual["websocket"]
    assert told["poll"]["cpu_us_per_s"] < usual["poll"]["cpu_us_per_s"]


def test_a_machine_is_measured(penstock):
    """By one number, which all that is processor's time is multiplied by."""
    args = ("--rate", "10/s", "--size", "300B")
    usual, told = prices(*args), prices(*args, "--calibrate")
    times = told["sse"]["cpu_us_per_s"] / usual["sse"]["cpu_us_per_s"]
    assert 0.05 < times < 50
    for name in usual:  # how long a fan-out takes makes a little of the rest
        assert told[name]["cpu_us_per_s"] == pytest.approx(
            times * usual[name]["cpu_us_per_s"], rel=0.1)
        assert told[name]["bytes_per_s"] == pytest.approx(
            usual[name]["bytes_per_s"], rel=0.1)
    running = penstock(news()).admin("GET", "/advice").json()["cpu_times"]
    assert 0.05 < running < 50


@pytest.mark.parametrize("text,words", [
    ("{", "costs.json: "), ("[]", "the whole"), ('{"speed": 1}', "speed: "),
    ('{"delivery_us": {"pigeon": 1}}', "delivery_us: "),
    ('{"kib_us": -1}', "kib_us: "), ('{"lonely_us": [1, 2]}', "lonely_us: "),
    ('{"kib_us": "much"}', "kib_us: "), ('{"cold": 1}', "cold: ")])
def test_costs_that_are_none_are_refused(tmp_path, text, words):
    (tmp_path / "costs.json").write_text(text)
    done = advise("--rate", "1/s", "--costs", tmp_path / "costs.json", status=2)
    assert words in done.stderr and not done.stdout


def test_a_poll_that_finds_the_machine_awake_costs_less():
    args = ("--rate", "1/min", "--age", "10s", "--clients", "10")
    assert prices(*args, "--lapse", 1000)["poll"]["cpu_us_per_s"] < \
        0.5 * prices(*args)["poll"]["cpu_us_per_s"]


def test_an_admin_that_is_not_there_is_told():
    done = advise("http://127.0.0.1:1", status=1)
    assert "127.0.0.1" in done.stderr


# --- of a running penstock ---------------------------------------------------

SCHEMA = json.loads((pathlib.Path(__file__).parents[2] / "doc" / "schema" /
                     "advice.json").read_text())


def advice(p, path="/news"):
    document = p.admin("GET", "/advice").json()
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    return next(r for r in document["routes"] if r["path"] == path)


def news(**keys):
    return {"routes": [{"path": "/news", "source": "publish", **keys}]}


def test_the_schema_is_one_and_refuses_what_it_does_not_know(penstock):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    document = penstock(news()).admin("GET", "/advice").json()
    document["routes"][0]["what nobody knows"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(document)


def test_what_is_stated_and_measured_is_advised_on(penstock):
    p = penstock({"routes": [
        {"path": "/q/{s}", "source": "publish", "transports": ["sse", "poll"],
         "lag": "latest", "cache": "5s", "acceptable_age": "30s"},
        {"path": "/other", "source": "publish"}]})
    for n in range(10):
        p.publish("q/a", "x" * 100)
        p.publish("q/b", b"\xff" * 300, type="application/octet-stream")
    with SseClient(p, "/q/a").connect(), SseClient(p, "/q/b").connect():
        p.wait_for(lambda: p.measured("/q/{s}", "sse")["readers"] == 2)
        told = advice(p, "/q/{s}")
    w = told["workload"]
    assert (w["bytes"], w["channels"], w["readers"]) == (200, 2, 2)
    assert (w["age_ms"], w["age_stated"]) == (30000, True)
    assert (w["delivery"], w["cacheable"]) == ("latest", True)
    assert w["per_s"] > 0
    assert told["prices"]["sse"]["served"]
    assert not told["prices"]["websocket"]["served"]
    other = advice(p, "/other")["workload"]
    assert (other["age_ms"], other["age_stated"]) == (1000, False)
    assert other["delivery"] == "every" and other["per_s"] == 0


def test_a_multiplexed_route_is_advised_on_by_what_one_reader_is_sent(penstock):
    p = penstock({"routes": [
        {"path": "/all", "multiplex": True},
        {"path": "/a", "source": "publish"},
        {"path": "/b", "source": "publish"}]})
    p.publish("a", "x" * 100)
    p.publish("b", "x" * 300)
    with SseClient(p, "/all?channel=a&channel=b").connect(), \
            SseClient(p, "/all?channel=a").connect():
        p.wait_for(lambda: p.measured("/all", "sse")["readers"] == 2)
        for _ in range(20):
            p.publish("a", "x" * 100)
            p.publish("b", "x" * 300)
        p.wait_for(lambda: p.measured("/all", "sse")["delivered"] == 60)
        before = p.measured("/all", "sse")
        told = advice(p, "/all")
        after = p.measured("/all", "sse")
    w = told["workload"]
    assert (w["bytes"], w["readers"]) == (200, 2)
    assert 59 / after["reader_s"] < w["per_s"] < 61 / before["reader_s"]
    alone = advice(p, "/a")["workload"]
    assert alone["bytes"] == 100


def test_without_updates_it_says_that_it_does_not_know(penstock):
    told = advice(penstock(news(acceptable_age="10s")))
    assert told["not_enough_data"] and told["confidence"] == "none"
    assert told["verdict"] is None and told["runner_up"] is None
    assert "no update" in told["why"][0]


def test_where_the_frequency_does_not_matter_it_knows_at_once(penstock):
    told = advice(penstock(news(acceptable_age="60ms")))
    assert told["verdict"] in ("sse", "websocket")
    assert not told["not_enough_data"]


@pytest.mark.parametrize("by", ["frame", "post"])
def test_what_clients_send_makes_it_two_way(penstock, by):
    p = penstock(news(receive="channel", lag="latest", acceptable_age="500ms"))
    part = "websocket" if by == "frame" else "other"
    with WsClient(p, "/news").connect() as c:
        for n in range(50):
            if by == "frame":
                c.send("hello")
            else:
                assert p.request("POST", "/news", body="hello").status == 201
        p.wait_for(lambda: p.measured("/news", part)["taken"] == 50)
        told = advice(p)
    assert told["workload"]["sends_per_s"] > 1
    assert told["verdict"] == "websocket"


def test_the_command_prints_the_advice_on_each_route(penstock):
    p = penstock({"routes": [
        {"path": "/one", "source": "publish", "acceptable_age": "200ms",
         "lag": "latest"},
        {"path": "/two", "source": "publish"}]})
    url = f"http://127.0.0.1:{p.admin_port}"
    told = advise(url).stdout
    assert "/one: " in told and "/two: not enough data\n" in told
    assert [r["path"] for r in json.loads(advise("--json", url).stdout)
            ["routes"]] == ["/one", "/two"]


def test_the_command_has_the_admins_token(penstock, tmp_path):
    p = penstock({**news(), "admin": {"listen": "127.0.0.1:0",
                                      "token": "secret"}})
    url = f"http://127.0.0.1:{p.admin_port}/"
    assert "--token-file" in advise(url, status=1).stderr
    (tmp_path / "token").write_text("secret\n")
    assert "/news: " in advise("--token-file", tmp_path / "token", url).stdout


def test_a_place_that_is_no_admin_is_told(penstock):
    p = penstock(news())
    told = advise(f"http://127.0.0.1:{p.port}", status=1).stderr
    assert "(404): is it the admin listener" in told


@pytest.mark.parametrize("body", [b'{"degrees": 3}', b"<html>", b"", b"[1]"])
@pytest.mark.parametrize("json_too", [(), ("--json",)], ids=["table", "json"])
def test_another_server_than_penstock_is_told(backend, body, json_too):
    def answer(request, conn):
        conn.respond(200, body)
        conn.close()
    url = backend(answer).url
    done = advise(*json_too, url, status=1)
    assert "not with advice" in done.stderr and done.stdout == ""


def test_there_may_be_nothing_to_advise_on(penstock):
    p = penstock({"backends": {"app": "http://127.0.0.1:1"},
                  "routes": [{"path": "/*", "proxy": "app"}]})
    told = advise(f"http://127.0.0.1:{p.admin_port}").stdout
    assert told.startswith("No route to advise on")


def test_the_table_tells_what_its_columns_are():
    told = advise("--rate", "6/min", "--age", "1min").stdout
    assert " 6.0/min " in told
    for words in ("which: ", "99 %: ", "cost: ", "* the advice"):
        assert words in told.replace("\n", " "), words