"""Who reads a channel: its readers hear of those that come and go, each once
however many connections it has, and nobody flaps."""

import json
import signal
import time

import pytest

import raw
from clients import LongPollClient, PollClient, SseClient, WsClient, reader
from raw import wait_for

both = pytest.mark.parametrize("transport", ["sse", "websocket"])
polling = pytest.mark.parametrize("transport", ["poll", "longpoll"])
each = pytest.mark.parametrize("transport",
                               ["sse", "websocket", "longpoll", "poll"])


def config(grace="50ms", route=(), **presence):
    return {"routes": [
        {"path": "/room/{id}", "source": "publish", "identity": "X-User",
         "presence": {"grace": grace, **presence}, **dict(route)}]}


def who(transport, p, name, path="/room/7", **query):
    headers = {"X-User": name} if name else {}
    query = "&".join(f"{k}={v}" for k, v in query.items())
    return reader(transport, p, path + ("?" + query if query else ""),
                  headers=headers)


class Watcher:
    """A reader that is no member to itself: what it hears of the others."""

    def __init__(self, p, path="/room/7"):
        self.reader = PollClient(p, path).connect("oldest")

    def next(self, n=1, timeout=10):
        heard = []
        for _, type, data in self.reader.read(n, timeout):
            if type.startswith("penstock."):
                m = json.loads(data)
                assert type == f"penstock.{m['presence']}"
                heard.append((m["presence"], m.get("identity") or
                              "client:" + m["client"], m["count"]))
            else:
                heard.append(data)
        return heard if n > 1 else heard[0]

    def nothing(self, seconds=0.3):
        return self.reader.nothing(seconds)


def members(p, path="/room/7"):
    answer = p.get(path + "?presence")
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    told = answer.json()
    assert told["count"] == len(told["members"])
    return {m.get("identity") or "client:" + m["client"]: m["connections"]
            for m in told["members"]}


# --- coming and going -----------------------------------------------------------

@each
def test_coming_and_going_are_messages_of_the_channel(penstock, transport):
    p = penstock(config())
    w = Watcher(p)
    r = who(transport, p, "ann").connect()
    assert w.next() == ("join", "ann", 1)
    if transport in ("sse", "websocket"):
        assert members(p) == {"ann": 1}
    r.close()
    assert w.next() == ("leave", "ann", 0)
    assert members(p) == {}
    assert (p.metric("presence_joins_total"),
            p.metric("presence_leaves_total")) == (1, 1)


@both
def test_a_client_hears_of_itself_and_of_the_others(penstock, transport):
    p = penstock(config())
    with who(transport, p, "ann").connect() as ann:
        with who("websocket", p, "bob").connect():
            told = [json.loads(m[2]) for m in ann.read(2)]
        told += [json.loads(m[2]) for m in ann.read(1)]
    assert [(t["presence"], t["identity"], t["count"]) for t in told] == [
        ("join", "ann", 1), ("join", "bob", 2), ("leave", "bob", 1)]


def test_three_tabs_are_one_member(penstock):
    p = penstock(config(grace="0s"))
    w = Watcher(p)
    tabs = [who(t, p, "ann").connect() for t in ("sse", "websocket", "sse")]
    assert w.next() == ("join", "ann", 1)
    wait_for(lambda: members(p) == {"ann": 3})
    for tab in tabs[:2]:
        tab.close()
    wait_for(lambda: members(p) == {"ann": 1})
    assert w.nothing()
    tabs[2].close()
    assert w.next() == ("leave", "ann", 0)


def test_who_is_killed_has_gone(penstock):
    p = penstock(config(route={"heartbeat": "200ms"}))
    w = Watcher(p)
    a = who("websocket", p, "ann").connect()
    b = who("sse", p, "bob").connect()
    assert w.next(2) == [("join", "ann", 1), ("join", "bob", 2)]
    a.abort()
    assert w.next() == ("leave", "ann", 1)
    raw.reset(b.client.sock)
    assert w.next() == ("leave", "bob", 0)


@each
def test_who_comes_back_within_the_grace_has_not_gone(penstock, transport):
    p = penstock(config(grace="10s"))
    w = Watcher(p)
    for _ in range(5):
        with who(transport, p, "ann").connect():
            pass
    assert w.next() == ("join", "ann", 1)
    assert w.nothing(0.5)
    assert list(members(p)) == ["ann"]


