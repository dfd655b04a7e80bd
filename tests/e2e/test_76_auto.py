""""transports": "auto": who leaves the choice open gets what the advice says, and
penstock.js is moved to it without losing a message."""

import json
import signal

import pytest

from clients import TRANSPORTS, SseClient, WsClient, reader
from test_70_client import Client, Publisher, everywhere, node

# Nothing but a stream is in time, whatever the frequency.
SOON = {"acceptable_age": "60ms"}
# A connection that is held costs more than a request every two minutes.
LATE = {"acceptable_age": "2m", "lag": "latest"}


def news(transports="auto", **keys):
    return {"client": True, "routes": [
        {"path": "/news", "source": "publish", "transports": transports,
         **keys}]}


def is_advised(p, transport):
    """Once its readers are told so."""
    p.publish("news", "first")
    return p.wait_for(lambda: p.get("/news?since=now").headers.get(
        "Penstock-Advice", "").split(";")[0] == transport and True,
        what=f"advice of {transport}")


# --- who is told, and how ----------------------------------------------------

def test_followers_are_told_and_polls_carry_a_field(penstock):
    p = penstock(news(**SOON))
    is_advised(p, "sse")
    assert p.get("/news?since=now&wait=0").headers["Penstock-Advice"] == "sse"
    assert p.get("/news", {"If-None-Match": '"x-1"'}).headers[
        "Penstock-Advice"] == "sse"
    with SseClient(p, "/news").connect() as s, \
            WsClient(p, "/news").connect() as w:
        p.publish("news", "one")
        for r in (s, w):
            assert r.read(1)[0][2] == "one"
            p.wait_for(lambda: r.told or r.nothing(0.05) and r.told)
            assert [t["advice"] for t in r.told] == [{"transport": "sse"}]


def test_polls_are_told_how_often(penstock):
    p = penstock(news(**LATE))
    is_advised(p, "poll")
    field = p.get("/news?since=now").headers["Penstock-Advice"]
    name, every_ms = field.split(";every_ms=")
    assert name == "poll" and 60_000 < int(every_ms) < 130_000


def test_how_often_follows_what_the_owner_accepts(penstock):
    def every_ms(p):
        field = p.get("/news?since=now").headers["Penstock-Advice"]
        return int(field.partition(";every_ms=")[2])
    p = penstock(news(**LATE))
    is_advised(p, "poll")
    before = every_ms(p)
    p.write_config({**p.config, **news(**{**LATE, "acceptable_age": "10m"})})
    p.signal(signal.SIGHUP)
    p.wait_for(lambda: every_ms(p) > 4 * before)


@pytest.mark.parametrize("transports", [["sse", "poll"], TRANSPORTS])
def test_where_the_config_makes_the_choice_nobody_is_told(penstock, transports):
    p = penstock({"routes": [*news(list(transports), **SOON)["routes"],
                             {"path": "/auto", "source": "publish",
                              "channel": "news", "transports": "auto",
                              **SOON}]})
    p.publish("news", "first")
    p.wait_for(lambda: "Penstock-Advice" in
               p.get("/auto?since=now").headers)
    assert "Penstock-Advice" not in p.get("/news?since=now").headers
    with SseClient(p, "/news").connect() as s, \
            SseClient(p, "/auto").connect() as other:
        other.nothing(0.1)
        p.wait_for(lambda: other.told or other.nothing(0.05) and other.told)
        assert s.nothing(0.1) and s.told == []
    assert p.get("/news").text == "first"


def test_frames_without_a_subprotocol_are_messages_only(penstock):
    p = penstock(news(**SOON))
    is_advised(p, "sse")
    with WsClient(p, "/news", protocol=None).connect() as w:
        p.publish("news", "one")
        assert w.recv() == "one"
        assert w.nothing(0.2)


# --- requests that name no transport -----------------------------------------

def test_a_request_that_names_none_gets_what_suits(penstock):
    p = penstock(news(**SOON))
    is_advised(p, "sse")
    with p.client() as c:
        c.send_request("GET", "/news", {})
        assert c.head().headers["Content-Type"] == "text/event-stream"
    # Who says what it has, or from where on, means a poll.
    assert p.get("/news?since=oldest").json()["messages"]
    assert p.request("HEAD", "/news").headers["Content-Length"] == "5"
    etag = p.get("/news?since=now").headers["ETag"]
    assert p.get("/news", {"If-None-Match": etag}).status == 304


def test_without_data_it_is_polled_as_ever(penstock):
    p = penstock(news(acceptable_age="10s"))
    p.publish("news", "one")
    with p.client() as c:
        assert c.request("GET", "/news").text == "one"
    assert "Penstock-Advice" not in p.get("/news").headers


def test_each_transport_is_served_all_the_same(penstock):
    p = penstock(news(**SOON))
    is_advised(p, "sse")
    for transport in TRANSPORTS:
        with reader(transport, p, "/news").connect() as r:
            p.publish("news", transport)
            assert r.read(1)[0][2] == transport


# --- penstock.js ---------------------------------------------------------------

@everywhere
def test_it_is_moved_in_mid_stream_and_loses_nothing(penstock, place, tmp_path):
    p = penstock(news(**SOON))
    with Publisher(p) as publisher, \
            Client(place, f"http://127.0.0.1:{p.port}/news", tmp_path,
                   since="oldest", move=200,
                   page=f"http://127.0.0.1:{p.port}/penstock.js") as c:
        c.wait_open("sse")
        seen = len(c.data)
        c.wait(lambda: len(c.data) > seen + 20, "more by the other one")
        published = publisher.end()
        assert c.finish() == published
    assert [e["transport"] for e in c.all("transport")] == ["websocket", "sse"]
    assert c.all("gap") == [] and c.all("error") == []


@node
def test_it_is_moved_to_polls_that_are_as_rare_as_the_age_allows(penstock):
    p = penstock(news(**LATE))
    with Client("node", f"http://127.0.0.1:{p.port}/news", move=100,
                pollInterval=None) as c:
        c.wait_open("poll")
        polls = p.measured("/news", "poll")["requests"]
        p.publish("news", "for later")
        p.wait_for(lambda: p.measured("/news", "websocket")["readers"] == 0)
        assert c.data == []
        assert p.measured("/news", "poll")["requests"] == polls == 1


@node
def test_who_names_transports_is_not_moved(penstock):
    p = penstock(news(**SOON))
    is_advised(p, "sse")
    with Client("node", f"http://127.0.0.1:{p.port}/news", move=1,
                transports=["longpoll", "sse"]) as c:
        c.wait_open("longpoll")
        p.publish("news", "one")
        c.wait_data("one")
        p.publish("news", "end")
        c.finish()
    assert [e["transport"] for e in c.all("transport")] == ["longpoll"]


@node
@pytest.mark.slow
def test_as_clients_begin_to_speak_it_is_moved_back(penstock):
    p = penstock(news(receive="channel", **SOON))
    with Client("node", f"http://127.0.0.1:{p.port}/news", move=50) as c:
        c.wait_open("sse")
        with WsClient(p, "/news").connect() as speaker:
            def speak():
                for _ in range(50):
                    speaker.send(json.dumps("hello"))
                return c.transport == "websocket"
            c.wait(speak, "a move to websocket", 30)
        p.publish("news", "end")
        c.finish()
    assert [e["transport"] for e in c.all("transport")] == [
        "websocket", "sse", "websocket"]
    assert c.all("gap") == [] and c.all("error") == []
