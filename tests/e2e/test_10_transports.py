"""One history read in four ways.  What holds for all of them is here once."""

import base64
import json
import threading

import pytest

import programs
import raw
from clients import (TRANSPORTS, SseClient, SseParser, WsClient, next_cursor,
                     reader)

ALL = ["poll", "longpoll", "sse", "websocket"]
FOLLOWERS = ("sse", "websocket")
every_transport = pytest.mark.parametrize("transport", TRANSPORTS)


def news(**keys):
    return {"routes": [{"path": "/news", "source": "publish",
                        "transports": ALL, **keys}]}


def publish_numbers(p, first, last):
    """Messages "first" to "last"; their ids."""
    return [p.publish("news", str(n)) for n in range(first, last + 1)]


def data_of(messages):
    return [data for _, _, data in messages]


def numbers(first, last):
    return [str(n) for n in range(first, last + 1)]


# --- one cursor, any transport -----------------------------------------------

def test_a_client_changes_transport_in_mid_stream(penstock):
    p = penstock(news())
    ids = publish_numbers(p, 1, 6)
    got, cursor = [], "oldest"
    for transport in ("sse", "longpoll", "websocket", "poll"):
        with reader(transport, p, "/news").connect(cursor) as r:
            got += r.read(3)
            cursor = r.cursor
            assert r.gaps == 0
        publish_numbers(p, len(ids) + 1, len(ids) + 3)
        ids += [None] * 3
    assert data_of(got) == numbers(1, 12)
    assert len({id for id, _, _ in got}) == 12


def test_changing_transport_while_messages_flow_loses_nothing(penstock):
    p = penstock(news())
    total, got, cursor = 400, [], "oldest"
    publisher = threading.Thread(target=publish_numbers, args=(p, 1, total))
    publisher.start()
    turn = 0
    while len(got) < total:
        with reader(TRANSPORTS[turn % 4], p, "/news").connect(cursor) as r:
            got += r.read(min(1 + turn % 7, total - len(got)), timeout=20)
            cursor = r.cursor
            assert r.gaps == 0
        turn += 1
    publisher.join()
    assert data_of(got) == numbers(1, total)


@every_transport
def test_two_readers_get_the_same_ids(penstock, transport):
    p = penstock(news())
    with reader(transport, p, "/news").connect() as a, \
            reader("sse", p, "/news").connect() as b:
        ids = publish_numbers(p, 1, 5)
        assert [m[0] for m in a.read(5)] == ids
        assert [m[0] for m in b.read(5)] == ids


@every_transport
def test_ids_are_short_and_plain(penstock, transport):
    p = penstock(news())
    p.publish("news", "x")
    with reader(transport, p, "/news").connect("oldest") as r:
        (id, _, _), = r.read(1)
    assert len(id) <= 64
    assert id.replace("-", "").replace("_", "").isalnum()


# --- where a reader starts ----------------------------------------------------

@every_transport
@pytest.mark.parametrize("since, expected", [
    ("oldest", numbers(1, 5)), ("-2", numbers(4, 5)), ("-1", ["5"]),
    ("-99", numbers(1, 5))])
def test_a_cursor_in_words(penstock, transport, since, expected):
    p = penstock(news())
    publish_numbers(p, 1, 5)
    with reader(transport, p, "/news").connect(since) as r:
        assert data_of(r.read(len(expected))) == expected
        assert r.gaps == 0
        p.publish("news", "last")
        assert data_of(r.read(1)) == ["last"]


@every_transport
def test_now_leaves_out_what_was(penstock, transport):
    p = penstock(news())
    publish_numbers(p, 1, 3)
    with reader(transport, p, "/news").connect() as r:
        p.publish("news", "4")
        assert data_of(r.read(1)) == ["4"]


@pytest.mark.parametrize("transport", FOLLOWERS)
@pytest.mark.parametrize("start, expected", [
    ("now", []), ("last", ["3"]), ("oldest", numbers(1, 3))])
def test_a_follower_without_a_cursor_starts_where_the_route_says(
        penstock, transport, start, expected):
    p = penstock(news(start=start))
    publish_numbers(p, 1, 3)
    with reader(transport, p, "/news").connect() as r:
        p.publish("news", "4")
        assert data_of(r.read(len(expected) + 1)) == expected + ["4"]


