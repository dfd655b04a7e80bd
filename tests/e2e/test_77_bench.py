"""penstock bench: what it counts, and that it tells when something is lost,
doubled, out of order or changed, at any server."""

import collections
import json
import os
import signal
import socket
import subprocess
import threading

import pytest

from certificates import Authority, server_context
from other_hub import OtherHub, each
from penstock import BINARY, Penstock
from raw import wait_for

NEWS = {"routes": [{"path": "/news/{n}", "source": "publish",
                    "history": {"messages": 10000}}]}
TRANSPORTS = ["websocket", "sse", "longpoll", "poll"]


def command(*args):
    return [BINARY, "bench", *map(str, args)]


def environment():
    return os.environ | Penstock.sanitizer_options()


def call(*args):
    done = subprocess.run(command(*args), capture_output=True, text=True,
                          timeout=60, stdin=subprocess.DEVNULL, check=False,
                          env=environment())
    assert "Sanitizer" not in done.stderr, done.stderr
    return done


def bench(*args, status=0):
    """Its report; it is quick unless args say otherwise."""
    done = call("--json", "--settle", "50ms", "--rate", 100, "--messages", 100,
                "--duration", "60s" if "--publish" in args else "200ms",
                "--connections", 4, *args)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return json.loads(done.stdout)


def urls(p, name="0"):
    return ["--publish",
            f"http://127.0.0.1:{p.admin_port}/channels/news/{name}",
            p.url(f"/news/{name}")]


@pytest.fixture
def hub(backend):
    """hub(change) starts one; its (hub, read URL prefix, arguments)."""
    def start(change=None, **options):
        it = OtherHub(change, **options)
        b = backend(it.handler)
        return it, b.url, ["--publish", f"{b.url}/pub"]
    return start


# --- what it counts ------------------------------------------------------------

@pytest.mark.parametrize("transport", TRANSPORTS[:3])
def test_each_reader_has_each_message(penstock, transport):
    p = penstock(NEWS)
    r = bench("--transport", transport, *urls(p))
    assert r["ok"] and r["faults"] == []
    assert r["readers"]["ready"] == 4 and r["readers"]["connects"] == 4
    assert r["published"]["accepted"] == 100 == r["published"]["due"]
    d = r["deliveries"]
    assert d["expected"] == d["delivered"] == 400
    assert d["lost"] == d["again"] == d["late"] == d["merged"] == 0
    age = d["age_ms"]
    assert age["count"] == 400
    assert 0 < age["p50"] <= age["p90"] <= age["p99"] <= age["max"]
    assert r["traffic"]["bytes_in_per_message"] > 64
    assert r["machine"]["cores"] > 0 and r["machine"]["kernel"]


def test_a_poll_passes_messages_over_and_loses_none(penstock):
    p = penstock(NEWS)
    r = bench("--transport", "poll", "--every", "200ms", *urls(p))
    d = r["deliveries"]
    assert r["ok"] and d["lost"] == 0
    assert d["merged"] > 0 and d["merged"] + d["delivered"] == 400
    assert r["traffic"]["requests"] > 4


def test_a_poll_that_follows_links_has_every_message(penstock):
    p = penstock(NEWS)
    r = bench("--transport", "poll", "--cursor", "link", "--every", "200ms",
              *urls(p))
    assert r["deliveries"]["delivered"] == 400


def test_octets_and_requests_are_those_that_the_server_counts(penstock):
    p = penstock(NEWS)
    r = bench("--transport", "longpoll", *urls(p))
    mine, its = r["traffic"], p.measured("/news/{n}", "longpoll")
    first = 4 * 2  # of each: the one before the first message; the last
    assert its["requests"] - first <= mine["requests"] <= its["requests"]
    per_request = its["bytes_out"] / its["requests"]
    assert abs(mine["bytes_in"] - its["bytes_out"]) < 2 * first * per_request


def test_readers_are_spread_over_channels(penstock):
    p = penstock(NEWS)
    r = bench("--channels", 3, "--connections", 7, "--threads", 2,
              "--publishers", 3, *urls(p, "{channel}"))
    assert r["ok"] and r["deliveries"]["misrouted"] == 0
    # 34, 33 and 33 messages to 3, 2 and 2 readers
    assert r["deliveries"]["delivered"] == 34 * 3 + 33 * 2 + 33 * 2


@pytest.mark.parametrize("transport,more", [
    ("sse", ()), ("longpoll", ()), ("websocket", ("--envelope",))])
