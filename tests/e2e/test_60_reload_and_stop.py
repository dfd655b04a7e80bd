"""What happens to those who are connected when the configuration changes and
when the server stops."""

import signal
import socket
import subprocess
import threading
import time

import pytest

import penstock as penstock_module
import raw
from clients import TRANSPORTS, WsClient, reader

ALL = ["poll", "longpoll", "sse", "websocket"]
NEWS = {"path": "/news", "source": "publish", "transports": ALL}
OTHER = {"path": "/other", "source": "publish", "transports": ALL}


def config(*routes, **keys):
    return {"routes": list(routes), **keys}


def reload(p, routes=None, **keys):
    """SIGHUP with these routes in the file; ends when it has been taken."""
    before = len(p.log_lines(" reload file="))
    p.write_config({**p.config, **keys,
                    "routes": routes or p.config["routes"]})
    p.signal(signal.SIGHUP)
    p.wait_for(lambda: len(p.log_lines(" reload file=")) > before, 10, "reload")


def served(p, path, status):
    """Workers take a reload one after another."""
    p.wait_for(lambda: {p.get(path + "?wait=0").status for _ in range(8)}
               == {status}, 5, f"{path}: {status}")


# --- reload -----------------------------------------------------------------------

def test_readers_of_all_transports_go_on_over_a_reload(penstock):
    p = penstock(config(NEWS, workers=2))
    readers = [reader(t, p, "/news").connect() for t in TRANSPORTS]
    ids = [p.publish("news", "before")]
    for r in readers:
        assert r.read(1) == [(ids[0], "message", "before")]
    reload(p, [NEWS, OTHER])
    served(p, "/other", 204)
    ids.append(p.publish("news", "after"))
    for r in readers:
        assert r.read(1) == [(ids[1], "message", "after")]
        assert r.gaps == 0
        r.close()
    assert ids[0].split("-")[0] == ids[1].split("-")[0]
    assert p.metric("connections_total") > 0 and p.metric("gaps_total") == 0


def test_followers_keep_their_connection_over_a_reload(penstock):
    p = penstock(config(NEWS, workers=2))
    with reader("sse", p, "/news").connect() as sse, \
            reader("websocket", p, "/news").connect() as ws:
        reload(p, [NEWS, OTHER])
        served(p, "/other", 204)
        assert p.channel("news")["readers"] == 2
        p.publish("news", "x")
        assert sse.read(1)[0][2] == ws.read(1)[0][2] == "x"
    assert p.metric("readers_opened_total") >= 2


def test_a_waiting_long_poll_is_answered_after_a_reload(penstock):
    p = penstock(config(NEWS))
    with p.client() as c:
        c.send_request("GET", "/news?wait=20")
        p.wait_for(lambda: (p.channel("news") or {}).get("readers") == 1)
        reload(p, [NEWS, OTHER])
        id = p.publish("news", "x")
        assert c.response().json()["messages"][0]["id"] == id


def test_a_route_that_is_gone_serves_nobody_new(penstock):
    p = penstock(config(NEWS, OTHER, workers=2))
    with reader("sse", p, "/other").connect() as r:
        reload(p, [NEWS])
        served(p, "/other", 404)
        served(p, "/news", 204)
        assert p.admin("POST", "/channels/other", body="x").status == 404
        with pytest.raises(raw.Closed, match="ended"):
            r.read(1)


def test_bounds_of_a_history_follow_a_reload(penstock):
    p = penstock(config({**NEWS, "history": {"messages": 10}}))
    for n in range(10):
        p.publish("news", str(n))
    reload(p, [{**NEWS, "history": {"messages": 3}}])
    p.publish("news", "10")
    p.wait_for(lambda: p.channel("news")["messages"] == 3, 5, "the new bound")


@pytest.mark.parametrize("text, says", [
    ('{\n  "listen": ["127.0.0.1:0"],\n  "routes": [\n', ":4:"),
    ('{\n "listen": ["127.0.0.1:0"],\n "routes": [{"path": "/news",\n'
     '   "source": "publsh"}]\n}\n', ":4:"),
    (None, "reload.failed"),
])
def test_a_broken_file_changes_nothing_and_the_log_says_why(penstock, text,
                                                            says):
    p = penstock(config(NEWS))
    with reader("sse", p, "/news").connect() as r:
        if text is None:
            p.file.unlink()
        else:
            p.file.write_text(text)
        p.signal(signal.SIGHUP)
        p.wait_for(lambda: p.log_lines("error reload.failed",
                                       "config=unchanged"), 5, "the refusal")
        p.wait_for(lambda: p.log_lines(f"{p.file.name}{says}" if text else says),
                   5, "the reason")
        p.publish("news", "on it goes")
        assert r.read(1)[0][2] == "on it goes"
        assert p.get("/news").text == "on it goes"
    reload(p, [NEWS, OTHER])
    served(p, "/other", 204)


