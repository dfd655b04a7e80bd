"""penstock compare: one route, four transports, one table."""

import asyncio
import itertools
import json
import os
import subprocess
import threading

import pytest

from other_hub import OtherHub, each
from penstock import BINARY, Penstock

NEWS = {"path": "/news", "source": "publish"}


def compare(*args, clients=2):
    return subprocess.Popen(
        [BINARY, "compare", "--clients", str(clients), *map(str, args)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
        env=os.environ | Penstock.sanitizer_options())


def finish(process, status=0):
    try:
        out, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert "Sanitizer" not in errors, errors
    assert process.returncode == status, (process.returncode, out, errors)
    return out


def while_publishing(process, publish):
    """publish(n) again and again, until the process has ended."""
    over = threading.Event()

    def run():
        n = 0
        while not over.wait(0.05):
            n += 1
            publish(n)
    thread = threading.Thread(target=run)
    thread.start()
    try:
        process.wait(60)
    finally:
        over.set()
        thread.join()


def compared(p, *args, status=0, clients=2):
    process = compare("--for", "1500ms", "--every", "400ms", *args,
                      clients=clients)
    while_publishing(process, lambda n: p.publish(
        "news", json.dumps({"n": n, "text": "x" * 80}), "application/json"))
    return finish(process, status)


def test_all_four_side_by_side(penstock):
    p = penstock({"routes": [NEWS]})
    r = json.loads(compared(p, "--json", p.url("/news")))
    n = r["messages"]
    assert r["ok"] and n > 2 and 90 < r["size_bytes"] < 110
    for name in ("websocket", "sse", "longpoll"):
        t = r["transports"][name]
        assert t["served"] and t["delivered"] == 2 * n, name
        assert t["lost"] == t["again"] == t["late"] == t["merged"] == 0
        assert t["age_ms"]["count"] == t["delay_ms"]["count"] == 2 * n
        assert t["connects"] == 2
        assert t["bytes_in_per_message"] > 90
    poll = r["transports"]["poll"]
    assert poll["merged"] > 0 and poll["delivered"] + poll["merged"] == 2 * n
    assert poll["delay_ms"]["count"] == 2 * n
    assert poll["delay_ms"]["p50"] > r["transports"]["sse"]["delay_ms"]["p50"]
    assert r["transports"]["longpoll"]["requests"] > 2
    # Followers ask for nothing once they follow.
    assert r["transports"]["sse"]["requests"] == 0
    assert r["transports"]["websocket"]["bytes_out"] == 0


def test_a_notice_by_websocket_is_no_message(ws_backend):
    async def speak(b, ws):
        for n in itertools.count():
            for notice in ({"gap": True}, {"stale": n % 2 > 0},
                           {"advice": {"transport": "sse", "n": n}},
                           {"event": "penstock.join", "data": n}):
                await ws.send(json.dumps(notice, separators=(",", ":")))
            await ws.send(f'{{"id":"x-{n}","data":"ten octets"}}')
            await asyncio.sleep(0.02)
    url = f"ws://127.0.0.1:{ws_backend(speak).port}/"
    r = json.loads(finish(compare("--for", "500ms", "--every", "100ms",
                                  "--json", url, clients=1)))
    assert r["messages"] > 5
    assert r["size_bytes"] == 10
    assert r["transports"]["websocket"]["delivered"] == r["messages"]


def test_the_table_explains_itself(penstock):
    p = penstock({"routes": [NEWS]})
    out = compared(p, p.url("/news"))
    for words in ("WebSocket", "SSE", "long poll", "poll", "delay:", "bytes:",
                  "messages that a client got", "2 clients of each transport",
                  "a second", "In short", "Soonest: ", "Least traffic: ",
                  "  So: ", "Polls saw ", "What the rows mean",
                  "Not seen here", "penstock advise"):
        assert words in out, out
    assert all(len(line) <= 84 for line in out.splitlines()), out


def test_a_transport_that_the_route_lacks(penstock):
    p = penstock({"routes": [{**NEWS, "transports": ["sse", "poll"]}]})
    out = compared(p, p.url("/news"))
    assert "No WebSocket: this route does not serve it (406)" in out
    assert "No long poll: this route answers it like a poll (200)" in out
    assert "(penstock.v1)" not in out
    head = next(line for line in out.splitlines() if "SSE" in line)
    assert head.split() == ["SSE", "poll"]


def test_what_a_route_said_before_does_not_count(penstock):
    p = penstock({"routes": [{**NEWS, "start": "oldest"}]})
    for i in range(50):
        p.publish("news", f"old {i}")
    r = json.loads(finish(compare("--json", "--for", "200ms", "--every", "100ms",
                                  p.url("/news")), 1))
    assert r["messages"] == 0
    assert r["transports"]["sse"]["delivered"] == 0


def test_nothing_new_tells_what_waiting_costs(penstock):
    p = penstock({"routes": [NEWS]})
    out = finish(compare("--for", "200ms", "--every", "50ms", p.url("/news")), 1)
    assert "/news: nothing new in 0 s." in out
    assert "In short, while there is no news" in out
    assert "bytes both ways, a minute" in out
    assert "listen until there is some" in out.replace("\n", " ")
    assert "a message " not in out and "Soonest" not in out


@pytest.mark.parametrize("tags", [True, False], ids=["etag", "no-etag"])
def test_a_plain_resource_is_polled(backend, tags):
    """As through a proxied route, whatever it knows of conditions."""
    said = itertools.count()

    def answer(request, conn):
        n = next(said) // 40
        tag = {"ETag": f'"{n}"'} if tags else {}
        conn.respond(200, f"rain {n}".encode(), tag)
    process = compare("--for", "1s", "--every", "50ms", backend(answer).url)
    out = finish(process)
    assert "No SSE: this route answers it like a poll (200)" in out
    assert "It looks like a plain resource" in out and "FAULT" not in out
    row = next(line for line in out.splitlines() if "nothing new" in line)
    assert float(row.split()[-1]) > 5


@pytest.mark.parametrize("url,why,hint", [
    ("http://127.0.0.1:1/x", "no connection to the server",
     "Is the server running"),
    ("http://no-such-host.invalid/x", "the server's name has no address",
     "Is the server running"),
])
def test_no_server(url, why, hint):
    out = finish(compare(url), 1)
    assert out.splitlines() == [
        f"{url} cannot be read: {why}.", f"{hint}, and is that its address?"]


def test_https_where_there_is_none(penstock):
    url = penstock({"routes": [NEWS]}).url("/news").replace("http:", "https:")
    out = finish(compare(url), 1)
    assert f"{url} cannot be read: the server speaks no TLS." in out
    assert "http, not https" in out


def test_no_such_route(penstock):
    p = penstock({"routes": [NEWS]})
    out = finish(compare(p.url("/old")), 1)
    assert "it answers 404 to all" in out and "nothing at that path" in out


def test_who_asks(penstock, backend):
    def refuse(request, conn):
        conn.respond(401, b"", {"WWW-Authenticate": "Basic"})
    out = finish(compare(backend(refuse).url + "/x"), 1)
    assert "it answers 401 to all" in out and "--header 'Authorization" in out


def test_a_server_that_fails(backend):
    out = finish(compare(backend(
        lambda request, conn: conn.respond(503, b"")).url), 1)
    assert "it answers 503 to all" in out and "its log may tell why" in out


def test_a_header_is_sent(backend):
    b = backend()
    finish(compare("--for", "100ms", "--every", "100ms", "--header", "X-Who: me",
                   b.url), 1)
    assert {r.headers.get("X-Who") for r in b.requests} == {"me"}


@pytest.mark.parametrize("ids", [True, False], ids=["ids", "no-ids"])
def test_another_servers_event_stream(backend, ids):
    hub = OtherHub(ids=ids)
    process = compare("--json", "--for", "500ms", backend(hub.handler).url
                      + "/sse")
    while_publishing(process, lambda n: hub.publish(f"message {n}"))
    r = json.loads(finish(process))
    assert r["messages"] > 0
    assert r["transports"]["sse"]["delivered"] == 2 * r["messages"]
    # To any request it answers with that stream.
    assert not r["transports"]["websocket"]["served"]


def test_what_one_client_loses_is_told(backend):
    """Each second stream lacks each third message."""
    streams = []

    def drop(id, data):
        if threading.get_ident() not in streams:
            streams.append(threading.get_ident())
        mine = streams.index(threading.get_ident()) % 2
        return [] if mine and id % 3 == 0 else [(id, data)]
    hub = OtherHub(each(drop))

    def handler(request, conn):
        if request.headers.get("Accept") == "text/event-stream":
            hub.handler(request, conn)
        else:
            conn.respond(406, b"")
    process = compare("--for", "1s", backend(handler).url + "/sse")
    while_publishing(process, lambda n: hub.publish(f"message {n}"))
    out = finish(process, 1)
    assert "FAULT: by SSE its 2 clients lost" in out


@pytest.mark.parametrize("args,words", [
    ((), "which URL?"),
    (("--for", "long", "http://a/"), '--for does not take "long"'),
    (("--clients", "0", "http://a/"), '--clients does not take "0"'),
    (("gopher://a/",), "no URL that begins with http://"),
    (("localhost:8080/x",), "no URL that begins with http://"),
])
def test_it_is_called_in_a_wrong_way(args, words):
    process = subprocess.run([BINARY, "compare", *args], capture_output=True,
                             text=True, check=False, timeout=20)
    assert process.returncode == 2 and words in process.stderr


def test_help():
    done = subprocess.run([BINARY, "compare", "--help"], capture_output=True,
                          text=True, check=True, timeout=20)
    assert "--clients" in done.stdout and "penstock compare http" in done.stdout