def test_readers_that_are_cut_off_come_back_and_lose_nothing(penstock, transport,
                                                             more):
    p = penstock(NEWS)
    r = bench("--transport", transport, *more, "--cut-after", "400ms", *urls(p))
    assert r["ok"] and r["deliveries"]["delivered"] == 400
    assert r["readers"]["cuts"] == 4 and r["readers"]["connects"] == 8


def test_a_websocket_without_ids_loses_what_it_missed(penstock):
    p = penstock(NEWS)
    r = bench("--transport", "websocket", "--cut-after", "400ms", *urls(p),
              status=1)
    assert r["deliveries"]["lost"] > 0
    assert "deliveries were lost" in "\n".join(r["faults"])


def test_a_window_is_a_closed_loop(penstock):
    p = penstock(NEWS)
    done = call("--json", "--settle", "50ms", "--window", "4", "--messages",
                "200", "--connections", "3", *urls(p))
    r = json.loads(done.stdout)
    assert done.returncode == 0 and r["deliveries"]["delivered"] == 600
    assert r["run"]["window"] == 4 and "rate_per_s" not in r["run"]


def test_without_publish_it_holds_connections(penstock):
    p = penstock(NEWS)
    r = bench("--transport", "sse", p.url("/news/x"))
    assert r["ok"] and "deliveries" not in r
    assert r["readers"]["ready"] == 4 and r["traffic"]["seconds"] >= 0.2


def test_the_servers_processor_time_and_memory(penstock):
    p = penstock(NEWS)
    r = bench("--pid", p.process.pid, *urls(p))
    assert r["cost"]["server_cpu_us_per_delivery"] > 0
    assert r["cost"]["server_memory_bytes"] > 100000


def test_json_messages_and_templates(penstock):
    p = penstock(NEWS)
    r = bench("--type", "application/json", "--size", "200",
              "--template", '{"channel":{channel},"inner":{message}}', *urls(p))
    assert r["ok"] and r["deliveries"]["delivered"] == 400
    kept = p.get("/news/0").json()
    assert kept["channel"] == 0 and len(json.dumps(
        kept["inner"], separators=(",", ":"))) == 200


# --- another server -------------------------------------------------------------

def test_a_server_that_is_none_of_ours(hub):
    _, url, publish = hub()
    r = bench("--transport", "sse", *publish, f"{url}/sse")
    assert r["ok"] and r["deliveries"]["delivered"] == 400


def test_a_cursor_of_its_own(hub):
    _, url, publish = hub()
    r = bench("--transport", "poll", "--every", "100ms", "--cursor", "next",
              *publish, f"{url}/batch?since={{cursor}}")
    assert r["deliveries"]["delivered"] == 400
    r = bench("--transport", "poll", "--every", "100ms", *publish,
              f"{url}/latest")
    assert r["ok"] and r["deliveries"]["merged"] > 0
    assert r["deliveries"]["again"] == 0 < r["traffic"]["empty"]


@pytest.mark.parametrize("change,figure,words", [
    (lambda i, d: [] if i == 40 else [(i, d)], "lost", "deliveries were lost"),
    (lambda i, d: [(i, d)] * (1 + (i == 40)), "again", "came twice"),
    (lambda i, d: [(i, d.replace(";", ":"))] if i == 40 else [(i, d)], "corrupt",
     "not as they were sent"),
], ids=["drop", "double", "change"])
def test_what_a_server_does_wrong_is_told(hub, change, figure, words):
    _, url, publish = hub(each(change))
    r = bench("--transport", "sse", *publish, f"{url}/sse", status=1)
    assert not r["ok"] and r["deliveries"][figure] == 4
    assert any(words in fault for fault in r["faults"])


def test_messages_out_of_order_are_told(hub):
    late = {}

    def swap(batch):
        """The 40th comes after the 41st."""
        for id, data in batch:
            if id == 40:
                late[0] = (id, data)
            else:
                yield id, data
                if id == 41:
                    yield late[0]
    _, url, publish = hub(swap)
    r = bench("--transport", "sse", *publish, f"{url}/sse", status=1)
    assert r["deliveries"]["late"] == 4 and r["deliveries"]["lost"] == 0
    assert any("out of order" in fault for fault in r["faults"])


def test_a_stall_counts_for_all_who_wait_behind_it(hub):
    """Coordinated omission: a message is as old as when it was due to be sent,
    not as when the server was ready for it."""
    it, url, publish = hub()
    it.before_answer = lambda n: n == 1 and threading.Event().wait(0.8)
    r = bench("--transport", "sse", "--messages", 80, *publish, f"{url}/sse")
    assert r["deliveries"]["age_ms"]["p50"] > 200
    assert r["published"]["answer_ms"]["p50"] > 200
    assert r["published"]["due"] == 80