def test_what_needs_a_restart_is_said(penstock):
    p = penstock(config(NEWS, workers=1))
    reload(p, workers=2)
    p.wait_for(lambda: p.log_lines("warn reload", "workers=kept"))


def test_many_reloads_at_once_are_all_survived(penstock):
    p = penstock(config(NEWS, workers=4))
    stop = threading.Event()
    failures = []

    def ask():
        while not stop.is_set():
            answer = p.get("/news?wait=0")
            if answer.status not in (200, 204):
                failures.append(answer)

    askers = [threading.Thread(target=ask) for _ in range(2)]
    for t in askers:
        t.start()
    with reader("sse", p, "/news").connect() as r:
        for n in range(300):
            p.signal(signal.SIGHUP)
            if n % 20 == 0:
                p.publish("news", str(n))
        stop.set()
        for t in askers:
            t.join()
        reload(p, [NEWS, OTHER])
        served(p, "/other", 204)
        assert [m[2] for m in r.read(15)] == [str(n) for n in range(0, 300, 20)]
    assert not failures


# --- stop -------------------------------------------------------------------------

class Stopping:
    """Follows what the process does after SIGTERM."""

    def __init__(self, p):
        self.p = p
        self.began = time.monotonic()
        p.signal(signal.SIGTERM)

    def wait(self, timeout):
        """Its exit status."""
        code = self.p.process.wait(timeout)
        self.took_s = time.monotonic() - self.began
        return code


def test_sigterm_says_good_bye_on_every_transport(penstock, backend):
    asked, go = threading.Event(), threading.Event()

    def handler(request, conn):
        asked.set()
        go.wait(10)
        conn.respond(200, b"done")

    b = backend(handler)
    p = penstock(config(NEWS, {"path": "/app/*", "proxy": "app"}, workers=2,
                        backends={"app": b.url},
                        limits={"drain_timeout": "8s"}))
    sse = reader("sse", p, "/news").connect()
    ws = WsClient(p, "/news").connect()
    poll, proxied = p.client(), p.client()
    poll.send_request("GET", "/news?wait=20")
    proxied.send_request("GET", "/app/x")
    p.wait_for(lambda: (p.channel("news") or {}).get("readers") == 3)
    assert asked.wait(5)
    stopping = Stopping(p)
    assert ws.wait_closed() == 1001
    with pytest.raises(raw.Closed, match="ended"):
        sse.read(1)
    assert sse.response.body.done, "the last chunk is missing"
    answer = poll.response()
    assert answer.status == 204 and answer.headers["Connection"] == "close"
    assert "since=" in answer.headers["Link"]
    with pytest.raises(OSError):
        p.client(timeout=1)
    # The request that is with the backend is waited for.
    assert p.process.poll() is None
    go.set()
    answer = proxied.response()
    assert (answer.status, answer.text) == (200, "done")
    for c in (sse, poll, proxied):
        c.close()
    assert stopping.wait(5) == 0
    assert stopping.took_s < 6
    p.wait_for(lambda: p.log_lines("stop", "reason=drained"))
    p.stop()


def test_whoever_is_not_done_by_the_drain_timeout_is_cut(penstock, backend):
    b = backend(lambda request, conn: time.sleep(5))
    p = penstock(config({"path": "/*", "proxy": "app"},
                        backends={"app": b.url},
                        limits={"drain_timeout": "500ms"}))
    c = p.client()
    c.send_request("GET", "/x")
    raw.wait_for(lambda: b.requests)
    stopping = Stopping(p)
    assert c.read_to_close() == b""
    assert stopping.wait(5) == 0
    assert 0.4 < stopping.took_s < 2
    p.wait_for(lambda: p.log_lines("warn drain.cut", "connections="))
    p.stop()


def test_followers_that_read_nothing_do_not_hold_up_the_end(penstock):
    p = penstock(config(NEWS, limits={"drain_timeout": "20s"}))
    c = p.client(rcvbuf=2304)
    c.send_request("GET", "/news", {"Accept": "text/event-stream"})
    c.head()
    for _ in range(60):
        p.publish("news", "x" * 65536, type="text/plain")
    stopping = Stopping(p)
    assert stopping.wait(10) == 0
    assert stopping.took_s < 6
    c.close()
    p.stop()


