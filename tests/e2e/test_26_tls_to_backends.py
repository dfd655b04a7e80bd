"""https:// towards backends: who is trusted, what a cut is, and that all that
works over TCP works over TLS."""

import json
import ssl
import subprocess

import pytest

import raw
from backend import Feed
from certificates import Authority, server_context
from clients import TRANSPORTS, SseClient, reader
from test_20_sources import add_numbers, data_of, numbers, quotes
from test_30_proxy import proxying
from ws_backend import WsBackend

every_version = pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3],
    ids=["1.2", "1.3"])


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.certificate("127.0.0.1", "localhost")


@pytest.fixture
def secure(backend, certificate):
    """secure(handler) starts a backend behind TLS."""
    def start(handler=None, version=None, clients=None, cert=None, **options):
        context = server_context(cert or certificate, clients, version)
        return backend(handler, tls=context, **options)
    return start


def trusting(authority, config, **tls):
    """The config's backend with that authority."""
    app = config["backends"]["app"]
    if not isinstance(app, dict):
        app = {"servers": app}
    app["tls"] = {"ca": str(authority.cert), **tls}
    config["backends"]["app"] = app
    return config


def check(directory, config):
    """What `penstock check` says of it."""
    file = directory / "checked.json"
    file.write_text(json.dumps({"listen": ":0", "routes": [
        {"path": "/*", "proxy": "app"}], **config}))
    import penstock as module
    done = subprocess.run([module.BINARY, "check", str(file)],
                          capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


# --- what works over TCP works over TLS ----------------------------------------

@every_version
def test_requests_are_proxied_and_connections_kept(penstock, secure, authority,
                                                   version):
    def handler(request, conn):
        conn.respond(200, request.content or b"hello")
    b = secure(handler, version)
    p = penstock(trusting(authority, proxying(b)))
    assert p.get("/x").content == b"hello"
    big = bytes(range(256)) * 4096
    assert p.request("POST", "/x", body=big).content == big
    with p.client() as c:
        c.send_request("POST", "/x", {"Transfer-Encoding": "chunked"})
        for _ in range(3):
            c.send(b"3\r\nabc\r\n")
        c.send(b"0\r\n\r\n")
        assert c.response().content == b"abcabcabc"
    assert len(b.connections) == 1
    assert b.connections[0].sock.selected_alpn_protocol() == "http/1.1"
    assert b.connections[0].sock.version() == version.name.replace("_", ".")


def test_the_scheme_that_is_told_is_the_clients(penstock, secure, authority):
    b = secure()
    p = penstock(trusting(authority, proxying(b)))
    p.get("/x")
    assert b.requests[0].headers["X-Forwarded-Proto"] == "http"
    assert b.requests[0].headers["Host"] == f"127.0.0.1:{p.port}"


@every_version
def test_a_second_connection_resumes_the_session(penstock, secure, authority,
                                                 version):
    b = secure(version=version)
    p = penstock(trusting(authority, proxying(b, idle_timeout="0s")))
    for _ in range(4):
        assert p.get("/x").status == 200
    assert b.resumed == [False, True, True, True]


@pytest.mark.parametrize("kind", ["sse", "ndjson"])
def test_streams_are_read_by_all_transports(penstock, secure, authority, kind):
    feed = Feed()
    b = secure(getattr(feed, kind))
    p = penstock(trusting(authority, quotes(b, kind)))
    readers = [reader(t, p, "/quotes/A").connect() for t in TRANSPORTS]
    p.wait_for(lambda: feed.readers == 1)
    add_numbers(feed, 1, 5)
    for r in readers:
        assert data_of(r.read(5)) == numbers(1, 5)
        r.close()


def test_questions_are_asked_over_kept_connections(penstock, secure, authority):
    b = secure(lambda request, conn: conn.respond(200, str(len(b.requests))))
    p = penstock(trusting(authority, quotes(b, "poll", every="20ms")))
    with SseClient(p, "/quotes/A").connect("oldest") as r:
        assert data_of(r.read(3)) == numbers(1, 3)
    assert len(b.connections) == 1


def test_workers_share_sessions_and_each_is_used_once(penstock, secure,
                                                      authority):
    b = secure(lambda request, conn: conn.respond(200, request.target))
    config = trusting(authority, quotes(b, "poll", every="20ms"))
    config["backends"]["app"]["idle_timeout"] = "0s"  # a handshake each
    p = penstock({**config, "workers": 4})
    readers = [SseClient(p, f"/quotes/{n}").connect("oldest") for n in range(12)]
    for n, r in enumerate(readers):
        assert data_of(r.read(1)) == [f"/stream/{n}"]
    p.wait_for(lambda: len(b.resumed) >= 100)
    assert sum(b.resumed) > len(b.resumed) // 2
    for r in readers:
        r.close()


@pytest.mark.parametrize("rst", [False, True])
def test_a_backend_restarted_loses_nothing(penstock, secure, authority, rst):
    feed = Feed()
    b = secure(feed.sse)
    p = penstock(trusting(authority, quotes(b)))
    with SseClient(p, "/quotes/A").connect() as r:
        p.wait_for(lambda: feed.readers == 1)
        add_numbers(feed, 1, 3)
        got = r.read(3)
        b.kill(rst)
        add_numbers(feed, 4, 6)
        b.restart()
        assert data_of(got + r.read(3)) == numbers(1, 6)


def test_a_websocket_source_and_a_tunnel(penstock, authority, certificate):
    async def script(server, ws):
        await ws.send("hello")
        async for message in ws:
            await ws.send(message)
    b = WsBackend(script, tls=server_context(certificate))
    b.url = f"https://127.0.0.1:{b.port}"
    config = trusting(authority, quotes(b, "websocket"))
    config["routes"].append({"path": "/*", "proxy": "app"})
    p = penstock(config)
    try:
        with SseClient(p, "/quotes/A").connect("oldest") as r:
            assert data_of(r.read(1)) == ["hello"]
        with reader("websocket", p, "/raw", protocol=None).connect() as w:
            assert w.recv() == "hello"
            w.send("x" * 100000)
            assert w.recv() == "x" * 100000
    finally:
        p.stop()
        b.stop()


# --- an end that was not announced is a cut --------------------------------------

@pytest.mark.parametrize("cut", [False, True])
def test_a_body_until_close_is_whole_only_if_tls_says_so(penstock, secure,
                                                         authority, cut):
    def handler(request, conn):
        conn.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        conn.close(cut=cut)
    p = penstock(trusting(authority, proxying(secure(handler))))
    with p.client() as c:
        c.send_request("GET", "/x")
        if cut:
            with pytest.raises((raw.Closed, ConnectionResetError)):
                c.response()
        else:
            assert c.response().content == b"all of it"


def test_a_value_at_a_cut_is_no_message(penstock, secure, authority):
    def handler(request, conn):
        conn.head(200, {"Content-Type": "application/x-ndjson"})
        conn.send(b'{"n":1}\n12')
        conn.close(cut=True)
    p = penstock(trusting(authority, quotes(secure(handler), "ndjson")))
    with SseClient(p, "/quotes/A").connect("oldest") as r:
        assert data_of(r.read(2)) == ['{"n":1}', '{"n":1}']
    p.wait_for(lambda: p.log_lines("source.failed", "closed in mid-answer"))


# --- who is trusted ----------------------------------------------------------------

def refused(p, error):
    """What a client is told."""
    answer = p.get("/x")
    assert answer.status == 502
    assert answer.headers["Proxy-Status"] == f"penstock; error={error}"
    return answer.json()["detail"]


def test_an_unknown_authority_is_not_trusted(penstock, secure):
    b = secure()
    p = penstock(proxying(b))
    assert refused(p, "tls_certificate_error").startswith(
        "backend app: the server's certificate is not trusted: ")
    assert not b.requests
    p.wait_for(lambda: p.log_lines("proxy.refused", "not trusted: "))


def test_another_hosts_certificate_is_not_trusted(penstock, secure, authority):
    cert = authority.certificate("other.example", "b.example", name="other")
    b = secure(cert=cert)
    p = penstock(trusting(authority, proxying(b)))
    assert refused(p, "tls_certificate_error") == (
        "backend app: the server's certificate is for other.example, not for "
        "127.0.0.1")
    p = penstock(trusting(authority, proxying(b), name="b.example"))
    assert p.get("/x").status == 200


def test_the_name_that_is_asked_for_is_the_hosts(penstock, backend, certificate,
                                                 authority):
    asked = []
    context = server_context(certificate)
    context.sni_callback = lambda sock, name, context: asked.append(name)
    b = backend(tls=context)
    url = b.url.replace("127.0.0.1", "localhost")
    assert penstock(trusting(authority, proxying(url))).get("/").status == 200
    assert penstock(trusting(authority, proxying(b))).get("/").status == 200
    assert asked == ["localhost", None]  # an address is none: RFC 6066 3


def test_an_expired_certificate_is_not_trusted(penstock, secure, authority):
    old = authority.certificate("127.0.0.1", name="old").expire()
    p = penstock(trusting(old, proxying(secure(cert=old))))
    assert refused(p, "tls_certificate_error").endswith(
        "not trusted: certificate has expired")


def test_a_source_says_in_channels_what_is_wrong(penstock, secure):
    b = secure(Feed().sse)
    p = penstock(quotes(b))
    with SseClient(p, "/quotes/A").connect():
        p.wait_for(lambda: "not trusted: " in p.channel("quotes/A")["source"].get(
            "fault", ""))
    p.wait_for(lambda: p.log_lines("source.failed", "not trusted: "))


def test_without_verify_anybody_is_trusted(penstock, secure):
    config = proxying(secure())
    config["backends"]["app"]["tls"] = {"verify": False}
    assert penstock(config).get("/x").status == 200


def say_in_plain(conn):
    """As many servers answer what is no HTTP to them."""
    conn.stream.fill(raw.time.monotonic() + 5)
    conn.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def test_a_server_without_tls_is_named(penstock, backend, authority):
    plain = backend(raw_handler=say_in_plain)
    p = penstock(trusting(authority, proxying(plain.url.replace("http", "https"))))
    assert refused(p, "tls_protocol_error") == (
        "backend app: the server speaks no TLS")


def test_a_server_that_closes_in_the_handshake_is_named(penstock, backend,
                                                        authority):
    b = backend(raw_handler=lambda conn: conn.stream.fill(
        raw.time.monotonic() + 5))
    p = penstock(trusting(authority, proxying(b.url.replace("http", "https"))))
    assert "TLS handshake" in refused(p, "tls_protocol_error")


def test_a_handshake_ends_within_connect_timeout(penstock, backend, authority):
    b = backend(raw_handler=lambda conn: conn.read_request())
    url = b.url.replace("http", "https")
    p = penstock(trusting(authority, proxying(url, connect_timeout="50ms")))
    assert refused(p, "connection_timeout") == (
        "backend app: no end of the TLS handshake in time")


def test_the_next_server_is_tried(penstock, secure, backend, authority):
    plain = backend(raw_handler=say_in_plain).url.replace("http", "https")
    p = penstock(trusting(authority, proxying(plain, secure())))
    assert [p.get("/x").status for _ in range(4)] == 4 * [200]


# --- a certificate of our own ---------------------------------------------------------

@every_version
def test_our_certificate_is_shown(penstock, secure, authority, version):
    b = secure(clients=authority, version=version)
    ours = authority.certificate(name="penstock")
    p = penstock(trusting(authority, proxying(b), cert=str(ours.cert),
                          key=str(ours.key)))
    assert p.get("/x").status == 200
    subject = b.connections[0].sock.getpeercert()["subject"]
    assert subject == ((("commonName", "penstock"),),)


@every_version
def test_a_server_that_wants_one_says_so(penstock, secure, authority, version):
    p = penstock(trusting(authority, proxying(secure(clients=authority,
                                                     version=version))))
    assert refused(p, "tls_protocol_error").startswith(
        "backend app: the server refused TLS: ")


def test_a_stranger_is_verified_and_not_shown_ours(penstock, backend, secure,
                                                   certificate, authority):
    feed = Feed()
    context = server_context(certificate, authority)
    context.verify_mode = ssl.CERT_OPTIONAL
    stranger = backend(feed.sse, tls=context)
    b = secure(lambda request, conn: conn.respond(
        307, b"", {"Location": f"{stranger.url}/s"}), clients=authority)
    ours = authority.certificate(name="penstock")
    p = penstock(trusting(authority, quotes(b, redirects="any"),
                          cert=str(ours.cert), key=str(ours.key)))
    with SseClient(p, "/quotes/A").connect() as r:
        p.wait_for(lambda: feed.readers == 1)
        assert len(b.requests) == 1  # which has asked for it
        assert not stranger.connections[0].sock.getpeercert()
        feed.add("1")
        assert data_of(r.read(1)) == ["1"]


def test_a_redirect_from_https_to_http_is_not_followed(penstock, backend, secure,
                                                       authority):
    plain = backend()
    b = secure(lambda request, conn: conn.respond(
        307, b"", {"Location": f"{plain.url}/s"}))
    p = penstock(trusting(authority, quotes(b, redirects="any")))
    with SseClient(p, "/quotes/A").connect():
        p.wait_for(lambda: p.log_lines("source.failed", "from https to http"))
    assert not plain.requests


# --- the files --------------------------------------------------------------------------

def test_files_that_do_not_go_together_are_told(tmp_path, authority, certificate):
    other = authority.certificate(name="another")
    files = {"cert": str(certificate.cert), "key": str(other.key)}
    (tmp_path / "locked.key").write_text(subprocess.run(
        ["openssl", "ec", "-aes128", "-passout", "pass:x", "-in",
         certificate.key], capture_output=True, text=True, check=True).stdout)
    for tls, fault in [
            (files, 'backends.app.tls.key: "{key}" holds a key that is not the '
                    "certificate's"),
            ({**files, "key": "locked.key"}, 'backends.app.tls.key: "{key}" holds '
             "no key in PEM form that is not encrypted"),
            ({**files, "cert": str(other.key)}, 'backends.app.tls.cert: "{cert}" '
             "holds no certificate in PEM form"),
            ({"ca": "missing.pem"}, "backends.app.tls.ca: cannot read "
             f'"{tmp_path}/missing.pem": No such file or directory')]:
        code, said = check(tmp_path, {"backends": {"app": {
            "servers": "https://a", "tls": tls}}})
        assert code != 0 and fault.format(**tls) in said


def test_a_reload_reads_the_files_again(penstock, secure, authority, tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_bytes(Authority(tmp_path, "stranger").cert.read_bytes())
    feed = Feed()
    b = secure(feed.sse)
    config = quotes(b)
    config["routes"].append({"path": "/*", "proxy": "app"})
    config["backends"]["app"] = {"servers": b.url, "tls": {"ca": "ca.pem"}}
    p = penstock(config)
    assert p.get("/x").status == 502
    with SseClient(p, "/quotes/A").connect() as r:
        ca.write_bytes(authority.cert.read_bytes())
        p.signal(1)
        p.wait_for(lambda: feed.readers == 1)
        feed.add("1")
        assert data_of(r.read(1)) == ["1"]
        p.signal(1)  # nothing is new: the connection stays
        p.wait_for(lambda: len(p.log_lines(" reload ", "routes=")) == 2)
        feed.add("2")
        assert data_of(r.read(1)) == ["2"]
    assert [r.target for r in b.requests] == ["/stream/A"]
