"""The source "redis": channels, patterns and streams of a real Redis, and of
scripted ones for what a real one does not do at will."""

import base64
import pathlib
import signal
import socket
import time

import pytest

from clients import TRANSPORTS, reader
from raw import wait_for
from servers import Redis

pytestmark = pytest.mark.redis
every_transport = pytest.mark.parametrize("transport", TRANSPORTS)
QUICK = {"min": "10ms", "max": "30ms"}


@pytest.fixture
def redis(tmp_path):
    with Redis(tmp_path) as r:
        yield r


def config(url, *routes, **backend):
    return {"modules": ["redis"],
            "backends": {"cache": {"servers": url, **backend}},
            "routes": [{"path": path, **keys, "source": {
                "redis": "cache", "backoff": QUICK, **source}}
                for path, source, keys in routes]}


def one(url, source, backend={}, **keys):
    return config(url, ("/n", {"when": "always", **source}, keys), **backend)


def data_of(messages):
    return [m[2] for m in messages]


# --- channels ----------------------------------------------------------------

@every_transport
def test_what_is_published_comes_whole(penstock, redis, transport):
    p = penstock(config(redis.url, ("/p/{s}", {"subscribe": "prices:{s}",
                                              "when": "needed"}, {})))
    payloads = ['{"n":1}', "*3\r\n$7\r\nmessage\r\n", "*a*", "", "漢字",
                b"\xff\x00\xfe\r\nbinary"]
    with reader(transport, p, "/p/a%20%3Fb").connect() as r:
        if transport == "poll":
            r.client.get("/p/a%20%3Fb", timeout=5)
        redis.wait_subscribed("prices:a ?b")
        for payload in payloads:
            redis("PUBLISH", "prices:a ?b", payload)
        expected = [x.replace("\r\n", "\n") if transport == "sse" and
                    isinstance(x, str) else x for x in payloads]
        got = data_of(r.read(len(payloads)))
        if transport == "sse":  # no base64 flag there: as it stands
            assert got[:5] == expected[:5]
        else:
            assert got == expected


@every_transport
def test_a_pattern_tells_the_channel_as_the_type(penstock, redis, transport):
    p = penstock(one(redis.url, {"psubscribe": "prices:*"}))
    wait_for(lambda: redis("PUBSUB", "NUMPAT") == 1)
    with reader(transport, p, "/n").connect() as r:
        redis("PUBLISH", "prices:ACME", "1")
        redis("PUBLISH", "other", "2")
        redis("PUBLISH", "prices:x\ny", "3")
        got = r.read(2)
        assert data_of(got) == ["1", "3"]
        assert got[0][1] == "prices:ACME"
        assert got[1][1] == ("message" if transport == "sse" else "prices:x\ny")


def test_a_name_in_a_pattern_matches_itself_alone(penstock, redis):
    p = penstock(config(redis.url, ("/p/{s}", {"psubscribe": "{s}:*"}, {})))
    with reader("sse", p, "/p/*").connect() as r:
        wait_for(lambda: redis("PUBSUB", "NUMPAT") == 1)
        redis("PUBLISH", "secret:1", "no")
        redis("PUBLISH", "*:1", "yes")
        assert r.read(1)[0][1:] == ("*:1", "yes")


def test_a_thousand_channels_share_a_connection(penstock, redis):
    p = penstock(config(redis.url,
                        ("/p/{s}", {"subscribe": "{s}"}, {}),
                        ("/q/{s}", {"subscribe": "{s}"}, {}))
                 | {"workers": 1})
    with p.client() as c:
        for i in range(1000):
            assert c.get(f"/p/c{i}?since=now").status in (200, 204)
    with reader("sse", p, "/p/c7").connect() as a, \
            reader("sse", p, "/q/c7").connect() as b:
        redis.wait_subscribed("c0", "c7", "c999")
        assert redis("CLIENT", "LIST").count(b"sub=1000") == 1
        assert redis("CLIENT", "LIST").count(b"\n") == 2
        assert redis("PUBLISH", "c7", "x") == 1
        assert data_of(a.read(1)) == data_of(b.read(1)) == ["x"]


