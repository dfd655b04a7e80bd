"""What a source asks its backend for, where it is sent on, and what comes back
compressed."""

import gzip
import json
import subprocess
import zlib

import pytest

import raw
from backend import Backend, Feed, sse_text
from clients import SseClient, reader
from penstock import BINARY
from raw import wait_for
from servers import Nginx
from test_20_sources import data_of, every_transport, quotes
from ws_backend import WsBackend

SSE = {"Content-Type": "text/event-stream"}


def fault(p, name="quotes/A"):
    return ((p.channel(name) or {}).get("source") or {}).get("fault", "")


def assert_fault(p, text):
    with SseClient(p, "/quotes/A").connect():
        p.wait_for(lambda: text in fault(p), what=text)
    p.wait_for(lambda: p.log_lines("source.failed", text))


# --- what comes compressed -----------------------------------------------------

class Packer:
    """A handler: an event stream that is flushed after each event."""

    def __init__(self, coding, bits, end=None):
        self.coding, self.bits, self.end = coding, bits, end

    def __call__(self, request, conn):
        z = zlib.compressobj(wbits=self.bits)
        conn.start_chunked(200, {**SSE, "Content-Encoding": self.coding})
        for n in range(1, 4):
            packed = z.compress(sse_text(str(n), None, f"€{n}").encode())
            packed += z.flush(zlib.Z_SYNC_FLUSH)
            for octet in packed:
                conn.chunk(bytes([octet]))
        if self.end is not None:
            conn.chunk(self.end)
        conn.read_request()


@pytest.mark.parametrize("coding,bits", [("gzip", 31), ("x-gzip", 31),
                                         ("deflate", 15), ("deflate", -15)])
def test_a_compressed_stream_is_read(penstock, backend, coding, bits):
    p = penstock(quotes(backend(Packer(coding, bits))))
    with SseClient(p, "/quotes/A").connect("oldest") as r:
        assert data_of(r.read(3)) == ["€1", "€2", "€3"]


@pytest.mark.parametrize("compress,asked", [(False, "identity"),
                                            (True, "gzip, deflate")])
def test_only_what_can_be_read_is_asked_for(penstock, backend, compress, asked):
    feed = Feed()
    b = backend(feed.sse)
    p = penstock(quotes(b, compress=compress))
    with SseClient(p, "/quotes/A", headers={"Accept-Encoding": "br"}).connect():
        p.wait_for(lambda: feed.readers)
    assert b.requests[0].headers.get_all("Accept-Encoding") == [asked]


@pytest.mark.parametrize("coding", ["br", "gzip, gzip"])
def test_an_unknown_coding_is_refused(penstock, backend, coding):
    b = backend(lambda request, conn: conn.respond(
        200, b"data: 1\n\n", {**SSE, "Content-Encoding": coding}))
    p = penstock(quotes(b))
    assert_fault(p, "neither gzip nor deflate")


def test_what_is_not_compressed_as_it_says_is_refused(penstock, backend):
    b = backend(lambda request, conn: conn.respond(
        200, b"data: 1\n\n", {**SSE, "Content-Encoding": "gzip"}))
    assert_fault(penstock(quotes(b)), "not compressed as the backend says")


def test_a_bomb_is_refused_and_costs_no_memory(penstock, backend):
    bomb = gzip.compress(b"data: " + bytes(64 << 20), 9)
    b = backend(lambda request, conn: conn.respond(
        200, bomb, {**SSE, "Content-Encoding": "gzip"}))
    p = penstock(quotes(b, backoff={"min": "10s"}))
    before = p.rss()
    assert_fault(p, "unpacks to far too much")
    assert p.rss() - before < 48 << 20  # what ASan keeps of freed memory included


def test_half_a_compressed_value_is_none(penstock, backend):
    packed = gzip.compress(b'{"n":1}\n12')[:-8]  # without its sums
    b = backend(lambda request, conn: conn.respond(
        200, packed, {"Content-Type": "application/x-ndjson",
                      "Content-Encoding": "gzip"}))
    p = penstock(quotes(b, "ndjson", backoff={"min": "10s"}))
    with SseClient(p, "/quotes/A").connect("oldest") as r:
        assert data_of(r.read(1)) == ['{"n":1}']
        p.wait_for(lambda: "is missing" in fault(p))
        assert r.nothing()


