"""What clients say goes into a channel or a stream of Redis, in order, over one
connection; one that is dead, deaf or refuses harms nobody else, and who said it
hears of it."""

import json
import signal
import subprocess
import time

import pytest

from clients import TRANSPORTS, SseClient, WsClient, reader
from penstock import BINARY
from raw import wait_for
from servers import Redis

pytestmark = pytest.mark.redis
QUICK = {"min": "10ms", "max": "30ms"}


@pytest.fixture
def redis(tmp_path):
    with Redis(tmp_path) as r:
        yield r


def config(redis, receive, source="publish", backend={}, **keys):
    return {"modules": ["redis"], "workers": 2,
            "backends": {"cache": {"servers": redis.url, **backend}},
            "routes": [{"path": "/c/{room}", "source": source,
                        "identity": "X-User", **keys,
                        "receive": {"redis": "cache", **receive}}]}


def chat(redis, **keys):
    """What is said in a room is heard there, through Redis."""
    return config(redis, {"publish": "room:{room}"},
                  {"redis": "cache", "subscribe": "room:{room}",
                   "backoff": QUICK}, **keys)


def entries(redis, key):
    """The fields of a stream's entries, in order."""
    return [dict(zip(fields[::2], fields[1::2]))
            for _, fields in redis("XRANGE", key, "-", "+") or []]


def data_of(redis, key):
    return [e[b"data"].decode() for e in entries(redis, key)]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_is_said_at_one_penstock_is_heard_at_all(penstock, redis, transport):
    one, other = penstock(chat(redis)), penstock(chat(redis))
    with reader(transport, one, "/c/a%20b").connect() as near, \
            reader(transport, other, "/c/a%20b").connect() as far, \
            WsClient(one, "/c/a%20b").connect() as sender:
        if transport == "poll":
            for p in (one, other):
                p.get("/c/a%20b?since=now")
        wait_for(lambda: redis("PUBSUB", "NUMSUB", "room:a b")[1] == 2)
        said = ["hello", '{"n":1}', "", "漢字", "a\nb"]
        for text in said:
            sender.send(text)
        for r in (near, far):
            assert [m[2] for m in r.read(len(said))] == said
        answer = one.request("POST", "/c/a%20b", body=b"posted")
        assert (answer.status, answer.content) == (204, b"")
        for r in (near, far):
            assert [m[2] for m in r.read(1)] == ["posted"]


def test_octets_stay_octets(penstock, redis):
    p = penstock(chat(redis))
    with WsClient(p, "/c/1", protocol=None).connect() as r:
        redis.wait_subscribed("room:1")
        r.send(b"\xff\x00\r\n*3\r\n")
        assert r.recv() == b"\xff\x00\r\n*3\r\n"


def test_an_entry_says_who_it_is_from(penstock, redis):
    p = penstock(config(redis, {"stream": "orders:{room}"}))
    with WsClient(p, "/c/7", headers={"X-User": "ann"}).connect() as r:
        r.send("one")
        r.send("two")
        wait_for(lambda: len(entries(redis, "orders:7")) == 2)
    p.request("POST", "/c/7", {"Penstock-Event": "order"}, b"three")
    one, two, three = entries(redis, "orders:7")
    assert (one[b"data"], one[b"identity"]) == (b"one", b"ann")
    assert one[b"client"] == two[b"client"] != three[b"client"]
    assert (three[b"data"], three[b"event"]) == (b"three", b"order")
    assert b"event" not in one and b"identity" not in three


def test_a_stream_keeps_so_many(penstock, redis):
    p = penstock(config(redis, {"stream": "s", "keep": 200}))
    with WsClient(p, "/c/7").connect() as r:
        for n in range(2000):
            r.send(str(n))
        wait_for(lambda: data_of(redis, "s")[-1:] == ["1999"])
    assert 200 <= redis("XLEN", "s") < 500


def test_many_clients_share_a_connection_and_each_keeps_its_order(
        penstock, redis):
    p = penstock(config(redis, {"stream": "s"}))
    clients = [WsClient(p, "/c/7").connect() for _ in range(20)]
    for n in range(50):
        for i, c in enumerate(clients):
            c.send(f"{i} {n}")
    wait_for(lambda: redis("XLEN", "s") == 1000)
    said = [tuple(map(int, d.split())) for d in data_of(redis, "s")]
    for i in range(20):
        assert [n for who, n in said if who == i] == list(range(50))
    connections = [line for line in redis("CLIENT", "LIST").split(b"\n")
                   if b"cmd=xadd" in line]
    assert len(connections) <= 2  # one a worker
    for c in clients:
        c.close()
    assert p.metric("inbox_posts_total") == 1000
    assert p.metric("inbox_refused_total") == 0


def test_what_redis_refuses_is_told_and_the_next_goes_on(penstock, redis):
    redis("SET", "s:1", "no stream")
    p = penstock(config(redis, {"stream": "s:{room}"}))
    with WsClient(p, "/c/1").connect() as bad, \
            WsClient(p, "/c/2").connect() as good:
        assert bad.tell(x=1)["error"] == {"status": 502,
                                          "detail": "Redis refused it"}
        good.send("fine")
        wait_for(lambda: data_of(redis, "s:2") == ["fine"])
        redis("DEL", "s:1")
        bad.send("fine now")
        wait_for(lambda: data_of(redis, "s:1") == ["fine now"])
    redis("SET", "s:3", "no stream")
    assert p.request("POST", "/c/3", body=b"x").status == 502
    assert p.metric("inbox_refused_total") == 2
    assert p.log_lines("redis.refused", "WRONGTYPE")


