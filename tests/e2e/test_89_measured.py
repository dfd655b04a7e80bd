"""What penstock says that it did: GET /routes, /live and /metrics, beside what
its clients saw."""

import json
import re
import signal
from pathlib import Path

import jsonschema
import pytest

import raw
from clients import TRANSPORTS, SseClient, WsClient, reader
from relay import CountingRelay

DOC = Path(__file__).parents[2] / "doc"
ALL = ["poll", "longpoll", "sse", "websocket"]
every_transport = pytest.mark.parametrize("transport", TRANSPORTS)


def news(**keys):
    """With one worker whatever a client has had is counted before the admin
    listener answers."""
    return {"workers": 1, "routes": [
        {"path": "/news", "source": "publish", "transports": ALL, **keys}]}


def conforms(document, name):
    """A schema that lets everything pass would be none: it is closed."""
    schema = json.loads((DOC / "schema" / name).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.FormatChecker()).validate(document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document | {"what nobody knows": 1}, schema)


# --- counts ------------------------------------------------------------------

@every_transport
def test_each_octet_and_message_is_counted(penstock, transport):
    p = penstock({**news(), "workers": 2})
    with CountingRelay(p.port) as relay:
        with reader(transport, relay.port, "/news").connect("oldest") as r:
            for n in range(20):
                p.publish("news", f"message {n} " + "x" * n * 10)
                r.read(1)
            done = p.wait_for(lambda: (
                m := p.measured("/news", transport))["bytes_out"] == relay.down
                and m["bytes_in"] == relay.up and m["delivered"] == 20 and m,
                what="the octets that the relay has seen, and the messages")
            assert done["readers"] >= 1 or transport in ("poll", "longpoll")
    assert (done["merged"], done["skipped"], done["gaps"]) == (0, 0, 0)
    assert done["connects"] == relay.connections
    ages = done["age_ms"]
    assert ages["count"] == 20
    assert 0 < ages["p50"] <= ages["p90"] <= ages["p99"] <= ages["max"] < 5000
    p.wait_for(lambda: p.measured("/news", transport)["readers"] == 0)
    assert p.measured("/news", transport)["reader_s"] > 0


@every_transport
def test_the_other_transports_are_counted_apart(penstock, transport):
    p = penstock(news())
    p.publish("news", "one")
    with reader(transport, p, "/news").connect("oldest") as r:
        r.read(1)
    assert list(p.measured("/news")["measured"]) == [transport]
    assert p.metric("messages_delivered_total") == 1


def test_polls_count_what_is_empty_and_what_they_pass_over(penstock):
    p = penstock(news())
    first = p.publish("news", "1")
    with p.client() as c:
        assert c.request("GET", "/news").status == 200
        same = c.request("GET", "/news", {"If-None-Match": f'"{first}"'})
        assert same.status == 304
        for n in range(2, 6):
            p.publish("news", str(n))
        newest = c.request("GET", "/news", {"If-None-Match": f'"{first}"'})
        assert newest.text == "5"
        assert c.request("GET", "/news?since=now").json()["messages"] == []
        done = p.measured("/news", "poll")
    assert done["requests"] == 4 and done["empty"] == 2
    assert done["delivered"] == 2 and done["merged"] == 3
    assert done["readers"] == 1 and done["connects"] == 1


def test_an_empty_long_poll_is_counted(penstock):
    p = penstock(news())
    assert p.get("/news?wait=0.05").status == 204
    done = p.measured("/news", "longpoll")
    assert (done["requests"], done["empty"], done["delivered"]) == (1, 1, 0)


def test_a_gap_is_counted_where_it_was_told(penstock):
    p = penstock(news(history={"messages": 2}))
    first = p.publish("news", "1")
    for n in range(2, 8):
        p.publish("news", str(n))
    with reader("sse", p, "/news").connect(first) as r:
        r.read(2)
        assert r.gaps == 1
    assert p.measured("/news", "sse")["gaps"] == 1
    assert p.metric("gaps_total") == 1


