"""Many channels on one connection: each message names its own, and one cursor
resumes them all.  Others were reported with subscriptions that stop after a
channel without messages (nchan#212, #448, #454), that do not say which channel
a message is of (nchan#226, #213, #582), and that cannot be changed without
connecting anew (nchan#288, #493)."""

import json
import random
import signal
import threading
import time

import pytest

import raw
from clients import SseClient, WsClient, next_cursor, reader, with_query

TRANSPORTS = ("sse", "websocket", "longpoll", "poll")
every_transport = pytest.mark.parametrize("transport", TRANSPORTS)


def routes(**keys):
    """/all serves the channels of the other routes, /rooms its own."""
    return {"routes": [
        {"path": "/all", "multiplex": True, **keys},
        {"path": "/rooms", "multiplex": True, "channel": "rooms/{room}",
         "source": "publish", "receive": "channel", **keys},
        {"path": "/news", "source": "publish"},
        {"path": "/quotes/{symbol}", "source": "publish"}]}


def of(*channels, path="/all"):
    return path + "?" + "&".join(f"channel={c}" for c in channels)


def client(transport, p, path, **options):
    if transport == "sse":
        options["enveloped"] = True
    return reader(transport, p, path, **options)


def readers(p, channel):
    return (p.channel(channel) or {"readers": 0})["readers"]


def told(messages):
    """As "news:1 quotes/A:2"."""
    return " ".join(f"{event.removesuffix(':message')}:{data}"
                    for _, event, data in messages)


# --- reading ------------------------------------------------------------------

@every_transport
def test_each_message_names_its_channel(penstock, transport):
    p = penstock(routes())
    with client(transport, p, of("news", "quotes/A")).connect() as r:
        p.publish("news", "1")
        p.publish("quotes/A", "2")
        p.publish("quotes/B", "unasked for")
        p.publish("news", "3", event="flash")
        assert told(r.read(3)) == "news:1 quotes/A:2 news:flash:3"
        assert r.nothing(0.1)
        assert r.gaps == 0


@every_transport
def test_one_id_resumes_all_of_them_and_only_what_was_missed(penstock, transport):
    p = penstock(routes())
    for n in range(9):
        p.publish("news" if n % 3 else "quotes/A", str(n))
    path = of("quotes/A", "news")
    with client(transport, p, path).connect("oldest") as r:
        first = r.read(4)
    with client(transport, p, path).connect(first[-1][0]) as r:
        rest = r.read(5)
        assert r.gaps == 0
    assert [data for _, _, data in first + rest] == [str(n) for n in range(9)]


@every_transport
def test_a_client_resumes_with_another_set_of_channels(penstock, transport):
    p = penstock(routes())
    with client(transport, p, of("news")).connect() as r:
        p.publish("news", "1")
        cursor = r.read(1)[0][0]
    p.publish("quotes/A", "2")
    p.publish("news", "3")
    with client(transport, p, of("quotes/A")).connect(cursor) as r:
        assert told(r.read(1)) == "quotes/A:2"
    with client(transport, p, of("quotes/A", "news")).connect(cursor) as r:
        assert told(r.read(2)) == "quotes/A:2 news:3"


@every_transport
def test_each_channel_may_start_at_a_place_of_its_own(penstock, transport):
    p = penstock(routes())
    with client(transport, p, of("news")).connect() as r:
        p.publish("news", "1")
        place = r.read(1)[0][0]
    p.publish("news", "2")
    p.publish("quotes/A", "3")
    p.publish("quotes/A", "4")
    path = f"/all?channel=quotes/A&since=-1&channel=news&since={place}"
    r = client(transport, p, path)
    if transport in ("longpoll", "poll"):
        answer = p.get(path + "&wait=0")
        batch = answer.json()
        assert [(m["channel"], m["data"]) for m in batch["messages"]] == [
            ("news", "2"), ("quotes/A", "4")]
        return
    with r.connect() as r:
        assert told(r.read(2)) == "news:2 quotes/A:4"
        p.publish("news", "5")
        assert told(r.read(1)) == "news:5"


def test_an_event_source_that_resumes_is_not_sent_back_to_its_url(penstock):
    """Its URL says where each channel began, Last-Event-ID where it is."""
    p = penstock(routes())
    for n in range(3):
        p.publish("news", str(n))
    path = "/all?channel=news&since=oldest&channel=quotes/A"
    with client("sse", p, path).connect() as r:
        cursor = r.read(2)[-1][0]
    with client("sse", p, path).connect(cursor) as r:
        assert told(r.read(1)) == "news:2"
        assert r.nothing(0.1)


