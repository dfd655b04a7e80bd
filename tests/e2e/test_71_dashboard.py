"""The admin listener's page, in Chromium: what it shows, how it is used, and
what it may do; and GET /race, by which it reads any channel by any transport."""

import json
import os

import pytest

import programs
import raw
from clients import TRANSPORTS, reader
from programs import Script

ALL = ["poll", "longpoll", "sse", "websocket"]
each = pytest.mark.parametrize("transport", TRANSPORTS)
FILES = ["/", "/dashboard/dashboard.js", "/dashboard/dashboard.css",
         "/dashboard/slices.js", "/dashboard/penstock.js", "/dashboard/mark.svg"]


def config(**keys):
    return {"routes": [
        {"path": "/news", "source": "publish", "transports": ["sse"]},
        {"path": "/quotes/{symbol}", "source": "publish", "transports": ALL},
        {"path": "/echo", "source": "publish", "channel": "echo/{connection}",
         "receive": "channel", "transports": ["websocket", "sse"]}], **keys}


class Admin:
    """The admin listener, for the readers of clients.py."""

    def __init__(self, p):
        self.port = p.admin_port


# --- the files -----------------------------------------------------------------

@pytest.mark.parametrize("path", FILES)
def test_the_page_is_part_of_the_program(penstock, path):
    p = penstock(config(admin={"listen": "127.0.0.1:0", "token": "secret"}))
    got = p.admin("GET", path)
    assert got.status == 200 and len(got.text) > 100
    assert got.headers["Cache-Control"] == "no-cache"
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    policy = got.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    same = p.admin("GET", path, {"If-None-Match": got.headers["ETag"]})
    assert same.status == 304 and not same.text
    assert p.admin("POST", path, body="x").status == 405
    assert p.admin("HEAD", path).headers["Content-Length"] == str(len(got.text.encode()))


def test_what_it_draws_with_has_its_licence(penstock):
    p = penstock(config())
    for name in ("uPlot.iife.min.js", "uPlot.min.css"):
        got = p.admin("GET", f"/dashboard/{name}")
        if got.status == 404:
            pytest.skip("built without uPlot")
        assert got.text.startswith("/*!") and "Permission is hereby granted" in got.text
        assert "Copyright (c)" in got.text.split("*/")[0]


def test_there_are_no_other_files(penstock):
    p = penstock(config())
    for path in ("/dashboard/", "/dashboard/no.js", "/dashboard/../news"):
        assert p.admin("GET", path).status in (400, 404)
    assert p.get("/").status == 404, "clients have none"


# --- any channel by any transport -----------------------------------------------

@each
def test_a_race_reads_any_channel_by_any_transport(penstock, transport):
    p = penstock(config())
    with reader(transport, Admin(p), f"/race/{transport}/news").connect("oldest") as r:
        sent = [p.publish("news", f"{n}") for n in range(3)]
        assert [m[0] for m in r.read(3)] == sent
    assert p.measured("/news")["measured"] == {}, "spectators are not counted"


def test_a_race_needs_a_channel_and_a_transport(penstock):
    p = penstock(config())
    for path in ("/race/", "/race/sse", "/race/sse/", "/race/pigeon/news",
                 "/race/sse/none", "/race/sse/echo/1"):
        got = p.admin("GET", path)
        assert got.status == 404, path
        assert got.headers["Content-Type"].startswith("application/problem")


def test_a_race_wants_the_token(penstock, tmp_path):
    token = tmp_path / "token"
    token.write_text("secret-word!")
    p = penstock(config(admin={"listen": "127.0.0.1:0", "token_file": str(token)}))
    assert p.admin("GET", "/race/poll/news").status == 401


# --- the page ---------------------------------------------------------------------