@pytest.mark.nginx
@every_transport
def test_nginx_compresses_and_nothing_is_late(penstock, backend, tmp_path,
                                              transport):
    feed = Feed()
    b = backend(feed.sse)
    with Nginx(tmp_path, f"""
            gzip on; gzip_types text/event-stream; gzip_min_length 0;
            location / {{ proxy_pass {b.url}; proxy_buffering off;
                          proxy_http_version 1.1; }}""") as nginx:
        with raw.Client(nginx.port) as c:
            c.send_request("GET", "/stream/B", {"Accept-Encoding": "gzip"})
            assert c.head().headers["Content-Encoding"] == "gzip"
        wait_for(lambda: feed.readers == 0)
        p = penstock(quotes(nginx, compress=True))
        with reader(transport, p, "/quotes/A").connect() as r:
            p.wait_for(lambda: feed.readers == 1)
            for n in range(5):
                feed.add(f"message {n}")
                assert data_of(r.read(1)) == [f"message {n}"]


# --- where it is sent on -----------------------------------------------------------

def redirecting(*steps, **options):
    """A handler: the targets in steps lead to their Location, the others to a
    stream of what was asked for."""
    steps = dict(steps)

    def handler(request, conn):
        if request.target in steps:
            status, where = steps[request.target]
            conn.respond(status, b"moved", {"Location": where, **options})
        else:
            conn.start_chunked(200, SSE)
            conn.chunk(sse_text("1", None, request.target))
            conn.read_request()
    return handler


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(penstock, backend, status):
    b = backend(redirecting(("/stream/A", (status, "/else?where=1"))))
    p = penstock(quotes(b))
    with SseClient(p, "/quotes/A").connect("oldest") as r:
        assert data_of(r.read(1)) == ["/else?where=1"]


@pytest.mark.parametrize("where,target", [
    ("B", "/stream/B"), ("../x/./y", "/x/y"), ("?z", "/stream/A?z"),
    ("//{host}/b#f", "/b"), ("http://{host}/b", "/b"), ("HTTP://{host}", "/")])
def test_any_form_of_location_is_understood(penstock, backend, where, target):
    b = Backend()
    b.handler = lambda request, conn: redirecting(
        ("/stream/A", (307, where.format(host=f"127.0.0.1:{b.port}"))))(
            request, conn)
    with b:
        p = penstock(quotes(b))
        with SseClient(p, "/quotes/A").connect("oldest") as r:
            assert data_of(r.read(1)) == [target]
        p.stop()


def test_a_reconnect_begins_where_the_file_says(penstock, backend):
    def handler(request, conn):
        if request.target == "/stream/A":
            conn.respond(301, b"", {"Location": "/b"})
        else:
            conn.respond(200, sse_text("7", None, "x"), SSE)
    b = backend(handler)
    p = penstock(quotes(b))
    with SseClient(p, "/quotes/A").connect():
        p.wait_for(lambda: len(b.requests) >= 4)
    assert [r.target for r in b.requests[:4]] == 2 * ["/stream/A", "/b"]
    assert b.requests[3].headers["Last-Event-ID"] == "7"


@pytest.mark.parametrize("where,words", [
    ("/stream/A", "more than 5 times"), ("ftp://x/", "no URL"),
    ("http://u:p@127.0.0.1/", "no URL"), (None, "without saying where"),
    ("http://127.0.0.1:1/", "none of its own"),
    ("https://127.0.0.1:1/", "none of its own")])
def test_where_it_is_not_followed_it_is_told(penstock, backend, where, words):
    b = backend(lambda request, conn: conn.respond(
        307, b"", {"Location": where} if where else {}))
    p = penstock(quotes(b, backoff={"min": "10s"}))
    assert_fault(p, words)
    assert len(b.requests) == (6 if "5" in words else 1)


def test_redirects_may_be_forbidden(penstock, backend):
    b = backend(redirecting(("/stream/A", (307, "/b"))))
    p = penstock(quotes(b, redirects="none"))
    assert_fault(p, "\"redirects\" is \"none\"")


SECRETS = {"Authorization": "Bearer s3cret", "X-Key": "s3cret"}