@pytest.mark.parametrize("transport", FOLLOWERS)
@pytest.mark.parametrize("junk", ["", "x", "--1", "-0x3", "1-2-3-", "-",
                                  "99999999999999999999999-1", "a" * 300,
                                  "\u00e9", "now ", "0-0"])
def test_a_cursor_that_cannot_be_parsed_is_none(penstock, transport, junk):
    """Never an error: it reads on, from now or after a gap mark."""
    p = penstock(news())
    p.publish("news", "old")
    r = reader(transport, p, "/news")
    if transport == "sse":
        r.connect(junk, by_query=True)
    else:
        r.connect(junk)
    with r:
        p.publish("news", "new")
        assert data_of(r.read_until("new"))[-1] == "new"


def test_last_event_id_goes_before_since(penstock):
    p = penstock(news())
    ids = publish_numbers(p, 1, 4)
    with SseClient(p, "/news?since=oldest").connect(ids[2]) as r:
        assert data_of(r.read(1)) == ["4"]


@pytest.mark.parametrize("form", ['"{}"', 'W/"{}"', '"x", W/"{}"'])
def test_if_none_match_is_a_cursor_of_a_long_poll(penstock, form):
    p = penstock(news())
    ids = publish_numbers(p, 1, 2)
    answer = p.get("/news?wait=5", {"If-None-Match": form.format(ids[0])})
    assert [m["data"] for m in answer.json()["messages"]] == ["2"]


# --- lost nothing, or told -----------------------------------------------------

@every_transport
def test_a_cursor_no_longer_covered_gets_a_gap_mark(penstock, transport):
    p = penstock(news(history={"messages": 5}))
    ids = publish_numbers(p, 1, 20)
    with reader(transport, p, "/news").connect(ids[2]) as r:
        assert data_of(r.read(5)) == numbers(16, 20)
        assert r.gaps == 1


@every_transport
def test_the_last_covered_cursor_gets_none(penstock, transport):
    p = penstock(news(history={"messages": 5}))
    ids = publish_numbers(p, 1, 20)
    with reader(transport, p, "/news").connect(ids[14]) as r:
        assert data_of(r.read(5)) == numbers(16, 20)
        assert r.gaps == 0


@every_transport
def test_a_cursor_of_a_lost_history_gets_a_gap_mark(penstock, transport):
    before = penstock(news())
    old = publish_numbers(before, 1, 3)[0]
    p = penstock(news())
    publish_numbers(p, 11, 13)
    with reader(transport, p, "/news").connect(old) as r:
        assert data_of(r.read(3)) == numbers(11, 13)
        assert r.gaps == 1


@pytest.mark.parametrize("transport", FOLLOWERS)
def test_a_gap_says_from_where_to_where(penstock, transport):
    p = penstock(news(history={"messages": 5}))
    ids = publish_numbers(p, 1, 20)
    with reader(transport, p, "/news").connect(ids[2]) as r:
        r.read(5)
        assert r.gap == {"from": ids[2], "to": ids[15]}


# --- every client there is ------------------------------------------------------

@pytest.mark.chromium
def test_every_client_sees_the_same_ids(penstock, backend, tmp_path):
    b = backend(lambda request, conn: conn.respond(
        200, "<!doctype html><title>t</title>", {"Content-Type": "text/html"}))
    config = news()
    config["backends"] = {"app": b.url}
    config["routes"].append({"path": "/*", "proxy": "app"})
    p = penstock(config)
    with SseClient(p, "/news").connect() as sse, \
            WsClient(p, "/news").connect() as ws, \
            programs.node_eventsource(p.url("/news"), 5) as node_sse, \
            programs.node_ws(p.url("/news", "ws"), 5) as node_ws, \
            programs.chromium(p.url("/page"), "/news", 5, tmp_path / "profile"
                              ) as chromium:
        for script in (node_sse, node_ws, chromium):
            script.wait_ready()
        ids = publish_numbers(p, 1, 5)
        browser = chromium.result()
        assert [m[0] for m in sse.read(5)] == ids
        assert [m[0] for m in ws.read(5)] == ids
        assert [m["id"] for m in node_sse.result()] == ids
        assert [m["id"] for m in node_ws.result()] == ids
        assert [m["id"] for m in browser["eventsource"]] == ids
        assert [m["id"] for m in browser["websocket"]] == ids
    status, out = programs.curl(
        "-H", "Accept: text/event-stream", "-H", "Last-Event-ID: oldest",
        p.url("/news"), timeout=1)
    assert status == 28  # the stream went on
    got = []
    SseParser(lambda *event: got.append(event)).feed(out)
    assert [m[0] for m in got] == ids