def test_what_is_merged_is_counted_apart_from_what_is_delivered(penstock):
    p = penstock(news(lag="latest", max_rate="5/s"))
    with reader("websocket", p, "/news").connect() as r:
        for n in range(30):
            p.publish("news", str(n))
        r.read_until("29")
        done = p.measured("/news", "websocket")
    assert done["delivered"] + done["merged"] == 30
    assert done["merged"] >= 20


def answer_ok(request, connection):
    connection.respond(200, b"hello")


def test_a_proxied_route_is_counted(penstock, backend):
    p = penstock({"workers": 1, "backends": {"app": backend(answer_ok).url},
                  "routes": [{"path": "/*", "proxy": "app"}]})
    with CountingRelay(p.port) as relay:
        with raw.Client(relay.port) as c:
            assert c.request("GET", "/x").status == 200
        p.wait_for(lambda: relay.down > 0 and (
            p.measured("/*", "proxy")["bytes_out"] == relay.down))
        assert p.measured("/*", "proxy")["bytes_in"] == relay.up
    assert p.measured("/*", "proxy")["requests"] == 1


def test_messages_from_clients_are_counted_as_other(penstock):
    p = penstock(news(receive="channel"))
    assert p.request("POST", "/news", body="hello").status == 201
    assert p.measured("/news", "other")["requests"] == 1


def test_counts_outlive_a_reload(penstock):
    p = penstock(news())
    p.publish("news", "one")
    with reader("sse", p, "/news").connect("oldest") as r:
        r.read(1)
        p.write_config({**p.config, **news(heartbeat="7s")})
        p.signal(signal.SIGHUP)
        p.wait_for(lambda: p.log_lines(" reload "))
        p.publish("news", "two")
        r.read(1)
        assert p.measured("/news", "sse")["delivered"] == 2
        assert p.measured("/news", "sse")["readers"] == 1


def octets(p, path, part):
    done = p.measured(path, part) or {"bytes_in": 0, "bytes_out": 0}
    return done["bytes_in"], done["bytes_out"]


def test_a_head_that_comes_in_pieces_is_counted_whole(penstock):
    p = penstock(news())
    request = "GET /news HTTP/1.1\r\nHost: x\r\n\r\n"
    with p.client() as c:
        for n in 1, 2:
            c.send(request, dribble=True)
            assert c.response().status == 204
            assert octets(p, "/news", "poll")[0] == n * len(request)


def test_a_connection_that_goes_elsewhere_is_counted_there(penstock):
    p = penstock({"workers": 1, "routes": [
        {"path": path, "source": "publish", "transports": ALL, "cors": "*"}
        for path in ("/a", "/b")]})
    p.publish("a", "a" * 1000)
    preflight = {"Origin": "http://x.example",
                 "Access-Control-Request-Method": "GET"}
    with p.client() as c:
        assert c.get("/a").status == 200
        whole = len(c.stream.received)
        once = p.wait_for(lambda: (n := octets(p, "/a", "poll"))[1] == whole
                          and n)
        assert c.request("DELETE", "/b").status == 405
        assert c.request("OPTIONS", "/b", preflight).status == 204
        assert c.get("/nowhere").status == 404
        assert p.measured("/a", "poll")["readers"] == 0
        assert octets(p, "/a", "poll") == once
        other = p.measured("/b", "other")
        assert (other["requests"], other["readers"]) == (2, 0)


def test_answers_that_go_out_together_are_counted_apart(penstock):
    p = penstock({"workers": 1, "routes": [
        {"path": path, "source": "publish", "transports": ALL}
        for path in ("/a", "/b")]})
    p.publish("a", "a" * 1000)
    p.publish("b", "b")
    alone = {}
    for x in "ab":
        with p.client() as c:
            c.get(f"/{x}")
            alone[x] = len(c.stream.received)
    with p.client() as c:
        c.send("".join(f"GET /{x} HTTP/1.1\r\nHost: x\r\n\r\n"
                       for x in "aabba"))
        for x in "aabba":
            assert c.response().text[0] == x
    p.wait_for(lambda: octets(p, "/a", "poll")[1] == 4 * alone["a"])
    assert octets(p, "/b", "poll")[1] == 3 * alone["b"]