def test_another_server_of_the_backend_gets_what_the_first_got(penstock, backend):
    other = backend(redirecting())
    b = backend(redirecting(("/stream/A", (307, f"{other.url}/b"))))
    config = quotes(b, headers=SECRETS)
    config["backends"]["app"] = [b.url, other.url]
    p = penstock(config)
    with SseClient(p, "/quotes/A").connect("oldest") as r:
        r.read(1)
    assert all(request.headers.get(name) == value for name, value in SECRETS.items()
               for request in b.requests + other.requests)


def test_a_stranger_gets_no_secrets_nor_does_whom_he_names(penstock, backend):
    b = Backend()
    stranger = backend(lambda request, conn: conn.respond(
        302, b"", {"Location": f"{b.url}/back"}))
    b.handler = redirecting(("/stream/A", (307, f"{stranger.url}/b")))
    with b:
        p = penstock(quotes(b, headers=SECRETS, redirects="any"))
        with SseClient(p, "/quotes/A").connect("oldest") as r:
            assert data_of(r.read(1)) == ["/back"]
        p.stop()
    assert [r.headers.get("X-Key") for r in b.requests] == ["s3cret", None]
    got = stranger.requests[0].headers
    assert not any("s3cret" in value for _, value in got)
    assert got["Host"] == f"127.0.0.1:{stranger.port}"
    assert got["Accept"] == "text/event-stream"


def test_a_websocket_is_sent_on_too(penstock, backend):
    async def script(server, ws):
        await ws.send(ws.path)
    ws = WsBackend(script)
    b = backend(lambda request, conn: conn.respond(
        307, b"", {"Location": f"http://127.0.0.1:{ws.port}/b"}))
    p = penstock(quotes(b, "websocket", redirects="any"))
    try:
        with SseClient(p, "/quotes/A").connect("oldest") as r:
            assert data_of(r.read(1)) == ["/b"]
    finally:
        p.stop()
        ws.stop()


# --- what it says of itself ------------------------------------------------------------

@pytest.mark.parametrize("kind", ["sse", "ndjson", "websocket"])
def test_fields_of_the_file_are_sent(penstock, backend, tmp_path, kind):
    (tmp_path / "key").write_bytes(b"from a file\r\n")
    b = backend(lambda request, conn: conn.respond(404, b""))
    p = penstock(quotes(b, kind, headers={**SECRETS, "X-File": {"file": "key"},
                                          "user-agent": "tests (a@b.example)"}))
    with SseClient(p, "/quotes/A").connect():
        p.wait_for(lambda: b.requests)
    got = b.requests[0].headers
    for name, value in {**SECRETS, "X-File": "from a file",
                        "User-Agent": "tests (a@b.example)"}.items():
        assert got.get_all(name) == [value]
    assert "s3cret" not in p.log() + p.admin("GET", "/channels").text


@pytest.mark.parametrize("secret", [b"s3cret\nX-Forged: 1\n", b"s3cret\0",
                                    b"s3cret\r\n\r\n"])
def test_a_secret_with_a_line_end_inside_is_refused_and_not_told(
        tmp_path, secret):
    """Sent, it would end the head, and what follows would be a body."""
    (tmp_path / "key").write_bytes(secret)
    at = type("At", (), {"url": "http://127.0.0.1:9"})
    file = tmp_path / "penstock.json"
    file.write_text(json.dumps({"listen": "127.0.0.1:0", **quotes(
        at, headers={"X-Key": {"file": "key"}})}))
    done = subprocess.run([BINARY, "check", file], capture_output=True,
                          text=True, timeout=30)
    assert done.returncode == 1
    assert "headers.X-Key: holds a line end or another control" in done.stderr
    assert "s3cret" not in done.stderr


def test_a_reload_with_another_secret_connects_anew(penstock, backend, tmp_path):
    feed = Feed()
    b = backend(feed.sse)
    (tmp_path / "key").write_text("one\n")
    p = penstock(quotes(b, headers={"X-Key": {"file": "key"}}))
    with SseClient(p, "/quotes/A").connect() as r:
        p.wait_for(lambda: feed.readers == 1)
        (tmp_path / "key").write_text("two\n")
        p.signal(1)
        p.wait_for(lambda: len(b.requests) == 2)
        feed.add("1")
        assert data_of(r.read(1)) == ["1"]
    assert [q.headers["X-Key"] for q in b.requests] == ["one", "two"]