def test_a_dead_redis_is_told_and_comes_back(penstock, redis):
    p = penstock(config(redis, {"stream": "s"}))
    with WsClient(p, "/c/1").connect() as r, SseClient(p, "/c/1").connect() as s:
        redis.kill()
        assert r.tell(x=1)["error"]["status"] == 502
        assert p.request("POST", "/c/1", body=b"x").status == 502
        p.publish("c/1", "goes on")
        assert [m[2] for m in s.read(1)] == ["goes on"]
        redis.restart()
        r.send("2")
        wait_for(lambda: data_of(redis, "s") == ["2"])


def test_killed_at_any_time_each_message_is_there_or_refused(penstock, redis):
    """And none twice."""
    p = penstock(config(redis, {"stream": "s"}))
    refused = 0
    with WsClient(p, "/c/1").connect() as r:
        for n in range(600):
            if n % 150 == 100:
                redis.kill()
                redis.restart()
            r.send(str(n))
        r.send("last")
        deadline = time.monotonic() + 20
        while data_of(redis, "s")[-1:] != ["last"]:
            assert time.monotonic() < deadline
        r.ping()  # all that it was told is here
        while not r.nothing(.1):
            pass
        refused = len(r.told)
    got = [int(d) for d in data_of(redis, "s")[:-1]]
    assert got == sorted(set(got))
    assert all(m["error"]["status"] == 502 for m in r.told)
    # What was sent and not answered for may have been done.
    assert 600 <= len(got) + refused
    assert refused < 600
    assert p.metric("inbox_refused_total") == refused


def test_a_deaf_redis_makes_its_clients_wait_and_nobody_else(penstock, redis):
    p = penstock(config(redis, {"stream": "s", "queue": 10},
                        backend={"ping": "300ms"}, message="64KiB"))
    with WsClient(p, "/c/1").connect() as r, SseClient(p, "/c/1").connect() as s:
        r.send("first")
        wait_for(lambda: data_of(redis, "s") == ["first"])
        redis.signal(signal.SIGSTOP)
        for n in range(10):
            r.send(f"{n}" + "x" * 50000)
        for n in range(20):
            p.publish("c/1", str(n))
        assert [m[2] for m in s.read(20)] == [str(n) for n in range(20)]
        deadline = time.monotonic() + 20
        while len(r.told) < 10:
            r.pull(deadline)
        assert {m["error"]["detail"] for m in r.told} == {"Redis does not answer"}
        redis.signal(signal.SIGCONT)
        r.send("last")
        # What it had been sent before it stopped may come behind this.
        wait_for(lambda: "last" in data_of(redis, "s"))


def test_what_was_said_before_a_stop_gets_there(penstock, redis):
    p = penstock(config(redis, {"stream": "s"}))
    with WsClient(p, "/c/1").connect() as r:
        for n in range(200):
            r.send(str(n))
        wait_for(lambda: redis("XLEN", "s") > 0)
        began = time.monotonic()
        p.stop()
        assert time.monotonic() - began < 5, "an idle connection holds it up"
        r.wait_closed()
    got = data_of(redis, "s")
    assert got == [str(n) for n in range(len(got))]


def test_json_and_rate_hold_here_too(penstock, redis):
    p = penstock(config(redis, {"stream": "s", "json": True, "rate": "2/h"}))
    with WsClient(p, "/c/1").connect() as r:
        r.send("[1]")
        r.send("[2]")
        assert r.tell(more=1)["error"]["status"] == 429
    assert p.request("POST", "/c/1", body=b"{").status == 400
    wait_for(lambda: data_of(redis, "s") == ["[1]", "[2]"])


@pytest.mark.parametrize("receive,told", [
    ({"redis": "cache"}, 'needs one of "publish" and "stream" beside it'),
    ({"redis": "cache", "publish": "a", "stream": "b"},
     'needs one of "publish" and "stream" beside it'),
    ({"post": "app/x", "publish": "a"}, 'goes with "redis" only'),
    ({"redis": "app", "publish": "a"}, '"app" is no Redis'),
    ({"redis": "cache", "post": "app/x", "publish": "a"},
     "a message has one place to go to"),
    ({"redis": "cache", "publish": "{y}"}, "{y} is not in the path"),
    ({"redis": "cache", "publish": ""}, "is an empty name"),
    ({"redis": "none", "publish": "a"}, 'unknown backend "none"'),
])
def test_its_keys_are_checked(tmp_path, receive, told):
    file = tmp_path / "penstock.json"
    file.write_text(json.dumps({
        "listen": "127.0.0.1:0", "modules": ["redis"],
        "backends": {"cache": "redis://127.0.0.1:1", "app": "http://127.0.0.1:1"},
        "routes": [{"path": "/c", "source": "publish", "receive": receive}]}))
    done = subprocess.run([BINARY, "check", file], capture_output=True,
                          text=True, timeout=30)
    assert done.returncode == 1 and told in done.stderr, done.stderr