@pytest.mark.parametrize("query, transport", [
    ("", "poll"), ("?since=oldest", "poll"), ("?since=oldest&wait=0",
                                              "longpoll")])
def test_head_brings_no_message(penstock, query, transport):
    p = penstock(news())
    p.publish("news", "one")
    assert p.request("HEAD", f"/news{query}").status == 200
    done = p.measured("/news", transport)
    assert (done["requests"], done["empty"]) == (1, 1)
    assert (done["delivered"], done["age_ms"]["count"]) == (0, 0)


def test_ones_own_words_are_no_delivery(penstock):
    p = penstock(news(receive="channel", echo=False))
    with WsClient(p, "/news").connect() as speaker, \
            WsClient(p, "/news").connect() as listener:
        for n in range(5):
            speaker.send(f"said {n}")
        listener.read(5)
        p.publish("news", "to both")
        listener.read(1)
        speaker.read(1)
        done = p.measured("/news", "websocket")
    assert (done["delivered"], done["age_ms"]["count"]) == (7, 7)


@every_transport
def test_a_gap_says_how_many_were_skipped(penstock, transport):
    p = penstock(news(history={"messages": 2}))
    first = p.publish("news", "1")
    for n in range(2, 8):
        p.publish("news", str(n))
    with reader(transport, p, "/news").connect(first) as r:
        r.read(2)
        assert r.gaps == 1
        done = p.measured("/news", transport)
    assert (done["gaps"], done["skipped"], done["delivered"]) == (1, 4, 2)
    assert done["age_ms"]["count"] == 2


def test_the_time_that_a_socket_was_full_is_counted_to_its_end(penstock):
    p = penstock(news(lag="skip", history={"bytes": "16MiB"}))
    c = raw.Client(p.port, rcvbuf=4096)
    c.send_request("GET", "/news", {"Accept": "text/event-stream"})
    c.head()
    for _ in range(9):  # more than any socket takes
        p.publish("news", "x" * (1 << 20))
    full_s = uptime_s(p)
    p.wait_for(lambda: uptime_s(p) > full_s + 0.7)
    c.rst()
    p.wait_for(lambda: p.measured("/news", "sse")["readers"] == 0)
    assert 0.5 < p.measured("/news", "sse")["blocked_s"] < uptime_s(p)


def test_routes_beyond_what_can_be_counted_are_named_and_served(penstock):
    def routes(name):
        return [{"path": f"/{name}/{n}", "source": "publish",
                 "transports": "poll"} for n in range(3000)]
    p = penstock({"routes": routes("first")})
    for name in ("second", "third", "first"):
        before = len(p.log_lines(" reload "))
        p.write_config({**p.config, "routes": routes(name)})
        p.signal(signal.SIGHUP)
        p.wait_for(lambda: len(p.log_lines(" reload ")) > before)
        assert len(p.log_lines(" meters ", "routes=808")) == (
            name != "second")
        for n, counted in ((0, True), (2999, name != "third")):
            assert p.get(f"/{name}/{n}").status == 204
            done = p.measured(f"/{name}/{n}", "poll")
            assert (done is not None) == counted


def burst(p, channel, n):
    """So many messages, and with one worker no reader comes in between."""
    body = "".join(f'"{i}"\n' for i in range(n))
    answer = p.admin("POST", f"/channels/{channel}",
                     {"Content-Type": "application/x-ndjson"}, body)
    assert answer.status == 201, answer


def waiting(p, target, headers=()):
    """A long poll that waits."""
    before = (p.channel("news") or {"readers": 0})["readers"]
    c = p.client()
    c.send_request("GET", target, headers)
    p.wait_for(lambda: (now := p.channel("news"))
               and now["readers"] == before + 1)
    return c


