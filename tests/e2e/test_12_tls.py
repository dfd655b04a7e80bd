"""TLS towards clients: who is spoken to, what is an end and what a cut, and how
certificates are changed."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading

import pytest

import load
import penstock as penstock_module
import raw
from certificates import client_context, own_certificate
from clients import SseClient, WsClient
from tls_by_hand import TlsByHand

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
every_version = pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    directory = tmp_path_factory.mktemp("certificates")
    return [own_certificate(directory, "127.0.0.1", "localhost", name=name)
            for name in ("first", "second")]


@pytest.fixture
def certificate(certificates):
    return certificates[0]


@pytest.fixture
def penstock(penstock, certificate):
    def start(config, **options):
        return penstock(config, **{"tls": certificate, **options})
    return start


def news(**keys):
    return {"routes": [{"path": "/news", "source": "publish", "transports":
                        ["poll", "longpoll", "sse", "websocket"], **keys}]}


def trusting(certificate, protocols=("http/1.1",), version=None):
    context = client_context(certificate, protocols)
    if version:
        context.maximum_version = context.minimum_version = version
    return context


def connect(p, context, **options):
    sock = socket.create_connection(("127.0.0.1", p.port), 10)
    return context.wrap_socket(sock, server_hostname="127.0.0.1",
                               suppress_ragged_eofs=False, **options)


def served(p, context):
    """What certificate a new connection is shown."""
    with connect(p, context) as sock:
        sock.sendall(b"GET /news HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 20")
        return sock.getpeercert(binary_form=True)


def der(certificate):
    return ssl.PEM_cert_to_DER_cert(certificate.cert.read_text())


# --- who is spoken to: RFC 7301 3.2 ---------------------------------------------

@every_version
@pytest.mark.parametrize("offered, chosen", [
    (["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"),
    (["http/1.0", "x", "http/1.1"], "http/1.1"), ([], None)])
def test_http_1_1_is_chosen_of_what_is_offered(penstock, certificate, version,
                                               offered, chosen):
    p = penstock(news())
    with connect(p, trusting(certificate, offered, version)) as sock:
        assert sock.selected_alpn_protocol() == chosen
        assert sock.version() == version.name.replace("_", ".")
        sock.sendall(b"GET /news HTTP/1.1\r\nHost: a\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 204 ")


@every_version
@pytest.mark.parametrize("offered", [["h2"], ["h2", "x"], ["http/1.0"]])
def test_who_speaks_nothing_of_ours_is_told_so(penstock, certificate, version,
                                               offered):
    p = penstock(news())
    with pytest.raises(ssl.SSLError) as told:
        connect(p, trusting(certificate, offered, version))
    assert "alert no application protocol" in str(told.value)
    p.wait_for(lambda: p.metric("tls_failures_total") == 1)
    p.wait_for(lambda: p.log_lines(" tls.failed ", "no application protocol"))
    assert served(p, p.tls) == der(certificate)


def test_versions_before_1_2_are_refused(penstock, certificate):
    p = penstock(news())
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{p.port}", "-tls1_1",
         "-cipher", "DEFAULT@SECLEVEL=0"], stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=20, check=False)
    assert "alert protocol version" in done.stderr


def test_renegotiation_is_refused(penstock, certificate):
    p = penstock(news())
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{p.port}", "-tls1_2"],
        input="R\n", capture_output=True, text=True, timeout=20, check=False)
    assert "no renegotiation" in done.stderr, done.stderr


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PRI"])
def test_http_without_tls_is_told_so(penstock, method):
    p = penstock(news())
    said, codes = raw.exchange(p.port,
                               f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert codes == [400]
    assert b"plain HTTP request was sent to HTTPS port" in said
    assert b"Connection: close" in said
    assert served(p, p.tls)


@pytest.mark.parametrize("said", [b"\0", b"\x16\x03\x01\xff\xff" + b"x" * 70000,
                                  b"hello\r\n\r\n", b"\x80\x2e\x01\0\2", b"\r\n"])
def test_what_is_no_tls_is_closed(penstock, said):
    p = penstock(news())
    with raw.Client(p.port) as c:
        c.send(said)
        c.half_close()
        c.read_to_close()
    assert served(p, p.tls)


# --- handshakes that take long ----------------------------------------------------

def test_a_hello_may_come_octet_by_octet(penstock, certificate):
    p = penstock(news())
    with TlsByHand(p.port, trusting(certificate)) as c:
        for octet in c.hello():
            c.sock.sendall(bytes([octet]))
        c.handshake()
        c.send(b"GET /news HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 204 ")


@every_version
def test_a_hello_cut_anywhere_leaves_nothing_behind(penstock, certificate, version):
    p = penstock(news())
    served(p, p.tls)
    files = p.open_files()
    context = trusting(certificate, version=version)
    at = 0
    while True:
        with TlsByHand(p.port, context) as c:
            hello = c.hello()
            c.sock.sendall(hello[:at])
            if at % 3 == 0:
                raw.reset(c.sock)
            elif at % 3 == 1:
                c.fin()
                assert c.closed()
        at += 1 if at < 64 else 7
        if at > len(hello):
            break
    assert served(p, p.tls)
    p.wait_for(lambda: p.open_files() <= files)


def test_each_octet_of_a_hello_may_be_another(penstock, certificate):
    p = penstock(news())
    context = trusting(certificate)
    at = 0
    while True:
        with TlsByHand(p.port, context) as c:
            hello = bytearray(c.hello())
            if at >= len(hello):
                break
            hello[at] ^= 0xff
            c.sock.sendall(hello)
            c.fin()
            assert c.closed()
        at += 1 if at < 64 else 5
    assert served(p, p.tls)


def test_slow_handshakes_hold_nobody_up_and_end_in_time(penstock, certificate):
    p = penstock({**news(), "workers": 1, "limits": {"head_timeout": "1s"}})
    slow = [TlsByHand(p.port, trusting(certificate)) for _ in range(50)]
    for n, c in enumerate(slow):
        c.sock.sendall(c.hello()[:n * 3])
    with SseClient(p, "/news").connect() as r:
        p.publish("news", "x")
        assert r.read(1)[0][2] == "x"
    for c in slow:
        assert c.closed()
        c.close()


# --- ends and cuts: RFC 8446 6.1 -----------------------------------------------------

@every_version
def test_the_end_of_a_connection_is_announced(penstock, certificate, version):
    p = penstock(news())
    with TlsByHand(p.port, trusting(certificate, version=version)) as c:
        c.handshake()
        c.send(b"GET /news HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert c.read_to_end().startswith(b"HTTP/1.1 204 ")
        assert c.closed()


@every_version
def test_a_client_s_end_is_answered(penstock, certificate, version):
    p = penstock(news())
    with TlsByHand(p.port, trusting(certificate, version=version)) as c:
        c.handshake()
        c.end()
        assert c.read_to_end() == b""
        assert c.closed()


def follow(c):
    c.send(b"GET /news HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream"
           b"\r\n\r\n")
    c.read_until(b"retry:")


def test_an_end_while_a_stream_runs_takes_it_along(penstock, certificate):
    p = penstock(news())
    with TlsByHand(p.port, trusting(certificate)) as c:
        c.handshake()
        follow(c)
        p.wait_for(lambda: p.channel("news")["readers"] == 1)
        c.end()
        p.wait_for(lambda: p.channel("news")["readers"] == 0)
        assert c.closed()


@pytest.fixture
def tunnel(penstock, backend, certificate):
    """tunnel(handler): a connection through to what speaks "echo"."""
    opened = []

    def open_(handler):
        def answer(request, conn):
            conn.send(b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: echo"
                      b"\r\n\r\n")
            handler(conn)
        b = backend(answer)
        p = penstock({"backends": {"app": b.url},
                      "routes": [{"path": "/*", "proxy": "app"}]})
        c = TlsByHand(p.port, trusting(certificate)).handshake()
        opened.append(c)
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo"
               b"\r\n\r\n")
        c.read_until(b"\r\n\r\n")
        return c
    yield open_
    for c in opened:
        c.close()


def read_all(conn, timeout=10):
    """What came until the end of the connection; a reset is "reset"."""
    deadline = raw.time.monotonic() + timeout
    try:
        while conn.stream.fill(deadline):
            pass
    except ConnectionResetError:
        return "reset"
    return conn.stream.take(len(conn.stream.buffer))


def test_one_direction_ends_before_the_other(tunnel):
    heard = []

    def handler(conn):
        heard.append(read_all(conn))
        conn.send(b"heard " + heard[0])
        conn.close()
    c = tunnel(handler)
    c.send(b"question")
    c.end()
    assert c.read_to_end() == b"heard question"
    assert heard == [b"question"]


def test_a_server_that_ends_first_is_announced(tunnel):
    heard = []
    done = threading.Event()

    def handler(conn):
        conn.send(b"all of it")
        conn.sock.shutdown(socket.SHUT_WR)
        heard.append(read_all(conn))
        done.set()
    c = tunnel(handler)
    assert c.read_to_end() == b"all of it"
    c.send(b"still here")
    c.end()
    assert done.wait(10)
    assert heard == [b"still here"]


def test_a_cut_is_no_end(tunnel):
    """TCP's end without one of TLS: somebody in between may have cut it."""
    done = threading.Event()

    def handler(conn):
        conn.send(b"waiting")
        read_all(conn)
        done.set()
    c = tunnel(handler)
    c.read_until(b"waiting")
    c.send(b"half a thou")
    c.fin()
    assert done.wait(10)
    with pytest.raises((raw.Closed, ssl.SSLError, ConnectionResetError)):
        while c.recv():
            pass
        raise raw.Closed("it was let go in good order, which is as good")


