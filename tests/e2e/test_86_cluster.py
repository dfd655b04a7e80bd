"""doc/examples/cluster: HAProxy, three penstocks, Redis."""

import json
import pathlib
import re

import pytest

import raw
from clients import reader
from raw import wait_for
from servers import HAProxy, Redis

EXAMPLE = pathlib.Path(__file__).parents[2] / "doc" / "examples" / "cluster"
pytestmark = [pytest.mark.redis, pytest.mark.haproxy]


@pytest.fixture
def cluster(penstock, tmp_path):
    """(the port of HAProxy, the three penstocks, Redis)"""
    text = re.sub(r"^\s*//.*$", "", (EXAMPLE / "cluster.json").read_text(),
                  flags=re.M)
    with Redis(tmp_path) as redis:
        config = json.loads(text.replace(":6379", f":{redis.port}"))
        for key in ("listen", "admin"):
            del config[key]  # the harness has its own
        penstocks = [penstock(config) for _ in range(3)]
        ports = {f"810{i + 1}": p.port for i, p in enumerate(penstocks)}
        with HAProxy(tmp_path, (EXAMPLE / "haproxy.cfg").read_text(),
                     ports | {"8080": raw.free_port()}) as haproxy:
            yield haproxy.port, penstocks, redis


def readers_of(p, channel):
    return (p.channel(channel) or {"readers": 0})["readers"]


def test_what_is_published_reaches_the_clients_of_all(cluster):
    port, penstocks, redis = cluster
    readers = [reader(t, port, "/prices/ACME").connect()
               for t in ("sse", "websocket", "sse")]
    wait_for(lambda: [readers_of(p, "prices/ACME") for p in penstocks] ==
             [1, 1, 1])
    wait_for(lambda: redis("PUBSUB", "NUMSUB", "prices:ACME")[1] == 3)
    redis("PUBLISH", "prices:ACME", "12.5")
    for r in readers:
        assert r.read(1)[0][2] == "12.5"
        r.close()


def test_what_one_says_is_heard_by_the_clients_of_all(cluster):
    port, penstocks, redis = cluster
    readers = [reader("websocket", port, "/chat/tea").connect()
               for _ in penstocks]
    wait_for(lambda: [readers_of(p, "chat/tea") for p in penstocks] == [1] * 3)
    wait_for(lambda: redis("PUBSUB", "NUMSUB", "chat:tea")[1] == 3)
    for n, r in enumerate(readers):
        r.send(f"from {n}")
        for each in readers:
            assert each.read(1)[0][2] == f"from {n}"
    for r in readers:
        r.close()


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_clients_of_a_penstock_that_dies_lose_nothing(cluster, transport):
    port, penstocks, redis = cluster
    for i in range(20):
        redis("XADD", "events", "*", "data", i)
    with reader(transport, port, "/events").connect("oldest") as r:
        got = [m[2] for m in r.read(10)]
        home = wait_for(lambda: next(
            (p for p in penstocks if readers_of(p, "events")), None))
        home.kill()
        for i in range(20, 40):
            redis("XADD", "events", "*", "data", i)
        r.close()
        r.connect(r.cursor)
        got += [m[2] for m in r.read_until("39")]
        assert r.gaps == 1
        assert sorted(set(map(int, got))) == list(range(40))
        redis("XADD", "events", "*", "data", "after")
        assert r.read(1)[0][2] == "after"


def test_whoever_polls_with_the_cookie_comes_back_to_the_same(cluster):
    port, penstocks, redis = cluster
    redis("XADD", "events", "*", "data", "1")
    wait_for(lambda: all((p.channel("events") or {}).get("messages") == 1
                         for p in penstocks))
    with raw.Client(port) as c:
        first = c.get("/events?since=oldest")
        cookie = first.headers["Set-Cookie"].partition(";")[0]
    next_id = first.json()["next"]
    redis("XADD", "events", "*", "data", "2")
    for _ in range(4):
        with raw.Client(port) as c:
            answer = c.get(f"/events?since={next_id}&wait=5",
                           {"Cookie": cookie}).json()
            assert [m["data"] for m in answer["messages"]] == ["2"]
            assert not answer.get("gap")