@pytest.mark.parametrize("headers", [{}, {"Accept-Encoding": "gzip"}],
                         ids=["plain", "packed"])
def test_a_long_poll_that_is_overrun_says_by_how_many(penstock, headers):
    p = penstock(news(history={"messages": 2}, compress=True))
    p.publish("news", "before")
    with waiting(p, "/news?wait=9", headers) as c:
        burst(p, "news", 5)
        assert c.response().headers["Penstock-Gap"] == "1"
        done = p.measured("/news", "longpoll")
    assert (done["gaps"], done["skipped"], done["delivered"]) == (1, 3, 2)


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_follower_that_is_overrun_says_by_how_many(penstock, transport):
    p = penstock(news(history={"messages": 2}, lag="skip"))
    p.publish("news", "before")
    with reader(transport, p, "/news").connect() as r:
        p.wait_for(lambda: p.channel("news")["readers"] == 1)
        burst(p, "news", 5)
        r.read(2)
        assert r.gaps == 1
        done = p.measured("/news", transport)
    assert (done["gaps"], done["skipped"], done["delivered"]) == (1, 3, 2)


def test_the_gap_of_one_that_subscribes_is_counted(penstock):
    p = penstock({"workers": 1, "routes": [
        {"path": "/c/{n}", "source": "publish", "history": {"messages": 1}},
        {"path": "/several", "multiplex": True, "transports": ALL}]})
    p.publish("c/1", "1")
    with WsClient(p, "/several?channel=c/1").connect("oldest") as r:
        first = r.read(1)[0][0]
        assert r.tell(unsubscribe="c/1") == {"unsubscribed": "c/1"}
        for n in 2, 3:
            p.publish("c/1", str(n))
        assert r.tell(subscribe="c/1", since=first)["subscribed"] == "c/1"
        r.read(1)
        assert r.gaps == p.measured("/several", "websocket")["gaps"] == 1


def test_those_who_wait_at_one_place_are_each_counted(penstock):
    p = penstock(news())
    with waiting(p, "/news?wait=9") as a, waiting(p, "/news?wait=9") as b:
        p.publish("news", "one")
        assert a.response().content == b.response().content
        done = p.measured("/news", "longpoll")
    assert (done["requests"], done["delivered"]) == (2, 2)
    assert done["age_ms"]["count"] == 2


def uptime_s(p):
    return p.admin("GET", "/routes").json()["uptime_s"]


def test_each_message_has_its_own_age(penstock):
    p = penstock(news())
    p.publish("news", "old")
    born_s = uptime_s(p)
    p.wait_for(lambda: uptime_s(p) > born_s + 0.3)
    burst(p, "news", 15)
    p.get("/news?since=oldest")
    assert p.measured("/news")["updates"]["seconds"] >= 0.3
    ages = p.measured("/news", "poll")["age_ms"]
    assert ages["count"] == 16
    assert ages["p50"] <= ages["p90"] < ages["max"] / 2
    assert ages["max"] >= 200
    assert ages["max"] / 16 <= ages["mean"] < ages["max"] / 2


def test_deliveries_and_requests_are_timed_apart(penstock):
    p = penstock(news())
    for _ in range(30):
        p.get("/news")
    cost = p.measured("/news", "poll")["cpu_us"]
    assert cost["request"] > 0 and cost["delivery"] is None
    with SseClient(p, "/news").connect() as r:
        for n in range(130):
            p.publish("news", str(n))
            r.read(1)
    assert p.measured("/news", "sse")["cpu_us"]["delivery"] > 0
    for n in range(70):
        with waiting(p, "/news?wait=9") as c:
            p.publish("news", str(n))
            assert c.response().status == 200
    assert p.measured("/news", "longpoll")["cpu_us"]["delivery"] > 0