@pytest.mark.parametrize("kind", ["sse", "poll"])
@pytest.mark.parametrize("status,words", [
    (401, "(401 or 403)"), (404, "(4xx)"), (429, "(429)"), (503, "(5xx)"),
    (206, "another status than 200"), (300, "another status than 200")])
def test_why_nothing_comes_is_told(penstock, backend, kind, status, words):
    b = backend(lambda request, conn: conn.respond(
        status, b"", {**SSE, "Retry-After": "Fri, 31 Dec 2199 23:59:59 GMT"}))
    p = penstock(quotes(b, kind))
    assert_fault(p, words)
    line = p.log_lines("source.failed")[0]
    assert int(line.rpartition("retry_ms=")[2]) >= 3600000 - 10  # an hour at most


# --- a stream for each client ---------------------------------------------------------

class Inbox:
    """A handler: a stream for whom Authorization names."""

    def __init__(self):
        self.open = 0

    def __call__(self, request, conn):
        self.open += 1
        conn.start_chunked(200, SSE)
        who = request.headers.get("Authorization", "nobody")
        conn.chunk(sse_text("1", None, f"{request.target} of {who}"))
        conn.read_request()
        self.open -= 1


def inboxes(b, **route):
    return {"backends": {"app": b.url}, "routes": [
        {"path": "/inbox/{box}", **route,
         "source": {"sse": "app/{box}", "per": "client", "linger": "50ms",
                    "pass": ["Authorization", "Cookie"]}}]}


@every_transport
def test_each_client_reads_its_own(penstock, backend, transport):
    b = backend(Inbox())
    p = penstock(inboxes(b))
    for who in ("ada", "bob"):
        with reader(transport, p, "/inbox/new",
                    headers={"Authorization": who}).connect("oldest") as r:
            assert data_of(r.read(1)) == [f"/new of {who}"]
    assert len(b.requests) == 2


def test_clients_with_the_same_credentials_share_one(penstock, backend):
    b = backend(inbox := Inbox())
    p = penstock(inboxes(b))
    clients = [SseClient(p, "/inbox/new", headers={"authorization": "s3cret-ada",
                                                   "X-Else": str(n)})
               for n in range(3)]
    for c in clients:
        assert data_of(c.connect("oldest").read(1)) == ["/new of s3cret-ada"]
    with SseClient(p, "/inbox/new", headers={"Authorization": "s3cret-ada",
                                             "Cookie": "a=1"}).connect("oldest"):
        p.wait_for(lambda: inbox.open == 2)
    assert [r.headers.get("Cookie") for r in b.requests] == [None, "a=1"]
    assert not any("X-Else" in r.headers for r in b.requests)
    told = p.admin("GET", "/channels").text
    assert told.count("inbox/new~") >= 2
    assert "s3cret" not in told + p.log()
    for c in clients:
        c.close()
    p.wait_for(lambda: inbox.open == 0)  # nobody is left to read for


def test_no_cache_may_keep_what_is_one_clients(penstock, backend):
    p = penstock(inboxes(backend(Inbox()), batch={"messages": 1},
                         transports="poll"))
    ada = {"Authorization": "ada"}
    p.wait_for(lambda: p.get("/inbox/new", ada).status == 200)
    answer = p.get("/inbox/new", ada)
    assert answer.headers["Cache-Control"] == "private, no-cache"
    id = answer.headers["ETag"].strip('"')
    page = p.get(f"/inbox/new?since={id.rpartition('-')[0]}-0", ada)
    assert len(page.json()["messages"]) == 1
    assert page.headers["Cache-Control"] == "no-store"


def test_nobody_reads_anothers_by_its_name(penstock, backend):
    b = backend(Inbox())
    config = inboxes(b)
    config["routes"].append({"path": "/many", "multiplex": True})
    p = penstock(config)
    with SseClient(p, "/inbox/new", headers={"Authorization": "ada"}).connect(
            "oldest") as r:
        r.read(1)
        names = [c["name"] for c in p.admin("GET", "/channels").json()["channels"]]
        assert len(names) == 1
        for name in (names[0], "inbox/new"):
            assert p.get(f"/many?channel={name}").status == 404
        digest = names[0].partition("~")[2]
        with SseClient(p, f"/inbox/new~{digest}").connect("oldest") as other:
            assert data_of(other.read(1)) == [f"/new~{digest} of nobody"]


