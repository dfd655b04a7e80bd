"""The backend hears of each client that comes and goes: each once, with the
reason, however it behaves itself."""

import signal
import threading

import pytest

import raw
from clients import SseClient, WsClient, reader
from raw import wait_for

both = pytest.mark.parametrize("transport", ["sse", "websocket"])


def config(backend, **keys):
    return {"backends": {"app": backend.url}, "routes": [
        {"path": "/o/{id}", "source": "publish", "identity": "X-User",
         "on_open": "app/open/{id}", "on_close": "app/close", **keys}]}


class Ears:
    """A backend that keeps what it hears; answers come from statuses, 204 when
    they are used up."""

    def __init__(self, backend, *statuses):
        self.statuses = list(statuses)
        self.heard, self.keys, self.open = [], [], threading.Event()
        self.open.set()
        self.server = backend(self.handle)

    def handle(self, request, conn):
        self.open.wait(20)
        status = self.statuses.pop(0) if self.statuses else 204
        self.keys.append(request.headers["Idempotency-Key"])
        if status is None:
            conn.rst()
            return
        if status < 300:
            self.heard.append({**request.json(), "target": request.target,
                               "user": request.headers.get("X-User")})
        conn.respond(status)

    def wait(self, n):
        wait_for(lambda: len(self.heard) >= n)
        return self.heard


@both
def test_coming_and_going_are_told_once_each(penstock, backend, transport):
    ears = Ears(backend)
    p = penstock(config(ears.server))
    with reader(transport, p, "/o/7", headers={"X-User": "ann"}).connect():
        came, = ears.wait(1)
    came, went = ears.wait(2)
    assert came["event"] == "open" and came["target"] == "/open/7"
    assert went["event"] == "close" and went["target"] == "/close"
    assert came["client"] == went["client"] and came["user"] == "ann"
    for told in (came, went):
        assert (told["identity"], told["address"], told["transport"],
                told["route"], told["channel"]) == (
            "ann", "127.0.0.1", transport, "/o/{id}", "o/7")
    assert went["reason"] in ("gone", "closed") and went["seconds"] >= 0
    assert ears.keys == [f"{came['client']}-open", f"{came['client']}-close"]
    p.wait_for(lambda: p.metric("hooks_told_total") == 2)


def test_polls_are_no_visits(penstock, backend):
    ears = Ears(backend)
    p = penstock(config(ears.server))
    p.get("/o/7")
    p.get("/o/7?wait=0.1")
    with SseClient(p, "/o/7").connect():
        assert len(ears.wait(1)) == 1


# --- polls ---------------------------------------------------------------------

def told_of(ears):
    return [(h["event"], h.get("reason")) for h in ears.heard]


@pytest.mark.parametrize("transport,named", [("poll", "client"),
                                             ("longpoll", "identity")])
def test_polls_of_one_client_are_one_visit(penstock, backend, transport, named):
    """On whatever worker; until none has come for a while."""
    ears = Ears(backend)
    p = penstock({**config(ears.server, hook_grace="3s"), "workers": 3})
    headers = {"X-User": "ann"} if named == "identity" else {}
    url = "/o/7?since=now" + ("" if named == "identity" else "&client=tab1") + (
        "&wait=1" if transport == "longpoll" else "")
    for n in range(10):
        with p.client() as c:
            if transport == "longpoll":
                c.send_request("GET", url, headers)
                p.wait_for(lambda: (p.channel("o/7") or {}).get("readers") == 1)
                p.publish("o/7", str(n))
                assert c.response().status == 200
            else:
                assert c.get(url, headers).status == 200
    came, went = ears.wait(2)
    assert (came["event"], went["event"]) == ("open", "close")
    assert came["client"] == went["client"]
    assert (came["transport"], came["channel"]) == (transport, "o/7")
    assert came.get("identity") == headers.get("X-User")
    assert went["reason"] == "gone" and went["seconds"] >= 3
    p.get(url + "&wait=0", headers)
    ears.wait(4)
    assert [e for e, _ in told_of(ears)] == ["open", "close"] * 2
    assert len(set(ears.keys)) == 4
    p.wait_for(lambda: p.metric("hooks_told_total") == 4)


def test_a_long_poll_that_waits_is_no_absence(penstock, backend):
    ears = Ears(backend)
    p = penstock(config(ears.server, hook_grace="100ms"))
    with p.client() as c:
        c.send_request("GET", "/o/7?client=a&wait=1")
        assert c.response().status == 204
    came, went = ears.wait(2)
    assert went["seconds"] >= 1


def test_each_client_and_channel_is_a_visit_of_its_own(penstock, backend):
    ears = Ears(backend)
    p = penstock(config(ears.server, hook_grace="2s"))
    for url in ("/o/7?client=a", "/o/7?client=b", "/o/8?client=a", "/o/7"):
        for _ in range(3):
            p.get(url + ("&" if "?" in url else "?") + "since=now")
    heard = ears.wait(6)
    assert sorted(e for e, _ in told_of(ears)) == ["close"] * 3 + ["open"] * 3
    assert len({h["client"] for h in heard}) == 3