@both
def test_max_age_is_no_going(penstock, transport):
    p = penstock(config(grace="10s", route={"max_age": "200ms"}))
    w = Watcher(p)
    for _ in range(3):
        with who(transport, p, "ann").connect() as r:
            with pytest.raises(Exception):
                while True:
                    r.read(1)
    assert w.next() == ("join", "ann", 1)
    assert w.nothing(0.5)


# --- pollers ----------------------------------------------------------------------

@polling
@pytest.mark.parametrize("name", ["ann", None])
def test_who_polls_now_and_then_is_there_all_the_time(penstock, transport,
                                                      name):
    p = penstock(config(grace="500ms"))
    w = Watcher(p)
    url = "/room/7?client=x%20y" + ("&wait=0.1" if transport == "longpoll"
                                    else "")
    headers = {"X-User": name} if name else {}
    began = time.monotonic()
    while time.monotonic() < began + 1.2:
        assert p.get(url + "&since=now", headers).status in (200, 204)
        assert len(members(p)) == 1
    called = name or "client:x y"
    assert w.next() == ("join", called, 1)
    assert w.next() == ("leave", called, 0)
    assert w.nothing()


def test_a_long_poll_that_waits_is_there_and_one_that_is_cut_has_gone(penstock):
    p = penstock(config())
    w = Watcher(p)
    c = raw.Client(p.port)
    c.send_request("GET", "/room/7?wait=20&since=now", {"X-User": "ann"})
    assert w.next() == ("join", "ann", 1)
    assert w.nothing(0.4), "50 ms of grace have passed"
    assert members(p) == {"ann": 1}
    c.rst()
    assert w.next() == ("leave", "ann", 0)


@polling
def test_polls_of_nobody_are_no_members(penstock, transport):
    p = penstock(config())
    with reader(transport, p, "/room/7").connect():
        p.get("/room/7?wait=0.05&since=now")
        p.get("/room/7?client=")
    assert members(p) == {}
    assert p.metric("presence_joins_total") == 0


# --- without an identity ----------------------------------------------------------

@both
def test_who_has_no_name_is_its_connection(penstock, transport):
    p = penstock(config())
    w = Watcher(p)
    with who(transport, p, None).connect(), who(transport, p, None).connect():
        (_, a, _), (_, b, _) = w.next(2)
        assert a != b and a.startswith("client:")
        assert members(p) == {a: 1, b: 1}
    assert {name for _, name, _ in w.next(2)} == {a, b}


def test_a_client_s_own_name_holds_over_transports(penstock):
    p = penstock(config(grace="10s"))
    w = Watcher(p)
    with who("sse", p, None, client="k").connect():
        pass
    with who("websocket", p, None, client="k").connect():
        assert w.next() == ("join", "client:k", 1)
        assert w.nothing()


def test_nobody_can_call_himself_another_s_identity(penstock):
    p = penstock(config())
    with who("sse", p, "ann").connect(), \
            who("sse", p, None, client="ann").connect():
        wait_for(lambda: members(p) == {"ann": 1, "client:ann": 1})


@pytest.mark.parametrize("name", ['"]}', "\u00e9", "x" * 255],
                         ids=["quotes", "utf8", "long"])
def test_any_name_is_told_as_json(penstock, name):
    p = penstock(config())
    w = Watcher(p)
    octets = name.encode().decode("latin-1")
    c = raw.Client(p.port)
    c.send_request("GET", "/room/7", {"Accept": "text/event-stream",
                                      "X-User": octets})
    assert w.next() == ("join", name, 1)
    assert members(p) == {name: 1}


# --- bounds, and what stays as it was -----------------------------------------------

def test_there_are_so_many_members_and_others_read_all_the_same(penstock):
    p = penstock(config(max=2))
    w = Watcher(p)
    with who("sse", p, "a").connect(), who("sse", p, "b").connect(), \
            who("sse", p, "c").connect(None) as c:
        assert w.next(2) == [("join", "a", 1), ("join", "b", 2)]
        p.wait_for(lambda: p.metric("presence_full_total") == 1)
        p.publish("room/7", "1")
        assert c.read(1)[0][2] == "1"
    assert w.next() == "1"
    assert [what for what, _, _ in w.next(2)] == ["leave"] * 2