# --- sessions ---------------------------------------------------------------------

def resumed(p, context, session=None):
    """(session, whether it was taken up)."""
    with TlsByHand(p.port, context, session=session) as c:
        c.handshake()
        c.send(b"GET /news HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        c.read_to_end()
        return c.tls.session, c.tls.session_reused


@every_version
def test_sessions_are_resumed_until_the_certificate_changes(
        penstock, certificates, tmp_path, version):
    pair = OnDisk(tmp_path, certificates[0])
    p = penstock({**news(), "workers": 4}, tls=pair)
    context = trusting(certificates[0], version=version)
    context.load_verify_locations(certificates[1].cert)
    session, _ = resumed(p, context)
    session, again = resumed(p, context, session)
    assert again
    reload(p)  # which changes nothing
    session, again = resumed(p, context, session)
    assert again
    pair.become(certificates[1])
    reload(p)
    _, again = resumed(p, context, session)
    assert not again


# --- certificates: F37 ------------------------------------------------------------

class OnDisk:
    """A certificate's files, which become another one's."""

    def __init__(self, directory, certificate):
        self.cert, self.key = directory / "fullchain.pem", directory / "key.pem"
        self.become(certificate)

    def become(self, cert, key=None):
        shutil.copy(cert.cert, self.cert)
        shutil.copy((key or cert).key, self.key)

    def names(self):
        return {"cert": self.cert.name, "key": self.key.name}


def reload(p, outcome=" reload "):
    before = len(p.log_lines(outcome))
    p.signal(signal.SIGHUP)
    p.wait_for(lambda: len(p.log_lines(outcome)) > before, 20, outcome)


def test_a_bad_pair_changes_nothing_and_a_good_one_what_is_new(
        penstock, certificates, tmp_path):
    first, second = certificates
    pair = OnDisk(tmp_path, first)
    p = penstock(news(), tls=pair)
    both = trusting(first)
    both.load_verify_locations(second.cert)
    p.tls = both
    streams = [kind(p, "/news").connect()
               for kind in (SseClient, WsClient) for _ in range(50)]

    def all_live(text):
        p.publish("news", text)
        for r in streams:
            assert r.read(1)[0][2] == text
    all_live("before")

    pair.become(second, key=first)
    reload(p, " reload.failed ")
    p.wait_for(lambda: p.log_lines(
        "listen[0].tls.key: \"key.pem\" holds a key that is not the certificate's"))
    assert served(p, both) == der(first)
    all_live("bad pair")

    pair.become(second)
    reload(p)
    assert served(p, both) == der(second)
    all_live("good pair")
    with SseClient(p, "/news").connect() as r:
        assert r.client.sock.getpeercert(True) == der(second)
        all_live("new one")
        assert r.read(1)[0][2] == "new one"
    for r in streams:
        r.close()


def test_an_address_becomes_secure_and_plain_again(penstock, certificate):
    port = raw.free_port()
    plain = f"127.0.0.1:{port}"
    secure = {"address": plain, "tls": certificate.names()}
    p = penstock({**news(), "listen": [plain]})
    p.tls = None
    with SseClient(p, "/news").connect() as a:
        p.write_config({**p.config, "listen": secure})
        reload(p)
        p.tls = trusting(certificate)
        with SseClient(p, "/news").connect() as b:
            p.write_config({**p.config, "listen": plain})
            reload(p)
            p.tls = None
            with SseClient(p, "/news").connect() as c:
                p.publish("news", "x")
                assert [r.read(1)[0][2] for r in (a, b, c)] == ["x"] * 3


def checked(directory, **tls):
    file = directory / "checked.json"
    file.write_text(json.dumps(
        {"listen": {"address": ":0", "tls": tls}, **news(),
         "admin": "127.0.0.1:0"}))
    done = subprocess.run([penstock_module.BINARY, "check", str(file)],
                          capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_check_tells_what_is_wrong_with_a_certificate(certificates, tmp_path):
    first, second = certificates
    good = OnDisk(tmp_path, first)
    assert checked(tmp_path, **good.names())[0] == 0
    for key, wrong, reason in [
            ("key", str(second.key), "a key that is not the certificate's"),
            ("key", str(first.cert), "no key in PEM form"),
            ("cert", str(first.key), "no certificate in PEM form"),
            ("cert", "nowhere.pem", "No such file")]:
        code, said = checked(tmp_path, **{**good.names(), key: wrong})
        assert code == 1
        assert f"listen.tls.{key}: " in said and wrong in said
        assert reason in said
    code, said = checked(tmp_path, cert=good.names()["cert"])
    assert code == 1
    assert "listen.tls.key: is missing" in said


def test_check_tells_openssl_s_reason(tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:1024", "-nodes",
                    "-subj", "/CN=a", "-out", tmp_path / "c", "-keyout",
                    tmp_path / "k"], check=True, capture_output=True)
    code, said = checked(tmp_path, cert="c", key="k")
    assert code == 1
    assert 'listen.tls.cert: "c" cannot be used: ee key too small' in said


def test_a_mismatched_pair_at_the_start_is_an_error(certificates, tmp_path):
    pair = OnDisk(tmp_path, certificates[0])
    pair.become(certificates[0], key=certificates[1])
    file = tmp_path / "p.json"
    file.write_text(json.dumps({**news(), "admin": "127.0.0.1:0", "listen":
                                {"address": ":0", "tls": pair.names()}}))
    done = subprocess.run([penstock_module.BINARY, "run", str(file)],
                          capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode != 0
    assert "listen.tls.key" in done.stderr and "key.pem" in done.stderr


# --- what comes over it -----------------------------------------------------------

def test_backends_are_told_the_scheme(penstock, backend):
    b = backend()
    p = penstock({"backends": {"app": b.url},
                  "routes": [{"path": "/*", "proxy": "app"}]})
    p.get("/x", {"X-Forwarded-Proto": "http"})
    assert b.requests[0].headers["X-Forwarded-Proto"] == "https"
    assert b.requests[0].headers["Forwarded"].endswith(";proto=https")


def test_bodies_pass_whole_both_ways(penstock, backend):
    def handler(request, conn):
        conn.respond(200, request.content)
    p = penstock({"backends": {"app": backend(handler).url},
                  "routes": [{"path": "/*", "proxy": "app"}]})
    body = os.urandom(1 << 20) * 8
    with p.client(timeout=60) as c:
        for _ in range(2):
            answer = c.request("POST", "/x", body=body)
            assert answer.status == 200
            assert answer.content == body


def test_slow_readers_get_large_messages_whole(penstock):
    p = penstock(news(history={"messages": 100, "bytes": "64MiB"}))
    texts = [str(n) * 900_000 for n in range(4)]
    readers = [SseClient(p, "/news").connect() for _ in range(3)]
    others = [SseClient(p, "/news").connect() for _ in range(20)]
    before = p.rss()
    for text in texts:
        p.publish("news", text)
    held = p.rss() - before
    for r in readers:
        assert [m[2] for m in r.read(4, timeout=30)] == texts
        r.close()
    # The history, in its forms; not the 3.4 MiB of each.
    assert load.sanitizer() or held < 40 << 20
    for r in others:
        r.close()


def test_octets_are_counted_as_they_are_on_the_wire(penstock, certificate):
    p = penstock(news())
    with TlsByHand(p.port, trusting(certificate)) as c:
        c.handshake()
        follow(c)
        p.publish("news", "x" * 100_000)
        p.publish("news", "last")
        c.read_until(b"data: last\n\n")
        p.wait_for(lambda: p.measured("/news", "sse")["bytes_out"] == c.received)
        assert p.measured("/news", "sse")["bytes_in"] == c.sent


def test_a_stop_says_good_bye_on_every_stream(penstock):
    p = penstock(news())
    sse = SseClient(p, "/news").connect()
    ws = WsClient(p, "/news").connect()
    with p.client() as waiting, p.client() as idle:
        waiting.send_request("GET", "/news?wait=60")
        idle.get("/news")
        p.wait_for(lambda: p.channel("news")["readers"] == 3)
        p.signal(signal.SIGTERM)
        assert ws.wait_closed() == 1001
        with pytest.raises(raw.Closed):
            sse.read(1)
        assert waiting.response().status == 204
        assert idle.closed()
    sse.close()
    assert p.process.wait(20) == 0


def test_the_admin_listener_speaks_tls(penstock, certificate):
    p = penstock({**news(), "admin": {"listen": "127.0.0.1:0", "token": "t",
                                      "tls": certificate.names()}})
    class Admin:
        port, tls = p.admin_port, p.tls
    with raw.Client(Admin) as c:
        answer = c.request("POST", "/channels/news",
                           {"Authorization": "Bearer t"}, "x")
        assert answer.status == 201
    assert p.get("/news").text == "x"


def advise(*arguments):
    done = subprocess.run([penstock_module.BINARY, "advise", *arguments],
                          capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout + done.stderr


def test_advice_is_asked_for_over_tls(penstock, certificates, tmp_path):
    p = penstock({**news(), "admin": {"listen": "127.0.0.1:0", "token": "t",
                                      "tls": certificates[0].names()}})
    token = tmp_path / "token"
    token.write_text("t")
    url = f"https://127.0.0.1:{p.admin_port}"
    asked = ["--token-file", str(token), url]
    code, said = advise("--ca", str(certificates[0].cert), *asked)
    assert (code, "/news" in said) == (0, True), said
    code, said = advise("--insecure", *asked)
    assert (code, "/news" in said) == (0, True), said
    code, said = advise("--ca", str(certificates[1].cert), *asked)
    assert code == 1 and "certificate is not trusted" in said
    code, said = advise("--ca", str(token), *asked)
    assert code == 1 and "holds no certificate in PEM form" in said
    plain = url.replace("https", "http")
    code, said = advise("--token-file", str(token), plain)
    assert code == 1 and "400" in said


def test_clients_over_the_limit_are_told_when_to_come_back(penstock):
    p = penstock({**news(), "limits": {"connections": 1}})
    with SseClient(p, "/news").connect():
        for _ in range(3):
            with p.client() as c:
                answer = c.get("/news")
                assert answer.status == 503
                assert int(answer.headers["Retry-After"]) >= 5
                assert c.closed()
    assert p.metric("connections_refused_total") == 3
    p.wait_for(lambda: p.get("/news").status == 204)


def test_clients_over_the_limit_that_say_nothing_are_let_go(penstock):
    p = penstock({**news(), "limits": {"connections": 1}})
    with SseClient(p, "/news").connect():
        with raw.Client(p.port) as silent, p.client() as shaken:
            silent.send(b"\x16\x03")
            assert silent.closed()
            assert shaken.closed()