def test_a_subscription_ends_with_its_readers(penstock, redis):
    p = penstock(config(redis.url,
                        ("/a", {"subscribe": "a", "linger": "0s"}, {}),
                        ("/b", {"subscribe": "b", "linger": "0s"}, {}))
                 | {"workers": 1})
    with reader("sse", p, "/a").connect() as a:
        redis.wait_subscribed("a")
        with reader("sse", p, "/b").connect():
            redis.wait_subscribed("b")
        wait_for(lambda: redis("PUBSUB", "NUMSUB", "b")[1] == 0)
        redis("PUBLISH", "a", "1")
        assert data_of(a.read(1)) == ["1"]
        with reader("sse", p, "/b").connect() as b:
            redis.wait_subscribed("b")
            redis("PUBLISH", "b", "2")
            assert data_of(b.read(1)) == ["2"]
    wait_for(lambda: redis("CLIENT", "LIST").count(b"\n") == 1)


def kill_client(redis):
    redis("CLIENT", "KILL", "TYPE", "pubsub")


def kill_server(redis):
    redis.kill()
    redis.restart()


@every_transport
@pytest.mark.parametrize("cut", [kill_client, kill_server])
def test_a_broken_subscription_is_a_gap(penstock, redis, transport, cut):
    p = penstock(one(redis.url, {"subscribe": "a"}))
    redis.wait_subscribed("a")
    with reader(transport, p, "/n").connect() as r:
        redis("PUBLISH", "a", "1")
        assert data_of(r.read(1)) == ["1"] and r.gaps == 0
        cut(redis)
        redis.wait_subscribed("a")
        wait_for(lambda: p.log_lines("source.open", "connection=2"))
        redis("PUBLISH", "a", "2")
        assert data_of(r.read(1)) == ["2"] and r.gaps == 1


def test_a_silent_redis_is_found_by_its_missing_pong(penstock, redis):
    p = penstock(one(redis.url, {"subscribe": "a"}, backend={"ping": "100ms"}))
    with reader("sse", p, "/n").connect() as r:
        redis.wait_subscribed("a")
        redis.signal(signal.SIGSTOP)
        p.wait_for(lambda: p.log_lines("source.failed", "does not answer"))
        redis.signal(signal.SIGCONT)
        redis.wait_subscribed("a")
        p.wait_for(lambda: p.log_lines("source.open", "connection=2"))
        redis("PUBLISH", "a", "1")
        assert data_of(r.read(1)) == ["1"]


def test_an_idle_subscription_stays(penstock, redis):
    p = penstock(one(redis.url, {"subscribe": "a"}, backend={"ping": "20ms"}))
    redis.wait_subscribed("a")

    def pings():
        return int(redis("INFO", "commandstats").split(b"cmdstat_ping:calls=")[1]
                   .split(b",")[0])
    before = pings()
    wait_for(lambda: pings() > before + 5)
    assert not p.log_lines("source.failed")


def test_a_message_over_the_limit_is_dropped(penstock, redis):
    p = penstock(one(redis.url, {"subscribe": "a", "message": "1KiB"}))
    redis.wait_subscribed("a")
    with reader("sse", p, "/n").connect() as r:
        redis("PUBLISH", "a", "x" * 1025)
        redis("PUBLISH", "a", "y" * 1024)
        assert data_of(r.read(1)) == ["y" * 1024]
    assert p.metric("source_refused_total") == 1


# --- who may ------------------------------------------------------------------

