"""What of a backend's JSON is event type, id and data ("transform"), whatever
the source and the transport."""

import json
import signal

import pytest

from backend import Feed
from clients import TRANSPORTS, reader
from raw import wait_for
from ws_backend import WsBackend

QUICK = {"min": "10ms", "max": "30ms"}
PICK = {"event": "/type", "id": "/seq", "data": "/payload"}
TRADE = '{"type":"trade","seq":9007199254740993,"payload":{"f":1.10,"k":"\\/"}}'
TRADED = ("trade", '{"f":1.10,"k":"\\/"}')


def config(url, kind, transform=PICK, **source):
    return {"backends": {"app": url}, "routes": [{
        "path": "/n", "start": "oldest", "source": {
            kind: "app/n", "backoff": QUICK, "when": "always",
            "transform": transform, **source}}]}


def printed(data):
    """JSON as the other readers print it."""
    try:
        return json.dumps(json.loads(data), separators=(",", ":"))
    except (ValueError, TypeError):
        return data


def come_out(p, n):
    """What readers of each transport get; it is the same for all."""
    seen = []
    for transport in TRANSPORTS:
        with reader(transport, p, "/n").connect("oldest") as r:
            seen.append([(event, data if transport != "sse" else printed(data))
                         for _, event, data in r.read(n)])
    assert seen == [seen[0]] * 4
    return seen[0]


@pytest.mark.parametrize("kind", ["sse", "ndjson"])
def test_a_stream_is_taken_apart(penstock, backend, kind):
    feed = Feed()
    p = penstock(config(backend(getattr(feed, kind)).url, kind))
    feed.add(TRADE)
    feed.add('{"type":"halt","seq":2,"payload":[]}')
    with reader("sse", p, "/n").connect("oldest") as r:
        assert [m[1:] for m in r.read(2)] == [TRADED, ("halt", "[]")]
    p.wait_for(lambda: p.channel("n")["messages"] == 2)
    assert come_out(p, 2)[1] == ("halt", "[]")


def test_frames_of_a_websocket_are_taken_apart(penstock):
    async def script(b, ws):
        await ws.send('{"event":"update","payload":"{\\"id\\":\\"3\\"}"}')
        await ws.send('{"event":"delete","payload":"118000000000000003"}')
        await ws.send("ping")
    b = WsBackend(script)
    p = penstock(config(f"http://127.0.0.1:{b.port}", "websocket",
                        {"event": "/event", "text": "/payload"}))
    p.wait_for(lambda: (p.channel("n") or {}).get("messages") == 3)
    assert come_out(p, 3) == [("update", '{"id":"3"}'),
                              ("delete", "118000000000000003"),
                              ("message", "ping")]
    assert p.metric("source_untransformed_total") == 1
    p.stop()
    b.stop()


def test_items_of_a_poll_are_taken_apart(penstock, backend):
    items = f'[{TRADE},{{"type":"halt","seq":2,"payload":null}}]'
    b = backend(lambda request, conn: conn.respond(
        200, items, {"Content-Type": "application/json"}))
    p = penstock(config(b.url, "poll", every="20ms", each="/seq"))
    p.wait_for(lambda: (p.channel("n") or {}).get("messages") == 2)
    assert come_out(p, 2)[1] == ("halt", "null")


def test_what_is_not_there_stays_as_it_came(penstock, backend):
    feed = Feed()
    p = penstock(config(backend(feed.sse).url, "sse"))
    feed.add("ping", event="life")
    feed.add('{"seq":1,"type":"a\\nb"}', event="odd")
    feed.add('{"seq":2,"type":"whole","payload":0}')
    p.wait_for(lambda: (p.channel("n") or {}).get("messages") == 3)
    assert come_out(p, 3) == [("life", "ping"),
                              ("odd", '{"seq":1,"type":"a\\nb"}'),
                              ("whole", "0")]
    assert p.metric("source_untransformed_total") == 2


def test_what_is_repeated_after_a_reconnect_is_known_by_its_id(
        penstock, backend):
    feed = Feed()
    b = backend(feed.ndjson)  # it begins at the beginning each time
    p = penstock(config(b.url, "ndjson"))
    with reader("websocket", p, "/n").connect() as r:
        feed.add('{"type":"a","seq":1,"payload":1}')
        feed.add('{"type":"a","seq":2,"payload":1}')
        assert len(r.read(2)) == 2
        b.kill()
        wait_for(lambda: feed.readers == 0)
        feed.add('{"type":"a","seq":3,"payload":3}')
        b.restart()
        assert [m[1:] for m in r.read(1)] == [("a", "3")]
    assert p.metric("source_repeats_total") == 2


def test_a_reload_takes_apart_what_comes_from_then_on(penstock, backend):
    feed = Feed()
    p = penstock(config(backend(feed.sse).url, "sse"))
    with reader("sse", p, "/n").connect() as r:
        feed.add('{"type":"a","payload":1,"other":2}')
        assert [m[1:] for m in r.read(1)] == [("a", "1")]
        p.write_config(p.config | config(p.config["backends"]["app"], "sse",
                                         {"data": "/other"}))
        p.signal(signal.SIGHUP)
        p.wait_for(lambda: p.log_lines("info reload "))
        feed.add('{"type":"a","payload":1,"other":3}')
        assert [m[1:] for m in r.read(1)] == [("message", "3")]
    assert len(feed.asked) == 1