def test_a_channel_with_spaces_and_umlauts_has_the_name_of_its_path(penstock):
    p = penstock(routes())
    with client("sse", p, "/all?channel=quotes/%C3%A4+b").connect() as r:
        p.get("/quotes/%C3%A4%20b")
        p.publish("quotes/%C3%A4%20b", "1")
        assert told(r.read(1)) == "quotes/%C3%A4%20b:1"


def test_a_channel_that_is_named_twice_is_read_once(penstock):
    p = penstock(routes())
    with client("sse", p, of("news", "news")).connect() as r:
        p.publish("news", "1")
        p.publish("news", "2")
        assert told(r.read(2)) == "news:1 news:2"


@every_transport
def test_channels_that_hold_nothing_or_have_lost_it_stop_no_other(
        penstock, transport):
    config = routes()
    config["routes"][2]["history"] = {"messages": 1, "age": "600ms"}
    p = penstock(config)
    with client(transport, p, of("news", "quotes/A", "quotes/never")
                ).connect() as r:
        p.publish("news", "1")
        assert told(r.read(1)) == "news:1"
        p.wait_for(lambda: p.channel("news")["messages"] == 0)
        for n in range(3):
            p.publish("quotes/A", str(n))
        assert told(r.read(3)) == "quotes/A:0 quotes/A:1 quotes/A:2"
        p.publish("news", "2")
        assert told(r.read(1)) == "news:2"
        assert r.gaps == 0


# --- gaps ---------------------------------------------------------------------

@every_transport
def test_a_gap_is_told_and_where_there_is_room_of_which_channel(penstock, transport):
    config = routes()
    config["routes"][2]["history"] = {"messages": 3}
    p = penstock(config)
    with client(transport, p, of("news", "quotes/A")).connect() as r:
        p.publish("quotes/A", "1")
        cursor = r.read(1)[0][0]
    for n in range(5):
        p.publish("news", str(n))
    with client(transport, p, of("news", "quotes/A")).connect(cursor) as r:
        assert told(r.read(3)) == "news:2 news:3 news:4"
        assert r.gaps == 1
        if transport in ("sse", "websocket"):
            assert r.gap["from"] == cursor
            assert r.gap["channels"] == ["news"]
    with client(transport, p, of("quotes/A")).connect(cursor) as r:
        assert r.nothing(0.1)
        assert r.gaps == 0, "it lost nothing"


@every_transport
def test_an_id_of_before_a_restart_is_a_gap(penstock, transport):
    p = penstock(routes())
    p.publish("news", "1")
    with client(transport, p, of("news")).connect("00000001-7") as r:
        assert told(r.read(1)) == "news:1"
        assert r.gaps == 1


# --- polls ----------------------------------------------------------------------

def test_a_bare_poll_is_the_newest_of_each_channel(penstock):
    p = penstock(routes(transports=["poll"]))
    path = of("news", "quotes/A", "quotes/B")
    for n in range(3):
        p.publish("news", str(n))
        p.publish("quotes/A", str(n))
    answer = p.get(path)
    assert [(m["channel"], m["data"]) for m in answer.json()["messages"]] == [
        ("news", "2"), ("quotes/A", "2")]
    etag = answer.headers["ETag"]
    again = p.get(path, {"If-None-Match": etag})
    assert again.status == 304
    p.publish("quotes/B", "3")
    changed = p.get(path, {"If-None-Match": etag})
    assert changed.status == 200
    assert len(changed.json()["messages"]) == 3
    rest = p.get(with_query(path, since=next_cursor(answer)))
    assert [m["data"] for m in rest.json()["messages"]] == ["3"]


def test_only_a_page_between_places_that_stay_is_kept_for_ever(penstock):
    p = penstock(routes(batch={"messages": 2}))
    p.publish("news", "0")
    place = next_cursor(p.get(of("news")))
    for n in range(3):
        p.publish("quotes/A", str(n))
        p.publish("news", str(n))
    for since, kept in ((place, True), ("-1", False), ("oldest", False)):
        answer = p.get(f"/all?channel=news&since={place}"
                       f"&channel=quotes/A&since={since}")
        assert len(answer.json()["messages"]) == 2
        assert ("immutable" in answer.headers["Cache-Control"]) == kept


