"""The least that has to work before anything else is worth a look."""

import pytest

from clients import TRANSPORTS, reader

ALL = ["poll", "longpoll", "sse", "websocket"]
NEWS = {"routes": [{"path": "/news", "source": "publish", "transports": ALL}]}


def test_health_is_told(penstock):
    p = penstock(NEWS)
    assert p.admin("GET", "/healthz").status == 200
    p.wait_for(lambda: p.admin("GET", "/readyz").status == 200)


def test_one_message_has_the_same_id_on_all_four(penstock):
    p = penstock(NEWS)
    id = p.publish("news", "hello")
    for transport in TRANSPORTS:
        with reader(transport, p, "/news").connect("oldest") as r:
            assert r.read(1) == [(id, "message", "hello")], transport


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_reader_gets_what_is_published_after_it_came(penstock, transport):
    p = penstock(NEWS)
    p.publish("news", "before")
    with reader(transport, p, "/news").connect() as r:
        id = p.publish("news", "after", event="alarm")
        assert r.read(1) == [(id, "alarm", "after")]
        assert r.gaps == 0


def test_rest_goes_through_the_proxy(penstock, backend):
    b = backend(lambda request, conn: conn.respond(
        201, {"got": request.content.decode()}, {"X-Answer": "42"}))
    p = penstock({"backends": {"app": b.url},
                  "routes": [{"path": "/*", "proxy": "app"}]})
    answer = p.request("POST", "/api/items?x=1", {"X-Ask": "6x7"}, "{}")
    assert answer.status == 201
    assert answer.headers["X-Answer"] == "42"
    assert answer.json() == {"got": "{}"}
    seen = b.requests[0]
    assert (seen.method, seen.target) == ("POST", "/api/items?x=1")
    assert seen.headers["X-Ask"] == "6x7"


def test_an_unknown_path_is_404(penstock):
    assert penstock(NEWS).get("/nothing").status == 404