def test_password_user_database_and_socket(penstock, tmp_path):
    (tmp_path / "password").write_text("s3cr@t\r\n")
    with Redis(tmp_path) as redis:
        redis("ACL", "SETUSER", "me", "on", ">s3cr@t", "~*", "&*", "+@all")
        redis("ACL", "SETUSER", "default", "resetpass", ">s3cr@t")
        urls = [f"redis://:s3cr%40t@127.0.0.1:{redis.port}/3",
                f"redis://me:s3cr%40t@127.0.0.1:{redis.port}/3",
                f"redis+unix://me@{redis.socket}?db=3",
                f"redis+unix://:s3cr%40t@{redis.socket}?db=3"]
        p = penstock({"modules": ["redis"],
                      "backends": {f"b{i}": {"servers": u, **(
                          {} if "s3cr" in u else
                          {"password_file": "password"})}
                                   for i, u in enumerate(urls)},
                      "routes": [{"path": f"/{i}", "source": {
                          "redis": f"b{i}", "stream": "s", "from": "0"}}
                          for i in range(len(urls))]})
        readers = [reader("sse", p, f"/{i}").connect() for i in range(len(urls))]
        wait_for(lambda: len(p.log_lines("source.open")) == len(urls))
        with socket.create_connection(("127.0.0.1", redis.port)) as s:
            s.sendall(b"AUTH s3cr@t\r\nSELECT 3\r\nXADD s * data x\r\n")
            for r in readers:
                assert data_of(r.read(1)) == ["x"]
                r.close()
        assert "s3cr" not in p.log()


def test_a_wrong_password_is_told_and_never_shown(penstock, tmp_path):
    with Redis(tmp_path, "--requirepass", "right") as redis:
        p = penstock(one(f"redis://:wr0ng@127.0.0.1:{redis.port}",
                         {"subscribe": "a"}))
        p.wait_for(lambda: p.log_lines("source.failed", "refused the password"))
        assert "WRONGPASS" in p.log() and "wr0ng" not in p.log()
        fault = p.channel("n")["source"]["fault"]
        assert fault == "Redis refused the password or the database"


def test_a_channel_that_is_not_allowed_harms_no_other(penstock, redis):
    redis("ACL", "SETUSER", "default", "resetchannels", "&open:*")
    p = penstock(config(redis.url, ("/{s}", {"subscribe": "{s}"}, {}))
                 | {"workers": 1})
    with reader("sse", p, "/open:a").connect() as a, \
            reader("sse", p, "/shut:b").connect(), \
            reader("sse", p, "/open:c").connect() as c:
        redis.wait_subscribed("open:a", "open:c")
        p.wait_for(lambda: p.log_lines("source.failed", "shut:b"))
        redis("PUBLISH", "open:a", "1")
        redis("PUBLISH", "open:c", "2")
        assert data_of(a.read(1) + c.read(1)) == ["1", "2"]
    assert not p.log_lines("source.failed", "open:")


# --- streams ------------------------------------------------------------------

@every_transport
def test_a_stream_is_read_on_without_a_hole(penstock, redis, transport):
    p = penstock(one(redis.url, {"stream": "s", "from": "0"}))
    redis("XADD", "s", "*", "data", "1", "event", "tick")
    redis("XADD", "s", "*", "a", "1", "b", 'x"y')
    wait_for(lambda: (p.channel("n") or {}).get("messages") == 2)
    with reader(transport, p, "/n").connect("oldest") as r:
        got = r.read(2)
        assert [m[1:] for m in got] == [
            ("tick", "1"), ("message", '{"a":"1","b":"x\\"y"}')]
        redis("CLIENT", "KILL", "TYPE", "normal")
        redis("XADD", "s", "*", "data", "2")
        kill_server(redis)
        for i in range(3, 253):
            redis("XADD", "s", "*", "data", i)
        assert data_of(r.read(251)) == [str(i) for i in range(2, 253)]
        assert r.gaps == 0


def test_a_stream_begins_with_what_comes_now(penstock, redis):
    redis("XADD", "s", "*", "data", "before")
    p = penstock(one(redis.url, {"stream": "s"}))
    p.wait_for(lambda: p.log_lines("source.open"))
    with reader("sse", p, "/n").connect("oldest") as r:
        redis.kill()
        redis.restart()
        redis("XADD", "s", "*", "data", "after")
        assert data_of(r.read(1)) == ["after"]