def test_what_a_full_socket_takes_later_is_counted(penstock):
    p = penstock({"limits": {"message": "8MiB"},
                  **news(history={"bytes": "64MiB"})})
    p.publish("news", "x" * (6 << 20))
    with p.client(rcvbuf=4096) as c:
        assert len(c.get("/news").content) == 6 << 20
        whole = len(c.stream.received)
        p.wait_for(lambda: octets(p, "/news", "poll")[1] == whole)


def test_half_a_request_is_counted_where_the_last_one_was(penstock):
    p = penstock(news())
    with p.client() as c:
        c.get("/news")
        before = octets(p, "/news", "poll")[0]
        c.send("GET /half")
    p.wait_for(lambda: octets(p, "/news", "poll")[0] == before + 9)


# --- update frequency --------------------------------------------------------

def test_a_routes_updates_are_those_of_its_channels(penstock):
    p = penstock({"routes": [
        {"path": "/q/{s}", "source": "publish", "transports": ALL},
        {"path": "/also/{s}", "channel": "q/{s}", "source": "publish",
         "transports": "poll"},
        {"path": "/none", "source": "publish", "transports": "poll"}]})
    for n in range(10):
        p.publish("q/a", "x" * 100)
        p.publish("q/b", b"\xff" * 300, type="application/octet-stream")
    for path in ("/q/{s}", "/also/{s}"):
        updates = p.measured(path)["updates"]
        assert updates["channels"] == 2 and updates["messages"] == 20
        assert updates["binary"] == 10
        assert updates["bytes"]["mean"] == 200
        assert updates["bytes"]["max"] == 300
        assert updates["bytes"]["p50"] in range(80, 121)
        together = p.admin("GET", "/channels").json()["channels"]
        assert [c["updates"]["messages"] for c in together] == [10, 10]
        fastest = max(c["updates"]["per_s"]["minute"] for c in together)
        assert 0.1 < updates["per_s"]["minute"] <= fastest
    assert p.measured("/none")["updates"] == {"channels": 0, "messages": 0}


# --- /live -------------------------------------------------------------------

def test_live_tells_the_same_once_a_second(penstock):
    p = penstock(news())
    with SseClient(p.admin_port, "/live").connect() as live:
        p.publish("news", "one")
        with reader("sse", p, "/news").connect("oldest") as r:
            r.read(1)
            seen = [json.loads(data) for _, _, data in live.read(3)]
    whole = p.admin("GET", "/routes").json()
    assert seen[-1]["routes"][0]["measured"]["sse"]["delivered"] == 1
    assert seen[-1].keys() == whole.keys()
    assert seen[0]["uptime_s"] < seen[-1]["uptime_s"]
    assert p.metric("messages_published_total") == 1 # its own are not


def test_live_wants_the_token_and_outlives_a_reload(penstock):
    config = {**news(), "admin": {"listen": "127.0.0.1:0", "token": "secret"}}
    p = penstock(config)
    assert p.admin("GET", "/live").status == 401
    token = {"Authorization": "Bearer secret"}
    with SseClient(p.admin_port, "/live", headers=token).connect() as live:
        live.read(1)
        p.signal(signal.SIGHUP)
        p.wait_for(lambda: p.log_lines(" reload "))
        live.read(2)


def test_who_watches_by_an_old_token_is_let_go(penstock):
    def token(secret):
        return {"listen": "127.0.0.1:0", "token": secret}
    p = penstock({**news(), "admin": token("old")})
    old = {"Authorization": "Bearer old"}
    with SseClient(p.admin_port, "/live", headers=old).connect() as live:
        live.read(1)
        p.write_config({**p.config, "admin": token("new")})
        p.signal(signal.SIGHUP)
        with pytest.raises(raw.Closed):
            live.read(20)
    assert p.admin("GET", "/live", old).status == 401


# --- the documents -----------------------------------------------------------