def test_a_long_poll_waits_for_any_of_them(penstock):
    p = penstock(routes())
    for channel in ("news", "quotes/A"):
        with raw.Client(p.port) as c:
            c.send_request("GET", of("news", "quotes/A") + "&wait=10", {})
            p.wait_for(lambda: readers(p, channel) == 1)
            p.publish(channel, "1")
            answer = c.response()
            assert [m["channel"] for m in answer.json()["messages"]] == [channel]


# --- what cannot be had -----------------------------------------------------------

@pytest.mark.parametrize("query,status,word", [
    ("", 400, "?channel=NAME"),
    ("?since=1", 400, "?channel=NAME"),
    ("?channel=", 404, "no channel"),
    ("?channel=nowhere/to/be", 404, "nowhere/to/be"),
    ("?channel=news&channel=%00", 404, "no channel"),
    ("?channel=%zz", 404, "no channel"),
    ("?" + "&".join(f"channel=quotes/{n}" for n in range(101)), 400, "100"),
])
def test_what_is_no_channel_is_refused(penstock, query, status, word):
    p = penstock(routes())
    answer = p.get("/all" + query)
    assert answer.status == status, answer
    assert word in answer.json()["detail"]


def test_a_route_with_channels_of_its_own_serves_no_others(penstock):
    p = penstock(routes())
    assert p.get(of("news", path="/rooms")).status == 404
    p.publish("rooms/x", "1")
    answer = p.get(of("rooms/x", path="/rooms"))
    assert answer.json()["messages"][0]["data"] == "1"


# --- subscribing while connected --------------------------------------------------

def test_a_client_subscribes_and_unsubscribes(penstock):
    p = penstock(routes())
    p.publish("news", "1")
    with WsClient(p, "/all").connect() as r:
        said = r.tell(subscribe="quotes/A")
        assert said["subscribed"] == "quotes/A"
        p.publish("quotes/A", "2")
        assert told(r.read(1)) == "quotes/A:2"
        assert r.tell(subscribe="news", since="oldest")["subscribed"] == "news"
        assert told(r.read(1)) == "news:1"
        assert r.tell(unsubscribe="quotes/A") == {"unsubscribed": "quotes/A"}
        p.wait_for(lambda: readers(p, "quotes/A") == 0)
        p.publish("quotes/A", "3")
        p.publish("news", "4")
        assert told(r.read(1)) == "news:4"


def test_the_place_that_a_subscription_tells_resumes_it(penstock):
    p = penstock(routes())
    for n in range(3):
        p.publish("news", str(n))
    with WsClient(p, of("quotes/A")).connect() as r:
        place = r.tell(subscribe="news", since="-2")["id"]
        assert told(r.read(2)) == "news:1 news:2"
    with WsClient(p, of("news")).connect(place) as r:
        assert told(r.read(2)) == "news:1 news:2"


def test_a_subscription_from_a_lost_place_is_a_gap(penstock):
    config = routes()
    config["routes"][2]["history"] = {"messages": 1}
    p = penstock(config)
    with WsClient(p, of("quotes/A")).connect() as r:
        p.publish("quotes/A", "0")
        place = r.read(1)[0][0]
        p.publish("news", "1")
        p.publish("news", "2")
        r.tell(subscribe="news", since=place)
        assert told(r.read(1)) == "news:2"
        assert (r.gaps, r.gap["channels"]) == (1, ["news"])


@pytest.mark.parametrize("text,channel", [
    ('{"subscribe":"nowhere"}', "nowhere"),
    ('{"subscribe":"news"}', "news"),
    ('{"unsubscribe":"quotes/A"}', "quotes/A"),
    ('{"subscribe":1}', None),
    ('{"subscribe":"news","unsubscribe":"news"}', None),
    ('{"subscribe":"quotes/A","since":3}', None),
    ("{}", None),
    ("hello", None),
    ("", None),
])
def test_what_cannot_be_done_is_said_and_the_stream_goes_on(penstock, text, channel):
    p = penstock(routes())
    with WsClient(p, of("news")).connect() as r:
        r.send(text)
        while not r.told:
            r.pull(time.monotonic() + 10)
        error = r.told.pop()["error"]
        assert error.get("channel") == channel and error["detail"]
        p.publish("news", "1")
        assert told(r.read(1)) == "news:1"


def test_without_the_subprotocol_messages_still_name_their_channels(penstock):
    p = penstock(routes())
    with WsClient(p, of("news", "quotes/A"), protocol=None).connect() as r:
        p.publish("quotes/A", "1")
        assert json.loads(r.recv())["channel"] == "quotes/A"