def test_a_stop_tells_of_pollers_too(penstock, backend):
    ears = Ears(backend)
    p = penstock({**config(ears.server), "workers": 2})
    waiting = [p.client() for _ in range(6)]
    for n, c in enumerate(waiting):
        c.send_request("GET", f"/o/7?client={n}&wait=20")
    ears.wait(6)
    p.get("/o/7?client=away&since=now")
    ears.wait(7)
    p.stop()
    assert sorted(told_of(ears)[7:]) == [("close", "draining")] * 7
    for c in waiting:
        c.close()


def test_a_reload_is_no_going_of_pollers(penstock, backend):
    ears = Ears(backend)
    p = penstock(config(ears.server, hook_grace="10s"))
    p.get("/o/7?client=a&since=now")
    ears.wait(1)
    for n in range(1, 4):
        p.signal(signal.SIGHUP)
        p.wait_for(lambda: len(p.log_lines(" reload file=")) == n)
        p.get("/o/7?client=a&since=now")
    p.stop()
    assert told_of(ears) == [("open", None), ("close", "draining")]


@pytest.mark.parametrize("failures", [[503], [None, 500], [429, 408, None]])
def test_a_backend_that_fails_is_told_again_with_the_same_key(
        penstock, backend, failures):
    ears = Ears(backend, *failures)
    p = penstock(config(ears.server))
    with SseClient(p, "/o/7").connect():
        ears.wait(1)
    came, went = ears.wait(2)
    assert (came["event"], went["event"]) == ("open", "close")
    assert ears.keys[:len(failures) + 1] == [f"{came['client']}-open"] * (
        len(failures) + 1)
    assert p.metric("hooks_lost_total") == 0


def test_who_goes_before_its_coming_is_told_is_told_in_order(penstock, backend):
    ears = Ears(backend)
    ears.open.clear()
    p = penstock(config(ears.server))
    for _ in range(3):
        SseClient(p, "/o/7").connect().close()
    p.wait_for(lambda: p.channel("o/7")["readers"] == 0)
    ears.open.set()
    heard = ears.wait(6)
    for client in {h["client"] for h in heard}:
        assert [h["event"] for h in heard if h["client"] == client] == [
            "open", "close"]


def test_a_refusal_is_final_and_counted(penstock, backend):
    ears = Ears(backend, 404)
    p = penstock(config(ears.server))
    with SseClient(p, "/o/7").connect():
        p.wait_for(lambda: p.metric("hooks_lost_total") == 1)
    went, = ears.wait(1)
    assert went["event"] == "close"
    p.wait_for(lambda: p.log_lines("hook.lost", "on_open", "refused"))


def test_after_the_deadline_it_is_given_up_and_counted(penstock, backend):
    ears = Ears(backend, *[503] * 50)
    p = penstock(config(ears.server, hook_deadline="100ms"))
    with SseClient(p, "/o/7").connect():
        p.wait_for(lambda: p.metric("hooks_lost_total") == 1)
    p.wait_for(lambda: p.metric("hooks_lost_total") == 2)


@both
def test_the_reason_says_why(penstock, backend, transport):
    ears = Ears(backend)
    p = penstock(config(ears.server, max_age="300ms"))
    with reader(transport, p, "/o/7").connect():
        assert ears.wait(2)[1]["reason"] == "max-age"
    with reader(transport, p, "/o/8").connect():
        ears.wait(3)
        p.admin("DELETE", "/channels/o/8")
        assert ears.wait(4)[3]["reason"] == "channel-deleted"


@both
def test_a_stop_tells_of_all_who_go(penstock, backend, transport):
    ears = Ears(backend, 204, 204, 503)  # the first that goes, once more
    p = penstock(config(ears.server))
    readers = [reader(transport, p, "/o/7").connect() for _ in range(2)]
    ears.wait(2)
    p.stop()
    heard = ears.heard
    assert [h["event"] for h in heard] == ["open"] * 2 + ["close"] * 2
    assert {h["reason"] for h in heard[2:]} == {"draining"}
    for r in readers:
        r.close() if transport == "sse" else r.wait_closed()


def test_a_reload_is_no_going(penstock, backend):
    ears = Ears(backend)
    p = penstock(config(ears.server))
    with WsClient(p, "/o/7").connect() as r:
        ears.wait(1)
        p.signal(signal.SIGHUP)
        p.wait_for(lambda: p.log_lines(" reload file="))
        p.publish("o/7", "1")
        assert r.read(1)
        assert len(ears.heard) == 1
    assert ears.wait(2)[1]["event"] == "close"


def test_a_dead_backend_does_not_slow_the_fan_out(penstock, backend):
    ears = Ears(backend)
    ears.open.clear()
    p = penstock(config(ears.server))
    readers = [SseClient(p, "/o/7").connect() for _ in range(50)]
    for n in range(5):
        p.publish("o/7", str(n))
    for r in readers:
        assert [m[2] for m in r.read(5)] == list("01234")
    ears.open.set()
    ears.wait(50)
    for r in readers:
        r.close()
    assert len(ears.wait(100)) == 100
    assert sorted(ears.keys) == sorted(set(ears.keys))


def test_a_client_that_never_reads_its_end_is_one_that_has_gone(
        penstock, backend):
    ears = Ears(backend)
    p = penstock(config(ears.server))
    c = raw.Client(p.port)
    c.send_request("GET", "/o/7", {"Accept": "text/event-stream"})
    c.head()
    ears.wait(1)
    c.rst()
    assert ears.wait(2)[1]["reason"] == "gone"