def test_routes_and_channels_are_as_their_schemas_say(penstock):
    p = penstock({"backends": {"gone": "http://127.0.0.1:9"}, "routes": [
        {"path": "/news", "source": "publish", "transports": ALL,
         "receive": "channel"},
        {"path": "/lost/{n}", "source": {"sse": "gone/x"}},
        {"path": "/several", "host": "a.example", "multiplex": True},
        {"path": "/*", "proxy": "gone"}]})
    conforms(p.admin("GET", "/routes").json(), "routes.json")
    conforms(p.admin("GET", "/channels").json(), "channels.json")
    for data in "one", "two", "three":
        p.publish("news", data)
    for transport in TRANSPORTS:
        with reader(transport, p, "/news").connect("oldest") as r:
            r.read(3)
    p.get("/lost/1")
    p.get("/elsewhere")
    p.wait_for(lambda: any("fault" in c.get("source", {}) for c in
                           p.admin("GET", "/channels").json()["channels"]))
    document = p.admin("GET", "/routes").json()
    assert set(document["routes"][0]["measured"]) >= set(TRANSPORTS)
    assert "proxy" in document["routes"][3]["measured"]
    for transport in TRANSPORTS:
        age = document["routes"][0]["measured"][transport]["age_ms"]
        lately = age["lately"]
        assert lately["count"] == age["count"] == 3
        assert 0 < lately["seconds"] <= document["uptime_s"] + 1
        assert lately["p50"] == pytest.approx(age["p50"], rel=0.1, abs=0.01)
    conforms(document, "routes.json")
    channels = p.admin("GET", "/channels").json()
    conforms(channels, "channels.json")
    news = p.admin("GET", "/channels/news").json()
    assert news["updates"]["messages"] == news["messages"] == 3
    assert news["updates"]["bytes"]["max"] == 5
    conforms({"channels": [news]}, "channels.json")


# --- /metrics ----------------------------------------------------------------

def families(text):
    """Name, type, samples as (name, labels, value): what Prometheus's own
    parser and its lint want is checked on the way."""
    found, name = {}, None
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, help = re.fullmatch(r"# HELP (\S+) (\S.*)", line).groups()
            assert name not in found, f"{name} comes twice"
            found[name] = {"help": help, "samples": []}
        elif line.startswith("# TYPE "):
            found[name]["type"] = re.fullmatch(
                rf"# TYPE {name} (counter|gauge|histogram)", line)[1]
        else:
            sample, labels, value = re.fullmatch(
                r'([a-z_0-9]+)(?:\{((?:[a-z]+="(?:[^"\\]|\\.)*",?)*)\})? '
                r'(-?[0-9.e+]+)', line).groups()
            base = re.sub(r"_(bucket|sum|count)$", "", sample) \
                if found[name]["type"] == "histogram" else sample
            assert base == name, f"{sample} stands under {name}"
            found[name]["samples"].append((sample, labels or "", float(value)))
    return found


def test_metrics_are_as_prometheus_wants_them(penstock):
    p = penstock({"routes": [
        {"path": "/news", "source": "publish", "transports": ALL},
        {"path": '/odd%22%5Cname', "host": "a.example", "source": "publish",
         "channel": "odd", "transports": "poll"}]})
    p.publish("news", "one")
    for transport in TRANSPORTS:
        with reader(transport, p, "/news").connect("oldest") as r:
            r.read(1)
    p.get("/odd%22%5Cname", {"Host": "a.example"})
    found = families(p.admin("GET", "/metrics").text)
    for name, family in found.items():
        assert re.fullmatch(r"(penstock|process)_[a-z_]+", name)
        assert (family["type"] == "counter") == name.endswith("_total"), name
        assert not re.search(r"_(ms|us|milliseconds)(_|$)", name), name
        keys = [s[:2] for s in family["samples"]]
        assert len(keys) == len(set(keys)), f"{name} has a sample twice"
        assert keys or name.startswith("penstock_"), name
    ages = found["penstock_message_age_seconds"]["samples"]
    for transport in TRANSPORTS:
        of = [s for s in ages if f'transport="{transport}"' in s[1]
              and 'route="/news"' in s[1]]
        buckets = [v for n, _, v in of if n.endswith("_bucket")]
        assert buckets == sorted(buckets) and buckets[-1] == 1
        assert [v for n, _, v in of if n.endswith("_count")] == [1]


