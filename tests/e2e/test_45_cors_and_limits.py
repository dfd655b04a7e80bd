"""What pages of other origins may read, and how much one client may ask for."""

import contextlib
import re
import time

import pytest

import raw
from clients import SseClient, WsClient

ALL = ["poll", "longpoll", "sse", "websocket"]
PAGE = "https://a.example"
OTHER = "https://b.example"


def news(**keys):
    return {"routes": [{"path": "/news", "source": "publish",
                        "transports": ALL, **keys}]}


def proxied(backend, **keys):
    return {"backends": {"app": backend.url},
            "routes": [{"path": "/*", "proxy": "app", **keys}]}


def allowed(answer):
    """The origins that an answer allows: one field, or none."""
    return answer.headers.get_all("Access-Control-Allow-Origin")


def names(answer, field):
    return {n.strip().lower() for v in answer.headers.get_all(field)
            for n in v.split(",")}


def preflight(p, target="/news", origin=PAGE, headers=None, method="GET"):
    fields = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        fields["Access-Control-Request-Headers"] = headers
    return p.request("OPTIONS", target, fields)


# --- CORS --------------------------------------------------------------------

def test_without_cors_there_are_no_fields(penstock):
    p = penstock(news())
    answer = p.get("/news", {"Origin": PAGE})
    assert not [n for n, _ in answer.headers if n.startswith("Access-Control")]
    assert "Origin" not in answer.headers.get("Vary", "")