def test_connections_come_from_several_addresses():
    """A pair of addresses has no more than some 28,000 ports."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = subprocess.Popen(
            command("--connections", 7, "--addresses", 3, "--connect-timeout",
                    "30s", f"http://127.0.0.1:{listener.getsockname()[1]}/"),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=environment())
        try:
            listener.settimeout(30)
            taken = [listener.accept() for _ in range(7)]
        finally:
            process.kill()
            process.wait()
        for conn, _ in taken:
            conn.close()
    assert collections.Counter(peer[0] for _, peer in taken) == {
        "127.0.0.1": 3, "127.0.0.2": 2, "127.0.0.3": 2}


# --- what cannot be had ------------------------------------------------------------

def test_no_server():
    done = call("--connections", 2, "http://127.0.0.1:1/x")
    assert done.returncode == 1
    assert "2 of 2 readers got nowhere: no connection" in done.stdout


def test_no_such_path(hub):
    _, url, publish = hub()
    for transport in TRANSPORTS:
        done = call("--transport", transport, *publish, f"{url}/nothing")
        assert done.returncode == 1 and "(404)" in done.stdout, done.stdout


def test_what_is_no_event_stream(hub):
    _, url, publish = hub()
    done = call("--transport", "sse", *publish, f"{url}/latest")
    assert done.returncode == 1 and "no event stream (200)" in done.stdout


def test_what_is_not_accepted(penstock):
    p = penstock(NEWS)
    r = bench("--publish", f"http://127.0.0.1:{p.admin_port}/channels/olds",
              p.url("/news/0"), status=1)
    assert r["published"]["failed"] == 100 and r["published"]["accepted"] == 0
    assert any("answered with 404" in fault for fault in r["faults"])


def test_what_is_published_elsewhere(penstock):
    p = penstock(NEWS)
    r = bench("--publish", f"http://127.0.0.1:{p.admin_port}/channels/news/1",
              p.url("/news/2"), status=1)
    assert any("belong together" in fault for fault in r["faults"])


def test_tls(backend, tmp_path):
    it = OtherHub()
    certificate = Authority(tmp_path).certificate("127.0.0.1")
    b = backend(it.handler, tls=server_context(certificate))
    args = ["--transport", "sse", "--publish", f"{b.url}/pub", f"{b.url}/sse"]
    r = bench(*args, status=1)
    assert "certificate" in r["faults"][0]
    r = bench("--insecure", *args)
    assert r["deliveries"]["delivered"] == 400
    r = bench("--ca", tmp_path / "authority.pem", *args)
    assert r["deliveries"]["delivered"] == 400


def test_an_interrupted_run_still_reports(penstock):
    p = penstock(NEWS)
    process = subprocess.Popen(
        command("--json", "--duration", "1h", "--rate", 50, *urls(p)),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment())
    try:
        wait_for(lambda: p.channel("news/0") is not None and
                 p.measured("/news/{n}", "websocket")["delivered"] > 10)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    r = json.loads(out)
    assert "Sanitizer" not in errors, errors
    assert process.returncode == 1 and "it was interrupted" in r["faults"]
    assert r["deliveries"]["delivered"] > 10, errors


@pytest.mark.parametrize("args,words", [
    ((), "which URL?"),
    (("http://a/", "http://b/"), "one URL is enough"),
    (("ftp://a/",), "no http, https, ws or wss URL"),
    (("--rate", "fast", "http://a/"), '--rate does not take "fast"'),
    (("--speed", "http://a/"), "--speed is none of its options"),
    (("--rate",), "--rate is none of its options, or lacks its value"),
    (("--rate", "1", "--window", "2", "http://a/"), "give one"),
    (("--transport", "smoke", "http://a/"), '--transport does not take "smoke"'),
    (("--size", "10", "--publish", "http://a/", "http://a/"), "octets at least"),
])
def test_it_is_called_in_a_wrong_way(args, words):
    done = call(*args)
    assert done.returncode == 2 and done.stdout == ""
    assert words in done.stderr


def test_help():
    done = call("--help")
    assert done.returncode == 0 and "--transport" in done.stdout
    done = subprocess.run([BINARY, "--help"], capture_output=True, text=True,
                          check=True)
    assert "penstock bench " in done.stdout
    assert "penstock compare " in done.stdout