def test_metrics_say_what_routes_says(penstock):
    p = penstock(news())
    p.publish("news", "old")
    born_s = uptime_s(p)
    p.wait_for(lambda: uptime_s(p) > born_s + 0.2)
    with SseClient(p, "/news").connect("oldest") as r:
        r.read(1)
        for n in range(130):
            p.publish("news", str(n))
            r.read(1)
        for _ in range(30):
            p.get("/news")
        updates = p.measured("/news")["updates"]["per_s"]
        done = p.measured("/news", "sse")
        found = {(name.removeprefix("penstock_"), labels): value
                 for family in families(p.admin("GET", "/metrics").text).values()
                 for name, labels, value in family["samples"]}
    sse = 'route="/news",transport="sse"'
    poll = 'route="/news",transport="poll"'
    assert found["readers", sse] == found["channels", 'route="/news"'] == 1
    assert found["readers", poll] == 0
    for window in "minute", "hour", "day":
        rate = found["updates_per_second", f'route="/news",window="{window}"']
        assert rate == pytest.approx(updates[window], rel=0.2)
    ages = "message_age_seconds_"
    assert found[ages + "count", sse] == done["age_ms"]["count"] == 131
    assert found[ages + "sum", sse] == pytest.approx(
        done["age_ms"]["mean"] * 131 / 1000, rel=0.01)
    assert found[ages + "bucket", sse + ',le="0.1"'] < 131
    assert found[ages + "bucket", sse + ',le="3600"'] == 131
    samples = found["sampled_deliveries_total", sse]
    assert samples >= 2
    assert done["cpu_us"]["delivery"] == pytest.approx(
        found["sampled_delivery_seconds_total", sse] * 1e6 / samples, rel=0.1)
    assert found["sampled_requests_total", poll] >= 3
    assert 0 < found["process_cpu_seconds_total", ""] < uptime_s(p) * 2
    assert found["process_resident_memory_bytes", ""] > 1 << 20


def test_the_grafana_dashboard_asks_for_what_there_is(penstock):
    p = penstock(news())
    with reader("sse", p, "/news").connect():
        p.publish("news", "one")
        found = families(p.admin("GET", "/metrics").text)
    there = {}
    for family in found.values():
        for sample, labels, _ in family["samples"]:
            there.setdefault(sample, set()).update(
                re.findall(r"([a-z]+)=", labels))
    dashboard = json.loads((DOC / "grafana.json").read_text())
    asked = [t["expr"] for panel in dashboard["panels"]
             for t in panel["targets"]]
    assert len(asked) > 20
    for expr in asked:
        by = {label.strip() for labels in re.findall(r"by \(([^)]*)\)", expr)
              for label in labels.split(",")}
        names = re.findall(r"\b((?:penstock|process)_\w+)(\{[^}]*\})?", expr)
        assert names
        for name, chosen in names:
            assert name in there, f"{name}: {expr}"
            used = by | set(re.findall(r'(\w+)=~?"', chosen))
            assert used <= there[name], f"{used} in {expr}"


def test_metrics_do_not_grow_with_readers_or_channels(penstock):
    p = penstock({"routes": [{"path": "/c/{n}", "source": "publish",
                              "transports": ALL}]})

    def lines():
        return len(p.admin("GET", "/metrics").text.splitlines())
    with reader("sse", p, "/c/1").connect():
        p.publish("c/1", "x")
        before = lines()
        for n in range(2, 30):
            p.publish(f"c/{n}", "x")
        with reader("sse", p, "/c/2").connect(), \
                reader("sse", p, "/c/3").connect():
            assert lines() == before