def test_a_reload_leaves_each_client_its_stream(penstock, backend):
    b = backend(inbox := Inbox())
    p = penstock(inboxes(b))
    with SseClient(p, "/inbox/new", headers={"Authorization": "ada"}).connect(
            "oldest") as r:
        assert data_of(r.read(1)) == ["/new of ada"]
        p.signal(1)
        p.wait_for(lambda: p.log_lines(" reload ", "routes="))
        config = inboxes(b)
        config["routes"][0]["source"]["sse"] = "app/v2/{box}"
        p.write_config({**p.config, **config})
        p.signal(1)
        assert data_of(r.read(1)) == ["/v2/new of ada"]
        config["routes"][0]["source"]["pass"] = ["Cookie"]
        p.write_config({**p.config, **config})
        p.signal(1)
        p.wait_for(lambda: inbox.open == 0)  # it has to ask again
    assert len(b.requests) == 2


# --- names --------------------------------------------------------------------------------

def test_a_backend_that_moves_to_the_other_localhost_is_found(penstock, backend):
    feed = Feed()
    b = backend(feed.sse, host="127.0.0.1")
    p = penstock(quotes(type("At", (), {"url": f"http://localhost:{b.port}"})))
    with SseClient(p, "/quotes/A").connect() as r:
        p.wait_for(lambda: feed.readers == 1)
        b.kill()
        b.host = "::1"
        b.restart()
        p.wait_for(lambda: feed.readers == 1)
        feed.add("1")
        assert data_of(r.read(1)) == ["1"]


# --- sources that ask again and again ---------------------------------------------------

def asking(b, kind="poll", **source):
    extra = ({"every": "50ms"} if kind == "poll" else
             {"cursor": "/next", "param": "since", "select": "/items"})
    return quotes(b, kind, **{**extra, **source})


@pytest.mark.parametrize("kind", ["poll", "longpoll"])
def test_questions_are_sent_on_authorized_and_unpacked(penstock, backend, kind):
    def handler(request, conn):
        if request.target.startswith("/stream/A"):
            conn.respond(307, b"moved", {"Location": "/b"})
        else:
            conn.respond(200, gzip.compress(b'{"next":"1","items":[7]}'),
                         {"Content-Type": "application/json",
                          "Content-Encoding": "gzip"})
    b = backend(handler)
    p = penstock(asking(b, kind, headers=SECRETS, compress=True))
    with SseClient(p, "/quotes/A").connect("oldest") as r:
        assert data_of(r.read(1)) == [
            '{"next":"1","items":[7]}' if kind == "poll" else "7"]
        p.wait_for(lambda: len(b.requests) >= 4)
    assert {r.target.partition("?")[0] for r in b.requests} == {"/stream/A", "/b"}
    assert len(b.connections) == 1
    assert all(r.headers["X-Key"] == "s3cret" and
               r.headers.get_all("Accept-Encoding") == ["gzip, deflate"]
               for r in b.requests)


def test_each_client_polls_its_own(penstock, backend):
    b = backend(lambda request, conn: conn.respond(
        200, request.headers.get("Authorization", "").encode()))
    p = penstock(asking(b, per="client", **{"pass": ["Authorization"]}))
    for who in ("ada", "bob"):
        with SseClient(p, "/quotes/A", headers={"Authorization": who}).connect(
                "oldest") as r:
            assert data_of(r.read(1)) == [who]


@pytest.mark.parametrize("body,words", [
    (gzip.compress(b"12")[:-4], "is missing"), (b"12", "not compressed"),
    (gzip.compress(bytes(2 << 20)), "\"message\" allows")],
    ids=["cut", "plain", "large"])
def test_a_packed_answer_that_is_no_use_is_no_message(penstock, backend, body,
                                                      words):
    b = backend(lambda request, conn: conn.respond(
        200, body, {"Content-Encoding": "gzip"}))
    p = penstock(asking(b, backoff={"min": "10s"}))
    assert_fault(p, words)
    assert p.channel("quotes/A")["messages"] == 0