def drive(p, mode, **options):
    script = Script("chromium_dashboard.mjs", {
        "mode": mode, "url": f"http://127.0.0.1:{p.admin_port}/",
        "shots": os.environ.get("SHOTS", ""), "seconds": 1,
        "executable": programs.CHROMIUM, **options})
    script.thread.join(90)
    told = [json.loads(l) for l in script.lines if l.startswith("{")]
    assert told and told[-1]["is"] == "end", "".join(script.lines)
    assert not [t for t in told if t["is"] in ("pageerror", "elsewhere")], told
    return next(t for t in told if t["is"] == "seen")


def page(test):
    return pytest.mark.chromium(pytest.mark.slow(test))


@page
def test_it_shows_the_routes_and_one_of_them(penstock):
    p = penstock(config())
    with reader("sse", p, "/news").connect("now") as r:
        p.publish("news", "hello")
        r.read(1)
        seen = drive(p, "routes", routes=3, readers=1, path="/news")
    assert seen["chart"] == 1
    assert "/quotes/{symbol}" in seen["focused"]
    assert seen["title"] == "/quotes/{symbol}"
    assert seen["cells"][:3] == ["SSE", "1", "1"], seen


@page
def test_many_routes_have_rows_and_those_in_sight_have_cells(penstock):
    p = penstock({"routes": [{"path": f"/news/{n:03}", "source": "publish"}
                             for n in range(200)]})
    seen = drive(p, "many", routes=200)
    assert seen["paths"] == [f"/news/{n:03}" for n in range(200)]
    assert seen["first"] < seen["then"] < 120, "not all, until they are looked at"


@page
def test_it_draws_without_uplot_too(penstock):
    seen = drive(penstock(config()), "plain", path="/news")
    assert seen["uplot"] == 0
    assert seen["widths"][0] == seen["widths"][1] > 400


@page
def test_it_is_light_or_dark_as_the_system_or_its_reader_says(penstock):
    seen = drive(penstock(config()), "theme")
    assert seen["system"] == seen["dark"] != seen["light"]
    assert seen["again"] == seen["light"], "it is remembered"


@page
def test_it_fits_a_phone(penstock):
    seen = drive(penstock(config()), "phone", path="/news")
    assert set(seen["wide"].values()) == {390}, seen


@page
def test_a_race_shows_each_message_by_every_transport(penstock):
    seen = drive(penstock(config()), "race", path="/news")
    assert list(seen["got"]) == ["websocket", "sse", "longpoll", "poll"]
    firsts = sum(int(row[4]) for row in seen["got"].values())
    assert firsts == 3, seen


@page
def test_a_race_has_the_channel_that_is_named(penstock):
    p = penstock(config())
    drive(p, "race", path="/quotes/{symbol}", channel="quotes/ACME")
    assert p.channel("quotes/ACME")["messages"] == 3


@page
def test_webrtc_races_where_its_example_is_configured(penstock):
    p = penstock(config(routes=[*config()["routes"], {
        "path": "/signal/{room}", "source": "publish", "receive": "channel"}]))
    seen = drive(p, "race", path="/news")
    assert seen["got"]["webrtc"][1] == "3", seen


@page
def test_it_asks_for_the_token(penstock):
    token = 'se,cret"1'
    p = penstock(config(admin={"listen": "127.0.0.1:0", "token": token}))
    assert p.admin("GET", "/routes").status == 401
    drive(p, "token", token=token, path="/news")


@page
def test_it_comes_back_when_penstock_does(penstock):
    p = penstock(config())
    p.config |= {"admin": f"127.0.0.1:{p.admin_port}"}
    script = Script("chromium_dashboard.mjs", {
        "mode": "away", "url": f"http://127.0.0.1:{p.admin_port}/",
        "executable": programs.CHROMIUM})
    with script:
        raw.wait_for(lambda: any('"up"' in l for l in script.lines), 60, "the page")
        p.stop()
        raw.wait_for(lambda: any('"down"' in l for l in script.lines), 60, "the loss")
        p.lines.clear()
        p.start()
        script.thread.join(60)
    assert '"count":"3"' in script.lines[-2], "".join(script.lines)