@pytest.mark.parametrize("what", ["trimmed", "another"])
def test_entries_that_are_gone_are_a_gap(penstock, redis, what):
    p = penstock(one(redis.url, {"stream": "s", "from": "0"}))
    with reader("websocket", p, "/n").connect() as r:
        redis("XADD", "s", "5-1" if what == "another" else "*", "data", "1")
        assert r.read(1) and r.gaps == 0
        redis.signal(signal.SIGSTOP)
        try:
            with socket.create_connection(("127.0.0.1", redis.port)) as s:
                s.sendall(b"MULTI\r\nCLIENT KILL TYPE normal\r\nDEL s\r\n"
                          b"XADD s 3-1 data 2\r\nEXEC\r\n"
                          if what == "another" else
                          b"MULTI\r\nCLIENT KILL TYPE normal\r\n"
                          b"XADD s * data lost\r\nXADD s * data 2\r\n"
                          b"XTRIM s MAXLEN 1\r\nEXEC\r\n")
                redis.signal(signal.SIGCONT)
                assert data_of(r.read(1)) == ["2"]
                assert r.gaps == 1
        finally:
            redis.signal(signal.SIGCONT)


def test_a_field_that_is_named(penstock, redis):
    p = penstock(one(redis.url, {"stream": "s", "from": "0", "field": "v"}))
    with reader("sse", p, "/n").connect() as r:
        redis("XADD", "s", "*", "data", "no")
        redis("XADD", "s", "*", "data", "no", "v", "yes")
        assert data_of(r.read(1)) == ["yes"]
    assert p.metric("source_refused_total") == 1


def test_a_silent_redis_is_found_while_a_stream_waits(penstock, redis):
    p = penstock(one(redis.url, {"stream": "s"}, backend={"ping": "100ms"}))
    p.wait_for(lambda: p.log_lines("source.open"))
    with reader("sse", p, "/n").connect() as r:
        redis.signal(signal.SIGSTOP)
        p.wait_for(lambda: p.log_lines("source.failed", "does not answer"))
        redis.signal(signal.SIGCONT)
        redis("XADD", "s", "*", "data", "1")
        assert data_of(r.read(1)) == ["1"]


def test_what_is_no_stream_is_told(penstock, redis):
    redis("SET", "s", "1")
    p = penstock(one(redis.url, {"stream": "s"}))
    p.wait_for(lambda: p.log_lines("redis.refused", "WRONGTYPE"))
    redis("DEL", "s")
    p.wait_for(lambda: p.log_lines("source.open"))


# --- a scripted Redis -----------------------------------------------------------

SUBSCRIBED = b"*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"


def message(payload):
    return b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$%d\r\n%b\r\n" % (
        len(payload), payload)


def scripted(backend, *answers):
    """One whose nth connection answers SUBSCRIBE with answers[n], a list of
    what is sent one after the other."""
    count = iter(range(1000))

    def serve(conn):
        n = min(next(count), len(answers) - 1)
        conn.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        conn.stream.read_until(b"SUBSCRIBE\r\n$1\r\na\r\n",
                               time.monotonic() + 10)
        for piece in answers[n]:
            conn.send(piece)
        wait_for(conn.gone, 30)

    return backend(raw_handler=serve).url.replace("http", "redis")


def octets(data):
    return [data[i:i + 1] for i in range(len(data))]


def test_octet_by_octet(penstock, backend):
    payloads = [b"*3\r\n$7\r\nmessage\r\n", b"*a*", b"", b"a\r\nb\n\r",
                b"last"]
    whole = SUBSCRIBED + b"*2\r\n$4\r\npong\r\n$0\r\n\r\n" + b"".join(
        map(message, payloads))
    p = penstock(one(scripted(backend, octets(whole)), {"subscribe": "a"}))
    with reader("longpoll", p, "/n").connect("oldest") as r:
        assert data_of(r.read(5)) == [x.decode() for x in payloads]


SAMPLE = pathlib.Path(__file__).parents[1] / "samples" / "redis-pubsub-resp2.txt"