def test_a_hundred_channels_is_the_most(penstock):
    p = penstock(routes())
    with WsClient(p, of(*(f"quotes/{n}" for n in range(99)))).connect() as r:
        assert "subscribed" in r.tell(subscribe="quotes/99")
        assert "no more channels" in r.tell(subscribe="news")["error"]["detail"]


# --- the way back, sources, the end -----------------------------------------------

def test_a_message_is_posted_to_the_channel_that_is_named(penstock):
    p = penstock(routes())
    with client("sse", p, of("rooms/a", "rooms/b", path="/rooms")).connect() as r:
        answer = p.request("POST", of("rooms/b", path="/rooms"),
                             body=b"hi")
        assert answer.status == 201
        assert told(r.read(1)) == "rooms/b:hi"
    for path in ("/rooms", of("rooms/a", "rooms/b", path="/rooms")):
        assert p.request("POST", path, body=b"x").status == 400
    assert p.request("POST", of("news"), body=b"x").status == 405


@every_transport
def test_the_end_of_a_channel_is_survived_by_resuming(penstock, transport):
    p = penstock(routes())
    path = of("news", "quotes/A")
    with client(transport, p, path).connect() as r:
        p.publish("quotes/A", "1")
        cursor = r.read(1)[0][0]
    p.admin("DELETE", "/channels/news")
    p.publish("quotes/A", "2")
    p.publish("news", "3")
    with client(transport, p, path).connect(cursor) as r:
        assert told(r.read(2)) == "quotes/A:2 news:3"
        assert r.gaps == 0, "it had all of them"


def test_a_deleted_channel_ends_the_connection_cleanly(penstock):
    p = penstock(routes())
    with WsClient(p, of("news", "quotes/A")).connect() as w, \
            client("sse", p, of("news", "quotes/A")).connect() as s:
        p.wait_for(lambda: readers(p, "news") == 2)
        p.admin("DELETE", "/channels/news")
        assert w.wait_closed() == 1001
        with pytest.raises(raw.Closed):
            s.read(1)


@every_transport
def test_everything_comes_once_and_in_order_through_disconnects(penstock, transport):
    p = penstock(routes())
    channels = ["news", "quotes/A", "quotes/B", "quotes/C"]
    dice = random.Random(7)
    total, got, cursor = 300, [], "oldest"

    def publish(first):
        for n in range(first, total, 2):
            p.publish(channels[n % 4], str(n))
    publishers = [threading.Thread(target=publish, args=(i,)) for i in (0, 1)]
    for t in publishers:
        t.start()
    while len(got) < total:
        with client(transport, p, of(*channels)).connect(cursor) as r:
            got += r.read(min(dice.randint(1, 40), total - len(got)), 20)
            cursor = r.cursor
            assert r.gaps == 0
    for t in publishers:
        t.join()
    assert sorted(int(data) for _, _, data in got) == list(range(total))
    for channel in channels:
        mine = [int(data) for _, event, data in got
                if event == f"{channel}:message"]
        for parity in (0, 1):
            half = [n for n in mine if n % 2 == parity]
            assert half == sorted(half), "as each publisher sent them"


@pytest.mark.parametrize("transport", ("sse", "websocket"))
def test_the_newest_of_each_channel_is_what_latest_leaves(penstock, transport):
    p = penstock(routes(max_rate="2/s", lag="latest"))
    with client(transport, p, of("quotes/A", "quotes/B")).connect() as r:
        p.publish("quotes/A", "first")
        assert told(r.read(1)) == "quotes/A:first"
        for n in range(20):
            p.publish("quotes/A", str(n))
            p.publish("quotes/B", str(n))
        got = r.read(2)
        assert told(got) == "quotes/A:19 quotes/B:19"


def test_reload_lets_its_readers_be(penstock):
    p = penstock(routes())
    with client("sse", p, of("news")).connect() as r:
        p.signal(signal.SIGHUP)
        p.wait_for(lambda: p.log_lines("reload"))
        p.publish("news", "1")
        assert told(r.read(1)) == "news:1"


# --- envelopes on request -----------------------------------------------------------

def test_envelopes_over_sse_carry_type_and_encoding(penstock):
    p = penstock({"routes": [{"path": "/news", "source": "publish",
                              "envelope": True}]})
    with SseClient(p, "/news", enveloped=True).connect() as r:
        p.publish("news", '{"a": 1}', event="flash")
        p.publish("news", b"\xff\x00")
        (_, event, data), (_, _, binary) = r.read(2)
        assert (event, data, binary) == ("flash", '{"a":1}', b"\xff\x00")