def test_the_newest_message_is_one_that_was_published(penstock):
    p = penstock(config(route={"start": "last"}))
    p.publish("room/7", "data")
    with who("sse", p, "ann").connect() as ann, \
            who("sse", p, "bob").connect() as bob:
        assert ann.read(1)[0][2] == "data"
        assert bob.read(1)[0][2] == "data"
        assert p.get("/room/7").content == b"data"
    assert p.get("/room/8?client=x").status == 204


def test_the_list_says_from_where_to_go_on(penstock):
    p = penstock(config())
    with who("sse", p, "ann").connect():
        wait_for(lambda: members(p))
        told = p.get("/room/7?presence").json()
        with reader("longpoll", p, "/room/7").connect(told["next"]) as r, \
                who("sse", p, "bob").connect():
            assert json.loads(r.read(1)[0][2])["identity"] == "bob"
    assert p.get("/room/none?presence").json()["members"] == []


def test_a_list_is_asked_for_by_get_alone(penstock):
    p = penstock(config(route={"receive": "channel", "transports": "websocket"}))
    assert p.request("POST", "/room/7?presence", body="x").status == 201
    with who("websocket", p, "ann", presence="").connect():
        assert list(members(p)) == ["ann"]
    assert p.request("HEAD", "/room/7?presence").status == 200


def test_a_route_without_presence_says_nothing(penstock):
    p = penstock({"routes": [{"path": "/r", "source": "publish"}]})
    p.publish("r", "1")
    with SseClient(p, "/r").connect() as r:
        assert p.get("/r?presence").content == b"1"
        assert r.nothing(0.1)


def test_a_channel_that_is_deleted_forgets_its_members(penstock):
    p = penstock(config())
    with who("websocket", p, "ann").connect() as r:
        wait_for(lambda: members(p) == {"ann": 1})
        p.admin("DELETE", "/channels/room/7")
        assert r.wait_closed() == 1001
    assert members(p) == {}
    with who("sse", p, "ann").connect():
        assert members(p) == {"ann": 1}


# --- reloads, and many at once ------------------------------------------------------

@both
def test_a_reload_is_no_going(penstock, transport):
    p = penstock(config())
    w = Watcher(p)
    with who(transport, p, "ann").connect():
        assert w.next() == ("join", "ann", 1)
        p.signal(signal.SIGHUP)
        p.wait_for(lambda: p.log_lines(" reload file="))
        assert w.nothing()
        assert members(p) == {"ann": 1}


def test_a_reload_may_begin_and_end_it(penstock):
    p = penstock(config())
    w = Watcher(p)
    a = who("websocket", p, "ann").connect()
    assert w.next() == ("join", "ann", 1)
    del p.config["routes"][0]["presence"]
    p.write_config()
    p.signal(signal.SIGHUP)
    assert a.wait_closed() == 1012
    p.wait_for(lambda: p.log_lines(" reload file="))
    assert w.next() == ("leave", "ann", 0)
    p.publish("room/7", "last")
    with who("websocket", p, "ann").connect():
        assert w.next() == "last"
        assert w.nothing()


def test_many_come_and_go_on_all_workers_and_the_count_is_right(penstock):
    p = penstock({**config(grace="0s"), "workers": 4})
    w = Watcher(p)
    for _ in range(3):
        tabs = [who("sse", p, f"u{n % 10}").connect() for n in range(40)]
        wait_for(lambda: members(p) == {f"u{n}": 4 for n in range(10)})
        for tab in tabs:
            tab.close()
        wait_for(lambda: members(p) == {})
    here, heard = set(), w.next(60)
    for what, name, count in heard:
        assert (name in here) == (what == "leave")
        here ^= {name}
        assert count == len(here)
    assert w.nothing()


def test_a_stop_with_members_in_their_grace_is_clean(penstock):
    p = penstock(config(grace="1h"))
    with who("sse", p, "ann").connect():
        pass
    r = who("websocket", p, "bob").connect()
    wait_for(lambda: len(members(p)) == 2)
    p.stop()
    assert r.wait_closed() == 1001