@every_transport
@pytest.mark.parametrize("size", [1, 7, 100000])
def test_a_recorded_subscription_is_read_however_it_is_cut(
        penstock, backend, transport, size):
    """Payloads that look like the protocol, line ends, nothing, octets, and a
    message by a pattern."""
    recorded = SAMPLE.read_bytes()

    def serve(conn):
        conn.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wait = time.monotonic() + 20
        for _ in range(2):
            conn.stream.read_until(b"SUBSCRIBE\r\n", wait)
        for at in range(0, len(recorded), size):
            conn.send(recorded[at:at + size])
        wait_for(conn.gone, 30)
    url = backend(raw_handler=serve).url.replace("http", "redis")
    p = penstock({"workers": 1, **config(
        url, ("/one", {"subscribe": "mill", "when": "always"}, {}),
        ("/all", {"psubscribe": "mi*", "when": "always"}, {}))})
    payloads = ['{"head":3}', "*3\r\n$7\r\nmessage\r\n", "*b*",
                "upper\r\nmiddle\rlower\n", "", b"\xff\x00\xfe octets", "水 €"]
    if transport == "sse":  # line ends come back as LF, octets as base64
        payloads[1] = payloads[1].replace("\r\n", "\n")
        payloads[3] = "upper\nmiddle\nlower\n"
        payloads[5] = base64.b64encode(payloads[5]).decode()
    with reader(transport, p, "/one").connect("oldest") as r:
        assert data_of(r.read(7)) == payloads
    with reader(transport, p, "/all").connect("oldest") as r:
        assert r.read(1)[0][1:] == ("mill", "by its pattern")


@pytest.mark.parametrize("bad", [
    b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2000000\r\n" + b"x" * 200000,
    b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$-5\r\n", b"?\r\n", b"HTTP/1.1 400\r\n",
    b"*-7\r\n", b"$99999999999999999999\r\n", b"*2147483648\r\n",
    b"*1\r\n" * 20], ids=range(8))
def test_what_is_no_resp_or_too_much_costs_the_connection(
        penstock, backend, bad):
    p = penstock(one(scripted(backend, [SUBSCRIBED, bad],
                              [SUBSCRIBED, message(b"good")]),
                     {"subscribe": "a", "message": "64KiB"}))
    with reader("sse", p, "/n").connect("oldest") as r:
        assert data_of(r.read(1)) == ["good"]
    assert p.log_lines("source.failed")


@pytest.mark.parametrize("odd", [
    b":1\r\n", b"$-1\r\n", b"*-1\r\n", b"*0\r\n", b"+OK\r\n",
    b"-ERR what\r\n", b"*3\r\n$7\r\nmessage\r\n:5\r\n$1\r\na\r\n",
    b"*3\r\n*0\r\n:5\r\n:6\r\n", b"*3\r\n$8\r\npmessage\r\n$1\r\na\r\n$1\r\nb\r\n",
    b"*3\r\n$9\r\nsubscribe\r\n$1\r\nz\r\n:1\r\n", SUBSCRIBED])
def test_what_nobody_asked_for_is_passed_over(penstock, backend, odd):
    p = penstock(one(scripted(backend, [SUBSCRIBED, odd, message(b"good")]),
                     {"subscribe": "a"}))
    with reader("sse", p, "/n").connect("oldest") as r:
        assert data_of(r.read(1)) == ["good"]


# --- reloads --------------------------------------------------------------------

def test_a_reload_brings_the_module_and_then_another_server(
        penstock, redis, tmp_path_factory):
    p = penstock({"routes": [{"path": "/n", "source": "publish"}]})
    with reader("sse", p, "/n").connect() as r:
        p.write_config({**p.config, **one(redis.url, {"subscribe": "a"})})
        p.signal(signal.SIGHUP)
        redis.wait_subscribed("a")
        redis("PUBLISH", "a", "1")
        assert data_of(r.read(1)) == ["1"]
        with Redis(tmp_path_factory.mktemp("second")) as second:
            p.write_config({**p.config, **one(second.url, {"subscribe": "a"})})
            p.signal(signal.SIGHUP)
            second.wait_subscribed("a")
            second("PUBLISH", "a", "2")
            assert data_of(r.read(1)) == ["2"]
            wait_for(lambda: redis("PUBSUB", "NUMSUB", "a")[1] == 0)