def test_any_origin_is_answered_by_a_star(penstock):
    p = penstock(news(cors="*"))
    p.publish("news", "1")
    for headers in ({}, {"Origin": PAGE}, {"Origin": "null"}):
        answer = p.get("/news", headers)
        assert allowed(answer) == ["*"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "origin" not in names(answer, "Vary")


def test_a_named_origin_is_echoed_and_varies(penstock):
    p = penstock(news(cors=[PAGE, "https://c.example"]))
    p.publish("news", "1")
    for origin, expected in ((PAGE, [PAGE]), (OTHER, []),
                             ("https://c.example", ["https://c.example"]),
                             ("null", [])):
        answer = p.get("/news", {"Origin": origin})
        assert answer.status == 200
        assert allowed(answer) == expected
        assert "origin" in names(answer, "Vary")
    assert "origin" in names(p.get("/news"), "Vary")  # or a cache mixes them


def test_credentials_come_with_the_origin_itself(penstock):
    p = penstock(news(cors={"origins": PAGE, "credentials": True}))
    answer = p.get("/news", {"Origin": PAGE})
    assert allowed(answer) == [PAGE]
    assert answer.headers.get_all("Access-Control-Allow-Credentials") == ["true"]
    answer = p.get("/news", {"Origin": OTHER})
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_scripts_see_the_fields_of_a_cursor(penstock):
    p = penstock(news(cors=PAGE))
    p.publish("news", "1")
    exposed = names(p.get("/news", {"Origin": PAGE}),
                    "Access-Control-Expose-Headers")
    assert exposed >= {"etag", "link", "penstock-gap", "preference-applied",
                       "retry-after", "last-modified"}


@pytest.mark.parametrize("target,headers,status", [
    ("/news?since=oldest", {}, 200),                            # poll
    ("/news?wait=0", {}, 204),                                  # long poll
    ("/news", {"Accept": "text/event-stream"}, 200),
    ("/news", {"Accept": "text/event-stream", "Upgrade": "websocket",
               "Connection": "Upgrade"}, 426),
])
def test_every_transport_and_every_error_has_the_fields(penstock, target,
                                                         headers, status):
    p = penstock(news(cors=PAGE))
    with p.client() as c:
        c.send_request("GET", target, headers | {"Origin": PAGE})
        answer = c.head()
    assert answer.status == status
    assert allowed(answer) == [PAGE]
    assert "origin" in names(answer, "Vary")


def test_a_refused_method_and_a_refused_transport_have_the_fields(penstock):
    p = penstock(news(cors=PAGE, transports="poll"))
    for method, headers, status in (("DELETE", {}, 405),
                                    ("GET", {"Accept": "text/event-stream"}, 406)):
        answer = p.request(method, "/news", headers | {"Origin": PAGE})
        assert (answer.status, allowed(answer)) == (status, [PAGE])


def test_a_304_has_the_fields(penstock):
    p = penstock(news(cors=PAGE))
    p.publish("news", "1")
    etag = p.get("/news").headers["ETag"]
    answer = p.get("/news", {"Origin": PAGE, "If-None-Match": etag})
    assert (answer.status, allowed(answer)) == (304, [PAGE])


def test_a_preflight_allows_what_readers_send(penstock):
    p = penstock(news(cors={"origins": [PAGE], "headers": ["X-Tenant"],
                            "max_age": "5m"}))
    answer = preflight(p, headers="authorization,cache-control,last-event-id")
    assert answer.status == 204
    assert allowed(answer) == [PAGE]
    assert names(answer, "Access-Control-Allow-Headers") >= {
        "authorization", "cache-control", "last-event-id", "prefer",
        "content-type", "if-none-match", "x-tenant"}
    assert names(answer, "Access-Control-Allow-Methods") == {
        "get", "head", "options"}
    assert answer.headers["Access-Control-Max-Age"] == "300"
    assert "origin" in names(answer, "Vary")


def test_a_preflight_of_a_stranger_is_refused(penstock):
    p = penstock(news(cors=PAGE))
    answer = preflight(p, origin=OTHER)
    assert (answer.status, allowed(answer)) == (403, [])
    assert "origin" in names(answer, "Vary")


def test_options_without_a_preflight_is_as_before(penstock):
    p = penstock(news(cors=PAGE))
    answer = p.request("OPTIONS", "/news", {"Origin": PAGE})
    assert (answer.status, answer.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")
    assert "Access-Control-Max-Age" not in answer.headers


def test_a_preflight_names_post_where_messages_are_taken(penstock):
    p = penstock(news(cors=PAGE, receive="channel"))
    assert "post" in names(preflight(p, method="POST"),
                           "Access-Control-Allow-Methods")


def test_a_preflight_never_gets_to_a_backend(penstock, backend):
    b = backend()
    p = penstock(proxied(b, cors=PAGE))
    answer = preflight(p, "/any", method="PATCH")
    assert answer.status == 204
    assert "patch" in names(answer, "Access-Control-Allow-Methods")
    assert b.requests == []


def test_a_backends_own_fields_give_way(penstock, backend):
    own = {"Access-Control-Allow-Origin": "*", "Vary": "Accept",
           "access-control-allow-credentials": "true",
           "Access-Control-Expose-Headers": "X-Total"}
    b = backend(lambda request, conn: conn.respond(200, b"x", own))
    p = penstock(proxied(b, cors=PAGE))
    answer = p.get("/", {"Origin": PAGE})
    assert allowed(answer) == [PAGE]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert names(answer, "Vary") == {"accept", "origin"}
    assert names(answer, "Access-Control-Expose-Headers") >= {"x-total", "etag"}
    assert allowed(p.get("/", {"Origin": OTHER})) == []
    assert b.requests[0].headers["Origin"] == PAGE


def test_without_cors_a_backends_own_fields_pass(penstock, backend):
    own = {"Access-Control-Allow-Origin": "*"}
    b = backend(lambda request, conn: conn.respond(200, b"x", own))
    p = penstock(proxied(b))
    assert allowed(p.get("/", {"Origin": PAGE})) == ["*"]


def test_a_bad_gateway_has_the_fields(penstock, backend):
    b = backend()
    p = penstock(proxied(b, cors=PAGE))
    b.kill()
    answer = p.get("/", {"Origin": PAGE})
    assert (answer.status, allowed(answer)) == (502, [PAGE])


def test_the_fields_do_not_stay_for_the_next_request(penstock):
    config = news(cors=PAGE)
    config["routes"].append({"path": "/plain", "source": "publish"})
    p = penstock(config)
    with p.client() as c:
        assert allowed(c.get("/news", {"Origin": PAGE})) == [PAGE]
        answer = c.get("/plain?since=oldest", {"Origin": PAGE})
        assert allowed(answer) == []
        assert allowed(c.get("/news", {"Origin": PAGE})) == [PAGE]


def open_websocket(p, origin):
    with p.client() as c:
        c.send_request("GET", "/news", {
            "Connection": "Upgrade", "Upgrade": "websocket", "Origin": origin,
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})
        return c.head().status


def test_origins_of_cors_may_open_websockets(penstock):
    p = penstock(news(cors=PAGE))
    assert open_websocket(p, PAGE) == 101
    assert open_websocket(p, OTHER) == 403


def test_origins_says_otherwise(penstock):
    p = penstock(news(cors=PAGE, origins=OTHER))
    assert open_websocket(p, PAGE) == 403
    assert open_websocket(p, OTHER) == 101


# --- how often one client may ask --------------------------------------------

def until_refused(c, target="/news?since=oldest", most=50):
    """Asks until a 429; how often it was answered before, and that answer."""
    for n in range(most):
        answer = c.get(target)
        if answer.status == 429:
            return n, answer
        assert answer.status in (200, 204), answer
    raise AssertionError(f"{most} answers and no 429")


def test_a_poll_over_the_rate_is_told_when_to_come_back(penstock):
    p = penstock(news(cors=PAGE, limits={"rate": "3/h"}))
    with p.client() as c:
        n, answer = until_refused(c)
        assert n == 3
        assert 1200 <= int(answer.headers["Retry-After"]) <= 1802
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["status"] == 429
        assert allowed(c.get("/news?since=oldest", {"Origin": PAGE})) == [PAGE]
        assert preflight(p).status == 204  # browsers send it unasked


def test_the_rate_counts_all_connections_of_an_address(penstock):
    p = penstock(news(limits={"rate": "100/h", "burst": 10}) | {"workers": 4})
    statuses = [p.get("/news?since=oldest").status for _ in range(30)]
    assert statuses == [200] * 10 + [429] * 20
    with raw.Client(p.port, source="127.0.0.2") as c:
        assert c.get("/news?since=oldest").status == 200


def test_a_rate_lets_go_on_after_a_while(penstock):
    p = penstock(news(limits={"rate": "10/s", "burst": 1}))
    with p.client() as c:
        until_refused(c)
        raw.wait_for(lambda: c.get("/news?since=oldest").status == 200, 5)


def test_long_polls_count_and_streams_do_not(penstock):
    p = penstock(news(limits={"rate": "1/h"}))
    for _ in range(3):
        with SseClient(p, "/news").connect():
            pass
    with WsClient(p, "/news").connect():
        pass
    with p.client() as c:
        assert c.get("/news?wait=0").status == 204
        assert c.get("/news?wait=0").status == 429


def test_proxied_requests_over_the_rate_stay_here(penstock, backend):
    b = backend()
    p = penstock(proxied(b, limits={"rate": "2/h"}))
    assert [p.get("/x").status for _ in range(4)] == [200, 200, 429, 429]
    assert len(b.requests) == 2


def test_retry_after_differs_from_client_to_client(penstock):
    p = penstock(news(limits={"rate": "1/h"}))
    p.get("/news")
    told = {p.get("/news").headers["Retry-After"] for _ in range(20)}
    assert len(told) > 10


# --- how many connections ----------------------------------------------------

def refused(p, source="127.0.0.1"):
    """The answer that a connection gets unasked; None if it gets none."""
    with raw.Client(p.port, source=source, timeout=0.3) as c:
        try:
            return c.response()
        except TimeoutError:
            return None


@pytest.mark.parametrize("limit", ["per_address", "connections"])
def test_a_connection_too_many_is_answered_503(penstock, limit):
    p = penstock(news() | {"limits": {limit: 3}, "workers": 2})
    clients = [p.client() for _ in range(3)]
    assert all(c.get("/news?since=oldest").status == 200 for c in clients)
    answers = [refused(p) for _ in range(20)]
    assert {a.status for a in answers} == {503}
    assert len({a.headers["Retry-After"] for a in answers}) > 3
    assert all(5 <= int(a.headers["Retry-After"]) <= 15 for a in answers)
    if limit == "per_address":
        assert refused(p, "127.0.0.2") is None
    clients[0].close()
    p.wait_for(lambda: refused(p) is None, what="its place being free")
    for c in clients:
        c.close()


def test_readers_are_told_different_times_to_come_back(penstock):
    """retry: of server-sent events, a quarter more or less at least."""
    p = penstock(news())
    told = []
    for _ in range(60):
        with SseClient(p, "/news").connect() as r:
            r.wait_comments(1)
            while r.parser.retry_ms is None:
                r.pull(time.monotonic() + 5)
            told.append(r.parser.retry_ms)
    assert max(told) >= 1.5 * min(told)
    assert len(set(told)) > 30


@pytest.mark.parametrize("protocol", ["penstock.v1", None])
def test_websockets_are_closed_with_different_times_to_come_back(
        penstock, protocol):
    p = penstock(news(retry="4s") | {"limits": {"drain_timeout": "2s"}})
    clients = [WsClient(p, "/news", protocol=protocol).connect()
               for _ in range(60)]
    p.stop()
    told = []
    for c in clients:
        assert c.wait_closed() == 1001
        told.append(int(re.fullmatch(r"the server is going away "
                                     r"\(retry in (\d+) ms\)",
                                     c.ws.close_reason)[1]))
    assert all(3000 <= t <= 5000 for t in told)
    assert max(told) >= 1.5 * min(told)
    assert len(set(told)) > 30


def test_who_is_refused_by_the_hundred_is_told_to_come_at_different_times(
        penstock):
    """After a restart all come at once, and half of them find no room."""
    count = 200
    p = penstock(news() | {"limits": {"connections": count // 2}})
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(p.client()) for _ in range(count)]
        for c in clients:
            c.send_request("GET", "/news", {"Accept": "text/event-stream"})
        answers = [c.head() for c in clients]
    waits = [int(a.headers["Retry-After"]) for a in answers if a.status == 503]
    assert len(waits) == count // 2
    assert max(waits) >= 1.5 * min(waits)
    assert max(waits.count(w) for w in waits) <= len(waits) / 3


def test_a_refusal_is_not_lost_to_the_request_it_crosses(penstock):
    p = penstock(news() | {"limits": {"connections": 1}})
    with p.client() as first:
        first.get("/news?since=oldest")
        for _ in range(20):
            assert p.get("/news").status == 503


def test_connections_over_the_rate_wait_and_are_served(penstock):
    p = penstock(news() | {"limits": {"accept_rate": "20/s"}, "workers": 1})
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(p.client(timeout=20)) for _ in range(30)]
        for c in clients:
            c.send_request("GET", "/news?since=oldest")
        assert all(c.response().status == 200 for c in clients)
    assert 1 < time.monotonic() - began < 10