@pytest.mark.node
def test_node_eventsource_resumes_and_hears_types(penstock):
    p = penstock(news())
    ids = [p.publish("news", "a\nb", event="alarm"), p.publish("news", "c")]
    with programs.node_eventsource(p.url("/news"), 2, ["alarm"],
                                   since="oldest") as client:
        assert client.wait_ready().result() == [
            {"id": ids[0], "event": "alarm", "data": "a\nb"},
            {"id": ids[1], "event": "message", "data": "c"}]


# --- which transport answers ----------------------------------------------------

def only(*transports):
    return news(transports=list(transports))


def ws_headers():
    return {"Connection": "Upgrade", "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode()}


def test_a_bare_get_of_an_sse_route_streams(penstock):
    p = penstock(only("sse"))
    with p.client() as c:
        c.send_request("GET", "/news", {"Accept": "*/*"})
        assert c.head().headers["Content-Type"].startswith("text/event-stream")


def test_a_bare_get_of_a_poll_route_is_the_latest(penstock):
    p = penstock(only("poll", "sse"))
    p.publish("news", "x", type="text/plain")
    answer = p.get("/news", {"Accept": "*/*"})
    assert (answer.status, answer.text) == (200, "x")


def test_a_bare_get_of_a_websocket_route_is_426(penstock):
    answer = penstock(only("websocket")).get("/news")
    assert answer.status == 426
    assert "Upgrade" in answer.headers["Connection"]
    assert answer.headers["Upgrade"].lower() == "websocket"
    assert "websocket" in answer.text


@pytest.mark.parametrize("headers", [{"Accept": "text/event-stream"},
                                     ws_headers()])
def test_a_transport_that_is_not_served_is_406(penstock, headers):
    answer = penstock(only("poll")).get("/news", headers)
    assert answer.status == 406
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert "poll" in answer.text


def test_prefer_wait_without_long_polling_answers_at_once(penstock):
    p = penstock(only("poll"))
    p.publish("news", "x")
    answer = p.get("/news", {"Prefer": "wait=20"}, timeout=5)
    assert (answer.status, answer.text) == (200, "x")


@pytest.mark.parametrize("transports", [["sse"], ["longpoll"], ["poll"]])
def test_other_methods_are_405(penstock, transports):
    p = penstock(only(*transports))
    answer = p.request("DELETE", "/news")
    assert answer.status == 405
    assert "GET" in answer.headers["Allow"]


# --- SSE --------------------------------------------------------------------------

def test_sse_answers_with_its_headers_at_once(penstock):
    p = penstock(news())
    with SseClient(p, "/news").connect() as r:
        r.wait_comments(1)
        headers = r.response.headers
        cache = headers["Cache-Control"].replace(" ", "").split(",")
        assert {"no-store", "no-transform"} <= set(cache)
        assert headers["X-Accel-Buffering"] == "no"
        p.publish("news", "x")
        r.read(1)
        assert r.parser.retry_ms > 0


@pytest.mark.parametrize("version, framing", [("1.1", "chunked"),
                                              ("1.0", "close")])
def test_sse_is_framed_as_the_version_knows(penstock, version, framing):
    p = penstock(news())
    with SseClient(p, "/news").connect("oldest", version=version) as r:
        assert r.response.body.kind == framing
        p.publish("news", "x")
        assert data_of(r.read(1)) == ["x"]


@pytest.mark.parametrize("data", ["a\nb", "a\r\nb", "a\rb", "\n", "a\n\nid: 9",
                                  "a\n", "", " x", "data: y", ": c", "\u20ac"])
def test_data_arrives_whole_and_forges_nothing(penstock, data):
    p = penstock(news())
    id = p.publish("news", data.encode())
    p.publish("news", "end")
    with SseClient(p, "/news").connect("oldest") as r:
        lines = data.replace("\r\n", "\n").replace("\r", "\n")
        # An event without data is dispatched to nobody: the id still counts.
        expected = [] if data == "" else [(id, "message", lines)]
        assert r.read_until("end")[:-1] in (expected, [(id, "message", lines)])


def test_head_of_a_stream_has_headers_and_no_body(penstock):
    p = penstock(only("sse"))
    with p.client() as c:
        answer = c.request("HEAD", "/news", {"Accept": "text/event-stream"})
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        again = c.request("HEAD", "/news", {"Accept": "text/event-stream"})
        assert again.status == 200  # nothing came between: one connection


def test_silence_on_sse_is_filled_with_comments(penstock):
    p = penstock(news(heartbeat="200ms"))
    with SseClient(p, "/news").connect() as r:
        r.wait_comments(4, timeout=5)
        assert r.pending == []


def test_binary_travels_as_base64(penstock):
    p = penstock(news())
    data = bytes(range(256))
    p.publish("news", data, type="application/octet-stream")
    with SseClient(p, "/news").connect("oldest") as r:
        assert base64.b64decode(r.read(1)[0][2]) == data


# --- WebSocket -----------------------------------------------------------------------

def test_a_plain_websocket_carries_data_alone(penstock):
    p = penstock(news())
    p.publish("news", "text \u20ac".encode())
    p.publish("news", b"\xff\x00", type="application/octet-stream")
    with WsClient(p, "/news", protocol=None).connect("oldest") as r:
        assert r.recv() == "text \u20ac"
        assert r.recv() == b"\xff\x00"


def test_json_is_embedded_octet_by_octet(penstock):
    p = penstock(news())
    data = '{"n": 12345678901234567890, "f":1.10,"u":"\\u20ac"}'
    p.publish("news", data, type="application/json")
    with WsClient(p, "/news").connect("oldest") as r:
        frame = r.recv()
        assert data in frame
        assert json.loads(frame)["data"]["f"] == 1.1
    assert data in p.get("/news?since=oldest").text


def test_the_envelope_marks_binary(penstock):
    p = penstock(news())
    p.publish("news", b"\xff\x00", type="application/octet-stream")
    with WsClient(p, "/news").connect("oldest") as r:
        m = json.loads(r.recv())
        assert m["encoding"] == "base64"
        assert base64.b64decode(m["data"]) == b"\xff\x00"


def test_a_websocket_answers_pings_and_close(penstock):
    p = penstock(news())
    r = WsClient(p, "/news").connect()
    r.ping()
    r.close(1000)
    assert r.close_code == 1000


def test_silence_on_a_websocket_is_filled_with_pings(penstock):
    p = penstock(news(heartbeat="200ms"))
    with p.client() as c:
        c.send_request("GET", "/news", ws_headers())
        assert c.head().status == 101
        assert c.stream.read_exactly(1, c.deadline(5)) == b"\x89"


def test_two_hundred_websocket_readers_get_every_message(penstock):
    p = penstock(news())
    readers = [WsClient(p, "/news").connect() for _ in range(200)]
    ids = publish_numbers(p, 1, 20)
    for r in readers:
        assert [m[0] for m in r.read(20)] == ids
        r.close()


# --- long poll ------------------------------------------------------------------------

def test_a_long_poll_waits_for_the_next_message(penstock):
    p = penstock(news())
    cursor = p.publish("news", "1")
    with p.client() as c:
        c.send_request("GET", f"/news?wait=20&since={cursor}")
        with pytest.raises(TimeoutError):
            c.head(timeout=0.2)
        id = p.publish("news", "2", event="t")
        answer = c.response()
    assert answer.status == 200
    message, = answer.json()["messages"]
    assert (message["id"], message["event"], message["data"]) == (id, "t", "2")
    assert "time" in message
    assert answer.json()["next"] == id
    assert answer.headers["ETag"].strip("W/") == f'"{id}"'
    assert next_cursor(answer) == id
    assert "no-store" in answer.headers["Cache-Control"]


def test_a_long_poll_takes_everything_at_once(penstock):
    p = penstock(news())
    publish_numbers(p, 1, 20)
    batch = p.get("/news?wait=5&since=oldest").json()
    assert [m["data"] for m in batch["messages"]] == numbers(1, 20)


def test_an_empty_long_poll_is_204_and_says_where_to_go_on(penstock):
    p = penstock(news())
    p.publish("news", "old")
    answer = p.get("/news?wait=1")
    assert answer.status == 204
    p.publish("news", "new")
    batch = p.get(f"/news?wait=1&since={next_cursor(answer)}").json()
    assert [m["data"] for m in batch["messages"]] == ["new"]


def test_an_empty_long_poll_of_a_new_channel_can_go_on(penstock):
    p = penstock(news())
    answer = p.get("/news?wait=1")
    assert answer.status == 204
    p.publish("news", "first")
    batch = p.get(f"/news?wait=1&since={next_cursor(answer)}").json()
    assert [m["data"] for m in batch["messages"]] == ["first"]
    assert "gap" not in batch


def test_an_empty_long_poll_with_an_etag_is_304(penstock):
    p = penstock(news())
    id = p.publish("news", "x")
    answer = p.get("/news", {"Prefer": "wait=1", "If-None-Match": f'"{id}"'})
    assert answer.status == 304
    assert next_cursor(answer) == id


@pytest.mark.parametrize("late", [False, True])
def test_a_long_poll_with_a_body_ends_in_time(penstock, late):
    p = penstock(news())
    with p.client() as c:
        c.send_request("GET", "/news", {"Prefer": "wait=1",
                                        "Content-Length": "3"})
        if late:
            threading.Timer(0.2, c.send, (b"abc",)).start()
        else:
            c.send(b"abc")
        assert c.response().status == 204


def test_a_stream_whose_request_has_a_body_has_heartbeats(penstock):
    p = penstock(news(heartbeat="200ms"))
    with p.client() as c:
        c.send_request("GET", "/news", {"Accept": "text/event-stream",
                                        "Content-Length": "3"})
        assert c.head().status == 200
        c.send(b"abc")
        for _ in range(3):
            c.stream.read_until(b":\n\n", c.deadline(5))


def test_the_route_caps_the_wait(penstock):
    p = penstock(news(wait="1s"))
    assert p.get("/news?wait=3600", timeout=5).status == 204


def test_a_client_that_vanished_gets_the_message_on_its_next_poll(penstock):
    p = penstock(news())
    cursor = p.publish("news", "1")
    with p.client() as c:
        c.send_request("GET", f"/news?wait=20&since={cursor}")
        p.wait_for(lambda: p.channel("news")["readers"] == 1)
        c.rst()
    p.publish("news", "2")
    with reader("longpoll", p, "/news").connect(cursor) as r:
        assert data_of(r.read(1)) == ["2"]


# --- poll ------------------------------------------------------------------------------

def test_a_poll_looks_like_the_resource(penstock):
    p = penstock(news())
    id = p.publish("news", '{"a": 1}', type="application/vnd.x+json")
    answer = p.get("/news")
    assert (answer.status, answer.content) == (200, b'{"a": 1}')
    assert answer.headers["Content-Type"] == "application/vnd.x+json"
    assert answer.headers["ETag"].strip("W/") == f'"{id}"'
    assert "Last-Modified" in answer.headers
    again = p.get("/news", {"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.content) == (304, b"")


def test_a_poll_before_the_first_message_is_204(penstock):
    assert penstock(news()).get("/news").status == 204


def test_head_of_a_poll_is_its_get_without_the_body(penstock):
    p = penstock(news())
    p.publish("news", "12345")
    with p.client() as c:
        head, get = c.request("HEAD", "/news"), c.get("/news")
    assert head.status == 200
    for name in ("Content-Length", "Content-Type", "ETag"):
        assert head.headers[name] == get.headers[name]


def test_a_poll_with_a_cursor_is_a_batch_at_once(penstock):
    p = penstock(news())
    ids = publish_numbers(p, 1, 3)
    batch = p.get("/news", {"Last-Event-ID": ids[0]}).json()
    assert [m["id"] for m in batch["messages"]] == ids[1:]
    assert batch["next"] == ids[2]


def test_a_batch_is_bounded_and_goes_on(penstock):
    p = penstock(news(batch={"messages": 10}))
    publish_numbers(p, 1, 25)
    with reader("poll", p, "/news").connect("oldest") as r:
        assert data_of(r.read(25)) == numbers(1, 25)
        assert all(len(a.json()["messages"]) <= 10 for a in r.answers
                   if a.status == 200)


@pytest.mark.parametrize("dribble", [False, True])
def test_a_request_in_pieces_is_the_same_request(penstock, dribble):
    p = penstock(news())
    p.publish("news", "x")
    said, codes = raw.exchange(
        p, "GET /news HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
        dribble)
    assert codes == [200]
    assert said.endswith(b"\r\n\r\nx")