@pytest.mark.parametrize("transport", ["sse", "longpoll", "websocket"])
def test_a_request_that_arrives_while_it_drains_is_not_held(penstock, backend,
                                                            transport):
    """Its head is on its way when SIGTERM comes, and something else keeps the
    server from ending."""
    go = threading.Event()
    b = backend(lambda request, conn: (go.wait(10),
                                       conn.respond(200, b"done")))
    p = penstock(config(NEWS, {"path": "/app/*", "proxy": "app"}, workers=1,
                        backends={"app": b.url},
                        limits={"drain_timeout": "20s"}))
    fields = {"sse": "Accept: text/event-stream\r\n", "longpoll": "",
              "websocket": "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                           "Sec-WebSocket-Version: 13\r\n"
                           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"}
    with p.client() as proxied, p.client() as c:
        proxied.send_request("GET", "/app/x")
        raw.wait_for(lambda: b.requests)
        c.send("GET /news?wait=20 HTTP/1.1\r\nHost: x\r\n")
        p.get("/news")  # what was sent before it has been read as well
        p.signal(signal.SIGTERM)
        p.wait_for(lambda: p.log_lines(" drain "))
        with pytest.raises(OSError):  # it drains indeed
            while True:
                p.client(timeout=1).close()
        c.send(fields[transport] + "\r\n")
        assert c.read_to_close(3).startswith(b"HTTP/1.1 ")
        go.set()
        assert proxied.response().text == "done"
    assert p.process.wait(5) == 0
    p.stop()


def test_a_second_sigterm_ends_it_at_once(penstock, backend):
    b = backend(lambda request, conn: time.sleep(5))
    p = penstock(config({"path": "/*", "proxy": "app"},
                        backends={"app": b.url},
                        limits={"drain_timeout": "60s"}))
    c = p.client()
    c.send_request("GET", "/x")
    raw.wait_for(lambda: b.requests)
    p.signal(signal.SIGTERM)
    p.wait_for(lambda: p.log_lines(" drain "))
    time.sleep(0.2)
    assert p.process.poll() is None
    p.signal(signal.SIGTERM)
    assert p.process.wait(1) != 0
    c.close()
    p.kill()


def test_sighup_while_it_drains_changes_nothing(penstock, backend):
    go = threading.Event()
    b = backend(lambda request, conn: (go.wait(10),
                                       conn.respond(200, b"done")))
    p = penstock(config({"path": "/*", "proxy": "app"},
                        backends={"app": b.url}))
    with p.client() as c:
        c.send_request("GET", "/x")
        raw.wait_for(lambda: b.requests)
        p.signal(signal.SIGTERM)
        p.wait_for(lambda: p.log_lines(" drain "))
        for _ in range(20):
            p.signal(signal.SIGHUP)
            time.sleep(0.01)
        go.set()
        assert c.response().text == "done"
    assert p.process.wait(5) == 0
    p.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_idle_server_ends_at_once(penstock, number):
    p = penstock(config(NEWS))
    began = time.monotonic()
    p.signal(number)
    assert p.process.wait(5) == 0
    assert time.monotonic() - began < 3
    p.stop()


# --- start ------------------------------------------------------------------------

def run(tmp_path, port, admin="127.0.0.1:0"):
    p = penstock_module.Penstock(
        {"listen": [f"127.0.0.1:{port}"], "admin": admin, "routes": [NEWS]},
        tmp_path, "second")
    p.write_config()
    return subprocess.run([penstock_module.BINARY, "run", str(p.file)],
                          capture_output=True, text=True, timeout=10,
                          check=False)


def test_a_port_of_another_program_is_an_error(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        done = run(tmp_path, port)
    assert done.returncode == 1
    assert f"error listen.failed address=127.0.0.1:{port}" in done.stderr
    assert "Address already in use" in done.stderr


def test_the_port_of_another_penstock_is_an_error(penstock, tmp_path):
    p = penstock(config(NEWS))
    for done in (run(tmp_path, p.port),
                 run(tmp_path, 0, f"127.0.0.1:{p.admin_port}")):
        assert done.returncode == 1
        assert "Address already in use" in done.stderr
    p.publish("news", "x")
    assert {p.get("/news").text for _ in range(10)} == {"x"}


def test_the_port_is_free_again_at_once(penstock, tmp_path):
    p = penstock(config(NEWS))
    port = p.port
    with reader("sse", p, "/news").connect() as r:
        p.stop()  # it closes first: TIME_WAIT is on its side
        with pytest.raises(raw.Closed):
            r.read(1)
    p = penstock({**config(NEWS), "listen": [f"127.0.0.1:{port}"]})
    assert p.port == port
